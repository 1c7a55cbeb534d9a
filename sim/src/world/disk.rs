//! A disk in memory that keeps the contract of `forever_core::disk`, as the storage engine does.
//!
//! An operation is under way from [`MemoryDisk::submit`] to [`MemoryDisk::complete`], where it takes effect and is durable at
//! once. A crash in between lets each take effect as a whole or not at all; commits do so in the order they were issued.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use forever_core::disk::{DiskDone, DiskError, DiskOp, DiskResult, OwnerUsage};
use forever_core::ids::{BlobKey, OpId, OwnerId};
use forever_net_tokio::store::assert_bounds;

use crate::draw::Draw;
use crate::store::Contents;

mod look;
mod perform;

/// Bytes that only the index may use on a full disk, as the engine's reserve: so few that it can be used up.
const RESERVE_BYTES: u64 = 4 << 10;

/// What lies where a blob's row points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Intact,
    /// Bytes of the right length that are not what the address says.
    Damaged,
    /// Nothing: the name of the file is gone.
    Gone,
}

#[derive(Clone, Debug)]
struct Stored {
    bytes: Bytes,
    state: State,
}

/// A disk in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    blobs: BTreeMap<BlobKey, Stored>,
    index: BTreeMap<Bytes, Bytes>,
    blob_bytes: u64,
    index_bytes: u64,
    /// What each owner's blobs take: of those that have any.
    owners: BTreeMap<OwnerId, OwnerUsage>,
    /// What those who look from outside have read of it since it last changed.
    seen: Option<Arc<Contents>>,
    under_way: BTreeMap<OpId, DiskOp>,
    /// Commits and writes whose sync failed: after a crash they may turn out to have been done.
    doubtful: Vec<DiskOp>,
    degraded: Option<String>,
    /// Bytes that may still be written, the reserve among them; no limit if `None`.
    room_bytes: Option<u64>,
    /// What all blobs together may take; no limit if `None`.
    max_bytes: Option<u64>,
    /// Blobs acknowledged and not stored.
    phantoms: BTreeSet<BlobKey>,
}

impl MemoryDisk {
    /// Begins an operation.
    ///
    /// # Panics
    /// When it breaks the bounds of [`forever_core::disk`], or its number is in use.
    pub fn submit(&mut self, op: OpId, what: DiskOp) {
        assert_bounds(&what);
        let earlier = self.under_way.insert(op, what);
        assert!(earlier.is_none(), "an operation has a number of its own");
    }

    /// The operation under way of a number, if it still is.
    #[must_use]
    pub fn under_way(&self, op: OpId) -> Option<&DiskOp> {
        self.under_way.get(&op)
    }

    /// Lets an operation take effect, durably.
    pub fn complete(&mut self, op: OpId) -> Option<DiskResult> {
        let what = self.under_way.remove(&op)?;
        Some(self.perform(what))
    }

    /// Fails an operation without effect.
    pub fn fail(&mut self, op: OpId, error: DiskError) -> Option<DiskResult> {
        self.under_way.remove(&op).map(|_| Err(error))
    }

    /// Fails an operation whose bytes may have reached the disk all the same; nothing is acknowledged any more until
    /// [`MemoryDisk::crash`].
    pub fn fail_sync(&mut self, op: OpId) -> Option<DiskResult> {
        let what = self.under_way.remove(&op)?;
        self.doubtful.push(what);
        let reason = self.degraded.get_or_insert_with(|| "fsync failed: input/output error".into());
        Some(Err(DiskError::Degraded(reason.clone())))
    }

    /// Lets an operation take effect, durably, and says that it failed all the same.
    pub fn fail_after(&mut self, op: OpId, error: DiskError) -> Option<DiskResult> {
        self.complete(op).map(|_| Err(error))
    }

    /// Acknowledges the write of a blob, or a commit, without any effect.
    pub fn pretend(&mut self, op: OpId) -> Option<DiskResult> {
        match self.under_way.remove(&op)? {
            DiskOp::WriteBlob { blob, .. } => {
                let new = !self.blobs.contains_key(&blob) && self.phantoms.insert(blob);
                Some(Ok(DiskDone::Written { new }))
            }
            DiskOp::Commit { .. } => Some(Ok(DiskDone::Committed)),
            other @ (DiskOp::ReadBlob { .. }
            | DiskOp::HasBlobs { .. }
            | DiskOp::Lookup { .. }
            | DiskOp::Scan { .. }
            | DiskOp::Usage
            | DiskOp::ListBlobs { .. }) => Some(self.perform(other)),
        }
    }

    /// The machine or the process goes down: what is under way takes effect or does not, as drawn.
    pub fn crash(&mut self, draw: &mut Draw) {
        self.degraded = None;
        let mut commits_go_on = true;
        let doubtful = std::mem::take(&mut self.doubtful);
        for what in doubtful.into_iter().chain(std::mem::take(&mut self.under_way).into_values()) {
            let survives = draw.per_mille(500);
            match &what {
                DiskOp::WriteBlob { .. } if survives => drop(self.perform(what)),
                DiskOp::Commit { .. } => {
                    commits_go_on &= survives;
                    if commits_go_on {
                        drop(self.perform(what));
                    }
                }
                DiskOp::WriteBlob { .. }
                | DiskOp::ReadBlob { .. }
                | DiskOp::HasBlobs { .. }
                | DiskOp::Lookup { .. }
                | DiskOp::Scan { .. }
                | DiskOp::Usage
                | DiskOp::ListBlobs { .. } => {}
            }
        }
    }

    /// Whether nothing is acknowledged any more until a crash or a restart.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.degraded.is_some()
    }

    /// An empty disk whose blobs may take so many bytes altogether; no limit if `None`.
    #[must_use]
    pub fn limited(max_bytes: Option<u64>) -> Self {
        Self { max_bytes, ..Self::default() }
    }

    /// How many more bytes can be written before only the reserve is left; no limit if `None`.
    pub fn set_free(&mut self, free_bytes: Option<u64>) {
        self.room_bytes = free_bytes.map(|bytes| bytes.saturating_add(RESERVE_BYTES));
    }
}
