//! The parts that know nothing of the store, on the counter of `examples/counter.rs`.
#![allow(clippy::unwrap_used, reason = "clippy takes only functions marked as tests for tests")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use forever_sim::case::{Case, CaseError, Size};
use forever_sim::check::{Difference, check};
use forever_sim::shrink::{Effort, ShrinkError, shrink};
use forever_sim::simulation::{
    Outcome, PANIC, Remark, Seeded, Simulation, Tally, Unrunnable, run_caught, same_failure,
};
use forever_sim::story;
use forever_sim::sweep::{FAILURES_KEPT, Report, Sweep, sweep};
use forever_sim::system::Violation;
use forever_sim::trace::{Keep, Trace};

#[path = "../examples/counter.rs"]
#[allow(dead_code, unreachable_pub, reason = "an example is a program of its own")]
mod counter;

use counter::{Fault, Increment, simulation};

type Plain = Seeded<Increment, Fault>;

fn seeds<S: Simulation>(simulation: &S, seeds: std::ops::Range<u64>, jobs: usize) -> Report<S::Scenario> {
    sweep(simulation, &Sweep { seeds, time: None, jobs, stop: &AtomicBool::new(false) }, &mut |_| {})
}

/// A simulation that does to the trace what `run` does, and otherwise nothing.
struct Fake<R>(R);

impl<R: Fn(u64, &Trace) + Sync> Simulation for Fake<R> {
    type Scenario = Plain;

    fn draw(&self, seed: u64) -> Plain {
        assert_ne!(seed, 13, "an unlucky number");
        let mut plain = simulation(true).draw(1);
        plain.seed = seed;
        plain
    }

    fn run(&self, scenario: &Plain, trace: Trace) -> Outcome {
        (self.0)(scenario.seed, &trace);
        Outcome {
            violation: None,
            tally: Tally { ops: 1, ..Tally::default() },
            probes: BTreeSet::from(["always"]),
            trace_hash: trace.hash(),
            events: trace.events(),
            sim_time: trace.last_at(),
        }
    }
}

#[test]
fn the_example_finds_its_bug_and_nothing_without_it() {
    let report = seeds(&simulation(true), 0..100, 2);
    assert_eq!(report.seeds, 100);
    assert!(report.failed() > 10, "{} of 100 seeds failed", report.failed());
    assert_eq!(report.failures.keys().collect::<Vec<_>>(), ["total"]);
    assert_eq!(report.failures["total"].first.len(), FAILURES_KEPT);
    assert_eq!(seeds(&simulation(false), 0..100, 2).failed(), 0);
}

#[test]
fn a_report_is_the_same_for_any_number_of_jobs() {
    let reports = [1, 2, 7].map(|jobs| {
        let mut report = seeds(&simulation(true), 5..60, jobs);
        report.wall = Duration::ZERO;
        format!("{report:?} {}", report.digest())
    });
    assert_eq!(reports[0], reports[1]);
    assert_eq!(reports[0], reports[2]);
}

#[test]
fn a_seed_that_panics_has_failed_and_the_others_go_on() {
    let fake = Fake(|seed, trace: &Trace| {
        trace.record(Duration::from_micros(seed), "a", "b", b"c");
        assert_ne!(seed, 4, "four\nlines");
    });
    let report = seeds(&fake, 0..20, 2);
    assert_eq!((report.seeds, report.failed()), (20, 2));
    assert_eq!(report.tally.ops, 18);
    assert_eq!(report.probes["always"], 18);
    let panics = &report.failures[PANIC].first;
    assert_eq!(panics.iter().map(|failure| failure.seed).collect::<Vec<_>>(), [4, 13]);
    let violation = &panics[0].violation;
    assert_eq!(violation.at_us, 4);
    assert!(violation.what.contains("tests/library.rs:") && violation.what.contains("four lines"), "{violation:?}");
    assert!(panics[1].scenario.is_none() && panics[1].violation.what.contains("an unlucky number"));
}

#[test]
fn a_panic_that_a_runtime_swallows_is_a_failure() {
    let fake = Fake(|_, _: &Trace| {
        let _ = std::panic::catch_unwind(|| panic!("swallowed"));
    });
    let (outcome, _) = run_caught(&fake, &fake.draw(1), Keep::Hash);
    let violation = outcome.violation.unwrap();
    assert_eq!(violation.oracle, PANIC);
    assert!(violation.what.contains("swallowed"));
}

