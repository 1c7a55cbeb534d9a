//! Mutants: each planted bug is hunted with ordinary seeds until an oracle finds it, and the scoreboard says how long that
//! took. Nothing here knows what a bug does: scenarios, faults and oracles are those of every sweep.

mod needs;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use forever_core::simulation::PlantedBug;
use serde::Serialize;

use crate::store::{Scenario, Tier};
use crate::system::Violation;

/// How long to hunt for a bug in one tier.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// So many seeds, from 0.
    pub seeds: u64,
    /// No further seed after so much time.
    pub time: Duration,
}

/// What a hunt needs of its surroundings.
pub struct Hunter<'a> {
    /// What a seed stands for in a tier.
    pub draw: &'a (dyn Fn(u64, Tier) -> Scenario + Sync),
    /// Runs a scenario to its end, or to the first broken rule. Panics are broken rules, too.
    pub simulate: &'a (dyn Fn(&Scenario) -> Option<Violation> + Sync),
    /// Whether to find out which faults each find cannot do without.
    pub needs: bool,
    /// Begins no seed after this was set.
    pub stop: &'a AtomicBool,
    /// Time since some start.
    pub clock: &'a (dyn Fn() -> Duration + Sync),
}

/// How a bug was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Find {
    /// By which oracle.
    pub oracle: String,
    /// What that oracle said.
    pub what: String,
    /// In which tier.
    pub tier: Tier,
    /// With which seed.
    pub seed: u64,
    /// The families of the faults that this find cannot do without, each as often as it strikes, if that was asked for and
    /// not stopped.
    pub needs: Option<Vec<String>>,
}

/// What came of the hunt for a bug.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Score {
    /// Its name.
    pub bug: String,
    /// How it was found, if it was.
    pub found: Option<Find>,
    /// Seeds it took, the one that found it included.
    pub seeds: u64,
    /// Time it took.
    pub seconds: f64,
    /// Whether the hunt was stopped before it had found the bug or come to its limit.
    pub stopped: bool,
}

/// The tiers that a bug can show in: World has neither engine, channel nor driver.
#[must_use]
pub fn tiers(bug: PlantedBug) -> &'static [Tier] {
    if bug.part().starts_with("core/") { &[Tier::World, Tier::Turmoil] } else { &[Tier::Turmoil] }
}

/// The scenario with a bug in its code.
#[must_use]
pub fn with_bug(mut scenario: Scenario, bug: Option<PlantedBug>) -> Scenario {
    scenario.config.simulation.planted = bug;
    scenario.planted = bug.map(|bug| bug.name().to_string());
    scenario
}

/// Hunts for a bug in one tier, seed by seed.
///
/// A broken rule counts only if the same seed keeps all rules without the bug.
#[must_use]
pub fn hunt(hunter: &Hunter<'_>, bug: PlantedBug, tier: Tier, limit: Limit) -> Score {
    let start = (hunter.clock)();
    let mut seeds = 0;
    let mut found = None;
    let is_stopped = || hunter.stop.load(Ordering::Relaxed);
    while found.is_none() && !is_stopped() && seeds < limit.seeds && (hunter.clock)() - start < limit.time {
        let seed = seeds;
        seeds += 1;
        let clean = (hunter.draw)(seed, tier);
        let planted = with_bug(clean.clone(), Some(bug));
        let Some(violation) = (hunter.simulate)(&planted) else { continue };
        if (hunter.simulate)(&clean).is_none() {
            let fails = |scenario: &Scenario| !is_stopped() && (hunter.simulate)(scenario).is_some();
            let needs = hunter.needs.then(|| needs::needs(&planted, &fails));
            // What was asked after the stop had no true answer.
            let needs = needs.filter(|_| !is_stopped());
            found = Some(Find { oracle: violation.oracle, what: violation.what, tier, seed, needs });
        }
    }
    let seconds = ((hunter.clock)() - start).as_secs_f64();
    let stopped = found.is_none() && is_stopped();
    Score { bug: bug.name().to_string(), found, seeds, seconds, stopped }
}

/// All scores.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Scoreboard {
    /// One for each bug hunted.
    pub scores: Vec<Score>,
}

impl Scoreboard {
    /// How many bugs were found.
    #[must_use]
    pub fn found(&self) -> usize {
        self.scores.iter().filter(|score| score.found.is_some()).count()
    }

    /// How many seeds the median of all bugs took, those that were not found counting as more than any number: `None` if
    /// the median is one of these.
    #[must_use]
    pub fn median_seeds(&self) -> Option<u64> {
        let mut seeds: Vec<u64> =
            self.scores.iter().filter(|score| score.found.is_some()).map(|score| score.seeds).collect();
        seeds.sort_unstable();
        seeds.get(self.scores.len() / 2).copied()
    }
}

impl fmt::Display for Scoreboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<30} {:<16} {:<8} {:>6} {:>8}  needs", "bug", "found by", "tier", "seeds", "seconds")?;
        for score in &self.scores {
            let (oracle, tier) = match &score.found {
                Some(found) => (found.oracle.as_str(), found.tier.name()),
                None if score.stopped => ("stopped", "-"),
                None => ("not found", "-"),
            };
            let needs = score.found.as_ref().and_then(|found| found.needs.as_ref());
            let needs = needs.map_or("?".to_string(), |needs| needs.join(" + "));
            let (bug, seeds, seconds) = (&score.bug, score.seeds, score.seconds);
            writeln!(f, "{bug:<30} {oracle:<16} {tier:<8} {seeds:>6} {seconds:>8.1}  {needs}")?;
        }
        let median = self.median_seeds().map_or("not found".to_string(), |seeds| seeds.to_string());
        write!(f, "{} of {} found; median seeds {median}", self.found(), self.scores.len())
    }
}

#[cfg(test)]
mod tests;
