//! How faults begin and end here. Those that are not mentioned are looked up where they strike, on the [`Board`](super::board).

use std::time::Duration;

use forever_net_tokio::store::memory_fs::{self, MemoryFs};

use super::TurmoilTier;
use super::tier::Due;
use crate::draw::Site;
use crate::store::{DiskLoss, Fault};

/// Accesses of the disk after which the power goes, at most: it goes in the middle of something then.
const ACCESSES_MAX: u64 = 24;

/// How long the power lasts in any case.
const POWER_LASTS: Duration = Duration::from_millis(50);

const POWER: Site = Site::new("turmoil.power");
const POWER_LEFT: Site = Site::new("turmoil.power.left");
const CLOG: Site = Site::new("turmoil.clog");

impl TurmoilTier {
    pub(super) fn begin_fault(&mut self, id: usize, fault: &Fault) {
        self.trace.record_value(self.sim.elapsed(), "tier", "begin", &(id as u64, fault));
        self.board.begin(id, fault.clone());
        match fault {
            Fault::Partition { .. }
            | Fault::OneWay { .. }
            | Fault::Hold { .. }
            | Fault::LatencySpike { .. }
            | Fault::SlowPair { .. } => self.update_ways(),
            Fault::HalfOpen { node } => {
                if self.wire.vanish_others(*node) {
                    self.board.bite(id);
                }
            }
            Fault::Clog { pairs } => self.clog(id, pairs),
            Fault::Stranger { node, approach } => {
                if let Some(stranger) = &self.stranger {
                    stranger.dial(id, *node, self.hosts[*node].port(), *approach);
                }
            }
            Fault::Crash { node } => self.hold_down(id, *node, false),
            Fault::Moved { node } => {
                self.hold_down(id, *node, false);
                let moves = &self.hosts[*node].moves;
                moves.set(moves.get() + 1);
                self.board.bite(id);
            }
            // A node that runs already has started.
            Fault::SlowStart { node } => {
                if !self.hosts[*node].is_wanted.get() {
                    self.held_down[*node].insert(id);
                    self.board.bite(id);
                }
            }
            Fault::PowerLoss { node } => self.begin_power_loss(id, *node),
            Fault::Pause { node } => self.hosts[*node].gate.pause(id),
            Fault::LostDisk { node } => {
                self.hold_down(id, *node, true);
                self.board.lost(*node, DiskLoss::All);
                self.board.bite(id);
            }
            Fault::BitRot { node, per_mille } => self.hosts[*node].fs.borrow().rot(id, *per_mille),
            Fault::IndexRot { node, bits } => {
                self.hold_down(id, *node, false);
                self.hosts[*node].fs.borrow().rot_index(id, *bits);
            }
            Fault::Liar { node, .. } => self.board.lost(*node, DiskLoss::Unknown),
            Fault::Bandwidth { .. }
            | Fault::DropBytes { .. }
            | Fault::DuplicateBytes { .. }
            | Fault::ReorderBytes { .. }
            | Fault::Resets { .. }
            | Fault::Skew { .. }
            | Fault::Drift { .. }
            | Fault::Jump { .. }
            | Fault::ReadErrors { .. }
            | Fault::WriteErrors { .. }
            | Fault::SyncErrors { .. }
            | Fault::Full { .. }
            | Fault::SlowDisk { .. }
            | Fault::StalledDisk { .. }
            | Fault::Misdirected { .. }
            | Fault::LostDirSyncs { .. } => {}
        }
    }

    pub(super) fn end_fault(&mut self, id: usize, fault: &Fault) {
        self.trace.record_value(self.sim.elapsed(), "tier", "end", &(id as u64, fault));
        if let Fault::BitRot { node, per_mille } = fault {
            // What was written meanwhile rots as well.
            self.hosts[*node].fs.borrow().rot(id, *per_mille);
        }
        self.board.end(id);
        match fault {
            Fault::Partition { .. }
            | Fault::OneWay { .. }
            | Fault::Hold { .. }
            | Fault::LatencySpike { .. }
            | Fault::SlowPair { .. } => self.update_ways(),
            Fault::Clog { pairs } => {
                pairs.iter().for_each(|pair| self.wire.clog(id, *pair, false));
                self.update_ways();
            }
            Fault::Crash { node }
            | Fault::Moved { node }
            | Fault::SlowStart { node }
            | Fault::PowerLoss { node }
            | Fault::IndexRot { node, .. }
            | Fault::LostDisk { node } => {
                if self.failing.contains_key(node) {
                    self.lose_power(*node);
                }
                self.held_down[*node].remove(&id);
                self.start_if_free(*node);
            }
            Fault::Pause { node } => self.hosts[*node].gate.resume(id),
            Fault::SyncErrors { node, .. } => self.restart_if_degraded(*node),
            Fault::LostDirSyncs { node } => self.show_lost_names(*node),
            Fault::HalfOpen { .. }
            | Fault::Stranger { .. }
            | Fault::BitRot { .. }
            | Fault::Liar { .. }
            | Fault::Bandwidth { .. }
            | Fault::DropBytes { .. }
            | Fault::DuplicateBytes { .. }
            | Fault::ReorderBytes { .. }
            | Fault::Resets { .. }
            | Fault::Skew { .. }
            | Fault::Drift { .. }
            | Fault::Jump { .. }
            | Fault::ReadErrors { .. }
            | Fault::WriteErrors { .. }
            | Fault::Full { .. }
            | Fault::SlowDisk { .. }
            | Fault::StalledDisk { .. }
            | Fault::Misdirected { .. } => {}
        }
    }

