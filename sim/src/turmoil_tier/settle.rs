//! After the plan: the core of the cluster is healed, comes to rest, and answers what a judge wants to know.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::TurmoilTier;
use crate::store::{Event, Op, OpKind, View};
use crate::system::Step;

/// A cluster is at rest when nothing but heartbeats has happened for so long.
const QUIET: Duration = Duration::from_secs(1);

/// How long until it is looked again whether deliveries are owed: that reads whole disks.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Questions of the judge that a node answers at once.
const QUESTIONS_AT_ONCE: usize = 2;

/// How far the cluster has settled.
#[derive(Debug, Default)]
pub(super) struct Settling {
    phase: Phase,
    /// When the core was healed.
    healed_at: Duration,
    /// When it is looked next whether anything is owed.
    look_at: Duration,
    /// Questions that are still to be asked, by node.
    to_ask: BTreeMap<usize, VecDeque<(usize, Op)>>,
    /// Questions under way, and at which node.
    asked: BTreeMap<usize, usize>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// The plan is not over.
    #[default]
    Planned,
    /// The core comes to rest.
    Resting,
    /// It is asked.
    Judged,
    /// All is said.
    Over,
}

impl Settling {
    pub(super) fn is_healed(&self) -> bool {
        self.phase != Phase::Planned
    }

    pub(super) fn ended(&mut self, op: usize) {
        self.asked.remove(&op);
    }
}

impl TurmoilTier {
    /// Goes on until something happens; whether there is more to come.
    pub(super) fn settle_on(&mut self) -> bool {
        let now = self.sim.elapsed();
        let left =
            Duration::from_micros(self.scenario.settle_us).saturating_sub(now.saturating_sub(self.settling.healed_at));
        match self.settling.phase {
            Phase::Planned => self.heal(),
            Phase::Over => return false,
            Phase::Resting | Phase::Judged if left.is_zero() => self.settling.phase = Phase::Over,
            Phase::Resting => {
                self.step();
                if (self.is_at_rest() && !self.is_anything_owed())
                    || left * 2 <= Duration::from_micros(self.scenario.settle_us)
                {
                    self.settling.to_ask = self.questions();
                    self.settling.phase = Phase::Judged;
                }
            }
            Phase::Judged => {
                self.ask();
                if self.settling.asked.is_empty() && self.settling.to_ask.values().all(VecDeque::is_empty) {
                    self.settling.phase = Phase::Over;
                } else {
                    self.step();
                }
            }
        }
        true
    }

    /// Ends all faults that touch the core, starts its nodes, and cuts all others off.
    fn heal(&mut self) {
        self.settling.phase = Phase::Resting;
        self.settling.healed_at = self.sim.elapsed();
        for (id, fault) in self.board.active() {
            let nodes = fault.nodes();
            if nodes.is_empty() || nodes.iter().any(|node| self.scenario.core.contains(node)) {
                self.end_fault(id, &fault);
            }
        }
        for node in self.scenario.core.clone() {
            self.held_down[node].clear();
            self.restart_if_degraded(node);
            self.start_if_free(node);
        }
        self.update_ways();
        self.board.calm();
        self.board.emit(Event::Healed);
    }

    /// Whether all nodes of the core are linked and nothing but heartbeats has happened for a while.
    fn is_at_rest(&self) -> bool {
        let core = &self.scenario.core;
        let is_linked = core.iter().all(|node| {
            let shown = self.hosts[*node].status.shown();
            let others: BTreeSet<usize> = shown.links.values().copied().collect();
            shown.is_up && core.iter().all(|other| other == node || others.contains(other))
        });
        let is_idle = core.iter().all(|node| self.board.open_at(*node).is_empty());
        let now = self.sim.elapsed();
        is_linked
            && is_idle
            && now >= self.settling.look_at
            && now >= self.board.busy_at().max(self.settling.healed_at) + QUIET
    }

    /// Whether a node of the core owes another a record.
    fn is_anything_owed(&mut self) -> bool {
        self.settling.look_at = self.sim.elapsed() + LOOK_AGAIN;
        let core = self.scenario.core.clone();
        let owed: Vec<Vec<u8>> = core.iter().map(|node| [&b"O"[..], &self.node_id(*node).0].concat()).collect();
        let is_owed = |key: &[u8]| owed.iter().any(|prefix| key.starts_with(prefix));
        core.iter().any(|node| self.contents(*node).rows.iter().any(|(key, _)| is_owed(key)))
    }

    /// A list at each node of the core, then every file that its owner ever put.
    fn questions(&self) -> BTreeMap<usize, VecDeque<(usize, Op)>> {
        let plan = &self.scenario.plan;
        let mut next = plan.ops.iter().map(|op| op.id + 1).max().unwrap_or(0);
        let mut questions = BTreeMap::new();
        for node in self.scenario.core.iter().copied() {
            let owner = self.scenario.nodes[node].owner;
            let puts = plan.ops.iter().filter(|op| self.scenario.nodes[op.what.node].owner == owner);
            let files: BTreeSet<u32> = puts
                .filter_map(|op| if let OpKind::Put { file, .. } = &op.what.what { Some(*file) } else { None })
                .collect();
            let gets = files.into_iter().map(OpKind::get);
            let of_node: &mut VecDeque<(usize, Op)> = questions.entry(node).or_default();
            for what in std::iter::once(OpKind::List).chain(gets) {
                of_node.push_back((next, Op { node, what }));
                next += 1;
            }
        }
        questions
    }

    fn ask(&mut self) {
        let mut asked = Vec::new();
        for (node, questions) in &mut self.settling.to_ask {
            let under_way = self.settling.asked.values().filter(|at| *at == node).count();
            let now = questions.len().min(QUESTIONS_AT_ONCE.saturating_sub(under_way));
            asked.extend(questions.drain(..now));
        }
        for (id, op) in asked {
            self.settling.asked.insert(id, op.node);
            self.call(id, &op);
        }
    }
}
