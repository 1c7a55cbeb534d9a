//! Which records are compared with a peer: those that both should have, as this node sees the cluster.

use alloc::vec;
use alloc::vec::Vec;

use super::Task;
use crate::frame::{LEVEL_NONE, SetRange};
use crate::ids::{NodeId, OwnerId};
use crate::node::cluster;
use crate::node::context::Context;
use crate::placement::{Group, Replicas};
use crate::planted;
use crate::reconcile::{BUCKETS, Digest, Sum, bucket_of};

/// One of the sets of records that a peer is asked about, or told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    /// What placement gives to both.
    Shared,
    /// What the peer should have of this node's owner.
    Own,
    /// What the peer should have of other owners, and this node should not.
    Astray,
}

/// A set of records on this disk.
#[derive(Clone, Copy, Debug)]
pub(super) enum Selection {
    /// What placement gives to this node and to another.
    Shared(NodeId),
    /// What another node should have of this node's owner.
    OwnAt(NodeId),
    /// What another node should have of other owners, and this node should not.
    Astray(NodeId),
    /// All of an owner.
    Of(OwnerId),
}

/// The sums of a set, by bucket.
#[derive(Debug)]
pub(super) struct Sums(Vec<Sum>);

impl Sums {
    /// The digest of all.
    pub(super) fn root(&self) -> Digest {
        let mut total = Sum::default();
        self.0.iter().for_each(|sum| total.add(*sum));
        total.digest()
    }

    /// The digest of each bucket.
    pub(super) fn digests(&self) -> Vec<Digest> {
        let of_nothing = Sum::default().digest();
        let digest = |sum: &Sum| if *sum == Sum::default() { of_nothing } else { sum.digest() };
        self.0.iter().map(digest).collect()
    }
}

/// Whether a record that is kept on so many nodes belongs to a group's part of a set.
pub(super) fn belongs(replicas: Replicas, level: u16) -> bool {
    level != LEVEL_NONE && replicas.limit() >= usize::from(level)
}

/// From how many replicas on a node holds a group: its place in the rank list.
fn level_of(cx: &mut Context, node: NodeId, group: Group) -> u16 {
    let place = cluster::place_of(cx, node, group);
    level_at(cx, place)
}

fn level_at(cx: &Context, place: Option<usize>) -> u16 {
    let first = if planted!(cx.simulation, LastHolderNotCompared) { 2 } else { 1 };
    place.and_then(|place| u16::try_from(place + first).ok()).unwrap_or(LEVEL_NONE)
}

/// [`level_of`] for each group of a bucket.
fn levels_in(cx: &mut Context, bucket: u8, node: NodeId) -> impl Iterator<Item = u16> {
    let places = cluster::places_in(cx, bucket, node);
    (0..places.len()).map(move |group| level_at(cx, places[group]))
}

/// From how many replicas on two nodes both hold a group.
fn shared_level(cx: &mut Context, other: NodeId, group: Group) -> u16 {
    let me = cx.me;
    level_of(cx, me, group).max(level_of(cx, other, group))
}

fn is_device_of_mine(cx: &Context, node: NodeId) -> bool {
    cx.members.devices(cx.owner).any(|device| device == node)
}

/// The sums of a set of records on this disk. Empty while they have not all been counted.
pub(super) fn sums(cx: &mut Context, selection: Selection) -> Sums {
    let mut sums = vec![Sum::default(); BUCKETS];
    let Some(summary) = cx.records.summary() else { return Sums(sums) };
    let places: Vec<_> = match selection {
        Selection::Shared(_) => summary.all().collect(),
        Selection::OwnAt(_) => summary.own().collect(),
        Selection::Astray(_) => summary.others().collect(),
        Selection::Of(owner) => {
            for (bucket, sum) in summary.of_owner(owner) {
                sums[usize::from(bucket)].add(sum);
            }
            return Sums(sums);
        }
    };
    let mut last: Option<(Group, Levels)> = None;
    for (place, sum) in places {
        let levels = match last {
            Some((group, levels)) if group == place.group => levels,
            _ => levels(cx, selection, place.group),
        };
        last = Some((place.group, levels));
        if levels.has(place.replicas) {
            sums[usize::from(bucket_of(place.group))].add(sum);
        }
    }
    Sums(sums)
}

/// Which records of a group belong to a set: those that are kept on so many nodes, and not on so many.
#[derive(Clone, Copy, Debug)]
struct Levels {
    least: u16,
    below: u16,
}

impl Levels {
    fn has(self, replicas: Replicas) -> bool {
        belongs(replicas, self.least) && !belongs(replicas, self.below)
    }
}

fn levels(cx: &mut Context, selection: Selection, group: Group) -> Levels {
    let me = cx.me;
    let (least, below) = match selection {
        Selection::Shared(node) => (shared_level(cx, node, group), LEVEL_NONE),
        Selection::OwnAt(node) if is_device_of_mine(cx, node) => (0, LEVEL_NONE),
        Selection::OwnAt(node) => (level_of(cx, node, group), LEVEL_NONE),
        Selection::Astray(node) => (level_of(cx, node, group), level_of(cx, me, group)),
        Selection::Of(_) => (0, LEVEL_NONE),
    };
    Levels { least, below }
}

/// A part of a set, as it is read on both disks.
#[derive(Debug)]
pub(super) struct Ranges {
    pub(super) mine: SetRange,
    pub(super) theirs: SetRange,
}

/// What to read of a part of a set.
pub(super) fn range(cx: &mut Context, node: NodeId, task: Task) -> Ranges {
    let Task { scope, bucket, from, to } = task;
    let all = SetRange { bucket, from, to, owner: None, levels: Vec::new() };
    let me = cx.me;
    let mine = |cx: &mut Context| -> Vec<u16> { levels_in(cx, bucket, me).collect() };
    match scope {
        Scope::Shared => {
            let mine = mine(cx);
            let levels = levels_in(cx, bucket, node).zip(mine).map(|(theirs, mine)| theirs.max(mine)).collect();
            let range = SetRange { levels, ..all };
            Ranges { mine: range.clone(), theirs: range }
        }
        Scope::Own => {
            // Of the own owner the peer may have more than it should: that is told, too.
            let theirs = SetRange { owner: Some(cx.owner), ..all };
            let everything = is_device_of_mine(cx, node);
            let levels = if everything { Vec::new() } else { levels_in(cx, bucket, node).collect() };
            Ranges { mine: SetRange { levels, ..theirs.clone() }, theirs }
        }
        Scope::Astray => {
            let mine = mine(cx);
            // What both are to have is read along with it where versions of a name are kept on different numbers of nodes.
            let of_peer = |(theirs, mine)| if theirs < mine { theirs } else { LEVEL_NONE };
            let levels = levels_in(cx, bucket, node).zip(mine).map(of_peer).collect();
            let range = SetRange { levels, ..all };
            Ranges { mine: range.clone(), theirs: range }
        }
    }
}
