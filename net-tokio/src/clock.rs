//! Clocks, as the driver sees them.

use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use forever_core::time::{Monotonic, Time};
use tokio::time::Instant;

/// Both clocks of a machine.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Time;

    /// Waits until a point on the monotonic clock.
    fn sleep_until(&self, deadline: Monotonic) -> impl Future<Output = ()> + Send;
}

/// The machine's own clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Clocks whose monotonic time starts now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Time {
        let mono = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Time { mono: Monotonic(mono), wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX) }
    }

    async fn sleep_until(&self, deadline: Monotonic) {
        tokio::time::sleep_until(self.start + Duration::from_micros(deadline.0)).await;
    }
}
