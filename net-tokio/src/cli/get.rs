//! `forever get`.

use std::fs::{self, File, FileTimes, Permissions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use forever_core::command::VersionSelector;
use forever_core::name::Name;
use serde::Serialize;

use super::pipe::Writer;
use super::{CliError, Client, Download, Exit, GetArgs, Report, human_bytes, share};

/// A file that was got.
#[derive(Serialize)]
struct Got<'a> {
    name: &'a str,
    bytes: u64,
    path: &'a Path,
}

/// Where the bytes go.
enum Target {
    Stdout,
    File(PathBuf),
}

/// Gets a file to a path or to stdout.
pub(crate) async fn run(data: &Path, args: GetArgs, report: &Report) -> Result<Exit, CliError> {
    if let Some(version) = &args.version {
        version.parse::<VersionSelector>()?;
    }
    if let Some(range) = &args.range {
        check_range(range)?;
    }
    let target = target(args.output, report)?;
    let wanted = wanted(args.name, args.ticket, args.version, report).await?;
    let mut client = Client::open(data)?;
    let range = args.range.as_deref();
    let (mut download, name) = match wanted {
        Wanted::File { name, version } => (client.get(&name, version.as_deref(), range).await?, name),
        Wanted::Shared { ticket } => {
            let mut download = client.get_shared(ticket, range).await?;
            let name = download.name.take().ok_or_else(|| CliError::Answer("a file without its name".to_owned()))?;
            (download, name)
        }
    };
    match target {
        Target::Stdout => write_stdout(&mut client, &mut download, report).await?,
        Target::File(path) => {
            let path = if path.is_dir() { path.join(last_part(&name)) } else { path };
            if is_device_or_pipe(&path) {
                write_through(&mut client, &mut download, &path, report).await?;
            } else {
                write_file(&mut client, &mut download, &path, args.range.is_none(), report).await?;
            }
            let got = Got { name: name.as_str(), bytes: download.got, path: &path };
            report.result(&got, || format!("{}  {} to {}", got.name, human_bytes(got.bytes), path.display()));
        }
    }
    Ok(Exit::Done)
}

/// What is to be got.
enum Wanted {
    File { name: Name, version: Option<String> },
    Shared { ticket: String },
}

/// What the arguments mean. A ticket among them works, but has been seen by then.
async fn wanted(
    name: Option<String>,
    ticket: Option<PathBuf>,
    version: Option<String>,
    report: &Report,
) -> Result<Wanted, CliError> {
    match (name, ticket) {
        (_, Some(from)) => Ok(Wanted::Shared { ticket: share::read(&from).await? }),
        (Some(name), None) if share::looks_like_ticket(&name) => {
            if version.is_some() {
                return Err(CliError::Usage("a ticket opens one version: leave --version out".to_owned()));
            }
            report.note("others on this machine can see arguments: give tickets to `forever get --ticket -` instead");
            Ok(Wanted::Shared { ticket: share::parse(&name)? })
        }
        (Some(name), None) => Ok(Wanted::File { name: Name::new(name)?, version }),
        (None, None) => Err(CliError::Usage("name a file, or a ticket with --ticket".to_owned())),
    }
}

fn target(output: Option<PathBuf>, report: &Report) -> Result<Target, CliError> {
    let meant = output.is_some();
    if let Some(path) = output.filter(|path| path.as_os_str() != "-") {
        return Ok(Target::File(path));
    }
    if report.is_json() {
        let usage = "--json has stdout to itself: write the file somewhere with -o PATH";
        return Err(CliError::Usage(usage.to_owned()));
    }
    if !meant && io::stdout().is_terminal() {
        let refused = "a file's bytes do not belong on a terminal: use -o PATH, or -o - if you mean it";
        return Err(CliError::Refused(refused.to_owned()));
    }
    Ok(Target::Stdout)
}

