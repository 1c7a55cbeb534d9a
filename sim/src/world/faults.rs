//! How each fault begins and ends.

use super::host::empty_disk;
use super::net::Delay;
use super::{World, record};
use crate::store::liar::Liar;
use crate::store::{DiskLoss, Event, Fault};

/// How long TCP waits at most before it tries again what did not pass, in microseconds.
const RETRANSMIT_US_MAX: u64 = 400_000;

impl World {
    /// A fault took effect.
    pub(super) fn bite(&mut self, fault: usize) {
        if fault != super::net::CUT_OFF && self.bitten.insert(fault) {
            self.tell_oracles(Event::Bit { fault });
        }
    }

    pub(super) fn begin_fault(&mut self, id: usize, fault: &Fault) {
        record::other(&self.trace, self.now_us, "plan", "fault", &(id, fault));
        self.active.insert(id, fault.clone());
        match fault {
            Fault::Partition { .. }
            | Fault::OneWay { .. }
            | Fault::Hold { .. }
            | Fault::LatencySpike { .. }
            | Fault::SlowPair { .. }
            | Fault::Bandwidth { .. }
            | Fault::DropBytes { .. }
            | Fault::DuplicateBytes { .. }
            | Fault::ReorderBytes { .. }
            | Fault::Resets { .. }
            | Fault::HalfOpen { .. }
            | Fault::Clog { .. }
            | Fault::Stranger { .. } => self.begin_network(id, fault),
            // No file here that could rot: see `Fault::works_in`.
            Fault::IndexRot { .. } => {}
            Fault::Crash { .. }
            | Fault::PowerLoss { .. }
            | Fault::Pause { .. }
            | Fault::LostDisk { .. }
            | Fault::SlowStart { .. }
            | Fault::Moved { .. } => self.begin_process(id, fault),
            Fault::Skew { node, ahead_ms } | Fault::Jump { node, ahead_ms } => {
                self.hosts[*node].clock.shift(id, *ahead_ms);
            }
            Fault::Drift { node, ppm } => {
                self.hosts[*node].clock.drift(self.now_us, id, *ppm);
                self.rearm_timer(*node);
            }
            Fault::ReadErrors { node, .. }
            | Fault::WriteErrors { node, .. }
            | Fault::SyncErrors { node, .. }
            | Fault::SlowDisk { node, .. }
            | Fault::StalledDisk { node }
            | Fault::Misdirected { node, .. }
            | Fault::LostDirSyncs { node } => {
                self.hosts[*node].disk_faults.insert(id, fault.clone());
            }
            Fault::Full { node, .. } => {
                self.hosts[*node].disk_faults.insert(id, fault.clone());
                self.measure_disk(*node);
            }
            Fault::BitRot { node, per_mille } => self.rot(id, *node, *per_mille),
            Fault::Liar { node, lie } => {
                let liar = Liar::new(*lie, self.draws, id as u64);
                self.hosts[*node].liars.insert(id, liar);
                self.tell_oracles(Event::Lost { node: *node, what: DiskLoss::Unknown });
            }
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "called for faults of the network only")]
    fn begin_network(&mut self, id: usize, fault: &Fault) {
        match fault {
            Fault::Partition { these, those } => {
                for (a, b) in these.iter().flat_map(|a| those.iter().map(move |b| (*a, *b))) {
                    self.block(id, a, b);
                    self.block(id, b, a);
                }
            }
            Fault::OneWay { from, to } => self.block(id, *from, *to),
            Fault::Hold { a, b } => {
                self.block(id, *a, *b);
                self.block(id, *b, *a);
            }
            Fault::LatencySpike { extra_ms } => {
                self.net.delays.insert(id, Delay::UpTo { extra_us: u64::from(*extra_ms) * 1_000 });
            }
            Fault::SlowPair { a, b, extra_ms } => {
                let extra_us = u64::from(*extra_ms) * 1_000;
                self.net.delays.insert(id, Delay::Pair { a: *a, b: *b, extra_us });
            }
            Fault::Bandwidth { node, bytes_per_s } => {
                self.net.limits.insert((*node, id), *bytes_per_s);
            }
            Fault::Resets { every_ms, .. } => self.next_reset(id, u64::from(*every_ms) * 1_000, 0),
            Fault::HalfOpen { node } => self.half_open(id, *node),
            Fault::Clog { pairs } => self.plan_clogs(id, pairs.len()),
            // No channel here: see `Fault::works_in`.
            _ => {}
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "called for faults of processes only")]
    fn begin_process(&mut self, id: usize, fault: &Fault) {
        match fault {
            Fault::Crash { node } => self.take_down(id, *node, false),
            Fault::PowerLoss { node } => self.take_down(id, *node, true),
            Fault::LostDisk { node } => {
                self.take_down(id, *node, false);
                let host = &mut self.hosts[*node];
                host.disk = empty_disk(&host.config);
                host.unsynced.clear();
                self.measure_disk(*node);
                self.bite(id);
                self.tell_oracles(Event::Lost { node: *node, what: DiskLoss::All });
            }
            Fault::Moved { node } => {
                self.take_down(id, *node, false);
                self.hosts[*node].move_on(*node);
                self.bite(id);
            }
            Fault::SlowStart { node } if self.hosts[*node].process.is_none() => {
                self.hosts[*node].held_down_by.insert(id);
                self.bite(id);
            }
            Fault::Pause { node } => {
                self.hosts[*node].paused_by.insert(id);
            }
            // A node that runs already has started.
            _ => {}
        }
    }

