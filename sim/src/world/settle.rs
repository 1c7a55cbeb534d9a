//! The end of a run: faults end, the core of the cluster comes to rest, and a judge asks every node of it for everything.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use forever_core::ids::OwnerId;

use super::World;
use super::net::CUT_OFF;
use crate::store::judge::{self, Questions, is_of_interest, note_least};
use crate::store::oracles::history;
use crate::store::{Contents, Event, Fault, Op, View};
use crate::system::Step as _;

/// How often it is looked whether the cluster has come to rest.
const LOOK_US: u64 = 1_000_000;

/// How long nothing must be owed before the judge begins: what is decided later than it is written still gets done.
const REST_US: u64 = 3_000_000;

/// For how long after the core is healed its nodes are busy as before, and its disks fail as the plan has it: networks come back first.
const AFTERMATH_US: u64 = 10_000_000;

/// What lies on the disk of a node that runs.
type Disk = Option<Arc<Contents>>;

/// What the disks of the core had when it was last looked whether all names lie where they belong, and whether they did.
pub(super) type Placed = Option<(Vec<Disk>, bool)>;

/// How far the end has come.
#[derive(Debug, Default)]
pub(super) enum Phase {
    /// The plan still goes on.
    #[default]
    Plan,
    /// Healed; nothing was owed since.
    Rest { until_us: u64, quiet_since_us: Option<u64> },
    /// The judge asks.
    Judge { until_us: u64, questions: Questions },
    /// All is said.
    Over,
}

/// Whose record the key of a record says.
fn owner_of(record_key: &[u8]) -> Option<OwnerId> {
    record_key.strip_prefix(b"R")?.first_chunk().copied().map(OwnerId)
}

impl World {
    /// The next piece of the end. False when it is over.
    pub(super) fn settle_on(&mut self) -> bool {
        match std::mem::take(&mut self.phase) {
            Phase::Plan => self.heal(),
            Phase::Rest { until_us, quiet_since_us } => self.rest(until_us, quiet_since_us),
            Phase::Judge { until_us, questions } => self.judge(until_us, questions),
            Phase::Over => {
                self.phase = Phase::Over;
                return false;
            }
        }
        true
    }

    /// Ends all faults of the core, starts its nodes, and cuts the others off as they are.
    fn heal(&mut self) {
        let core: BTreeSet<usize> = self.scenario.core.iter().copied().collect();
        for (id, fault) in self.active.clone() {
            let of_one_outside = match fault.family() {
                "network" => matches!(fault, Fault::HalfOpen { node } if !core.contains(&node)),
                _ => fault.nodes().iter().any(|node| !core.contains(node)),
            };
            if !of_one_outside && !self.outlasts(id, &fault) {
                self.end_fault(id, &fault);
            }
        }
        for a in 0..self.hosts.len() {
            for b in 0..self.hosts.len() {
                if core.contains(&a) != core.contains(&b) {
                    self.block(CUT_OFF, a, b);
                }
            }
        }
        for number in 0..self.hosts.len() {
            if core.contains(&number) {
                self.hosts[number].held_down_by.clear();
                // Whoever heals a disk that acknowledges nothing any more, or a node that lied, starts it again: what a liar
                // kept from the wire its core may wait for.
                if self.hosts[number].disk.is_degraded() || self.scenario.lies(number) {
                    self.kill(number, false);
                }
                self.boot(number);
            } else if self.hosts[number].is_paused() {
                // A process that will never go on is as good as one without power.
                self.kill(number, true);
            }
        }
        if self.scenario.is_damaged() {
            self.end_aftermath();
        }
        self.tell_oracles(Event::Healed);
        self.phase = Phase::Rest { until_us: self.now_us + self.scenario.settle_us, quiet_since_us: None };
    }

    /// Whether a fault goes on for a while when the core is healed. What is damaged is mended by nodes that are left alone.
    fn outlasts(&self, id: usize, fault: &Fault) -> bool {
        let is_of_disk = matches!(fault, Fault::ReadErrors { .. } | Fault::WriteErrors { .. });
        let mut spans = self.scenario.plan.faults.iter();
        is_of_disk && !self.scenario.is_damaged() && spans.any(|span| span.id == id && span.until_us > self.now_us)
    }

    /// Ends what has gone on in the core since it was healed.
    fn end_aftermath(&mut self) {
        for (id, fault) in self.active.clone() {
            if fault.nodes().iter().all(|node| self.scenario.core.contains(node)) && fault.family() == "disk" {
                self.end_fault(id, &fault);
            }
        }
        for process in self.hosts.iter_mut().filter_map(|host| host.process.as_mut()) {
            process.node.calm();
        }
    }

