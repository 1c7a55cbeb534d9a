//! Rebalancing: what lies out of place leaves this disk when it lies where it is to lie.
//!
//! *Out of place* is a record of another owner which placement does not give to this node: members have come or gone since it came,
//! or it stood in for a holder. `sync` tells its holders of it, and they fetch it (`repair`). It goes from here, with its pages and
//! chunks, once as many nodes as it is to be kept on, all of them its holders now, have promised to keep it: durably, after their
//! disks had all of it; as an evict rests on promises, and for the same reason. A holder whose name would not keep it any more says
//! so instead. This node's own copy counts for nothing. Nobody relies on the promises once it has gone, so they are given back then.
//!
//! A node that sees fewer members than there are is for that no less a holder (who is gone ranks before nobody), so a partition
//! makes nothing go that is in its place. What must stay wherever it is: a deletion is everybody's; what is of this node's owner
//! goes only by an evict; what was promised to another node, until that relies on it no more (`collect`).
//!
//! One batch after the other is gathered by a walk over all that lies out of place, and goes after a while: so what a write has just
//! counted does not go before it is acknowledged. Nothing of this is remembered across a restart, but promises, which lapse when
//! they are in somebody's way.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::disk::DiskOp;
use crate::frame::{Frame, PromiseOutcome};
use crate::ids::{NodeId, OwnerId, RecordId};
use crate::node::collect::{self, RemoveOutcome, Why};
use crate::node::context::Context;
use crate::node::gauges::Gauge;
use crate::node::pending::{Completion, Pending};
use crate::node::signal::{Answer, AskClient};
use crate::node::timers::Timer;
use crate::node::{answers, asks, cluster, neighbours, schema, sync};
use crate::placement::Group;
use crate::reconcile::bucket_of;
use crate::record::{RecordBody, SignedRecord};
use crate::time::Monotonic;
use crate::{buggify, planted, sometimes};

/// Records of a batch: what they take of memory is some 300 bytes each.
const BATCH_MAX: usize = 1_024;

/// Rows read at a time.
const ROWS: u32 = 256;

/// Places looked at in a row: more than the 256 that a group may have.
const PLACES_MAX: usize = 4_096;

/// Records that are about to go at once: few, because each makes its holders look at all of it.
const ACTIVE_MAX: usize = 4;

/// Records whose holders took too long, and still owe an answer. While there are so many, no more are asked about.
const LATE_MAX: usize = 64;

/// A holder that has refused so many times in a walk is asked no more in it. The next begins where the first was left out.
const REFUSALS_MAX: u32 = 16;

/// The pause between two records that go, and between two steps of the walk.
const PAUSE: Duration = Duration::from_millis(20);

/// Operations of its own that may be under way: the walk's, and those of removals.
pub(crate) const OPERATIONS_MAX: u64 = 1 + ACTIVE_MAX as u64;

/// A record that is to go.
#[derive(Debug)]
struct Leaving {
    record: SignedRecord,
    /// Holders that have not answered, that hold it, and that have promised to keep it.
    waiting: BTreeSet<NodeId>,
    confirmed: BTreeSet<NodeId>,
    promised: BTreeSet<NodeId>,
    since: Monotonic,
    /// It does not go now: what is still answered is only given back.
    is_over: bool,
}

/// What is being done.
#[derive(Debug, Default)]
enum Phase {
    /// The walk begins when the timer is due, or goes on at this group.
    #[default]
    Resting,
    /// A group is being read, of the first of these owners.
    Reading(Group, VecDeque<OwnerId>),
    /// A batch waits until it may go, or goes.
    Going,
}

/// What is known of what lies out of place.
#[derive(Debug, Default)]
pub(crate) struct Rebalance {
    phase: Phase,
    /// Where the walk begins or goes on; `None` for the first group, and at the end.
    from: Option<Group>,
    batch: VecDeque<SignedRecord>,
    leaving: BTreeMap<RecordId, Leaving>,
    /// How often holders have refused in this walk, and the first group that was left out because of that.
    refusals: BTreeMap<NodeId, u32>,
    skipped: Option<Group>,
}

impl Rebalance {
    fn active(&self) -> usize {
        self.leaving.values().filter(|leaving| !leaving.is_over).count()
    }
}

