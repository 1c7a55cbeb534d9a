//! Recordings: all that a node was told, and what it did about it, so that a run can be had again.
//!
//! A node is a pure function of its start and its inputs. A [`Recorder`] writes both down while the node runs; [`replay`]
//! gives them to a fresh node and compares what that does, byte for byte. A recording holds secrets: the owner's, and the
//! plaintext of all that was put and read.
//!
//! ```text
//! recording = magic ‖ part (the header) ‖ part (an entry) ...
//! magic     = "FSREC" ‖ 00 ‖ format, u16 BE
//! part      = length, u32 LE ‖ bincode
//! ```
//!
//! An entry is what the node was told and when, then a digest of each of its outputs. A recording may end within an entry,
//! as that of a node that was killed does: the rest counts.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::bulk::Bulk;
use crate::command::CommandError;
use crate::config::Config;
use crate::frame::Frame;
use crate::ids::{NodeId, RequestId};
use crate::key_hash::KeyHash;
use crate::output::Output;
use crate::secrets::OwnerSecret;
use crate::time::Time;

mod read;
mod replay;
mod write;

pub use replay::{Divergence, Replay, ReplayError, Report, replay};
pub use write::Recorder;

/// What a recording starts with, but for its format.
pub const MAGIC: [u8; 6] = *b"FSREC\0";

/// The format that this build writes, and the only one that it reads: any change of a type below is a new one.
pub const FORMAT: u16 = 3;

/// The longest part, in bytes: a put's chunk and a page of records are far shorter.
const PART_LEN_MAX: u32 = 64 << 20;

/// How a node was started: the arguments of `Node::new`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Its configuration.
    pub config: Config,
    /// Its id.
    pub node: NodeId,
    /// Its owner's secret.
    pub owner: OwnerSecret,
    /// How the owner's names are hashed.
    pub key_hash: KeyHash,
    /// Its randomness.
    pub seed: [u8; 32],
    /// When it was started.
    pub start: Time,
}

/// What a node is told, besides the time.
#[derive(Debug, Serialize, Deserialize)]
enum Stimulus<I, C> {
    Input(I),
    Command(C),
    Timeout,
}

/// What a node is told: when, what, and the payload if that is a frame with one, since a frame's encoding lacks it.
type Told<I, C, B> = (Time, Stimulus<I, C>, Option<B>);

/// What a node answered to a command.
type Answer = Result<RequestId, CommandError>;

/// BLAKE3 of an output, shortened: no adversary makes recordings of his own node.
type Digest = [u8; 16];

/// What a node did: its answer to a command, its outputs in order, and whether it had no more of them. It may have more
/// when the driver told it the next thing in between.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Done {
    answer: Option<Answer>,
    outputs: Vec<Digest>,
    idle: bool,
}

fn payload_of(frame: &Frame) -> Option<&Bulk> {
    if let Frame::Data { payload, .. } = frame { Some(payload) } else { None }
}

fn digest(output: &Output) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&encode(output));
    if let Output::Send { frame, .. } = output
        && let Some(payload) = payload_of(frame)
    {
        for part in payload.parts() {
            hasher.update(part);
        }
    }
    let mut digest = Digest::default();
    digest.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    digest
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    bincode::serde::encode_to_vec(value, bincode::config::standard())
        .expect("inputs, commands and outputs hold only types that bincode can encode")
}

#[cfg(test)]
mod tests;
