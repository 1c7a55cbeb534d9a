//! Whose turn it is to be compared with.
//!
//! What differs between two nodes that have compared all they share is what has changed at one of them since, and that one knows: so
//! a node compares with those that share a place where its own records have changed, a while after, when the others should have them,
//! too. When members come or go it compares with those with which it shares something else than before. Neither depends on how many
//! members there are. Besides, it goes through all that share something with it, one an interval, in case something was missed.
//! So what a node at rest sends does not grow with the cluster, nor does the time in which a difference is found.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use crate::ids::NodeId;
use crate::node::context::Context;
use crate::node::summary::Place;
use crate::node::timers::Timer;
use crate::node::{cluster, neighbours, repair};
use crate::time::Monotonic;

/// The longest wait before a peer that has just come, or that may have to hold other records than before, is compared with. Nodes do
/// not wait equally long, so that they do not all ask one.
const SOON: Duration = Duration::from_millis(500);

/// The shortest pause between two comparisons.
const PAUSE: Duration = Duration::from_millis(10);

/// How many peers, at least, are compared with in an interval because of changes, if so many are to be.
const CHANGED_A_ROUND: u32 = 8;

/// With how many peers a node compares because of a change in a place that it shares with many. They do the same, so all have heard of
/// it after a few rounds.
const SHARERS_MAX: usize = 4;

/// The first and the longest wait before a peer is compared with again with which a comparison came to nothing, or that has what could
/// not be had from it; each is twice the last, and none is longer than the interval.
const AGAIN: (Duration, Duration) = (SOON, Duration::from_secs(60));

/// Every so many turns one goes to any member, whether or not it seems to share something.
const TURNS_TO_ANYBODY: u64 = 4;

/// A wait before a peer is compared with again.
#[derive(Clone, Copy, Debug)]
struct Wait {
    wait: Duration,
    until: Monotonic,
}

/// With whom to compare, and when.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Peers to compare with soon, and those of them that are being gone through.
    soon: BTreeSet<NodeId>,
    round: BTreeSet<NodeId>,
    /// Peers that share something that has changed here, and from when on to compare with each.
    changed: BTreeMap<NodeId, Monotonic>,
    /// Peers to compare with again, and from when on; and whether the last turn was that of one of them.
    later: BTreeMap<NodeId, Monotonic>,
    was_again: bool,
    /// How long such peers were waited for last, and until when.
    waits: BTreeMap<NodeId, Wait>,
    /// When the next turn is that follows from nothing.
    due: Monotonic,
    /// The peer whose turn came last, and the last of those turns that go to anybody.
    last: Option<NodeId>,
    last_of_all: Option<NodeId>,
    /// Peers that told of what this node is not to hold, as it sees the cluster: they may have heard before it who has gone.
    ahead: BTreeSet<NodeId>,
    /// How many turns there have been that follow from nothing.
    count: u64,
}

impl Turns {
    /// A peer is being compared with: what marks it from now on is about a later comparison.
    pub(super) fn begin(&mut self, node: NodeId) {
        self.last = Some(node);
        self.forget(node);
    }

    /// A peer is not to be compared with.
    pub(super) fn forget(&mut self, node: NodeId) {
        self.soon.remove(&node);
        self.round.remove(&node);
        self.changed.remove(&node);
        self.later.remove(&node);
    }

    /// A peer has come: what could not be had from it before says nothing about it any more.
    pub(super) fn is_back(&mut self, node: NodeId) {
        self.waits.remove(&node);
    }

    /// A peer told of something that this node is not to hold.
    pub(super) fn is_ahead(&mut self, node: NodeId) {
        self.ahead.insert(node);
    }
}

/// The node starts.
pub(crate) fn start(cx: &mut Context) {
    cx.sync.turns.due = cx.now.mono + cx.jitter(cx.config.sync_interval);
}

/// A peer is to be compared with soon.
pub(crate) fn mark(cx: &mut Context, node: NodeId) {
    cx.sync.turns.soon.insert(node);
    schedule(cx);
}

