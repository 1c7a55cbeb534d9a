//! Which records are compared with a peer: those that both should have, as this node sees the cluster.

use alloc::vec;
use alloc::vec::Vec;

use crate::frame::{LEVEL_NONE, SetRange};
use crate::ids::{NodeId, OwnerId};
use crate::node::cluster;
use crate::node::context::Context;
use crate::placement::{Group, Replicas};
use crate::reconcile::{BUCKETS, Digest, Sum, bucket_of};

/// One of the two sets that are compared with a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// What placement gives to both.
    Shared,
    /// What the peer should have of this node's owner.
    Own,
}

/// A set of records on this disk.
#[derive(Clone, Copy, Debug)]
pub(super) enum Selection {
    /// What placement gives to this node and to another.
    Shared(NodeId),
    /// What another node should have of this node's owner.
    OwnAt(NodeId),
    /// All of an owner.
    Of(OwnerId),
}

/// The sums of a set, by bucket.
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
        self.0.iter().map(Sum::digest).collect()
    }
}

/// Whether a record that is kept on so many nodes belongs to a group's part of a set.
pub(super) fn belongs(replicas: Replicas, level: u16) -> bool {
    level != LEVEL_NONE && replicas.limit() >= usize::from(level)
}

/// From how many replicas on a node holds a group: its place in the rank list.
fn level_of(cx: &mut Context, node: NodeId, group: Group) -> u16 {
    let ranked = cluster::rank_of(cx, group);
    let place = ranked.iter().position(|other| *other == node);
    place.and_then(|place| u16::try_from(place + 1).ok()).unwrap_or(LEVEL_NONE)
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
        Selection::Of(owner) => {
            for (bucket, sum) in summary.of_owner(owner) {
                sums[usize::from(bucket)].add(sum);
            }
            return Sums(sums);
        }
    };
    let everything = matches!(selection, Selection::OwnAt(node) if is_device_of_mine(cx, node));
    let mut last: Option<(Group, u16)> = None;
    for (place, sum) in places {
        let level = match last {
            Some((group, level)) if group == place.group => level,
            _ if everything => 0,
            _ => match selection {
                Selection::Shared(node) => shared_level(cx, node, place.group),
                Selection::OwnAt(node) => level_of(cx, node, place.group),
                Selection::Of(_) => 0,
            },
        };
        last = Some((place.group, level));
        if belongs(place.replicas, level) {
            sums[usize::from(bucket_of(place.group))].add(sum);
        }
    }
    Sums(sums)
}

/// A part of a set, as it is read on both disks.
pub(super) struct Ranges {
    pub(super) mine: SetRange,
    pub(super) theirs: SetRange,
}

/// The part of a set that lies in some groups of one bucket.
pub(super) fn range(cx: &mut Context, node: NodeId, scope: Scope, first: Group, last: Group) -> Ranges {
    let groups = (first.0..=last.0).map(Group);
    match scope {
        Scope::Shared => {
            let levels: Vec<u16> = groups.map(|group| shared_level(cx, node, group)).collect();
            let range = SetRange { first, last, owner: None, levels };
            Ranges { mine: range.clone(), theirs: range }
        }
        Scope::Own => {
            // Of the own owner the peer may have more than it should: that is told, too.
            let theirs = SetRange { first, last, owner: Some(cx.owner), levels: Vec::new() };
            let everything = is_device_of_mine(cx, node);
            let levels = if everything { Vec::new() } else { groups.map(|group| level_of(cx, node, group)).collect() };
            Ranges { mine: SetRange { levels, ..theirs.clone() }, theirs }
        }
    }
}
