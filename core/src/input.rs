//! What a node is told.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::codec::DecodeError;
use crate::disk::DiskResult;
use crate::frame::Frame;
use crate::ids::{DialId, LinkId, NodeId, OpId};
use crate::work::WorkResult;

/// An input. Together with commands and timeouts it is all that a node ever learns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// A secure channel stands, with an authenticated peer at the other end.
    Connected {
        /// Numbered by the driver, never reused.
        link: LinkId,
        /// Who it is.
        node: NodeId,
        /// The dial it answers; `None` for an inbound connection.
        dial: Option<DialId>,
        /// The other end's address, for people.
        remote: String,
    },
    /// A dial came to nothing.
    DialFailed {
        /// Which.
        dial: DialId,
        /// Why.
        error: DialError,
    },
    /// A frame came in.
    Frame {
        /// Over which link.
        link: LinkId,
        /// The frame.
        frame: Frame,
    },
    /// Data frames have left for the wire.
    Sent {
        /// Over which link.
        link: LinkId,
        /// Their payload bytes.
        bytes: u32,
    },
    /// A link is gone. Also comes, once, for a link that the core closed.
    Closed {
        /// Which.
        link: LinkId,
        /// Why.
        reason: CloseReason,
    },
    /// A disk operation is complete.
    DiskDone {
        /// Which.
        op: OpId,
        /// How it ended.
        result: DiskResult,
    },
    /// Work is done.
    WorkDone {
        /// Which.
        op: OpId,
        /// Its result.
        result: WorkResult,
    },
}

/// Why a link is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum CloseReason {
    /// The core asked for it.
    #[error("closed by this node")]
    Local,
    /// The peer closed it in order.
    #[error("closed by the peer")]
    Eof,
    /// The connection broke (reset, truncated frame).
    #[error("connection lost: {0}")]
    Io(String),
    /// The peer sent bytes that are not a frame, or that the channel could not authenticate.
    #[error("broken protocol: {0}")]
    Decode(DecodeError),
}

/// Why a dial came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum DialError {
    /// No connection: refused, unreachable, an address that cannot be resolved.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// Connected, but the handshake got no answer within its deadline.
    #[error(
        "connected, but the handshake got no answer: the other end's cluster key differs, or it is not a forever node"
    )]
    Silence,
    /// The handshake failed.
    #[error("the handshake failed: {0}")]
    Handshake(String),
    /// The peer is not on this node's allow-list, or a hook refused it.
    #[error("the peer {0} is not allowed here")]
    NotAllowed(NodeId),
}
