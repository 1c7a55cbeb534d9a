//! Anti-entropy: with one peer after the other (`turn`) this node compares the records that both should have, fetches what it lacks and
//! tells the peer what that lacks.
//!
//! Two sets are compared at once: the *shared* one, of the records of any owner that placement gives to both; and the *own* one, of
//! the records of this node's owner that the peer should have, all of them if it is a device of the same owner. Equal sets cost a
//! small frame each way; of others, the digests of 256 buckets are compared, then the items of those that differ. Of a third set
//! the peer is only told: of what is *astray* here, since it is to be there and not here. What has been said about a bucket is not
//! said again as long as it stays as it was at both ends.
//!
//! Each node judges by its own view of who the members are: it fetches only what it is to hold by that, whatever it is told, so nodes
//! whose views differ bring each other nothing that the other would give away again. A comparison is one message after the other, each
//! with its answer; who answers remembers nothing.

mod exchange;
mod hand_over;
mod reads;
mod scope;
mod serve;
mod turn;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use crate::frame::{CompareOutcome, Frame, SetRange, SyncOutcome};
use crate::ids::NodeId;
use crate::node::cluster::Reach;
use crate::node::context::Context;
use crate::node::gauges::Gauge;
use crate::node::pending::Completion;
use crate::node::signal::{Answer, AskClient};
use crate::node::timers::Timer;
use crate::node::{asks, cluster, neighbours, repair};
use crate::reconcile::{Asker, BUCKETS, Digest, Item, Sum};
use crate::record::SignedRecord;
use crate::{buggify, planted, sometimes};
use reads::{ReadClient, Reads};
use scope::{Ranges, Scope, Selection, Sums};
use serve::Serving;
use turn::{Turns, schedule};

pub(crate) use exchange::tell_holders;
pub(crate) use hand_over::{begin_to_hand_over, on_too_few, to_hand_over};
pub(crate) use serve::{on_compare, on_find_items, on_sync, on_tell};
pub(crate) use turn::{mark, on_membership, start};

/// Into how many parts the buckets of one comparison are cut at most: enough for a hundred million records.
const SPLITS_MAX: u32 = 16_384;

/// How often it is looked whether there is room for more to repair.
const ROOM: Duration = Duration::from_millis(500);

/// What is waited for.
#[derive(Debug)]
pub(crate) enum SyncStep {
    /// Rows of the index.
    Read(u64),
    /// Records that the peer gave, in a comparison of this number.
    Verify(u64, NodeId),
    /// Which of the records that a peer told of are here.
    Looked(serve::Tale, Vec<SignedRecord>),
    /// Those that are not.
    Told(serve::Tale),
}

/// A part of a set that is dealt with.
#[derive(Clone, Copy, Debug)]
struct Task {
    scope: Scope,
    bucket: u8,
    /// The first item that belongs to it, and the first that does not any more.
    from: Item,
    to: Option<Item>,
}

/// A comparison that this node asks for.
#[derive(Debug)]
struct Asking {
    id: u64,
    node: NodeId,
    /// This node's sums, until the peer has told its own.
    mine: BTreeMap<Scope, Sums>,
    /// What was found of each bucket that is dealt with: the digests of both nodes.
    differing: BTreeMap<Part, (Digest, Digest)>,
    tasks: VecDeque<Task>,
    task: Option<Task>,
    /// What the peer is to read of that part.
    range: Option<SetRange>,
    splits: u32,
    comparison: Option<Asker>,
    /// Items that only this node has, and those that only the peer has, as far as not dealt with.
    here: VecDeque<Item>,
    there: VecDeque<Item>,
    /// How many records the peer was told of and lacks.
    lacking: u64,
    /// It waits until there is room for more to repair.
    waits: bool,
}

/// A bucket of one of the sets.
type Part = (Scope, u8);

/// What is under way.
#[derive(Debug, Default)]
pub(crate) struct Sync {
    turns: Turns,
    asking: Option<Asking>,
    /// Buckets that differ although all has been said about them, as long as they stay as they were: a peer may have more of an
    /// owner's records than it should, and what it is to have may not be had.
    settled: BTreeMap<NodeId, BTreeMap<Part, (Digest, Digest)>>,
    /// Of peers with which a comparison was completed since they last came to share other records with this node: how many records
    /// they lacked then of those that they are to have and this node has.
    lacking: BTreeMap<NodeId, u64>,
    reads: Reads,
    serving: Serving,
}

/// Operations that may be under way: reads of the own comparison and of those that are served, and verifications.
pub(crate) const OPERATIONS_MAX: u64 = 2 + serve::COMPARED_MAX as u64 + 1;

/// What of its limits is used.
pub(crate) fn gauges(cx: &Context) -> [Gauge; 3] {
    [
        ("comparisons served", cx.sync.serving.compared() as u64, serve::COMPARED_MAX as u64),
        ("comparisons that wait", cx.sync.serving.comparing() as u64, serve::WAITING_MAX as u64),
        ("questions for items that wait", cx.sync.serving.waiting() as u64, serve::WAITING_MAX as u64),
    ]
}

