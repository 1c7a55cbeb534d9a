//! What can be wrong with a store, and how bad that is.

use std::path::PathBuf;

use forever_core::ids::{BlobKey, NameId, OwnerId, PageId, RecordId};

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
