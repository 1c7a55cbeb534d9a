//! Clocks, as the driver sees them.

use std::future::Future;

use forever_core::time::{Monotonic, Time};

/// Both clocks of a machine.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Time;

    /// Waits until a point on the monotonic clock.
    fn sleep_until(&self, deadline: Monotonic) -> impl Future<Output = ()> + Send;
}
