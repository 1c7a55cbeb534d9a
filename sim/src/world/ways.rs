//! What faults do to the ways between hosts: blocked and free again, clogged, reset.

use super::{Happening, World};
use crate::draw::Site;
use crate::store::Fault;

const RETRANSMIT: Site = Site::new("world.retransmit");
const CLOG: Site = Site::new("world.clog");
const RESET: Site = Site::new("world.reset");

/// How long pairs clog if the plan does not know the fault, in microseconds.
const CLOG_US: u64 = 2_000_000;

impl World {
    pub(super) fn block(&mut self, fault: usize, from: usize, to: usize) {
        if from != to {
            self.net.blocks.entry((from, to)).or_default().insert(fault);
        }
    }

    /// A fault no longer blocks anything. What it held comes after up to so many microseconds.
    pub(super) fn unblock(&mut self, fault: usize, after_us_max: u64) {
        let ways: Vec<(usize, usize)> =
            self.net.blocks.iter().filter(|(_, faults)| faults.contains(&fault)).map(|(way, _)| *way).collect();
        for way in ways {
            self.unblock_way(fault, way, after_us_max);
        }
    }

    fn unblock_way(&mut self, fault: usize, (from, to): (usize, usize), after_us_max: u64) {
        let Some(faults) = self.net.blocks.get_mut(&(from, to)) else { return };
        if !faults.remove(&fault) || !faults.is_empty() {
            return;
        }
        self.net.blocks.remove(&(from, to));
        let way = self.net.way(from, to);
        let after_us = self.draw(RETRANSMIT, way, fault as u64).below(after_us_max + 1);
        for conn in self.net.conns_of(from) {
            if let Some(side) = self.net.get(conn).and_then(|conn| conn.side_of_way(from, to)) {
                self.arm(conn, side, after_us);
            }
        }
        for conn in self.net.stuck.remove(&(from, to)).unwrap_or_default() {
            self.queue.push(self.now_us + after_us, Happening::Leg { conn });
        }
    }

    /// Pairs clog at drawn times in the first half of the fault's span, and clear in another order in the second.
    pub(super) fn plan_clogs(&mut self, id: usize, pairs: usize) {
        let planned = self.scenario.plan.faults.iter().find(|fault| fault.id == id);
        let span_us = planned.map_or(CLOG_US, |fault| fault.until_us.saturating_sub(self.now_us)).max(2);
        for pair in 0..pairs {
            let mut draw = self.draw(CLOG, id as u64, pair as u64);
            let (on_us, off_us) = (draw.below(span_us / 2), span_us / 2 + draw.below(span_us / 2));
            for (after_us, on) in [(on_us, true), (off_us, false)] {
                self.queue.push(self.now_us + after_us, Happening::Clog { fault: id, pair, on });
            }
        }
    }

    /// A pair clogs, or clears.
    pub(super) fn clog(&mut self, id: usize, pair: usize, on: bool) {
        let Some(Fault::Clog { pairs }) = self.active.get(&id) else { return };
        let (a, b) = pairs[pair];
        for way in [(a, b), (b, a)] {
            if on {
                self.block(id, way.0, way.1);
            } else {
                self.unblock_way(id, way, 0);
            }
        }
    }

    pub(super) fn next_reset(&mut self, id: usize, every_us: u64, nth: u64) {
        let every_us = every_us.max(1_000);
        let after_us = self.draw(RESET, id as u64, nth).between(every_us / 2, every_us * 3 / 2);
        self.queue.push(self.now_us + after_us, Happening::Reset { fault: id, nth });
    }

    /// Connections between two nodes will be reset with the next frame that arrives.
    pub(super) fn doom(&mut self, id: usize, nth: u64) {
        let Some(Fault::Resets { a, b, every_ms }) = self.active.get(&id).cloned() else { return };
        for number in self.net.conns_of(a) {
            if let Some(conn) = self.net.get_mut(number)
                && (conn.ends[0].host == b || conn.ends[1].host == b)
            {
                conn.doomed = Some(id);
            }
        }
        self.next_reset(id, u64::from(every_ms) * 1_000, nth + 1);
    }

    pub(super) fn spare(&mut self, id: usize) {
        for host in 0..self.hosts.len() {
            for number in self.net.conns_of(host) {
                if let Some(conn) = self.net.get_mut(number)
                    && conn.doomed == Some(id)
                {
                    conn.doomed = None;
                }
            }
        }
    }
}
