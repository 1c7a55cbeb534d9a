//! Uploads from peers: chunks offered under an owner's intent, before the record that names them exists.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use bytes::Bytes;

use crate::bulk::Bulk;
use crate::disk::{DiskError, DiskOp, Write};
use crate::frame::{Frame, OFFER_CHUNKS_MAX, Refusal};
use crate::ids::{BlobKey, ChunkId, LinkId, NodeId, ObjectId, ObjectKey, OwnerId};
use crate::intent::UploadIntent;
use crate::manifest::ChunkRef;
use crate::node::collect::ChunkLease;
use crate::node::context::Context;
use crate::node::fetch;
use crate::node::gauges::Gauge;
use crate::node::pending::{Completion, Pending};
use crate::node::signal::{FetchClient, FetchResult};
use crate::node::{links, space};
use crate::seal::BLOB_LEN_MAX;
use crate::work::{WorkOp, WorkResult};
use crate::{buggify, planted, sometimes};

/// Uploads open on one link.
const UPLOADS_MAX: usize = 64;

/// The shortest blob, in bytes: an IV and one byte.
pub(crate) const BLOB_LEN_MIN: u32 = 17;

/// Chunks of one upload that are offered and not yet answered.
const UNANSWERED_MAX: usize = 4 * OFFER_CHUNKS_MAX;

/// Bytes of chunks of all uploads being fetched or written: what they may take of memory. (One chunk may be under way
/// whatever its length.)
const ACTIVE_BYTES_MAX: u64 = 24 << 20;

/// An upload: the link it comes over, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UploadKey {
    link: LinkId,
    upload: u64,
}

/// What an upload waits for.
#[derive(Debug)]
pub(crate) enum UploadStep {
    Verify,
    Has(Vec<ChunkRef>),
    /// A lease on chunks that are here already, before the peer is told so.
    Lease(Vec<ChunkRef>),
    /// A chunk that came is written; this is its length.
    Write(BlobKey, u32),
}

#[derive(Debug)]
struct Upload {
    node: NodeId,
    /// `None` until the intent is verified.
    leave: Option<Leave>,
    /// Offers that came before the intent was verified.
    early: Vec<ChunkRef>,
    /// Chunks to fetch.
    queue: VecDeque<ChunkRef>,
    /// Chunks being fetched or written.
    active: BTreeMap<ChunkId, Active>,
    /// Chunks offered and not yet answered.
    unanswered: usize,
}

#[derive(Clone, Copy, Debug)]
struct Active {
    len: u32,
    /// Whether it is being written: the room that it needs is the write's then.
    writing: bool,
}

impl Upload {
    /// Bytes let in that have not come yet.
    fn held(&self) -> u64 {
        let queued = self.queue.iter().map(|chunk| u64::from(chunk.len));
        let fetched = self.active.values().filter(|active| !active.writing).map(|active| u64::from(active.len));
        queued.chain(fetched).sum()
    }
}

#[derive(Debug)]
struct Leave {
    owner: OwnerId,
    expires_ms: u64,
    bytes_left: u64,
}

/// All uploads from peers.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    uploads: BTreeMap<UploadKey, Upload>,
    /// The upload served last, so that uploads take turns.
    last: Option<UploadKey>,
}

impl Uploads {
    fn active_bytes(&self) -> u64 {
        self.uploads.values().flat_map(|upload| upload.active.values()).map(|active| u64::from(active.len)).sum()
    }

    /// The next upload in turn that has a chunk to fetch.
    fn next_in_turn(&self) -> Option<UploadKey> {
        let waiting = |(key, upload): (&UploadKey, &Upload)| (!upload.queue.is_empty()).then_some(*key);
        let Some(last) = self.last else { return self.uploads.iter().find_map(waiting) };
        let later = self.uploads.iter().filter(|(key, _)| **key > last);
        let earlier = self.uploads.iter().filter(|(key, _)| **key <= last);
        later.chain(earlier).find_map(waiting)
    }
}

/// Operations that the uploads of one link may have under way: a verification each, and a lookup or a lease and a write a chunk.
pub(crate) const OPERATIONS_MAX: u64 = UPLOADS_MAX as u64 * (1 + 2 * UNANSWERED_MAX as u64);

/// What of their limits is used.
pub(crate) fn gauges(cx: &Context) -> [Gauge; 3] {
    let of_link = |link| cx.uploads.uploads.keys().filter(|key| key.link == link).count();
    let most = cx.links.iter().map(|(id, _)| of_link(*id)).max().unwrap_or(0);
    let unanswered = cx.uploads.uploads.values().map(|upload| upload.unanswered).max().unwrap_or(0);
    [
        ("uploads of a link", most as u64, UPLOADS_MAX as u64),
        ("unanswered offers of an upload", unanswered as u64, UNANSWERED_MAX as u64),
        ("bytes being uploaded", cx.uploads.active_bytes(), ACTIVE_BYTES_MAX.max(u64::from(BLOB_LEN_MAX))),
    ]
}