    /// Ends a node's process until the fault ends; its disk may be replaced by an empty one.
    fn hold_down(&mut self, id: usize, node: usize, is_emptied: bool) {
        if self.failing.contains_key(&node) {
            self.lose_power(node);
        }
        self.held_down[node].insert(id);
        if self.hosts[node].is_wanted.get() {
            self.board.bite(id);
        }
        let left = if is_emptied {
            self.hosts[node].fs.borrow().forget();
            MemoryFs::new()
        } else {
            self.hosts[node].fs.borrow().memory().after_kill()
        };
        self.take_down(node, left, false);
    }

    fn begin_power_loss(&mut self, id: usize, node: usize) {
        self.held_down[node].insert(id);
        if self.hosts[node].is_wanted.get() {
            self.board.bite(id);
        }
        let accesses = self.board.draw_of(POWER, id, 0).below(ACCESSES_MAX);
        if accesses == 0 || !self.hosts[node].is_wanted.get() {
            return self.lose_power(node);
        }
        self.hosts[node].fs.borrow().memory().fail(accesses, memory_fs::Fault::Crash);
        self.failing.insert(node, self.sim.elapsed() + POWER_LASTS);
    }

    /// Ends the processes whose power has gone in the step that was.
    pub(super) fn lose_power_that_fails(&mut self) {
        let now = self.sim.elapsed();
        let is_gone =
            |node: &usize, by: &std::time::Duration| *by <= now || self.hosts[*node].fs.borrow().memory().is_dead();
        let gone: Vec<usize> =
            self.failing.iter().filter(|(node, by)| is_gone(node, by)).map(|(node, _)| *node).collect();
        for node in gone {
            self.lose_power(node);
        }
    }

    fn lose_power(&mut self, node: usize) {
        self.failing.remove(&node);
        let host = &self.hosts[node];
        let seed = self.board.draw_of(POWER_LEFT, node, host.starts.get()).next();
        let left = host.fs.borrow().after_power_loss(seed);
        self.take_down(node, left, true);
    }

    /// The power goes for a moment: only that shows that names were not synced.
    fn show_lost_names(&mut self, node: usize) {
        self.lose_power(node);
        self.start_if_free(node);
    }

    /// A disk that failed to sync is not trusted until the node starts again, which its operator sees to.
    pub(super) fn restart_if_degraded(&mut self, node: usize) {
        let is_degraded = self.open_store(node).is_some_and(|store| store.is_degraded());
        if is_degraded {
            self.restart(node);
        }
    }

    /// Kills a node's process and starts it again.
    pub(super) fn restart(&mut self, node: usize) {
        let left = self.hosts[node].fs.borrow().memory().after_kill();
        self.take_down(node, left, false);
        self.start_if_free(node);
    }

    /// The pairs clog one after the other in the first half of the fault, and clear in another order in the second.
    fn clog(&mut self, id: usize, pairs: &[(usize, usize)]) {
        let planned = self.scenario.plan.faults.iter().find(|planned| planned.id == id);
        let span_us = planned.map_or(0, |planned| planned.until_us.saturating_sub(planned.from_us));
        let now = self.sim.elapsed();
        let at = |nth: usize| now + Duration::from_micros(span_us * nth as u64 / (2 * pairs.len().max(1)) as u64);
        for (nth, pair) in pairs.iter().enumerate() {
            self.schedule(at(nth), Due::Clog { fault: id, pair: *pair, clogged: true });
        }
        let mut order = pairs.to_vec();
        self.board.draw_of(CLOG, id, 0).shuffle(&mut order);
        for (nth, pair) in order.iter().enumerate() {
            self.schedule(at(pairs.len() + nth), Due::Clog { fault: id, pair: *pair, clogged: false });
        }
    }
}
