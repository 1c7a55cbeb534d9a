//! Case files of the store.

use std::path::{Path, PathBuf};

use forever_sim::case::Case;
use forever_sim::store::Scenario;
use forever_sim::system::Violation;
use serde::Deserialize;

use super::CliError;

/// Writes the case of a seed that failed.
pub(crate) fn write(
    folder: &Path,
    scenario: Scenario,
    violation: Violation,
    hash: blake3::Hash,
) -> Result<PathBuf, CliError> {
    let bug = scenario.planted.as_ref().map_or_else(String::new, |bug| format!("{bug}-"));
    let name = format!("{bug}{}-{}-{}.json", scenario.tier.name(), scenario.seed, violation.oracle);
    let path = folder.join(name);
    Case::new(scenario, violation, hash).write(&path)?;
    Ok(path)
}

/// Reads a case that this build can run.
pub(crate) fn read(path: &Path) -> Result<Case<Scenario>, CliError> {
    parse(path, &std::fs::read(path).map_err(CliError::file(path))?)
}

/// A case from the bytes of its file, if this build can run it.
pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Case<Scenario>, CliError> {
    // First of all, since a build without planted bugs cannot read a scenario that has one.
    match planted(bytes) {
        Some(bug) if !cfg!(feature = "planted-bugs") => Err(CliError::Planted { path: path.into(), bug }),
        Some(_) | None => Ok(Case::parse(path, bytes)?),
    }
}

/// The planted bug of a case, whatever else is in its file.
fn planted(bytes: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct OfCase {
        scenario: OfScenario,
    }
    #[derive(Deserialize)]
    struct OfScenario {
        planted: Option<String>,
    }
    serde_json::from_slice(bytes).ok().and_then(|case: OfCase| case.scenario.planted)
}
