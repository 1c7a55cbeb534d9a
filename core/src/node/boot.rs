//! What a node does first: read its clock, its members and its owner's names from the disk, stamp this start, then dial.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::disk::{DiskError, DiskOp};
use crate::member::MemberInfo;
use crate::node::context::Context;
use crate::node::pending::{Completion, Pending};
use crate::node::schema;
use crate::node::timers::Timer;
use crate::node::{
    age, answers, checkpoints, collect, debts, dials, evicted, fill, links, members, names, outbox, presence,
    rebalance, records, scrub, service, space, swim, sync,
};
use crate::version::HybridClock;
use crate::{buggify, planted, sometimes};

/// Entries read at a time.
const BATCH: u32 = 1_024;

/// What the start waits for.
#[derive(Debug)]
pub(crate) enum BootStep {
    Clock,
    Vouched,
    Members,
    /// This start is being stamped.
    Stamp,
    /// The names, from a key on.
    Names(Bytes),
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

/// What could not be read, and is read again after a while: a node that took a failed read for an empty disk would forget
/// its clock, its members or its names.
#[derive(Clone, Debug)]
pub(crate) enum Failed {
    Clock,
    Vouched,
    Members,
    Names(Bytes),
}

/// When what could not be read is read again.
pub(crate) const AGAIN: Duration = Duration::from_secs(1);

fn again(cx: &mut Context, failed: Failed) -> bool {
    sometimes!(cx.simulation, "boot.read-again");
    cx.failed_read = Some(failed);
    read_again_soon(cx);
    false
}

/// Asks for [`on_timer`].
pub(crate) fn read_again_soon(cx: &mut Context) {
    let soon = cx.now.mono + AGAIN;
    cx.timers.set(Timer::Boot, soon);
}

/// Time to read again what could not be read.
pub(crate) fn on_timer(cx: &mut Context) {
    match cx.failed_read.take() {
        Some(Failed::Clock) => start(cx),
        Some(Failed::Vouched) => scan(cx, b"V", Bytes::from_static(b"V"), BootStep::Vouched),
        Some(Failed::Members) => scan(cx, b"N", Bytes::from_static(b"N"), BootStep::Members),
        Some(Failed::Names(from)) => names::read_on(cx, from),
        None => {}
    }
    names::read_again(cx);
}

/// Starts.
pub(crate) fn start(cx: &mut Context) {
    let keys = [schema::FILLED, schema::CLOCK, schema::AGE].map(Bytes::from_static).to_vec();
    cx.disk(DiskOp::Lookup { keys }, Pending::Boot(BootStep::Clock));
}

fn scan(cx: &mut Context, prefix: &'static [u8], from: Bytes, step: BootStep) {
    let limit = if buggify!(cx.simulation, "boot.batch-of-one") { 1 } else { BATCH };
    let scan = DiskOp::Scan { from, to: schema::end_of(prefix), limit, reverse: false };
    cx.disk(scan, Pending::Boot(step));
}

/// An operation is complete. True once commands can be carried out.
pub(crate) fn on_completion(cx: &mut Context, step: BootStep, completion: Completion) -> bool {
    match step {
        BootStep::Clock => {
            let Some(mut values) = note(cx, completion.values()) else { return again(cx, Failed::Clock) };
            let (noted, clock) = (values.pop().flatten(), values.pop().flatten());
            age::start(cx, noted);
            if let Some(clock) = clock.and_then(|bytes| schema::decode::<HybridClock>(&bytes))
                && !planted!(cx.simulation, ClockForgotten)
            {
                cx.clock = clock;
            }
            fill::recover(cx, values.pop().flatten().is_some());
            scan(cx, b"V", Bytes::from_static(b"V"), BootStep::Vouched);
            false
        }
        BootStep::Vouched => {
            let Some((entries, more)) = note(cx, completion.entries()) else { return again(cx, Failed::Vouched) };
            for (key, value) in &entries {
                checkpoints::recover(cx, key, value);
            }
            match entries.last().filter(|_| more) {
                Some((last, _)) => scan(cx, b"V", schema::after(last), BootStep::Vouched),
                None => scan(cx, b"N", Bytes::from_static(b"N"), BootStep::Members),
            }
            false
        }
        BootStep::Members => {
            let Some((entries, more)) = note(cx, completion.entries()) else { return again(cx, Failed::Members) };
            on_members(cx, entries, more);
            false
        }
        BootStep::Stamp => {
            // A disk that keeps nothing now must not keep what it has from being read. If this start shares its stamp with the
            // next, others will say so, and the stamp is made anew.
            note(cx, completion.committed());
            take_part(cx);
            true
        }
        BootStep::Names(from) => {
            let Some((entries, more)) = note(cx, completion.entries()) else {
                if planted!(cx.simulation, FailedReadIsEmpty) {
                    names::on_read(cx, Vec::new(), false);
                    return false;
                }
                return again(cx, Failed::Names(from));
            };
            names::on_read(cx, entries, more);
            false
        }
        BootStep::NamesVerified(next) => {
            names::on_verified(cx, next, completion.work());
            false
        }
    }
}

fn on_members(cx: &mut Context, entries: Vec<(Bytes, Bytes)>, more: bool) {
    let last = entries.last().map(|(key, _)| schema::after(key)).filter(|_| more);
    for (key, value) in entries {
        if let (Some(node), Some(info)) =
            (schema::node_of_member(&key), schema::decode::<MemberInfo>(&value).filter(MemberInfo::is_sane))
        {
            members::recover(cx, node, info);
        }
    }
    match last {
        Some(next) => scan(cx, b"N", next, BootStep::Members),
        None => members::stamp_start(cx),
    }
}

/// The own entry is stamped: from now on this node is one of the cluster.
fn take_part(cx: &mut Context) {
    cx.has_booted = true;
    swim::start(cx);
    service::start(cx);
    links::on_booted(cx);
    dials::start(cx);
    names::start(cx);
    records::start(cx);
    scrub::start(cx);
    space::measure(cx);
    presence::start(cx);
    collect::start(cx);
    sync::start(cx);
    rebalance::start(cx);
    evicted::on_membership(cx);
    debts::start(cx);
    outbox::forgive_all(cx);
}

fn note<T>(cx: &mut Context, result: Result<T, DiskError>) -> Option<T> {
    result.map_err(|error| answers::note_disk_error(cx, &error)).ok()
}
