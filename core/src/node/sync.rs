//! Anti-entropy: with one peer after the other this node compares the records that both should have, fetches what it lacks and
//! tells the peer what that lacks.
//!
//! Two sets are compared at once: the *shared* one, of the records of any owner that placement gives to both; and the *own* one, of
//! the records of this node's owner that the peer should have, all of them if it is a device of the same owner. Equal sets cost a
//! small frame each way; of others, the digests of 256 buckets are compared, then the items of those that differ.
//!
//! Each node judges by its own view of who the members are: it fetches only what it is to hold by that, whatever it is told, so nodes
//! whose views differ bring each other nothing that the other would give away again. A comparison is one message after the other, each
//! with its answer; who answers remembers nothing.

mod exchange;
mod reads;
mod scope;
mod serve;

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use crate::frame::{CompareOutcome, Frame, SyncOutcome};
use crate::ids::NodeId;
use crate::node::cluster::Reach;
use crate::node::context::Context;
use crate::node::gauges::Gauge;
use crate::node::pending::Completion;
use crate::node::signal::{Answer, AskClient};
use crate::node::timers::Timer;
use crate::node::{asks, cluster, repair};
use crate::placement::Group;
use crate::reconcile::{Asker, BUCKETS, Digest, Item, Items};
use crate::{planted, sometimes};
use reads::{ReadClient, Reads};
use scope::{Scope, Selection};
use serve::Serving;

pub(crate) use exchange::tell_holders;
pub(crate) use serve::{on_compare, on_find_items, on_sync, on_tell};

/// The longest wait before a peer that has just come, or that may have to hold other records than before, is compared with. Nodes do
/// not wait equally long, so that they do not all ask one.
const SOON: Duration = Duration::from_millis(500);

/// How often it is looked whether there is room for more to repair.
const ROOM: Duration = Duration::from_millis(500);

/// What is waited for.
#[derive(Debug)]
pub(crate) enum SyncStep {
    /// Rows of the index.
    Read(u64),
    /// Records that the peer gave, in a comparison of this number.
    Verify(u64, NodeId),
    /// Records that a peer told of.
    Told(serve::Tale),
}

/// A part of the sets to be compared.
#[derive(Clone, Copy, Debug)]
struct Task {
    scope: Scope,
    first: Group,
    last: Group,
}

/// A comparison that this node asks for.
#[derive(Debug)]
struct Asking {
    id: u64,
    node: NodeId,
    /// The digests of this node's buckets: of the shared set and of the own one.
    shared: Vec<Digest>,
    own: Vec<Digest>,
    tasks: VecDeque<Task>,
    task: Option<Task>,
    comparison: Option<Asker>,
    /// Items that only this node has, and those that only the peer has, as far as not dealt with.
    here: VecDeque<Item>,
    there: VecDeque<Item>,
    /// It waits until there is room for more to repair.
    waits: bool,
}

/// What is under way.
#[derive(Debug, Default)]
pub(crate) struct Sync {
    /// Peers to compare with soon.
    dirty: BTreeSet<NodeId>,
    /// The peer whose turn came last.
    last: Option<NodeId>,
    asking: Option<Asking>,
    reads: Reads,
    serving: Serving,
}

/// Operations that may be under way: reads of the own comparison and of those that are served, and verifications.
pub(crate) const OPERATIONS_MAX: u64 = 2 + serve::COMPARED_MAX as u64 + 1;

/// What of its limits is used.
pub(crate) fn gauges(cx: &Context) -> [Gauge; 2] {
    [
        ("comparisons served", cx.sync.serving.compared() as u64, serve::COMPARED_MAX as u64),
        ("questions for items that wait", cx.sync.serving.waiting() as u64, serve::WAITING_MAX as u64),
    ]
}

/// A peer can be talked to.
pub(crate) fn on_peer_ready(cx: &mut Context, node: NodeId) {
    mark(cx, node);
}

/// A peer can no longer be talked to.
pub(crate) fn on_peer_gone(cx: &mut Context, node: NodeId) {
    cx.sync.dirty.remove(&node);
}

/// Who holds what may have changed.
pub(crate) fn on_membership(cx: &mut Context) {
    for node in cx.links.ready_nodes() {
        mark(cx, node);
    }
}

/// A peer is to be compared with soon.
pub(crate) fn mark(cx: &mut Context, node: NodeId) {
    cx.sync.dirty.insert(node);
    schedule(cx);
}

