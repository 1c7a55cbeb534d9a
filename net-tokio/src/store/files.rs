//! The files of blobs: `blobs/<owner>/<path>`, written so that a crash at any moment leaves a whole file or none.

use forever_core::{planted, sometimes};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use forever_core::bulk::Bulk;
use forever_core::disk::DiskError;
use forever_core::ids::{BlobKey, ChunkId, OwnerId};
use forever_core::path::PathTransform;

use super::StoreConfig;
use super::error::{disk_error, is_full};
use super::fs::Fs;
use super::health::Health;
use super::locks::lock;
use crate::simulation::Simulated;

/// The folder of all blobs below the root.
pub(crate) const BLOBS: &str = "blobs";
/// The folder of damaged files below the root.
pub(crate) const QUARANTINE: &str = "quarantine";
/// How the names of files end that are still being written. No blob's name does: they are hexadecimal.
pub(crate) const TEMP_SUFFIX: &str = ".part";

/// Folders remembered as durable. Forgetting one costs a sync, remembering all would cost memory without a bound.
const DURABLE_FOLDERS_MAX: usize = 16_384;

/// Folders whose removals are made durable when the store is closed. Beyond that the next start sweeps instead.
const REMOVED_IN_MAX: usize = 4_096;

/// Damaged files kept for inspection; beyond that they are deleted, or a dying disk would fill itself.
const QUARANTINED_MAX: usize = 64;

/// Reads and writes the files of blobs.
#[derive(Debug)]
pub(crate) struct Files {
    fs: Arc<dyn Fs>,
    root: PathBuf,
    reserve_bytes: u64,
    simulation: Simulated,
    health: Arc<Health>,
    durable_folders: Mutex<BTreeSet<PathBuf>>,
    /// Temp files that somebody is writing now, so that the sweep leaves them alone.
    being_written: Mutex<BTreeSet<PathBuf>>,
    /// Folders that files were removed from without a sync: after a power loss they may be back.
    removed_in: Mutex<BTreeSet<PathBuf>>,
    /// Whether a file may be left that no row points to, so that the next start must sweep.
    has_orphans: AtomicBool,
}

impl Files {
    pub(crate) fn new(fs: Arc<dyn Fs>, root: PathBuf, config: &StoreConfig, health: Arc<Health>) -> Self {
        Self {
            fs,
            root,
            reserve_bytes: config.reserve_bytes,
            simulation: config.simulation.clone(),
            health,
            durable_folders: Mutex::default(),
            being_written: Mutex::default(),
            removed_in: Mutex::default(),
            has_orphans: AtomicBool::new(false),
        }
    }

    /// The file of a blob.
    pub(crate) fn path(&self, owner: &OwnerId, relative: &str) -> PathBuf {
        blob_file(&self.root, owner, relative)
    }

    /// Bytes that may still be written after the reserve, if known.
    pub(crate) fn free_bytes(&self) -> Result<Option<u64>, DiskError> {
        let free = self.fs.free_bytes(&self.root).map_err(|error| disk_error(&error))?;
        Ok(free.map(|bytes| bytes.saturating_sub(self.reserve_bytes)))
    }

    /// Refuses what would eat into the reserve. Writers that check at once may overdraw it by a blob each; it is made
    /// for thousands.
    pub(crate) fn require_room(&self, len: u64) -> Result<(), DiskError> {
        match self.free_bytes()? {
            Some(free) if free < len => Err(DiskError::Full),
            Some(_) | None => Ok(()),
        }
    }

    /// Writes a blob's file durably: temp file in the same folder, write, sync, rename, sync of the folder.
    pub(crate) fn write(&self, blob: &BlobKey, relative: &str, data: &Bulk) -> Result<(), DiskError> {
        let path = self.path(&blob.owner, relative);
        let folder = path.parent().expect("a blob's file lies in its owner's folder");
        self.make_durable(folder)?;
        let temp = temp_of(&path);
        lock(&self.being_written).insert(temp.clone());
        let written = self.write_renamed(&temp, &path, data);
        if written.is_err() {
            self.remove_file(&temp);
        }
        lock(&self.being_written).remove(&temp);
        written?;
        if planted!(self.simulation, ForgetDirSync) {
            return Ok(());
        }
        self.sync_folder(folder)
    }

    fn write_renamed(&self, temp: &Path, path: &Path, data: &Bulk) -> Result<(), DiskError> {
        let mut file = self.fs.create_file(temp).map_err(|error| disk_error(&error))?;
        file.write(data.parts()).map_err(|error| disk_error(&error))?;
        let synced = if planted!(self.simulation, SkipBlobSync) { Ok(()) } else { file.sync() };
        let again = synced.is_err() && planted!(self.simulation, SyncTriedAgain);
        let synced = if again { file.sync() } else { synced };
        synced.map_err(|error| {
            // Blocks promised late may turn out not to exist. Only this file's bytes are lost then, and it is removed.
            if is_full(&error) {
                DiskError::Full
            } else {
                sometimes!(self.simulation, "store.sync-failed");
                self.health.degrade(format!("syncing a blob failed: {error}"))
            }
        })?;
        drop(file);
        self.fs.rename(temp, path).map_err(|error| disk_error(&error))
    }

