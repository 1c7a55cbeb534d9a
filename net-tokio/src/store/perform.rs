//! Operations, each in up to two steps: everything but the change of the index, which may run on any thread and beside
//! others, and the change of the index, which many operations make in one transaction.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use forever_core::bulk::Bulk;
use forever_core::disk::{DiskDone, DiskError, DiskOp, DiskResult, KEYS_MAX, OwnerUsage, Usage, VALUE_LEN_MAX, Write};
use forever_core::ids::{BlobKey, OwnerId};
use forever_core::{buggify, planted, sometimes};

use super::Store;
use super::batch::{Applied, Change};
use super::files::blob_path;
use super::index::Counters;
use super::locks::{BlobGuard, lock};
use super::row::Row;

/// The longest key of the index, in bytes.
pub(crate) const KEY_LEN_MAX: usize = 512;

/// What the first step of an operation leaves to do.
pub(crate) enum Step {
    /// Nothing.
    Done(DiskResult),
    /// A change of the index.
    Commit(Pending),
}

/// An operation that waits for its change of the index.
pub(crate) struct Pending {
    change: Change,
    /// Held until the change is durable or has failed.
    guard: Option<BlobGuard>,
    /// What a new blob takes, until it is counted.
    room: Option<Room>,
}

/// Bytes of a blob that is being written: they count as taken until the index counts them.
#[derive(Debug)]
pub(crate) struct Room {
    coming: Arc<AtomicU64>,
    len: u64,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.coming.fetch_sub(self.len, Ordering::SeqCst);
    }
}

/// A file whose row is gone durably.
#[derive(Debug)]
pub(crate) struct Unlink {
    blob: BlobKey,
    path: String,
}

/// What is on the disk where a row points.
enum Found {
    Good(Bytes),
    Bad,
}

impl Store {
    /// Performs an operation on this thread. Calls from several threads are safe, but only [`super::StoreDisk`] batches.
    ///
    /// # Errors
    ///
    /// As [`DiskError`] says.
    ///
    /// # Panics
    ///
    /// If the operation breaks the bounds of [`forever_core::disk`], which the core keeps.
    pub fn perform(&self, what: DiskOp) -> DiskResult {
        assert_bounds(&what);
        match self.begin(what) {
            Step::Done(result) => result,
            Step::Commit(pending) => {
                let (mut results, unlinks) = self.settle(vec![pending]);
                unlinks.iter().for_each(|unlink| self.unlink(unlink));
                results.pop().expect("one change has one result")
            }
        }
    }

    /// Performs operations on this thread in order, with one transaction for as many as [`super::StoreDisk`] could put into
    /// one. Their results, in the same order.
    ///
    /// # Panics
    ///
    /// As [`Store::perform`].
    pub fn perform_all(&self, ops: Vec<DiskOp>) -> Vec<DiskResult> {
        let mut results = vec![None; ops.len()];
        let mut waiting: Vec<(usize, Pending)> = Vec::new();
        let mut locked = BTreeSet::new();
        for (number, what) in ops.into_iter().enumerate() {
            assert_bounds(&what);
            let blob = locked_by(&what);
            if blob.is_some_and(|blob| locked.contains(&blob)) {
                self.settle_into(&mut waiting, &mut results);
                locked.clear();
            }
            match self.begin(what) {
                Step::Done(result) => results[number] = Some(result),
                Step::Commit(pending) => {
                    locked.extend(blob);
                    waiting.push((number, pending));
                }
            }
        }
        self.settle_into(&mut waiting, &mut results);
        results.into_iter().map(|result| result.expect("each was done, or has waited and was settled")).collect()
    }

    fn settle_into(&self, waiting: &mut Vec<(usize, Pending)>, results: &mut [Option<DiskResult>]) {
        if waiting.is_empty() {
            return;
        }
        let (numbers, pending): (Vec<_>, Vec<_>) = waiting.drain(..).unzip();
        let (settled, unlinks) = self.settle(pending);
        for (number, result) in numbers.into_iter().zip(settled) {
            results[number] = Some(result);
        }
        unlinks.iter().for_each(|unlink| self.unlink(unlink));
    }

