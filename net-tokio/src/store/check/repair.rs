//! Putting in order what a check found, by the engine's own operations: wherever a repair is cut short, the next one goes on.
//!
//! Entries and blobs in the index are durable in quarantine before the index forgets them. A damaged file goes the engine's
//! way, its row first: a crash between the two leaves an orphan.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use forever_core::disk::{DiskDone, DiskError, DiskOp, KEYS_MAX, Write};
use forever_core::ids::{BlobKey, OwnerId, PageId};
use forever_core::manifest::{Children, check_page};
use forever_core::seal::BLOB_LEN_MAX;

use super::pages::{page_key, reference_key};
use super::{BlobFault, Outcome, Place, Problem, Report};
use crate::store::files::blob_path;
use crate::store::fs::Fs;
use crate::store::open::{INDEX_DOUBTFUL, UNCLEAN};
use crate::store::row::Row;
use crate::store::{OpenError, Store, StoreConfig};

/// Repairs what a check of the same store found, and notes in the report what became of each finding. The caller keeps
/// other processes away from the folder, from before the check.
///
/// # Errors
///
/// When the store cannot be opened. What cannot be repaired says so in the report.
pub fn repair(fs: Arc<dyn Fs>, config: &StoreConfig, report: &mut Report) -> Result<(), OpenError> {
    let store = Store::open(Arc::clone(&fs), config)?;
    for finding in &mut report.findings {
        let done = match &finding.problem {
            Problem::Blob { blob, place, fault } => Some(store.repair_blob(blob, place, fault)),
            Problem::Page { owner, page } => {
                Some(store.set_entry_aside(&page_key(*owner, *page), &format!("page-{owner}-{page}")))
            }
            Problem::Record { key, place, .. } => {
                let name = match place {
                    Some(place) => format!("record-{}-{}", place.owner, place.record),
                    None => format!("entry-{}", blake3::hash(key).to_hex()),
                };
                Some(store.set_entry_aside(key, &name))
            }
            Problem::References { owner, page, .. } => Some(store.write_references(*owner, *page)),
            Problem::Incomplete { .. }
            | Problem::WrongCounters { .. }
            | Problem::Unlistable { .. }
            | Problem::Unknown { .. }
            | Problem::Orphan { .. }
            | Problem::Temp { .. }
            | Problem::Foreign { .. }
            | Problem::Quarantined { .. }
            | Problem::Unclean
            | Problem::Doubtful => None,
        };
        if let Some(done) = done {
            finding.outcome = outcome(done);
        }
    }
    let recounted = store.index.recount();
    store.sweep_all();
    // Closing it settles what was removed.
    drop(store);
    let is_gone = |path: &Path| match fs.kind(path) {
        Ok(None) => Outcome::Repaired,
        Ok(Some(_)) => Outcome::Failed("it could not be removed".to_owned()),
        Err(error) => Outcome::Failed(error.to_string()),
    };
    for finding in &mut report.findings {
        match &finding.problem {
            Problem::WrongCounters { .. } => finding.outcome = outcome(recounted.clone()),
            Problem::Orphan { path, .. } | Problem::Temp { path, .. } => {
                finding.outcome = is_gone(path);
            }
            Problem::Unclean => finding.outcome = is_gone(&config.root.join(UNCLEAN)),
            Problem::Doubtful => finding.outcome = is_gone(&config.root.join(INDEX_DOUBTFUL)),
            Problem::Blob { .. }
            | Problem::Page { .. }
            | Problem::Record { .. }
            | Problem::References { .. }
            | Problem::Incomplete { .. }
            | Problem::Unlistable { .. }
            | Problem::Unknown { .. }
            | Problem::Foreign { .. }
            | Problem::Quarantined { .. } => {}
        }
    }
    Ok(())
}

/// Repairs beside a running node what its own mending does not see: rows that cannot be decoded, references that are missing, files
/// that no row points to.
pub fn repair_open(store: &Store, report: &Report) {
    for finding in &report.findings {
        let done = if let Problem::Blob { blob, place, fault: fault @ BlobFault::BadRow } = &finding.problem {
            store.repair_blob(blob, place, fault)
        } else if let Problem::References { owner, page, .. } = &finding.problem {
            store.write_references(*owner, *page)
        } else {
            continue;
        };
        if let Err(error) = done {
            tracing::warn!(%error, problem = %finding.problem, "not repaired");
        }
    }
    store.sweep_all();
}

