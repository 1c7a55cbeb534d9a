//! A file system that fails as the faults at work want it to, over one in memory that forgets what was not synced.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use forever_net_tokio::store::fs::{Entry, Fs, FsFile, Kind};
use forever_net_tokio::store::inspect::Seen;
use forever_net_tokio::store::memory_fs::MemoryFs;
use redb::StorageBackend;

use super::board::Board;
use super::disk::{RESERVE_BYTES, ROOT};
use crate::draw::Site;
use crate::store::{DiskPart, Fault};
use crate::system::Step;

mod damage;

const READS: Site = Site::new("turmoil.fs.read");
const WRITES: Site = Site::new("turmoil.fs.write");
const SYNCS: Site = Site::new("turmoil.fs.sync");

/// The disk of a node, over the starts of its process. Clones are the same disk.
#[derive(Clone, Debug)]
pub(crate) struct FaultyFs {
    fs: MemoryFs,
    node: usize,
    board: Board,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes that may still be written, by the fault that says so.
    left: BTreeMap<usize, u64>,
    /// Folders whose syncs did nothing, and the faults that made it so.
    unsynced_folders: BTreeMap<PathBuf, usize>,
    /// Blobs that rot has passed by.
    spared: BTreeSet<(usize, PathBuf)>,
    /// What the index said before bits of it flipped, until a store is opened over it.
    rotten: Option<Seen>,
}

impl FaultyFs {
    pub(crate) fn new(fs: MemoryFs, node: usize, board: Board) -> Self {
        Self { fs, node, board, state: Arc::default() }
    }

    /// The file system below, without faults.
    pub(crate) fn memory(&self) -> &MemoryFs {
        &self.fs
    }

    /// The same disk after its file system became another one: the process has ended.
    pub(crate) fn replaced_by(&self, fs: MemoryFs) -> Self {
        Self { fs, ..self.clone() }
    }

    /// Another disk in its place, without any history.
    pub(crate) fn forget(&self) {
        *self.state() = State::default();
    }

