//! The cache: chunks that a get brought here and that no record keeps here: of files opened by a ticket, and of parts of own
//! files that were evicted or have never been whole here. Later gets read them before they ask a peer.
//!
//! They lie on the disk under an owner of their own, [`CACHE_OWNER`]: whoever asks whether a blob of a real owner is there, to
//! acknowledge it, to promise it, to find a record whole or to serve a peer, does not see them. So they never count as copies.
//!
//! - When it is full, what was read longest ago goes. What is read while room is being made waits for it.
//! - It gives way: room that it takes counts as free when chunks of real owners are let in, and their writes wait until that
//!   much of it is gone.
//! - A deletion of a name drops what was read of it, and a get that began before the deletion keeps nothing more.
//! - It does not outlive the process: what an earlier run left is dropped at the start, so nothing of it must be remembered.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::mem;

use crate::bulk::Bulk;
use crate::disk::{CACHE_OWNER, DiskDone, DiskOp, DiskResult, Usage, Write};
use crate::ids::{BlobKey, ChunkId, NameId, OpId, OwnerId, RequestId};
use crate::node::context::Context;
use crate::node::gauges::Gauge;
use crate::node::pending::{Completion, Pending};
use crate::node::{answers, space};
use crate::output::Output;
use crate::record::SignedRecord;
use crate::{planted, sometimes};

/// The most chunks: a node that reads many small files must not spend its memory on knowing them.
const CHUNKS_MAX: usize = 65_536;

/// Bytes of chunks that may wait until room for them is made; what comes beyond is not kept.
const WAITING_BYTES_MAX: u64 = 4 << 20;

/// The part of the cache that is dropped at least when it must give way: each time costs a commit and a measurement.
const PARTS: u64 = 16;

/// Chunks that are listed or dropped at once.
const BATCH: u32 = 256;

/// Operations that the cache may have under way: a drop, a listing, and writes, each of what a get has under way.
pub(crate) const OPERATIONS_MAX: u64 = 2 + 1_024;

/// Which file a chunk was read of.
pub(crate) type Of = (OwnerId, NameId);

/// What the cache waits for.
#[derive(Debug)]
pub(crate) enum CacheStep {
    /// What an earlier run left.
    Left,
    /// Of that, these have been dropped.
    LeftDropped,
    /// A chunk is written, by the write of this number.
    Written(ChunkId, u32, u64),
    /// These are dropped.
    Dropped(Vec<ChunkId>),
}

#[derive(Debug)]
struct Cached {
    len: u32,
    of: Of,
    /// When it was read last, in reads of the cache; and by which write it came, until that is complete.
    used: u64,
    writing: Option<u64>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    /// What an earlier run left is not known yet.
    #[default]
    Unknown,
    /// It is being dropped.
    Emptying,
    Ready,
}

/// A chunk that waits for room.
#[derive(Debug)]
struct Waiting {
    of: Of,
    chunk: ChunkId,
    len: u32,
    data: Bulk,
}

/// The cache.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    state: State,
    chunks: BTreeMap<ChunkId, Cached>,
    /// The same in order of their last reads.
    by_use: BTreeMap<u64, ChunkId>,
    of_names: BTreeSet<(Of, ChunkId)>,
    bytes: u64,
    uses: u64,
    /// Chunks that are to be dropped from the disk, and their bytes.
    leaving: BTreeMap<ChunkId, u32>,
    /// Whether a drop is under way, and whether the last one failed.
    dropping: bool,
    drop_failed: bool,
    waiting: VecDeque<Waiting>,
    /// Chunks being written that nobody wants any more, by number of their write, and their bytes.
    unwanted: BTreeMap<u64, u32>,
    /// The measurement of the disk that has seen the last drop.
    measured_by: u64,
    /// Writes of real owners' chunks that wait until the cache has given way.
    held_back: VecDeque<(OpId, u64, DiskOp)>,
    /// Gets that may keep what they read, and what they read; and how many deletions there have been.
    readers: BTreeMap<RequestId, Of>,
    deletions: u64,
}

impl Cache {
    /// Bytes that can be had back.
    pub(crate) fn reclaimable(&self) -> u64 {
        let unwanted: u64 = self.unwanted.values().map(|len| u64::from(*len)).sum();
        self.bytes + self.leaving_bytes() + unwanted
    }

    /// How many deletions it has seen: a get that began before one does not know whether it was of its file.
    pub(crate) fn deletions(&self) -> u64 {
        self.deletions
    }

    fn leaving_bytes(&self) -> u64 {
        self.leaving.values().map(|len| u64::from(*len)).sum()
    }

