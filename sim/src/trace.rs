//! The trace: everything that happened in a run, as one hash; on request, the events themselves.

use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use forever_core::codec::encode_onto;
use serde::Serialize;

/// Bytes gathered before they are hashed: BLAKE3 is several times faster on many than on few.
const BUFFER_LEN: usize = 64 << 10;

/// The most characters of an event that are kept: content belongs into no report.
const TEXT_LEN_MAX: usize = 600;

/// What a trace keeps besides the hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// Nothing.
    #[default]
    Hash,
    /// A short digest of each event, so that two traces can be compared event by event.
    Digests,
    /// The text of so many events from a number on; of all with `0` and [`u64::MAX`].
    Events {
        /// The first one's number.
        from: u64,
        /// How many.
        count: u64,
    },
}

/// An event as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its number from the start of the run.
    pub number: u64,
    /// When, in microseconds since the start.
    pub at_us: u64,
    /// To whom.
    pub actor: String,
    /// What kind it is of.
    pub kind: String,
    /// What it was; bulk bytes show as length and short hash.
    pub text: String,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = Duration::from_micros(self.at_us);
        write!(f, "#{} {at:?} {} {} {}", self.number, self.actor, self.kind, self.text)
    }
}

/// The trace of one run. Clones are the same trace.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    keep: Keep,
    hasher: blake3::Hasher,
    buffer: Vec<u8>,
    events: u64,
    last_at_us: u64,
    digests: Vec<u64>,
    entries: Vec<Entry>,
}

impl Trace {
    /// A trace that keeps more than the hash.
    #[must_use]
    pub fn keeping(keep: Keep) -> Self {
        Self { state: Arc::new(Mutex::new(State { keep, ..State::default() })) }
    }

    /// Adds an event: when it happened, to whom, what kind it is of and its bytes.
    pub fn record(&self, at: Duration, actor: &str, kind: &str, bytes: &[u8]) {
        let text = || String::from_utf8(bytes.to_vec()).unwrap_or_else(|_| format!("{} bytes", bytes.len()));
        self.state().add(at, actor, kind, |buffer| buffer.extend_from_slice(bytes), text);
    }

    /// Adds an event by what `serde` makes of it.
    pub fn record_value(&self, at: Duration, actor: &str, kind: &str, value: &(impl Serialize + Debug)) {
        self.record_encoded(at, actor, kind, value, |buffer| encode_onto(value, buffer));
    }

    /// Adds an event whose bytes `encode` appends, for those who have some of them at hand; `value` is what they are of.
    pub(crate) fn record_encoded(
        &self,
        at: Duration,
        actor: &str,
        kind: &str,
        value: &impl Debug,
        encode: impl FnOnce(&mut Vec<u8>),
    ) {
        self.state().add(at, actor, kind, encode, || format!("{value:?}"));
    }

    /// The hash of all events so far.
    #[must_use]
    pub fn hash(&self) -> blake3::Hash {
        let mut state = self.state();
        state.flush();
        state.hasher.finalize()
    }

    /// How many events there are so far.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.state().events
    }

    /// When the latest event so far happened, since the start.
    #[must_use]
    pub fn last_at(&self) -> Duration {
        Duration::from_micros(self.state().last_at_us)
    }

    /// The digests kept so far.
    #[must_use]
    pub fn digests(&self) -> Vec<u64> {
        self.state().digests.clone()
    }

    /// The events kept so far.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.state().entries.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics half-way through an event.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(
        &mut self,
        at: Duration,
        actor: &str,
        kind: &str,
        encode: impl FnOnce(&mut Vec<u8>),
        text: impl FnOnce() -> String,
    ) {
        let at_us = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&at_us.to_le_bytes());
        // With their lengths, so that no two different sequences of events are the same sequence of bytes.
        for part in [actor, kind] {
            self.buffer.extend_from_slice(&(part.len() as u64).to_le_bytes());
            self.buffer.extend_from_slice(part.as_bytes());
        }
        let length_at = self.buffer.len();
        self.buffer.extend_from_slice(&[0; 8]);
        encode(&mut self.buffer);
        let len = (self.buffer.len() - length_at - 8) as u64;
        self.buffer[length_at..length_at + 8].copy_from_slice(&len.to_le_bytes());
        self.keep(at_us, actor, kind, start, text);
        self.events += 1;
        self.last_at_us = at_us;
        if self.buffer.len() >= BUFFER_LEN {
            self.flush();
        }
    }

    fn keep(&mut self, at_us: u64, actor: &str, kind: &str, start: usize, text: impl FnOnce() -> String) {
        match self.keep {
            Keep::Hash => {}
            Keep::Digests => {
                let [a, b, c, d, e, f, g, h, ..] = *blake3::hash(&self.buffer[start..]).as_bytes();
                self.digests.push(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
            }
            Keep::Events { from, count } => {
                if self.events >= from && self.events - from < count {
                    let text = text().chars().take(TEXT_LEN_MAX).collect();
                    let number = self.events;
                    self.entries.push(Entry { number, at_us, actor: actor.into(), kind: kind.into(), text });
                }
            }
        }
    }

    fn flush(&mut self) {
        self.hasher.update(&self.buffer);
        self.buffer.clear();
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

    /// Adds an event of this actor, now, by what `serde` makes of it.
    pub(crate) fn value(&self, kind: &str, value: &(impl Serialize + Debug)) {
        self.trace.record_value(turmoil::sim_elapsed().unwrap_or_default(), &self.actor, kind, value);
    }

    /// Adds an event of this actor, now, as its debug output, which does not hold secrets.
    pub(crate) fn debug(&self, kind: &str, event: &impl fmt::Debug) {
        self.bytes(kind, format!("{event:?}").as_bytes());
    }
}

#[cfg(test)]
mod tests;
