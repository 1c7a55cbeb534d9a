//! Case files: all it takes to run a failure again, as JSON that a person can read.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::simulation::{Outcome, Scenario, Unrunnable};
use crate::story::count;
use crate::system::Violation;

/// What is in [`Case::format`].
pub const FORMAT: &str = "forever-sim case 1";

/// A failure of one seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Scenario", deny_unknown_fields)]
pub struct Case<S> {
    /// Always [`FORMAT`].
    pub format: String,
    /// The commit of the build that found it, or `unknown`.
    pub commit: String,
    /// The features of the build that found it.
    pub features: Vec<String>,
    /// The seed.
    pub seed: u64,
    /// The broken rule.
    pub violation: Violation,
    /// The hash of everything that happened, as 64 hexadecimal digits.
    pub trace_hash: String,
    /// How large it was before it was made small, if it was.
    pub shrunk_from: Option<Size>,
    /// The whole configuration, with the plan.
    pub scenario: S,
}

/// How large a scenario is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// Nodes.
    pub nodes: usize,
    /// Operations.
    pub ops: usize,
    /// Faults.
    pub faults: usize,
}

impl Size {
    /// The size of a scenario.
    pub fn of<S: Scenario>(scenario: &S) -> Self {
        let plan = scenario.plan();
        Self { nodes: scenario.nodes(), ops: plan.ops.len(), faults: plan.faults.len() }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes, ops, faults } = *self;
        write!(f, "{}, {} and {}", count(nodes, "node"), count(ops, "operation"), count(faults, "fault"))
    }
}

/// Why a case file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// It cannot be read.
    #[error("cannot read {path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It cannot be written.
    #[error("cannot write {path}: {error}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is no case file.
    #[error("{path} is no case file of this version: {error}")]
    Format {
        /// The file.
        path: PathBuf,
        /// Why.
        error: serde_json::Error,
    },
    /// It is a case file of another version.
    #[error("{path} says '{found}', this build reads '{FORMAT}': replay it with the commit that wrote it")]
    Version {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: String,
    },
    /// It names one seed, and its scenario another.
    #[error("{path} is of seed {seed}, and its scenario of seed {scenario}: take the file as it was written")]
    Seed {
        /// The file.
        path: PathBuf,
        /// The case's seed.
        seed: u64,
        /// The scenario's seed.
        scenario: u64,
    },
    /// Its scenario cannot be run.
    #[error("{path} cannot be run: {why}")]
    Scenario {
        /// The file.
        path: PathBuf,
        /// Why.
        why: Unrunnable,
    },
}

impl<S: Scenario> Case<S> {
    /// The case of a scenario that failed.
    #[must_use]
    pub fn new(scenario: S, violation: Violation, trace_hash: blake3::Hash) -> Self {
        Self {
            format: FORMAT.into(),
            commit: commit().into(),
            features: features(),
            seed: scenario.seed(),
            violation,
            trace_hash: trace_hash.to_hex().to_string(),
            shrunk_from: None,
            scenario,
        }
    }

    /// Whether a run broke the same rule, at the same time, with the same trace.
    #[must_use]
    pub fn is_reproduced_by(&self, outcome: &Outcome) -> bool {
        outcome.violation.as_ref() == Some(&self.violation) && outcome.trace_hash.to_hex().as_str() == self.trace_hash
    }

    /// Reads a case file.
    ///
    /// # Errors
    /// If it cannot be read, or is none.
    pub fn read(path: &Path) -> Result<Self, CaseError> {
        let bytes = std::fs::read(path).map_err(|error| CaseError::Read { path: path.into(), error })?;
        Self::parse(path, &bytes)
    }

    /// Reads a case from the bytes of a file.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, CaseError> {
        let case: Self = serde_json::from_slice(bytes).map_err(|error| format_error(path, bytes, error))?;
        if case.format != FORMAT {
            return Err(CaseError::Version { path: path.into(), found: case.format });
        }
        let (seed, scenario) = (case.seed, case.scenario.seed());
        if seed != scenario {
            return Err(CaseError::Seed { path: path.into(), seed, scenario });
        }
        case.scenario.check().map_err(|why| CaseError::Scenario { path: path.into(), why })?;
        Ok(case)
    }

    /// Writes a case file, and the folder it is in.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), CaseError> {
        let fail = |error| CaseError::Write { path: path.into(), error };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(fail)?;
        }
        let mut text = serde_json::to_string_pretty(self).map_err(|error| fail(error.into()))?;
        text.push('\n');
        std::fs::write(path, text).map_err(fail)
    }
}

/// A file that says which version it is of should be refused for that, not for the first field that has changed.
fn format_error(path: &Path, bytes: &[u8], error: serde_json::Error) -> CaseError {
    #[derive(Deserialize)]
    struct Format {
        format: String,
    }
    match serde_json::from_slice(bytes) {
        Ok(Format { format }) if format != FORMAT => CaseError::Version { path: path.into(), found: format },
        Ok(_) | Err(_) => CaseError::Format { path: path.into(), error },
    }
}

/// The commit that this was built from: what `FOREVER_COMMIT` or `GITHUB_SHA` said at build time, or else what was checked
/// out then; `unknown` where the sources are in no repository.
#[must_use]
pub const fn commit() -> &'static str {
    env!("FOREVER_SIM_COMMIT")
}

/// The features that this was built with.
#[must_use]
pub fn features() -> Vec<String> {
    let all = [("planted-bugs", cfg!(feature = "planted-bugs"))];
    all.iter().filter(|(_, on)| *on).map(|(name, _)| (*name).into()).collect()
}
