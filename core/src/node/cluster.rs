//! Where names belong: the placement of groups over the members of the cluster, computed once for each membership.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::ids::{NameId, NodeId, OwnerId};
use crate::node::context::Context;
use crate::node::service::Served;
use crate::placement::{self, Candidate, Group, Replicas};

/// The rank lists asked for since the membership changed last: at most one for each of the 65,536 groups.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    ranks: BTreeMap<Group, Vec<NodeId>>,
}

/// Who may hold anything: the members in service, this node among them.
fn candidates(cx: &Context) -> Vec<Candidate> {
    let candidate = |(node, served): (&NodeId, &Served)| Candidate {
        node: *node,
        weight: served.weight,
        zone: served.zone.clone(),
    };
    cx.service.members().iter().map(candidate).collect()
}

/// The members in service changed: what was computed of the earlier ones is void.
pub(crate) fn on_membership(cx: &mut Context) {
    cx.cluster.ranks.clear();
}

/// How much this node still owes others before it may leave: deliveries that some member has not acknowledged.
pub(crate) fn owed_before_leaving(cx: &Context) -> u64 {
    cx.counters.owed
}

/// The devices of an owner, whether they are in service or not; this node may be among them.
pub(crate) fn owner_devices(cx: &Context, owner: OwnerId) -> Vec<NodeId> {
    let own = (cx.owner == owner).then_some(cx.me);
    let others = cx.members.nodes().filter(|node| cx.members.get(*node).is_some_and(|info| info.owner == owner));
    own.into_iter().chain(others).collect()
}

/// All nodes that may hold a name, best first; this node may be among them.
pub(crate) fn rank(cx: &mut Context, name: NameId) -> &[NodeId] {
    let group = Group::of(name);
    if !cx.cluster.ranks.contains_key(&group) {
        let ranked = placement::rank(group, &candidates(cx));
        cx.cluster.ranks.insert(group, ranked);
    }
    &cx.cluster.ranks[&group]
}

/// The nodes that are to hold a name, best first; this node may be among them.
pub(crate) fn holders(cx: &mut Context, name: NameId, replicas: Replicas) -> &[NodeId] {
    let ranked = rank(cx, name);
    &ranked[..replicas.limit().min(ranked.len())]
}

/// Whether a node is to hold a name.
pub(crate) fn is_holder(cx: &mut Context, node: NodeId, name: NameId, replicas: Replicas) -> bool {
    holders(cx, name, replicas).contains(&node)
}
