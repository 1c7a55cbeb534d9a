//! Opening a store, and clearing one.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex};

use forever_core::planted;
use redb::{Database, ReadableDatabase, StorageBackend, TableError};

use forever_core::disk::DiskError;

use super::backend::Watch;
use super::error::OpenError;
use super::files::{BLOBS, Files, QUARANTINE};
use super::fs::{Fs, Kind};
use super::health::Health;
use super::index::{BLOB_ROWS, ENTRIES, Index, META, META_FORMAT, Opened, builder};
use super::sweep::Sweep;
use super::{FORMAT, INLINE_LEN_MAX, Store, StoreConfig};

pub(crate) const INDEX: &str = "index.redb";
/// An index being made: it becomes the index only when it is whole.
const INDEX_NEW: &str = "index.redb.new";
/// Tells that a sync failed: what the file system shows of the index may not be on the disk, although it looks synced.
pub(crate) const INDEX_DOUBTFUL: &str = "index.redb.doubtful";
/// The index of a store being cleared: as long as it is there, what is left of the store is to be removed.
const INDEX_CLEARED: &str = "index.redb.cleared";
/// Tells that there may be files without rows.
pub(crate) const UNCLEAN: &str = "unclean";

/// Bytes of an index copied at a time.
const COPY_LEN: usize = 1 << 20;

/// An index up to this length in bytes is verified whole at each start; a longer one only after a crash.
const VERIFY_LEN_MAX: u64 = 64 << 20;

impl Store {
    /// Opens a store, or makes one in a folder that has none. The caller keeps other processes away from the folder.
    ///
    /// # Errors
    ///
    /// [`OpenError`] says what is wrong with the folder and what to do about it. Nothing that was stored is changed then.
    pub fn open(fs: Arc<dyn Fs>, config: &StoreConfig) -> Result<Self, OpenError> {
        let root = config.root.clone();
        make_root(&*fs, &root)?;
        // An earlier start may have ended between a change of the folder and its sync, or have failed in that sync.
        fs.sync_dir(&root).map_err(|error| OpenError::io(&root, error))?;
        finish_clearing(&*fs, &root)?;
        let path = root.join(INDEX);
        if kind(&*fs, &path)?.is_none() {
            make_index(&*fs, &root, config)?;
        }
        let health = Arc::new(Health::default());
        let watch = Watch::of_index(Arc::clone(&health), Arc::clone(&fs), root.join(INDEX_DOUBTFUL));
        if !planted!(config.simulation, DoubtfulIndexTrusted) {
            write_out_doubtful(&*fs, &root)?;
        }
        let database = open_index(&*fs, &path, config, &watch)?;
        let unclean = mark_unclean(&*fs, &root)?;
        let files = Files::new(Arc::clone(&fs), root.clone(), config, Arc::clone(&health));
        let store = Self {
            index: Index::new(Opened {
                fs: Arc::clone(&fs),
                path,
                cache_bytes: config.cache_bytes,
                health: Arc::clone(&health),
                watch,
                simulation: config.simulation.clone(),
                database,
            }),
            files,
            path: config.path,
            max_bytes: config.max_bytes,
            coming: Arc::default(),
            inline_len_max: config.inline_len_max.min(INLINE_LEN_MAX),
            health,
            locks: Arc::default(),
            corrupt: Mutex::default(),
            sweep: Mutex::new(unclean.then(|| Sweep::new(root.join(BLOBS)))),
            simulation: config.simulation.clone(),
            fs,
            root,
        };
        store.count_owners().map_err(|error| OpenError::io(&store.root, io::Error::other(error)))?;
        Ok(store)
    }

    /// Counts the blobs of each owner, if an earlier version of this program did not.
    fn count_owners(&self) -> Result<(), DiskError> {
        let (all, owners) = self.index.counters()?;
        if owners.is_empty() && all.blobs > 0 { self.index.recount() } else { Ok(()) }
    }
}

/// Wipes the store in a folder: its blobs, its index, its quarantine. Nothing else in the folder is touched. A crash
/// midway leaves a store that is cleared by the next call or the next opening.
///
/// # Errors
///
/// When the file system fails; the next call, or the next opening, goes on.
pub fn clear(fs: &dyn Fs, root: &Path) -> Result<(), OpenError> {
    let (index, cleared) = (root.join(INDEX), root.join(INDEX_CLEARED));
    if kind(fs, &index)?.is_some() {
        fs.rename(&index, &cleared).and_then(|()| fs.sync_dir(root)).map_err(|error| OpenError::io(index, error))?;
    }
    finish_clearing(fs, root)
}