/// A peer is to be compared with again, after a wait: what it has could not be had, or the comparison came to nothing, since it is busy,
/// has just gone, or a disk failed. The first wait is short, since two nodes that connect to each other at the same time lose one of
/// the links; each that follows soon after another is twice as long.
pub(super) fn again(cx: &mut Context, node: NodeId) {
    if !cx.sync.turns.later.contains_key(&node) {
        let (first, longest) = AGAIN;
        let (now, longest) = (cx.now.mono, longest.min(cx.config.sync_interval));
        let is_recent = |last: &&Wait| now < last.until + last.wait * 2;
        let last = cx.sync.turns.waits.get(&node).filter(is_recent);
        let wait = last.map_or(first, |last| last.wait * 2).min(longest);
        let until = now + cx.jitter(wait);
        cx.sync.turns.later.insert(node, until);
        cx.sync.turns.waits.insert(node, Wait { wait, until });
    }
    schedule(cx);
}

/// Sets the time of the next comparison.
pub(super) fn schedule(cx: &mut Context) {
    if cx.sync.asking.is_some() {
        return;
    }
    let (now, interval) = (cx.now.mono, cx.config.sync_interval);
    let turns = &cx.sync.turns;
    let (is_soon, goes_on) = (!turns.soon.is_empty(), !turns.round.is_empty());
    let (change, again) = (turns.changed.values().min().copied(), turns.later.values().min().copied());
    let mut due = again.map_or(turns.due, |again| turns.due.min(again));
    if let Some(change) = change {
        due = due.min(change.max(now + cx.jitter(interval / CHANGED_A_ROUND)));
    }
    if goes_on {
        due = now;
    } else if is_soon {
        due = due.min(now + cx.jitter(SOON.min(interval)));
    }
    cx.timers.set_if_sooner(Timer::Sync, due.max(now + PAUSE));
}

/// Who shares what has changed here is compared with in a while.
pub(super) fn note_changes(cx: &mut Context) {
    let from = cx.now.mono + cx.config.sync_interval;
    for (place, is_own) in cx.records.take_changed() {
        let devices = if is_own { cluster::owner_devices(cx, cx.owner) } else { Vec::new() };
        let holders = holders(cx, place);
        let mut concerned = some(cx, holders);
        concerned.extend(some(cx, devices));
        for node in concerned {
            cx.sync.turns.changed.entry(node).or_insert(from);
        }
    }
}

/// Those other nodes that are to hold what is kept in a place.
fn holders(cx: &mut Context, place: Place) -> Vec<NodeId> {
    let first = cluster::first(cx, place.group, place.replicas.limit());
    first.into_iter().filter(|node| *node != cx.me).collect()
}

/// So many of some nodes as a change is told to at once, those among them that can be talked to.
fn some(cx: &mut Context, mut nodes: Vec<NodeId>) -> Vec<NodeId> {
    nodes.retain(|node| neighbours::can_be_asked(cx, *node));
    if nodes.len() > SHARERS_MAX {
        let first = usize::try_from(cx.draw() % nodes.len() as u64).unwrap_or(0);
        nodes.rotate_left(first);
        nodes.truncate(SHARERS_MAX);
    }
    nodes
}

/// The peer whose turn it is, if it is anybody's: one that is to be compared with soon; or by turns one that is to be compared with again,
/// and, when one is due that follows from nothing, the next; or one because of a change.
pub(super) fn next(cx: &mut Context) -> Option<NodeId> {
    if cx.records.summary().is_none() {
        cx.sync.turns.due = cx.now.mono + cx.jitter(cx.config.sync_interval);
        return None;
    }
    let (now, last) = (cx.now.mono, cx.sync.turns.last.or_else(|| beginning(cx)));
    if let Some(node) = next_soon(cx, last) {
        return Some(node);
    }
    let again = next_again(cx, last);
    if again.is_some() && !cx.sync.turns.was_again {
        cx.sync.turns.was_again = true;
        return again;
    }
    cx.sync.turns.was_again = false;
    if cx.sync.turns.due <= now {
        cx.sync.turns.due = now + cx.jitter(cx.config.sync_interval);
        return next_of_all(cx);
    }
    let changed = cx.sync.turns.changed.iter();
    let changed = changed.filter(|(node, from)| **from <= now && neighbours::can_be_asked(cx, **node));
    let changed: BTreeSet<NodeId> = changed.map(|(node, _)| *node).collect();
    after(&changed, last).or(again)
}

/// The next of those that are to be compared with again. Who cannot be asked now waits as long as it did.
fn next_again(cx: &mut Context, last: Option<NodeId>) -> Option<NodeId> {
    let now = cx.now.mono;
    let due = cx.sync.turns.later.iter().filter(|(_, from)| **from <= now).map(|(node, _)| *node);
    let (can_be_asked, away): (BTreeSet<_>, BTreeSet<_>) = due.partition(|node| neighbours::can_be_asked(cx, *node));
    for node in away {
        let wait = cx.sync.turns.waits.get(&node).map_or(SOON, |last| last.wait);
        cx.sync.turns.later.insert(node, now + wait);
    }
    after(&can_be_asked, last)
}

