use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use forever_sim::simulation::{Outcome, Simulation, Tally};
use forever_sim::store::{Scenario, Store, Tier};
use forever_sim::sweep::{Sweep, sweep};
use forever_sim::trace::Trace;

use super::*;

/// Seeds that come to what a test says, without being run.
struct Said<R>(R);

impl<R: Fn(u64) -> Tally + Sync> Simulation for Said<R> {
    type Scenario = Scenario;

    fn draw(&self, seed: u64) -> Scenario {
        Store::new(Tier::World).draw(seed)
    }

    fn run(&self, scenario: &Scenario, trace: Trace) -> Outcome {
        Outcome {
            violation: None,
            tally: (self.0)(scenario.seed),
            probes: BTreeSet::from(["reached"]),
            trace_hash: trace.hash(),
            events: 0,
            sim_time: Duration::ZERO,
        }
    }
}

/// A seed that did enough.
fn good(_: u64) -> Tally {
    let bites = std::collections::BTreeMap::from([("crash", 10)]);
    Tally { ops: 100, succeeded: 90, reads: 100, excused: 2, faults: 20, bites }
}

/// What falls short, and what of it fails the sweep.
fn short(seeds: u64, set: &[&str], required: bool, tally: impl Fn(u64) -> Tally + Sync) -> (Vec<String>, Vec<String>) {
    let range = Sweep { seeds: 0..seeds, time: None, jobs: 1, stop: &AtomicBool::new(false) };
    let report = sweep(&Said(tally), &range, &mut |_| {});
    let store = StoreArgs { tier: Tier::World, set: set.iter().map(ToString::to_string).collect() };
    let cases = BTreeMap::new();
    let context = Context {
        store: &store,
        jobs: 1,
        probes: vec!["reached", "rare"],
        demanded: vec!["reached"],
        oracles: Vec::new(),
        cases: &cases,
        required,
    };
    let all = context.shortcomings(&report);
    let text = |shortcoming: &Shortcoming| shortcoming.text.clone();
    (all.iter().map(text).collect(), all.iter().filter(|shortcoming| shortcoming.fails).map(text).collect())
}

#[test]
fn a_sweep_whose_seeds_just_do_enough_falls_short_of_nothing() {
    assert_eq!(short(60, &[], true, good), (vec![], vec![]));
}

#[test]
fn too_few_successes_fail_every_usual_sweep_that_is_long_enough() {
    let failing = |seed| Tally { succeeded: if seed == 7 { 89 } else { 90 }, ..good(seed) };
    let says = vec!["89.9% of operations succeeded, not 90%".to_string()];
    assert_eq!(short(60, &[], false, failing), (says.clone(), says.clone()));
    assert_eq!(short(49, &[], false, failing), (says.clone(), vec![]));
    assert_eq!(short(60, &["ops=[3,4]"], false, failing), (says.clone(), vec![]));
    assert_eq!(short(49, &["ops=[3,4]"], true, failing), (says.clone(), says));
}

#[test]
fn too_many_excuses_fail_it_too() {
    let failing = |seed| Tally { excused: 3, ..good(seed) };
    let says = vec!["3.0% of reads are excused, more than 2%".to_string()];
    assert_eq!(short(60, &[], false, failing), (says.clone(), says));
}

#[test]
fn one_seed_with_too_few_operations_or_effects_fails_where_that_is_required() {
    let few = |seed| Tally { ops: if seed == 3 { 99 } else { 110 }, succeeded: 99, ..good(seed) };
    let says = vec!["1 of 60 seeds had fewer than 100 operations".to_string()];
    assert_eq!(short(60, &[], false, few), (says.clone(), vec![]));
    assert_eq!(short(60, &[], true, few), (says.clone(), says));
    let mild = |seed| {
        let bites = std::collections::BTreeMap::from([("crash", if seed == 3 { 9 } else { 10 })]);
        Tally { faults: u64::from(seed != 5), bites, ..good(seed) }
    };
    let says = vec!["in 1 of 59 seeds with faults fewer than 10 took effect".to_string()];
    assert_eq!(short(60, &[], true, mild), (says.clone(), says));
}

#[test]
fn a_sweep_of_no_seeds_has_tested_nothing() {
    let (_, fails) = short(0, &[], true, good);
    assert_eq!(fails, ["no seed was run", "1 probe was never reached: reached"]);
}