fn finish_clearing(fs: &dyn Fs, root: &Path) -> Result<(), OpenError> {
    let cleared = root.join(INDEX_CLEARED);
    if kind(fs, &cleared)?.is_none() {
        return Ok(());
    }
    let clear = || {
        remove_tree(fs, &root.join(BLOBS))?;
        remove_tree(fs, &root.join(QUARANTINE))?;
        // The rest must be gone durably before the file that demands its removal is.
        fs.sync_dir(root)?;
        fs.remove_file(&cleared)?;
        fs.sync_dir(root)
    };
    clear().map_err(|error| OpenError::io(root, error))
}

/// Removes a folder with all that is in it. As deep as paths of blobs are.
fn remove_tree(fs: &dyn Fs, folder: &Path) -> io::Result<()> {
    let entries = match fs.list(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path = folder.join(&entry.name);
        match entry.kind {
            Kind::Folder => remove_tree(fs, &path)?,
            Kind::File { .. } | Kind::Other => fs.remove_file(&path)?,
        }
    }
    fs.remove_dir(folder)
}

fn kind(fs: &dyn Fs, path: &Path) -> Result<Option<Kind>, OpenError> {
    fs.kind(path).map_err(|error| OpenError::io(path, error))
}

/// Makes the root and those of its parents that are missing, durably. One that is there already is made durable, too: an earlier
/// start may have ended before it was, or have failed in the sync.
fn make_root(fs: &dyn Fs, root: &Path) -> Result<(), OpenError> {
    let parent = root.parent().filter(|parent| !parent.as_os_str().is_empty());
    let sync_parent = || fs.sync_dir(parent.unwrap_or(Path::new(".")));
    match kind(fs, root)? {
        Some(Kind::Folder) => {
            return match sync_parent() {
                // Whoever may not read the parent has not made this folder in it.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
                synced => synced.map_err(|error| OpenError::io(root, error)),
            };
        }
        Some(Kind::File { .. } | Kind::Other) => return Err(OpenError::NotAFolder { path: root.into() }),
        None => {}
    }
    if let Some(parent) = parent {
        make_root(fs, parent)?;
    }
    fs.create_dir(root).and_then(|()| sync_parent()).map_err(|error| OpenError::io(root, error))
}

/// Notes durably that there may be orphans from now on; true if there may be some of an earlier run.
fn mark_unclean(fs: &dyn Fs, root: &Path) -> Result<bool, OpenError> {
    let path = root.join(UNCLEAN);
    if kind(fs, &path)?.is_some() {
        return Ok(true);
    }
    fs.create_file(&path).map(drop).and_then(|()| fs.sync_dir(root)).map_err(|error| OpenError::io(path, error))?;
    Ok(false)
}

/// After a failed sync the system takes pages that never reached the disk for clean, and will not write them again; a commit on top of
/// them would be lost with them at a power loss (Rebello et al., "Can Applications Recover from fsync Failures?", ATC 2020). So
/// the index is written anew, as it is shown now.
fn write_out_doubtful(fs: &dyn Fs, root: &Path) -> Result<(), OpenError> {
    let (path, new, doubtful) = (root.join(INDEX), root.join(INDEX_NEW), root.join(INDEX_DOUBTFUL));
    if kind(fs, &doubtful)?.is_none() {
        return Ok(());
    }
    let write_out = || {
        let old = fs.open_index(&path, false)?;
        let mut file = fs.create_file(&new)?;
        let len = old.len()?;
        for start in (0..len).step_by(COPY_LEN) {
            let mut piece = vec![0; COPY_LEN.min(usize::try_from(len - start).unwrap_or(COPY_LEN))];
            old.read(start, &mut piece)?;
            file.write(&[piece.into()])?;
        }
        file.sync()?;
        old.close()?;
        fs.rename(&new, &path)?;
        fs.sync_dir(root)?;
        fs.remove_file(&doubtful)?;
        fs.sync_dir(root)
    };
    write_out().map_err(|error| OpenError::io(path.clone(), error))
}

/// Whether a store has an index. One without blobs need not have; it was never used, or is being cleared.
pub(crate) fn has_index(fs: &dyn Fs, root: &Path) -> Result<bool, OpenError> {
    if kind(fs, &root.join(INDEX))?.is_some() {
        return Ok(true);
    }
    if kind(fs, &root.join(INDEX_CLEARED))?.is_none() {
        require_no_blobs(fs, root)?;
    }
    Ok(false)
}