    fn waiting_bytes(&self) -> u64 {
        self.waiting.iter().map(|waiting| u64::from(waiting.len)).sum()
    }

    /// Whether chunks are being written, which may go once they are.
    fn is_writing(&self) -> bool {
        !self.unwanted.is_empty() || self.chunks.values().any(|cached| cached.writing.is_some())
    }

    fn forget(&mut self, chunk: ChunkId) -> Option<Cached> {
        let cached = self.chunks.remove(&chunk)?;
        self.by_use.remove(&cached.used);
        self.of_names.remove(&(cached.of, chunk));
        self.bytes -= u64::from(cached.len);
        Some(cached)
    }

    fn touch(&mut self, chunk: ChunkId, of: Of) {
        let Some(cached) = self.chunks.get_mut(&chunk) else { return };
        self.uses += 1;
        self.by_use.remove(&cached.used);
        self.of_names.remove(&(cached.of, chunk));
        (cached.used, cached.of) = (self.uses, of);
        self.by_use.insert(cached.used, chunk);
        self.of_names.insert((of, chunk));
    }
}

fn blob_of(chunk: ChunkId) -> BlobKey {
    BlobKey { owner: CACHE_OWNER, chunk }
}

/// What of its limits is used.
pub(crate) fn gauges(cx: &Context) -> [Gauge; 4] {
    [
        ("bytes cached", cx.cache.reclaimable(), cx.config.cache_bytes),
        ("chunks cached", cx.cache.chunks.len() as u64, CHUNKS_MAX as u64),
        ("bytes waiting to be cached", cx.cache.waiting_bytes(), WAITING_BYTES_MAX),
        // They are counted among the operations, whose number is bounded.
        ("bytes held back for the cache", held_back_bytes(cx), u64::MAX),
    ]
}

/// A get is about to read a file and may keep of it what no record keeps here.
pub(crate) fn begin(cx: &mut Context, request: RequestId, of: Of) {
    if cx.config.cache_bytes > 0 {
        cx.cache.readers.insert(request, of);
    }
}

/// A get is over.
pub(crate) fn end(cx: &mut Context, request: RequestId) {
    cx.cache.readers.remove(&request);
}

/// The address of a chunk that a get may read here, if it is cached.
pub(crate) fn find(cx: &mut Context, request: RequestId, chunk: ChunkId) -> Option<BlobKey> {
    let of = *cx.cache.readers.get(&request)?;
    cx.cache.chunks.get(&chunk).filter(|cached| cached.writing.is_none())?;
    cx.cache.touch(chunk, of);
    Some(blob_of(chunk))
}

/// A cached chunk could not be read.
pub(crate) fn on_unreadable(cx: &mut Context, chunk: ChunkId) {
    if let Some(cached) = cx.cache.forget(chunk) {
        // It may be there all the same.
        cx.cache.leaving.insert(chunk, cached.len);
        drop_leaving(cx);
    }
}

/// A chunk has come to be kept by a record: it need not be here twice.
pub(crate) fn on_kept(cx: &mut Context, chunk: ChunkId) {
    let is_written = cx.cache.chunks.get(&chunk).is_some_and(|cached| cached.writing.is_none());
    if is_written {
        doom(cx, chunk);
        drop_leaving(cx);
    }
}

/// Keeps a chunk that a get fetched from a peer, if there is room or room can be made.
pub(crate) fn keep(cx: &mut Context, request: RequestId, chunk: ChunkId, data: Bulk) {
    if let Some(of) = cx.cache.readers.get(&request).copied() {
        add(cx, of, chunk, data);
    }
}

fn add(cx: &mut Context, of: Of, chunk: ChunkId, data: Bulk) {
    let len = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let is_known = cx.cache.chunks.contains_key(&chunk) || cx.cache.leaving.contains_key(&chunk);
    if cx.cache.state != State::Ready || is_known || u64::from(len) > cx.config.cache_bytes {
        return;
    }
    if !make_room(cx, len.into()) {
        let is_to_come = cx.cache.dropping || cx.cache.is_writing();
        if is_to_come && cx.cache.waiting_bytes() + u64::from(len) <= WAITING_BYTES_MAX {
            cx.cache.waiting.push_back(Waiting { of, chunk, len, data });
        }
        return;
    }
    cx.cache.uses += 1;
    let (used, write) = (cx.cache.uses, cx.number());
    cx.cache.chunks.insert(chunk, Cached { len, of, used, writing: Some(write) });
    cx.cache.by_use.insert(used, chunk);
    cx.cache.of_names.insert((of, chunk));
    cx.cache.bytes += u64::from(len);
    let step = CacheStep::Written(chunk, len, write);
    // What no record keeps needs no lease: the cache alone decides when it goes.
    cx.disk(DiskOp::WriteBlob { blob: blob_of(chunk), data, known: true, entry: None }, Pending::Cache(step));
}