/// A peer is to be compared with again, not at once.
pub(crate) fn mark_later(cx: &mut Context, node: NodeId) {
    if cx.sync.asking.is_none() && cx.timers.deadline(&Timer::Sync).is_none() {
        schedule(cx);
    }
    if cx.links.of(node).is_some() {
        cx.sync.dirty.insert(node);
    }
}

/// Sets the time of the next comparison.
fn schedule(cx: &mut Context) {
    if cx.sync.asking.is_some() {
        return;
    }
    let interval = cx.config.sync_interval;
    let wait = if cx.sync.dirty.is_empty() { interval } else { SOON.min(interval) };
    let due = cx.now.mono + cx.jitter(wait);
    cx.timers.set_if_sooner(Timer::Sync, due);
}

/// Time for the next comparison, or to go on with one.
pub(crate) fn on_timer(cx: &mut Context) {
    if let Some(asking) = &mut cx.sync.asking {
        if core::mem::take(&mut asking.waits) {
            exchange::go_on(cx);
        }
        return;
    }
    let Some(node) = next_partner(cx).filter(|_| cx.records.summary().is_some()) else { return schedule(cx) };
    cx.sync.last = Some(node);
    // What marks it from now on is about a later comparison.
    cx.sync.dirty.remove(&node);
    match cluster::reach(cx, node) {
        Reach::Linked => start(cx, node),
        // It is compared with when it has come.
        Reach::Coming | Reach::Away => schedule(cx),
    }
}

/// The next peer that is to be compared with soon; else the next in turn.
fn next_partner(cx: &Context) -> Option<NodeId> {
    let members: BTreeSet<NodeId> = cx.service.members().keys().copied().filter(|node| *node != cx.me).collect();
    let after = |nodes: &BTreeSet<NodeId>| {
        let later = cx.sync.last.and_then(|last| nodes.range(last..).find(|node| **node != last).copied());
        later.or_else(|| nodes.first().copied())
    };
    let linked = |node: &&NodeId| cx.links.of(**node).is_some();
    let dirty: BTreeSet<NodeId> = cx.sync.dirty.iter().filter(linked).copied().collect();
    after(&dirty).or_else(|| after(&members))
}

fn start(cx: &mut Context, node: NodeId) {
    let shared = scope::sums(cx, Selection::Shared(node));
    let own = scope::sums(cx, Selection::OwnAt(node));
    let id = cx.number();
    let (shared_root, own_root, owner) = (shared.root(), own.root(), cx.owner);
    cx.sync.asking = Some(Asking {
        id,
        node,
        shared: shared.digests(),
        own: own.digests(),
        tasks: VecDeque::new(),
        task: None,
        comparison: None,
        here: VecDeque::new(),
        there: VecDeque::new(),
        waits: false,
    });
    let frame = |request| Frame::Sync { request, shared: shared_root, owner, own: own_root };
    asks::ask(cx, AskClient::Sync(id), node, frame);
}

/// The comparison is over; if it was cut short, it is begun anew after a while.
fn finish(cx: &mut Context, complete: bool) {
    let Some(Asking { node, .. }) = cx.sync.asking.take() else { return };
    schedule(cx);
    if !complete {
        sometimes!(cx.simulation, "sync.cut-short");
        // The others come first: it is busy, or has just gone.
        mark_later(cx, node);
    }
}

/// The comparison of a number, if it still goes on.
fn asking(cx: &mut Context, id: u64) -> Option<&mut Asking> {
    cx.sync.asking.as_mut().filter(|asking| asking.id == id)
}

/// The peer answered, or did not.
pub(crate) fn on_answered(cx: &mut Context, id: u64, node: NodeId, answer: Option<Answer>) {
    if asking(cx, id).is_none() {
        return;
    }
    match answer {
        Some(Answer::Synced(outcome)) => on_synced(cx, id, outcome),
        Some(Answer::Compared(outcome)) => on_compared(cx, id, outcome),
        Some(Answer::Found(records)) => exchange::on_found(cx, id, records),
        Some(Answer::Told(taken)) => exchange::on_told(cx, id, taken),
        Some(Answer::Records { .. } | Answer::Announced(_) | Answer::Promised(_) | Answer::Members { .. }) => {
            finish(cx, false);
            asks::on_lie(cx, node);
        }
        None => finish(cx, false),
    }
}

