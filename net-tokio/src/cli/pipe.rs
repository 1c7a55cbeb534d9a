//! Bytes between blocking files and the async client: a thread on one side, a short channel between.

use std::io::{self, Read, Write};
use std::thread;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use indicatif::ProgressBar;
use tokio::sync::{mpsc, oneshot};

/// Bytes read at once.
const BUFFER: usize = 1 << 20;

/// Buffers on their way: one being filled, one being emptied, one between.
const BUFFERS_MAX: usize = 2;

/// A body that is read from a file or stdin by a thread of its own.
pub(crate) fn body_from(mut from: impl Read + Send + 'static, bar: ProgressBar) -> Body {
    let (sender, mut receiver) = mpsc::channel::<io::Result<Bytes>>(BUFFERS_MAX);
    thread::spawn(move || {
        loop {
            match read_buffer(&mut from) {
                Ok(bytes) if bytes.is_empty() => break,
                Ok(bytes) => {
                    bar.inc(bytes.len() as u64);
                    if sender.blocking_send(Ok(bytes)).is_err() {
                        break;
                    }
                }
                Err(error) => {
                    // If nobody listens any more, the error does not matter either.
                    let _ = sender.blocking_send(Err(error));
                    break;
                }
            }
        }
    });
    Body::from_stream(async_stream::stream! {
        while let Some(bytes) = receiver.recv().await {
            yield bytes;
        }
    })
}

/// A full buffer, or less at the end.
fn read_buffer(from: &mut impl Read) -> io::Result<Bytes> {
    let mut buffer = BytesMut::zeroed(BUFFER);
    let mut len = 0;
    while len < buffer.len() {
        match from.read(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(len);
    Ok(buffer.freeze())
}

/// Writes to a file or stdout on a thread of its own.
pub(crate) struct Writer {
    bytes: mpsc::Sender<Bytes>,
    done: oneshot::Receiver<io::Result<()>>,
}

impl Writer {
    /// `finish` is called at the end, to make durable what was written.
    pub(crate) fn new<W: Write + Send + 'static>(
        mut to: W,
        finish: impl FnOnce(W) -> io::Result<()> + Send + 'static,
    ) -> Self {
        let (bytes, mut receiver) = mpsc::channel::<Bytes>(BUFFERS_MAX);
        let (sender, done) = oneshot::channel();
        thread::spawn(move || {
            let mut write_all = || {
                while let Some(bytes) = receiver.blocking_recv() {
                    to.write_all(&bytes)?;
                }
                Ok(())
            };
            let written = write_all().and_then(|()| finish(to));
            // Nobody waits for a writer that was given up.
            let _ = sender.send(written);
        });
        Self { bytes, done }
    }

    /// Writes, or finds out later why it cannot.
    ///
    /// # Errors
    /// `()` when the writer has failed; [`Writer::finish`] says why.
    pub(crate) async fn write(&self, bytes: Bytes) -> Result<(), ()> {
        self.bytes.send(bytes).await.map_err(|_| ())
    }

    /// Waits until all is written and finished.
    pub(crate) async fn finish(self) -> io::Result<()> {
        drop(self.bytes);
        let done = self.done.await;
        done.unwrap_or_else(|_| Err(io::Error::other("the writing thread is gone")))
    }
}
