//! What operations do: the contract of `forever_core::disk`.

use std::ops::Bound;

use bytes::Bytes;
use forever_core::disk::{DiskDone, DiskError, DiskOp, DiskResult, OwnerUsage, Usage, Write};
use forever_core::ids::{BlobKey, OwnerId};
use forever_net_tokio::store::assert_bounds;

use super::{MemoryDisk, RESERVE_BYTES, State, Stored};

impl MemoryDisk {
    /// Performs an operation at once.
    ///
    /// # Panics
    /// When it breaks the bounds of [`forever_core::disk`].
    pub fn perform(&mut self, what: DiskOp) -> DiskResult {
        assert_bounds(&what);
        match what {
            DiskOp::WriteBlob { blob, data, known, entry } => {
                self.check()?;
                let state = if data.hash() == blob.chunk.0 { State::Intact } else { State::Damaged };
                if !known && state == State::Damaged {
                    return Err(DiskError::Mismatch);
                }
                let written = self.write(blob, data.into_bytes(), state)?;
                if let Some((key, value)) = entry {
                    self.put(key, value);
                }
                Ok(written)
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
            DiskOp::ListBlobs { after, limit } => Ok(self.list(after, limit)),
            DiskOp::Usage => Ok(DiskDone::Usage(Usage {
                blobs: self.blobs.len() as u64,
                blob_bytes: self.blob_bytes,
                index_bytes: self.index_bytes,
                free_bytes: self.free_bytes(),
                owners: self.owners().collect(),
            })),
        }
    }

    fn check(&self) -> Result<(), DiskError> {
        self.degraded.clone().map_or(Ok(()), |reason| Err(DiskError::Degraded(reason)))
    }

    fn has(&self, blob: &BlobKey) -> bool {
        self.blobs.contains_key(blob) || self.phantoms.contains(blob)
    }

    fn write(&mut self, blob: BlobKey, bytes: Bytes, state: State) -> DiskResult {
        match self.blobs.get(&blob).map(|stored| stored.state) {
            Some(State::Intact) => return Ok(DiskDone::Written { new: false }),
            Some(State::Damaged | State::Gone) => self.drop_blob(&blob),
            None => {}
        }
        let len = bytes.len() as u64;
        if self.max_bytes.is_some_and(|max| self.blob_bytes + len > max) {
            return Err(DiskError::Full);
        }
        if let Some(room) = &mut self.room_bytes {
            let rest = room.checked_sub(len).filter(|rest| *rest >= RESERVE_BYTES);
            *room = rest.ok_or(DiskError::Full)?;
        }
        self.seen = None;
        self.blob_bytes += len;
        self.account(blob.owner, |usage| {
            usage.blobs += 1;
            usage.bytes += len;
        });
        self.phantoms.remove(&blob);
        self.blobs.insert(blob, Stored { bytes, state });
        Ok(DiskDone::Written { new: true })
    }

    fn free_bytes(&self) -> Option<u64> {
        let room = self.room_bytes.map(|room| room.saturating_sub(RESERVE_BYTES));
        let allowed = self.max_bytes.map(|max| max.saturating_sub(self.blob_bytes));
        room.into_iter().chain(allowed).min()
    }

    /// What each owner's blobs take, in order of owners.
    pub(in crate::world) fn owners(&self) -> impl Iterator<Item = OwnerUsage> {
        self.owners.values().copied()
    }

    /// What a blob takes is taken, or given back.
    pub(super) fn account(&mut self, owner: OwnerId, count: impl FnOnce(&mut OwnerUsage)) {
        let usage = self.owners.entry(owner).or_insert(OwnerUsage { owner, blobs: 0, bytes: 0 });
        count(usage);
        if usage.blobs == 0 {
            self.owners.remove(&owner);
        }
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
            self.seen = None;
            self.blob_bytes -= len;
            self.account(blob.owner, |usage| {
                usage.blobs -= 1;
                usage.bytes -= len;
            });
            self.room_bytes = self.room_bytes.map(|room| room + len);
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

    fn list(&self, after: Option<BlobKey>, limit: u32) -> DiskDone {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let limit = limit as usize;
        let from = self.blobs.range((start, Bound::Unbounded));
        let mut blobs: Vec<_> = from.take(limit + 1).map(|(blob, stored)| (*blob, stored.bytes.len() as u64)).collect();
        let more = blobs.len() > limit;
        blobs.truncate(limit);
        DiskDone::Blobs { blobs, more }
    }

    fn commit(&mut self, mut blobs: Vec<BlobKey>, mut keys: Vec<Bytes>, writes: Vec<Write>) -> DiskResult {
        blobs.retain(|blob| !self.has(blob));
        keys.retain(|key| !self.index.contains_key(key));
        if !blobs.is_empty() || !keys.is_empty() {
            return Ok(DiskDone::Missing { blobs, keys });
        }
        self.require_room(&writes)?;
        for write in writes {
            match write {
                Write::Put { key, value } => self.put(key, value),
                Write::Delete { key } => {
                    if let Some(old) = self.index.remove(&key) {
                        self.give_room(key.len() + old.len());
                    }
                }
                Write::DropBlob { blob, unless } => {
                    if !unless.iter().any(|prefix| self.has_key_from(prefix)) {
                        self.drop_blob(&blob);
                    }
                }
            }
        }
        Ok(DiskDone::Committed)
    }

    fn put(&mut self, key: Bytes, value: Bytes) {
        self.take_room(key.len() + value.len());
        let key_len = key.len();
        if let Some(old) = self.index.insert(key, value) {
            self.give_room(key_len + old.len());
        }
    }

    /// A commit may use the reserve, so that a disk full of blobs can still be tidied up. Like the engine, which never writes
    /// over what a crash may need, it needs room for all that it writes before it gives any back.
    fn require_room(&self, writes: &[Write]) -> Result<(), DiskError> {
        let written = writes.iter().map(|write| match write {
            Write::Put { key, value } => (key.len() + value.len()) as u64,
            Write::Delete { .. } | Write::DropBlob { .. } => 0,
        });
        match self.room_bytes {
            Some(room) if written.sum::<u64>() > room => Err(DiskError::Full),
            Some(_) | None => Ok(()),
        }
    }

    fn take_room(&mut self, len: usize) {
        self.seen = None;
        self.index_bytes += len as u64;
        self.room_bytes = self.room_bytes.map(|room| room.saturating_sub(len as u64));
    }

    fn give_room(&mut self, len: usize) {
        self.seen = None;
        self.index_bytes -= len as u64;
        self.room_bytes = self.room_bytes.map(|room| room + len as u64);
    }
}
