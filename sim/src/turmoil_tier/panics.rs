//! Panics of simulated tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a task has panicked. tokio keeps a panic in a background task to itself, and a simulation must not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Panics(Arc<AtomicBool>);

impl Panics {
    pub(crate) fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// To be held by a task for as long as it runs.
    pub(crate) fn guard(&self) -> PanicGuard {
        PanicGuard(self.clone())
    }
}

/// Dropped by a panic, it tells so.
pub(crate) struct PanicGuard(Panics);

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.0.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
