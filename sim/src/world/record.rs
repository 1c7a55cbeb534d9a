//! What goes into the trace, and in what form. Bulk bytes (payloads, blobs, plaintext) go in as their length and an 8-byte
//! digest: to hash all of them once for each step of their way would take longer than the run. A frame's bytes are recorded
//! where it is sent; where it arrives, its number tells which it is.

use std::fmt;
use std::time::Duration;

use forever_core::bulk::Bulk;
use forever_core::codec::encode_onto;
use forever_core::command::Command;
use forever_core::disk::{DiskDone, DiskOp, DiskResult};
use forever_core::event::What;
use forever_core::frame::Frame;
use forever_core::ids::{LinkId, OpId, RequestId};
use forever_core::input::Input;
use forever_core::work::{WorkOp, WorkResult};
use serde::Serialize;

use crate::draw::fold;
use crate::trace::Trace;

/// Bulk bytes in a trace.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Digest {
    len: u64,
    hash: u64,
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} B, {:016x}", self.len, self.hash)
    }
}

impl Digest {
    fn of(parts: &[impl AsRef<[u8]>]) -> Self {
        let mut digest = Self { len: 0, hash: 0 };
        for part in parts {
            digest.add(part.as_ref());
        }
        digest
    }

    fn of_bulk(bulk: &Bulk) -> Self {
        Self::of(bulk.parts())
    }

    /// Folded multiplication, 8 bytes at a time, as in wyhash: tells accidental differences apart, resists nobody.
    fn add(&mut self, bytes: &[u8]) {
        self.len += bytes.len() as u64;
        let mut hash = self.hash ^ self.len;
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            let word = u64::from_le_bytes(chunk.try_into().expect("chunks have 8 bytes"));
            hash = fold(hash ^ word);
        }
        let mut last = [0; 8];
        last[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
        self.hash = fold(hash ^ u64::from_le_bytes(last));
    }
}

fn add(trace: &Trace, now_us: u64, actor: &str, kind: &str, what: &(impl Serialize + fmt::Debug)) {
    trace.record_value(Duration::from_micros(now_us), actor, kind, what);
}

/// A frame that goes out. Frames are numbered through the whole run, so that sending and arriving can be matched.
#[derive(Debug)]
pub(super) struct Send<'a> {
    pub(super) to: usize,
    pub(super) link: LinkId,
    pub(super) number: u64,
    pub(super) frame: &'a Frame,
}

impl Send<'_> {
    /// `header` is the frame's header as it is encoded.
    pub(super) fn add_to(&self, trace: &Trace, now_us: u64, actor: &str, header: &[u8]) {
        trace.record_encoded(Duration::from_micros(now_us), actor, "send", self, |buffer| {
            encode_onto(&(self.to, self.link, self.number), buffer);
            buffer.extend_from_slice(header);
            if let Frame::Data { payload, .. } = self.frame {
                encode_onto(&Digest::of_bulk(payload), buffer);
            }
        });
    }
}

/// A frame that arrives. Its bytes are those of the frame of this number.
#[derive(Debug, Serialize)]
pub(super) struct Arrival<'a> {
    pub(super) from: usize,
    pub(super) link: LinkId,
    pub(super) number: u64,
    /// All that was drawn so far, folded.
    pub(super) drawn: u64,
    #[serde(skip)]
    #[expect(dead_code, reason = "for the text of the event")]
    pub(super) frame: &'a Frame,
}

impl Arrival<'_> {
    pub(super) fn add_to(&self, trace: &Trace, now_us: u64, actor: &str) {
        add(trace, now_us, actor, "frame", self);
    }
}

/// An input that is no frame, and all that was drawn so far.
pub(super) fn input(trace: &Trace, now_us: u64, actor: &str, drawn: u64, input: &Input) {
    match input {
        Input::DiskDone { op, result: Ok(DiskDone::Blob(blob)) } => {
            add(trace, now_us, actor, "disk-done", &(drawn, op, Digest::of(&[blob])));
        }
        Input::DiskDone { op, result } => disk_done(trace, now_us, actor, drawn, *op, result),
        Input::WorkDone { op, result } => work_done(trace, now_us, actor, drawn, *op, result),
        Input::Connected { .. } => add(trace, now_us, actor, "connected", &(drawn, input)),
        Input::DialFailed { .. } => add(trace, now_us, actor, "dial-failed", &(drawn, input)),
        Input::Closed { .. } => add(trace, now_us, actor, "closed", &(drawn, input)),
        Input::Sent { .. } => add(trace, now_us, actor, "sent", &(drawn, input)),
        Input::Frame { .. } => add(trace, now_us, actor, "frame", &(drawn, input)),
    }
}

