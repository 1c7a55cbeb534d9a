//! Who goes for long: a node that leaves, one that never comes back and is written off, and one that is away so long that others stand in
//! for it.
//!
//! Callers of a node that is away go to another device of its owner, if there is one, or to the next node.

use super::super::{Family, Fault, NodeSpec, Op, OpKind, Shape, Tier};
use crate::draw::{Draws, Site};

const LEAVE: Site = Site::new("departures.leave");
const FORGET: Site = Site::new("departures.forget");
const ABSENCE: Site = Site::new("departures.absence");

/// A node leaves in so many of a thousand scenarios that have nodes enough.
const LEAVE_PER_MILLE: u64 = 300;

/// Of the scenarios with a node that is not healed, it goes for good during the plan and is written off in so many of a thousand.
const FORGET_PER_MILLE: u64 = 900;

/// A node is away for long in so many of a thousand scenarios that have nodes enough.
const ABSENCE_PER_MILLE: u64 = 300;

/// The fewest nodes of the core that stay when one leaves, and that are there while one is away for long.
const STAY_MIN: usize = 3;

/// A node that callers do not go to for a while.
#[derive(Clone, Copy, Debug)]
struct Away {
    node: usize,
    from_us: u64,
    until_us: u64,
}

/// Who goes, and what comes with it.
#[derive(Debug, Default)]
pub(super) struct Departures {
    away: Vec<Away>,
    ops: Vec<(u64, Op)>,
    faults: Vec<(u64, u64, Fault)>,
}

/// What departures depend on.
pub(super) struct Setting<'a> {
    pub(super) tier: Tier,
    pub(super) shape: &'a Shape,
    pub(super) nodes: &'a [NodeSpec],
    pub(super) core: &'a [usize],
    pub(super) families: &'a [Family],
    /// The nodes whose disks may be destroyed.
    pub(super) victims: &'a [usize],
}

impl Departures {
    pub(super) fn draw(draws: Draws, of: &Setting<'_>) -> Self {
        let mut departures = Self::default();
        // Whoever owes a node that is away for long cannot leave.
        if departures.leave(draws, of).is_some() {
            return departures;
        }
        departures.forget(draws, of);
        // A plan of Turmoil is too short for callers to get on without it.
        if of.tier == Tier::World {
            departures.absence(draws, of);
        }
        departures
    }

    /// The faults that belong to them.
    pub(super) fn faults(&self) -> &[(u64, u64, Fault)] {
        &self.faults
    }

    /// Adds the operations that belong to them, and sends callers elsewhere.
    pub(super) fn change(self, nodes: &[NodeSpec], ops: &mut Vec<(u64, Op)>) {
        let is_away = |node: usize, at_us: u64| {
            self.away.iter().any(|away| away.node == node && (away.from_us..away.until_us).contains(&at_us))
        };
        for (at_us, op) in ops.iter_mut().filter(|(at_us, op)| is_away(op.node, *at_us)) {
            let others = (1..nodes.len()).map(|step| (op.node + step) % nodes.len());
            let mut there = others.filter(|node| !is_away(*node, *at_us));
            let is_twin = |node: &usize| nodes[*node].owner == nodes[op.node].owner;
            op.node = there.clone().find(is_twin).or_else(|| there.next()).unwrap_or(op.node);
        }
        ops.extend(self.ops);
    }

    /// A node of the core whose disk is not destroyed leaves.
    fn leave(&mut self, draws: Draws, of: &Setting<'_>) -> Option<usize> {
        let mut draw = draws.at(LEAVE, 0, 0);
        let leavers: Vec<usize> = of.core.iter().copied().filter(|node| !of.victims.contains(node)).collect();
        if !draw.per_mille(LEAVE_PER_MILLE) || of.core.len() <= STAY_MIN || leavers.is_empty() {
            return None;
        }
        let node = *draw.pick(&leavers);
        let at_us = share_of(of.shape, draw.between(300, 650));
        self.ops.push((at_us, Op { node, what: OpKind::Leave }));
        self.away.push(Away { node, from_us: at_us, until_us: u64::MAX });
        Some(node)
    }

    /// A node that is not healed goes for good, and another writes it off.
    fn forget(&mut self, draws: Draws, of: &Setting<'_>) {
        let mut draw = draws.at(FORGET, 0, 0);
        let gone = (0..of.nodes.len()).find(|node| !of.core.contains(node));
        let Some(member) = gone.filter(|_| of.families.contains(&Family::Process)) else { return };
        if !draw.per_mille(FORGET_PER_MILLE) {
            return;
        }
        let from_us = share_of(of.shape, draw.between(100, 350));
        // By then nobody takes it for alive.
        let forget_us = from_us + share_of(of.shape, draw.between(420, 550));
        self.faults.push((from_us, share_of(of.shape, 1_100), Fault::Crash { node: member }));
        self.away.push(Away { node: member, from_us, until_us: u64::MAX });
        self.ops.push((forget_us, Op { node: *draw.pick(of.core), what: OpKind::Forget { member } }));
    }

    /// A node is away so long that others stand in for it; around its return one of them is away, too.
    fn absence(&mut self, draws: Draws, of: &Setting<'_>) {
        let mut draw = draws.at(ABSENCE, 0, 0);
        let mut there = of.core.to_vec();
        draw.shuffle(&mut there);
        let is_possible = of.families.contains(&Family::Process) && there.len() > STAY_MIN + 1;
        if !draw.per_mille(ABSENCE_PER_MILLE) || !is_possible {
            return;
        }
        let from_us = share_of(of.shape, draw.between(100, 350));
        let back_us = from_us + share_of(of.shape, draw.between(250, 500));
        self.be_away(there[0], from_us, back_us);
        let before_us = share_of(of.shape, draw.between(20, 120));
        let after_us = share_of(of.shape, draw.between(20, 120));
        self.be_away(there[1], back_us - before_us, back_us + after_us);
    }

    fn be_away(&mut self, node: usize, from_us: u64, until_us: u64) {
        self.faults.push((from_us, until_us, Fault::Crash { node }));
        self.away.push(Away { node, from_us, until_us });
    }
}

/// So many thousandths of the plan, in microseconds.
fn share_of(shape: &Shape, per_mille: u64) -> u64 {
    shape.duration_ms * per_mille
}
