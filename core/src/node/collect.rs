//! The collector: it takes away what nothing needs any more, a little at a time.
//!
//! - Records that their names no longer keep (`names`), each with all that only it needs (`removal`).
//! - The pages of records that are gone, with their references and chunks (`pages`).
//! - Chunks and pages that were stored for a record which never came, once their lease is over (`leases`).
//!
//! One step runs at a time, looks at a bounded number of rows and is followed by a pause as long as itself. What is still to be
//! done is on the disk (doomed pages, leases, records that are not kept), so a crash only makes it be done again. Nothing
//! that is relied on goes, because each commit that takes something away has its condition within itself: a page goes if it is
//! still doomed, a chunk if no page references it and no lease is on it.

mod leases;
mod names;
mod pages;
mod removal;

use alloc::collections::{BTreeMap, BTreeSet};
use core::ops::Bound;
use core::time::Duration;

use bytes::Bytes;

use crate::disk::DiskError;
use crate::ids::{NameId, NodeId, OwnerId, RecordId};
use crate::node::context::Context;
use crate::node::gauges::Gauge;
use crate::node::pending::Completion;
use crate::node::timers::Timer;
use crate::node::{answers, schema};
use crate::record::SignedRecord;
use crate::time::Monotonic;
use crate::{buggify, sometimes};

pub(crate) use leases::{Activities, ChunkLease, PageLease};
pub(crate) use names::{ask_whether_relied_on, on_answered};
pub(crate) use pages::{release, unreference};
pub(crate) use removal::{
    Removals, RemoveOutcome, RemoveStep, Why, confirmed, give_up, on_completion as on_removal_completion, remove,
};

/// Names that wait to be looked at; beyond it they are left to a pass over all records.
const NAMES_MAX: usize = 4_096;

/// Rows looked at in one step.
const ROWS: u32 = 256;

/// The shortest pause between two steps.
const PAUSE: Duration = Duration::from_millis(10);

/// The pause after a step that failed.
const RETRY: Duration = Duration::from_secs(1);

/// The pause between two passes over all records and leases, at least and at most.
const REST: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3_600));

/// Questions about promises that may be open.
const ASKED_MAX: usize = 256;

/// Operations that the collector may have under way: those of a step, and those of a removal.
pub(crate) const OPERATIONS_MAX: u64 = 4;

/// What the collector waits for.
#[derive(Debug)]
pub(crate) enum CollectStep {
    Name(names::NameStep),
    Page(pages::PageStep),
    Lease(leases::LeaseStep),
    /// Records are being read to find names that have more than they keep.
    Records,
}

/// A name of an owner.
pub(crate) type Address = (OwnerId, NameId);

/// How far a pass over everything has come.
#[derive(Clone, Debug, Default)]
pub(crate) enum Pass {
    #[default]
    Resting,
    /// Records, from a key on; and the last name seen.
    Records(Bytes, Option<Address>),
    ChunkLeases(Bytes),
    PageLeases(Bytes),
}

/// What the collector has to do.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    names: BTreeSet<Address>,
    /// The name looked at last, so that names take turns.
    last: Option<Address>,
    /// The name being looked at.
    look: Option<names::Look>,
    /// Names of which only a debt keeps a deletion: they are looked at again when one about them is paid.
    owed: BTreeSet<Address>,
    /// Whether there may be doomed pages.
    doomed: bool,
    pass: Pass,
    /// When the next pass begins.
    next_pass: Monotonic,
    /// Names were left to a pass that has not begun.
    overflowed: bool,
    /// Peers asked whether they still rely on a promise about a record.
    asked: BTreeMap<(RecordId, NodeId), SignedRecord>,
    /// Whether a step is under way.
    busy: bool,
}

/// What of its limits is used.
pub(crate) fn gauges(cx: &Context) -> [Gauge; 3] {
    [
        ("names to look at", cx.collector.names.len() as u64, NAMES_MAX as u64),
        ("names with an owed deletion", cx.collector.owed.len() as u64, NAMES_MAX as u64),
        ("promises asked about", cx.collector.asked.len() as u64, ASKED_MAX as u64),
    ]
}

/// The node has started: there may be work left from its last life.
pub(crate) fn start(cx: &mut Context) {
    cx.collector.doomed = true;
    let soon = cx.now.mono + REST.0;
    cx.collector.next_pass = soon;
    cx.timers.set(Timer::Collect, soon);
}

