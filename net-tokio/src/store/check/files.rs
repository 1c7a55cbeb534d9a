//! The fourth pass: files below the blobs that no row points to, and what is in quarantine.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::blobs::path_fingerprint;
use super::{Check, Finding, Problem, Progress, Seen, Step, Watcher};
use crate::store::Store;
use crate::store::files::{BLOBS, QUARANTINE, TEMP_SUFFIX};
use crate::store::fs::{Entry, Fs, Kind};
use crate::store::row::Row;
use crate::store::sweep::identify;

/// How often, and after how long, it is looked whether a file that no row points to is still there: that of a blob that was
/// dropped a moment ago is about to be removed.
const LOOKS: (u32, Duration) = (10, Duration::from_millis(100));

pub(super) fn check(fs: &dyn Fs, what: &Check<'_>, live: Option<&Store>, seen: &mut Seen, watch: Watcher<'_>) {
    let before = seen.report.findings.len();
    let blobs = what.root.join(BLOBS);
    let mut folders = vec![blobs.clone()];
    let mut done = 0;
    while let Some(folder) = folders.pop() {
        for entry in list(fs, &folder, seen) {
            let path = folder.join(&entry.name);
            match entry.kind {
                Kind::Folder => folders.push(path),
                Kind::File { len } => {
                    done += 1;
                    watch(Progress { step: Step::Files, done, total: None });
                    check_file(fs, what, live, &blobs, path, len, seen);
                }
                Kind::Other => {
                    seen.report.add(Problem::Foreign { path });
                }
            }
        }
    }
    if live.is_some() {
        forget_passing(fs, seen, before);
    }
    let quarantine = what.root.join(QUARANTINE);
    for entry in list(fs, &quarantine, seen) {
        if let Kind::File { len } = entry.kind {
            seen.report.add(Problem::Quarantined { path: quarantine.join(entry.name), len });
        }
    }
}

/// Forgets files that were found and go away by themselves.
fn forget_passing(fs: &dyn Fs, seen: &mut Seen, from: usize) {
    let is_there = |problem: &Problem| match problem {
        Problem::Orphan { path, .. } | Problem::Temp { path, .. } => !matches!(fs.kind(path), Ok(None)),
        Problem::Blob { .. }
        | Problem::Page { .. }
        | Problem::Record { .. }
        | Problem::Incomplete { .. }
        | Problem::References { .. }
        | Problem::WrongCounters { .. }
        | Problem::Unlistable { .. }
        | Problem::Unknown { .. }
        | Problem::Foreign { .. }
        | Problem::Quarantined { .. }
        | Problem::Unclean
        | Problem::Doubtful => true,
    };
    let (looks, pause) = LOOKS;
    for _ in 0..looks {
        let mut number = 0;
        seen.report.findings.retain(|finding| {
            number += 1;
            number <= from || is_there(&finding.problem)
        });
        let passes = |finding: &Finding| matches!(finding.problem, Problem::Orphan { .. } | Problem::Temp { .. });
        if !seen.report.findings[from.min(seen.report.findings.len())..].iter().any(passes) {
            return;
        }
        std::thread::sleep(pause);
    }
}

fn check_file(
    fs: &dyn Fs,
    what: &Check<'_>,
    live: Option<&Store>,
    blobs: &Path,
    path: PathBuf,
    len: u64,
    seen: &mut Seen,
) {
    let below = path.strip_prefix(blobs).expect("the walk starts at the folder of all blobs");
    if seen.claimed.binary_search(&path_fingerprint(below)).is_ok() {
        return;
    }
    if live.is_some_and(|store| is_in_use(store, fs, what, blobs, &path, len)) {
        return;
    }
    let problem = if path.as_os_str().as_encoded_bytes().ends_with(TEMP_SUFFIX.as_bytes()) {
        Problem::Temp { path, len }
    } else if identify(fs, what.path, blobs, &path, len).is_some() {
        Problem::Orphan { path, len }
    } else {
        Problem::Foreign { path }
    };
    seen.report.add(problem);
}

/// Whether a file is being written, or a row points to it by now.
fn is_in_use(store: &Store, fs: &dyn Fs, what: &Check<'_>, blobs: &Path, path: &Path, len: u64) -> bool {
    if store.files.is_being_written(path) {
        return true;
    }
    let Some((blob, relative)) = identify(fs, what.path, blobs, path, len) else { return false };
    // Whoever has written it holds the lock until its row is committed.
    let _guard = store.locks.lock(blob);
    match store.index.row(&blob) {
        Ok(Some(Row::File { path, .. })) => path == relative,
        Ok(Some(Row::Inline(_)) | None) => false,
        Err(_) => true,
    }
}

fn list(fs: &dyn Fs, folder: &Path, seen: &mut Seen) -> Vec<Entry> {
    match fs.list(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            seen.report.add(Problem::Unlistable { path: folder.to_owned(), why: error.to_string() });
            Vec::new()
        }
    }
}
