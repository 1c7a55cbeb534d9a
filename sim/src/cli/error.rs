//! Why a command could not do what it was asked.

use std::io;
use std::path::PathBuf;

use forever_sim::case::CaseError;
use forever_sim::recording::ReplayFileError;
use forever_sim::shrink::ShrinkError;
use forever_sim::store::ShapeError;

/// Why a command could not do what it was asked: exit code 2.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// A setting that there is not.
    #[error("--set {0}")]
    Set(#[from] ShapeError),
    /// A case file that cannot be used.
    #[error(transparent)]
    Case(#[from] CaseError),
    /// A recording that cannot be used.
    #[error(transparent)]
    Recording(#[from] ReplayFileError),
    /// A file that is neither a case nor a recording.
    #[error(
        "{path} is neither a case file nor a recording: `forever-sim sweep` writes the former, `forever node --record FILE` \
         the latter"
    )]
    Unknown {
        /// The file.
        path: PathBuf,
    },
    /// A case that does not fail as it should.
    #[error("{path}: {error}")]
    Shrink {
        /// The file.
        path: PathBuf,
        /// Why.
        error: ShrinkError,
    },
    /// A file that cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A seed whose scenario cannot be drawn.
    #[error("seed {seed} stands for nothing: {message}")]
    Draw {
        /// The seed.
        seed: u64,
        /// The panic's message.
        message: String,
    },
    /// A case of a build with planted bugs.
    #[error(
        "{path} has the planted bug `{bug}`, which this build lacks: use \
         `cargo run --release -p forever-sim --features planted-bugs --`"
    )]
    Planted {
        /// The file.
        path: PathBuf,
        /// The bug.
        bug: String,
    },
    /// No planted bugs in this build.
    #[cfg(not(feature = "planted-bugs"))]
    #[error(
        "this build has no planted bugs: use `cargo run --release -p forever-sim --features planted-bugs -- mutants`"
    )]
    NoMutants,
    /// No such planted bug.
    #[cfg(feature = "planted-bugs")]
    #[error("there is no planted bug `{name}`; there are: {names}")]
    NoSuchMutant {
        /// What was asked for.
        name: String,
        /// What there is.
        names: String,
    },
    /// The same program could not be started again.
    #[error("cannot run the same seeds in another process: {0}")]
    Process(String),
    /// Ctrl-C cannot be caught.
    #[error("cannot listen for Ctrl-C: {0}")]
    Signal(io::Error),
}

impl CliError {
    /// An error of a file.
    pub(crate) fn file(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |error| Self::File { path, error }
    }
}
