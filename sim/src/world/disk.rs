//! A disk in memory that keeps the contract of `forever_core::disk`, as the storage engine does.
//!
//! An operation is under way from [`MemoryDisk::submit`] to [`MemoryDisk::complete`], where it takes effect and is durable at
//! once. A crash in between lets each take effect as a whole or not at all; commits do so in the order they were issued.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use forever_core::disk::{DiskDone, DiskError, DiskOp, DiskResult, Usage, Write};
use forever_core::ids::{BlobKey, NameId, OpId, OwnerId};
use forever_core::version::Version;

use crate::draw::Draw;

/// Bytes that only the index may use on a full disk, as the engine's reserve.
const RESERVE_BYTES: u64 = 1 << 20;

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
    under_way: BTreeMap<OpId, DiskOp>,
    /// Commits and writes whose sync failed: after a crash they may turn out to have been done.
    doubtful: Vec<DiskOp>,
    degraded: Option<String>,
    free_bytes: Option<u64>,
    /// Blobs acknowledged and not stored.
    phantoms: BTreeSet<BlobKey>,
}

impl MemoryDisk {
    /// Begins an operation.
    pub fn submit(&mut self, op: OpId, what: DiskOp) {
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

    /// Acknowledges the write of a blob without storing it.
    pub fn pretend(&mut self, op: OpId) -> Option<DiskResult> {
        match self.under_way.remove(&op)? {
            DiskOp::WriteBlob { blob, .. } => {
                let new = !self.blobs.contains_key(&blob) && self.phantoms.insert(blob);
                Some(Ok(DiskDone::Written { new }))
            }
            other @ (DiskOp::ReadBlob { .. }
            | DiskOp::HasBlobs { .. }
            | DiskOp::Lookup { .. }
            | DiskOp::Scan { .. }
            | DiskOp::Commit { .. }
            | DiskOp::Usage) => Some(self.perform(other)),
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
                | DiskOp::Usage => {}
            }
        }
    }

