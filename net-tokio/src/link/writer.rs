//! The sending task of a link.

use forever_core::{buggify, planted};
use std::sync::Arc;

use forever_core::codec::Codec;
use forever_core::frame::Frame;
use forever_core::input::CloseReason;
use tokio::io::AsyncWrite;
use tokio::sync::{mpsc, oneshot};

use super::{Deaf, Events, LinkEvent};
use crate::channel::{FrameWriter, WriteError};

/// The sending side of a link.
pub(super) struct Writer<W> {
    pub(super) sink: FrameWriter<W>,
    pub(super) codec: Arc<dyn Codec>,
    pub(super) control: mpsc::Receiver<Frame>,
    pub(super) bulk: mpsc::UnboundedReceiver<Frame>,
    pub(super) events: Events,
}

/// How the writer ended.
#[derive(Debug)]
pub(super) enum WriterEnd {
    /// The handle is gone, all that was sent has left, and this direction is shut down.
    Flushed,
    /// It was told to stop.
    Stopped,
    /// The connection broke.
    Failed(CloseReason),
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    /// Writes until the handle is gone, the connection breaks, or `stopped` is dropped at its other end; then tells how it
    /// ended. No event comes from it after that.
    pub(super) async fn run(mut self, stopped: oneshot::Receiver<()>, ended: oneshot::Sender<WriterEnd>) {
        let end = tokio::select! {
            biased;
            _ = stopped => WriterEnd::Stopped,
            result = self.write() => match result {
                Ok(Ok(())) => WriterEnd::Flushed,
                Ok(Err(Deaf)) => WriterEnd::Stopped,
                Err(error) => WriterEnd::Failed(reason(&error)),
            },
        };
        // The stream closes before anyone is told that it has.
        drop(self);
        let _ = ended.send(end);
    }

    async fn write(&mut self) -> Result<Result<(), Deaf>, WriteError> {
        while let Some(first) = self.next().await {
            let sent_bytes = self.push_batch(first)?;
            self.sink.flush().await?;
            if sent_bytes > 0
                && let Err(Deaf) = self.events.send(LinkEvent::Sent { bytes: sent_bytes }).await
            {
                return Ok(Err(Deaf));
            }
        }
        self.sink.shutdown().await?;
        Ok(Ok(()))
    }

    /// The frame to send next; `None` when the handle is gone and both queues are empty.
    async fn next(&mut self) -> Option<Frame> {
        tokio::select! {
            biased;
            Some(frame) = self.control.recv() => Some(frame),
            Some(frame) = self.bulk.recv() => Some(frame),
            else => None,
        }
    }

    /// Seals as many of the waiting frames as fit into one write, control first. Returns the payload bytes among them.
    fn push_batch(&mut self, first: Frame) -> Result<u32, WriteError> {
        let mut sent_bytes = 0;
        let mut next = Some(first);
        while let Some(frame) = next {
            self.sink.push(self.codec.as_ref(), &frame)?;
            if let Frame::Data { payload, .. } = &frame {
                let len = u32::try_from(payload.len()).expect("`push` has checked the frame's length");
                sent_bytes = if planted!(self.sink.simulation, SentOverwritten) { len } else { sent_bytes + len };
            }
            let alone = buggify!(self.sink.simulation, "link.batch-of-one");
            next = (!alone && self.sink.has_room())
                .then(|| self.control.try_recv().ok().or_else(|| self.bulk.try_recv().ok()))
                .flatten();
        }
        Ok(sent_bytes)
    }
}

fn reason(error: &WriteError) -> CloseReason {
    CloseReason::Io(match error {
        WriteError::Io(cause) => cause.to_string(),
        WriteError::TooLong { .. } | WriteError::Exhausted => error.to_string(),
    })
}