/// The next of those that are to be compared with soon, those first to which a link stands. Who is marked while others are gone
/// through waits until they are done: so nobody is compared with again and again without a rest.
fn next_soon(cx: &mut Context, last: Option<NodeId>) -> Option<NodeId> {
    let turns = &mut cx.sync.turns;
    if turns.round.is_empty() {
        turns.round = core::mem::take(&mut turns.soon);
    }
    let can_be_asked = |node: &&NodeId| neighbours::can_be_asked(cx, **node);
    let is_linked = |node: &&NodeId| cx.links.of(**node).is_some();
    let round: BTreeSet<NodeId> = cx.sync.turns.round.iter().filter(can_be_asked).copied().collect();
    if round.is_empty() {
        let turns = &mut cx.sync.turns;
        turns.soon.append(&mut turns.round);
        return None;
    }
    let linked = round.iter().filter(is_linked).copied().collect();
    after(&linked, last).or_else(|| after(&round, last))
}

/// The next of those that share something with this node; at times the next of all.
fn next_of_all(cx: &mut Context) -> Option<NodeId> {
    let all = |cx: &Context| cx.service.members().keys().copied().filter(|node| *node != cx.me).collect();
    cx.sync.turns.count += 1;
    if !cx.sync.turns.count.is_multiple_of(TURNS_TO_ANYBODY) {
        let sharing = sharing(cx);
        if let Some(node) = after(&sharing, cx.sync.turns.last) {
            return Some(node);
        }
    }
    let next = after(&all(cx), cx.sync.turns.last_of_all.or_else(|| beginning(cx)));
    cx.sync.turns.last_of_all = next;
    next
}

/// After whom the first turn comes. Where links are made for comparisons, nodes begin at different places, so that they do not all ask
/// one.
fn beginning(cx: &Context) -> Option<NodeId> {
    (!neighbours::are_all(cx)).then_some(cx.me)
}

/// The next of some nodes after one, in a circle.
fn after(nodes: &BTreeSet<NodeId>, last: Option<NodeId>) -> Option<NodeId> {
    let later = last.and_then(|last| nodes.range(last..).find(|node| **node != last).copied());
    later.or_else(|| nodes.first().copied())
}

/// The nodes that are to hold something that is here, and the owner's devices.
fn sharing(cx: &mut Context) -> BTreeSet<NodeId> {
    let places: Vec<Place> =
        cx.records.summary().map_or(Vec::new(), |summary| summary.all().map(|(place, _)| place).collect());
    let others = cx.service.members().len().saturating_sub(1);
    let mut sharing: BTreeSet<NodeId> = cluster::owner_devices(cx, cx.owner).into_iter().collect();
    for place in places {
        if sharing.len() >= others {
            break;
        }
        sharing.extend(holders(cx, place));
    }
    sharing
}

/// Who holds what may have changed: those with which this node shares other records than before are compared with soon, and what was
/// found when they were compared last is void.
pub(crate) fn on_membership(cx: &mut Context) {
    repair::try_all_again(cx);
    let before = cluster::take_former(cx);
    let places = cx.records.summary().map(|summary| summary.all().map(|(place, _)| place).collect::<Vec<_>>());
    let mut concerned: BTreeSet<NodeId> = match places {
        Some(places) => {
            let of_place = |place: Place| {
                let old = before.first(place.group, place.replicas.limit()).unwrap_or_default();
                let new = cluster::first(cx, place.group, place.replicas.limit());
                let is_mine = new.contains(&cx.me);
                let was_mine = old.contains(&cx.me);
                let is_same = |node: &NodeId| old.contains(node) && is_mine == was_mine;
                new.into_iter().filter(|node| !is_same(node)).collect::<Vec<_>>()
            };
            places.into_iter().flat_map(of_place).collect()
        }
        None => neighbours::reachable(cx),
    };
    concerned.append(&mut cx.sync.turns.ahead);
    for node in concerned.into_iter().filter(|node| *node != cx.me).collect::<Vec<_>>() {
        cx.sync.settled.remove(&node);
        cx.sync.lacking.remove(&node);
        if neighbours::can_be_asked(cx, node) {
            mark(cx, node);
        }
    }
}