    /// Whether nothing is acknowledged any more until a crash or a restart.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.degraded.is_some()
    }

    /// How many more bytes can be written; no limit if `None`.
    pub fn set_free(&mut self, free_bytes: Option<u64>) {
        self.free_bytes = free_bytes;
    }

    /// The blobs that are present.
    pub fn blobs(&self) -> impl Iterator<Item = BlobKey> {
        self.blobs.keys().copied()
    }

    /// Of each blob that is present, whether its bytes are what its address says.
    #[must_use]
    pub fn states(&self) -> BTreeMap<BlobKey, bool> {
        self.blobs.iter().map(|(blob, stored)| (*blob, stored.state == State::Intact)).collect()
    }

    /// All rows of the index.
    #[must_use]
    pub fn rows(&self) -> Vec<(Bytes, Bytes)> {
        self.index.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// The value of a key.
    #[must_use]
    pub fn row(&self, key: &[u8]) -> Option<Bytes> {
        self.index.get(key).cloned()
    }

    /// The rows of the records of a version of a name.
    #[must_use]
    pub fn versions(&self, owner: OwnerId, name: NameId, version: &Version) -> Vec<(Bytes, Bytes)> {
        let prefix = [&b"R"[..], &owner.0, &name.0, &version.to_bytes()].concat();
        let from = self.index.range(Bytes::copy_from_slice(&prefix)..);
        from.take_while(|(key, _)| key.starts_with(&prefix)).map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// Whether a blob is present and its bytes are what its address says.
    #[must_use]
    pub fn is_intact(&self, blob: &BlobKey) -> bool {
        self.blobs.get(blob).is_some_and(|stored| stored.state == State::Intact)
    }

    /// Whether a key with this beginning is in the index.
    #[must_use]
    pub fn has_key_from(&self, prefix: &[u8]) -> bool {
        self.index.range(Bytes::copy_from_slice(prefix)..).next().is_some_and(|(key, _)| key.starts_with(prefix))
    }

    /// Shows all bytes on the disk, with the place each is found at.
    pub fn each_stored(&self, show: &mut dyn FnMut(&str, &[u8])) {
        for (key, value) in &self.index {
            show("a key of the index", key);
            show("a value of the index", value);
        }
        for stored in self.blobs.values() {
            show("a blob", &stored.bytes);
        }
    }

    /// Flips a bit of a blob for good. False if it is not there.
    pub fn damage(&mut self, blob: &BlobKey, draw: &mut Draw) -> bool {
        let Some(stored) = self.blobs.get_mut(blob) else { return false };
        if stored.bytes.is_empty() || stored.state == State::Gone {
            return false;
        }
        let mut bytes = stored.bytes.to_vec();
        let place = draw.index(bytes.len());
        bytes[place] ^= 1 << draw.below(8);
        *stored = Stored { bytes: bytes.into(), state: State::Damaged };
        true
    }

    /// Takes the file of a blob away and leaves its row. False if it is not there.
    pub fn lose_name(&mut self, blob: &BlobKey) -> bool {
        let Some(stored) = self.blobs.get_mut(blob) else { return false };
        self.blob_bytes -= stored.bytes.len() as u64;
        *stored = Stored { bytes: Bytes::new(), state: State::Gone };
        true
    }

    /// Performs an operation at once.
    pub fn perform(&mut self, what: DiskOp) -> DiskResult {
        match what {
            DiskOp::WriteBlob { blob, data, known } => {
                self.check()?;
                if !known && data.hash() != blob.chunk.0 {
                    return Err(DiskError::Mismatch);
                }
                self.write(blob, data.into_bytes())
            }
            DiskOp::ReadBlob { blob } => self.read(&blob),
            DiskOp::HasBlobs { blobs } => Ok(DiskDone::Has(blobs.iter().map(|blob| self.has(blob)).collect())),
            DiskOp::Lookup { keys } => {
                Ok(DiskDone::Values(keys.iter().map(|key| self.index.get(key).cloned()).collect()))
            }
            DiskOp::Scan { from, to, limit, reverse } => Ok(self.scan(from, to, limit, reverse)),
            DiskOp::Commit { require_blobs, require_keys, writes } => {
                self.check()?;
                self.commit(require_blobs, require_keys, writes)
            }
            DiskOp::Usage => Ok(DiskDone::Usage(Usage {
                blobs: self.blobs.len() as u64,
                blob_bytes: self.blob_bytes,
                index_bytes: self.index_bytes,
                free_bytes: self.free_bytes,
            })),
        }
    }

    fn check(&self) -> Result<(), DiskError> {
        self.degraded.clone().map_or(Ok(()), |reason| Err(DiskError::Degraded(reason)))
    }

    fn has(&self, blob: &BlobKey) -> bool {
        self.blobs.contains_key(blob) || self.phantoms.contains(blob)
    }

    fn write(&mut self, blob: BlobKey, bytes: Bytes) -> DiskResult {
        if self.blobs.get(&blob).is_some_and(|stored| stored.state != State::Gone) {
            return Ok(DiskDone::Written { new: false });
        }
        let len = bytes.len() as u64;
        if let Some(free) = &mut self.free_bytes {
            *free = free.checked_sub(len).ok_or(DiskError::Full)?;
        }
        self.blob_bytes += len;
        self.phantoms.remove(&blob);
        self.blobs.insert(blob, Stored { bytes, state: State::Intact });
        Ok(DiskDone::Written { new: true })
    }

    fn read(&mut self, blob: &BlobKey) -> DiskResult {
        let stored = self.blobs.get(blob).ok_or(DiskError::NotFound)?;
        if stored.state == State::Intact {
            return Ok(DiskDone::Blob(stored.bytes.clone()));
        }
        self.drop_blob(blob);
        Err(DiskError::Corrupt)
    }

    fn drop_blob(&mut self, blob: &BlobKey) {
        self.phantoms.remove(blob);
        if let Some(stored) = self.blobs.remove(blob) {
            let len = stored.bytes.len() as u64;
            self.blob_bytes -= len;
            self.free_bytes = self.free_bytes.map(|free| free + len);
        }
    }

    fn scan(&self, from: Bytes, to: Bytes, limit: u32, reverse: bool) -> DiskDone {
        if from >= to {
            return DiskDone::Entries { entries: Vec::new(), more: false };
        }
        let limit = limit as usize;
        let copy = |(key, value): (&Bytes, &Bytes)| (key.clone(), value.clone());
        let range = self.index.range(from..to);
        let mut entries: Vec<_> = if reverse {
            range.rev().take(limit + 1).map(copy).collect()
        } else {
            range.take(limit + 1).map(copy).collect()
        };
        let more = entries.len() > limit;
        entries.truncate(limit);
        DiskDone::Entries { entries, more }
    }

    fn commit(&mut self, mut blobs: Vec<BlobKey>, mut keys: Vec<Bytes>, writes: Vec<Write>) -> DiskResult {
        blobs.retain(|blob| !self.has(blob));
        keys.retain(|key| !self.index.contains_key(key));
        if !blobs.is_empty() || !keys.is_empty() {
            return Ok(DiskDone::Missing { blobs, keys });
        }
        self.reserve(&writes)?;
        for write in writes {
            match write {
                Write::Put { key, value } => {
                    self.index_bytes += (key.len() + value.len()) as u64;
                    let key_len = key.len();
                    if let Some(old) = self.index.insert(key, value) {
                        self.index_bytes -= (key_len + old.len()) as u64;
                    }
                }
                Write::Delete { key } => {
                    if let Some(old) = self.index.remove(&key) {
                        self.index_bytes -= (key.len() + old.len()) as u64;
                    }
                }
                Write::DropBlob { blob } => self.drop_blob(&blob),
            }
        }
        Ok(DiskDone::Committed)
    }

    /// Commits may use the reserve, so that a disk full of blobs can still be tidied up.
    fn reserve(&self, writes: &[Write]) -> Result<(), DiskError> {
        let Some(free) = self.free_bytes else { return Ok(()) };
        let added: usize = writes
            .iter()
            .map(|write| match write {
                Write::Put { key, value } => key.len() + value.len(),
                Write::Delete { .. } | Write::DropBlob { .. } => 0,
            })
            .sum();
        if added as u64 > free.saturating_add(RESERVE_BYTES) { Err(DiskError::Full) } else { Ok(()) }
    }
}
