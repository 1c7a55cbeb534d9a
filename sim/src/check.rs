//! Whether the same seed gives the same run whatever is around it: another thread, other seeds before it.

use std::ops::Range;
use std::{fmt, thread};

use crate::simulation::{self, Outcome, Simulation};
use crate::trace::{Entry, Keep, Trace};

/// Events shown before the first that differs.
const CONTEXT: u64 = 3;

/// Events shown in all.
const SHOWN: u64 = CONTEXT + 3;

/// A seed whose runs differ.
#[derive(Clone, Debug)]
pub struct Divergence {
    /// The seed.
    pub seed: u64,
    /// What differs.
    pub kind: Difference,
}

/// How two runs of one seed differ.
#[derive(Clone, Debug)]
pub enum Difference {
    /// In what the seed stands for.
    Scenario,
    /// From an event on.
    Event {
        /// Its number.
        number: u64,
        /// The events around it in a run by itself.
        alone: Vec<Entry>,
        /// The events around it in a run on a thread that had run another seed before.
        after_another: Vec<Entry>,
    },
    /// In nothing that happened, but in what oracles made of it.
    Judgement {
        /// [`crate::simulation::Outcome::judgement`] of a run by itself.
        alone: String,
        /// That of a run on a thread that had run another seed before.
        after_another: String,
    },
    /// Not any more: two more runs were alike, so that what differs is not the seed's doing but the machine's.
    Gone,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seed = self.seed;
        match &self.kind {
            Difference::Scenario => write!(f, "seed {seed}: it stands for two different scenarios"),
            Difference::Gone => write!(f, "seed {seed}: two runs differed, and two more did not"),
            Difference::Judgement { alone, after_another } => {
                writeln!(f, "seed {seed}: two runs are alike in all that happened, and judged differently")?;
                writeln!(f, "  by itself: {alone}")?;
                writeln!(f, "  after another seed: {after_another}")
            }
            Difference::Event { number, alone, after_another } => {
                writeln!(f, "seed {seed}: two runs differ from event #{number} on")?;
                for (title, entries) in [("by itself", alone), ("after another seed", after_another)] {
                    writeln!(f, "  {title}:")?;
                    for entry in entries {
                        let mark = if entry.number == *number { '>' } else { ' ' };
                        writeln!(f, "  {mark} {entry}")?;
                    }
                    if entries.iter().all(|entry| entry.number < *number) {
                        writeln!(f, "  > (the run is over)")?;
                    }
                }
                Ok(())
            }
        }
    }
}

/// Runs every seed twice, by itself on a fresh thread, and on a thread that has just run the seed after it; returns the hash
/// over all that happened and what oracles made of it, which is a sweep's [`crate::sweep::Report::digest`].
///
/// # Errors
/// The first seed whose runs differ.
pub fn check<S: Simulation>(
    simulation: &S,
    seeds: Range<u64>,
    show: &mut dyn FnMut(u64),
) -> Result<blake3::Hash, Box<Divergence>> {
    let mut hasher = blake3::Hasher::new();
    for seed in seeds {
        let differs = |kind| Box::new(Divergence { seed, kind });
        let alone = in_thread(simulation, seed, None, Keep::Hash);
        let after = in_thread(simulation, seed, Some(seed + 1), Keep::Hash);
        if alone.scenario != after.scenario {
            return Err(differs(Difference::Scenario));
        }
        if alone.outcome.trace_hash != after.outcome.trace_hash {
            return Err(differs(locate(simulation, seed)));
        }
        let (judged, judged_after) = (alone.outcome.judgement(), after.outcome.judgement());
        if judged != judged_after {
            return Err(differs(Difference::Judgement { alone: judged, after_another: judged_after }));
        }
        hasher.update(&seed.to_le_bytes()).update(alone.outcome.digest().as_bytes());
        show(seed);
    }
    Ok(hasher.finalize())
}

struct Ran<S> {
    scenario: Result<S, String>,
    outcome: Outcome,
    digests: Vec<u64>,
    entries: Vec<Entry>,
}

/// Runs a seed in a thread of its own, after another one if one is given.
fn in_thread<S: Simulation>(simulation: &S, seed: u64, before: Option<u64>, keep: Keep) -> Ran<S::Scenario> {
    let run = |seed, keep| {
        let scenario = simulation::draw_caught(simulation, seed);
        let (outcome, trace) = match &scenario {
            Ok(drawn) => simulation::run_caught(simulation, drawn, keep),
            Err(message) => {
                let nothing = Trace::default();
                (Outcome::of_panic(message.clone(), &nothing), nothing)
            }
        };
        Ran { outcome, digests: trace.digests(), entries: trace.entries(), scenario }
    };
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if let Some(before) = before {
                run(before, Keep::Hash);
            }
            run(seed, keep)
        });
        thread.join().expect("a run's panics are caught")
    })
}

/// Finds the first event that differs, by digests first, because the texts of all events would not fit into memory.
fn locate<S: Simulation>(simulation: &S, seed: u64) -> Difference {
    let digests = |before| in_thread(simulation, seed, before, Keep::Digests).digests;
    let (alone, after) = (digests(None), digests(Some(seed + 1)));
    let first = alone.iter().zip(&after).position(|(one, other)| one != other);
    let number = match first {
        Some(number) => number as u64,
        None if alone.len() == after.len() => return Difference::Gone,
        None => alone.len().min(after.len()) as u64,
    };
    let keep = Keep::Events { from: number.saturating_sub(CONTEXT), count: SHOWN };
    let entries = |before| in_thread(simulation, seed, before, keep).entries;
    Difference::Event { number, alone: entries(None), after_another: entries(Some(seed + 1)) }
}
