//! What can be wrong with a data folder.

use std::io;
use std::path::{Path, PathBuf};

use super::FORMAT;

/// What is wrong with a data folder, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// There is none.
    #[error("{path} is not a data folder yet: make one with `forever init --data {path}`", path = .0.display())]
    Missing(PathBuf),
    /// There is one.
    #[error("{} is a data folder already, and nothing in it is ever overwritten: choose another with --data", .0.display())]
    Exists(PathBuf),
    /// Something else lives there.
    #[error("{} holds files but is not a forever data folder: choose another with --data", .0.display())]
    Foreign(PathBuf),
    /// Making it was interrupted, or is under way.
    #[error(
        "{} was never finished (it has no `format` file): no node has used it yet, so remove it and run `forever init` \
         again", .0.display()
    )]
    HalfMade(PathBuf),
    /// Made by a later program.
    #[error(
        "{path} has format {found}, and this program knows formats up to {FORMAT}: use a newer forever",
        path = path.display()
    )]
    Newer {
        /// The folder.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// A key file is not what it should be.
    #[error("{} is damaged: it must hold 64 hex digits; bring it back from a backup", .0.display())]
    DamagedKey(PathBuf),
    /// Another process has it.
    #[error(
        "{path} is in use by another process{who}: stop that one, or choose another folder with --data",
        path = path.display(), who = pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
    )]
    InUse {
        /// The folder.
        path: PathBuf,
        /// Who has it, as far as known.
        pid: Option<u32>,
    },
    /// The operating system gave no randomness.
    #[error("the operating system gave no random bytes: {0}")]
    Random(String),
    /// The file system refused.
    #[error("cannot {what} {path}: {error}", path = path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
}

impl FolderError {
    pub(crate) fn io(what: &'static str, path: &Path, error: io::Error) -> Self {
        Self::Io { what, path: path.to_owned(), error }
    }
}
