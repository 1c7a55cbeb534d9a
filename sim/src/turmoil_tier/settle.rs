//! After the plan: the core of the cluster is healed, comes to rest, and answers what a judge wants to know.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::TurmoilTier;
use crate::store::judge::{self, Questions};
use crate::store::{Event, Op, View};
use crate::system::Step;

/// A cluster is at rest when nothing but heartbeats has happened for so long.
const QUIET: Duration = Duration::from_secs(1);

/// How long until it is looked again whether deliveries are owed: that reads whole disks.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// How far the cluster has settled.
#[derive(Debug, Default)]
pub(super) struct Settling {
    phase: Phase,
    /// When the core was healed.
    healed_at: Duration,
    /// When it is looked next whether anything is owed.
    look_at: Duration,
    /// Whether the core came to rest before the judge began.
    has_rested: bool,
    /// What is still to be asked, once it is.
    questions: Option<Questions>,
    /// Questions under way.
    asked: BTreeMap<usize, Op>,
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

    pub(super) fn has_rested(&self) -> bool {
        self.has_rested
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
                let may_rest = now - self.settling.healed_at >= Duration::from_micros(self.scenario.rest_us_min());
                let has_rested =
                    may_rest && self.is_at_rest() && !self.is_anything_owed() && judge::is_everything_placed(self);
                if has_rested || left * 2 <= Duration::from_micros(self.scenario.settle_us) {
                    self.settling.has_rested = has_rested;
                    self.settling.questions = Some(Questions::new(&self.scenario, false));
                    self.settling.phase = Phase::Judged;
                }
            }
            Phase::Judged => {
                self.ask();
                if self.settling.asked.is_empty() && self.settling.questions.as_ref().is_none_or(Questions::is_empty) {
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
            // What a liar kept from the wire its core may wait for.
            if self.scenario.lies(node) {
                self.restart(node);
            }
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
            shown.is_up && core.iter().filter(|other| *other != node).all(|other| others.contains(other))
        });
        let is_idle = core.iter().all(|node| self.board.open_at(*node).is_empty());
        let now = self.sim.elapsed();
        is_linked
            && is_idle
            && now >= self.settling.look_at
            && now >= self.board.busy_at().max(self.settling.healed_at) + QUIET
    }

    /// Whether a node of the core owes another a record, or has something on its disk that will go within the time there is.
    fn is_anything_owed(&mut self) -> bool {
        self.settling.look_at = self.sim.elapsed() + LOOK_AGAIN;
        let core = self.scenario.core.clone();
        let owed: Vec<Vec<u8>> = core.iter().map(|node| [&b"O"[..], &self.node_id(*node).0].concat()).collect();
        let ends = self.scenario.ends_leases();
        let goes = |key: &[u8]| matches!(key.first(), Some(b'D')) || ends && matches!(key.first(), Some(b'L' | b'M'));
        let is_owed = |key: &[u8]| goes(key) || owed.iter().any(|prefix| key.starts_with(prefix));
        core.iter().any(|node| self.contents(*node).rows.iter().any(|(key, _)| is_owed(key)))
    }

    fn ask(&mut self) {
        let Some(questions) = &mut self.settling.questions else { return };
        let open: Vec<Op> = self.settling.asked.values().cloned().collect();
        for (id, op) in questions.next(&open) {
            self.call(id, &op);
            self.settling.asked.insert(id, op);
        }
    }
}
