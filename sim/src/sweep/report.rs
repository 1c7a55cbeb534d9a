//! What a sweep has found so far.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::simulation::{Outcome, Tally};
use crate::system::Violation;

/// A seed with at least so many operations was worth its time.
pub const OPS_PER_SEED_MIN: u64 = 100;

/// A seed with faults in its plan in which at least so many took effect was worth its time.
pub const BITES_PER_SEED_MIN: u64 = 10;

/// So many failures of an oracle are kept whole; all are counted.
pub const FAILURES_KEPT: usize = 3;

/// A seed that failed.
#[derive(Clone, Debug)]
pub struct Failure<S> {
    /// Which.
    pub seed: u64,
    /// The rule it broke.
    pub violation: Violation,
    /// The hash of everything that happened.
    pub trace_hash: blake3::Hash,
    /// What it stands for; `None` if drawing it failed.
    pub scenario: Option<S>,
}

/// The failures of one oracle.
#[derive(Clone, Debug)]
pub struct ByOracle<S> {
    /// How many seeds failed.
    pub count: u64,
    /// The first of them, at most [`FAILURES_KEPT`].
    pub first: Vec<Failure<S>>,
}

/// What a sweep has found so far. All but [`Report::wall`] follows from the seeds.
#[derive(Clone, Debug)]
pub struct Report<S> {
    /// The first seed.
    pub first_seed: u64,
    /// How many were run, one after the other from the first on.
    pub seeds: u64,
    /// Sums over all seeds.
    pub tally: Tally,
    /// Seeds that ran to their end. Only of these can be said whether they did enough: a broken rule or a panic cut the
    /// others short.
    pub seeds_whole: u64,
    /// Those of them with at least [`OPS_PER_SEED_MIN`] operations.
    pub seeds_with_ops: u64,
    /// Those of them with faults in their plans.
    pub seeds_with_faults: u64,
    /// And those of these in which faults took effect at least [`BITES_PER_SEED_MIN`] times.
    pub seeds_bitten: u64,
    /// In how many seeds each fault took effect.
    pub bitten_by: BTreeMap<&'static str, u64>,
    /// In how many seeds each probe was reached.
    pub probes: BTreeMap<&'static str, u64>,
    /// Events in all traces.
    pub events: u64,
    /// Simulated time.
    pub sim_time: Duration,
    /// Time on the machine's clock.
    pub wall: Duration,
    /// Failures by oracle.
    pub failures: BTreeMap<String, ByOracle<S>>,
    hasher: blake3::Hasher,
}

impl<S> Report<S> {
    pub(super) fn new(first_seed: u64) -> Self {
        Self {
            first_seed,
            seeds: 0,
            tally: Tally::default(),
            seeds_whole: 0,
            seeds_with_ops: 0,
            seeds_with_faults: 0,
            seeds_bitten: 0,
            bitten_by: BTreeMap::new(),
            probes: BTreeMap::new(),
            events: 0,
            sim_time: Duration::ZERO,
            wall: Duration::ZERO,
            failures: BTreeMap::new(),
            hasher: blake3::Hasher::new(),
        }
    }

    pub(super) fn next_seed(&self) -> u64 {
        self.first_seed + self.seeds
    }

    pub(super) fn add(&mut self, outcome: Outcome, scenario: Option<S>) {
        let seed = self.next_seed();
        self.seeds += 1;
        self.hasher.update(&seed.to_le_bytes()).update(outcome.digest().as_bytes());
        self.events += outcome.events;
        self.sim_time += outcome.sim_time;
        self.add_tally(&outcome.tally);
        if outcome.violation.is_none() {
            self.add_whole(&outcome.tally);
        }
        for probe in outcome.probes {
            *self.probes.entry(probe).or_default() += 1;
        }
        if let Some(violation) = outcome.violation {
            let failures = self.failures.entry(violation.oracle.clone());
            let failures = failures.or_insert_with(|| ByOracle { count: 0, first: Vec::new() });
            failures.count += 1;
            if failures.first.len() < FAILURES_KEPT {
                failures.first.push(Failure { seed, violation, trace_hash: outcome.trace_hash, scenario });
            }
        }
    }

    fn add_whole(&mut self, tally: &Tally) {
        let bites: u64 = tally.bites.values().sum();
        self.seeds_whole += 1;
        self.seeds_with_ops += u64::from(tally.ops >= OPS_PER_SEED_MIN);
        self.seeds_with_faults += u64::from(tally.faults > 0);
        self.seeds_bitten += u64::from(tally.faults > 0 && bites >= BITES_PER_SEED_MIN);
    }

    fn add_tally(&mut self, tally: &Tally) {
        let sum = &mut self.tally;
        sum.ops += tally.ops;
        sum.succeeded += tally.succeeded;
        sum.reads += tally.reads;
        sum.excused += tally.excused;
        sum.faults += tally.faults;
        for (fault, times) in &tally.bites {
            *sum.bites.entry(fault).or_default() += times;
            *self.bitten_by.entry(fault).or_default() += 1;
        }
    }

    /// How many seeds failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failures.values().map(|failures| failures.count).sum()
    }

    /// The failure of the lowest seed.
    #[must_use]
    pub fn first_failure(&self) -> Option<&Failure<S>> {
        self.failures.values().filter_map(|failures| failures.first.first()).min_by_key(|failure| failure.seed)
    }

    /// One hash over all that happened with all seeds, and what oracles made of it.
    #[must_use]
    pub fn digest(&self) -> blake3::Hash {
        self.hasher.finalize()
    }

    /// Seeds a second on the machine's clock.
    #[must_use]
    pub fn seeds_per_s(&self) -> f64 {
        self.seeds as f64 / self.wall.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Simulated seconds a second on the machine's clock.
    #[must_use]
    pub fn sim_per_wall(&self) -> f64 {
        self.sim_time.as_secs_f64() / self.wall.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}