#[test]
fn panics_in_two_places_are_two_failures() {
    let panic = |what: &str| Violation { oracle: PANIC.into(), at_us: 0, what: what.into() };
    assert!(same_failure(&panic("panicked at a.rs:1: left is 5"), &panic("panicked at a.rs:1: left is 6")));
    assert!(!same_failure(&panic("panicked at a.rs:1: left is 5"), &panic("panicked at a.rs:2: left is 5")));
    let total = |what: &str| Violation { oracle: "total".into(), at_us: 0, what: what.into() };
    assert!(same_failure(&total("one"), &total("another")));
    assert!(!same_failure(&total("one"), &panic("one")));
}

#[test]
fn a_sweep_ends_when_told_to_and_finishes_what_it_has_begun() {
    let stop = AtomicBool::new(false);
    let fake = Fake(|seed, _: &Trace| stop.store(seed >= 20, Ordering::Relaxed));
    let range = Sweep { seeds: 20..u64::MAX, time: None, jobs: 1, stop: &stop };
    assert_eq!(sweep(&fake, &range, &mut |_| {}).seeds, 1);
    let range = Sweep { seeds: 20..u64::MAX, time: Some(Duration::ZERO), jobs: 2, stop: &AtomicBool::new(false) };
    assert_eq!(sweep(&fake, &range, &mut |_| {}).seeds, 0);
}

#[test]
fn the_last_seeds_that_there_are_do_not_lead_back_to_the_first() {
    let report = seeds(&Fake(|_, _: &Trace| {}), u64::MAX - 1..u64::MAX, 2);
    assert_eq!((report.seeds, report.failed()), (1, 0));
}

#[test]
fn seeds_that_were_cut_short_do_not_count_as_seeds_that_did_too_little() {
    let fake = Fake(|seed, _: &Trace| assert_ne!(seed, 4));
    let report = seeds(&fake, 0..12, 2);
    assert_eq!((report.seeds, report.seeds_whole, report.failed()), (12, 11, 1));
}

#[test]
fn what_is_left_after_shrinking_is_what_the_failure_needs() {
    let simulation = simulation(true);
    let report = seeds(&simulation, 0..100, 2);
    let failure = report.first_failure().unwrap();
    let scenario = failure.scenario.as_ref().unwrap();
    let mut shown = Vec::new();
    let shrunk =
        shrink(&simulation, scenario, &failure.violation, Effort::default(), &mut |progress| shown.push(progress))
            .unwrap();
    let plan = &shrunk.scenario.plan;
    assert_eq!((plan.ops.len(), plan.faults.len()), (1, 1), "{plan:?}");
    assert!(matches!(plan.faults[0].what, Fault::Twice { .. }));
    assert!(plan.end_us < 10_000, "{plan:?}");
    assert_eq!(shrunk.outcome.violation.as_ref(), Some(&shrunk.violation));
    assert_eq!(shrunk.violation.oracle, "total");
    let again = shrink(&simulation, scenario, &failure.violation, Effort::default(), &mut |_| {}).unwrap();
    assert_eq!((again.scenario, again.tries), (shrunk.scenario.clone(), shrunk.tries));
    let (last, first) = (shown.last().unwrap(), shown.first().unwrap());
    assert!(last.ops < first.ops && last.faults < first.faults && last.tries == shrunk.tries);

    let story = story::tell(&shrunk.scenario, Some(&shrunk.violation), Some(Size::of(scenario)), &[]);
    assert!(story.contains("Left of 3 nodes, 60 operations and 4 faults:"), "{story}");
    assert!(story.contains("comes twice (until "), "{story}");
    assert!(story.lines().last().unwrap().contains("The rule 'total' is broken: "), "{story}");
}

#[test]
fn shrinking_is_bounded_and_needs_a_failure() {
    let report = seeds(&simulation(true), 0..100, 1);
    let failure = report.first_failure().unwrap();
    let (scenario, violation) = (failure.scenario.as_ref().unwrap(), &failure.violation);
    assert!(matches!(
        shrink(&simulation(false), scenario, violation, Effort::default(), &mut |_| {}),
        Err(ShrinkError::NoFailure)
    ));
    let shrunk = shrink(&simulation(true), scenario, violation, Effort { tries_max: 7 }, &mut |_| {}).unwrap();
    assert_eq!(shrunk.tries, 7);
}

#[test]
fn shrinking_holds_to_the_rule_that_the_case_broke() {
    let report = seeds(&simulation(true), 0..100, 1);
    let failure = report.first_failure().unwrap();
    let other = Violation { oracle: "order".into(), at_us: 1, what: "two before one".into() };
    let error = shrink(&simulation(true), failure.scenario.as_ref().unwrap(), &other, Effort::default(), &mut |_| {});
    let ShrinkError::AnotherFailure { now, expected } = error.unwrap_err() else { panic!("something fails") };
    assert_eq!((&*now, &*expected), (&failure.violation, &other));
}