/// A peer can be talked to. One that was merely connected to once more is compared with in its turn.
pub(crate) fn on_peer_ready(cx: &mut Context, node: NodeId) {
    if cx.links.is_news(node) {
        on_peer_back(cx, node);
        repair::try_all_again(cx);
        mark(cx, node);
    }
}

/// What a peer was told it may have forgotten.
fn on_peer_back(cx: &mut Context, node: NodeId) {
    cx.sync.turns.is_back(node);
    cx.sync.settled.remove(&node);
    cx.sync.lacking.remove(&node);
}

/// A peer can no longer be talked to over a link. One that can be connected to again is as good as linked.
pub(crate) fn on_peer_gone(cx: &mut Context, node: NodeId) {
    if !neighbours::is_on_demand(cx, node) {
        cx.sync.turns.forget(node);
        on_peer_back(cx, node);
    }
}

/// A peer has what could not be had from it now: it is compared with again, not at once, and what is being said meanwhile is said
/// again then, too.
pub(crate) fn mark_later(cx: &mut Context, node: NodeId) {
    cx.sync.settled.remove(&node);
    if let Some(asking) = cx.sync.asking.as_mut().filter(|asking| asking.node == node) {
        asking.differing.clear();
    }
    turn::again(cx, node);
}

/// Whether a peer has been told of all that it is to have and this node has, since they last came to share other records.
pub(crate) fn has_been_told(cx: &Context, node: NodeId) -> bool {
    cx.sync.lacking.contains_key(&node)
}

/// Time for the next comparison, or to go on with one.
pub(crate) fn on_timer(cx: &mut Context) {
    if let Some(asking) = &mut cx.sync.asking {
        if core::mem::take(&mut asking.waits) {
            exchange::go_on(cx);
        }
        return;
    }
    turn::note_changes(cx);
    let Some(node) = turn::next(cx) else { return schedule(cx) };
    cx.sync.turns.begin(node);
    if neighbours::is_on_demand(cx, node) {
        // The question makes a link.
        return begin(cx, node);
    }
    match cluster::reach(cx, node) {
        Reach::Linked => begin(cx, node),
        // It is compared with when it has come.
        Reach::Coming | Reach::Away => schedule(cx),
    }
}

fn begin(cx: &mut Context, node: NodeId) {
    let shared = scope::sums(cx, Selection::Shared(node));
    let own = scope::sums(cx, Selection::OwnAt(node));
    let astray = scope::sums(cx, Selection::Astray(node));
    let id = cx.number();
    let (shared_root, own_root, owner) = (shared.root(), own.root(), cx.owner);
    let mine = [(Scope::Shared, shared), (Scope::Own, own), (Scope::Astray, astray)];
    cx.sync.asking = Some(Asking {
        id,
        node,
        mine: mine.into(),
        differing: BTreeMap::new(),
        tasks: VecDeque::new(),
        task: None,
        range: None,
        splits: 0,
        comparison: None,
        here: VecDeque::new(),
        there: VecDeque::new(),
        lacking: 0,
        waits: false,
    });
    let frame = |request| Frame::Sync { request, shared: shared_root, owner, own: own_root };
    asks::ask(cx, AskClient::Sync(id), node, frame);
}

/// The comparison is over; if it was cut short, it is begun anew.
fn finish(cx: &mut Context, complete: bool) {
    let Some(Asking { node, lacking, .. }) = cx.sync.asking.take() else { return };
    if complete {
        cx.sync.lacking.insert(node, lacking);
    } else {
        sometimes!(cx.simulation, "sync.cut-short");
        cx.sync.settled.remove(&node);
        turn::again(cx, node);
    }
    schedule(cx);
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
        Some(Answer::Told(lacking)) => exchange::on_told(cx, id, lacking),
        Some(Answer::Records { .. } | Answer::Announced(_) | Answer::Promised(_) | Answer::Members { .. }) => {
            finish(cx, false);
            asks::on_lie(cx, node);
        }
        None => finish(cx, false),
    }
}

fn on_synced(cx: &mut Context, id: u64, outcome: SyncOutcome) {
    let (shared, own) = match outcome {
        SyncOutcome::Same => (Vec::new(), Vec::new()),
        SyncOutcome::Busy => return finish(cx, false),
        SyncOutcome::Filling { left } => {
            let Some(node) = asking(cx, id).map(|asking| asking.node) else { return };
            finish(cx, false);
            cx.sync.lacking.insert(node, left.max(1));
            return;
        }
        SyncOutcome::Differ { shared, own } => (shared, own),
    };
    let is_sane = |digests: &Vec<Digest>| digests.is_empty() || digests.len() == BUCKETS;
    let Some(asking) = asking(cx, id) else { return };
    if !is_sane(&shared) || !is_sane(&own) {
        let node = asking.node;
        finish(cx, false);
        return asks::on_lie(cx, node);
    }
    let mut mine = core::mem::take(&mut asking.mine);
    let mut plan_of = |scope, theirs: &[Digest]| {
        if let Some(mine) = mine.remove(&scope).filter(|_| !theirs.is_empty()) {
            plan(cx, scope, &mine.digests(), theirs);
        }
    };
    plan_of(Scope::Shared, &shared);
    plan_of(Scope::Own, &own);
    plan_of(Scope::Astray, &[Sum::default().digest(); BUCKETS]);
    next_task(cx);
}

