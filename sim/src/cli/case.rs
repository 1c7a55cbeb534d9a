//! Case files of the store.

use std::path::{Path, PathBuf};

use forever_sim::case::Case;
use forever_sim::store::Scenario;
use forever_sim::system::Violation;

use super::{CliError, tier_name};

/// Writes the case of a seed that failed.
pub(crate) fn write(
    folder: &Path,
    scenario: Scenario,
    violation: Violation,
    hash: blake3::Hash,
) -> Result<PathBuf, CliError> {
    let name = format!("{}-{}-{}.json", tier_name(scenario.tier), scenario.seed, violation.oracle);
    let path = folder.join(name);
    Case::new(scenario, violation, hash).write(&path)?;
    Ok(path)
}

/// Reads a case that this build can run.
pub(crate) fn read(path: &Path) -> Result<Case<Scenario>, CliError> {
    usable(path, Case::read(path)?)
}

/// A case, if this build can run it.
pub(crate) fn usable(path: &Path, case: Case<Scenario>) -> Result<Case<Scenario>, CliError> {
    match &case.scenario.planted {
        Some(bug) if !cfg!(feature = "planted-bugs") => Err(CliError::Planted { path: path.into(), bug: bug.clone() }),
        Some(_) | None => Ok(case),
    }
}