impl Uploads {
    /// Whether any comes over a link.
    pub(crate) fn is_any_on(&self, link: LinkId) -> bool {
        self.uploads.range(UploadKey { link, upload: 0 }..=UploadKey { link, upload: u64::MAX }).next().is_some()
    }
}

/// A peer opens an upload.
pub(crate) fn on_open(cx: &mut Context, link: LinkId, upload: u64, intent: Bytes) {
    let Some(node) = cx.links.get(link).map(|link| link.node) else { return };
    let key = UploadKey { link, upload };
    let open = cx.uploads.uploads.keys().filter(|key| key.link == link).count();
    if open >= UPLOADS_MAX || cx.uploads.uploads.contains_key(&key) {
        return links::offend(cx, link);
    }
    let new =
        Upload { node, leave: None, early: Vec::new(), queue: VecDeque::new(), active: BTreeMap::new(), unanswered: 0 };
    cx.uploads.uploads.insert(key, new);
    cx.work(WorkOp::VerifyIntent { intent }, Pending::Upload(key, UploadStep::Verify));
}

/// A peer offers chunks.
pub(crate) fn on_offer(cx: &mut Context, link: LinkId, upload: u64, chunks: Vec<ChunkRef>) {
    let key = UploadKey { link, upload };
    let sane = |chunk: &ChunkRef| (BLOB_LEN_MIN..=BLOB_LEN_MAX).contains(&chunk.len);
    if chunks.is_empty() || chunks.len() > OFFER_CHUNKS_MAX || !chunks.iter().all(sane) {
        return links::offend(cx, link);
    }
    let Some(found) = cx.uploads.uploads.get_mut(&key) else {
        // The upload was refused or closed a moment ago, and the offer crossed that on the wire.
        return cx.send(link, Frame::Refused { upload, chunks: Vec::new(), reason: Refusal::Unauthorised });
    };
    if found.unanswered + chunks.len() > UNANSWERED_MAX {
        return links::offend(cx, link);
    }
    found.unanswered += chunks.len();
    if found.leave.is_none() {
        return found.early.extend(chunks);
    }
    consider(cx, key, chunks);
}

/// Checks offered chunks against the intent and asks the disk which are there.
fn consider(cx: &mut Context, key: UploadKey, chunks: Vec<ChunkRef>) {
    let wall_ms = cx.now.wall_ms;
    let Some(Upload { leave: Some(leave), .. }) = cx.uploads.uploads.get_mut(&key) else { return };
    let bytes: u64 = chunks.iter().map(|chunk| u64::from(chunk.len)).sum();
    if bytes > leave.bytes_left || wall_ms > leave.expires_ms {
        return refuse_all(cx, key, Refusal::Unauthorised);
    }
    leave.bytes_left -= bytes;
    let owner = leave.owner;
    let blobs = chunks.iter().map(|chunk| BlobKey { owner, chunk: chunk.id }).collect();
    cx.disk(DiskOp::HasBlobs { blobs }, Pending::Upload(key, UploadStep::Has(chunks)));
}

fn refuse_all(cx: &mut Context, key: UploadKey, reason: Refusal) {
    remove(cx, key);
    cx.send(key.link, Frame::Refused { upload: key.upload, chunks: Vec::new(), reason });
}

fn remove(cx: &mut Context, key: UploadKey) {
    if let Some(upload) = cx.uploads.uploads.remove(&key)
        && let Some(leave) = &upload.leave
        && !planted!(cx.simulation, RoomStaysTaken)
    {
        space::withdrawn(cx, leave.owner, upload.held());
    }
    fetch::cancel(cx, |client| matches!(client, FetchClient::Upload(other, _) if *other == key));
}

/// A peer ends an upload.
pub(crate) fn on_close(cx: &mut Context, link: LinkId, upload: u64) {
    remove(cx, UploadKey { link, upload });
    pump(cx);
}

/// A link is gone, and with it its uploads. Chunks that are complete stay: the next attempt finds them.
pub(crate) fn on_link_gone(cx: &mut Context, link: LinkId) {
    let keys: Vec<UploadKey> = cx.uploads.uploads.keys().filter(|key| key.link == link).copied().collect();
    for key in keys {
        remove(cx, key);
    }
    pump(cx);
}

