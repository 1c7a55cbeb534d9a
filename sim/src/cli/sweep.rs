//! `forever-sim sweep`: many seeds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use forever_sim::store::{Scenario, oracles, probes};
use forever_sim::sweep::{self, Report, Sweep};

use super::progress::Sweeping;
use super::report::{Context, json, junit, text};
use super::{CliError, SweepArgs, Verdict, case, cores, eprint, print, replay_line, stop};

/// How long a sweep goes on if nothing else is said.
const TIME: Duration = Duration::from_secs(60);

pub(crate) fn sweep(args: &SweepArgs) -> Result<Verdict, CliError> {
    let store = args.store.store()?;
    let stop = stop::on_ctrl_c()?;
    let seeds = args.seeds.map_or(0..u64::MAX, super::Seeds::range);
    let bounded = args.seeds.and_then(|seeds| Some(seeds.end? - seeds.first));
    let time = args.time.or(if bounded.is_some() { None } else { Some(TIME) });
    let jobs = args.jobs.map_or_else(cores, usize::from);
    let known_probes: Vec<&str> = probes::of(store.tier).into_iter().map(|(name, _)| name).collect();
    eprint(&format!("sweeping {:?} with {jobs} jobs; Ctrl-C ends it with its report\n", store.tier));
    let progress = Sweeping::new(bounded, time, known_probes.len());
    let report = sweep::sweep(&store, &Sweep { seeds, time, jobs, stop: &stop }, &mut |report| progress.show(report));
    progress.finish();
    let cases = write_cases(&report, &args.cases)?;
    let context = Context {
        tier: store.tier,
        jobs,
        probes: known_probes,
        oracles: oracles::ALL.iter().map(|(name, _)| *name).collect(),
        cases: &cases,
        required: args.require_probes,
    };
    write(args.json.as_deref(), || json::report(&report, &context))?;
    write(args.junit.as_deref(), || junit::report(&report, &context))?;
    print(&text::report(&report, &context));
    if let Some(path) = report.first_failure().and_then(|failure| cases.get(&failure.seed)) {
        print(&replay_line(path));
    }
    let is_tested = !args.require_probes || context.shortcomings(&report).is_empty();
    Ok(Verdict::of(report.failed() == 0 && is_tested))
}

/// Case files of the failures that were kept, by seed.
fn write_cases(report: &Report<Scenario>, folder: &Path) -> Result<BTreeMap<u64, PathBuf>, CliError> {
    let mut cases = BTreeMap::new();
    for failure in report.failures.values().flat_map(|failures| &failures.first) {
        if let Some(scenario) = &failure.scenario {
            let path = case::write(folder, scenario.clone(), failure.violation.clone(), failure.trace_hash)?;
            cases.insert(failure.seed, path);
        }
    }
    Ok(cases)
}

fn write(path: Option<&Path>, text: impl FnOnce() -> String) -> Result<(), CliError> {
    path.map_or(Ok(()), |path| std::fs::write(path, text()).map_err(CliError::file(path)))
}
