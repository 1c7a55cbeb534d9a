//! Since when members have not answered: a node that is down has been so since it was first suspected, not since that ran out.

use alloc::collections::BTreeMap;

use super::packet::SwimId;
use crate::ids::NodeId;
use crate::node::context::Context;
use crate::time::Monotonic;

/// For so many periods a suspicion that nobody contradicted counts: twice what it lasts in the largest cluster.
const PERIODS_MAX: u32 = 32;

/// The last suspicion of each member of the table, contradicted or not.
pub(super) type Suspicions = BTreeMap<NodeId, Suspicion>;

/// A member did not answer a probe. It contradicts that by a higher incarnation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suspicion {
    generation: u64,
    incarnation: foca::Incarnation,
    since: Monotonic,
}

/// A member is suspected to be down, as this node finds or hears. Whether that is new.
pub(super) fn note(cx: &mut Context, id: SwimId, incarnation: foca::Incarnation) -> bool {
    let new = Suspicion { generation: id.generation, incarnation, since: cx.now.mono };
    let of = |suspicion: &Suspicion| (suspicion.generation, suspicion.incarnation);
    let known = cx.swim.suspicions.get(&id.node);
    let is_new = cx.members.contains(id.node) && known.is_none_or(|known| of(known) < of(&new));
    if is_new {
        cx.swim.suspicions.insert(id.node, new);
    }
    is_new
}

/// Since when a member that is down now has been: since it was suspected and did not contradict, if it was.
pub(super) fn down_since(cx: &mut Context, node: NodeId) -> Monotonic {
    let life = cx.swim.life_of(node);
    let suspicion = cx.swim.suspicions.remove(&node);
    let is_it = |suspicion: &Suspicion| {
        life.is_some_and(|life| (life.generation, life.incarnation) == (suspicion.generation, suspicion.incarnation))
    };
    // One that is much older was contradicted, and this node did not hear of it.
    let patience = cx.config.swim_period * PERIODS_MAX;
    let is_recent = |suspicion: &Suspicion| cx.now.mono - suspicion.since <= patience;
    suspicion.filter(is_it).filter(is_recent).map_or(cx.now.mono, |suspicion| suspicion.since)
}
