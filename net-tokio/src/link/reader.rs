//! The receiving task of a link, which also ends it.

use forever_core::sometimes;
use std::sync::Arc;

use forever_core::codec::Codec;
use forever_core::input::CloseReason;
use tokio::io::AsyncRead;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::writer::WriterEnd;
use super::{CLOSE_TIMEOUT, CONTROL_WAITING_MAX, Deaf, Events, LinkEvent};
use crate::channel::{FrameReader, ReadError};

/// The receiving side of a link.
pub(super) struct Reader<R> {
    pub(super) source: FrameReader<R>,
    pub(super) codec: Arc<dyn Codec>,
    pub(super) events: Events,
}

/// The hold that the reader has on the writer's task.
pub(super) struct WriterTask {
    /// Dropped, it stops the writer.
    pub(super) stop: oneshot::Sender<()>,
    /// How the writer ended.
    pub(super) end: oneshot::Receiver<WriterEnd>,
}

impl WriterTask {
    /// Waits until the writer is gone; how it ended no longer matters.
    async fn gone(end: &mut oneshot::Receiver<WriterEnd>) {
        if !end.is_terminated() {
            let _ = end.await;
        }
    }

    /// Stops the writer and waits until it is gone.
    async fn stop(mut self) {
        drop(self.stop);
        Self::gone(&mut self.end).await;
    }
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// Reads until the link ends, then ends it on both sides and tells so. `overflow` says that too much waits to be sent,
    /// and, by its own end, that the link is to be closed.
    pub(super) async fn run(mut self, mut overflow: mpsc::Receiver<()>, mut writer: WriterTask) {
        let reason = tokio::select! {
            biased;
            end = &mut writer.end => Some(match end {
                Ok(WriterEnd::Failed(reason)) => reason,
                Ok(WriterEnd::Flushed) => {
                    sometimes!(self.source.simulation, "link.closed-in-order");
                    self.close_in_order(&mut writer).await;
                    CloseReason::Local
                }
                Ok(WriterEnd::Stopped) | Err(_) => CloseReason::Local,
            }),
            full = overflow.recv() => Some(match full {
                Some(()) => CloseReason::Io(format!(
                    "the peer has stalled: {CONTROL_WAITING_MAX} frames wait to be sent"
                )),
                None => {
                    self.close_in_order(&mut writer).await;
                    CloseReason::Local
                }
            }),
            reason = self.read() => reason,
        };
        drop(self.source);
        writer.stop().await;
        if let Some(reason) = reason {
            // Whoever no longer listens does not want to know.
            let _ = self.events.send(LinkEvent::Closed(reason)).await;
        }
    }

    /// Passes on what comes until the link ends; `None` if nobody listens any more.
    async fn read(&mut self) -> Option<CloseReason> {
        loop {
            let frame = match self.source.read(self.codec.as_ref()).await {
                Ok(Some(frame)) => frame,
                Ok(None) => return Some(CloseReason::Eof),
                Err(ReadError::Io(error)) => {
                    sometimes!(self.source.simulation, "link.broken-in-mid-frame");
                    return Some(CloseReason::Io(error.to_string()));
                }
                Err(ReadError::Decode(error)) => return Some(CloseReason::Decode(error)),
            };
            if let Err(Deaf) = self.events.send(LinkEvent::Frame(frame)).await {
                return None;
            }
        }
    }

    /// Lets the writer finish and the peer hang up, within [`CLOSE_TIMEOUT`].
    async fn close_in_order(&mut self, writer: &mut WriterTask) {
        let both_ended = async {
            tokio::join!(self.source.discard(), WriterTask::gone(&mut writer.end));
        };
        let _ = timeout(CLOSE_TIMEOUT, both_ended).await;
    }
}
