//! What a node does. This list is complete: a node has no other effect on the world.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::disk::DiskOp;
use crate::event::Event;
use crate::frame::Frame;
use crate::ids::{DialId, LinkId, OpId};
use crate::work::WorkOp;

/// An action, in total order: that order is the trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// Send a frame. [`Frame::Data`] is bulk and answered by `Sent`; all others are control and overtake it.
    Send {
        /// Over which link.
        link: LinkId,
        /// The frame.
        frame: Frame,
    },
    /// Connect to an address. Answered by `Connected` or `DialFailed`.
    Connect {
        /// Which attempt.
        dial: DialId,
        /// `host:port`.
        address: String,
    },
    /// Close a link once what was sent before has left. Answered by `Closed`.
    Close {
        /// Which.
        link: LinkId,
    },
    /// Do something on the disk. Answered by `DiskDone`.
    Disk {
        /// Which operation.
        op: OpId,
        /// What to do.
        what: DiskOp,
    },
    /// Do pure work. Answered by `WorkDone`.
    Work {
        /// Which operation.
        op: OpId,
        /// What to do.
        what: WorkOp,
    },
    /// Tell a caller something.
    Event(Event),
}
