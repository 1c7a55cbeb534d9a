//! The storage engine: large blobs as files, everything else in one `redb` index, group commit.
//!
//! ```text
//! <root>/index.redb                 the index: rows of blobs, the core's keys and values (see `store/index.rs`)
//! <root>/blobs/<owner>/<path>       a blob above 16 KiB; the row holds its path, so the path transform may change
//! <root>/blobs/<owner>/<path>.part  a blob being written
//! <root>/quarantine/<owner>-<chunk> a damaged blob, kept for inspection, as are damaged entries of the index
//! <root>/index.redb.doubtful        a sync failed: the next start writes the index anew (see `store/open.rs`)
//! <root>/unclean                    there may be files without rows: the last run did not end well, or this one runs
//! ```
//!
//! The rule that everything follows: a blob is present if and only if its row is. A file is durable before its row is
//! committed, and a row is gone durably before its file is removed; so a crash leaves a file too many at worst, never one
//! too few. Such orphans, and temp files, are removed by a sweep in the background after a start that finds `unclean`.
//!
//! - [`Store`] performs operations one by one on the caller's thread: for the simulator, and for tools.
//! - [`StoreDisk`] performs them on threads of its own, and batches commits: for a node.
//! - [`check`] looks at a store, open or not, and repairs it.
//! - [`fs::Fs`] is the only way from here to a disk; [`fs::Fs`] of the simulator injects the faults.
//!
//! Queues are not bounded here: the core bounds what is under way.

mod backend;
mod batch;
pub mod check;
#[doc(hidden)]
pub mod conformance;
#[cfg(target_os = "linux")]
mod direct;
mod error;
mod executor;
mod export;
mod files;
pub mod fs;
mod health;
mod index;
#[doc(hidden)]
pub mod inspect;
mod locks;
#[doc(hidden)]
pub mod memory_fs;
mod open;
mod perform;
mod queue;
mod real_fs;
mod row;
mod sweep;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

pub use error::{ExportError, OpenError};
pub use executor::{NotNow, OpenStore, StoreDisk};
pub use open::clear;
#[doc(hidden)]
pub use perform::assert_bounds;
pub use real_fs::RealFs;

use files::Files;
use forever_core::ids::BlobKey;
use forever_core::path::PathTransform;
use fs::Fs;
use health::Health;
use index::Index;
use locks::{BlobLocks, lock};
use sweep::Sweep;

use crate::simulation::Simulated;

/// The newest format of the index that this program reads and the one it writes.
pub const FORMAT: u64 = 1;

/// Blobs up to this length in bytes live in the index, unless a store is told otherwise: a file of their own would cost more than they
/// are.
pub const INLINE_LEN_MAX: usize = 16 * 1024;

/// How a store works.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The folder it lives in; made if it is missing.
    pub root: PathBuf,
    /// Where blobs lie. Blobs already stored stay where they are when this changes.
    pub path: PathTransform,
    /// Space that blobs leave free, in bytes, so that a full disk meets them before the index.
    pub reserve_bytes: u64,
    /// What all blobs together may take, in bytes; no limit if `None`.
    pub max_bytes: Option<u64>,
    /// Memory that the index may keep pages in, in bytes.
    pub cache_bytes: usize,
    /// Blobs up to this length in bytes live in the index: at most [`INLINE_LEN_MAX`]. Those already stored stay where they are.
    pub inline_len_max: usize,
    /// Threads of a [`StoreDisk`] that hash, write and read blobs.
    pub blob_threads: usize,
    /// The simulator's hold on the node.
    pub simulation: Simulated,
}

impl StoreConfig {
    /// The defaults, in a folder.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            path: PathTransform::Git,
            reserve_bytes: 64 << 20,
            max_bytes: None,
            cache_bytes: 16 << 20,
            inline_len_max: INLINE_LEN_MAX,
            blob_threads: 4,
            simulation: Simulated::default(),
        }
    }
}

/// An open store.
#[derive(Debug)]
pub struct Store {
    fs: Arc<dyn Fs>,
    root: PathBuf,
    path: PathTransform,
    max_bytes: Option<u64>,
    /// Bytes of blobs that are being written and not counted yet.
    coming: Arc<AtomicU64>,
    inline_len_max: usize,
    health: Arc<Health>,
    files: Files,
    index: Index,
    locks: Arc<BlobLocks>,
    /// Blobs found damaged whose rows are still there: until the commit that removes the row, or for as long as the disk
    /// cannot commit.
    corrupt: Mutex<BTreeSet<BlobKey>>,
    /// The sweep under way, until it has seen everything.
    sweep: Mutex<Option<Sweep>>,
    simulation: Simulated,
}

impl Store {
    /// Whether this store has stopped acknowledging after a failed sync.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.health.is_degraded()
    }

    fn is_corrupt(&self, blob: &BlobKey) -> bool {
        lock(&self.corrupt).contains(blob)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let swept = lock(&self.sweep).is_none();
        if swept && !self.health.is_degraded() && self.files.settle_removals() {
            // If this fails, the next start sweeps in vain.
            let _ = self.fs.remove_file(&self.root.join(open::UNCLEAN));
            let _ = self.fs.sync_dir(&self.root);
        }
    }
}
