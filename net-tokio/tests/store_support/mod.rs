//! A file system in memory that forgets what was not synced, and fails on command.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses another part")]
#![allow(clippy::unwrap_used, reason = "clippy takes only functions marked as tests for tests")]

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use bytes::Bytes;
use forever_net_tokio::store::fs::{Entry, Fs, FsFile, Kind};
use redb::StorageBackend;

/// What happens at the operation that was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The power goes: this and everything after it fails.
    Crash,
    /// This one operation fails; a write may have been done in part.
    ErrorOnce,
    /// From here on nothing that needs space succeeds.
    Full,
}

/// What an operation is, for faults that meet only some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Read,
    Name,
    Space,
    Sync,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Folder,
    File(usize),
}

#[derive(Clone, Debug)]
enum Change {
    Write(u64, Vec<u8>),
    Len(u64),
}

#[derive(Clone, Debug, Default)]
struct Inode {
    data: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

type Names = BTreeMap<PathBuf, Node>;

#[derive(Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    names: Names,
    durable_names: Names,
    operations: u64,
    syncs: u64,
    index_syncs: u64,
    fault: Option<(u64, Fault)>,
    sync_fault: Option<u64>,
    is_dead: bool,
    is_full: bool,
    free_bytes: Option<u64>,
    denied: Option<io::ErrorKind>,
    holds_index_syncs: bool,
    held_index_syncs: u64,
}

#[derive(Clone, Debug, Default)]
pub struct MemoryFs {
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl MemoryFs {
    /// An empty file system with a root folder.
    pub fn new() -> Self {
        let fs = Self::default();
        for folder in ["", "/"] {
            let mut state = fs.state();
            state.names.insert(folder.into(), Node::Folder);
            state.durable_names.insert(folder.into(), Node::Folder);
        }
        fs
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap()
    }

    /// Lets the `at`th operation from now meet a fault; the first is 1.
    pub fn fail(&self, at: u64, fault: Fault) {
        let mut state = self.state();
        state.fault = Some((state.operations + at, fault));
    }

    /// Lets the `at`th sync from now fail; the first is 1.
    pub fn fail_sync(&self, at: u64) {
        let mut state = self.state();
        state.sync_fault = Some(state.syncs + at);
    }

    /// Forgets the faults to come, and gives space again.
    pub fn heal(&self) {
        let mut state = self.state();
        state.fault = None;
        state.sync_fault = None;
        state.is_full = false;
    }

    /// Whether the fault that was asked for is still to come.
    pub fn is_armed(&self) -> bool {
        let state = self.state();
        state.fault.is_some() || state.sync_fault.is_some()
    }

    /// What the file system says is free.
    pub fn set_free(&self, bytes: u64) {
        self.state().free_bytes = Some(bytes);
    }

    /// Refuses everything that changes a name.
    pub fn deny_changes(&self, kind: io::ErrorKind) {
        self.state().denied = Some(kind);
    }

    /// Syncs of the index so far.
    pub fn index_syncs(&self) -> u64 {
        self.state().index_syncs
    }

    /// Lets syncs of the index wait from now on, or go on.
    pub fn hold_index_syncs(&self, holds: bool) {
        self.state().holds_index_syncs = holds;
        self.shared.1.notify_all();
    }

    /// Waits until a sync of the index is held.
    pub fn await_held_sync(&self) {
        let mut state = self.state();
        while state.held_index_syncs == 0 {
            state = self.shared.1.wait(state).unwrap();
        }
    }

    /// All files and their bytes.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.state();
        let files = state.names.iter().filter_map(|(path, node)| match node {
            Node::File(inode) => Some((path.clone(), state.inodes[*inode].data.clone())),
            Node::Folder => None,
        });
        files.collect()
    }

    /// Replaces a file's bytes, durably, behind the engine's back.
    pub fn overwrite(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.state();
        let Some(Node::File(inode)) = state.names.get(path).copied() else {
            panic!("no file {}", path.display());
        };
        state.inodes[inode] = Inode { data: bytes.to_vec(), durable: bytes.to_vec(), unsynced: Vec::new() };
    }

    /// Removes a file, durably, behind the engine's back.
    pub fn delete(&self, path: &Path) {
        let mut state = self.state();
        state.names.remove(path).expect("the file is there");
        state.durable_names.remove(path);
    }

