//! Evicted copies: what was evicted here lies with as many other nodes as an evict demands, whoever of them goes.
//!
//! The holders of a name keep each other's copies whole (`sync`, `repair`), and one that was evicted here is not counted. So after a
//! start, whenever members come or go, and once in the period of the scrub, since nobody tells of a disk that was lost, the own records that
//! were evicted here are gone through. Where the other holders are fewer than an
//! evict demands, they and the next in rank are asked to promise to keep the record, as the evict has asked them; what they lack they
//! fetch. If too few can promise, even after a while, the copy comes back (`mend`). Nothing of this is remembered across a restart.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::disk::DiskOp;
use crate::frame::{Frame, PromiseOutcome};
use crate::ids::{NodeId, RecordId};
use crate::node::context::Context;
use crate::node::pending::{Completion, Pending};
use crate::node::signal::{Answer, AskClient};
use crate::node::timers::Timer;
use crate::node::{answers, asks, cluster, mend, neighbours, schema};
use crate::record::{Record, SignedRecord};
use crate::{planted, sometimes};

/// Rows read at a time.
const BATCH: u32 = 64;

/// From a change of members, or a start, to the walk: further changes may follow at once.
const SOON: Duration = Duration::from_secs(1);

/// The pause between two walks of which the first left something undone.
const AGAIN: Duration = Duration::from_secs(20);

/// Walks after a change of members in which a node that refuses, or cannot be reached, may still turn out to keep a record.
const PATIENT_WALKS: u32 = 3;

/// Operations that may be under way.
pub(crate) const OPERATIONS_MAX: u64 = 1;

/// What a walk waits for.
#[derive(Debug)]
pub(crate) enum EvictedStep {
    /// Marks, to see whether anything is evicted here.
    Any,
    /// Own records.
    Records,
    /// Which of them are evicted.
    Marks(Vec<SignedRecord>),
}

/// A record whose keepers are being asked.
#[derive(Debug)]
struct Asking {
    record: SignedRecord,
    asked: BTreeSet<NodeId>,
    waiting: BTreeSet<NodeId>,
    promised: u32,
}

/// The walk over what was evicted here.
#[derive(Debug, Default)]
pub(crate) struct Evicted {
    is_walking: bool,
    /// Walks since members have changed; each ends with all done, or is followed by another.
    walks: u32,
    /// Where the next rows are read.
    from: Option<Bytes>,
    batch: VecDeque<SignedRecord>,
    asking: Option<Asking>,
    is_undone: bool,
}

/// The node has started, or its members have changed.
pub(crate) fn on_membership(cx: &mut Context) {
    if planted!(cx.simulation, EvictedAndForgotten) {
        return;
    }
    cx.evicted.walks = 0;
    if cx.evicted.is_walking {
        cx.evicted.is_undone = true;
    } else {
        let soon = cx.now.mono + SOON;
        cx.timers.set(Timer::Evicted, soon);
    }
}

/// Time to begin a walk, or not to wait for answers any longer.
pub(crate) fn on_timer(cx: &mut Context) {
    if let Some(asking) = &mut cx.evicted.asking {
        asking.waiting.clear();
        return go_on(cx);
    }
    if !cx.evicted.is_walking {
        let walks = cx.evicted.walks.saturating_add(1);
        cx.evicted = Evicted { is_walking: true, walks, ..Evicted::default() };
        scan(cx, schema::evicted_marks(cx.owner), EvictedStep::Any);
    }
}

/// Reads the next rows under a prefix.
fn scan(cx: &mut Context, prefix: Bytes, step: EvictedStep) {
    let to = schema::end_of(&prefix);
    let from = cx.evicted.from.take().unwrap_or(prefix);
    cx.disk(DiskOp::Scan { from, to, limit: BATCH, reverse: false }, Pending::Evicted(step));
}

fn end_of_walk(cx: &mut Context, is_undone: bool) {
    cx.evicted.is_walking = false;
    let rest = if is_undone || cx.evicted.is_undone {
        AGAIN
    } else {
        cx.evicted.walks = 0;
        cx.config.scrub_period
    };
    if !rest.is_zero() {
        let again = cx.now.mono + cx.jitter(rest);
        cx.timers.set(Timer::Evicted, again);
    }
}

/// Rows are read.
pub(crate) fn on_completion(cx: &mut Context, step: EvictedStep, completion: Completion) {
    let read = match step {
        EvictedStep::Any => completion.entries().map(|(entries, more)| on_any(cx, &entries, more)),
        EvictedStep::Records => completion.entries().map(|(entries, more)| on_records(cx, entries, more)),
        EvictedStep::Marks(records) => completion.values().map(|marks| {
            let is_evicted = |mark: &Option<Bytes>| mark.as_ref().is_some_and(schema::is_evicted);
            let evicted = records.into_iter().zip(marks).filter(|(_, mark)| is_evicted(mark));
            cx.evicted.batch = evicted.map(|(record, _)| record).collect();
            next_record(cx);
        }),
    };
    if let Err(error) = read {
        answers::note_disk_error(cx, &error);
        end_of_walk(cx, true);
    }
}