/// What of its limits is used.
pub(crate) fn gauges(cx: &Context) -> [Gauge; 3] {
    let active = cx.rebalance.active();
    [
        ("records that wait to go", cx.rebalance.batch.len() as u64, BATCH_MAX as u64),
        ("records about to go", active as u64, ACTIVE_MAX as u64),
        ("records that did not go in time", (cx.rebalance.leaving.len() - active) as u64, LATE_MAX as u64),
    ]
}

/// How many records lie out of place here. `None` while it is not known what is here.
pub(crate) fn out_of_place(cx: &mut Context) -> Option<u64> {
    let places: Vec<_> = cx.records.summary()?.groups_from(Group(0)).collect();
    let mut count = 0;
    for (place, sum) in places {
        let is_kept_here = cluster::keeps(cx, place.group, place.replicas);
        count += if is_kept_here { 0 } else { sum.count() };
    }
    Some(count)
}

/// The node has started.
pub(crate) fn start(cx: &mut Context) {
    rest(cx);
}

/// Others may be to hold what is here.
pub(crate) fn on_membership(cx: &mut Context) {
    cx.rebalance.batch.clear();
    if matches!(cx.rebalance.phase, Phase::Resting) {
        cx.rebalance.from = None;
    }
}

/// All has been looked at: again in a while.
fn rest(cx: &mut Context) {
    if planted!(cx.simulation, MovesOnce) && cx.now.mono > Monotonic::default() + cx.config.sync_interval * 2 {
        return;
    }
    cx.rebalance.phase = Phase::Resting;
    cx.rebalance.from = cx.rebalance.skipped.take();
    cx.rebalance.refusals.clear();
    let again = cx.now.mono + cx.jitter(cx.config.sync_interval);
    cx.timers.set(Timer::Rebalance, again);
}

fn go_on_soon(cx: &mut Context) {
    let soon = cx.now.mono + PAUSE;
    cx.timers.set_if_sooner(Timer::Rebalance, soon);
}

/// Time to go on.
pub(crate) fn on_timer(cx: &mut Context) {
    match cx.rebalance.phase {
        Phase::Resting => next_group(cx),
        Phase::Reading(..) => {}
        Phase::Going => pump(cx),
    }
}

/// Looks for the next group of which something lies out of place and may lie where it is to lie.
fn next_group(cx: &mut Context) {
    let first = cx.rebalance.from.unwrap_or(Group(0));
    let Some(summary) = cx.records.summary() else { return rest(cx) };
    let places: Vec<_> = summary.groups_from(first).take(PLACES_MAX).collect();
    let is_last = places.len() < PLACES_MAX;
    let end = places.last().map(|(place, _)| place.group);
    for (place, _) in places.into_iter().filter(|(_, sum)| !sum.is_empty()) {
        if cluster::keeps(cx, place.group, place.replicas) {
            continue;
        }
        let Some(holders) = confirmers(cx, place.group, place.replicas.limit()) else { continue };
        if holders.iter().any(|node| cx.rebalance.refusals.get(node) >= Some(&REFUSALS_MAX)) {
            cx.rebalance.skipped.get_or_insert(place.group);
            continue;
        }
        let Some(summary) = cx.records.summary() else { continue };
        let owners = summary.owners_in(bucket_of(place.group)).filter(|owner| *owner != cx.owner);
        let owners: VecDeque<OwnerId> = owners.collect();
        return read(cx, place.group, owners, None);
    }
    // The last group may have been cut: it is looked at again.
    cx.rebalance.from = end.filter(|_| !is_last);
    if is_last { end_of_walk(cx) } else { go_on_soon(cx) }
}

/// The walk is over, or the batch is full: what was gathered goes in a while.
fn end_of_walk(cx: &mut Context) {
    if cx.rebalance.batch.is_empty() {
        return rest(cx);
    }
    cx.rebalance.phase = Phase::Going;
    let ripe = cx.now.mono + cx.config.request_timeout;
    cx.timers.set(Timer::Rebalance, ripe);
}