    /// The file system after a power loss: of what was not synced, some is there and some is not, and a write may be
    /// there in part.
    pub fn after_power_loss(&self, seed: u64) -> Self {
        let old = self.state();
        let mut random = Random(seed | 1);
        let mut new =
            State { inodes: old.inodes.iter().map(|inode| torn(inode, &mut random)).collect(), ..State::default() };
        let mut lucky: BTreeMap<PathBuf, bool> = BTreeMap::new();
        let every: std::collections::BTreeSet<&PathBuf> = old.names.keys().chain(old.durable_names.keys()).collect();
        for path in every {
            let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
            let from = if *lucky.entry(folder.clone()).or_insert_with(|| random.below(2) == 0) {
                &old.names
            } else {
                &old.durable_names
            };
            if let Some(node) = from.get(path)
                && (new.names.contains_key(&folder) || path.parent().is_none())
            {
                new.names.insert(path.clone(), *node);
            }
        }
        new.durable_names = new.names.clone();
        Self { shared: Arc::new((Mutex::new(new), Condvar::new())) }
    }

    fn step(&self, class: Class) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        state.operations += 1;
        state.syncs += u64::from(class == Class::Sync);
        if state.is_dead {
            return Err(io::Error::other("the power is gone"));
        }
        if let Some((at, fault)) = state.fault
            && at <= state.operations
        {
            state.fault = None;
            match fault {
                Fault::Crash => {
                    state.is_dead = true;
                    return Err(io::Error::other("the power is gone"));
                }
                Fault::ErrorOnce => return Err(io::Error::other("injected")),
                Fault::Full => state.is_full = true,
            }
        }
        if class == Class::Sync && state.sync_fault.is_some_and(|at| at <= state.syncs) {
            state.sync_fault = None;
            return Err(io::Error::other("injected sync failure"));
        }
        if class == Class::Space && state.is_full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if let (Class::Name | Class::Space, Some(kind)) = (class, state.denied) {
            return Err(kind.into());
        }
        Ok(state)
    }

    fn write_at(&self, inode: usize, offset: u64, bytes: &[u8]) -> io::Result<()> {
        match self.step(Class::Space) {
            Ok(mut state) => {
                state.inodes[inode].change(Change::Write(offset, bytes.to_vec()));
                Ok(())
            }
            Err(error) => {
                let half = bytes[..bytes.len() / 2].to_vec();
                self.state().inodes[inode].change(Change::Write(offset, half));
                Err(error)
            }
        }
    }
}

impl Inode {
    fn change(&mut self, change: Change) {
        apply(&mut self.data, &change);
        self.unsynced.push(change);
    }

    fn sync(&mut self) {
        self.durable.clone_from(&self.data);
        self.unsynced.clear();
    }
}

fn apply(data: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Len(len) => data.resize(usize::try_from(*len).unwrap(), 0),
        Change::Write(offset, bytes) => {
            let start = usize::try_from(*offset).unwrap();
            if data.len() < start + bytes.len() {
                data.resize(start + bytes.len(), 0);
            }
            data[start..start + bytes.len()].copy_from_slice(bytes);
        }
    }
}

/// What is left of a file: each unsynced write wholly, not at all, or some of its first sectors.
fn torn(inode: &Inode, random: &mut Random) -> Inode {
    const SECTOR: u64 = 512;
    let mut data = inode.durable.clone();
    for change in &inode.unsynced {
        match (random.below(3), change) {
            (0, _) => apply(&mut data, change),
            (1, Change::Write(offset, bytes)) => {
                let sectors = random.below(bytes.len() as u64 / SECTOR + 1);
                let kept = usize::try_from(sectors * SECTOR).unwrap();
                apply(&mut data, &Change::Write(*offset, bytes[..kept].to_vec()));
            }
            _ => {}
        }
    }
    Inode { durable: data.clone(), data, unsynced: Vec::new() }
}