fn require_no_blobs(fs: &dyn Fs, root: &Path) -> Result<(), OpenError> {
    match fs.list(&root.join(BLOBS)) {
        Ok(entries) if entries.is_empty() => Ok(()),
        Ok(_) => Err(OpenError::IndexMissing { path: root.join(INDEX) }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(OpenError::io(root.join(BLOBS), error)),
    }
}

/// Makes an empty index under another name and renames it when it is whole, so that a damaged one is never the work of a
/// crash in here.
fn make_index(fs: &dyn Fs, root: &Path, config: &StoreConfig) -> Result<(), OpenError> {
    let path = root.join(INDEX);
    require_no_blobs(fs, root)?;
    let new = root.join(INDEX_NEW);
    if kind(fs, &new)?.is_some() {
        fs.remove_file(&new).map_err(|error| OpenError::io(&new, error))?;
    }
    let file = fs.open_index(&new, true).map_err(|error| OpenError::io(&new, error))?;
    let watch = Watch::new();
    let backend = watch.over(file).map_err(|error| OpenError::io(&new, error))?;
    let fill = || -> Result<(), redb::Error> {
        let database = builder(config.cache_bytes).create_with_backend(backend)?;
        let txn = database.begin_write()?;
        txn.open_table(BLOB_ROWS)?;
        txn.open_table(ENTRIES)?;
        txn.open_table(META)?.insert(META_FORMAT, FORMAT)?;
        txn.commit()?;
        Ok(database.close()?)
    };
    fill().map_err(|error| index_error(&new, error))?;
    fs.rename(&new, &path).and_then(|()| fs.sync_dir(root)).map_err(|error| OpenError::io(path, error))
}

fn open_index(fs: &dyn Fs, path: &Path, config: &StoreConfig, watch: &Arc<Watch>) -> Result<Database, OpenError> {
    let file = fs.open_index(path, false).map_err(|error| OpenError::io(path, error))?;
    let backend = watch.over(file).map_err(|error| OpenError::io(path, error))?;
    if watch.len() == 0 {
        return Err(damaged(path, "it is empty"));
    }
    open_database(path, backend, config.cache_bytes, watch.len() <= VERIFY_LEN_MAX)
}

/// Opens an index that is not empty; with `verify`, all its checksums are looked at.
pub(crate) fn open_database(
    path: &Path,
    backend: impl StorageBackend,
    cache_bytes: usize,
    verify: bool,
) -> Result<Database, OpenError> {
    let open = || {
        let database = builder(cache_bytes).set_check_integrity_on_open(verify).create_with_backend(backend)?;
        let format = format_of(&database)?;
        Ok((database, format))
    };
    // `redb` promises errors only for what it verifies; a long index damaged by others may make it panic.
    let opened = catch_unwind(AssertUnwindSafe(open)).map_err(|_| damaged(path, "its pages contradict each other"))?;
    let (database, format) = opened.map_err(|error| index_error(path, error))?;
    match format {
        Some(FORMAT) => Ok(database),
        Some(found) if found > FORMAT => Err(OpenError::NewerFormat { path: path.into(), found, supported: FORMAT }),
        Some(_) | None => Err(OpenError::IndexForeign { path: path.into() }),
    }
}

/// The format's number, if the database is a store's index at all.
fn format_of(database: &Database) -> Result<Option<u64>, redb::Error> {
    let txn = database.begin_read()?;
    let meta = match txn.open_table(META) {
        Ok(meta) => meta,
        Err(TableError::Storage(error)) => return Err(error.into()),
        Err(_) => return Ok(None),
    };
    Ok(meta.get(META_FORMAT)?.map(|format| format.value()))
}

fn damaged(path: &Path, detail: impl std::fmt::Display) -> OpenError {
    OpenError::IndexDamaged { path: path.into(), detail: detail.to_string() }
}

/// What an error of the index means to whoever opens or checks it.
pub(crate) fn index_error(path: &Path, error: redb::Error) -> OpenError {
    if matches!(error, redb::Error::DatabaseAlreadyOpen) {
        return OpenError::InUse { path: path.into() };
    }
    if let redb::Error::Io(error) = error {
        return if is_damage(&error) { damaged(path, error) } else { OpenError::io(path, error) };
    }
    damaged(path, error)
}

/// Whether an error is about what the file holds rather than about reading it.
fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}
