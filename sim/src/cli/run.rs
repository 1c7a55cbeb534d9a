//! `forever-sim run`: one seed.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use forever_sim::case::Size;
use forever_sim::simulation::{self, Outcome};
use forever_sim::store::Scenario;
use forever_sim::trace::{Keep, Trace};

use super::{CliError, RunArgs, Verdict, case, print, replay_line};

pub(crate) fn run(args: &RunArgs) -> Result<Verdict, CliError> {
    let store = args.store.store()?;
    let drawn = simulation::draw_caught(&store, args.seed);
    let scenario = drawn.map_err(|message| CliError::Draw { seed: args.seed, message })?;
    if args.print_config {
        let config = serde_json::to_string_pretty(&scenario).expect("a scenario is plain data");
        print(&format!("{config}\n"));
    }
    let keep = if args.trace.is_some() { Keep::Events { from: 0, count: u64::MAX } } else { Keep::Hash };
    let (outcome, trace) = simulation::run_caught(&store, &scenario, keep);
    if let Some(path) = &args.trace {
        write_trace(path, &trace).map_err(CliError::file(path))?;
    }
    print(&summary(&scenario, &outcome));
    let Some(violation) = outcome.violation else { return Ok(Verdict::Clean) };
    let path = case::write(&args.cases, scenario, violation, outcome.trace_hash)?;
    print(&replay_line(&path));
    Ok(Verdict::Broken)
}

fn write_trace(path: &Path, trace: &Trace) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for entry in trace.entries() {
        writeln!(file, "{entry}")?;
    }
    file.flush()
}

/// What came of a run, in a few lines.
pub(crate) fn summary(scenario: &Scenario, outcome: &Outcome) -> String {
    let mut text = String::new();
    let Size { nodes, ops, faults } = Size::of(scenario);
    let (seed, tier) = (scenario.seed, scenario.tier);
    let _ = writeln!(text, "seed {seed} in {tier:?}: {nodes} nodes, {ops} operations, {faults} faults");
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