/// Whether there is room for a chunk; makes some if there is not.
fn make_room(cx: &mut Context, len: u64) -> bool {
    let limit = if planted!(cx.simulation, CacheUnbounded) { u64::MAX } else { cx.config.cache_bytes };
    let over = (cx.cache.reclaimable() + len).saturating_sub(limit);
    // What is let in already has the first claim on what is free.
    let lacking = space::lacking(cx, space::promised(cx) + len);
    if over == 0 && lacking == 0 && cx.cache.chunks.len() < CHUNKS_MAX {
        return true;
    }
    give_way(cx, over.max(lacking).max(1));
    false
}

/// Drops so many bytes, those read longest ago first, counting what is being dropped already.
fn give_way(cx: &mut Context, bytes: u64) {
    let wanted = bytes.max(cx.config.cache_bytes / PARTS);
    let mut leaving = cx.cache.leaving_bytes();
    let written = |chunk: &ChunkId| cx.cache.chunks.get(chunk).filter(|cached| cached.writing.is_none());
    let oldest = cx.cache.by_use.values().filter_map(|chunk| Some((*chunk, written(chunk)?.len)));
    let doomed = oldest.take_while(|(_, len)| {
        let is_wanted = leaving < wanted;
        leaving += u64::from(*len);
        is_wanted
    });
    for (chunk, _) in doomed.collect::<Vec<_>>() {
        sometimes!(cx.simulation, "cache.gave-way");
        doom(cx, chunk);
    }
    drop_leaving(cx);
}

fn doom(cx: &mut Context, chunk: ChunkId) {
    let Some(cached) = cx.cache.forget(chunk) else { return };
    match cached.writing {
        Some(write) => drop(cx.cache.unwanted.insert(write, cached.len)),
        None => drop(cx.cache.leaving.insert(chunk, cached.len)),
    }
}

fn drop_leaving(cx: &mut Context) {
    if cx.cache.dropping || cx.cache.leaving.is_empty() {
        return;
    }
    cx.cache.dropping = true;
    let chunks: Vec<ChunkId> = cx.cache.leaving.keys().take(BATCH as usize).copied().collect();
    let writes = chunks.iter().map(|chunk| Write::drop_blob(blob_of(*chunk))).collect();
    let commit = DiskOp::Commit { require_blobs: Vec::new(), require_keys: Vec::new(), writes };
    cx.disk(commit, Pending::Cache(CacheStep::Dropped(chunks)));
}

/// The name was deleted: nothing that was read of it stays.
pub(crate) fn on_deleted(cx: &mut Context, record: &SignedRecord) {
    let of = (record.record.owner, record.record.name_id);
    cx.cache.deletions += 1;
    if planted!(cx.simulation, CacheOutlivesDelete) {
        return;
    }
    cx.cache.readers.retain(|_, reads| *reads != of);
    cx.cache.waiting.retain(|waiting| waiting.of != of);
    let first = (of, ChunkId([0; 32]));
    let of_name = cx.cache.of_names.range(first..).take_while(|(other, _)| *other == of);
    let chunks: Vec<ChunkId> = of_name.map(|(_, chunk)| *chunk).collect();
    if !chunks.is_empty() {
        sometimes!(cx.simulation, "cache.dropped-by-deletion");
    }
    for chunk in chunks {
        doom(cx, chunk);
    }
    drop_leaving(cx);
}

/// A write found the disk full: all of the cache goes, so that the next finds room.
pub(crate) fn on_full(cx: &mut Context) {
    if !cx.cache.chunks.is_empty() {
        give_way(cx, u64::MAX);
    }
}

/// The disk has been measured, and nothing that changes it for the cache is under way.
pub(crate) fn on_measured(cx: &mut Context, usage: Option<&Usage>) {
    if let (State::Unknown, Some(usage)) = (&cx.cache.state, usage) {
        let is_left = usage.owners.iter().any(|of_owner| of_owner.owner == CACHE_OWNER);
        cx.cache.state = if is_left { State::Emptying } else { State::Ready };
        if is_left {
            list_left(cx);
        }
    }
    if cx.cache.dropping || space::measurement(cx) < cx.cache.measured_by {
        return;
    }
    release_held_back(cx);
    cx.cache.drop_failed = false;
    drop_leaving(cx);
    add_waiting(cx);
}

/// Keeps what waited, as far as there is room now.
fn add_waiting(cx: &mut Context) {
    for Waiting { of, chunk, data, .. } in mem::take(&mut cx.cache.waiting) {
        add(cx, of, chunk, data);
    }
}

