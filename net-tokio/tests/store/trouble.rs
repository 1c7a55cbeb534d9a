//! The storage engine keeps the disk's contract when the disk is damaged, full, or unable to sync.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use forever_core::disk::{DiskOp, DiskResult};
use forever_core::ids::BlobKey;
use forever_net_tokio::store::conformance::trouble::{Rig, keeps_the_contract_in_trouble};
use forever_net_tokio::store::inspect::{Place, look};
use forever_net_tokio::store::memory_fs::{Fault, MemoryFs};
use forever_net_tokio::store::{Store, StoreConfig};

/// An engine over a file system in memory.
struct Engine {
    fs: MemoryFs,
    store: Store,
}

impl Engine {
    fn on(fs: MemoryFs) -> Self {
        let mut config = StoreConfig::new("/data");
        config.reserve_bytes = 0;
        // What lies in its cache is not read from the disk, and damage there not found.
        config.cache_bytes = 0;
        Self { store: Store::open(Arc::new(fs.clone()), &config).unwrap(), fs }
    }

    /// Where bytes lie: in which file, and at which places of it.
    fn places(&self, blob: &BlobKey) -> (PathBuf, Vec<usize>) {
        let places = look(&self.fs, Path::new("/data")).unwrap().places;
        match places.into_iter().find(|(other, _)| other == blob).unwrap().1 {
            Place::File { path, .. } => (path, vec![0]),
            Place::Index(bytes) => {
                let path = PathBuf::from("/data/index.redb");
                let file = &self.fs.files()[&path];
                let found = file.windows(bytes.len()).enumerate().filter(|(_, window)| *window == &bytes[..]);
                (path.clone(), found.map(|(at, _)| at).collect())
            }
            Place::Damaged => panic!("the row of a blob is damaged"),
        }
    }
}

impl Rig for Engine {
    fn new() -> Self {
        Self::on(MemoryFs::new())
    }

    fn perform_all(&self, ops: Vec<DiskOp>) -> Vec<DiskResult> {
        self.store.perform_all(ops)
    }

    fn damage(&self, blob: &BlobKey) {
        let (path, places) = self.places(blob);
        let mut bytes = self.fs.files()[&path].clone();
        assert!(!places.is_empty());
        places.into_iter().for_each(|at| bytes[at] ^= 1);
        self.fs.overwrite(&path, &bytes);
    }

    fn fill(&self) {
        self.fs.set_free(0);
    }

    fn exhaust(&self) {
        self.fs.fail(1, Fault::Full);
    }

    fn make_room(&self) {
        self.fs.heal();
        self.fs.set_free(u64::MAX);
    }

    fn fail_sync(&self) {
        self.fs.fail_sync(1);
    }

    fn restarted(self) -> Self {
        let fs = self.fs.after_kill();
        self.fs.cut_power();
        drop(self.store);
        Self::on(fs)
    }
}

#[test]
fn the_engine_keeps_the_contract_in_trouble() {
    keeps_the_contract_in_trouble::<Engine>();
}
