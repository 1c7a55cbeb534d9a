//! Where names belong: the placement of groups over the members of the cluster, computed once for each membership.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::ids::{NameId, NodeId, OwnerId};
use crate::member::{MemberInfo, MemberStatus};
use crate::node::context::Context;
use crate::node::dials;
use crate::node::service::Served;
use crate::node::swim::Liveness;
use crate::placement::{self, Candidate, Group, Replicas};
use crate::planted;
use crate::record::{Record, RecordBody};

/// How many behind the usual holders are asked for a name at first: they may stand in for some.
const SPARES: usize = 2;

/// The rank lists asked for since the membership changed last: at most one for each of the 65,536 groups.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    ranks: BTreeMap<Group, Arc<[NodeId]>>,
    /// Those that were known before it changed, until somebody has compared.
    before: Option<BTreeMap<Group, Arc<[NodeId]>>>,
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
    let ranks = core::mem::take(&mut cx.cluster.ranks);
    cx.cluster.before.get_or_insert(ranks);
}

/// The rank lists that were known before the membership changed, as far as they had been asked for.
pub(crate) fn take_ranks_before(cx: &mut Context) -> BTreeMap<Group, Arc<[NodeId]>> {
    cx.cluster.before.take().unwrap_or_default()
}

/// How much this node still owes others before it may leave: deliveries that some member has not acknowledged.
pub(crate) fn owed_before_leaving(cx: &Context) -> u64 {
    cx.counters.owed
}

/// All nodes that may hold a name, best first; this node may be among them.
pub(crate) fn rank(cx: &mut Context, name: NameId) -> Arc<[NodeId]> {
    rank_of(cx, Group::of(name))
}

/// All nodes that may hold the names of a group, best first; this node may be among them.
pub(crate) fn rank_of(cx: &mut Context, group: Group) -> Arc<[NodeId]> {
    if let Some(ranked) = cx.cluster.ranks.get(&group).filter(|_| !planted!(cx.simulation, RankByReachable)) {
        return ranked.clone();
    }
    let ranked: Arc<[NodeId]> = placement::rank(group, &candidates(cx)).into();
    cx.cluster.ranks.insert(group, ranked.clone());
    ranked
}

/// The nodes that are to hold a name, best first; this node may be among them.
pub(crate) fn holders(cx: &mut Context, name: NameId, replicas: Replicas) -> Vec<NodeId> {
    let ranked = rank(cx, name);
    ranked.iter().take(replicas.limit()).copied().collect()
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
    rank(cx, name).iter().take(replicas.limit()).any(|holder| *holder == node)
}

/// Whether this node is to hold the records of a group that are kept on so many nodes. What is kept on all is in its place everywhere.
pub(crate) fn keeps(cx: &mut Context, group: Group, replicas: Replicas) -> bool {
    let me = cx.me;
    replicas == Replicas::ALL || rank_of(cx, group).iter().take(replicas.limit()).any(|holder| *holder == me)
}

/// Of the nodes that would hold a name if all members were in service, how many live; this node not among them.
pub(crate) fn alive_holders(cx: &mut Context, name: NameId, replicas: Replicas) -> usize {
    let others = holders_of_all(cx, name, replicas).into_iter().filter(|node| *node != cx.me);
    others.filter(|node| cx.swim.liveness(*node) == Liveness::Alive).count()
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
    let ranked = rank(cx, name);
    let others = ranked.iter().copied().filter(|node| *node != me);
    others.take(first).chain(cx.members.devices(owner)).collect()
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