    /// The first step of an operation.
    pub(crate) fn begin(&self, what: DiskOp) -> Step {
        let done = match what {
            DiskOp::WriteBlob { blob, data, known, entry } => {
                return self.begin_write(blob, data, known, entry).unwrap_or_else(Step::failed);
            }
            DiskOp::ReadBlob { blob } => return self.begin_read(blob).unwrap_or_else(Step::failed),
            DiskOp::Commit { require_blobs, require_keys, writes } => {
                return Step::Commit(Pending {
                    change: Change::Commit { require_blobs, require_keys, writes },
                    guard: None,
                    room: None,
                });
            }
            DiskOp::HasBlobs { blobs } => self.has_blobs(&blobs),
            DiskOp::Lookup { keys } => self.index.lookup(&keys).map(DiskDone::Values),
            DiskOp::Scan { from, to, limit, reverse } => {
                self.index.scan(&from, &to, limit, reverse).map(|(entries, more)| DiskDone::Entries { entries, more })
            }
            DiskOp::Usage => self.usage().map(DiskDone::Usage),
            DiskOp::ListBlobs { after, limit } => self.list_blobs(after.as_ref(), limit),
        };
        Step::Done(done)
    }

    fn has_blobs(&self, blobs: &[BlobKey]) -> DiskResult {
        let mut has = self.index.has(blobs)?;
        let corrupt = lock(&self.corrupt);
        for (has, blob) in has.iter_mut().zip(blobs) {
            *has &= !corrupt.contains(blob);
        }
        Ok(DiskDone::Has(has))
    }

    fn list_blobs(&self, after: Option<&BlobKey>, limit: u32) -> DiskResult {
        let (mut blobs, more) = self.index.list(after, limit)?;
        let corrupt = lock(&self.corrupt);
        blobs.retain(|(blob, _)| !corrupt.contains(blob));
        Ok(DiskDone::Blobs { blobs, more })
    }

    fn usage(&self) -> Result<Usage, DiskError> {
        let (counters, owners) = self.index.counters()?;
        let allowed =
            self.max_bytes.map(|max| max.saturating_sub(counters.blob_bytes + self.coming.load(Ordering::SeqCst)));
        let free = self.files.free_bytes()?;
        let of_owner = |(owner, counters): (OwnerId, Counters)| OwnerUsage {
            owner,
            blobs: counters.blobs,
            bytes: counters.blob_bytes,
        };
        Ok(Usage {
            blobs: counters.blobs,
            blob_bytes: counters.blob_bytes,
            index_bytes: self.index.file_len(),
            free_bytes: allowed.into_iter().chain(free).min(),
            owners: owners.into_iter().map(of_owner).collect(),
        })
    }

    fn begin_write(
        &self,
        blob: BlobKey,
        data: Bulk,
        known: bool,
        entry: Option<(Bytes, Bytes)>,
    ) -> Result<Step, DiskError> {
        self.health.check()?;
        if !known && data.hash() != blob.chunk.0 {
            return Err(DiskError::Mismatch);
        }
        let guard = self.locks.lock(blob);
        if let Some(row) = self.present(&blob)? {
            if entry.is_none() {
                return Ok(Step::Done(Ok(DiskDone::Written { new: false })));
            }
            let change = Change::PutBlob { blob, row, entry, new: false };
            return Ok(Step::Commit(Pending { change, guard: Some(guard), room: None }));
        }
        let room = self.take_room(data.len() as u64)?;
        let row = if data.len() <= self.inline_len_max {
            Row::Inline(data.into_bytes())
        } else {
            let path = blob_path(self.path, &blob.chunk);
            self.files.write(&blob, &path, &data)?;
            Row::File { len: data.len() as u64, path }
        };
        let change = Change::PutBlob { blob, row, entry, new: true };
        Ok(Step::Commit(Pending { change, guard: Some(guard), room: Some(room) }))
    }

    /// Takes room for a blob that is about to be written.
    fn take_room(&self, len: u64) -> Result<Room, DiskError> {
        self.files.require_room(len)?;
        // Counted before it is looked whether it fits: of two that do not fit together, at most one is let in.
        let coming = self.coming.fetch_add(len, Ordering::SeqCst) + len;
        let room = Room { coming: Arc::clone(&self.coming), len };
        match self.max_bytes {
            Some(max) if self.index.blob_bytes()? + coming > max => Err(DiskError::Full),
            Some(_) | None => Ok(room),
        }
    }

