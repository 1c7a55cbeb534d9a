//! A sweep's report for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use forever_sim::store::Scenario;
use forever_sim::sweep::{BITES_PER_SEED_MIN, OPS_PER_SEED_MIN, Report};

use super::{Context, percent};

/// Where values start, and how long lines get.
const INDENT: usize = 28;
const WIDTH: usize = 120;

/// The report, without the line that says how to replay.
pub(crate) fn report(report: &Report<Scenario>, context: &Context<'_>) -> String {
    let mut text = String::new();
    let (tier, seeds, first) = (context.store.tier, report.seeds, report.first_seed);
    let wall = report.wall.as_secs_f64();
    let _ = writeln!(
        text,
        "{tier:?}: {} from {first} on, in {wall:.1} s with {}",
        many(seeds, "seed"),
        many(context.jobs as u64, "job")
    );
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:<26}{}", wrapped(&value));
    };
    let tally = &report.tally;
    line("operations", tally.ops.to_string());
    line("succeeded", format!("{} (goal: at least 90%)", percent(tally.succeeded, tally.ops)));
    line("reads excused", format!("{} of {} (goal: at most 2%)", percent(tally.excused, tally.reads), tally.reads));
    line(
        &format!("seeds with {OPS_PER_SEED_MIN} operations"),
        format!("{} of the {} that ran to their end", report.seeds_with_ops, report.seeds_whole),
    );
    line(
        "seeds with faults",
        format!("{} of the {} that ran to their end", report.seeds_with_faults, report.seeds_whole),
    );
    line(
        "faults that took effect",
        format!(
            "{}; at least {BITES_PER_SEED_MIN} in {} of the {} seeds with faults",
            tally.bites.values().sum::<u64>(),
            report.seeds_bitten,
            report.seeds_with_faults
        ),
    );
    line("  by kind (seeds)", counts(&report.bitten_by));
    line("probes reached (seeds)", counts(&report.probes));
    let unreached = context.unreached(report);
    line("probes never reached", if unreached.is_empty() { "none".into() } else { unreached.join(", ") });
    line("seeds a second", format!("{:.1}", report.seeds_per_s()));
    line("simulated time", format!("{:.0} s, {:.0} a second", report.sim_time.as_secs_f64(), report.sim_per_wall()));
    line("hash over all runs", report.digest().to_string());
    failures(&mut text, report, context);
    text
}

fn failures(text: &mut String, report: &Report<Scenario>, context: &Context<'_>) {
    let failed = report.failed();
    let _ = writeln!(
        text,
        "{}",
        if failed == 0 { "no rule is broken".into() } else { format!("{} failed", many(failed, "seed")) }
    );
    for (oracle, failures) in &report.failures {
        let Some(first) = failures.first.first() else { continue };
        let (count, seed, at) = (failures.count, first.seed, first.violation.at_us as f64 / 1e6);
        let _ =
            writeln!(text, "  {oracle}: {}, first {seed} at {at:.6} s: {}", many(count, "seed"), first.violation.what);
        for failure in &failures.first {
            if let Some(path) = context.cases.get(&failure.seed) {
                let _ = writeln!(text, "    {}", path.display());
            }
        }
    }
    for shortcoming in context.shortcomings(report) {
        let so = if shortcoming.fails { "fails" } else { "falls short" };
        let _ = writeln!(text, "this sweep {so}: {}", shortcoming.text);
    }
}

fn many(number: u64, of: &str) -> String {
    format!("{number} {of}{}", if number == 1 { "" } else { "s" })
}

fn counts(counts: &BTreeMap<&'static str, u64>) -> String {
    if counts.is_empty() {
        return "none".into();
    }
    let texts: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    texts.join(", ")
}

/// With lines that fit a terminal, broken behind commas.
fn wrapped(list: &str) -> String {
    let mut text = String::new();
    let mut width = INDENT;
    for (index, part) in list.split(", ").enumerate() {
        if index > 0 {
            text.push(',');
            if width + part.len() + 2 > WIDTH {
                let _ = write!(text, "\n{:INDENT$}", "");
                width = INDENT;
            } else {
                text.push(' ');
            }
        }
        text.push_str(part);
        width += part.len() + 2;
    }
    text
}