fn outcome(done: Result<(), DiskError>) -> Outcome {
    match done {
        Ok(()) => Outcome::Repaired,
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

impl Store {
    fn repair_blob(&self, blob: &BlobKey, place: &Place, fault: &BlobFault) -> Result<(), DiskError> {
        match fault {
            // Who knows what its bytes are: a disk that fails now may read them later, in another machine.
            BlobFault::Unreadable(why) => Err(DiskError::Io(why.clone())),
            BlobFault::BadRow => self.repair_row(blob),
            BlobFault::Missing | BlobFault::WrongLength { .. } | BlobFault::WrongHash => {
                if let (Place::Index, Some(Row::Inline(bytes))) = (place, self.index.row(blob)?) {
                    self.files.set_aside(&format!("{}-{}", blob.owner, blob.chunk), &bytes)?;
                }
                self.remove_if_damaged(blob)
            }
        }
    }

    /// Reading a damaged blob puts it aside and drops its row.
    fn remove_if_damaged(&self, blob: &BlobKey) -> Result<(), DiskError> {
        match self.perform(DiskOp::ReadBlob { blob: *blob }) {
            Err(DiskError::Corrupt | DiskError::NotFound) if !self.index.has(&[*blob])?[0] => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(DiskError::Io("its bytes are right now: check the disk and the memory".to_owned())),
        }
    }

    /// A row that cannot be decoded is kept aside and dropped; the blob's file, if it is right, gets a new one.
    fn repair_row(&self, blob: &BlobKey) -> Result<(), DiskError> {
        if let Some(row) = self.index.raw_row(blob)? {
            self.files.set_aside(&format!("row-{}-{}", blob.owner, blob.chunk), &row)?;
        }
        let path = blob_path(self.path, &blob.chunk);
        let bytes = self.files.read(&blob.owner, &path, u64::from(BLOB_LEN_MAX))?;
        self.commit(vec![Write::drop_blob(*blob)])?;
        match bytes.filter(|bytes| blake3::hash(bytes) == blob.chunk.0) {
            Some(bytes) => {
                let (blob, data) = (*blob, bytes.into());
                self.perform(DiskOp::WriteBlob { blob, data, known: true, entry: None }).map(drop)
            }
            None => Ok(()),
        }
    }

    /// Keeps the value of a damaged entry aside, then drops the entry.
    fn set_entry_aside(&self, key: &[u8], name: &str) -> Result<(), DiskError> {
        let key = Bytes::copy_from_slice(key);
        if let Some(value) = self.value(&key)? {
            self.files.set_aside(name, &value)?;
        }
        self.commit(vec![Write::Delete { key }])
    }

    fn write_references(&self, owner: OwnerId, page: PageId) -> Result<(), DiskError> {
        let key = Bytes::from(page_key(owner, page));
        let public = self.value(&key)?.and_then(|data| check_page(page, &data).ok());
        let Some(Children::Chunks(chunks)) = public.map(|public| public.children) else {
            return Err(DiskError::Corrupt);
        };
        assert!(chunks.len() <= KEYS_MAX, "a page lists fewer chunks than an operation may name keys");
        let put = |key: Vec<u8>| Write::Put { key: key.into(), value: Bytes::new() };
        let writes = chunks.iter().map(|chunk| put(reference_key(owner, &chunk.id.0, page))).collect();
        // References to a page that was collected meanwhile would keep its chunks for ever.
        self.perform(DiskOp::Commit { require_blobs: Vec::new(), require_keys: vec![key], writes }).map(drop)
    }

    fn value(&self, key: &Bytes) -> Result<Option<Bytes>, DiskError> {
        Ok(self.index.lookup(std::slice::from_ref(key))?.pop().flatten())
    }

    fn commit(&self, writes: Vec<Write>) -> Result<(), DiskError> {
        let commit = DiskOp::Commit { require_blobs: Vec::new(), require_keys: Vec::new(), writes };
        match self.perform(commit)? {
            DiskDone::Committed => Ok(()),
            DiskDone::Written { .. }
            | DiskDone::Blob(_)
            | DiskDone::Has(_)
            | DiskDone::Values(_)
            | DiskDone::Entries { .. }
            | DiskDone::Missing { .. }
            | DiskDone::Usage(_)
            | DiskDone::Blobs { .. } => unreachable!("a commit that requires nothing misses nothing"),
        }
    }
}
