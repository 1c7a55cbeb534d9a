//! What a node does first: read its clock, its members and its owner's names from the disk, then dial.

use bytes::Bytes;

use crate::disk::{DiskError, DiskOp};
use crate::node::context::Context;
use crate::node::pending::{Completion, Pending};
use crate::node::schema::{self, Remembered};
use crate::node::{answers, dials, members, names};
use crate::version::HybridClock;

/// Entries read at a time.
const BATCH: u32 = 1_024;

/// What the start waits for.
#[derive(Debug)]
pub(crate) enum BootStep {
    Clock,
    Members,
    Owed,
    Names,
    /// Where to go on reading.
    NamesVerified(Option<Bytes>),
}

/// How far the start has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Boot {
    /// Clock and members are being read; commands wait.
    #[default]
    Reading,
    Ready,
}

/// Starts.
pub(crate) fn start(cx: &mut Context) {
    let keys = alloc::vec![Bytes::from_static(schema::CLOCK)];
    cx.disk(DiskOp::Lookup { keys }, Pending::Boot(BootStep::Clock));
}

fn scan(cx: &mut Context, prefix: &'static [u8], from: Bytes, step: BootStep) {
    let scan = DiskOp::Scan { from, to: schema::end_of(prefix), limit: BATCH, reverse: false };
    cx.disk(scan, Pending::Boot(step));
}

/// An operation is complete. True once commands can be carried out.
pub(crate) fn on_completion(cx: &mut Context, step: BootStep, completion: Completion) -> bool {
    match step {
        BootStep::Clock => {
            let clock = note(cx, completion.values()).and_then(|mut values| values.pop().flatten());
            if let Some(clock) = clock.and_then(|bytes| schema::decode::<HybridClock>(&bytes)) {
                cx.clock = clock;
            }
            scan(cx, b"N", Bytes::from_static(b"N"), BootStep::Members);
            false
        }
        BootStep::Members => {
            let (entries, _) = note(cx, completion.entries()).unwrap_or_default();
            for (key, value) in entries {
                if let (Some(node), Some(remembered)) =
                    (schema::node_of_member(&key), schema::decode::<Remembered>(&value))
                {
                    members::recover(cx, node, remembered);
                }
            }
            dials::start(cx);
            names::start(cx);
            scan(cx, b"O", Bytes::from_static(b"O"), BootStep::Owed);
            true
        }
        BootStep::Owed => {
            let (entries, more) = note(cx, completion.entries()).unwrap_or_default();
            cx.counters.owed += entries.len() as u64;
            if let (true, Some((last, _))) = (more, entries.last()) {
                scan(cx, b"O", schema::after(last), BootStep::Owed);
            }
            false
        }
        BootStep::Names => {
            names::on_read(cx, completion);
            false
        }
        BootStep::NamesVerified(next) => {
            names::on_verified(cx, next, completion.work());
            false
        }
    }
}

fn note<T>(cx: &mut Context, result: Result<T, DiskError>) -> Option<T> {
    result.map_err(|error| answers::note_disk_error(cx, &error)).ok()
}
