//! Where names belong: the placement of groups over the members of the cluster, computed once for each membership.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::ids::{NameId, NodeId, OwnerId};
use crate::node::context::Context;
use crate::placement::{self, Candidate, Group, Replicas};
use crate::record::Record;

/// The rank lists asked for since the membership changed last: at most one for each of the 65,536 groups.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    ranks: BTreeMap<Group, Arc<[NodeId]>>,
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
pub(crate) fn rank(cx: &mut Context, name: NameId) -> Arc<[NodeId]> {
    let group = Group::of(name);
    if let Some(ranked) = cx.cluster.ranks.get(&group) {
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

/// Whether a node is to hold a name.
pub(crate) fn is_holder(cx: &mut Context, node: NodeId, name: NameId, replicas: Replicas) -> bool {
    rank(cx, name).iter().take(replicas.limit()).any(|holder| *holder == node)
}

/// The other devices of an owner.
pub(crate) fn owner_devices(cx: &Context, owner: OwnerId) -> Vec<NodeId> {
    cx.members.devices(owner).collect()
}

/// What a node is to have of a record; `None` if nothing.
pub(crate) fn part(cx: &mut Context, node: NodeId, record: &Record) -> Option<Part> {
    if is_holder(cx, node, record.name_id, record.retention.replicas) {
        return Some(Part::Whole);
    }
    cx.members.devices(record.owner).any(|device| device == node).then_some(Part::Light)
}

/// Whether a node can be talked to; one that can be connected to now is.
pub(crate) fn reach(cx: &mut Context, node: NodeId) -> Reach {
    if cx.links.of(node).is_some() { Reach::Linked } else { Reach::Away }
}