/// The forms `A-B`, `A-` and `-N`. A server ignores ranges it does not understand and sends everything, so a typo has to
/// be caught here.
pub(crate) fn check_range(text: &str) -> Result<(), CliError> {
    let number = |text: &str| -> Option<u64> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten()
    };
    let ok = match text.split_once('-') {
        Some(("", last)) => number(last).is_some(),
        Some((first, "")) => number(first).is_some(),
        Some((first, last)) => matches!((number(first), number(last)), (Some(first), Some(last)) if first <= last),
        None => false,
    };
    if ok {
        return Ok(());
    }
    Err(CliError::Usage(format!("`{text}` is no range: write A-B (both inclusive), A- or -N")))
}

fn last_part(name: &Name) -> &str {
    name.as_str().rsplit('/').next().unwrap_or(name.as_str())
}

async fn write_stdout(client: &mut Client, download: &mut Download, report: &Report) -> Result<(), CliError> {
    let writer = Writer::new(io::stdout(), |mut stdout| stdout.flush());
    match copy(client, download, writer, report).await {
        // A reader that has gone away, like `head`, has seen enough.
        Err(Copy::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(Copy::Write(error)) => Err(CliError::io("write to", Path::new("stdout"), error)),
        Err(Copy::Get(error)) => Err(error),
        Ok(()) => Ok(()),
    }
}

/// Whether something is there that is neither a file nor a folder.
fn is_device_or_pipe(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir())
}

/// Writes straight to a device or a pipe: renaming a file onto it would replace it, even `/dev/null`.
async fn write_through(
    client: &mut Client,
    download: &mut Download,
    path: &Path,
    report: &Report,
) -> Result<(), CliError> {
    let write = |error| CliError::io("write", path, error);
    let to = path.to_owned();
    // A pipe opens only once it has a reader, and meanwhile an interrupt must be heard.
    let opened = tokio::task::spawn_blocking(move || File::options().write(true).open(to)).await;
    let file = opened.map_err(io::Error::other).and_then(|file| file).map_err(write)?;
    let writer = Writer::new(file, |mut file| file.flush());
    copy(client, download, writer, report).await.map_err(|error| match error {
        Copy::Get(error) => error,
        Copy::Write(error) => write(error),
    })
}

/// Writes beside the target and renames at the end, so that there is never a half file under the real name.
async fn write_file(
    client: &mut Client,
    download: &mut Download,
    path: &Path,
    whole: bool,
    report: &Report,
) -> Result<(), CliError> {
    let write = |error| CliError::io("write", path, error);
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    let (file, temporary) = tempfile::Builder::new()
        .prefix(".forever-")
        .suffix(".part")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(write)?
        .into_parts();
    let (mode, mtime_ms) = if whole { (download.mode, download.mtime_ms) } else { (None, None) };
    let writer = Writer::new(file, move |file: File| {
        set_meta(&file, mode, mtime_ms)?;
        file.sync_all()
    });
    copy(client, download, writer, report).await.map_err(|error| match error {
        Copy::Get(error) => error,
        Copy::Write(error) => write(error),
    })?;
    temporary.persist(path).map_err(|error| write(error.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(write)
}

/// Gives a file the time and the permissions it was stored with; never set-user-ID and the like.
fn set_meta(file: &File, mode: Option<u32>, mtime_ms: Option<u64>) -> io::Result<()> {
    if let Some(mode) = mode {
        file.set_permissions(fs::Permissions::from_mode(mode & 0o777))?;
    }
    if let Some(time) = mtime_ms.and_then(|ms| UNIX_EPOCH.checked_add(Duration::from_millis(ms))) {
        file.set_times(FileTimes::new().set_modified(time))?;
    }
    Ok(())
}

/// Which side failed.
enum Copy {
    Get(CliError),
    Write(io::Error),
}

async fn copy(client: &mut Client, download: &mut Download, writer: Writer, report: &Report) -> Result<(), Copy> {
    let bar = report.bar("", Some(download.announced));
    loop {
        match download.next().await {
            Ok(Some(bytes)) => {
                bar.inc(bytes.len() as u64);
                if writer.write(bytes).await.is_err() {
                    break;
                }
            }
            Ok(None) => break,
            Err(()) => {
                bar.finish_and_clear();
                return Err(Copy::Get(client.failure_of(download).await));
            }
        }
    }
    bar.finish_and_clear();
    writer.finish().await.map_err(Copy::Write)
}
