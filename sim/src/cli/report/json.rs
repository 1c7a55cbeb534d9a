//! A sweep's report for programs: one JSON object.

use forever_sim::case;
use forever_sim::store::Scenario;
use forever_sim::sweep::Report;
use serde_json::{Value, json};

use super::Context;

/// The report. All but `timing` follows from the seeds.
pub(crate) fn report(report: &Report<Scenario>, context: &Context<'_>) -> String {
    let value = json!({
        "tier": context.store.tier.name(),
        "commit": case::commit(),
        "features": case::features(),
        "first_seed": report.first_seed,
        "seeds": report.seeds,
        "tally": report.tally,
        "seeds_that_ran_to_their_end": report.seeds_whole,
        "seeds_with_100_ops": report.seeds_with_ops,
        "seeds_with_faults": report.seeds_with_faults,
        "seeds_with_10_effects": report.seeds_bitten,
        "seeds_by_fault": report.bitten_by,
        "seeds_by_probe": report.probes,
        "probes_never_reached": context.unreached(report),
        "shortcomings": shortcomings(report, context),
        "events": report.events,
        "simulated_s": report.sim_time.as_secs_f64(),
        "hash": report.digest().to_string(),
        "failed": report.failed(),
        "failures": failures(report, context),
        "timing": {
            "jobs": context.jobs,
            "wall_s": report.wall.as_secs_f64(),
            "seeds_per_s": report.seeds_per_s(),
            "simulated_s_per_s": report.sim_per_wall(),
        },
    });
    format!("{value:#}\n")
}

fn shortcomings(report: &Report<Scenario>, context: &Context<'_>) -> Vec<Value> {
    let all = context.shortcomings(report).into_iter();
    all.map(|shortcoming| json!({ "what": shortcoming.text, "fails": shortcoming.fails })).collect()
}

fn failures(report: &Report<Scenario>, context: &Context<'_>) -> Vec<Value> {
    let by_oracle = report.failures.iter();
    let all = by_oracle.map(|(oracle, failures)| {
        let first = failures.first.iter().map(|failure| {
            json!({
                "seed": failure.seed,
                "at_us": failure.violation.at_us,
                "what": failure.violation.what,
                "trace_hash": failure.trace_hash.to_string(),
                "case": context.cases.get(&failure.seed),
            })
        });
        json!({ "oracle": oracle, "seeds": failures.count, "first": first.collect::<Vec<_>>() })
    });
    all.collect()
}
