//! What lies on a node's disk, read as `core/FORMAT.md` describes it and without asking the node: the same in both tiers.

use std::collections::BTreeMap;

use bytes::Bytes;
use forever_core::ids::{BlobKey, OwnerId, PageId};
use forever_core::intent::{IntentError, SignedIntent, UploadIntent};
use forever_core::manifest::{Children, ChunkRef, ManifestError, PagePublic, check_page};
use forever_core::record::{RecordBody, RecordError, SignedRecord};
use forever_core::secrets::OwnerKeys;

use super::event::{Contents, Held, Holding, is_light, mark_key};

/// The most of a kind that are remembered as checked. Beyond it, all are forgotten: to check one again costs time and nothing
/// else.
const REMEMBERED_MAX: usize = 8_192;

/// The length of a record's key: kind, owner, name, version, record.
const RECORD_KEY_LEN: usize = 1 + 32 + 32 + 44 + 32;

/// The length of a page's key: kind, owner, page.
const PAGE_KEY_LEN: usize = 1 + 32 + 32;

/// Reads disks. It remembers what it has checked, because signatures and hashes of the same bytes never change.
#[derive(Debug, Default)]
pub struct Inspector {
    /// The keys of owners, whose signatures it verifies in less time.
    owners: Vec<OwnerKeys>,
    records: BTreeMap<Bytes, Result<SignedRecord, RecordError>>,
    intents: BTreeMap<Bytes, Result<UploadIntent, IntentError>>,
    /// The bytes that each page last had, and what came of them.
    pages: BTreeMap<PageId, (Bytes, Result<PagePublic, ManifestError>)>,
}

impl Inspector {
    /// One that knows the keys of some owners, and finds the same as one that does not.
    #[must_use]
    pub fn knowing(owners: impl Iterator<Item = OwnerKeys>) -> Self {
        let owners: BTreeMap<OwnerId, OwnerKeys> = owners.map(|keys| (keys.owner_id(), keys)).collect();
        Self { owners: owners.into_values().collect(), ..Self::default() }
    }

    /// What the rows of an index and the blobs beside it say. `blobs` tells of each blob that is present whether its bytes
    /// are what its address says. A record whose signature is not its owner's, or whose key is not its own, is not among
    /// the records, only among the rows.
    pub fn contents(&mut self, rows: Vec<(Bytes, Bytes)>, blobs: BTreeMap<BlobKey, bool>) -> Contents {
        let pages: BTreeMap<(OwnerId, PageId), &Bytes> =
            rows.iter().filter_map(|(key, value)| Some((page_of(key)?, value))).collect();
        let mut records = Vec::new();
        for (key, value) in &rows {
            if key.first() == Some(&b'R')
                && let Some(record) = self.record(key, value)
            {
                let chunks =
                    self.chunks(&record, &|owner, page| pages.get(&(owner, page)).map(|value| (*value).clone()));
                records.push(Held { record, chunks });
            }
        }
        Contents { records, blobs, rows }
    }

    /// What a disk holds of a version of a name, without reading all of it: `records` are the version's rows, `row` gives the
    /// value of any key, and `is_intact` tells whether a blob is present with the right bytes.
    pub fn holding(
        &mut self,
        records: &[(Bytes, Bytes)],
        row: &dyn Fn(&[u8]) -> Option<Bytes>,
        is_intact: &dyn Fn(&BlobKey) -> bool,
    ) -> Holding {
        let Some(record) = records.iter().find_map(|(key, value)| self.record(key, value)) else {
            return Holding::Absent;
        };
        let page = |owner: OwnerId, page: PageId| row(&[&b"P"[..], &owner.0, &page.0].concat());
        let Some(chunks) = self.chunks(&record, &page) else { return Holding::Broken(Vec::new()) };
        let broken: Vec<BlobKey> = chunks.iter().filter(|chunk| !is_intact(chunk)).copied().collect();
        Holding::of(chunks, broken, || row(&mark_key(&record)).is_some_and(|mark| is_light(&mark)))
    }

    /// Verifies a record, or remembers what came of it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify(&mut self, bytes: Bytes) -> Result<SignedRecord, RecordError> {
        if let Some(verified) = self.records.get(&bytes) {
            return verified.clone();
        }
        let verified = SignedRecord::verify_knowing(&self.owners, bytes.clone());
        remember(&mut self.records, bytes, verified.clone());
        verified
    }

    /// Verifies an upload intent, or remembers what came of it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify_intent(&mut self, bytes: Bytes) -> Result<UploadIntent, IntentError> {
        if let Some(verified) = self.intents.get(&bytes) {
            return *verified;
        }
        let verified = SignedIntent::verify_knowing(&self.owners, &bytes);
        remember(&mut self.intents, bytes, verified);
        verified
    }

    /// Checks a page, or remembers what came of it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check_page(&mut self, id: PageId, data: &Bytes) -> Result<&PagePublic, ManifestError> {
        let is_known = self.pages.get(&id).is_some_and(|(seen, _)| seen == data);
        if !is_known {
            remember(&mut self.pages, id, (data.clone(), check_page(id, data)));
        }
        self.pages[&id].1.as_ref().map_err(|error| *error)
    }

    /// The record of a row, if it is signed by its owner and lies where it belongs.
    fn record(&mut self, key: &Bytes, value: &Bytes) -> Option<SignedRecord> {
        self.verify(value.clone()).ok().filter(|record| is_key_of(key, record))
    }

    /// The chunks of a record, if all its pages are there. A deletion has none.
    fn chunks(
        &mut self,
        record: &SignedRecord,
        page: &dyn Fn(OwnerId, PageId) -> Option<Bytes>,
    ) -> Option<Vec<BlobKey>> {
        let owner = record.record.owner;
        let RecordBody::File { root, .. } = record.record.body else { return Some(Vec::new()) };
        let blob = |chunk: &ChunkRef| BlobKey { owner, chunk: chunk.id };
        let below = match &self.check_page(root, &page(owner, root)?).ok()?.children {
            Children::Chunks(chunks) => return Some(chunks.iter().map(blob).collect()),
            Children::Pages(below) => below.clone(),
        };
        let mut all = Vec::new();
        for child in below {
            match &self.check_page(child.id, &page(owner, child.id)?).ok()?.children {
                Children::Chunks(chunks) => all.extend(chunks.iter().map(blob)),
                Children::Pages(_) => return None,
            }
        }
        Some(all)
    }
}

fn remember<K: Ord, V>(memory: &mut BTreeMap<K, V>, key: K, value: V) {
    if memory.len() >= REMEMBERED_MAX {
        memory.clear();
    }
    memory.insert(key, value);
}

fn page_of(key: &Bytes) -> Option<(OwnerId, PageId)> {
    if key.len() != PAGE_KEY_LEN || key.first() != Some(&b'P') {
        return None;
    }
    Some((OwnerId(key[1..33].try_into().ok()?), PageId(key[33..].try_into().ok()?)))
}

fn is_key_of(key: &Bytes, record: &SignedRecord) -> bool {
    let what = &record.record;
    key.len() == RECORD_KEY_LEN
        && key[1..33] == what.owner.0
        && key[33..65] == what.name_id.0
        && key[65..109] == what.version.to_bytes()
        && key[109..] == record.id.0
}

#[cfg(test)]
mod tests;
