//! Links: frames to and from one peer, over a secure channel.
//!
//! Two tasks serve a link. The writer takes frames from two queues, control before bulk. The reader passes on what comes,
//! and it alone ends the link: it stops the writer, waits until that is gone, and sends [`LinkEvent::Closed`], which is
//! therefore the last event and the only one of its kind, whichever side failed first.

use core::time::Duration;
use std::sync::Arc;

use forever_core::codec::Codec;
use forever_core::frame::Frame;
use forever_core::ids::LinkId;
use forever_core::input::CloseReason;
use tokio::sync::{mpsc, oneshot};

use crate::channel::SecureStream;
use crate::net::{Net, Stream};

mod reader;
#[cfg(test)]
mod tests;
mod writer;

/// Control frames that may wait for a link. The core's credits keep far below; a peer that lets so many pile up has
/// stalled, and its link is closed.
pub const CONTROL_WAITING_MAX: usize = 8_192;

/// How long a link that is being closed may take to send what was sent before and to hear the peer's end.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// What happens on a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// A frame came.
    Frame(Frame),
    /// Data frames have been handed to the transport.
    Sent {
        /// Their payload bytes.
        bytes: u32,
    },
    /// The link is gone; no event follows.
    Closed(CloseReason),
}

/// The way to send over a link. Dropping it closes the link.
#[derive(Debug)]
pub struct LinkHandle {
    control: mpsc::Sender<Frame>,
    bulk: mpsc::UnboundedSender<Frame>,
    overflow: mpsc::Sender<()>,
}

impl LinkHandle {
    /// Queues a frame. Never blocks: [`Frame::Data`] waits in a queue that the core's credits bound, all other frames in
    /// one that holds [`CONTROL_WAITING_MAX`] and overtakes it. What is sent over a link that is gone is dropped.
    pub fn send(&self, frame: Frame) {
        if matches!(frame, Frame::Data { .. }) {
            let _ = self.bulk.send(frame);
        } else if let Err(mpsc::error::TrySendError::Full(_)) = self.control.try_send(frame) {
            // Full means that the reader has been told before.
            let _ = self.overflow.try_send(());
        }
    }

    /// Closes the link once what was sent before has left, or after [`CLOSE_TIMEOUT`]. [`LinkEvent::Closed`] follows.
    pub fn close(self) {
        drop(self);
    }
}

/// Serves a link until it ends. Events go to `events`; while nobody takes them, nothing more is read from this peer.
pub fn start<N: Net, S: Stream>(
    net: &N,
    stream: SecureStream<S>,
    link: LinkId,
    codec: Arc<dyn Codec>,
    events: mpsc::Sender<(LinkId, LinkEvent)>,
) -> LinkHandle {
    let (control, control_queue) = mpsc::channel(CONTROL_WAITING_MAX);
    let (bulk, bulk_queue) = mpsc::unbounded_channel();
    let (overflow, overflows) = mpsc::channel(1);
    let (stop, stopped) = oneshot::channel();
    let (ended, end) = oneshot::channel();
    let (source, sink) = stream.split();
    let events = Events { link, events };

    let writer = writer::Writer {
        sink,
        codec: Arc::clone(&codec),
        control: control_queue,
        bulk: bulk_queue,
        events: events.clone(),
    };
    net.spawn(writer.run(stopped, ended));
    let reader = reader::Reader { source, codec, events };
    net.spawn(reader.run(overflows, reader::WriterTask { stop, end }));
    LinkHandle { control, bulk, overflow }
}

/// Where a link's events go.
#[derive(Clone, Debug)]
struct Events {
    link: LinkId,
    events: mpsc::Sender<(LinkId, LinkEvent)>,
}

/// Nobody listens to the link any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Deaf;

impl Events {
    async fn send(&self, event: LinkEvent) -> Result<(), Deaf> {
        self.events.send((self.link, event)).await.map_err(|_| Deaf)
    }
}