fn read(cx: &mut Context, group: Group, owners: VecDeque<OwnerId>, from: Option<Bytes>) {
    let Some(owner) = owners.front().copied() else {
        cx.rebalance.phase = Phase::Resting;
        cx.rebalance.from = group.0.checked_add(1).map(Group);
        return if cx.rebalance.from.is_some() { go_on_soon(cx) } else { end_of_walk(cx) };
    };
    let prefix = schema::group_records(owner, group);
    let from = from.unwrap_or_else(|| prefix.clone());
    let limit = if buggify!(cx.simulation, "rebalance.one-row-a-step", for a run) { 1 } else { ROWS };
    cx.rebalance.phase = Phase::Reading(group, owners);
    cx.disk(DiskOp::Scan { from, to: schema::end_of(&prefix), limit, reverse: false }, Pending::Rebalance);
}

/// Records of a group are read.
pub(crate) fn on_read(cx: &mut Context, completion: Completion) {
    let Phase::Reading(group, mut owners) = core::mem::take(&mut cx.rebalance.phase) else { return };
    let (entries, more) = match completion.entries() {
        Ok(read) => read,
        Err(error) => {
            answers::note_disk_error(cx, &error);
            return end_of_walk(cx);
        }
    };
    let next = entries.last().filter(|_| more).map(|(key, _)| schema::after(key));
    for (_, bytes) in entries {
        let Ok(record) = SignedRecord::decode(bytes) else { continue };
        if may_go_to(cx, &record).is_some() {
            cx.rebalance.batch.push_back(record);
        }
    }
    if cx.rebalance.batch.len() + ROWS as usize > BATCH_MAX {
        // The rest of this group, and what follows, is gathered when these have gone.
        cx.rebalance.from = Some(group);
        return end_of_walk(cx);
    }
    if next.is_none() {
        owners.pop_front();
    }
    read(cx, group, owners, next);
}

/// The holders of a group's records, this node not being one of them, if there are as many as are to be, and each is here to be asked
/// and has been told what it is to have.
fn confirmers(cx: &mut Context, group: Group, replicas: usize) -> Option<Vec<NodeId>> {
    let replicas = if planted!(cx.simulation, MoveCountsItself) { replicas - 1 } else { replicas };
    let holders = cluster::first(cx, group, replicas);
    let may_confirm =
        |node: &NodeId| *node != cx.me && neighbours::can_be_asked(cx, *node) && sync::has_been_told(cx, *node);
    (holders.len() == replicas && holders.iter().all(may_confirm)).then_some(holders)
}

/// Who is to confirm that a record lies where it is to lie, if it is out of place here and may go.
fn may_go_to(cx: &mut Context, record: &SignedRecord) -> Option<Vec<NodeId>> {
    let is_everybodys = record.record.body == RecordBody::Tombstone;
    if record.record.owner == cx.owner || is_everybodys || cluster::part_here(cx, &record.record).is_some() {
        return None;
    }
    confirmers(cx, Group::of(record.record.name_id), record.record.retention.replicas.limit())
}

/// Lets the next records of the batch go.
fn pump(cx: &mut Context) {
    give_up_late(cx);
    while cx.rebalance.active() < ACTIVE_MAX && cx.rebalance.leaving.len() < LATE_MAX {
        let Some(record) = cx.rebalance.batch.pop_front() else { break };
        if cx.rebalance.leaving.contains_key(&record.id) || may_go_to(cx, &record).is_none() {
            continue;
        }
        let leaving = Leaving {
            record: record.clone(),
            waiting: BTreeSet::new(),
            confirmed: BTreeSet::new(),
            promised: BTreeSet::new(),
            since: cx.now.mono,
            is_over: false,
        };
        cx.rebalance.leaving.insert(record.id, leaving);
        collect::remove(cx, record, Why::OutOfPlace);
    }
    if cx.rebalance.active() > 0 {
        let late = cx.now.mono + cx.config.request_timeout;
        return cx.timers.set_if_sooner(Timer::Rebalance, late);
    }
    if cx.rebalance.batch.is_empty() {
        cx.rebalance.phase = Phase::Resting;
    }
    match cx.rebalance.from {
        None if cx.rebalance.batch.is_empty() => rest(cx),
        None | Some(_) => go_on_soon(cx),
    }
}

