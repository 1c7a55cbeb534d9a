//! Where a write goes: to the holders of its name, and to the next in rank in place of each that cannot take it (sloppy
//! placement; DeCandia et al., "Dynamo", SOSP 2007). Whoever holds it in place of another hands it on later.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use crate::ids::{NameId, NodeId};
use crate::node::cluster::{self, Reach};
use crate::node::context::Context;
use crate::node::neighbours;
use crate::placement::Replicas;
use crate::sometimes;
use crate::time::Monotonic;

/// Who is to be told of a write.
#[derive(Debug)]
pub(crate) struct Targets {
    name: NameId,
    replicas: Replicas,
    /// Nodes that are being connected to, and since when.
    coming: BTreeMap<NodeId, Monotonic>,
    /// Nodes that did not come or would not take it, since they were linked last.
    failed: BTreeSet<NodeId>,
}

impl Targets {
    pub(crate) fn new(name: NameId, replicas: Replicas) -> Self {
        Self { name, replicas, coming: BTreeMap::new(), failed: BTreeSet::new() }
    }

    /// The holders, this node not among them.
    pub(crate) fn holders(&self, cx: &mut Context) -> Vec<NodeId> {
        let me = cx.me;
        cluster::holders(cx, self.name, self.replicas).into_iter().filter(|node| *node != me).collect()
    }

    /// Whom to bring it to now, over links that stand: every holder, and as many of those behind them as it takes until so many
    /// nodes that may come to have it are to hold it, and a write can be acknowledged. Those in `having` have it and need no link.
    pub(crate) fn pick(&mut self, cx: &mut Context, having: &BTreeSet<NodeId>) -> Vec<NodeId> {
        let ranked = cluster::rank(cx, self.name);
        let holders = self.holders(cx).len();
        let wanted = holders.max(cx.write_quorum() as usize - 1);
        let mut picked = Vec::new();
        let mut fit = 0;
        let me = cx.me;
        for (place, node) in ranked.iter().copied().filter(|node| *node != me).enumerate() {
            if place >= holders && fit >= wanted {
                break;
            }
            if self.failed.contains(&node) {
                continue;
            }
            if having.contains(&node) && neighbours::is_on_demand(cx, node) {
                fit += 1;
                continue;
            }
            match cluster::reach(cx, node) {
                Reach::Linked => {
                    if place >= holders {
                        sometimes!(cx.simulation, "targets.stand-in");
                    }
                    picked.push(node);
                    fit += 1;
                }
                Reach::Coming => {
                    self.coming.entry(node).or_insert(cx.now.mono);
                    fit += 1;
                }
                Reach::Away => {}
            }
        }
        picked
    }

    /// A node can be talked to.
    pub(crate) fn on_ready(&mut self, node: NodeId) {
        self.coming.remove(&node);
        self.failed.remove(&node);
    }

    /// A node does not come, or does not take it: the next in rank does.
    pub(crate) fn fail(&mut self, node: NodeId) {
        self.coming.remove(&node);
        self.failed.insert(node);
    }

    /// A node has taken something after all.
    pub(crate) fn on_progress(&mut self, node: NodeId) {
        self.failed.remove(&node);
    }

    /// Those that would not take it may take it by now.
    pub(crate) fn try_all_again(&mut self) {
        self.failed.clear();
    }

    /// Nodes that have been coming for too long are no longer waited for.
    pub(crate) fn lose_patience(&mut self, now: Monotonic, patience: Duration) {
        let late = |(node, since): (&NodeId, &Monotonic)| (now - *since >= patience).then_some(*node);
        let late: Vec<NodeId> = self.coming.iter().filter_map(late).collect();
        for node in late {
            self.fail(node);
        }
    }

    /// Whether somebody is being connected to.
    pub(crate) fn is_coming(&self) -> bool {
        !self.coming.is_empty()
    }
}
