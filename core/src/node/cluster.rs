//! Where names belong: the placement of groups over the members of the cluster, computed once for each membership.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::ids::{NameId, NodeId, OwnerId};
use crate::member::{MemberInfo, MemberStatus};
use crate::node::context::Context;
use crate::node::dials;
use crate::node::service::Served;
use crate::node::summary::Place;
use crate::node::swim::Liveness;
use crate::placement::{self, Candidate, Group, Replicas};
use crate::planted;
use crate::record::{Record, RecordBody};

/// How many behind the usual holders are asked for a name at first: they may stand in for some.
const SPARES: usize = 2;

/// How many buckets' places are kept: 4 KiB each.
const PLACES_MAX: usize = 512;

/// The rank lists asked for since the membership changed last: at most one for each of the 65,536 groups.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    /// Who is ranked, in order of their ids; empty when that is not known yet.
    candidates: Vec<Candidate>,
    /// Places in that list, best first: two bytes for each node, since there may be many lists.
    ranks: BTreeMap<Group, Box<[u16]>>,
    /// Of buckets and nodes that comparisons ask about again and again: the place of the node in each group's list.
    places: BTreeMap<(u8, NodeId), Arc<[Option<usize>]>>,
    /// What was known before the membership changed, until somebody has compared.
    before: Option<Former>,
}

/// The rank lists of an earlier membership, as far as they had been asked for.
#[derive(Debug, Default)]
pub(crate) struct Former {
    candidates: Vec<Candidate>,
    ranks: BTreeMap<Group, Box<[u16]>>,
}

impl Former {
    /// The first so many of a group then; `None` if nobody had asked.
    pub(crate) fn first(&self, group: Group, count: usize) -> Option<Vec<NodeId>> {
        let ranked = Ranked { candidates: &self.candidates, order: self.ranks.get(&group)? };
        Some(ranked.nodes().take(count).collect())
    }
}

/// A rank list.
struct Ranked<'a> {
    candidates: &'a [Candidate],
    order: &'a [u16],
}

impl Ranked<'_> {
    fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.order.iter().map(|place| self.candidates[usize::from(*place)].node)
    }

    /// How many come before a node; `None` if it is not among them.
    fn place_of(&self, node: NodeId) -> Option<usize> {
        let candidate = self.candidates.binary_search_by_key(&node, |candidate| candidate.node).ok()?;
        self.order.iter().position(|place| usize::from(*place) == candidate)
    }
}

/// What a node is to have of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// The record and its pages: it is another device of the owner.
    Light,
    /// All of it.
    Whole,
}

/// Whether a node can be talked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// A link stands.
    Linked,
    /// It is being connected to.
    Coming,
    /// It cannot be reached.
    Away,
}

/// Who may hold anything: the members in service, this node among them.
fn candidates(cx: &Context) -> Vec<Candidate> {
    let is_candidate = |(node, _): &(&NodeId, &Served)| {
        !planted!(cx.simulation, RankByReachable) || **node == cx.me || cx.links.of(**node).is_some()
    };
    let candidate = |(node, served): (&NodeId, &Served)| Candidate {
        node: *node,
        weight: served.weight,
        zone: served.zone.clone(),
    };
    cx.service.members().iter().filter(is_candidate).map(candidate).collect()
}

/// The members in service changed: what was computed of the earlier ones is void.
pub(crate) fn on_membership(cx: &mut Context) {
    let candidates = core::mem::take(&mut cx.cluster.candidates);
    let ranks = core::mem::take(&mut cx.cluster.ranks);
    cx.cluster.places.clear();
    cx.cluster.before.get_or_insert(Former { candidates, ranks });
}

/// The rank lists that were known before the membership changed.
pub(crate) fn take_former(cx: &mut Context) -> Former {
    cx.cluster.before.take().unwrap_or_default()
}

/// All nodes that may hold a name, best first; this node may be among them.
pub(crate) fn rank(cx: &mut Context, name: NameId) -> Vec<NodeId> {
    ranked(cx, Group::of(name)).nodes().collect()
}