/// xorshift64: enough to choose what a power loss spares.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Fs for MemoryFs {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.step(Class::Space)?;
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let parent = path.parent().unwrap();
        if state.names.get(parent) != Some(&Node::Folder) {
            return Err(missing());
        }
        state.names.insert(path.into(), Node::Folder);
        Ok(())
    }

    fn create_file(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        let mut state = self.step(Class::Space)?;
        if state.names.get(path.parent().unwrap()) != Some(&Node::Folder) {
            return Err(missing());
        }
        let inode = match state.names.get(path) {
            Some(Node::File(inode)) => *inode,
            _ => {
                state.inodes.push(Inode::default());
                let inode = state.inodes.len() - 1;
                state.names.insert(path.into(), Node::File(inode));
                inode
            }
        };
        state.inodes[inode].change(Change::Len(0));
        let fs = self.clone();
        Ok(Box::new(MemoryFile { fs, inode, at: 0 }))
    }

    fn read(&self, path: &Path, len_max: u64) -> io::Result<Bytes> {
        let state = self.step(Class::Read)?;
        let Some(Node::File(inode)) = state.names.get(path) else {
            return Err(missing());
        };
        let data = &state.inodes[*inode].data;
        let len = data.len().min(usize::try_from(len_max).unwrap_or(usize::MAX));
        Ok(Bytes::copy_from_slice(&data[..len]))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.step(Class::Name)?;
        let node = state.names.remove(from).ok_or_else(missing)?;
        assert_ne!(node, Node::Folder, "the engine renames only files");
        state.names.insert(to.into(), node);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.step(Class::Name)?;
        state.names.remove(path).map(drop).ok_or_else(missing)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.step(Class::Name)?;
        if state.names.keys().any(|name| name.parent() == Some(path)) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        state.names.remove(path).map(drop).ok_or_else(missing)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.step(Class::Sync)?;
        let below = |name: &PathBuf| name.parent() == Some(path);
        state.durable_names.retain(|name, _| !below(name));
        let live: Vec<_> =
            state.names.iter().filter(|(name, _)| below(name)).map(|(name, node)| (name.clone(), *node)).collect();
        state.durable_names.extend(live);
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let state = self.step(Class::Read)?;
        if state.names.get(path) != Some(&Node::Folder) {
            return Err(missing());
        }
        let below = state.names.iter().filter(|(name, _)| name.parent() == Some(path));
        let entries = below.map(|(name, node)| Entry {
            name: name.file_name().unwrap().to_str().unwrap().into(),
            kind: kind(&state, *node),
        });
        Ok(entries.collect())
    }

    fn kind(&self, path: &Path) -> io::Result<Option<Kind>> {
        let state = self.step(Class::Read)?;
        Ok(state.names.get(path).map(|node| kind(&state, *node)))
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<Option<u64>> {
        Ok(self.step(Class::Read)?.free_bytes)
    }

    fn open_index(&self, path: &Path, create: bool) -> io::Result<Box<dyn StorageBackend>> {
        let is_there = self.state().names.contains_key(path);
        if !is_there && create {
            self.create_file(path)?;
        }
        let state = self.step(Class::Read)?;
        let Some(Node::File(inode)) = state.names.get(path).copied() else {
            return Err(missing());
        };
        let fs = self.clone();
        Ok(Box::new(MemoryIndex { fs, inode }))
    }
}

fn kind(state: &State, node: Node) -> Kind {
    match node {
        Node::Folder => Kind::Folder,
        Node::File(inode) => Kind::File { len: state.inodes[inode].data.len() as u64 },
    }
}

struct MemoryFile {
    fs: MemoryFs,
    inode: usize,
    at: u64,
}

impl FsFile for MemoryFile {
    fn write(&mut self, parts: &[Bytes]) -> io::Result<()> {
        for part in parts {
            self.fs.write_at(self.inode, self.at, part)?;
            self.at += part.len() as u64;
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.fs.step(Class::Sync)?.inodes[self.inode].sync();
        Ok(())
    }
}

#[derive(Debug)]
struct MemoryIndex {
    fs: MemoryFs,
    inode: usize,
}

impl StorageBackend for MemoryIndex {
    fn len(&self) -> io::Result<u64> {
        Ok(self.fs.step(Class::Read)?.inodes[self.inode].data.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.fs.step(Class::Read)?;
        let start = usize::try_from(offset).unwrap();
        let bytes = state.inodes[self.inode].data.get(start..start + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.fs.step(Class::Space)?.inodes[self.inode].change(Change::Len(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.fs.step(Class::Sync)?;
        state.index_syncs += 1;
        state.held_index_syncs += 1;
        self.fs.shared.1.notify_all();
        while state.holds_index_syncs {
            state = self.fs.shared.1.wait(state).unwrap();
        }
        state.held_index_syncs -= 1;
        state.inodes[self.inode].sync();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.fs.write_at(self.inode, offset, data)
    }
}