/// Nobody relies on this node's copy of a record: its holders are asked to confirm that they have theirs.
pub(crate) fn confirm(cx: &mut Context, id: RecordId) {
    let record = cx.rebalance.leaving.get(&id).map(|leaving| leaving.record.clone());
    let Some((record, holders)) = record.and_then(|record| may_go_to(cx, &record).map(|holders| (record, holders)))
    else {
        return collect::give_up(cx, id);
    };
    let Some(leaving) = cx.rebalance.leaving.get_mut(&id) else { return };
    if planted!(cx.simulation, MoveUnasked) {
        leaving.confirmed.extend(holders);
        return collect::confirmed(cx, id);
    }
    leaving.waiting.extend(holders.iter().copied());
    for node in holders {
        let frame = |request| Frame::AskPromise { request, record: record.bytes.clone(), fetch: false };
        asks::ask(cx, AskClient::Move(id), node, frame);
    }
}

/// A holder answered, or did not.
pub(crate) fn on_answered(cx: &mut Context, id: RecordId, node: NodeId, answer: Option<Answer>) {
    let outcome = match answer.map(Answer::promised) {
        Some(Some(outcome)) => outcome,
        Some(None) => {
            asks::on_lie(cx, node);
            PromiseOutcome::Refused
        }
        None => PromiseOutcome::Refused,
    };
    let Some(leaving) = cx.rebalance.leaving.get_mut(&id) else { return };
    leaving.waiting.remove(&node);
    if outcome == PromiseOutcome::Given {
        leaving.promised.insert(node);
    }
    if outcome != PromiseOutcome::Refused || planted!(cx.simulation, MoveCountsRefusals) {
        leaving.confirmed.insert(node);
    }
    let (is_over, refused) = (leaving.is_over, !leaving.confirmed.contains(&node));
    let are_all_in = leaving.waiting.is_empty();
    if is_over {
        give_back(cx, id);
    } else if refused {
        sometimes!(cx.simulation, "rebalance.refused");
        *cx.rebalance.refusals.entry(node).or_default() += 1;
        collect::give_up(cx, id);
    } else if are_all_in {
        collect::confirmed(cx, id);
    }
}

/// Whether a record that was confirmed is still out of place, and its holders are still those who have confirmed it.
pub(crate) fn may_go(cx: &mut Context, record: &SignedRecord) -> bool {
    let Some(holders) = may_go_to(cx, record) else { return false };
    let Some(leaving) = cx.rebalance.leaving.get(&record.id).filter(|leaving| !leaving.is_over) else { return false };
    holders.iter().all(|holder| leaving.confirmed.contains(holder))
}

/// Gives back what was promised about a record that has gone or stays, and forgets it when all have answered.
fn give_back(cx: &mut Context, id: RecordId) {
    let Some(leaving) = cx.rebalance.leaving.get_mut(&id) else { return };
    let record = leaving.record.record;
    let promised = core::mem::take(&mut leaving.promised);
    if leaving.waiting.is_empty() {
        cx.rebalance.leaving.remove(&id);
    }
    for node in promised {
        asks::tell(cx, node, Frame::ReleasePromise { owner: record.owner, name_id: record.name_id, record: id });
    }
}

/// Holders that do not answer are not waited for any longer.
fn give_up_late(cx: &mut Context) {
    let now = cx.now.mono;
    let longest = cx.config.request_timeout;
    let is_late = |leaving: &Leaving| !leaving.is_over && !leaving.waiting.is_empty() && now - leaving.since >= longest;
    let late = cx.rebalance.leaving.iter().filter(|(_, leaving)| is_late(leaving)).map(|(id, _)| *id);
    for id in late.collect::<Vec<_>>() {
        collect::give_up(cx, id);
    }
}

/// A record has gone, or stays for now.
pub(crate) fn on_removed(cx: &mut Context, record: &SignedRecord, outcome: RemoveOutcome) {
    match outcome {
        RemoveOutcome::Removed => sometimes!(cx.simulation, "rebalance.moved"),
        RemoveOutcome::Promised(nodes) => {
            for node in nodes {
                collect::ask_whether_relied_on(cx, record, node);
            }
        }
        RemoveOutcome::Busy | RemoveOutcome::Owed | RemoveOutcome::Unconfirmed | RemoveOutcome::Failed => {}
    }
    if let Some(leaving) = cx.rebalance.leaving.get_mut(&record.id) {
        leaving.is_over = true;
        give_back(cx, record.id);
    }
    // The collector may have met it meanwhile, and left it.
    collect::look_at(cx, record.record.owner, record.record.name_id);
    if matches!(cx.rebalance.phase, Phase::Going) {
        go_on_soon(cx);
    }
}
