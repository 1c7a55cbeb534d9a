//! A file system that fails as the faults at work want it to, over one in memory that forgets what was not synced.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use forever_core::ids::BlobKey;
use forever_net_tokio::store::fs::{Entry, Fs, FsFile, Kind};
use forever_net_tokio::store::memory_fs::MemoryFs;
use redb::StorageBackend;

use super::board::Board;
use super::disk::ROOT;
use crate::draw::Site;
use crate::store::{DiskLoss, Fault};
use crate::system::Step;

const READS: Site = Site::new("turmoil.fs.read");
const WRITES: Site = Site::new("turmoil.fs.write");
const SYNCS: Site = Site::new("turmoil.fs.sync");
const MISDIRECTED: Site = Site::new("turmoil.fs.misdirected");
const VICTIM: Site = Site::new("turmoil.fs.victim");
const ROT: Site = Site::new("turmoil.fs.rot");

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

    /// Whether a fault at work may be why something fails.
    pub(crate) fn may_fail(&self) -> bool {
        let of_disk = |fault: &Fault| (fault.family() == "disk" && fault.nodes() == [self.node]).then_some(());
        !self.board.pick(of_disk).is_empty()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn strikes(&self, site: Site, chance: impl Fn(&Fault) -> Option<(usize, u32)>) -> bool {
        self.board.strikes(site, |fault| chance(fault).filter(|(node, _)| *node == self.node).map(|(_, rate)| rate))
    }

    fn read_fails(&self) -> io::Result<()> {
        let rate = |fault: &Fault| {
            if let Fault::ReadErrors { node, per_mille } = fault { Some((*node, *per_mille)) } else { None }
        };
        if self.strikes(READS, rate) { Err(io::Error::other("a read failed")) } else { Ok(()) }
    }

    fn write_fails(&self) -> io::Result<()> {
        let rate = |fault: &Fault| {
            if let Fault::WriteErrors { node, per_mille } = fault { Some((*node, *per_mille)) } else { None }
        };
        if self.strikes(WRITES, rate) { Err(io::Error::other("a write failed")) } else { Ok(()) }
    }

    /// A sync that fails has forgotten what it was to make durable.
    fn sync_fails(&self, path: &Path) -> io::Result<()> {
        let rate = |fault: &Fault| {
            if let Fault::SyncErrors { node, per_mille } = fault { Some((*node, *per_mille)) } else { None }
        };
        if self.strikes(SYNCS, rate) {
            self.fs.forget_unsynced(path);
            return Err(io::Error::other("a sync failed"));
        }
        Ok(())
    }

    /// Bytes that may still be written, if there is a limit, and the fault that sets it.
    fn left(&self) -> Option<(usize, u64)> {
        let full = self.board.pick(|fault| {
            if let Fault::Full { node, free_bytes } = fault {
                (*node == self.node).then_some(*free_bytes)
            } else {
                None
            }
        });
        let mut state = self.state();
        full.into_iter().map(|(id, free)| (id, *state.left.entry(id).or_insert(free))).min_by_key(|(_, left)| *left)
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

    /// The files of blobs that are whole.
    fn blob_files(&self) -> Vec<(PathBuf, BlobKey)> {
        let mut files = Vec::new();
        self.fs.each_file(|path, _| files.extend(blob_at(path).map(|blob| (path.to_path_buf(), blob))));
        files
    }

    /// Lets bits of blobs flip that lie there now, each with a chance of so many in a thousand, once for each fault.
    pub(crate) fn rot(&self, fault: usize, per_mille: u32) {
        let mut damaged = Vec::new();
        for (path, blob) in self.blob_files() {
            if !self.state().spared.insert((fault, path.clone())) {
                continue;
            }
            let mut draw = self.board.draw(ROT, fault as u64);
            let Ok(bytes) = self.fs.read(&path, u64::MAX) else { continue };
            if draw.per_mille(u64::from(per_mille)) && !bytes.is_empty() {
                let mut bytes = bytes.to_vec();
                let place = draw.index(bytes.len());
                bytes[place] ^= 1 << draw.below(8);
                self.fs.overwrite(&path, &bytes);
                damaged.push(blob);
            }
        }
        self.destroyed(fault, damaged);
    }

    /// Lets the file at `temp`, about to become the blob's at `path`, be written over another blob, with nothing but zeros
    /// where it should be.
    fn misdirect(&self, temp: &Path, path: &Path) {
        let Some(blob) = blob_at(path) else { return };
        let rates = self.board.pick(|fault| {
            if let Fault::Misdirected { node, per_mille } = fault {
                (*node == self.node).then_some(*per_mille)
            } else {
                None
            }
        });
        for (id, per_mille) in rates {
            let others = self.blob_files();
            let others: Vec<_> = others.iter().filter(|(other, _)| other != path).collect();
            let strikes = self.board.draw(MISDIRECTED, id as u64).per_mille(u64::from(per_mille));
            let Ok(bytes) = self.fs.read(temp, u64::MAX) else { return };
            if strikes && !others.is_empty() {
                let (victim, lost) = self.board.draw(VICTIM, id as u64).pick(&others);
                self.fs.overwrite(victim, &bytes);
                self.fs.overwrite(temp, &vec![0; bytes.len()]);
                self.destroyed(id, vec![*lost, blob]);
            }
        }
    }

    fn destroyed(&self, fault: usize, blobs: Vec<BlobKey>) {
        if !blobs.is_empty() {
            self.board.lost(self.node, DiskLoss::Blobs(blobs));
            self.board.bite(fault);
        }
    }

    /// What a power loss leaves, and tells what it destroyed because syncs of folders had done nothing.
    pub(crate) fn after_power_loss(&self, seed: u64) -> MemoryFs {
        let left = self.fs.after_power_loss(seed);
        let mut lost = Vec::new();
        let mut index_is_lost = false;
        let mut folders = std::mem::take(&mut self.state().unsynced_folders);
        self.fs.each_file(|path, _| {
            let fault = path.parent().and_then(|folder| folders.get(folder)).copied();
            if let Some(fault) = fault
                && left.stamp(path).is_none()
            {
                self.board.bite(fault);
                lost.extend(blob_at(path));
                index_is_lost |= path == Path::new(ROOT).join("index.redb");
            }
        });
        folders.clear();
        if index_is_lost || left.stamp(&Path::new(ROOT).join("index.redb")).is_none() && !lost.is_empty() {
            self.board.lost(self.node, DiskLoss::All);
            return MemoryFs::new();
        }
        if !lost.is_empty() {
            self.board.lost(self.node, DiskLoss::Blobs(lost));
        }
        left
    }
}

/// The blob whose file lies at a path, if it is one's and whole.
fn blob_at(path: &Path) -> Option<BlobKey> {
    let relative = path.strip_prefix(Path::new(ROOT).join("blobs")).ok()?.to_str()?;
    let (owner, chunk) = relative.split_once('/')?;
    Some(BlobKey { owner: owner.parse().ok()?, chunk: chunk.replace('/', "").parse().ok()? })
}

impl Fs for FaultyFs {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.fs.create_dir(path)
    }

    fn create_file(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        self.write_fails()?;
        let file = self.fs.create_file(path)?;
        Ok(Box::new(FaultyFile { file, path: path.into(), fs: self.clone() }))
    }

    fn read(&self, path: &Path, len_max: u64) -> io::Result<Bytes> {
        self.read_fails()?;
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
        self.sync_fails(path)?;
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
        if let Err(error) = self.fs.write_fails() {
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
        self.fs.read_fails()?;
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
        self.fs.write_fails()?;
        self.file.write(offset, data)
    }
}
