//! What lies on a node's disk, read as `core/FORMAT.md` describes it and without asking the node: the same in both tiers.

use std::collections::BTreeMap;

use bytes::Bytes;
use forever_core::ids::{BlobKey, OwnerId, PageId};
use forever_core::manifest::{Children, check_page};
use forever_core::record::{RecordBody, SignedRecord};

use super::event::{Contents, Held};

/// The most records and pages that are remembered as checked. Beyond it, all are forgotten: to check one again costs time
/// and nothing else.
const REMEMBERED_MAX: usize = 8_192;

/// The length of a record's key: kind, owner, name, version, record.
const RECORD_KEY_LEN: usize = 1 + 32 + 32 + 44 + 32;

/// The length of a page's key: kind, owner, page.
const PAGE_KEY_LEN: usize = 1 + 32 + 32;

/// Reads disks. It remembers what it has checked, because signatures and hashes of the same bytes never change.
#[derive(Debug, Default)]
pub struct Inspector {
    records: BTreeMap<Bytes, Option<SignedRecord>>,
    pages: BTreeMap<(PageId, Bytes), Option<Children>>,
}

/// The pages of a disk, by namespace and address.
type Pages = BTreeMap<(OwnerId, PageId), Bytes>;

impl Inspector {
    /// What the rows of an index and the blobs beside it say. `blobs` tells of each blob that is present whether its bytes
    /// are what its address says. A record whose signature is not its owner's, or whose key is not its own, is not among
    /// the records, only among the rows.
    pub fn contents(&mut self, rows: Vec<(Bytes, Bytes)>, blobs: BTreeMap<BlobKey, bool>) -> Contents {
        let pages: Pages = rows.iter().filter_map(|(key, value)| Some((page_of(key)?, value.clone()))).collect();
        let mut records = Vec::new();
        for (key, value) in &rows {
            if key.first() == Some(&b'R')
                && let Some(record) = self.record(key, value)
            {
                let chunks = self.chunks(&record, &pages);
                records.push(Held { record, chunks });
            }
        }
        Contents { records, blobs, rows }
    }

    /// The record of a row, if it is signed by its owner and lies where it belongs.
    fn record(&mut self, key: &Bytes, value: &Bytes) -> Option<SignedRecord> {
        if self.records.len() >= REMEMBERED_MAX {
            self.records.clear();
        }
        let verified = self.records.entry(value.clone()).or_insert_with(|| SignedRecord::verify(value.clone()).ok());
        verified.clone().filter(|record| is_key_of(key, record))
    }

    /// The chunks of a record, if all its pages are among `pages`. A deletion has none.
    fn chunks(&mut self, record: &SignedRecord, pages: &Pages) -> Option<Vec<BlobKey>> {
        let owner = record.record.owner;
        let RecordBody::File { root, .. } = record.record.body else { return Some(Vec::new()) };
        let blob = |id| BlobKey { owner, chunk: id };
        match self.children(root, pages.get(&(owner, root))?)? {
            Children::Chunks(chunks) => Some(chunks.into_iter().map(|chunk| blob(chunk.id)).collect()),
            Children::Pages(below) => {
                let mut all = Vec::new();
                for page in below {
                    match self.children(page.id, pages.get(&(owner, page.id))?)? {
                        Children::Chunks(chunks) => all.extend(chunks.into_iter().map(|chunk| blob(chunk.id))),
                        Children::Pages(_) => return None,
                    }
                }
                Some(all)
            }
        }
    }

    fn children(&mut self, id: PageId, data: &Bytes) -> Option<Children> {
        if self.pages.len() >= REMEMBERED_MAX {
            self.pages.clear();
        }
        let check = || check_page(id, data).ok().map(|public| public.children);
        self.pages.entry((id, data.clone())).or_insert_with(check).clone()
    }
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