fn ranked(cx: &mut Context, group: Group) -> Ranked<'_> {
    if planted!(cx.simulation, RankByReachable) {
        on_membership(cx);
    }
    if cx.cluster.candidates.is_empty() {
        cx.cluster.candidates = candidates(cx);
    }
    let Cluster { candidates, ranks, .. } = &mut cx.cluster;
    let order = ranks.entry(group).or_insert_with(|| {
        let places = placement::order(group, candidates).into_iter();
        places.map(|place| u16::try_from(place).expect("a cluster has at most 4,096 members")).collect()
    });
    Ranked { candidates, order }
}

/// How many come before a node in the rank list of a group; `None` if it may hold nothing.
pub(crate) fn place_of(cx: &mut Context, node: NodeId, group: Group) -> Option<usize> {
    ranked(cx, group).place_of(node)
}

/// The same for each group of a bucket (see [`bucket_of`](crate::reconcile::bucket_of)), in their order.
pub(crate) fn places_in(cx: &mut Context, bucket: u8, node: NodeId) -> Arc<[Option<usize>]> {
    if planted!(cx.simulation, RankByReachable) {
        return (0..=u8::MAX).map(|place| place_of(cx, node, Group(u16::from_be_bytes([bucket, place])))).collect();
    }
    if let Some(places) = cx.cluster.places.get(&(bucket, node)) {
        return Arc::clone(places);
    }
    let places: Arc<[Option<usize>]> = find_places(cx, bucket, node).into();
    if cx.cluster.places.len() >= PLACES_MAX {
        cx.cluster.places.clear();
    }
    cx.cluster.places.insert((bucket, node), Arc::clone(&places));
    places
}

fn find_places(cx: &mut Context, bucket: u8, node: NodeId) -> Vec<Option<usize>> {
    let group = |place| Group(u16::from_be_bytes([bucket, place]));
    let all = group(0)..=group(u8::MAX);
    let count = usize::from(u8::MAX) + 1;
    if cx.cluster.ranks.range(all.clone()).count() < count {
        for place in 0..=u8::MAX {
            ranked(cx, group(place));
        }
    }
    let Cluster { candidates, ranks, .. } = &cx.cluster;
    let Ok(candidate) = candidates.binary_search_by_key(&node, |candidate| candidate.node) else {
        return alloc::vec![None; count];
    };
    let place_in = |order: &[u16]| order.iter().position(|place| usize::from(*place) == candidate);
    ranks.range(all).map(|(_, order)| place_in(order)).collect()
}

/// The first so many in the rank list of a group, best first; this node may be among them.
pub(crate) fn first(cx: &mut Context, group: Group, count: usize) -> Vec<NodeId> {
    ranked(cx, group).nodes().take(count).collect()
}

/// Whether so many of those that are to hold what lies at a place are of a kind, or all if there are fewer.
pub(crate) fn are_enough(cx: &mut Context, place: Place, needed: usize, is_of_kind: impl Fn(NodeId) -> bool) -> bool {
    let ranked = ranked(cx, place.group);
    let needed = needed.min(ranked.order.len());
    ranked.nodes().take(place.replicas.limit()).filter(|node| is_of_kind(*node)).take(needed).count() == needed
}

/// The nodes that are to hold a name, best first; this node may be among them.
pub(crate) fn holders(cx: &mut Context, name: NameId, replicas: Replicas) -> Vec<NodeId> {
    first(cx, Group::of(name), replicas.limit())
}

/// The nodes that would be to hold a name if all members were in service: whoever of them comes back, even after long, is to hold
/// it again.
pub(crate) fn holders_of_all(cx: &mut Context, name: NameId, replicas: Replicas) -> Vec<NodeId> {
    if cx.service.members().len() > cx.members.count() as usize || planted!(cx.simulation, RankByReachable) {
        return holders(cx, name, replicas);
    }
    let candidate =
        |(node, info): (NodeId, &MemberInfo)| Candidate { node, weight: info.weight, zone: info.zone.clone() };
    let members = cx.members.all().filter(|(_, info)| info.status == MemberStatus::In);
    let all: Vec<Candidate> = members.chain([(cx.me, cx.members.own())]).map(candidate).collect();
    placement::rank(Group::of(name), &all).into_iter().take(replicas.limit()).collect()
}

/// Whether a node is to hold a name.
pub(crate) fn is_holder(cx: &mut Context, node: NodeId, name: NameId, replicas: Replicas) -> bool {
    is_among(cx, node, Group::of(name), replicas)
}