/// An operation is complete.
pub(crate) fn on_completion(cx: &mut Context, key: UploadKey, step: UploadStep, completion: Completion) {
    match step {
        UploadStep::Verify => {
            links::end_answer(cx, key.link);
            on_verified(cx, key, completion.work());
        }
        UploadStep::Has(chunks) => on_presence(cx, key, chunks, completion.has()),
        UploadStep::Lease(chunks) => on_leased(cx, key, chunks, completion.committed()),
        UploadStep::Write(blob, len) => {
            let written = completion.written();
            space::arrived(cx, blob.owner, len.into(), &written);
            on_written(cx, key, blob.chunk, written);
        }
    }
}

fn on_verified(cx: &mut Context, key: UploadKey, result: WorkResult) {
    let me = cx.now.wall_ms;
    let Some(upload) = cx.uploads.uploads.get_mut(&key) else { return };
    let WorkResult::IntentVerified(Ok(UploadIntent { owner, node, expires_ms, bytes_max })) = result else {
        remove(cx, key);
        return links::offend(cx, key.link);
    };
    if node != upload.node || expires_ms < me {
        return refuse_all(cx, key, Refusal::Unauthorised);
    }
    if buggify!(cx.simulation, "upload.busy") {
        return refuse_all(cx, key, Refusal::Busy);
    }
    let Some(upload) = cx.uploads.uploads.get_mut(&key) else { return };
    upload.leave = Some(Leave { owner, expires_ms, bytes_left: bytes_max });
    let early = core::mem::take(&mut upload.early);
    if !early.is_empty() {
        consider(cx, key, early);
    }
}

fn on_presence(cx: &mut Context, key: UploadKey, chunks: Vec<ChunkRef>, has: Result<Vec<bool>, DiskError>) {
    let Ok(has) = has else { return refuse_all(cx, key, Refusal::Disk) };
    let (held, lacking): (Vec<_>, Vec<_>) = chunks.into_iter().zip(has).partition(|(_, present)| *present);
    want(cx, key, lacking.into_iter().map(|(chunk, _)| chunk));
    let Some(Upload { leave: Some(leave), .. }) = cx.uploads.uploads.get(&key) else { return };
    if held.is_empty() {
        return;
    }
    sometimes!(cx.simulation, "upload.chunk-held-already");
    let owner = leave.owner;
    let held: Vec<ChunkRef> = held.into_iter().map(|(chunk, _)| chunk).collect();
    let require_blobs = held.iter().map(|chunk| BlobKey { owner, chunk: chunk.id }).collect();
    let leases = held.iter().map(|chunk| ChunkLease::PEERS.entry(cx, owner, chunk.id));
    let writes = leases.map(|(key, value)| Write::Put { key, value }).collect();
    let commit = DiskOp::Commit { require_blobs, require_keys: Vec::new(), writes };
    cx.disk(commit, Pending::Upload(key, UploadStep::Lease(held)));
}

/// The peer may rely on what is here for as long as the lease lasts; or something of it went in the meantime.
fn on_leased(cx: &mut Context, key: UploadKey, held: Vec<ChunkRef>, leased: Result<bool, DiskError>) {
    match leased {
        Ok(true) => {
            let Some(upload) = cx.uploads.uploads.get_mut(&key) else { return };
            upload.unanswered = upload.unanswered.saturating_sub(held.len());
            let held = held.into_iter().map(|chunk| chunk.id).collect();
            cx.send(key.link, Frame::Stored { upload: key.upload, held, fetched: Vec::new() });
        }
        Ok(false) => want(cx, key, held.into_iter()),
        Err(DiskError::Full) => refuse_all(cx, key, Refusal::Full),
        Err(
            DiskError::Io(_) | DiskError::Degraded(_) | DiskError::NotFound | DiskError::Corrupt | DiskError::Mismatch,
        ) => refuse_all(cx, key, Refusal::Disk),
    }
}

/// Fetches chunks that are not here, as far as there is room.
fn want(cx: &mut Context, key: UploadKey, chunks: impl Iterator<Item = ChunkRef>) {
    let Some(upload) = cx.uploads.uploads.get_mut(&key) else { return };
    let (coming, lacking): (Vec<_>, Vec<_>) =
        chunks.partition(|chunk| upload.active.contains_key(&chunk.id) || upload.queue.contains(chunk));
    // What is on its way already is answered once.
    upload.unanswered = upload.unanswered.saturating_sub(coming.len());
    let refused = let_in(cx, key, lacking);
    if let (Some((chunks, reason)), Some(upload)) = (refused, cx.uploads.uploads.get_mut(&key)) {
        upload.unanswered = upload.unanswered.saturating_sub(chunks.len());
        cx.send(key.link, Frame::Refused { upload: key.upload, chunks, reason });
    }
    pump(cx);
}

