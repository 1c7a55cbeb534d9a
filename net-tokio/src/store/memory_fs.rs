//! A file system in memory that forgets what was not synced, and fails on command: for the tests of this engine and for
//! the simulator. A power loss, and the death of the program alone, each leave another file system behind
//! (`memory_fs/loss.rs`).

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

mod fs;
mod loss;

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
    /// How often its bytes were changed.
    changes: u64,
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
    is_looked_at: bool,
    free_bytes: Option<u64>,
    denied: Option<io::ErrorKind>,
    holds_index_syncs: bool,
    held_index_syncs: u64,
}

/// The file system. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct MemoryFs {
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl MemoryFs {
    /// An empty file system with a root folder.
    #[must_use]
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
        // A test that panicked under the lock has failed already; others do not share its file system.
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
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
    #[must_use]
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
    #[must_use]
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
            state = self.shared.1.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// All files and their bytes.
    #[must_use]
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.state();
        let files = state.names.iter().filter_map(|(path, node)| match node {
            Node::File(inode) => Some((path.clone(), state.inodes[*inode].data.clone())),
            Node::Folder => None,
        });
        files.collect()
    }

    /// Shows all files and their bytes, without a copy.
    pub fn each_file(&self, mut show: impl FnMut(&Path, &[u8])) {
        let state = self.state();
        for (path, node) in &state.names {
            if let Node::File(inode) = node {
                show(path, &state.inodes[*inode].data);
            }
        }
    }

    /// Which file lies at a path, and how often its bytes were changed: equal only while they are the same.
    #[must_use]
    pub fn stamp(&self, path: &Path) -> Option<(usize, u64)> {
        let state = self.state();
        match state.names.get(path) {
            Some(Node::File(inode)) => Some((*inode, state.inodes[*inode].changes)),
            Some(Node::Folder) | None => None,
        }
    }

    /// What a failed sync does: what was not synced before stays readable, and no later sync makes it durable
    /// (<https://wiki.postgresql.org/wiki/Fsync_Errors>).
    pub fn forget_unsynced(&self, path: &Path) {
        let mut state = self.state();
        if let Some(Node::File(inode)) = state.names.get(path).copied() {
            state.inodes[inode].unsynced.clear();
        }
    }

    /// Lets somebody look from outside: in `look`, reads neither count as operations nor fail, not even without power.
    ///
    /// # Panics
    ///
    /// In `look`, when something is changed.
    pub fn look<T>(&self, look: impl FnOnce() -> T) -> T {
        let was = std::mem::replace(&mut self.state().is_looked_at, true);
        let seen = look();
        self.state().is_looked_at = was;
        seen
    }

    /// Whether the power is gone.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.state().is_dead
    }

    /// Cuts the power now: everything from here on fails.
    pub fn cut_power(&self) {
        self.state().is_dead = true;
    }

    /// Replaces a file's bytes, durably, behind the engine's back.
    ///
    /// # Panics
    ///
    /// When there is no such file.
    pub fn overwrite(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.state();
        let Some(Node::File(inode)) = state.names.get(path).copied() else {
            panic!("no file {}", path.display());
        };
        let changes = state.inodes[inode].changes + 1;
        state.inodes[inode] = Inode { data: bytes.to_vec(), durable: bytes.to_vec(), unsynced: Vec::new(), changes };
    }

    /// Removes a file, durably, behind the engine's back.
    ///
    /// # Panics
    ///
    /// When there is no such file.
    pub fn delete(&self, path: &Path) {
        let mut state = self.state();
        state.names.remove(path).expect("the file is there");
        state.durable_names.remove(path);
    }

    fn step(&self, class: Class) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        if state.is_looked_at {
            assert_eq!(class, Class::Read, "who looks changes nothing");
            return Ok(state);
        }
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

    /// A sync of a file. One that fails has forgotten what it was to make durable; power that goes takes what it likes.
    fn sync_step(&self, inode: usize) -> io::Result<MutexGuard<'_, State>> {
        self.step(Class::Sync).inspect_err(|_| {
            let mut state = self.state();
            if !state.is_dead {
                state.inodes[inode].unsynced.clear();
            }
        })
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
        self.changes += 1;
    }

    fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            apply(&mut self.durable, &change);
        }
    }
}

fn apply(data: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Len(len) => data.resize(index(*len), 0),
        Change::Write(offset, bytes) => {
            let start = index(*offset);
            if data.len() < start + bytes.len() {
                data.resize(start + bytes.len(), 0);
            }
            data[start..start + bytes.len()].copy_from_slice(bytes);
        }
    }
}

/// A place in a file.
fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("a file in memory fits into memory")
}
