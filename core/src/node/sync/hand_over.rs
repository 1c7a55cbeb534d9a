//! What a node that leaves hands over: each live member that it reaches is compared with until it lacks nothing of what it is to have
//! and this node has. Not reached is also who has lost its link a moment ago, so that is not enough: of what lies here two holders,
//! or all if there are fewer, must have said so since the node began to leave. One alone may have been lost since, or lie.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::turn::mark;
use super::{finish, mark_later};
use crate::ids::NodeId;
use crate::node::context::Context;
use crate::node::{cluster, neighbours};
use crate::{planted, sometimes};

/// A peer that lacks no more records than this of what it is to be handed over is compared with again soon.
const SOON: u64 = 1_024;

/// How many must have what lies here, if so many are to.
const HOLDERS: usize = 2;

/// All live members are to be compared with before this node leaves.
pub(crate) fn begin_to_hand_over(cx: &mut Context) {
    if cx.sync.asking.is_some() {
        // What it compares is what the peer was to have before.
        finish(cx, false);
    }
    cx.sync.settled.clear();
    cx.sync.lacking.clear();
}

/// How many records are still to be handed over to those that are reached, as far as it is known: how many they lack, and one for
/// each that was not compared with since the node began to leave. Those that lack something are compared with again, `in_haste` soon.
pub(crate) fn to_hand_over(cx: &mut Context, in_haste: bool) -> u64 {
    let mut rest: u64 = 0;
    for node in reached(cx) {
        let lacking = cx.sync.lacking.get(&node).copied();
        if lacking != Some(0) {
            rest = rest.saturating_add(lacking.unwrap_or(1));
            // To tell of many again and again costs more than to wait.
            let is_soon = lacking.is_none_or(|lacking| in_haste && lacking <= SOON);
            if is_soon { mark(cx, node) } else { mark_later(cx, node) }
        }
    }
    rest
}

/// How many records too few of their holders have, if those that are reached have all that they are to have.
pub(crate) fn on_too_few(cx: &mut Context) -> u64 {
    if planted!(cx.simulation, LeaveCountsTheUnreached) {
        return 0;
    }
    let reached = reached(cx);
    let Some(summary) = cx.records.summary() else { return 1 };
    let places: Vec<_> = summary.all().filter(|(_, sum)| !sum.is_empty()).collect();
    let mut short = 0;
    for (place, sum) in places {
        let is_enough = cluster::are_enough(cx, place, HOLDERS, |node| reached.contains(&node));
        short += if is_enough { 0 } else { sum.count() };
    }
    if short > 0 {
        sometimes!(cx.simulation, "leave.waits-for-holders");
    }
    short
}

fn reached(cx: &Context) -> BTreeSet<NodeId> {
    let is_other = |node: &NodeId| *node != cx.me && neighbours::can_be_asked(cx, *node);
    cx.service.members().keys().copied().filter(is_other).collect()
}
