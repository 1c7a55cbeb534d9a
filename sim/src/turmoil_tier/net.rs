//! turmoil's network as the driver's, with every byte in the trace.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use forever_net_tokio::net::{Listener, Net};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::{TcpListener, TcpStream};

use crate::trace::Tracer;

/// Whether a task has panicked. tokio keeps a panic in a background task to itself, and a simulation must not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Panics(Arc<AtomicBool>);

impl Panics {
    pub(crate) fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// To be held by a task for as long as it runs.
    pub(crate) fn guard(&self) -> PanicGuard {
        PanicGuard(self.clone())
    }
}

/// Dropped by a panic, it tells so.
pub(crate) struct PanicGuard(Panics);

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.0.store(true, Ordering::Relaxed);
        }
    }
}

/// The network as one simulated host sees it.
#[derive(Clone, Debug)]
pub struct TurmoilNet {
    tracer: Tracer,
    panics: Panics,
}

impl TurmoilNet {
    pub(crate) fn new(tracer: Tracer, panics: Panics) -> Self {
        Self { tracer, panics }
    }
}

impl Net for TurmoilNet {
    type Stream = TurmoilStream;
    type Listener = TurmoilListener;

    async fn listen(&self, address: &str) -> io::Result<TurmoilListener> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?.to_string();
        Ok(TurmoilListener { listener, address, tracer: self.tracer.clone() })
    }

    async fn connect(&self, address: &str) -> io::Result<TurmoilStream> {
        let connected = TcpStream::connect(address).await;
        self.tracer.debug("connect", &(address, connected.as_ref().err().map(io::Error::kind)));
        Ok(TurmoilStream { stream: connected?, tracer: self.tracer.clone() })
    }

    /// Spawns on the host's own task set, so that the task sees the host's network and dies with the host.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let guard = self.panics.guard();
        drop(tokio::task::spawn_local(async move {
            let _guard = guard;
            task.await;
        }));
    }
}

/// A listening socket.
pub struct TurmoilListener {
    listener: TcpListener,
    address: String,
    tracer: Tracer,
}

impl Listener for TurmoilListener {
    type Stream = TurmoilStream;

    async fn accept(&mut self) -> io::Result<(TurmoilStream, String)> {
        let (stream, remote) = self.listener.accept().await?;
        let remote = remote.to_string();
        self.tracer.bytes("accept", remote.as_bytes());
        Ok((TurmoilStream { stream, tracer: self.tracer.clone() }, remote))
    }

    fn local_address(&self) -> String {
        self.address.clone()
    }
}

/// A connection.
#[derive(Debug)]
pub struct TurmoilStream {
    stream: TcpStream,
    tracer: Tracer,
}

impl AsyncRead for TurmoilStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        let result = ready!(Pin::new(&mut self.stream).poll_read(cx, out));
        match &result {
            Ok(()) => self.tracer.bytes("read", &out.filled()[before..]),
            Err(error) => self.tracer.debug("read failed", &error.kind()),
        }
        Poll::Ready(result)
    }
}

impl AsyncWrite for TurmoilStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        match &result {
            Ok(len) => self.tracer.bytes("write", &bytes[..*len]),
            Err(error) => self.tracer.debug("write failed", &error.kind()),
        }
        Poll::Ready(result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // turmoil loses the end of a stream whose receiver has no room left for it.
        ready!(pin!(self.stream.writable()).poll(cx))?;
        self.tracer.bytes("shutdown", &[]);
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