fn is_among(cx: &mut Context, node: NodeId, group: Group, replicas: Replicas) -> bool {
    place_of(cx, node, group).is_some_and(|place| place < replicas.limit())
}

/// Whether this node is to hold the records of a group that are kept on so many nodes. What is kept on all is in its place everywhere.
pub(crate) fn keeps(cx: &mut Context, group: Group, replicas: Replicas) -> bool {
    let me = cx.me;
    replicas == Replicas::ALL || is_among(cx, me, group, replicas)
}

/// Of the nodes that would hold a name if all members were in service, how many live; this node not among them.
pub(crate) fn alive_holders(cx: &mut Context, name: NameId, replicas: Replicas) -> usize {
    let others = holders_of_all(cx, name, replicas).into_iter().filter(|node| *node != cx.me);
    others.filter(|node| cx.swim.liveness(*node) == Liveness::Alive).count()
}

/// Whom a record of this node's owner is owed: its holders, now and if all members were in service, the owner's other devices, and
/// everybody if it is a deletion.
pub(crate) fn owed_to(cx: &mut Context, record: &Record) -> BTreeSet<NodeId> {
    let (name, replicas) = (record.name_id, record.retention.replicas);
    let mut owed_to: BTreeSet<NodeId> = holders(cx, name, replicas).into_iter().collect();
    owed_to.extend(holders_of_all(cx, name, replicas));
    owed_to.extend(cx.members.devices(cx.owner));
    if record.body == RecordBody::Tombstone && !planted!(cx.simulation, TombstoneAsConfigured) {
        owed_to.extend(cx.members.nodes());
    }
    owed_to.remove(&cx.me);
    owed_to
}

/// The other devices of an owner.
pub(crate) fn owner_devices(cx: &Context, owner: OwnerId) -> Vec<NodeId> {
    cx.members.devices(owner).collect()
}

/// Who is likely to have what is kept of a name on so many nodes, or on as many as is usual here: its holders, a few who may
/// stand in for them, and the owner's other devices.
pub(crate) fn likely(cx: &mut Context, owner: OwnerId, name: NameId, replicas: Replicas) -> BTreeSet<NodeId> {
    let me = cx.me;
    let first = cx.config.retention.replicas.max(replicas).limit().saturating_add(SPARES);
    let mut likely: BTreeSet<NodeId> =
        ranked(cx, Group::of(name)).nodes().filter(|node| *node != me).take(first).collect();
    likely.extend(cx.members.devices(owner));
    likely
}

/// Who is likely to have a record.
pub(crate) fn likely_of(cx: &mut Context, record: &Record) -> BTreeSet<NodeId> {
    likely(cx, record.owner, record.name_id, record.retention.replicas)
}

/// What a node is to have of a record; `None` if nothing. A deletion is everybody's: any member may have held the name when others
/// were in the cluster, and would go on serving it.
pub(crate) fn part(cx: &mut Context, node: NodeId, record: &Record) -> Option<Part> {
    if record.body == RecordBody::Tombstone || is_holder(cx, node, record.name_id, record.retention.replicas) {
        return Some(Part::Whole);
    }
    cx.members.devices(record.owner).any(|device| device == node).then_some(Part::Light)
}

/// What this node is to have of a record of its own owner.
pub(crate) fn own_part(cx: &mut Context, record: &Record) -> Part {
    let me = cx.me;
    if is_holder(cx, me, record.name_id, record.retention.replicas) { Part::Whole } else { Part::Light }
}

/// What this node is to have of a record; `None` if nothing.
pub(crate) fn part_here(cx: &mut Context, record: &Record) -> Option<Part> {
    let me = cx.me;
    if record.owner == cx.owner && record.body != RecordBody::Tombstone {
        return Some(own_part(cx, record));
    }
    part(cx, me, record)
}

/// Whether a node can be talked to; one that can be connected to now is being connected to from now on.
pub(crate) fn reach(cx: &mut Context, node: NodeId) -> Reach {
    if cx.links.of(node).is_some() {
        Reach::Linked
    } else if dials::reach(cx, node) {
        Reach::Coming
    } else {
        Reach::Away
    }
}