    /// The row of a blob that need not be written again. It is read to find out: the answer counts as a copy, and who has the
    /// right bytes at hand should not rely on damaged ones.
    fn present(&self, blob: &BlobKey) -> Result<Option<Row>, DiskError> {
        if self.is_corrupt(blob) {
            return Ok(None);
        }
        // The answer is an acknowledgement, so it must not rest on what a doubtful commit may have taken away.
        let Some(row) = self.index.row_for_certain(blob)? else { return Ok(None) };
        match self.find(blob, &row)? {
            Found::Good(_) => Ok(Some(row)),
            Found::Bad => {
                sometimes!(self.simulation, "store.damaged-blob-rewritten");
                lock(&self.corrupt).insert(*blob);
                Ok(None)
            }
        }
    }

    fn begin_read(&self, blob: BlobKey) -> Result<Step, DiskError> {
        let row = self.index.row(&blob)?.ok_or(DiskError::NotFound)?;
        // The careful way is as good for a blob that is in order.
        let carefully = buggify!(self.simulation, "store.read-under-lock");
        if !carefully && let Found::Good(bytes) = self.find(&blob, &row)? {
            return Ok(Step::Done(Ok(DiskDone::Blob(bytes))));
        }
        // It may have been dropped, or written anew, since its row was read; nothing changes while the lock is held.
        let guard = self.locks.lock(blob);
        let row = self.index.row(&blob)?.ok_or(DiskError::NotFound)?;
        if let Found::Good(bytes) = self.find(&blob, &row)? {
            return Ok(Step::Done(Ok(DiskDone::Blob(bytes))));
        }
        lock(&self.corrupt).insert(blob);
        Ok(Step::Commit(Pending { change: Change::RemoveBlob { blob }, guard: Some(guard), room: None }))
    }

    fn find(&self, blob: &BlobKey, row: &Row) -> Result<Found, DiskError> {
        let bytes = match row {
            Row::Inline(bytes) => Some(bytes.clone()),
            Row::File { len, path } => self.files.read(&blob.owner, path, *len)?,
        };
        match bytes {
            Some(bytes) if blake3::hash(&bytes) == blob.chunk.0 => Ok(Found::Good(bytes)),
            Some(_) | None => Ok(Found::Bad),
        }
    }

    /// The second step of many operations: one durable transaction. Their results in the same order, and the files whose
    /// rows are gone, to be given to [`Self::unlink`] when no guard of this thread is left.
    pub(crate) fn settle(&self, pending: Vec<Pending>) -> (Vec<DiskResult>, Vec<Unlink>) {
        let held = |one: Pending| (one.change, (one.guard, one.room));
        let (changes, guards): (Vec<_>, Vec<_>) = pending.into_iter().map(held).unzip();
        let mut unlinks = Vec::new();
        let results = match self.index.apply(&changes, &|blob| self.is_corrupt(blob)) {
            Ok(applied) => changes
                .iter()
                .zip(applied)
                .map(|(change, applied)| self.applied(change, applied, &mut unlinks))
                .collect(),
            Err(_) if planted!(self.simulation, FailedCommitAcked) => changes.iter().map(done).collect(),
            Err(error) => changes.iter().map(|change| self.not_applied(change, &error)).collect(),
        };
        drop(guards);
        (results, unlinks)
    }

    fn applied(&self, change: &Change, applied: Applied, unlinks: &mut Vec<Unlink>) -> DiskResult {
        let dropped = match applied {
            Applied::Missing { blobs, keys } => return Ok(DiskDone::Missing { blobs, keys }),
            Applied::Done { dropped } => dropped,
        };
        let mut files = dropped.into_iter().filter_map(|(blob, row)| match row {
            Row::File { path, .. } => Some(Unlink { blob, path }),
            Row::Inline(_) => None,
        });
        match change {
            Change::Commit { .. } => {
                unlinks.extend(files);
                Ok(DiskDone::Committed)
            }
            Change::PutBlob { blob, new, .. } => {
                unlinks.extend(files);
                lock(&self.corrupt).remove(blob);
                Ok(DiskDone::Written { new: *new })
            }
            Change::RemoveBlob { blob } => {
                if let Some(file) = files.next() {
                    self.files.quarantine(blob, &file.path);
                }
                lock(&self.corrupt).remove(blob);
                Err(DiskError::Corrupt)
            }
        }
    }

