//! A disk in memory that keeps the contract of `forever_core::disk`.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use forever_core::disk::{DiskDone, DiskError, DiskOp, DiskResult, OwnerUsage, Usage, Write};
use forever_core::ids::{BlobKey, OwnerId};

/// A disk in memory. Every operation is durable when it completes.
#[derive(Default)]
pub(crate) struct MemoryDisk {
    pub(crate) blobs: BTreeMap<BlobKey, Bytes>,
    pub(crate) index: BTreeMap<Bytes, Bytes>,
    /// Blobs that a test has damaged.
    pub(crate) damaged: BTreeSet<BlobKey>,
    /// Whether no blob can be written any more.
    pub(crate) full: bool,
    /// Whether commits that strike off a debt are made, and said to have failed.
    pub(crate) strikes_in_doubt: bool,
    /// What all blobs together may take.
    pub(crate) max_bytes: Option<u64>,
}

impl MemoryDisk {
    /// The bytes of an owner's blobs, or of all.
    pub(crate) fn bytes_of(&self, owner: Option<OwnerId>) -> u64 {
        let of_owner = self.blobs.iter().filter(|(blob, _)| owner.is_none_or(|owner| blob.owner == owner));
        of_owner.map(|(_, bytes)| bytes.len() as u64).sum()
    }

    fn owners(&self) -> Vec<OwnerUsage> {
        let owners: BTreeSet<OwnerId> = self.blobs.keys().map(|blob| blob.owner).collect();
        let usage = |owner| OwnerUsage {
            owner,
            blobs: self.blobs.keys().filter(|blob| blob.owner == owner).count() as u64,
            bytes: self.bytes_of(Some(owner)),
        };
        owners.into_iter().map(usage).collect()
    }

    pub(crate) fn perform(&mut self, op: DiskOp) -> DiskResult {
        match op {
            DiskOp::WriteBlob { blob, data, known, entry } => {
                assert!(!known || data.hash() == blob.chunk.0, "the core vouches only for what is right");
                if data.hash() != blob.chunk.0 {
                    return Err(DiskError::Mismatch);
                }
                let new = !self.blobs.contains_key(&blob);
                let fits = self.max_bytes.is_none_or(|max| self.bytes_of(None) + data.len() as u64 <= max);
                if new && (self.full || !fits) {
                    return Err(DiskError::Full);
                }
                self.blobs.entry(blob).or_insert_with(|| data.into_bytes());
                self.index.extend(entry);
                Ok(DiskDone::Written { new })
            }
            DiskOp::ReadBlob { blob } => {
                if self.damaged.remove(&blob) {
                    self.blobs.remove(&blob);
                    return Err(DiskError::Corrupt);
                }
                self.blobs.get(&blob).cloned().map(DiskDone::Blob).ok_or(DiskError::NotFound)
            }
            DiskOp::HasBlobs { blobs } => {
                Ok(DiskDone::Has(blobs.iter().map(|blob| self.blobs.contains_key(blob)).collect()))
            }
            DiskOp::Lookup { keys } => {
                Ok(DiskDone::Values(keys.iter().map(|key| self.index.get(key).cloned()).collect()))
            }
            DiskOp::Scan { from, to, limit, reverse } => Ok(self.scan(from, to, limit, reverse)),
            DiskOp::Commit { require_blobs, require_keys, writes } => {
                let strikes = |write: &Write| matches!(write, Write::Delete { key } if key.starts_with(b"O"));
                let is_in_doubt = self.strikes_in_doubt && writes.iter().any(strikes);
                let done = self.commit(require_blobs, require_keys, writes);
                if is_in_doubt { Err(DiskError::Io("nobody knows whether it was made".into())) } else { Ok(done) }
            }
            DiskOp::ListBlobs { after, limit } => {
                let present = self.blobs.iter().filter(|(blob, _)| after.is_none_or(|after| **blob > after));
                let mut blobs: Vec<_> = present.map(|(blob, bytes)| (*blob, bytes.len() as u64)).collect();
                let more = blobs.len() > limit as usize;
                blobs.truncate(limit as usize);
                Ok(DiskDone::Blobs { blobs, more })
            }
            DiskOp::Usage => Ok(DiskDone::Usage(Usage {
                blobs: self.blobs.len() as u64,
                blob_bytes: self.blobs.values().map(|blob| blob.len() as u64).sum(),
                index_bytes: 0,
                free_bytes: self.max_bytes.map(|max| max.saturating_sub(self.bytes_of(None))),
                owners: self.owners(),
            })),
        }
    }

    fn scan(&self, from: Bytes, to: Bytes, limit: u32, reverse: bool) -> DiskDone {
        if from >= to {
            return DiskDone::Entries { entries: Vec::new(), more: false };
        }
        let range = self.index.range(from..to).map(|(key, value)| (key.clone(), value.clone()));
        let most = limit as usize + 1;
        let mut entries: Vec<(Bytes, Bytes)> =
            if reverse { range.rev().take(most).collect() } else { range.take(most).collect() };
        let more = entries.len() == most;
        entries.truncate(limit as usize);
        DiskDone::Entries { entries, more }
    }

    fn commit(&mut self, mut blobs: Vec<BlobKey>, mut keys: Vec<Bytes>, writes: Vec<Write>) -> DiskDone {
        blobs.retain(|blob| !self.blobs.contains_key(blob));
        keys.retain(|key| !self.index.contains_key(key));
        if !blobs.is_empty() || !keys.is_empty() {
            return DiskDone::Missing { blobs, keys };
        }
        for write in writes {
            match write {
                Write::Put { key, value } => {
                    self.index.insert(key, value);
                }
                Write::Delete { key } => {
                    self.index.remove(&key);
                }
                Write::DropBlob { blob, unless } => {
                    let has = |prefix: &Bytes| {
                        self.index.range(prefix.clone()..).next().is_some_and(|(key, _)| key.starts_with(prefix))
                    };
                    if !unless.iter().any(has) {
                        self.blobs.remove(&blob);
                    }
                }
            }
        }
        DiskDone::Committed
    }
}
