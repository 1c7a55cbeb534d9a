//! The clocks of a host: what they show when, wrong as faults make them.

use std::collections::BTreeMap;

use forever_core::time::{Monotonic, Time};

use crate::store::machine::EPOCH_MS;

const MILLION: i128 = 1_000_000;

/// Both clocks of a host.
#[derive(Debug, Default)]
pub(super) struct HostClock {
    /// Where the current rate began: simulated time, and the monotonic clock then.
    since_us: u64,
    mono_us: u64,
    /// How much faster than time the clocks run, by fault, in millionths.
    drifts: BTreeMap<usize, i32>,
    /// How far the wall clock is ahead, by fault.
    offsets: BTreeMap<usize, i64>,
}

impl HostClock {
    /// What the clocks show.
    pub(super) fn at(&self, now_us: u64) -> Time {
        let mono = self.mono(now_us);
        let ahead: i64 = self.offsets.values().sum();
        Time { mono: Monotonic(mono), wall_ms: (EPOCH_MS + mono / 1_000).saturating_add_signed(ahead) }
    }

    /// The simulated time at which the monotonic clock shows a deadline.
    pub(super) fn when(&self, deadline: Monotonic) -> u64 {
        let ahead = u128::from(deadline.0.saturating_sub(self.mono_us));
        if self.drifts.is_empty() {
            return self.since_us.saturating_add(u64::try_from(ahead).unwrap_or(u64::MAX));
        }
        let rate = self.rate().unsigned_abs();
        let real = (ahead * MILLION.unsigned_abs()).div_ceil(rate);
        self.since_us.saturating_add(u64::try_from(real).unwrap_or(u64::MAX))
    }

    /// The faults that make the clocks show something wrong, or run at a wrong rate.
    pub(super) fn culprits(&self) -> impl Iterator<Item = usize> {
        self.drifts.keys().chain(self.offsets.keys()).copied()
    }

    pub(super) fn is_right(&self) -> bool {
        self.drifts.is_empty() && self.offsets.is_empty()
    }

    /// Both clocks run faster, or slower, from now on.
    pub(super) fn drift(&mut self, now_us: u64, fault: usize, ppm: i32) {
        self.rebase(now_us);
        self.drifts.insert(fault, ppm);
    }

    /// The wall clock is ahead, or behind, from now on.
    pub(super) fn shift(&mut self, fault: usize, ahead_ms: i64) {
        self.offsets.insert(fault, ahead_ms);
    }

    /// A fault is over. What the clocks have gained by a wrong rate stays.
    pub(super) fn heal(&mut self, now_us: u64, fault: usize) {
        self.rebase(now_us);
        self.drifts.remove(&fault);
        self.offsets.remove(&fault);
    }

    fn mono(&self, now_us: u64) -> u64 {
        let passed = now_us - self.since_us;
        if self.drifts.is_empty() {
            return self.mono_us + passed;
        }
        let gone = i128::from(passed) * self.rate() / MILLION;
        self.mono_us + u64::try_from(gone).unwrap_or(0)
    }

    /// Millionths of a second that pass on the clocks in a second. They never stand still.
    fn rate(&self) -> i128 {
        (MILLION + self.drifts.values().map(|ppm| i128::from(*ppm)).sum::<i128>()).max(1)
    }

    fn rebase(&mut self, now_us: u64) {
        self.mono_us = self.mono(now_us);
        self.since_us = now_us;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_clock_reaches_its_deadlines_early_and_keeps_what_it_gained() {
        let mut clock = HostClock::default();
        clock.drift(1_000_000, 0, 100_000);
        assert_eq!(clock.at(2_000_000).mono, Monotonic(2_100_000));
        assert_eq!(clock.when(Monotonic(2_100_000)), 2_000_000);
        clock.heal(2_000_000, 0);
        assert_eq!(clock.at(3_000_000).mono, Monotonic(3_100_000));
        assert!(clock.is_right());
    }

    #[test]
    fn a_deadline_is_not_early_on_a_clock_of_any_rate() {
        for ppm in [-50_000, -333, -1, 0, 1, 7, 333, 50_000] {
            let mut clock = HostClock::default();
            clock.drift(17, 0, ppm);
            for deadline in [1_000, 123_457, 9_999_999] {
                let at = clock.when(Monotonic(deadline));
                assert!(clock.at(at).mono >= Monotonic(deadline), "{ppm} ppm, {deadline} us");
            }
        }
    }

    #[test]
    fn a_shifted_wall_clock_leaves_deadlines_alone() {
        let mut clock = HostClock::default();
        let right = clock.at(5_000_000);
        clock.shift(3, -2_000);
        assert_eq!(clock.at(5_000_000), Time { wall_ms: right.wall_ms - 2_000, ..right });
        clock.heal(5_000_000, 3);
        assert_eq!(clock.at(5_000_000), right);
    }
}
