//! Why a store cannot be opened, cleared or exported, and what to do about it.

use std::io;
use std::path::PathBuf;

use forever_core::disk::DiskError;

/// A store that cannot be opened or cleared.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Something other than a folder lies where the store should be.
    #[error("{} is not a folder: choose another data folder or move it away", path.display())]
    NotAFolder {
        /// Where the store should be.
        path: PathBuf,
    },
    /// The folder cannot be written.
    #[error("{} cannot be written ({source}): give this user write access to it or choose another data folder", path.display())]
    Unwritable {
        /// What could not be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There are blobs, but no index that tells which of them count.
    #[error(
        "{} is missing although there are blobs beside it: put the file back, or start with a fresh data folder and \
         restore from the peers",
        path.display()
    )]
    IndexMissing {
        /// The index's file.
        path: PathBuf,
    },
    /// The index's file is truncated or damaged.
    #[error(
        "{} is damaged ({detail}): keep it aside, start with a fresh data folder and restore from the peers",
        path.display()
    )]
    IndexDamaged {
        /// The index's file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The index's file is a database of something else.
    #[error("{} does not belong to a foreverstore: choose another data folder", path.display())]
    IndexForeign {
        /// The index's file.
        path: PathBuf,
    },
    /// The index was written by a newer program.
    #[error(
        "{} has format {found}, and this program knows formats up to {supported}: use a newer program, nothing was \
         changed",
        path.display()
    )]
    NewerFormat {
        /// The index's file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The newest format that this program knows.
        supported: u64,
    },
    /// Another process has the index open.
    #[error("{} is in use by another process: stop that node first", path.display())]
    InUse {
        /// The index's file.
        path: PathBuf,
    },
    /// A check beside a running node was told to end.
    #[error("the check was ended: the node stops, or nobody waits for its result")]
    Stopped,
    /// No space is left.
    #[error("no space is left for {}: free some and start again", path.display())]
    Full {
        /// What could not be written.
        path: PathBuf,
    },
    /// The disk failed.
    #[error("{} cannot be used ({source}): check the disk, then start again", path.display())]
    Io {
        /// What could not be read or written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl OpenError {
    /// The error of a failed access to `path`.
    pub(crate) fn io(path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        if is_full(&source) {
            return Self::Full { path };
        }
        let kind = source.kind();
        if matches!(kind, io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) {
            Self::Unwritable { path, source }
        } else if kind == io::ErrorKind::NotADirectory {
            Self::NotAFolder { path }
        } else {
            Self::Io { path, source }
        }
    }
}

/// An export that broke off.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The store could not be read.
    #[error("the store could not be read: {0}")]
    Read(#[from] DiskError),
    /// The output could not be written.
    #[error("the export could not be written: {0}")]
    Write(#[from] io::Error),
}

/// Whether an error means that no space is left.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// An error of reading or writing as the core sees it. A failed sync is not one of these: see `Health`.
pub(crate) fn disk_error(error: &io::Error) -> DiskError {
    if is_full(error) { DiskError::Full } else { DiskError::Io(error.to_string()) }
}