/// Notes the buckets of a set that are to be dealt with: those that differ, and about which not all has been said.
fn plan(cx: &mut Context, scope: Scope, mine: &[Digest], theirs: &[Digest]) {
    if scope == Scope::Astray && planted!(cx.simulation, AstrayForgotten) {
        return;
    }
    let buckets = if planted!(cx.simulation, SyncSkipsBuckets) { BUCKETS / 2 } else { BUCKETS };
    let Some(asking) = &mut cx.sync.asking else { return };
    let settled = cx.sync.settled.get(&asking.node);
    let pairs = (0..=u8::MAX).zip(mine.iter().copied().zip(theirs.iter().copied())).take(buckets);
    for (bucket, pair) in pairs.filter(|(_, (mine, theirs))| mine != theirs) {
        let part = (scope, bucket);
        if settled.and_then(|settled| settled.get(&part)) != Some(&pair) {
            asking.differing.insert(part, pair);
            asking.tasks.push_back(Task { scope, bucket, from: Item::FIRST, to: None });
        }
    }
}

/// Goes on with the next part; ends after the last.
fn next_task(cx: &mut Context) {
    let Some(asking) = &mut cx.sync.asking else { return };
    let next = asking.tasks.pop_front();
    let part = |task: Task| (task.scope, task.bucket);
    if let Some(done) = asking.task.take().map(part).filter(|done| next.map(part) != Some(*done))
        && let Some(pair) = asking.differing.remove(&done)
    {
        // All has been said about it.
        cx.sync.settled.entry(asking.node).or_default().insert(done, pair);
    }
    let Some(task) = next else { return finish(cx, true) };
    asking.task = Some(task);
    asking.comparison = None;
    let (id, node) = (asking.id, asking.node);
    let Ranges { mine, theirs } = scope::range(cx, node, task);
    if let Some(asking) = &mut cx.sync.asking {
        asking.range = Some(theirs);
    }
    reads::items(cx, ReadClient::Ask(id), mine);
}

/// Something of the part that is dealt with is on its way, and may not arrive: it is looked at again the next time.
fn is_open(cx: &mut Context) {
    if let Some(Asking { task: Some(task), differing, .. }) = &mut cx.sync.asking {
        differing.remove(&(task.scope, task.bucket));
    }
}

/// A part has too many items for one comparison: it is cut in two. False if it cannot be cut there.
fn split(cx: &mut Context, at: Item) -> bool {
    let Some(Asking { tasks, task, splits, .. }) = &mut cx.sync.asking else { return true };
    let Some(whole) = *task else { return true };
    let is_within = whole.from < at && whole.to.is_none_or(|to| at < to);
    if !is_within || *splits >= SPLITS_MAX {
        return false;
    }
    *splits += 1;
    tasks.push_front(Task { from: at, ..whole });
    tasks.push_front(Task { to: Some(at), ..whole });
    next_task(cx);
    true
}

/// The items of this node are read.
fn on_items(cx: &mut Context, id: u64, items: Result<Vec<Item>, reads::Failed>) {
    let Some(asking) = asking(cx, id) else { return };
    match items {
        Ok(items) if asking.task.is_some_and(|task| task.scope == Scope::Astray) => {
            asking.here.extend(items);
            exchange::go_on(cx);
        }
        Ok(items) => {
            let (comparison, message) = Asker::begin(items.into_iter().collect());
            asking.comparison = Some(comparison);
            compare(cx, message);
        }
        Err(reads::Failed::TooMany(middle)) if split(cx, middle) => {}
        Err(reads::Failed::TooMany(_) | reads::Failed::Disk) => finish(cx, false),
    }
}

fn compare(cx: &mut Context, message: Vec<u8>) {
    let Some(Asking { id, node, range: Some(range), .. }) = &cx.sync.asking else { return };
    let (id, node, range) = (*id, *node, range.clone());
    asks::ask(cx, AskClient::Sync(id), node, |request| Frame::Compare { request, range, message: message.into() });
}

fn on_compared(cx: &mut Context, id: u64, outcome: CompareOutcome) {
    let Some(node) = asking(cx, id).map(|asking| asking.node) else { return };
    let answer = match outcome {
        CompareOutcome::Answer(answer) => answer,
        CompareOutcome::Busy => return finish(cx, false),
        CompareOutcome::TooMany(middle) if split(cx, middle) => return,
        CompareOutcome::TooMany(_) => {
            finish(cx, false);
            return asks::on_lie(cx, node);
        }
    };
    let Some(asking) = asking(cx, id) else { return };
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
        SyncStep::Looked(tale, records) => serve::on_told_looked(cx, tale, records, completion.values()),
        SyncStep::Told(tale) => serve::on_told_verified(cx, tale, completion.work()),
    }
}

/// There is room for more to repair, or will be: looks again in a while.
fn wait_for_room(cx: &mut Context) -> bool {
    if repair::has_room(cx) && !buggify!(cx.simulation, "sync.no-room") {
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
