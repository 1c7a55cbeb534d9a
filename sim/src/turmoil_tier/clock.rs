//! Simulated time, as a node's own clocks show it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use forever_core::time::{Monotonic, Time};
use forever_net_tokio::clock::Clock;

use super::board::Board;
use crate::store::Fault;
use crate::store::machine::EPOCH_MS;

/// A million, of which drifts are parts.
const MILLION: i128 = 1_000_000;

/// The clocks of a simulated host. They go on while the host is down, as fast as its drift says; faults put its wall clock
/// ahead or behind.
#[derive(Clone, Debug)]
pub struct SimClock {
    node: usize,
    board: Board,
    drift: Arc<Mutex<Drift>>,
}

/// How the host's time follows from the simulation's since its drift changed last.
#[derive(Debug, Default)]
struct Drift {
    ppm: i32,
    since_us: u64,
    mono_us: u64,
}

impl Drift {
    fn mono_us(&self, sim_us: u64) -> u64 {
        let passed = sim_us.saturating_sub(self.since_us);
        let drifted = i128::from(passed) * (MILLION + i128::from(self.ppm)) / MILLION;
        self.mono_us + u64::try_from(drifted).unwrap_or(0)
    }
}

impl SimClock {
    pub(crate) fn new(node: usize, board: Board) -> Self {
        Self { node, board, drift: Arc::default() }
    }

    /// What drift and wall clock are off by now, in parts of a million and in milliseconds.
    fn faults(&self) -> (i32, i64) {
        let wanted = self.board.pick(|fault| {
            let (node, off) = if let Fault::Drift { node, ppm } = fault {
                (*node, (*ppm, 0))
            } else if let Fault::Skew { node, ahead_ms } | Fault::Jump { node, ahead_ms } = fault {
                (*node, (0, *ahead_ms))
            } else {
                return None;
            };
            (node == self.node).then_some(off)
        });
        wanted.into_iter().fold((0, 0), |(ppm, ahead_ms), (id, (faster, ahead))| {
            self.board.bite(id);
            (ppm + faster, ahead_ms + ahead)
        })
    }

    /// The host's monotonic clock in microseconds, how fast it runs, and how far its wall clock is ahead.
    fn read(&self) -> (u64, i32, i64) {
        let sim = turmoil::sim_elapsed().expect("only what runs on a host asks for the time");
        let sim_us = u64::try_from(sim.as_micros()).unwrap_or(u64::MAX);
        let (ppm, ahead_ms) = self.faults();
        let mut drift = self.drift.lock().unwrap_or_else(PoisonError::into_inner);
        if drift.ppm != ppm {
            *drift = Drift { ppm, since_us: sim_us, mono_us: drift.mono_us(sim_us) };
        }
        (drift.mono_us(sim_us), ppm, ahead_ms)
    }
}

impl Clock for SimClock {
    fn now(&self) -> Time {
        let (mono_us, _, ahead_ms) = self.read();
        let wall_ms = (EPOCH_MS + mono_us / 1000).saturating_add_signed(ahead_ms);
        Time { mono: Monotonic(mono_us), wall_ms }
    }

    async fn sleep_until(&self, deadline: Monotonic) {
        let (mono_us, ppm, _) = self.read();
        let left = i128::from(deadline.0.saturating_sub(mono_us));
        // Rounded up, so that the deadline has passed on the host's own clock as well.
        let sim_us = (left * MILLION).div_euclid((MILLION + i128::from(ppm)).max(1)) + i128::from(ppm != 0);
        tokio::time::sleep(Duration::from_micros(u64::try_from(sim_us).unwrap_or(u64::MAX))).await;
    }
}