fn list_left(cx: &mut Context) {
    let after = Some(blob_of(ChunkId([0; 32])));
    cx.disk(DiskOp::ListBlobs { after, limit: BATCH }, Pending::Cache(CacheStep::Left));
}

fn on_left(cx: &mut Context, result: DiskResult) {
    let Ok(DiskDone::Blobs { blobs, .. }) = result else {
        // The next measurement finds it again.
        cx.cache.state = State::Unknown;
        return;
    };
    let left = blobs.into_iter().map(|(blob, _)| blob).filter(|blob| blob.owner == CACHE_OWNER);
    let writes: Vec<Write> = left.map(Write::drop_blob).collect();
    if writes.is_empty() {
        cx.cache.state = State::Ready;
        cx.cache.measured_by = space::measure(cx);
        return;
    }
    sometimes!(cx.simulation, "cache.emptied-at-start");
    let commit = DiskOp::Commit { require_blobs: Vec::new(), require_keys: Vec::new(), writes };
    cx.disk(commit, Pending::Cache(CacheStep::LeftDropped));
}

/// An operation is complete.
pub(crate) fn on_completion(cx: &mut Context, step: CacheStep, completion: Completion) {
    match step {
        CacheStep::Left => on_left(cx, completion.disk()),
        CacheStep::LeftDropped => match completion.committed() {
            Ok(_) => list_left(cx),
            Err(error) => {
                answers::note_disk_error(cx, &error);
                cx.cache.state = State::Unknown;
            }
        },
        CacheStep::Written(chunk, len, write) => on_written(cx, chunk, len, write, completion.disk()),
        CacheStep::Dropped(chunks) => {
            cx.cache.dropping = false;
            match completion.committed() {
                Ok(_) => {
                    for chunk in chunks {
                        cx.cache.leaving.remove(&chunk);
                    }
                    drop_leaving(cx);
                }
                Err(error) => {
                    answers::note_disk_error(cx, &error);
                    cx.cache.drop_failed = true;
                }
            }
            if cx.cache.drop_failed {
                // They are dropped after a later measurement; whoever waits for their room tries without.
                release_held_back(cx);
                cx.cache.waiting.clear();
            } else if !cx.cache.dropping {
                cx.cache.measured_by = space::measure(cx);
            }
        }
    }
}

fn on_written(cx: &mut Context, chunk: ChunkId, len: u32, write: u64, result: DiskResult) {
    let is_written = result.is_ok();
    match result {
        Ok(DiskDone::Written { new: true }) => space::grew(cx, CACHE_OWNER, len.into()),
        Ok(_) => {}
        Err(error) => answers::note_disk_error(cx, &error),
    }
    cx.cache.unwanted.remove(&write);
    let is_left = match cx.cache.chunks.get_mut(&chunk) {
        Some(cached) if cached.writing == Some(write) && is_written => {
            cached.writing = None;
            false
        }
        // A write that failed may have been made.
        Some(cached) if cached.writing == Some(write) => cx.cache.forget(chunk).is_some(),
        // It is being written once more.
        Some(_) => false,
        // It was dropped meanwhile.
        None => true,
    };
    if is_left {
        cx.cache.leaving.insert(chunk, len);
        drop_leaving(cx);
    }
    if !cx.cache.dropping {
        add_waiting(cx);
    }
}

/// Lets an operation out to the disk, or holds it back until the cache has given way to it.
pub(crate) fn let_out(cx: &mut Context, op: OpId, what: DiskOp) {
    let DiskOp::WriteBlob { blob, data, .. } = &what else { return out(cx, op, what) };
    let len = data.len() as u64;
    let lacking = space::lacking(cx, space::writing(cx) + held_back_bytes(cx) + len);
    if blob.owner != CACHE_OWNER && lacking > 0 && !cx.cache.drop_failed {
        give_way(cx, lacking);
        if cx.cache.dropping {
            cx.cache.held_back.push_back((op, len, what));
            return;
        }
    }
    space::begin_write(cx, op, len);
    out(cx, op, what);
}

fn out(cx: &mut Context, op: OpId, what: DiskOp) {
    cx.outputs.push_back(Output::Disk { op, what });
}

fn held_back_bytes(cx: &Context) -> u64 {
    cx.cache.held_back.iter().map(|(_, len, _)| len).sum()
}

/// Lets out what waited, as far as it fits now or the cache has nothing left to give.
fn release_held_back(cx: &mut Context) {
    for (op, _, what) in mem::take(&mut cx.cache.held_back) {
        let_out(cx, op, what);
    }
}
