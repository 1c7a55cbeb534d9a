//! Sealed blobs kept in memory for peers that are about to want them.

use alloc::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::ids::BlobKey;

/// A first-in, first-out cache of blobs bounded in bytes. (Offers are wanted in the order they were made, so the oldest
/// blob is the least likely to be wanted again.) And, whatever their size, the blobs that are being written: a peer may want one
/// before the disk has it. They take no memory of their own, since their writes hold the same bytes.
#[derive(Debug)]
pub(crate) struct HotBlobs {
    bytes_max: u64,
    bytes: u64,
    blobs: BTreeMap<BlobKey, Bytes>,
    order: VecDeque<BlobKey>,
    /// Blobs being written, with how many writes there are of each.
    writing: BTreeMap<BlobKey, (Bytes, u32)>,
}

impl HotBlobs {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, bytes: 0, blobs: BTreeMap::new(), order: VecDeque::new(), writing: BTreeMap::new() }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn insert(&mut self, key: BlobKey, blob: Bytes) {
        let len = blob.len() as u64;
        if len > self.bytes_max || self.blobs.contains_key(&key) {
            return;
        }
        self.bytes += len;
        self.blobs.insert(key, blob);
        self.order.push_back(key);
        while self.bytes > self.bytes_max {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(blob) = self.blobs.remove(&oldest) {
                self.bytes -= blob.len() as u64;
            }
        }
    }

    pub(crate) fn get(&self, key: &BlobKey) -> Option<Bytes> {
        self.blobs.get(key).cloned().or_else(|| self.get_written(key))
    }

    /// A blob that is being written.
    pub(crate) fn get_written(&self, key: &BlobKey) -> Option<Bytes> {
        self.writing.get(key).map(|(blob, _)| blob.clone())
    }

    /// A write of a blob begins.
    pub(crate) fn begin_write(&mut self, key: BlobKey, blob: Bytes) {
        self.writing.entry(key).or_insert((blob, 0)).1 += 1;
    }

    /// A write of a blob has ended, or nobody wants to know any more.
    pub(crate) fn end_write(&mut self, key: &BlobKey) {
        if let Some((_, writes)) = self.writing.get_mut(key) {
            *writes -= 1;
            if *writes == 0 {
                self.writing.remove(key);
            }
        }
    }

    /// Forgets a blob that is no longer here.
    pub(crate) fn remove(&mut self, key: &BlobKey) {
        if let Some(blob) = self.blobs.remove(key) {
            self.bytes -= blob.len() as u64;
            self.order.retain(|other| other != key);
        }
    }

    /// Forgets what is cached: no put is under way that would want it, or it is no longer here.
    pub(crate) fn clear(&mut self) {
        self.blobs.clear();
        self.order.clear();
        self.bytes = 0;
    }
}
