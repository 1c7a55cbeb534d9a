//! What a check found, one by one and in numbers.

use serde::{Deserialize, Serialize};

use super::problem::{BlobFault, Problem, RecordPlace, Severity};

/// The most findings that are kept one by one; the rest is counted. A disk that is gone altogether has millions.
const FINDINGS_MAX: usize = 100_000;

/// The most versions of files told of with one finding.
const AFFECTED_MAX: usize = 8;

/// What became of a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing was done about it.
    Found,
    /// It is in order now; what was damaged is out of the way.
    Repaired,
    /// A running node's peers have given back what was lost.
    Mended,
    /// The repair failed, and why.
    Failed(String),
}

/// A version of a file that a finding is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Affected {
    /// Its record.
    pub place: RecordPlace,
    /// Its real name, if the keys at hand open it.
    pub name: Option<String>,
}

/// Something found, what it concerns, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub problem: Problem,
    /// Versions of files that it concerns, the first few of them.
    pub affected: Vec<Affected>,
    /// How many more it concerns.
    pub affected_more: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// What there is, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Records that are in order.
    pub records: u64,
    /// Of these, deletions.
    pub tombstones: u64,
    /// Of these, checkpoints.
    pub checkpoints: u64,
    /// Versions of files of which everything is here.
    pub whole: u64,
    /// Versions of files whose bytes were evicted from here.
    pub evicted: u64,
    /// Versions of files that lack something here.
    pub incomplete: u64,
    /// Manifest pages.
    pub pages: u64,
    /// Of these, pages that no record needs.
    pub unreferenced_pages: u64,
    /// Blobs with a row.
    pub blobs: u64,
    /// Their bytes.
    pub blob_bytes: u64,
    /// Blobs that are damaged or whose files are gone.
    pub damaged_blobs: u64,
    /// Blobs that no record needs.
    pub unreferenced_blobs: u64,
    /// Their bytes.
    pub unreferenced_bytes: u64,
    /// Bytes of blobs that were read and hashed.
    pub hashed_bytes: u64,
    /// Findings that are not listed, because there are too many.
    pub unlisted: u64,
    /// Whether any of those is beyond repair.
    #[serde(skip)]
    pub unlisted_lost: bool,
}

/// All that a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// One by one, the first 100,000.
    pub findings: Vec<Finding>,
    /// In numbers.
    pub summary: Summary,
}

impl Finding {
    /// Whether it is not in order, nor has been put in order.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.problem.severity() != Severity::Note && !matches!(self.outcome, Outcome::Repaired | Outcome::Mended)
    }
}

impl Report {
    /// Whether something that this disk should hold is gone: only other nodes can give it back.
    #[must_use]
    pub fn is_lossy(&self) -> bool {
        let is_lost =
            |finding: &Finding| finding.problem.severity() == Severity::Lost && finding.outcome != Outcome::Mended;
        self.summary.unlisted_lost || self.findings.iter().any(is_lost)
    }

    /// Whether all is in order, or has been put in order, and nothing is lost.
    #[must_use]
    pub fn is_in_order(&self) -> bool {
        !self.is_lossy() && self.summary.unlisted == 0 && !self.findings.iter().any(Finding::is_open)
    }

    /// Adds a finding; its place among the others, unless there are too many.
    pub(super) fn add(&mut self, problem: Problem) -> Option<usize> {
        if self.findings.len() >= FINDINGS_MAX {
            self.summary.unlisted += 1;
            self.summary.unlisted_lost |= problem.severity() == Severity::Lost;
            return None;
        }
        self.findings.push(Finding { problem, affected: Vec::new(), affected_more: 0, outcome: Outcome::Found });
        Some(self.findings.len() - 1)
    }

    /// Notes that a finding concerns a version of a file.
    pub(super) fn affects(&mut self, finding: Option<usize>, affected: &Affected) {
        let Some(finding) = finding.and_then(|number| self.findings.get_mut(number)) else { return };
        if finding.affected.contains(affected) {
            return;
        }
        if finding.affected.len() < AFFECTED_MAX {
            finding.affected.push(affected.clone());
        } else {
            finding.affected_more += 1;
        }
    }

    /// Whether rows are damaged: their blobs' lengths are unknown then.
    pub(super) fn has_damaged_rows(&self) -> bool {
        let is_row = |finding: &Finding| matches!(&finding.problem, Problem::Blob { fault: BlobFault::BadRow, .. });
        self.findings.iter().any(is_row)
    }
}
