//! The sweep: after a run that did not end well, removes temp files and files that no row points to.
//!
//! It looks at one folder a step and holds one blob's lock at a time, beside all other work. What it cannot identify it
//! leaves alone.

use std::path::{Path, PathBuf};

use forever_core::ids::{BlobKey, ChunkId, OwnerId};
use forever_core::path::PathTransform;

use super::Store;
use super::files::{BLOBS, TEMP_SUFFIX, blob_path};
use super::fs::{Entry, Fs, Kind};
use super::locks::lock;

/// The longest file in bytes that is hashed to find out what it is. Blobs are far shorter.
const READ_LEN_MAX: u64 = 64 << 20;

/// What a sweep has still to look at.
#[derive(Debug)]
pub(crate) struct Sweep {
    blobs: PathBuf,
    folders: Vec<PathBuf>,
}

impl Sweep {
    /// A sweep of the folder of all blobs.
    pub(crate) fn new(blobs: PathBuf) -> Self {
        Self { folders: vec![blobs.clone()], blobs }
    }
}

impl Store {
    /// Sweeps everything now, whatever the last run has left.
    pub(crate) fn sweep_all(&self) {
        *lock(&self.sweep) = Some(Sweep::new(self.root.join(BLOBS)));
        while self.sweep_step() {}
    }

    /// Looks at one folder; false when there is nothing left to look at. [`super::StoreDisk`] does this by itself.
    pub fn sweep_step(&self) -> bool {
        let Some((blobs, folder)) = self.next_folder() else {
            return false;
        };
        let mut subfolders = Vec::new();
        match self.fs.list(&folder) {
            Ok(entries) => {
                for entry in entries {
                    self.sweep_entry(&blobs, &folder, &entry, &mut subfolders);
                }
                // What the last run removed here may come back with a power loss, if its sync failed.
                if self.fs.sync_dir(&folder).is_err() {
                    self.files.leave_orphan();
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(_) => self.files.leave_orphan(),
        }
        if let Some(sweep) = &mut *lock(&self.sweep) {
            sweep.folders.extend(subfolders);
        }
        true
    }

    fn next_folder(&self) -> Option<(PathBuf, PathBuf)> {
        let mut sweep = lock(&self.sweep);
        let next = sweep.as_mut().and_then(|sweep| Some((sweep.blobs.clone(), sweep.folders.pop()?)));
        if next.is_none() {
            *sweep = None;
        }
        next
    }

    fn sweep_entry(&self, blobs: &Path, folder: &Path, entry: &Entry, subfolders: &mut Vec<PathBuf>) {
        let path = folder.join(&entry.name);
        match entry.kind {
            Kind::Folder => subfolders.push(path),
            Kind::File { .. } if entry.name.ends_with(TEMP_SUFFIX) => self.files.remove_stale_temp(&path),
            Kind::File { len } => {
                if let Some((blob, relative)) = identify(&*self.fs, self.path, blobs, &path, len) {
                    let _guard = self.locks.lock(blob);
                    self.unlink_held(&blob, &relative);
                }
            }
            Kind::Other => {}
        }
    }
}

/// The blob of a file and its path below its owner's folder: from the path when that spells the chunk's id, else from
/// the content, if the path is the one that this content has.
pub(crate) fn identify(
    fs: &dyn Fs,
    transform: PathTransform,
    blobs: &Path,
    path: &Path,
    len: u64,
) -> Option<(BlobKey, String)> {
    let below = path.strip_prefix(blobs).ok()?;
    let mut parts = below.iter().map(|part| part.to_str());
    let owner: OwnerId = parts.next()??.parse().ok()?;
    let parts: Vec<&str> = parts.collect::<Option<_>>()?;
    let relative = parts.join("/");
    if let Ok(chunk) = parts.concat().parse() {
        return Some((BlobKey { owner, chunk }, relative));
    }
    if len > READ_LEN_MAX {
        return None;
    }
    let bytes = fs.read(path, READ_LEN_MAX).ok()?;
    let chunk = ChunkId(*blake3::hash(&bytes).as_bytes());
    (blob_path(transform, &chunk) == relative).then_some((BlobKey { owner, chunk }, relative))
}
