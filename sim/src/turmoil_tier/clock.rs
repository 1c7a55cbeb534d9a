//! Simulated time.

use std::time::Duration;

use forever_core::time::{Monotonic, Time};
use forever_net_tokio::clock::Clock;

/// The clocks of a simulated host: both are the simulation's, and go on while the host is down.
#[derive(Clone, Copy, Debug, Default)]
pub struct SimClock;

impl Clock for SimClock {
    fn now(&self) -> Time {
        let (mono, wall) =
            turmoil::sim_elapsed().zip(turmoil::since_epoch()).expect("only what runs on a host asks for the time");
        Time { mono: Monotonic(number(mono.as_micros())), wall_ms: number(wall.as_millis()) }
    }

    async fn sleep_until(&self, deadline: Monotonic) {
        let left: Duration = deadline - self.now().mono;
        tokio::time::sleep(left).await;
    }
}

fn number(units: u128) -> u64 {
    u64::try_from(units).unwrap_or(u64::MAX)
}
