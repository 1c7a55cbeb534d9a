//! What lies on the disk, for those who look from outside, and what they do to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use forever_core::ids::{BlobKey, NameId, OwnerId};
use forever_core::version::Version;

use super::{MemoryDisk, State, Stored};
use crate::draw::Draw;
use crate::store::Contents;
use crate::store::inspect::Inspector;

impl MemoryDisk {
    /// All that lies on it. Read again only when it has changed since.
    pub(in crate::world) fn contents(&mut self, inspector: &mut Inspector) -> Arc<Contents> {
        if let Some(seen) = &self.seen {
            return seen.clone();
        }
        let seen = Arc::new(inspector.contents(self.rows(), self.states()));
        self.seen = Some(seen.clone());
        seen
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
        self.keys_from(prefix).next().is_some()
    }

    /// The keys with this beginning that are in the index.
    pub fn keys_from(&self, prefix: &[u8]) -> impl Iterator<Item = &Bytes> {
        let from = self.index.range(Bytes::copy_from_slice(prefix)..).map(|(key, _)| key);
        from.take_while(move |key| key.starts_with(prefix))
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
        self.seen = None;
        *stored = Stored { bytes: bytes.into(), state: State::Damaged };
        true
    }

    /// Takes the file of a blob away and leaves its row. False if it is not there.
    pub fn lose_name(&mut self, blob: &BlobKey) -> bool {
        let Some(stored) = self.blobs.get_mut(blob) else { return false };
        let len = stored.bytes.len() as u64;
        *stored = Stored { bytes: Bytes::new(), state: State::Gone };
        self.seen = None;
        self.blob_bytes -= len;
        self.account(blob.owner, |usage| usage.bytes -= len);
        true
    }
}
