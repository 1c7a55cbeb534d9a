//! Neighbours: the members to which this node keeps a link. In a cluster of at most `max_peers` others these are all of them. In a
//! larger one they are those beside this node on some rings: each ring has all members that are not known to be down, in an order
//! drawn by a hash of their ids, so all nodes that know the same members make out the same neighbours without asking, and whoever is a
//! neighbour has this node for one, too. A member that comes or goes changes two links a ring. Rings that are drawn independently
//! make a graph in which everybody is few steps from everybody (Law and Siu, "Distributed Construction of Random Expander Networks",
//! INFOCOM 2003), and each of them alone connects all.
//!
//! Every other member is *on demand*: a link to it is made when something is to be asked of it, and closed again when nothing has been
//! for a while (`idle`). Who of these is alive the others find out, and SWIM's packets tell.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::ids::{NameId, NodeId};
use crate::node::context::Context;
use crate::node::swim::Liveness;
use crate::node::timers::Timer;
use crate::node::{cluster, dials};
use crate::sometimes;

/// Each ring gives a node two neighbours.
const LINKS_OF_RING: u32 = 2;

/// So many of the links that a node may have of its own making are left for those that are made on demand, if it may have more than two.
const ON_DEMAND: u32 = 2;

/// Where a neighbour stands on a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Before,
    Behind,
}

/// The neighbours.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    /// `None`: all members.
    chosen: Option<BTreeMap<NodeId, Side>>,
}

/// Whether a link is kept to a node as long as it is a member.
pub(crate) fn is_neighbour(cx: &Context, node: NodeId) -> bool {
    cx.neighbours.chosen.as_ref().is_none_or(|chosen| chosen.contains_key(&node))
}

/// Whether a neighbour is the one of the two that dials, so that no node has made more than half of its neighbours' links.
pub(crate) fn dials_me(cx: &Context, node: NodeId) -> bool {
    cx.neighbours.chosen.as_ref().is_some_and(|chosen| chosen.get(&node) == Some(&Side::Before))
}

/// Whether links are kept to all members.
pub(crate) fn are_all(cx: &Context) -> bool {
    cx.neighbours.chosen.is_none()
}

/// Whether a node without a link is a member that may be connected to when something is to be asked of it.
pub(crate) fn is_on_demand(cx: &Context, node: NodeId) -> bool {
    let is_down = || matches!(cx.swim.liveness(node), Liveness::Down(_));
    let is_kept = || is_neighbour(cx, node) && !dials::is_resting(cx, node);
    let is_banned = || cx.links.is_banned(node, cx.now.mono);
    node != cx.me && cx.members.is_in(node) && !is_kept() && !is_down() && !is_banned()
}

/// Whether a node can be asked something: over the link that stands, or over one that is made for it.
pub(crate) fn can_be_asked(cx: &Context, node: NodeId) -> bool {
    cx.links.of(node).is_some() || is_on_demand(cx, node)
}

/// The next so many in the rank list of a name that can be asked and have not been; this node is never among them.
pub(crate) fn next_in_rank(cx: &mut Context, name: NameId, asked: &BTreeSet<NodeId>, count: usize) -> Vec<NodeId> {
    let ranked = cluster::rank(cx, name);
    let can_be_asked = |node: &NodeId| *node != cx.me && can_be_asked(cx, *node) && !asked.contains(node);
    ranked.into_iter().filter(can_be_asked).take(count).collect()
}

/// All nodes that can be asked something, in order.
pub(crate) fn reachable(cx: &Context) -> BTreeSet<NodeId> {
    let mut all = cx.links.ready_nodes();
    if !are_all(cx) {
        all.extend(cx.members.nodes().filter(|node| is_on_demand(cx, *node)));
    }
    all
}

/// Whether some member is away that may come back.
pub(crate) fn is_anybody_away(cx: &Context) -> bool {
    if are_all(cx) {
        return cx.links.ready_count() < cx.members.count();
    }
    cx.members.nodes().any(|node| !can_be_asked(cx, node))
}

/// Something has changed that may concern who the neighbours are.
pub(crate) fn refresh(cx: &mut Context) {
    let rings = (cx.config.max_peers.saturating_sub(ON_DEMAND) / LINKS_OF_RING).max(1);
    let chosen = (cx.members.count() > cx.config.max_peers).then(|| choose(cx, rings));
    if chosen == cx.neighbours.chosen {
        return;
    }
    let before = core::mem::replace(&mut cx.neighbours.chosen, chosen);
    let is_new = |node: &NodeId| before.as_ref().is_some_and(|before| !before.contains_key(node));
    let new: Vec<NodeId> = cx.members.nodes().filter(|node| is_neighbour(cx, *node) && is_new(node)).collect();
    for node in new {
        dials::keep(cx, node);
    }
    if are_all(cx) {
        cx.timers.cancel(&Timer::Search);
    } else {
        sometimes!(cx.simulation, "neighbours.chosen");
        dials::search_on(cx);
    }
}

/// The nodes beside this one on so many rings.
fn choose(cx: &Context, rings: u32) -> BTreeMap<NodeId, Side> {
    let may_live = |node: &NodeId| match cx.swim.liveness(*node) {
        Liveness::Alive => true,
        // Whom nobody has heard of since the start may be gone for long.
        Liveness::Unseen => cx.service.members().contains_key(node) && !dials::has_failed(cx, *node),
        Liveness::Down(_) => false,
    };
    let mut members: Vec<NodeId> = cx.members.nodes().filter(may_live).collect();
    if members.is_empty() {
        members = cx.members.nodes().collect();
    }
    beside(cx.me, &members, rings)
}

fn beside(me: NodeId, members: &[NodeId], rings: u32) -> BTreeMap<NodeId, Side> {
    let mut chosen = BTreeMap::new();
    for ring in 0..rings {
        // Places behind this node's own, once around.
        let own = place(ring, me);
        let distance = |node: &NodeId| (place(ring, *node).wrapping_sub(own), *node);
        let next = members.iter().min_by_key(|node| distance(node));
        let last = members.iter().max_by_key(|node| distance(node));
        chosen.extend(last.map(|node| (*node, Side::Before)).filter(|(node, _)| !chosen.contains_key(node)));
        chosen.extend(next.map(|node| (*node, Side::Behind)));
    }
    chosen
}

/// A node's place on a ring: SplitMix64's finalizer (Steele et al., "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014)
/// of the beginning of its id, which is a random number already.
fn place(ring: u32, node: NodeId) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = node.0;
    let step = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(u64::from(ring) + 1);
    let mut mixed = u64::from_be_bytes([a, b, c, d, e, f, g, h]).wrapping_add(step);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests;
