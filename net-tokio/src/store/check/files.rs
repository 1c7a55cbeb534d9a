//! The fourth pass: files below the blobs that no row points to, and what is in quarantine.

use std::io;
use std::path::{Path, PathBuf};

use super::blobs::path_fingerprint;
use super::{Check, Problem, Progress, Seen, Step, Watcher};
use crate::store::files::{BLOBS, QUARANTINE, TEMP_SUFFIX};
use crate::store::fs::{Entry, Fs, Kind};
use crate::store::sweep::identify;

pub(super) fn check(fs: &dyn Fs, what: &Check<'_>, seen: &mut Seen, watch: Watcher<'_>) {
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
                    check_file(fs, what, &blobs, path, len, seen);
                }
                Kind::Other => {
                    seen.report.add(Problem::Foreign { path });
                }
            }
        }
    }
    let quarantine = what.root.join(QUARANTINE);
    for entry in list(fs, &quarantine, seen) {
        if let Kind::File { len } = entry.kind {
            seen.report.add(Problem::Quarantined { path: quarantine.join(entry.name), len });
        }
    }
}

fn check_file(fs: &dyn Fs, what: &Check<'_>, blobs: &Path, path: PathBuf, len: u64, seen: &mut Seen) {
    let below = path.strip_prefix(blobs).expect("the walk starts at the folder of all blobs");
    if seen.claimed.binary_search(&path_fingerprint(below)).is_ok() {
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