    fn take_down(&mut self, id: usize, node: usize, powerless: bool) {
        self.hosts[node].held_down_by.insert(id);
        if self.hosts[node].process.is_some() {
            self.bite(id);
        }
        self.kill(node, powerless);
        if powerless {
            self.lose_names(node);
        }
    }

    pub(super) fn end_fault(&mut self, id: usize, fault: &Fault) {
        record::other(&self.trace, self.now_us, "plan", "fault-end", &(id, fault));
        if self.active.remove(&id).is_none() {
            return;
        }
        match fault {
            Fault::Partition { .. } => self.unblock(id, RETRANSMIT_US_MAX),
            Fault::OneWay { .. } => self.unblock(id, RETRANSMIT_US_MAX),
            Fault::Hold { .. } | Fault::Clog { .. } => self.unblock(id, 0),
            Fault::LatencySpike { .. } | Fault::SlowPair { .. } => drop(self.net.delays.remove(&id)),
            Fault::Bandwidth { node, .. } => drop(self.net.limits.remove(&(*node, id))),
            Fault::Resets { .. } => self.spare(id),
            Fault::DropBytes { .. }
            | Fault::DuplicateBytes { .. }
            | Fault::ReorderBytes { .. }
            | Fault::HalfOpen { .. }
            | Fault::Stranger { .. }
            | Fault::IndexRot { .. }
            | Fault::BitRot { .. } => {}
            Fault::Crash { node }
            | Fault::PowerLoss { node }
            | Fault::LostDisk { node }
            | Fault::SlowStart { node }
            | Fault::Moved { node } => {
                self.hosts[*node].held_down_by.remove(&id);
                self.boot(*node);
            }
            Fault::Pause { node } => self.go_on(id, *node),
            Fault::Skew { node, .. } | Fault::Jump { node, .. } | Fault::Drift { node, .. } => {
                self.hosts[*node].clock.heal(self.now_us, id);
                self.rearm_timer(*node);
            }
            Fault::LostDirSyncs { node } => self.end_lost_dir_syncs(id, *node),
            Fault::ReadErrors { node, .. }
            | Fault::WriteErrors { node, .. }
            | Fault::SlowDisk { node, .. }
            | Fault::Misdirected { node, .. } => drop(self.hosts[*node].disk_faults.remove(&id)),
            Fault::SyncErrors { node, .. } => {
                self.hosts[*node].disk_faults.remove(&id);
                self.restart_if_degraded(*node);
            }
            Fault::StalledDisk { node } => {
                self.hosts[*node].disk_faults.remove(&id);
                self.resume_disk(*node);
            }
            Fault::Full { node, .. } => {
                self.hosts[*node].disk_faults.remove(&id);
                self.measure_disk(*node);
            }
            Fault::Liar { node, .. } => drop(self.hosts[*node].liars.remove(&id)),
        }
    }

    /// Whoever mends a disk starts the node again whose syncs failed on it: until then it acknowledges nothing.
    fn restart_if_degraded(&mut self, node: usize) {
        if self.hosts[node].process.is_some() && self.hosts[node].disk.is_degraded() {
            self.kill(node, false);
            self.boot(node);
        }
    }

    /// The power goes for a moment: only that shows that names were not synced.
    fn end_lost_dir_syncs(&mut self, id: usize, node: usize) {
        let was_up = self.hosts[node].process.is_some();
        self.kill(node, true);
        self.lose_names(node);
        self.hosts[node].disk_faults.remove(&id);
        self.hosts[node].unsynced.clear();
        if was_up {
            self.boot(node);
        }
    }

    /// A stopped process goes on: all that it missed comes now, in order.
    fn go_on(&mut self, id: usize, node: usize) {
        self.hosts[node].paused_by.remove(&id);
        if self.hosts[node].is_paused() {
            return;
        }
        for happening in std::mem::take(&mut self.hosts[node].backlog) {
            self.bite(id);
            self.queue.push(self.now_us, happening);
        }
        self.rearm_timer(node);
        self.resume_arrivals(node);
    }

    /// The free space of a disk is that of the fullest that a fault makes it.
    #[expect(clippy::wildcard_enum_match_arm, reason = "no other fault fills a disk")]
    fn measure_disk(&mut self, node: usize) {
        let host = &mut self.hosts[node];
        let free = host.disk_faults.values().filter_map(|fault| match fault {
            Fault::Full { free_bytes, .. } => Some(*free_bytes),
            _ => None,
        });
        let free = free.min();
        host.disk.set_free(free);
    }

    /// The clock runs otherwise now: the next deadline comes at another time.
    fn rearm_timer(&mut self, node: usize) {
        if let Some(process) = &mut self.hosts[node].process {
            process.wake_us = u64::MAX;
        }
        self.arm_timer(node);
    }
}
