//! Errors of commands, and the exit codes they lead to.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use forever_core::command::ParseVersionError;
use forever_core::name::NameError;
use forever_core::phrase::PhraseError;
use forever_core::ticket::TicketError;
use forever_net_tokio::api::view::ErrorBody;
use forever_net_tokio::folder::FolderError;
use forever_net_tokio::server::ServeError;
use forever_net_tokio::settings::SettingsError;
use forever_net_tokio::store::OpenError;

/// How the program ends. Ordered: of several, the greatest is the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    NotFound = 3,
    Unavailable = 4,
    Integrity = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What went wrong, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error("{}", .0.message)]
    Api(ErrorBody),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Store(#[from] OpenError),
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Version(#[from] ParseVersionError),
    #[error(transparent)]
    Ticket(#[from] TicketError),
    #[error("that is no recovery phrase: {0}")]
    Phrase(#[from] PhraseError),
    #[error("no node is running on {path}: start one with `forever node --data {path}`", path = .0.display())]
    NoNode(PathBuf),
    #[error("lost the connection to the node: {0}")]
    Connection(String),
    #[error("the node answered what this program does not understand ({0}): are both of the same version?")]
    Answer(String),
    #[error("{got} of {announced} bytes came; nothing was written")]
    Short { announced: u64, got: u64 },
    #[error("this is no home folder to put the data into: name one with --data")]
    NoHome,
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Refused(String),
    #[error("the name of {} is not UTF-8: give another with --as", .0.display())]
    PathNotText(PathBuf),
    #[error("cannot {what} {path}: {error}", path = path.display())]
    Io { what: &'static str, path: PathBuf, error: io::Error },
    #[error("cannot start: {0}")]
    Runtime(io::Error),
    #[error("interrupted")]
    Interrupted,
    #[error("the demo failed: {0}")]
    Demo(String),
}

impl CliError {
    pub(crate) fn io(what: &'static str, path: &Path, error: io::Error) -> Self {
        Self::Io { what, path: path.to_owned(), error }
    }

    /// One word for programs.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::Api(body) => &body.error,
            Self::Folder(_) => "data_folder",
            Self::Settings(_) => "settings",
            Self::Serve(_) => "serve",
            Self::Store(_) => "store",
            Self::Name(_) => "invalid_name",
            Self::Version(_) => "invalid_version",
            Self::Ticket(_) => "invalid_ticket",
            Self::Phrase(_) => "phrase",
            Self::NoNode(_) => "no_node",
            Self::Connection(_) => "connection",
            Self::Answer(_) => "answer",
            Self::Short { .. } => "short",
            Self::Usage(_) | Self::NoHome => "usage",
            Self::Refused(_) => "refused",
            Self::PathNotText(_) => "path",
            Self::Io { .. } => "io",
            Self::Runtime(_) => "runtime",
            Self::Interrupted => "interrupted",
            Self::Demo(_) => "demo",
        }
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Api(body) => exit_of(&body.error),
            Self::Settings(_) | Self::Name(_) | Self::Version(_) | Self::Ticket(_) | Self::Usage(_) | Self::NoHome => {
                Exit::Usage
            }
            Self::NoNode(_) | Self::Connection(_) => Exit::Unavailable,
            Self::Store(OpenError::IndexDamaged { .. } | OpenError::IndexMissing { .. }) => Exit::Integrity,
            Self::Folder(_)
            | Self::Store(
                OpenError::NotAFolder { .. }
                | OpenError::Unwritable { .. }
                | OpenError::IndexForeign { .. }
                | OpenError::NewerFormat { .. }
                | OpenError::InUse { .. }
                | OpenError::Full { .. }
                | OpenError::Stopped
                | OpenError::Io { .. },
            )
            | Self::Serve(_)
            | Self::Phrase(_)
            | Self::Answer(_)
            | Self::Short { .. }
            | Self::Refused(_)
            | Self::PathNotText(_)
            | Self::Io { .. }
            | Self::Runtime(_)
            | Self::Interrupted
            | Self::Demo(_) => Exit::Failed,
        }
    }
}

/// The exit code for an error that the API told.
fn exit_of(code: &str) -> Exit {
    match code {
        "not_found" | "no_such_version" | "ticket_gone" | "not_kept" => Exit::NotFound,
        "not_enough_peers" | "unavailable" | "busy" | "deadline" | "stopping" => Exit::Unavailable,
        "integrity" => Exit::Integrity,
        "invalid_name" | "invalid_version" | "invalid_ticket" | "invalid_expiry" | "limit" => Exit::Usage,
        _ => Exit::Failed,
    }
}
