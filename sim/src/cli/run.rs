//! `forever-sim run`: one seed.

use forever_sim::case::Size;
use forever_sim::simulation::{self, Outcome};
use forever_sim::store::Scenario;
use forever_sim::trace::{Keep, Trace};
use std::fmt::Write as _;

use super::again::{replay_line, run_line};
use super::output::{Output, check_folder, conclude};
use super::{CliError, RunArgs, Verdict, case, print};

pub(crate) fn run(args: &RunArgs) -> Result<Verdict, CliError> {
    let store = args.store.store()?;
    let events = Output::open(args.trace.as_deref())?;
    check_folder(&args.cases)?;
    let drawn = simulation::draw_caught(&store, args.seed);
    let scenario = drawn.map_err(|message| CliError::Draw { seed: args.seed, message })?;
    if args.print_config {
        let config = serde_json::to_string_pretty(&scenario).expect("a scenario is plain data");
        print(&format!("{config}\n"));
    }
    let keep = if events.is_some() { Keep::Events { from: 0, count: u64::MAX } } else { Keep::Hash };
    let (outcome, trace) = simulation::run_caught(&store, &scenario, keep);
    print(&summary(&scenario, &outcome));
    let mut errors = Vec::new();
    errors.extend(events.and_then(|file| file.write(&lines(&trace)).err()));
    let Some(violation) = outcome.violation else { return conclude(Verdict::Clean, errors) };
    match case::write(&args.cases, scenario, violation, outcome.trace_hash) {
        Ok(path) => print(&replay_line(&path)),
        Err(error) => {
            errors.push(error);
            print(&run_line(args.seed, &args.store));
        }
    }
    conclude(Verdict::Broken, errors)
}

/// All events, one a line.
pub(crate) fn lines(trace: &Trace) -> String {
    let mut text = String::new();
    for entry in trace.entries() {
        let _ = writeln!(text, "{entry}");
    }
    text
}

/// What came of a run, in a few lines.
pub(crate) fn summary(scenario: &Scenario, outcome: &Outcome) -> String {
    let mut text = String::new();
    let size = Size::of(scenario);
    let (seed, tier) = (scenario.seed, scenario.tier);
    let _ = writeln!(text, "seed {seed} in {tier:?}: {size}");
    let tally = &outcome.tally;
    let bitten: u64 = tally.bites.values().sum();
    let _ = writeln!(
        text,
        "{} of {} operations succeeded, {} of {} reads are excused, {bitten} faults took effect",
        tally.succeeded, tally.ops, tally.excused, tally.reads
    );
    let (time, events, hash) = (outcome.sim_time.as_secs_f64(), outcome.events, outcome.trace_hash);
    let _ = writeln!(text, "{time:.3} simulated seconds, {events} events, trace {hash}");
    match &outcome.violation {
        None => text.push_str("no rule is broken\n"),
        Some(violation) => {
            let (at, oracle, what) = (violation.at_us as f64 / 1e6, &violation.oracle, &violation.what);
            let _ = writeln!(text, "the rule '{oracle}' is broken at {at:.6} s: {what}");
        }
    }
    text
}
