//! Where names belong: the placement of groups over the members of the cluster, computed once for each membership.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::ids::{NameId, NodeId};
use crate::node::context::Context;
use crate::placement::{self, Candidate, Group, Replicas};

/// The rank lists asked for since the membership changed last: at most one for each of the 65,536 groups.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    ranks: BTreeMap<Group, Vec<NodeId>>,
}

/// Who may hold anything: this node and the members.
fn candidates(cx: &Context) -> Vec<Candidate> {
    let nodes = core::iter::once(cx.me).chain(cx.members.nodes());
    nodes.map(|node| Candidate { node, weight: 1, zone: String::new() }).collect()
}

/// The members changed: what was computed of the earlier ones is void.
pub(crate) fn on_membership(cx: &mut Context) {
    cx.cluster.ranks.clear();
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