/// A record of a name is new here, or no longer in use: others of the name may have to go.
pub(crate) fn look_at(cx: &mut Context, owner: OwnerId, name: NameId) {
    if cx.collector.names.len() >= NAMES_MAX {
        cx.collector.overflowed = true;
    } else {
        cx.collector.names.insert((owner, name));
    }
    wake(cx);
}

/// A debt about a record of a name is gone.
pub(crate) fn on_struck(cx: &mut Context, name: Address) {
    if cx.collector.owed.remove(&name) {
        look_at(cx, name.0, name.1);
    }
}

/// There are doomed pages.
fn wake_for_pages(cx: &mut Context) {
    cx.collector.doomed = true;
    wake(cx);
}

fn wake(cx: &mut Context) {
    if !cx.collector.busy {
        let soon = cx.now.mono + PAUSE;
        cx.timers.set_if_sooner(Timer::Collect, soon);
    }
}

/// Time for the next step.
pub(crate) fn on_timer(cx: &mut Context) {
    if cx.collector.busy {
        return;
    }
    cx.collector.busy = true;
    if let Some(address) = next_name(cx) {
        return names::look(cx, address);
    }
    if cx.collector.doomed {
        return pages::next(cx);
    }
    match cx.collector.pass.clone() {
        Pass::Resting if cx.now.mono < cx.collector.next_pass && !cx.collector.overflowed => {
            cx.collector.busy = false;
            let next = cx.collector.next_pass;
            cx.timers.set(Timer::Collect, next);
        }
        Pass::Resting => {
            cx.collector.overflowed = false;
            let from = Bytes::from_static(schema::RECORDS);
            cx.collector.pass = Pass::Records(from.clone(), None);
            names::read(cx, from);
        }
        Pass::Records(from, _) => names::read(cx, from),
        Pass::ChunkLeases(from) => leases::read_chunks(cx, from),
        Pass::PageLeases(from) => leases::read_pages(cx, from),
    }
}

fn next_name(cx: &mut Context) -> Option<Address> {
    let names = &cx.collector.names;
    let later = cx.collector.last.and_then(|last| names.range((Bound::Excluded(last), Bound::Unbounded)).next());
    let next = later.or(names.first()).copied()?;
    cx.collector.names.remove(&next);
    cx.collector.last = Some(next);
    Some(next)
}

/// A step is over, and the pass stands here now.
fn pass_on(cx: &mut Context, pass: Pass) {
    if matches!(pass, Pass::Resting) {
        let (least, most) = REST;
        let rest = (cx.config.lease / 8).min(cx.config.day / 24).clamp(least, most);
        cx.collector.next_pass = cx.now.mono + cx.jitter(rest);
    }
    cx.collector.pass = pass;
    step_done(cx);
}

/// A step is over, and the next follows after a pause.
fn step_done(cx: &mut Context) {
    cx.collector.busy = false;
    let again = cx.now.mono + PAUSE;
    cx.timers.set(Timer::Collect, again);
}

/// A step failed: what it was to do is done later.
fn step_failed(cx: &mut Context, error: &DiskError) {
    answers::note_disk_error(cx, error);
    retry(cx);
}

/// What a step was to do is done later.
fn retry(cx: &mut Context) {
    sometimes!(cx.simulation, "collect.tried-again");
    cx.collector.busy = false;
    let again = cx.now.mono + RETRY;
    cx.timers.set(Timer::Collect, again);
}

fn rows(cx: &Context) -> u32 {
    if buggify!(cx.simulation, "collect.one-row-a-step", for a run) { 1 } else { ROWS }
}

/// An operation is complete.
pub(crate) fn on_completion(cx: &mut Context, step: CollectStep, completion: Completion) {
    match step {
        CollectStep::Name(step) => names::on_completion(cx, &step, completion),
        CollectStep::Page(step) => pages::on_completion(cx, step, completion),
        CollectStep::Lease(step) => leases::on_completion(cx, step, completion),
        CollectStep::Records => names::on_read(cx, completion),
    }
}

/// A removal that the collector asked for is over.
pub(crate) fn on_removed(cx: &mut Context, record: &SignedRecord, outcome: RemoveOutcome) {
    names::on_removed(cx, record, outcome);
}
