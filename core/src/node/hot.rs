//! Sealed blobs kept in memory for peers that are about to want them.

use alloc::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::ids::BlobKey;

/// A first-in, first-out cache of blobs bounded in bytes. (Offers are wanted in the order they were made, so the oldest
/// blob is the least likely to be wanted again.)
#[derive(Debug)]
pub(crate) struct HotBlobs {
    bytes_max: u64,
    bytes: u64,
    blobs: BTreeMap<BlobKey, Bytes>,
    order: VecDeque<BlobKey>,
}

impl HotBlobs {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, bytes: 0, blobs: BTreeMap::new(), order: VecDeque::new() }
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
        self.blobs.get(key).cloned()
    }

    /// Forgets everything: no put is under way that would want it.
    pub(crate) fn clear(&mut self) {
        self.blobs.clear();
        self.order.clear();
        self.bytes = 0;
    }
}