    /// Makes a folder and its parents up to the root, and their names durable. A folder that is there already may have
    /// been made by a run that was killed before it synced, so each is synced once a run.
    pub(crate) fn make_durable(&self, folder: &Path) -> Result<(), DiskError> {
        if folder == self.root || lock(&self.durable_folders).contains(folder) {
            return Ok(());
        }
        let parent = folder.parent().expect("a folder below the root has a parent");
        self.make_durable(parent)?;
        match self.fs.create_dir(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(disk_error(&error)),
            Ok(()) | Err(_) => {}
        }
        self.sync_folder(parent)?;
        let mut durable = lock(&self.durable_folders);
        if durable.len() >= DURABLE_FOLDERS_MAX {
            durable.clear();
        }
        durable.insert(folder.to_path_buf());
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> Result<(), DiskError> {
        self.fs
            .sync_dir(folder)
            .map_err(|error| self.health.degrade(format!("syncing {} failed: {error}", folder.display())))
    }

    /// A blob's bytes as they are on the disk; nothing if the file is missing. One byte more than `len` is read, so that
    /// a file that grew is found out as well.
    pub(crate) fn read(&self, owner: &OwnerId, relative: &str, len: u64) -> Result<Option<Bytes>, DiskError> {
        match self.fs.read(&self.path(owner, relative), len.saturating_add(1)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(disk_error(&error)),
        }
    }

    /// Removes a blob's file. The caller holds the blob's lock and knows that no row points to it.
    pub(crate) fn remove(&self, owner: &OwnerId, relative: &str) {
        self.remove_file(&self.path(owner, relative));
    }

    fn remove_file(&self, path: &Path) {
        match self.fs.remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => self.leave_orphan(),
            Ok(()) | Err(_) => self.note_removal(path),
        }
    }

    fn note_removal(&self, path: &Path) {
        let mut removed_in = lock(&self.removed_in);
        if removed_in.len() < REMOVED_IN_MAX {
            removed_in.extend(path.parent().map(Path::to_path_buf));
        } else {
            self.leave_orphan();
        }
    }

    /// Makes all removals durable; whether there is then no file that no row points to.
    pub(crate) fn settle_removals(&self) -> bool {
        let removed_in = std::mem::take(&mut *lock(&self.removed_in));
        let is_synced = |folder: &PathBuf| match self.fs.sync_dir(folder) {
            Ok(()) => true,
            // It was never made.
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        removed_in.iter().all(is_synced) && !self.has_orphans.load(Ordering::Relaxed)
    }

    /// Moves a damaged file aside, or removes it when enough of them are kept.
    pub(crate) fn quarantine(&self, blob: &BlobKey, relative: &str) {
        let folder = self.root.join(QUARANTINE);
        let kept = match self.fs.list(&folder) {
            Ok(entries) => entries.len(),
            Err(_) => self.fs.create_dir(&folder).map_or(QUARANTINED_MAX, |()| 0),
        };
        sometimes!(self.simulation, "store.damaged-blob-put-aside");
        let path = self.path(&blob.owner, relative);
        let aside = folder.join(format!("{}-{}", blob.owner, blob.chunk));
        if kept < QUARANTINED_MAX && self.fs.rename(&path, &aside).is_ok() {
            self.note_removal(&path);
        } else {
            self.remove_file(&path);
        }
    }

    /// Keeps bytes aside, durably, that the index is to forget because they are damaged.
    pub(crate) fn set_aside(&self, name: &str, bytes: &Bytes) -> Result<(), DiskError> {
        self.health.check()?;
        self.require_room(bytes.len() as u64)?;
        let folder = self.root.join(QUARANTINE);
        self.make_durable(&folder)?;
        let path = folder.join(name);
        let temp = temp_of(&path);
        self.write_renamed(&temp, &path, &bytes.clone().into()).inspect_err(|_| self.remove_file(&temp))?;
        self.sync_folder(&folder)
    }

    /// Whether a temp file is being written.
    pub(crate) fn is_being_written(&self, path: &Path) -> bool {
        lock(&self.being_written).contains(path)
    }

    /// Removes a temp file unless somebody is writing it.
    pub(crate) fn remove_stale_temp(&self, path: &Path) {
        // Held while removing: a writer enters its file here before it creates it.
        let being_written = lock(&self.being_written);
        if !being_written.contains(path) {
            sometimes!(self.simulation, "store.torn-write-swept");
            self.remove_file(path);
        }
    }

    /// Notes that the next start must sweep.
    pub(crate) fn leave_orphan(&self) {
        self.has_orphans.store(true, Ordering::Relaxed);
    }
}

fn temp_of(path: &Path) -> PathBuf {
    let mut temp = path.as_os_str().to_owned();
    temp.push(TEMP_SUFFIX);
    temp.into()
}

/// The file of a blob in the store below a root.
pub(crate) fn blob_file(root: &Path, owner: &OwnerId, relative: &str) -> PathBuf {
    root.join(BLOBS).join(owner.to_string()).join(relative)
}

/// Where a blob's file lies below its owner's folder.
pub(crate) fn blob_path(transform: PathTransform, chunk: &ChunkId) -> String {
    transform.path(&chunk.to_string()).expect("64 hex digits are a plain key of sufficient length")
}