#[test]
fn a_story_is_told_in_the_order_of_time() {
    let mut scenario = simulation(true).draw(3);
    scenario.plan.ops.truncate(2);
    scenario.plan.ops[0].at_us = 2_000_000;
    scenario.plan.ops[1].at_us = 1_000_000;
    scenario.plan.faults.clear();
    let remark = Remark { at_us: 1_500_000, text: "something is remarkable".into() };
    let story = story::tell(&scenario, None, None, &[remark]);
    let lines: Vec<&str> = story.lines().collect();
    assert_eq!(lines[0], "3 nodes, seed 3.");
    assert!(lines[2].starts_with("   1.000000 s  A caller increments the counter at node "), "{story}");
    assert_eq!(lines[3], "   1.500000 s  Something is remarkable.");
    assert!(lines[4].starts_with("   2.000000 s  A caller "), "{story}");
    assert!(lines[5].starts_with("  10.000000 s  The plan is over"), "{story}");
    assert_eq!(lines[6], "No rule is broken.");
}

#[test]
fn a_case_file_holds_all_it_takes_to_run_a_failure_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new").join("case.json");
    let simulation = simulation(true);
    let report = seeds(&simulation, 0..100, 2);
    let failure = report.first_failure().unwrap();
    let scenario = failure.scenario.clone().unwrap();
    let case = Case::new(scenario, failure.violation.clone(), failure.trace_hash);
    case.write(&path).unwrap();
    let read: Case<Plain> = Case::read(&path).unwrap();
    assert_eq!(read, case);
    assert!(read.is_reproduced_by(&run_caught(&simulation, &read.scenario, Keep::Hash).0));
    let mut other = read.scenario.clone();
    other.seed += 1;
    assert!(!read.is_reproduced_by(&run_caught(&simulation, &other, Keep::Hash).0));

    let newer = std::fs::read_to_string(&path).unwrap().replace("case 1", "case 2").replace("commit", "revision");
    std::fs::write(&path, newer).unwrap();
    assert!(matches!(Case::<Plain>::read(&path), Err(CaseError::Version { .. })));
    std::fs::write(&path, "{").unwrap();
    assert!(matches!(Case::<Plain>::read(&path), Err(CaseError::Format { .. })));
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(Case::<Plain>::read(&path), Err(CaseError::Read { .. })));
}

/// A case file of the counter, changed by hand.
fn changed(change: impl Fn(&mut serde_json::Value)) -> CaseError {
    let scenario = simulation(true).draw(1);
    let violation = Violation { oracle: "total".into(), at_us: 1, what: "wrong".into() };
    let mut case = serde_json::to_value(Case::new(scenario, violation, blake3::hash(b""))).unwrap();
    Case::<Plain>::parse(std::path::Path::new("case.json"), case.to_string().as_bytes()).unwrap();
    change(&mut case);
    Case::<Plain>::parse(std::path::Path::new("case.json"), case.to_string().as_bytes()).unwrap_err()
}

#[test]
fn a_case_file_that_cannot_be_run_is_refused() {
    let error = changed(|case| case["seed"] = 2.into());
    assert!(matches!(error, CaseError::Seed { seed: 2, scenario: 1, .. }), "{error}");
    let error = changed(|case| case["scenario"]["plan"]["ops"][4]["what"]["node"] = 3.into());
    assert!(
        matches!(error, CaseError::Scenario { why: Unrunnable::NoSuchNode { node: 3, nodes: 3, .. }, .. }),
        "{error}"
    );
    let error = changed(|case| case["scenario"]["plan"]["ops"][4]["id"] = 5.into());
    assert!(matches!(error, CaseError::Scenario { why: Unrunnable::SameNumber { id: 5, .. }, .. }), "{error}");
    for place in ["", "/violation", "/scenario", "/scenario/plan", "/scenario/plan/ops/0", "/scenario/plan/faults/0"] {
        let error = changed(|case| case.pointer_mut(place).unwrap()["extra"] = 1.into());
        assert!(matches!(error, CaseError::Format { .. }) && error.to_string().contains("extra"), "{place}: {error}");
    }
}

