//! Nodes that come back at another address.
//!
//! Two nodes that both move while neither hears of the other find each other through a third that both know where to find, or not at
//! all. So few nodes move, no disk of theirs is destroyed (it knows where the others are), and none moves before all have met.

use super::super::super::{Fault, Shape};
use super::USUAL_MS;
use crate::draw::{Draws, Site};

const MOVERS: Site = Site::new("faults.movers");
const MOVE: Site = Site::new("faults.move");

/// After so much of the plan all nodes have met: one in so many.
const MET_AFTER: u64 = 6;

/// How often nodes move where nothing else goes wrong, so that enough does.
const ALONE: (u64, u64) = (12, 16);

/// How often elsewhere.
const USUAL: (u64, u64) = (1, 3);

/// Draws the moves: from when to when the node is down, in microseconds. `victims` are those whose disks may be destroyed.
pub(super) fn draw(
    draws: Draws,
    shape: &Shape,
    nodes: usize,
    victims: &[usize],
    is_alone: bool,
) -> Vec<(u64, u64, Fault)> {
    let mut draw = draws.at(MOVERS, 0, 0);
    let mut movers: Vec<usize> = (0..nodes).collect();
    draw.shuffle(&mut movers);
    movers.truncate(if nodes >= 5 && draw.per_mille(300) { 2 } else { 1 });
    if !is_alone {
        movers.retain(|node| !victims.contains(node));
    }
    if movers.is_empty() {
        return Vec::new();
    }
    let (least, most) = if is_alone { ALONE } else { USUAL };
    let of_plan = |nth: u64| {
        let mut draw = draws.at(MOVE, 0, nth);
        let from_us = 1_000 * draw.between(shape.duration_ms / MET_AFTER, shape.duration_ms - 500);
        let span_us = draw.between(100, 1_000) * 1_000 * shape.duration_ms / USUAL_MS;
        (from_us, from_us + span_us.max(1_000), Fault::Moved { node: *draw.pick(&movers) })
    };
    (0..draw.between(least, most)).map(of_plan).collect()
}
