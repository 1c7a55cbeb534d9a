//! Recordings of nodes: of those that a simulation ran, and of real ones, made by `forever node --record FILE`.

use std::io;
use std::path::{Path, PathBuf};

use forever_core::recording::{Replay, ReplayError, Report};

use crate::simulation::caught;

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
    /// The fresh node panics, which the recorded one did not, or it would have recorded nothing more.
    #[error("{}: the node panics at entry {entry}: {message}", path.display())]
    Panicked {
        /// The file.
        path: PathBuf,
        /// At which entry, from 0.
        entry: u64,
        /// The panic's place and message.
        message: String,
    },
}

/// Replays the recording in a file through a fresh node, and compares what that does, byte for byte.
///
/// # Errors
/// [`ReplayFileError`].
pub fn replay_file(path: &Path) -> Result<Report, ReplayFileError> {
    let recording = std::fs::read(path).map_err(|error| ReplayFileError::Read { path: path.into(), error })?;
    let wrong = |error| ReplayFileError::Replay { path: path.into(), error };
    let panicked = |entry| move |message| ReplayFileError::Panicked { path: path.into(), entry, message };
    let mut replay = caught(|| Replay::open(&recording)).map_err(panicked(0))?.map_err(wrong)?;
    loop {
        let entry = replay.report().entries;
        if !caught(|| replay.step()).map_err(panicked(entry))?.map_err(wrong)? {
            return replay.finish().map_err(wrong);
        }
    }
}

/// Whether a file starts as a recording does, so that it is not taken for a case.
#[must_use]
pub fn is_recording(start: &[u8]) -> bool {
    start.starts_with(&forever_core::recording::MAGIC)
}