    /// Waits until no operation runs, and for a while no delivery among the core has been owed, nothing was to be collected and
    /// all names lay where they belong; or until only as much of the time is left as the judge may need.
    fn rest(&mut self, until_us: u64, quiet_since_us: Option<u64>) {
        let is_quiet = self.ops.running.is_empty()
            && !self.is_anything_owed()
            && !self.is_anything_collected()
            && self.is_everything_placed();
        let quiet_since_us = is_quiet.then(|| quiet_since_us.unwrap_or(self.now_us));
        self.note_left_over(is_quiet);
        let healed_us = until_us - self.scenario.settle_us;
        let has_rested = quiet_since_us.is_some_and(|since_us| self.now_us - since_us >= REST_US)
            && self.now_us - healed_us >= self.scenario.rest_us_min();
        let last_us = until_us - self.scenario.settle_us / 4;
        let is_troubled = self.now_us - healed_us < AFTERMATH_US;
        if has_rested || !is_troubled {
            self.end_aftermath();
        }
        if has_rested || self.now_us >= last_us {
            if !has_rested {
                self.note_left_over(false);
            }
            let until_us = until_us.max(self.now_us + self.scenario.slowest_read_us());
            self.phase = Phase::Judge { until_us, questions: Questions::new(&self.scenario, has_rested) };
            return;
        }
        self.phase = Phase::Rest { until_us, quiet_since_us };
        self.run_until((self.now_us + LOOK_US).min(last_us));
    }

    /// Remembers the least that each node has had under way since the cluster is quiet.
    fn note_left_over(&mut self, is_quiet: bool) {
        for host in &mut self.hosts {
            if is_quiet && !is_of_interest(&host.left_over) {
                continue;
            }
            let under_way = host.process.as_ref().map_or(Vec::new(), |process| process.node.under_way());
            note_least(&mut host.left_over, is_quiet, under_way);
        }
    }

    /// Whether a node of the core cannot reach another, or owes it a record that may find room there.
    fn is_anything_owed(&self) -> bool {
        let core = &self.scenario.core;
        core.iter().any(|a| {
            let linked = self.linked(*a);
            let can_link = |b: usize| {
                let process = self.hosts[*a].process.as_ref();
                process.is_some_and(|process| process.node.can_ask(self.hosts[b].id))
            };
            core.iter().filter(|b| *b != a).any(|b| {
                let debts = [&b"O"[..], &self.hosts[*b].id.0].concat();
                let disk = &self.hosts[*a].disk;
                let is_due = |record_key: &[u8]| {
                    // That of a record that has gone is struck off when it is looked at.
                    !disk.has_key_from(record_key)
                        || owner_of(record_key).is_none_or(|owner| !history::may_lack_room(self, *b, owner))
                };
                let is_owed = disk.keys_from(&debts).filter_map(|key| key.strip_prefix(&debts[..])).any(is_due);
                !linked.contains(b) && !can_link(*b) || is_owed
            })
        })
    }

    /// [`judge::is_everything_placed`], looked at again only when a disk of the core has changed, or who runs.
    fn is_everything_placed(&mut self) -> bool {
        let core = self.scenario.core.clone();
        let disks: Vec<_> = core.iter().map(|node| self.is_up(*node).then(|| self.contents(*node))).collect();
        let is_same = |(one, other): (&Disk, &Disk)| match (one, other) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if let Some((seen, is_placed)) = &self.placed
            && seen.iter().zip(&disks).all(is_same)
        {
            return *is_placed;
        }
        let is_placed = judge::is_everything_placed(self);
        self.placed = Some((disks, is_placed));
        is_placed
    }

    /// Whether a node of the core has something on its disk that will go within the time there is: a doomed page, or a lease.
    fn is_anything_collected(&self) -> bool {
        let ends = self.scenario.ends_leases();
        let waits = |number: &usize| {
            let disk = &self.hosts[*number].disk;
            disk.has_key_from(b"D") || ends && (disk.has_key_from(b"L") || disk.has_key_from(b"M"))
        };
        self.scenario.core.iter().any(waits)
    }

    fn judge(&mut self, until_us: u64, mut questions: Questions) {
        let open: Vec<Op> = self.ops.running.values().cloned().collect();
        for (id, op) in questions.next(&open) {
            self.start_op(id, &op);
        }
        if (questions.is_empty() && self.ops.running.is_empty()) || self.now_us >= until_us {
            // Whoever was asked last may have left: the others hear of it, or their links to it end for want of an answer.
            let notice =
                if questions.have_sent_one_away() { self.scenario.config.link_timeout * 2 } else { Duration::ZERO };
            self.run_until(self.now_us + u64::try_from(notice.as_micros()).unwrap_or(u64::MAX));
            self.phase = Phase::Over;
            return;
        }
        self.phase = Phase::Judge { until_us, questions };
        self.run_until_event(until_us);
    }

    /// Goes on until a time, or until the oracles should look.
    fn run_until_event(&mut self, until_us: u64) {
        let mut events = std::mem::take(&mut self.events);
        self.advance_to(until_us, &mut events);
        self.events = events;
    }

    /// Goes on until a time, whatever happens.
    fn run_until(&mut self, until_us: u64) {
        let mut events = Vec::new();
        while self.now_us < until_us {
            self.advance_to(until_us, &mut events);
        }
        self.events = events;
    }

    /// The hosts to which a host has a link that stands at both ends.
    pub(super) fn linked(&self, number: usize) -> BTreeSet<usize> {
        self.stands(number).into_iter().collect()
    }
}
