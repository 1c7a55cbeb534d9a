//! A pair of connected streams in memory: two bounded pipes, one each way.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How the connections of a [`super::MemoryNet`] behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PipeOptions {
    /// Bytes under way in one direction before the writer has to wait.
    pub capacity: usize,
    /// The most bytes that one read returns.
    pub read_max: usize,
    /// The most bytes that one write takes.
    pub write_max: usize,
}

impl Default for PipeOptions {
    fn default() -> Self {
        Self { capacity: 256 * 1024, read_max: usize::MAX, write_max: usize::MAX }
    }
}

/// One end of a connection. Dropped, it ends both directions: the peer reads what was sent before and then the end of the
/// stream, and its writes fail.
#[derive(Debug)]
pub struct MemoryStream {
    incoming: Arc<Pipe>,
    outgoing: Arc<Pipe>,
    options: PipeOptions,
}

/// Two connected ends.
pub(super) fn pair(options: PipeOptions) -> (MemoryStream, MemoryStream) {
    let (one, other) = (Arc::new(Pipe::default()), Arc::new(Pipe::default()));
    let near = MemoryStream { incoming: Arc::clone(&one), outgoing: Arc::clone(&other), options };
    let far = MemoryStream { incoming: other, outgoing: one, options };
    (near, far)
}

/// One direction.
#[derive(Debug, Default)]
struct Pipe(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    bytes: VecDeque<u8>,
    /// No byte will follow.
    ended: bool,
    /// Nobody will read.
    abandoned: bool,
    reset: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics half-way through a change of the state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, then wakes both ends.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let wakers = {
            let mut state = self.state();
            change(&mut state);
            [state.reader.take(), state.writer.take()]
        };
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    fn poll_read(&self, context: &Context<'_>, buf: &mut ReadBuf<'_>, max: usize) -> Poll<io::Result<()>> {
        let mut state = self.state();
        if state.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if state.bytes.is_empty() && !state.ended && buf.remaining() > 0 {
            state.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        let (front, _) = state.bytes.as_slices();
        let len = front.len().min(buf.remaining()).min(max);
        buf.put_slice(&front[..len]);
        state.bytes.drain(..len);
        let writer = state.writer.take();
        drop(state);
        writer.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(()))
    }

    fn poll_write(&self, context: &Context<'_>, bytes: &[u8], options: PipeOptions) -> Poll<io::Result<usize>> {
        let mut state = self.state();
        if state.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if state.ended || state.abandoned {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let space = options.capacity.saturating_sub(state.bytes.len());
        if space == 0 && !bytes.is_empty() {
            state.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        let len = bytes.len().min(space).min(options.write_max);
        state.bytes.extend(&bytes[..len]);
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(len))
    }
}

impl MemoryStream {
    /// Breaks the connection: both ends fail at once, and bytes under way are lost.
    pub fn reset(self) {
        self.incoming.change(|state| state.reset = true);
        self.outgoing.change(|state| state.reset = true);
    }
}

impl Drop for MemoryStream {
    fn drop(&mut self) {
        self.incoming.change(|state| state.abandoned = true);
        self.outgoing.change(|state| state.ended = true);
    }
}

impl AsyncRead for MemoryStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let budget = ready!(tokio::task::coop::poll_proceed(context));
        let poll = self.incoming.poll_read(context, buf, self.options.read_max);
        if poll.is_ready() {
            budget.made_progress();
        }
        poll
    }
}

impl AsyncWrite for MemoryStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let budget = ready!(tokio::task::coop::poll_proceed(context));
        let poll = self.outgoing.poll_write(context, bytes, self.options);
        if poll.is_ready() {
            budget.made_progress();
        }
        poll
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.change(|state| state.ended = true);
        Poll::Ready(Ok(()))
    }
}