fn on_synced(cx: &mut Context, id: u64, outcome: SyncOutcome) {
    let (shared, own) = match outcome {
        SyncOutcome::Same => return finish(cx, true),
        SyncOutcome::Busy => return finish(cx, false),
        SyncOutcome::Differ { shared, own } => (shared, own),
    };
    let is_sane = |digests: &Vec<Digest>| digests.is_empty() || digests.len() == BUCKETS;
    let buckets = if planted!(cx.simulation, SyncSkipsLastBucket) { BUCKETS - 1 } else { BUCKETS };
    let Some(asking) = asking(cx, id) else { return };
    if !is_sane(&shared) || !is_sane(&own) {
        let node = asking.node;
        finish(cx, false);
        return asks::on_lie(cx, node);
    }
    for (scope, mine, theirs) in [(Scope::Shared, &asking.shared, shared), (Scope::Own, &asking.own, own)] {
        let pairs = (0..u16::MAX).zip(mine.iter().zip(&theirs)).take(buckets);
        for (bucket, _) in pairs.filter(|(_, (mine, theirs))| mine != theirs) {
            let first = bucket << 8;
            asking.tasks.push_back(Task { scope, first: Group(first), last: Group(first | 0xff) });
        }
    }
    next_task(cx);
}

/// Goes on with the next part; ends after the last.
fn next_task(cx: &mut Context) {
    let Some(asking) = &mut cx.sync.asking else { return };
    let Some(task) = asking.tasks.pop_front() else { return finish(cx, true) };
    asking.task = Some(task);
    let (id, node) = (asking.id, asking.node);
    let range = scope::range(cx, node, task.scope, task.first, task.last);
    reads::items(cx, ReadClient::Ask(id), range.mine);
}

/// A part has too many items for one comparison: it is halved. One group with so many is somebody's doing, and is left out.
fn halve(cx: &mut Context) {
    let Some(asking) = &mut cx.sync.asking else { return };
    let Some(Task { scope, first, last }) = asking.task.take() else { return };
    asking.comparison = None;
    if first < last {
        let middle = first.0 + (last.0 - first.0) / 2;
        asking.tasks.push_front(Task { scope, first: Group(middle + 1), last });
        asking.tasks.push_front(Task { scope, first, last: Group(middle) });
    }
    next_task(cx);
}

/// The items of this node are read.
fn on_items(cx: &mut Context, id: u64, items: Result<Items, reads::Failed>) {
    let Some(asking) = asking(cx, id) else { return };
    match items {
        Ok(items) => {
            let (comparison, message) = Asker::begin(items);
            asking.comparison = Some(comparison);
            compare(cx, message);
        }
        Err(reads::Failed::TooMany) => halve(cx),
        Err(reads::Failed::Disk) => finish(cx, false),
    }
}

fn compare(cx: &mut Context, message: Vec<u8>) {
    let Some(Asking { id, node, task: Some(task), .. }) = &cx.sync.asking else { return };
    let (id, node, task) = (*id, *node, *task);
    let range = scope::range(cx, node, task.scope, task.first, task.last).theirs;
    asks::ask(cx, AskClient::Sync(id), node, |request| Frame::Compare { request, range, message: message.into() });
}

fn on_compared(cx: &mut Context, id: u64, outcome: CompareOutcome) {
    let answer = match outcome {
        CompareOutcome::Answer(answer) => answer,
        CompareOutcome::TooMany => return halve(cx),
        CompareOutcome::Busy => return finish(cx, false),
    };
    let Some(asking) = asking(cx, id) else { return };
    let node = asking.node;
    let Some(found) = asking.comparison.as_mut().map(|comparison| comparison.on_answer(&answer)) else { return };
    match found {
        Ok(found) => {
            asking.here.extend(found.here);
            asking.there.extend(found.there);
            match found.next {
                Some(next) => compare(cx, next),
                None => exchange::go_on(cx),
            }
        }
        Err(_) => {
            finish(cx, false);
            asks::on_lie(cx, node);
        }
    }
}

/// An operation is complete.
pub(crate) fn on_completion(cx: &mut Context, step: SyncStep, completion: Completion) {
    match step {
        SyncStep::Read(id) => reads::on_read(cx, id, completion.entries()),
        SyncStep::Verify(id, node) => exchange::on_verified(cx, id, node, completion.work()),
        SyncStep::Told(tale) => serve::on_told_verified(cx, tale, completion.work()),
    }
}

/// There is room for more to repair, or will be: looks again in a while.
fn wait_for_room(cx: &mut Context) -> bool {
    if repair::has_room(cx) {
        return false;
    }
    sometimes!(cx.simulation, "sync.waits-for-repair");
    if let Some(asking) = &mut cx.sync.asking {
        asking.waits = true;
    }
    let look = cx.now.mono + ROOM;
    cx.timers.set(Timer::Sync, look);
    true
}