/// Queues those chunks for which there is room; the others, and why not.
fn let_in(cx: &mut Context, key: UploadKey, chunks: Vec<ChunkRef>) -> Option<(Vec<ChunkId>, Refusal)> {
    let owner = cx.uploads.uploads.get(&key)?.leave.as_ref()?.owner;
    let mut refused = Vec::new();
    let mut why = Refusal::Full;
    for chunk in chunks {
        match space::admit(cx, owner, chunk.len.into()) {
            Ok(()) => {
                if let Some(upload) = cx.uploads.uploads.get_mut(&key) {
                    upload.queue.push_back(chunk);
                }
            }
            Err(reason) => {
                why = reason;
                refused.push(chunk.id);
            }
        }
    }
    (!refused.is_empty()).then_some((refused, why))
}

/// Fetches as many chunks as may be under way, the uploads taking turns.
fn pump(cx: &mut Context) {
    while let Some(key) = cx.uploads.next_in_turn() {
        let active = cx.uploads.active_bytes();
        let Some(upload) = cx.uploads.uploads.get_mut(&key) else { return };
        let (Some(chunk), Some(leave)) = (upload.queue.front().copied(), &upload.leave) else { return };
        if active > 0 && active + u64::from(chunk.len) > ACTIVE_BYTES_MAX {
            return;
        }
        upload.queue.pop_front();
        cx.uploads.last = Some(key);
        upload.active.insert(chunk.id, Active { len: chunk.len, writing: false });
        let order = fetch::Order {
            client: FetchClient::Upload(key, chunk.id),
            object: ObjectKey { owner: leave.owner, id: ObjectId::Chunk(chunk.id) },
            len: chunk.len,
            lane: key.upload,
            holders: [upload.node].into(),
            wide: false,
            liars: BTreeSet::new(),
        };
        fetch::start(cx, order);
    }
}

/// A chunk came, or will not come.
pub(crate) fn on_fetched(cx: &mut Context, key: UploadKey, chunk: ChunkId, result: FetchResult) {
    let Some(Upload { leave: Some(leave), .. }) = cx.uploads.uploads.get(&key) else { return };
    let blob = BlobKey { owner: leave.owner, chunk };
    match result {
        FetchResult::Got { data, from: _ } => write(cx, key, blob, data),
        FetchResult::Nowhere => refuse(cx, key, chunk, Refusal::Unavailable),
    }
}

fn write(cx: &mut Context, key: UploadKey, blob: BlobKey, data: Bulk) {
    let entry = Some(ChunkLease::PEERS.entry(cx, blob.owner, blob.chunk));
    let active = cx.uploads.uploads.get_mut(&key).and_then(|upload| upload.active.get_mut(&blob.chunk));
    let Some(active) = active else { return };
    active.writing = true;
    let step = UploadStep::Write(blob, active.len);
    cx.disk(DiskOp::WriteBlob { blob, data, known: false, entry }, Pending::Upload(key, step));
}

fn on_written(cx: &mut Context, key: UploadKey, chunk: ChunkId, written: Result<bool, DiskError>) {
    match written {
        Ok(_) => {
            let Some(upload) = cx.uploads.uploads.get_mut(&key) else { return };
            upload.active.remove(&chunk);
            upload.unanswered = upload.unanswered.saturating_sub(1);
            let stored = Frame::Stored { upload: key.upload, held: Vec::new(), fetched: alloc::vec![chunk] };
            cx.send(key.link, stored);
            pump(cx);
        }
        Err(DiskError::Mismatch) => {
            remove(cx, key);
            links::offend(cx, key.link);
        }
        Err(DiskError::Full) => {
            sometimes!(cx.simulation, "upload.disk-full");
            space::measure(cx);
            refuse(cx, key, chunk, Refusal::Full);
        }
        Err(DiskError::Io(_) | DiskError::Degraded(_) | DiskError::NotFound | DiskError::Corrupt) => {
            refuse(cx, key, chunk, Refusal::Disk);
        }
    }
}

fn refuse(cx: &mut Context, key: UploadKey, chunk: ChunkId, reason: Refusal) {
    if let Some(upload) = cx.uploads.uploads.get_mut(&key) {
        let active = upload.active.remove(&chunk);
        upload.unanswered = upload.unanswered.saturating_sub(1);
        let owner = upload.leave.as_ref().map(|leave| leave.owner);
        if let (Some(Active { len, writing: false }), Some(owner)) = (active, owner) {
            space::withdrawn(cx, owner, len.into());
        }
        cx.send(key.link, Frame::Refused { upload: key.upload, chunks: alloc::vec![chunk], reason });
    }
    pump(cx);
}
