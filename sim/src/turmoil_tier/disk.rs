//! The storage engine, inline.

use std::path::PathBuf;
use std::sync::Arc;

use forever_core::disk::{DiskDone, DiskOp, DiskResult};
use forever_net_tokio::disk::{Completion, Disk};
use forever_net_tokio::store::memory_fs::MemoryFs;
use forever_net_tokio::store::{OpenError, Store, StoreConfig};

use crate::trace::Tracer;

/// Memory that the index may keep pages in, in bytes: enough for the small stores here.
const CACHE_BYTES: usize = 1 << 20;

/// A store that performs each operation when it is submitted. The completion is an input of the driver's next turn, as on
/// a real disk; that it takes no time is not.
#[derive(Debug)]
pub struct SimDisk {
    store: Store,
    tracer: Tracer,
}

impl SimDisk {
    /// Opens the store of a file system, or makes it, and cleans up what a crash left.
    pub(crate) fn open(fs: MemoryFs, tracer: Tracer) -> Result<Self, OpenError> {
        let config = StoreConfig {
            root: PathBuf::from("/store"),
            reserve_bytes: 0,
            cache_bytes: CACHE_BYTES,
            ..StoreConfig::new("")
        };
        let store = Store::open(Arc::new(fs), &config)?;
        while store.sweep_step() {}
        Ok(Self { store, tracer })
    }
}

impl Disk for SimDisk {
    fn submit(&self, what: DiskOp, done: Completion<DiskResult>) {
        self.tracer.debug("disk", &what);
        let result = self.store.perform(what);
        if let Ok(DiskDone::Blob(blob)) = &result {
            self.tracer.bytes("disk done", blob);
        } else {
            self.tracer.debug("disk done", &result);
        }
        done.complete(result);
    }
}
