//! A sweep's report for CI: a test for each oracle, one for panics, and one for whether the sweep tested enough.

use forever_sim::junit::{Suite, Test};
use forever_sim::simulation::PANIC;
use forever_sim::store::Scenario;
use forever_sim::sweep::Report;

use super::Context;
use crate::cli::again::{replay_line, run_line};

/// The report as JUnit XML.
pub(crate) fn report(report: &Report<Scenario>, context: &Context<'_>) -> String {
    let class = format!("forever-sim.{}", context.store.tier.name());
    let names = context.oracles.iter().copied().chain([PANIC]);
    let test = |name: &str| Test { class: class.clone(), name: name.into(), failure: failure(name, report, context) };
    let mut tests: Vec<Test> = names.map(test).collect();
    let short = context.shortcomings(report).into_iter().filter(|shortcoming| shortcoming.fails);
    let short: Vec<String> = short.map(|shortcoming| shortcoming.text).collect();
    let failure = (!short.is_empty()).then(|| (short.join("; "), short.join("\n")));
    tests.push(Test { class, name: "tests enough".into(), failure });
    let property = |name: &str, value: String| (name.to_string(), value);
    let properties = vec![
        property("seeds", format!("{}..{}", report.first_seed, report.first_seed + report.seeds)),
        property("operations", report.tally.ops.to_string()),
        property("hash", report.digest().to_string()),
    ];
    Suite { name: format!("forever-sim sweep, {}", context.store.tier.name()), time: report.wall, tests, properties }
        .xml()
}

fn failure(oracle: &str, report: &Report<Scenario>, context: &Context<'_>) -> Option<(String, String)> {
    let failures = report.failures.get(oracle)?;
    let first = failures.first.first()?;
    let line = format!("{} seeds, first {}: {}", failures.count, first.seed, first.violation.what);
    let lines = failures.first.iter().map(|failure| {
        let replay = context.cases.get(&failure.seed).map(|path| replay_line(path));
        let replay = replay.unwrap_or_else(|| run_line(failure.seed, context.store));
        format!("seed {} at {} µs: {}\n{replay}", failure.seed, failure.violation.at_us, failure.violation.what)
    });
    Some((line, lines.collect()))
}