#[test]
fn a_build_of_a_checkout_knows_its_commit() {
    let commit = forever_sim::case::commit();
    let is_hash = commit.len() == 40 && commit.chars().all(|digit| digit.is_ascii_hexdigit());
    let git = std::process::Command::new("git").args(["ls-files", "--error-unmatch", "Cargo.toml"]).output();
    let said = ["FOREVER_COMMIT", "GITHUB_SHA"].iter().any(|name| std::env::var_os(name).is_some());
    let is_checkout = git.is_ok_and(|output| output.status.success());
    assert!(is_hash || said || !is_checkout && commit == "unknown", "{commit}");
}

#[test]
fn runs_that_are_alike_pass_the_check() {
    let mut seen = Vec::new();
    let hash = check(&simulation(true), 0..5, &mut |seed| seen.push(seed)).unwrap();
    assert_eq!(seen, [0, 1, 2, 3, 4]);
    assert_eq!(hash, check(&simulation(true), 0..5, &mut |_| {}).unwrap());
    assert_eq!(hash, seeds(&simulation(true), 0..5, 2).digest());
}

#[test]
fn a_check_shows_the_first_event_that_differs() {
    // State that outlives a run, as a global or a thread's does.
    let runs = AtomicU64::new(0);
    let fake = Fake(|seed, trace: &Trace| {
        let run = runs.fetch_add(1, Ordering::Relaxed);
        for number in 0..10_u64 {
            let leaked = if seed == 2 && number == 7 { run } else { 0 };
            trace.record_value(Duration::from_micros(number), "node 0", "counts", &(number, leaked));
        }
    });
    let divergence = check(&fake, 0..5, &mut |_| {}).unwrap_err();
    assert_eq!(divergence.seed, 2);
    let Difference::Event { number, alone, after_another } = &divergence.kind else { panic!("{divergence:?}") };
    assert_eq!((*number, alone[0].number), (7, 4));
    assert_eq!(alone[..3], after_another[..3]);
    assert_ne!(alone[3], after_another[3]);
    let text = divergence.to_string();
    assert!(text.starts_with("seed 2: two runs differ from event #7 on"), "{text}");
    assert_eq!(text.matches("\n  > #7 ").count(), 2, "{text}");
}

/// Runs in which the same happens, and whose tally, or broken rule, tells them apart.
struct Judged<'a> {
    runs: &'a AtomicU64,
    breaks: bool,
}

impl Simulation for Judged<'_> {
    type Scenario = Plain;

    fn draw(&self, seed: u64) -> Plain {
        Plain { seed, ..simulation(true).draw(1) }
    }

    fn run(&self, _: &Plain, trace: Trace) -> Outcome {
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        let violation = Violation { oracle: "total".into(), at_us: 1, what: format!("in run {run}") };
        Outcome {
            violation: self.breaks.then_some(violation),
            tally: Tally { ops: if self.breaks { 0 } else { run }, ..Tally::default() },
            probes: BTreeSet::new(),
            trace_hash: trace.hash(),
            events: 0,
            sim_time: Duration::ZERO,
        }
    }
}

#[test]
fn a_check_and_a_digest_compare_what_oracles_made_of_a_run_too() {
    for breaks in [false, true] {
        let runs = AtomicU64::new(0);
        let judged = Judged { runs: &runs, breaks };
        let divergence = check(&judged, 0..1, &mut |_| {}).unwrap_err();
        assert!(matches!(divergence.kind, Difference::Judgement { .. }), "{divergence}");
        assert_ne!(seeds(&judged, 0..1, 1).digest(), seeds(&judged, 0..1, 1).digest());
    }
}

#[test]
fn a_check_tells_a_run_that_ends_early_and_one_that_cannot_be_caught_again() {
    // Its runs go: alone, another seed, after it; and again for the digests, and for the events.
    let runs = AtomicU64::new(0);
    let shorter = Fake(|_, trace: &Trace| {
        let count = if runs.fetch_add(1, Ordering::Relaxed) % 3 == 2 { 4 } else { 5 };
        (0..count).for_each(|number| trace.record(Duration::from_micros(number), "a", "b", b"c"));
    });
    let divergence = check(&shorter, 0..1, &mut |_| {}).unwrap_err();
    assert!(matches!(divergence.kind, Difference::Event { number: 4, .. }), "{divergence:?}");
    assert!(divergence.to_string().contains("(the run is over)"), "{divergence}");

    let runs = AtomicU64::new(0);
    let once = Fake(|_, trace: &Trace| {
        let first = runs.fetch_add(1, Ordering::Relaxed) == 0;
        trace.record(Duration::ZERO, "a", "b", if first { b"c" } else { b"d" });
    });
    let divergence = check(&once, 0..1, &mut |_| {}).unwrap_err();
    assert!(matches!(divergence.kind, Difference::Gone), "{divergence:?}");
}
