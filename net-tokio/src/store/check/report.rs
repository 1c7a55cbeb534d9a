//! What a check found.

use std::path::PathBuf;

use forever_core::ids::{BlobKey, NameId, OwnerId, PageId, RecordId};

/// The most findings that are kept one by one; the rest is counted. A disk that is gone altogether has millions.
const FINDINGS_MAX: usize = 100_000;

/// The most versions of files told of with one finding.
const AFFECTED_MAX: usize = 8;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// In order, but worth knowing: what crashes leave behind, what is kept aside.
    Note,
    /// Not in order. A repair puts it in order.
    Wrong,
    /// Something that this disk should hold is gone: no repair here brings it back, only other nodes can.
    Lost,
}

/// What became of a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing was done about it.
    Found,
    /// It is in order now; what was damaged is out of the way.
    Repaired,
    /// The repair failed, and why.
    Failed(String),
}

/// Where the bytes of a blob are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the index.
    Index,
    /// In this file.
    File(PathBuf),
}

/// What is wrong with a blob that has a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlobFault {
    /// Its file is not there.
    Missing,
    /// Its file has another length, in bytes.
    WrongLength {
        /// What the row says.
        expected: u64,
        /// What it is.
        found: u64,
    },
    /// Its bytes are not what its address says.
    WrongHash,
    /// Its file cannot be read, and what the system says.
    Unreadable(String),
    /// Its row in the index cannot be decoded.
    BadRow,
}

/// The record that a key of the index is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordPlace {
    /// Whose it is.
    pub owner: OwnerId,
    /// Of which name.
    pub name_id: NameId,
    /// Of which version, as commands show it.
    pub version: String,
    /// Which one.
    pub record: RecordId,
}

/// A version of a file that a finding is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Affected {
    /// Its record.
    pub place: RecordPlace,
    /// Its real name, if the keys at hand open it.
    pub name: Option<String>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// A blob is damaged, or its file is gone.
    Blob {
        /// Which.
        blob: BlobKey,
        /// Where it is.
        place: Place,
        /// What is wrong with it.
        fault: BlobFault,
    },
    /// A manifest page is not what its address says.
    Page {
        /// Whose it is.
        owner: OwnerId,
        /// Which.
        page: PageId,
    },
    /// A record is damaged, forged, or lies under another's key.
    Record {
        /// The key it lies under.
        key: Vec<u8>,
        /// What the key says, if it is a record's at all.
        place: Option<RecordPlace>,
        /// What is wrong with it.
        why: String,
    },
    /// A version of a file that this disk should hold lacks something.
    Incomplete {
        /// Pages that are not there, or damaged.
        pages: u64,
        /// Chunks that have no row.
        missing: u64,
        /// Chunks whose blobs are damaged.
        damaged: u64,
        /// Chunks that it has, as far as its pages tell.
        chunks: u64,
    },
    /// The index does not say that a page needs its chunks, so they could be dropped in spite of it.
    References {
        /// Whose the page is.
        owner: OwnerId,
        /// Which.
        page: PageId,
        /// How many of its chunks are concerned.
        chunks: u64,
    },
    /// The index's own count of blobs is wrong.
    WrongCounters {
        /// Blobs that it counts.
        blobs: u64,
        /// Their bytes.
        blob_bytes: u64,
    },
    /// A folder cannot be listed, and what the system says.
    Unlistable {
        /// Where.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// A record or page in a format that this program does not know; it is what its address says.
    Unknown {
        /// The key it lies under.
        key: Vec<u8>,
    },
    /// The file of a blob that no row points to.
    Orphan {
        /// Where.
        path: PathBuf,
        /// Its length in bytes.
        len: u64,
    },
    /// A file that was being written when a node ended.
    Temp {
        /// Where.
        path: PathBuf,
        /// Its length in bytes.
        len: u64,
    },
    /// Something among the blobs that is not a blob.
    Foreign {
        /// Where.
        path: PathBuf,
    },
    /// Something damaged that was kept aside.
    Quarantined {
        /// Where.
        path: PathBuf,
        /// Its length in bytes.
        len: u64,
    },
    /// The last run did not end well: the next start looks for files that it left.
    Unclean,
    /// A sync failed in the last run: the next start writes the index anew.
    Doubtful,
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Records that are in order.
    pub records: u64,
    /// Of these, deletions.
    pub tombstones: u64,
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

impl Problem {
    /// How bad it is.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::Record { .. } | Self::Incomplete { .. } => Severity::Lost,
            Self::Blob { .. }
            | Self::Page { .. }
            | Self::References { .. }
            | Self::WrongCounters { .. }
            | Self::Unlistable { .. } => Severity::Wrong,
            Self::Unknown { .. }
            | Self::Orphan { .. }
            | Self::Temp { .. }
            | Self::Foreign { .. }
            | Self::Quarantined { .. }
            | Self::Unclean
            | Self::Doubtful => Severity::Note,
        }
    }
}

impl Finding {
    /// Whether it is not in order, nor has been put in order.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.problem.severity() != Severity::Note && self.outcome != Outcome::Repaired
    }
}

impl Report {
    /// Whether something that this disk should hold is gone: only other nodes can give it back.
    #[must_use]
    pub fn is_lossy(&self) -> bool {
        self.summary.unlisted_lost || self.findings.iter().any(|finding| finding.problem.severity() == Severity::Lost)
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