    /// Whether a fault at work may be why something fails.
    pub(crate) fn may_fail(&self) -> bool {
        let of_disk = |fault: &Fault| (fault.family() == "disk" && fault.nodes() == [self.node]).then_some(());
        !self.board.pick(of_disk).is_empty()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a fault strikes an access of the file at a path. `chance` gives its node, its rate and what of the disk it meets.
    fn strikes(&self, site: Site, path: &Path, chance: impl Fn(&Fault) -> Option<(usize, u32, DiskPart)>) -> bool {
        let of_blobs = path.starts_with(Path::new(ROOT).join("blobs"));
        let meets = |(node, _, part): &(usize, u32, DiskPart)| *node == self.node && part.meets(of_blobs);
        self.board.strikes(site, |fault| chance(fault).filter(meets).map(|(_, rate, _)| rate))
    }

    fn read_fails(&self, path: &Path) -> io::Result<()> {
        let rate = |fault: &Fault| {
            if let Fault::ReadErrors { node, per_mille, part } = fault {
                Some((*node, *per_mille, *part))
            } else {
                None
            }
        };
        if self.strikes(READS, path, rate) { Err(io::Error::other("a read failed")) } else { Ok(()) }
    }

    fn write_fails(&self, path: &Path) -> io::Result<()> {
        let rate = |fault: &Fault| {
            if let Fault::WriteErrors { node, per_mille, part } = fault {
                Some((*node, *per_mille, *part))
            } else {
                None
            }
        };
        if self.strikes(WRITES, path, rate) { Err(io::Error::other("a write failed")) } else { Ok(()) }
    }

    /// A sync that fails has forgotten what it was to make durable.
    fn sync_fails(&self, path: &Path) -> io::Result<()> {
        if self.strikes(SYNCS, path, sync_rate) {
            self.fs.forget_unsynced(path);
            return Err(io::Error::other("a sync failed"));
        }
        Ok(())
    }

    /// Folders are neither blobs nor the index: only what meets all of the disk meets them.
    fn sync_of_folder_fails(&self) -> io::Result<()> {
        let meets = |(node, _, part): &(usize, u32, DiskPart)| *node == self.node && *part == DiskPart::All;
        let strikes = self.board.strikes(SYNCS, |fault| sync_rate(fault).filter(meets).map(|(_, rate, _)| rate));
        if strikes { Err(io::Error::other("a sync failed")) } else { Ok(()) }
    }

    /// Bytes that may still be written, if there is a limit, and the fault that sets it. Blobs leave the engine's reserve.
    fn left(&self) -> Option<(usize, u64)> {
        let full = self.board.pick(|fault| {
            if let Fault::Full { node, free_bytes } = fault {
                (*node == self.node).then_some(*free_bytes)
            } else {
                None
            }
        });
        let mut state = self.state();
        full.into_iter()
            .map(|(id, free)| (id, *state.left.entry(id).or_insert(free.saturating_add(RESERVE_BYTES))))
            .min_by_key(|(_, left)| *left)
    }

    /// Takes space, if there is enough.
    fn take_space(&self, bytes: u64) -> io::Result<()> {
        let Some((id, left)) = self.left() else { return Ok(()) };
        if bytes > left {
            self.board.bite(id);
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.state().left.insert(id, left - bytes);
        Ok(())
    }
}

/// Whose syncs a fault lets fail, how often, and of what.
fn sync_rate(fault: &Fault) -> Option<(usize, u32, DiskPart)> {
    if let Fault::SyncErrors { node, per_mille, part } = fault { Some((*node, *per_mille, *part)) } else { None }
}

impl Fs for FaultyFs {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.fs.create_dir(path)
    }

    fn create_file(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        self.write_fails(path)?;
        let file = self.fs.create_file(path)?;
        Ok(Box::new(FaultyFile { file, path: path.into(), fs: self.clone() }))
    }

    fn read(&self, path: &Path, len_max: u64) -> io::Result<Bytes> {
        self.read_fails(path)?;
        self.fs.read(path, len_max)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.misdirect(from, to);
        self.fs.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.fs.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.fs.remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let lies = self.board.pick(|fault| (*fault == Fault::LostDirSyncs { node: self.node }).then_some(()));
        if let Some((fault, ())) = lies.first() {
            self.state().unsynced_folders.insert(path.into(), *fault);
            return Ok(());
        }
        self.sync_of_folder_fails()?;
        self.fs.sync_dir(path)?;
        self.state().unsynced_folders.remove(path);
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.fs.list(path)
    }

    fn kind(&self, path: &Path) -> io::Result<Option<Kind>> {
        self.fs.kind(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<Option<u64>> {
        match self.left() {
            Some((_, left)) => Ok(Some(left)),
            None => self.fs.free_bytes(path),
        }
    }

    fn open_index(&self, path: &Path, create: bool) -> io::Result<Box<dyn StorageBackend>> {
        let file = self.fs.open_index(path, create)?;
        Ok(Box::new(FaultyIndex { file, path: path.into(), fs: self.clone() }))
    }
}

struct FaultyFile {
    file: Box<dyn FsFile>,
    path: PathBuf,
    fs: FaultyFs,
}

impl FsFile for FaultyFile {
    fn write(&mut self, parts: &[Bytes]) -> io::Result<()> {
        self.fs.take_space(parts.iter().map(|part| part.len() as u64).sum())?;
        if let Err(error) = self.fs.write_fails(&self.path) {
            // Some of it is there all the same.
            self.file.write(&parts[..parts.len() / 2])?;
            return Err(error);
        }
        self.file.write(parts)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.fs.sync_fails(&self.path)?;
        self.file.sync()
    }
}

#[derive(Debug)]
struct FaultyIndex {
    file: Box<dyn StorageBackend>,
    path: PathBuf,
    fs: FaultyFs,
}

impl FaultyIndex {
    fn grow_to(&self, len: u64) -> io::Result<()> {
        match len.saturating_sub(self.file.len()?) {
            0 => Ok(()),
            more => self.fs.take_space(more),
        }
    }
}

impl StorageBackend for FaultyIndex {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.fs.read_fails(&self.path)?;
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.grow_to(len)?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.fs.sync_fails(&self.path)?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.grow_to(offset + data.len() as u64)?;
        self.fs.write_fails(&self.path)?;
        self.file.write(offset, data)
    }
}

#[cfg(test)]
mod tests;
