//! The trace: everything that happened in a run, as one hash.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The trace of one run. Clones are the same trace.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    hasher: blake3::Hasher,
    events: u64,
}

impl Trace {
    /// Adds an event: when it happened, to whom, what kind it is of and its bytes.
    pub fn record(&self, at: Duration, actor: &str, kind: &str, bytes: &[u8]) {
        let mut state = self.state();
        state.events += 1;
        state.hasher.update(&at.as_micros().to_le_bytes());
        // With their lengths, so that no two different sequences of events are the same sequence of bytes.
        for part in [actor.as_bytes(), kind.as_bytes(), bytes] {
            state.hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
    }

    /// The hash of all events so far.
    #[must_use]
    pub fn hash(&self) -> blake3::Hash {
        self.state().hasher.finalize()
    }

    /// How many events there are so far.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.state().events
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics half-way through an event.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One actor's access to the trace, for what runs on a simulated host.
#[derive(Clone, Debug)]
pub(crate) struct Tracer {
    trace: Trace,
    actor: Arc<str>,
}

impl Tracer {
    pub(crate) fn new(trace: Trace, actor: &str) -> Self {
        Self { trace, actor: actor.into() }
    }

    /// Adds an event of this actor, now.
    pub(crate) fn bytes(&self, kind: &str, bytes: &[u8]) {
        // Only destructors run outside a host, and those run between two steps, where the trace's order says enough.
        let at = turmoil::sim_elapsed().unwrap_or_default();
        self.trace.record(at, &self.actor, kind, bytes);
    }

    /// Adds an event of this actor, now, as its debug output, which does not hold secrets.
    pub(crate) fn debug(&self, kind: &str, event: &impl fmt::Debug) {
        self.bytes(kind, format!("{event:?}").as_bytes());
    }
}

#[cfg(test)]
mod tests;