    /// A change that failed may yet turn out to have been made, so the next start looks for files that it left.
    fn not_applied(&self, change: &Change, error: &DiskError) -> DiskResult {
        self.files.leave_orphan();
        match change {
            Change::Commit { .. } => Err(error.clone()),
            Change::PutBlob { blob, row, .. } => {
                if let Row::File { path, .. } = row {
                    self.unlink_held(blob, path);
                }
                Err(error.clone())
            }
            // The blob stays in the set of damaged ones, and so counts as absent all the same.
            Change::RemoveBlob { .. } => Err(DiskError::Corrupt),
        }
    }

    /// Removes a file whose row was dropped, unless the blob has been written again meanwhile.
    pub(crate) fn unlink(&self, unlink: &Unlink) {
        let _guard = self.locks.lock(unlink.blob);
        self.unlink_held(&unlink.blob, &unlink.path);
    }

    /// Removes a file if no row points to it. The caller holds the blob's lock.
    pub(crate) fn unlink_held(&self, blob: &BlobKey, path: &str) {
        // On a degraded disk the last commits may come back after a power loss, and their files must be there then.
        if self.health.is_degraded() {
            return self.files.leave_orphan();
        }
        match self.index.row_for_certain(blob) {
            Ok(Some(Row::File { path: used, .. })) if used == path => {}
            Ok(_) => {
                sometimes!(self.simulation, "store.orphan-removed");
                self.files.remove(&blob.owner, path);
            }
            Err(_) if planted!(self.simulation, SweepTakesErrorForAbsence) => self.files.remove(&blob.owner, path),
            Err(_) => self.files.leave_orphan(),
        }
    }
}

/// What a change would have come to.
fn done(change: &Change) -> DiskResult {
    match change {
        Change::Commit { .. } => Ok(DiskDone::Committed),
        Change::PutBlob { new, .. } => Ok(DiskDone::Written { new: *new }),
        Change::RemoveBlob { .. } => Err(DiskError::Corrupt),
    }
}

/// The blob whose lock an operation may take.
fn locked_by(what: &DiskOp) -> Option<BlobKey> {
    match what {
        DiskOp::WriteBlob { blob, .. } | DiskOp::ReadBlob { blob } => Some(*blob),
        DiskOp::HasBlobs { .. }
        | DiskOp::Lookup { .. }
        | DiskOp::Scan { .. }
        | DiskOp::Commit { .. }
        | DiskOp::Usage
        | DiskOp::ListBlobs { .. } => None,
    }
}

impl Step {
    fn failed(error: DiskError) -> Self {
        Self::Done(Err(error))
    }
}

/// Asserts the bounds that the core keeps, on the thread that submits: a violation is a bug, not a failure of the disk.
///
/// # Panics
///
/// On such a violation.
pub fn assert_bounds(what: &DiskOp) {
    match what {
        DiskOp::HasBlobs { blobs } => assert!(blobs.len() <= KEYS_MAX, "too many blobs in one operation"),
        DiskOp::Lookup { keys } => assert!(keys.len() <= KEYS_MAX, "too many keys in one operation"),
        DiskOp::Commit { require_blobs, require_keys, writes } => {
            assert!(require_blobs.len() <= KEYS_MAX && require_keys.len() <= KEYS_MAX, "too many requirements");
            for write in writes {
                match write {
                    Write::Put { key, value } => assert_entry(key, value),
                    Write::Delete { .. } | Write::DropBlob { .. } => {}
                }
            }
        }
        DiskOp::WriteBlob { entry: Some((key, value)), .. } => assert_entry(key, value),
        DiskOp::WriteBlob { entry: None, .. }
        | DiskOp::ReadBlob { .. }
        | DiskOp::Scan { .. }
        | DiskOp::Usage
        | DiskOp::ListBlobs { .. } => {}
    }
}

fn assert_entry(key: &[u8], value: &[u8]) {
    assert!(key.len() <= KEY_LEN_MAX, "a key of {} bytes", key.len());
    assert!(value.len() <= VALUE_LEN_MAX, "a value of {} bytes", value.len());
}
