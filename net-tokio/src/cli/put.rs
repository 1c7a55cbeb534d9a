//! `forever put`.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Instant, UNIX_EPOCH};

use axum::body::Body;
use forever_core::name::Name;
use forever_core::placement::Replicas;
use forever_net_tokio::api::view::PutView;
use serde::Serialize;

use super::pipe::body_from;
use super::{CliError, Client, Exit, PutHead, Report, human_bytes, human_rate};

/// Something to store, and under which name.
struct Source {
    path: PathBuf,
    name: String,
}

/// A file that could not be stored, among others that could.
#[derive(Serialize)]
struct Failed<'a> {
    path: &'a Path,
    error: &'a str,
    message: String,
}

/// Stores files, folders, or stdin. A file that fails does not stop the rest; the worst decides how the program exits.
pub(crate) async fn run(
    data: &Path,
    paths: Vec<PathBuf>,
    name: Option<String>,
    replicas: Option<Replicas>,
    report: &Report,
) -> Result<Exit, CliError> {
    let mut client = Client::open(data)?;
    if paths.iter().any(|path| path.as_os_str() == "-") {
        return put_stdin(&mut client, &paths, name, replicas, report).await;
    }
    let several = paths.len() > 1;
    let mut worst = Exit::Done;
    for path in &paths {
        let sources = match sources(path, name.as_deref(), several, report) {
            Ok(sources) => sources,
            Err(error) => {
                worst = worst.max(fail(path, &error, report));
                continue;
            }
        };
        for source in sources {
            if let Err(error) = put_file(&mut client, &source, replicas, report).await {
                worst = worst.max(fail(&source.path, &error, report));
            }
        }
    }
    Ok(worst)
}

async fn put_stdin(
    client: &mut Client,
    paths: &[PathBuf],
    name: Option<String>,
    replicas: Option<Replicas>,
    report: &Report,
) -> Result<Exit, CliError> {
    let (1, Some(name)) = (paths.len(), name) else {
        let usage = "`put -` stores stdin, alone, under the name given with --as NAME";
        return Err(CliError::Usage(usage.to_owned()));
    };
    let name = Name::new(name)?;
    let head = PutHead { content_type: guess_type(name.as_str()), replicas, ..PutHead::default() };
    let bar = report.bar(name.as_str(), None);
    let start = Instant::now();
    let view = client.put(&name, head, body_from(io::stdin(), bar.clone())).await;
    bar.finish_and_clear();
    print(&view?, start, report);
    Ok(Exit::Done)
}

fn fail(path: &Path, error: &CliError, report: &Report) -> Exit {
    if report.is_json() {
        let failed = Failed { path, error: error.code(), message: error.to_string() };
        report.result(&failed, String::new);
    } else {
        eprintln!("forever: {}: {error}", path.display());
    }
    error.exit()
}

fn sources(path: &Path, given: Option<&str>, several: bool, report: &Report) -> Result<Vec<Source>, CliError> {
    let read = |error| CliError::io("read", path, error);
    let top = match (given, several) {
        (Some(name), false) => name.to_owned(),
        (Some(folder), true) => format!("{}/{}", folder.trim_end_matches('/'), own_name(path)?),
        (None, _) => own_name(path)?,
    };
    let mut sources = Vec::new();
    if fs::metadata(path).map_err(read)?.is_dir() {
        walk(path, &top, &mut sources, report)?;
    } else {
        sources.push(Source { path: path.to_owned(), name: top });
    }
    Ok(sources)
}

/// The last part of a path, also for `.` and `..`.
fn own_name(path: &Path) -> Result<String, CliError> {
    let whole;
    let name = match path.file_name() {
        Some(name) => name,
        None => {
            whole = path.canonicalize().map_err(|error| CliError::io("read", path, error))?;
            whole.file_name().ok_or_else(|| {
                CliError::Usage("the root folder has no name of its own: give one with --as".to_owned())
            })?
        }
    };
    let text = name.to_str().ok_or_else(|| CliError::PathNotText(path.to_owned()))?;
    Ok(text.to_owned())
}

/// All files below a folder, in order of names.
fn walk(folder: &Path, name: &str, sources: &mut Vec<Source>, report: &Report) -> Result<(), CliError> {
    let read = |error| CliError::io("read", folder, error);
    let mut entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(read)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let kind = entry.file_type().map_err(read)?;
        let file_name = entry.file_name();
        let Some(own) = file_name.to_str() else {
            return Err(CliError::PathNotText(path));
        };
        let name = format!("{name}/{own}");
        if kind.is_dir() {
            walk(&path, &name, sources, report)?;
        } else if kind.is_file() {
            sources.push(Source { path, name });
        } else if kind.is_symlink() {
            report.note(&format!("skipped the symbolic link {}", path.display()));
        } else {
            report.note(&format!("skipped {}, which is neither file nor folder", path.display()));
        }
    }
    Ok(())
}

async fn put_file(
    client: &mut Client,
    source: &Source,
    replicas: Option<Replicas>,
    report: &Report,
) -> Result<(), CliError> {
    let name = Name::new(source.name.as_str())?;
    let read = |error| CliError::io("read", &source.path, error);
    let file = File::open(&source.path).map_err(read)?;
    let meta = file.metadata().map_err(read)?;
    let head = PutHead {
        // A device or a pipe says 0 and means "not known".
        len: meta.is_file().then_some(meta.len()),
        mtime_ms: mtime_ms(&meta),
        mode: Some(meta.permissions().mode() & 0o7777),
        content_type: guess_type(&source.name),
        replicas,
    };
    let bar = report.bar(name.as_str(), head.len);
    let start = Instant::now();
    let body = if head.len == Some(0) { Body::empty() } else { body_from(file, bar.clone()) };
    let view = client.put(&name, head, body).await;
    bar.finish_and_clear();
    print(&view?, start, report);
    Ok(())
}

fn mtime_ms(meta: &Metadata) -> Option<u64> {
    let since = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

fn guess_type(name: &str) -> Option<String> {
    mime_guess::from_path(name).first_raw().map(str::to_owned)
}

fn print(view: &PutView, start: Instant, report: &Report) {
    report.result(view, || {
        let pending = match view.pending {
            0 => String::new(),
            pending => format!(", {pending} more to come"),
        };
        format!(
            "{}  {}, {} new, on {} nodes{pending}, {}",
            view.name,
            human_bytes(view.size),
            human_bytes(view.new_bytes),
            view.replicas,
            human_rate(view.size, start.elapsed()),
        )
    });
}

#[cfg(test)]
mod tests;
