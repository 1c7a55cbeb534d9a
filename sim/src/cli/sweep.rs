//! `forever-sim sweep`: many seeds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use forever_sim::store::{Scenario, oracles, probes};
use forever_sim::sweep::{self, Report, Sweep};

use super::again::{replay_line, run_line};
use super::output::{Output, check_folder, conclude};
use super::progress::Sweeping;
use super::report::{Context, json, junit, text};
use super::{CliError, SweepArgs, Verdict, case, cores, eprint, print, stop};

/// How long a sweep goes on if nothing else is said.
const TIME: Duration = Duration::from_secs(60);

pub(crate) fn sweep(args: &SweepArgs) -> Result<Verdict, CliError> {
    let store = args.store.store()?;
    let (json, junit) = (Output::open(args.json.as_deref())?, Output::open(args.junit.as_deref())?);
    check_folder(&args.cases)?;
    let stop = stop::on_ctrl_c()?;
    let seeds = args.seeds.map_or(0..u64::MAX, super::Seeds::range);
    let bounded = args.seeds.and_then(|seeds| Some(seeds.end? - seeds.first));
    let time = args.time.or(if bounded.is_some() { None } else { Some(TIME) });
    let jobs = args.jobs.map_or_else(cores, usize::from);
    eprint(&format!("sweeping {:?} with {jobs} jobs; Ctrl-C ends it with its report\n", store.tier));
    let to_reach = probes::demanded(store.tier, bounded.unwrap_or(u64::MAX)).len();
    let progress = Sweeping::new(bounded, time, to_reach);
    let report = sweep::sweep(&store, &Sweep { seeds, time, jobs, stop: &stop }, &mut |report| progress.show(report));
    progress.finish();
    let (cases, mut errors) = write_cases(&report, &args.cases);
    let context = Context {
        store: &args.store,
        jobs,
        probes: probes::demanded(store.tier, u64::MAX),
        demanded: probes::demanded(store.tier, report.seeds),
        oracles: oracles::ALL.iter().map(|(name, _)| *name).collect(),
        cases: &cases,
        required: args.require_probes,
    };
    print(&text::report(&report, &context));
    errors.extend(json.and_then(|file| file.write(&json::report(&report, &context)).err()));
    errors.extend(junit.and_then(|file| file.write(&junit::report(&report, &context)).err()));
    if let Some(failure) = report.first_failure() {
        let again = cases.get(&failure.seed).map(|path| replay_line(path));
        print(&again.unwrap_or_else(|| run_line(failure.seed, &args.store)));
    }
    let is_tested = context.shortcomings(&report).iter().all(|shortcoming| !shortcoming.fails);
    conclude(Verdict::of(report.failed() == 0 && is_tested), errors)
}

/// Writes case files of the failures that were kept: by seed, and what could not be written.
fn write_cases(report: &Report<Scenario>, folder: &Path) -> (BTreeMap<u64, PathBuf>, Vec<CliError>) {
    let (mut cases, mut errors) = (BTreeMap::new(), Vec::new());
    for failure in report.failures.values().flat_map(|failures| &failures.first) {
        let Some(scenario) = &failure.scenario else { continue };
        match case::write(folder, scenario.clone(), failure.violation.clone(), failure.trace_hash) {
            Ok(path) => {
                cases.insert(failure.seed, path);
            }
            Err(error) => errors.push(error),
        }
    }
    (cases, errors)
}
