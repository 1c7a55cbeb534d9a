//! `forever-sim shrink`: a case made small, and told.

use std::path::{Path, PathBuf};

use forever_sim::case::{Case, Size};
use forever_sim::shrink::{Effort, shrink as shrink_scenario};
use forever_sim::simulation::Simulation as _;
use forever_sim::store::Store;
use forever_sim::story;

use super::again::replay_line;
use super::{CliError, ShrinkArgs, Verdict, case, print, progress};

pub(crate) fn shrink(args: &ShrinkArgs) -> Result<Verdict, CliError> {
    let case = case::read(&args.file)?;
    let store = Store::new(case.scenario.tier);
    let bar = progress::shrinking();
    let effort = Effort { tries_max: args.tries };
    let shrunk = shrink_scenario(&store, &case.scenario, &case.violation, effort, &mut |at| {
        progress::show_shrinking(&bar, at);
    });
    bar.finish_and_clear();
    let shrunk = shrunk.map_err(|error| CliError::Shrink { path: args.file.clone(), error })?;
    let before = case.shrunk_from.unwrap_or_else(|| Size::of(&case.scenario));
    let remarks = store.remarks(&shrunk.scenario);
    print(&story::tell(&shrunk.scenario, Some(&shrunk.violation), Some(before), &remarks));
    let small =
        Case { shrunk_from: Some(before), ..Case::new(shrunk.scenario, shrunk.violation, shrunk.outcome.trace_hash) };
    let path = args.output.clone().unwrap_or_else(|| beside(&args.file));
    small.write(&path)?;
    print(&format!("\n{} tries. Replay it:\n{}", shrunk.tries, replay_line(&path)));
    Ok(Verdict::Clean)
}

/// `a/case.json` becomes `a/case.small.json`.
fn beside(path: &Path) -> PathBuf {
    path.with_extension("small.json")
}