fn on_any(cx: &mut Context, entries: &[(Bytes, Bytes)], more: bool) {
    if entries.iter().any(|(_, mark)| schema::is_evicted(mark)) {
        return scan(cx, schema::owner_records(cx.owner), EvictedStep::Records);
    }
    cx.evicted.from = entries.last().filter(|_| more).map(|(key, _)| schema::after(key));
    match cx.evicted.from {
        Some(_) => scan(cx, schema::evicted_marks(cx.owner), EvictedStep::Any),
        None => end_of_walk(cx, false),
    }
}

fn on_records(cx: &mut Context, entries: Vec<(Bytes, Bytes)>, more: bool) {
    cx.evicted.from = entries.last().filter(|_| more).map(|(key, _)| schema::after(key));
    let records = entries.into_iter().filter_map(|(_, bytes)| SignedRecord::decode(bytes).ok());
    let records: Vec<SignedRecord> = records.filter(|record| has_too_few_holders(cx, &record.record)).collect();
    if records.is_empty() {
        return next_record(cx);
    }
    let keys = records.iter().map(|record| schema::evicted_key(cx.owner, record.id)).collect();
    cx.disk(DiskOp::Lookup { keys }, Pending::Evicted(EvictedStep::Marks(records)));
}

/// Whether the other holders of a file are fewer than an evict demands.
fn has_too_few_holders(cx: &mut Context, record: &Record) -> bool {
    let holders = cluster::holders(cx, record.name_id, record.retention.replicas);
    let others = holders.iter().filter(|node| **node != cx.me).count();
    record.body.is_file() && others < cx.write_quorum() as usize
}

/// Goes on to the next record of the batch, or to the next rows.
fn next_record(cx: &mut Context) {
    cx.evicted.asking = None;
    cx.timers.cancel(&Timer::Evicted);
    if let Some(record) = cx.evicted.batch.pop_front() {
        let (asked, waiting) = (BTreeSet::new(), BTreeSet::new());
        cx.evicted.asking = Some(Asking { record, asked, waiting, promised: 0 });
        return go_on(cx);
    }
    match cx.evicted.from {
        Some(_) => scan(cx, schema::owner_records(cx.owner), EvictedStep::Records),
        None => end_of_walk(cx, false),
    }
}

/// Asks as many more as are needed, unless enough have promised or some have yet to answer.
fn go_on(cx: &mut Context) {
    let needed = cx.write_quorum();
    let Some(asking) = &cx.evicted.asking else { return };
    if asking.promised >= needed || cx.evicting.contains(&asking.record.id) {
        return next_record(cx);
    }
    if !asking.waiting.is_empty() {
        return;
    }
    let (record, asked) = (asking.record.clone(), asking.asked.clone());
    let more = (needed - asking.promised) as usize;
    let next = neighbours::next_in_rank(cx, record.record.name_id, &asked, more);
    if next.is_empty() {
        let me = cx.me;
        let others = cluster::rank(cx, record.record.name_id).into_iter().filter(|node| *node != me).count();
        return on_too_few(cx, record, others < needed as usize);
    }
    ask(cx, &record, next);
}

fn ask(cx: &mut Context, record: &SignedRecord, nodes: Vec<NodeId>) {
    if let Some(asking) = &mut cx.evicted.asking {
        asking.asked.extend(nodes.iter().copied());
        asking.waiting.extend(nodes.iter().copied());
    }
    let late = cx.now.mono + cx.config.request_timeout;
    cx.timers.set(Timer::Evicted, late);
    for node in nodes {
        let frame = |request| Frame::AskPromise { request, record: record.bytes.clone(), fetch: true };
        asks::ask(cx, AskClient::Evicted(record.id), node, frame);
    }
}

/// Too few keep a record, whoever of those that can be reached is asked.
fn on_too_few(cx: &mut Context, record: SignedRecord, are_too_few: bool) {
    if are_too_few || cx.evicted.walks > PATIENT_WALKS {
        sometimes!(cx.simulation, "evicted.comes-back");
        cx.evicted.is_undone |= !mend::bring_back(cx, record);
    } else {
        cx.evicted.is_undone = true;
    }
    next_record(cx);
}

/// A node answered, or did not.
pub(crate) fn on_answered(cx: &mut Context, id: RecordId, node: NodeId, answer: Option<Answer>) {
    let Some(asking) = cx.evicted.asking.as_mut().filter(|asking| asking.record.id == id) else { return };
    if !asking.waiting.remove(&node) {
        return;
    }
    match answer.map(Answer::promised) {
        Some(Some(PromiseOutcome::Given)) => {
            sometimes!(cx.simulation, "evicted.promised-anew");
            asking.promised += 1;
        }
        // Nobody is to keep it any more.
        Some(Some(PromiseOutcome::Obsolete)) => return next_record(cx),
        Some(Some(PromiseOutcome::Refused)) | None => {}
        Some(None) => asks::on_lie(cx, node),
    }
    go_on(cx);
}