fn disk_done(trace: &Trace, now_us: u64, actor: &str, drawn: u64, op: OpId, result: &DiskResult) {
    add(trace, now_us, actor, "disk-done", &(drawn, op, result));
}

fn work_done(trace: &Trace, now_us: u64, actor: &str, drawn: u64, op: OpId, result: &WorkResult) {
    match result {
        WorkResult::Sealed(sealed) => {
            let blob = Digest::of_bulk(&sealed.blob);
            add(trace, now_us, actor, "work-done", &(drawn, op, sealed.id, &sealed.key, blob));
        }
        WorkResult::Opened(Ok(plain)) => add(trace, now_us, actor, "work-done", &(drawn, op, Digest::of(&[plain]))),
        WorkResult::Opened(Err(_))
        | WorkResult::PageSealed(_)
        | WorkResult::PageChecked(_)
        | WorkResult::PageOpened(_)
        | WorkResult::RecordsVerified(_)
        | WorkResult::IntentVerified(_)
        | WorkResult::TicketVerified(_) => add(trace, now_us, actor, "work-done", &(drawn, op, result)),
    }
}

/// A disk operation that begins.
pub(super) fn disk(trace: &Trace, now_us: u64, actor: &str, op: OpId, what: &DiskOp) {
    match what {
        DiskOp::WriteBlob { blob, data, known, entry } => {
            add(trace, now_us, actor, "disk", &(op, "WriteBlob", blob, known, entry, Digest::of_bulk(data)));
        }
        DiskOp::ReadBlob { .. }
        | DiskOp::HasBlobs { .. }
        | DiskOp::Lookup { .. }
        | DiskOp::Scan { .. }
        | DiskOp::Commit { .. }
        | DiskOp::Usage
        | DiskOp::ListBlobs { .. } => add(trace, now_us, actor, "disk", &(op, what)),
    }
}

/// A piece of work that begins.
pub(super) fn work(trace: &Trace, now_us: u64, actor: &str, op: OpId, what: &WorkOp) {
    match what {
        WorkOp::Seal { plain } => {
            add(trace, now_us, actor, "work", &(op, "Seal", Digest::of(&[plain.plain()])));
        }
        WorkOp::Open { chunk, key, data } => {
            add(trace, now_us, actor, "work", &(op, "Open", chunk, key, Digest::of_bulk(data)));
        }
        WorkOp::SealPage { .. }
        | WorkOp::CheckPage { .. }
        | WorkOp::OpenRoot { .. }
        | WorkOp::OpenPage { .. }
        | WorkOp::VerifyRecords { .. }
        | WorkOp::VerifyIntent { .. }
        | WorkOp::VerifyTicket { .. } => add(trace, now_us, actor, "work", &(op, what)),
    }
}

/// What a caller is told.
pub(super) fn event(trace: &Trace, now_us: u64, actor: &str, request: RequestId, what: &What) {
    match what {
        What::GetData(plain) => add(trace, now_us, actor, "event", &(request, "GetData", Digest::of(&[&plain.0]))),
        What::PutReady { .. }
        | What::PutDone(_)
        | What::GetStart { .. }
        | What::GetDone
        | What::Deleted(_)
        | What::Undeleted { .. }
        | What::Listed { .. }
        | What::Stat(_)
        | What::Versions(_)
        | What::Shared(_)
        | What::Evicted { .. }
        | What::RestoreFound(_)
        | What::RestoreProgress(_)
        | What::Restored(_)
        | What::Left
        | What::Forgotten
        | What::ScrubProgress(_)
        | What::Scrubbed(_)
        | What::Status(_)
        | What::Peers(_)
        | What::Failed(_) => add(trace, now_us, actor, "event", &(request, what)),
    }
}

/// What a caller asks.
pub(super) fn command(trace: &Trace, now_us: u64, actor: &str, command: &Command) {
    if let Command::PutChunk { request, plain } = command {
        add(trace, now_us, actor, "command", &(request, "PutChunk", Digest::of(&[plain.plain()])));
    } else {
        add(trace, now_us, actor, "command", command);
    }
}

/// Anything else, by name.
pub(super) fn other(trace: &Trace, now_us: u64, actor: &str, kind: &str, what: &(impl Serialize + fmt::Debug)) {
    add(trace, now_us, actor, kind, what);
}

/// A deadline that is due.
#[derive(Debug, Serialize)]
pub(super) struct Due<'a> {
    pub(super) deadline: forever_core::time::Monotonic,
    /// All that was drawn so far, folded.
    pub(super) drawn: u64,
    #[serde(skip)]
    #[expect(dead_code, reason = "for the text of the event")]
    pub(super) timer: &'a forever_core::node::Timer,
}
