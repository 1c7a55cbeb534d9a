//! Files that a command writes besides what it prints. They are opened before anything is run, so that a wrong path costs no
//! hour of seeds; and what could not be written all the same neither keeps a report from its reader nor a broken rule from
//! the exit code.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::{CliError, Verdict, eprint};

/// A file to be written in the end.
#[derive(Debug)]
pub(crate) struct Output {
    path: PathBuf,
    file: File,
}

impl Output {
    /// Opens the file at a path, if there is one. What it holds stays until it is written.
    pub(crate) fn open(path: Option<&Path>) -> Result<Option<Self>, CliError> {
        let Some(path) = path else { return Ok(None) };
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        Ok(Some(Self { path: path.into(), file: file.map_err(CliError::file(path))? }))
    }

    /// Replaces what the file holds.
    pub(crate) fn write(mut self, text: &str) -> Result<(), CliError> {
        self.replace(text).map_err(CliError::file(&self.path))
    }

    fn replace(&mut self, text: &str) -> io::Result<()> {
        // A pipe has no length to set.
        if self.file.metadata()?.is_file() {
            self.file.set_len(0)?;
        }
        self.file.write_all(text.as_bytes())?;
        self.file.flush()
    }
}

/// Whether files can come into a folder, which need not be there yet.
pub(crate) fn check_folder(folder: &Path) -> Result<(), CliError> {
    let there = folder.ancestors().find(|part| part.exists()).unwrap_or(Path::new("."));
    let found = there.metadata().map_err(CliError::file(there))?;
    if !found.is_dir() {
        return Err(CliError::file(there)(io::ErrorKind::NotADirectory.into()));
    }
    if found.permissions().readonly() {
        return Err(CliError::file(there)(io::ErrorKind::PermissionDenied.into()));
    }
    Ok(())
}

/// The end of a command that could not write all it should: a broken rule is the greater news.
pub(crate) fn conclude(verdict: Verdict, mut errors: Vec<CliError>) -> Result<Verdict, CliError> {
    let last = match verdict {
        Verdict::Clean => errors.pop(),
        Verdict::Broken => None,
    };
    for error in errors {
        eprint(&format!("error: {error}\n"));
    }
    last.map_or(Ok(verdict), Err)
}
