//! Recordings of nodes: of those that a simulation ran, and of real ones, made by `forever node --record FILE`.

use std::io;
use std::path::{Path, PathBuf};

use forever_core::recording::{ReplayError, Report, replay};

/// Why a file was not replayed to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReplayFileError {
    /// It cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// It is no recording, or the replay does otherwise.
    #[error("{}: {error}", path.display())]
    Replay {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: ReplayError,
    },
}

/// Replays the recording in a file through a fresh node, and compares what that does, byte for byte.
///
/// # Errors
/// [`ReplayFileError`].
pub fn replay_file(path: &Path) -> Result<Report, ReplayFileError> {
    let recording = std::fs::read(path).map_err(|error| ReplayFileError::Read { path: path.into(), error })?;
    replay(&recording).map_err(|error| ReplayFileError::Replay { path: path.into(), error })
}

/// Whether a file starts as a recording does, so that it is not taken for a case.
#[must_use]
pub fn is_recording(start: &[u8]) -> bool {
    start.starts_with(&forever_core::recording::MAGIC)
}
