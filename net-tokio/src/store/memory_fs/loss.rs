//! What is left on the disk when the power goes, or only the program.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

use super::{Change, Inode, MemoryFs, State, apply, index};

impl MemoryFs {
    /// The file system after the program was killed: the operating system still has all that was written. The dead
    /// program's own file system stays behind; what it still does there reaches nobody.
    #[must_use]
    pub fn after_kill(&self) -> Self {
        let old = self.state();
        let new = State {
            inodes: old.inodes.clone(),
            names: old.names.clone(),
            durable_names: old.durable_names.clone(),
            ..State::default()
        };
        Self { shared: Arc::new((Mutex::new(new), Condvar::new())) }
    }

    /// The file system after a power loss: of what was not synced, some is there and some is not, and a write may be
    /// there in part.
    #[must_use]
    pub fn after_power_loss(&self, seed: u64) -> Self {
        let old = self.state();
        let mut random = Random(seed | 1);
        let mut new =
            State { inodes: old.inodes.iter().map(|inode| torn(inode, &mut random)).collect(), ..State::default() };
        let mut lucky: BTreeMap<PathBuf, bool> = BTreeMap::new();
        let every: BTreeSet<&PathBuf> = old.names.keys().chain(old.durable_names.keys()).collect();
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
                let kept = index(sectors * SECTOR);
                apply(&mut data, &Change::Write(*offset, bytes[..kept].to_vec()));
            }
            (_, Change::Write(..) | Change::Len(_)) => {}
        }
    }
    Inode { durable: data.clone(), data, unsynced: Vec::new(), changes: inode.changes + 1 }
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
