//! Pulls: bringing a record and all that it names onto this disk. One mechanism serves a peer's announcement, a promise and
//! a restore.
//!
//! Pages are stored bottom-up, each in one commit that requires all that it lists, and the record last: so a page that is
//! stored was complete, and a record becomes visible only with all its chunks durable. Pages that are here already are
//! taken through the same again: a chunk may have been evicted or found damaged since.
//!
//! A record that its name would not keep is not pulled at all. A light pull brings the record and its pages alone, for a device of
//! the owner that does not hold the file: the record is marked, so that nobody takes it for whole, and its pages need no chunks
//! here. A record that is here already stays as it is. One that was marked and is pulled whole loses its mark.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use bytes::Bytes;

use crate::disk::{DiskError, DiskOp, Write};
use crate::frame::Refusal;
use crate::ids::{BlobKey, ChunkId, LinkId, NodeId, ObjectId, ObjectKey, PageId, RecordId, RequestId};
use crate::manifest::{Children, ChunkRef, PAGE_LEN_MAX, PageContext, PageRef};
use crate::node::cluster::Part;
use crate::node::collect::ChunkLease;
use crate::node::context::Context;
use crate::node::gauges::Gauge;
use crate::node::judge::{self, Judging, Verdict};
use crate::node::page_loader::{self, LoadedPage, Opening, PageClient, PageFailure, PageOrder};
use crate::node::page_store::{self, NewPage, RecordPages};
use crate::node::pending::{Completion, Pending};
use crate::node::records::{self, With};
use crate::node::signal::{FetchClient, FetchResult, Signal};
use crate::node::upload::BLOB_LEN_MIN;
use crate::node::{answers, asks, fetch, keep, repair, schema, space};
use crate::record::{RecordBody, SignedRecord};
use crate::seal::BLOB_LEN_MAX;
use crate::{buggify, planted, sometimes};

/// Pulls under way at once; further ones wait.
const ACTIVE_MAX: usize = 8;

/// Bytes of chunks that all pulls together may be fetching or writing: what they may take of memory. (Each may have one
/// chunk under way whatever its length.)
const ACTIVE_BYTES_MAX: u64 = 16 << 20;

/// Pulls that may wait; beyond it announcements are refused as busy.
const WAITING_MAX: usize = 4_096;

/// How often a page's chunks are looked for again when some vanished before the page was committed.
const ATTEMPTS_MAX: u32 = 3;

/// A pull, numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PullId(u64);

/// Who wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PullClient {
    Announce {
        link: LinkId,
        request: u64,
    },
    Promise {
        link: LinkId,
        request: u64,
        /// Whether chunks are fetched that are not here.
        fetch: bool,
    },
    /// A request, that goes on when it is here.
    Request(RequestId),
    /// It is to be here.
    Repair,
    /// A record that lacks something here.
    Mend,
    /// The record is worth having, and that is all.
    Nobody,
}

impl PullClient {
    /// Whether nobody waits for it, so that it keeps to the rate of repair.
    fn is_repair(self) -> bool {
        match self {
            Self::Repair | Self::Mend => true,
            Self::Announce { .. } | Self::Promise { .. } | Self::Request(_) | Self::Nobody => false,
        }
    }
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PullOutcome {
    /// The record and all it names are durable here.
    Stored {
        fetched_bytes: u64,
    },
    /// Its name would not keep it, because of this newer record.
    Obsolete(Bytes),
    Refused(Refusal),
}

/// What a pull waits for.
#[derive(Debug)]
pub(crate) enum PullStep {
    /// Whether the name would keep the record.
    Judge(Box<Judging>),
    /// What is here of an own record: it, and its mark.
    Own,
    Has,
    /// A chunk that a peer gave is written; this is its length.
    Write(BlobKey, u32, NodeId),
    CommitPage,
    CommitRecord,
}

#[derive(Debug)]
struct Pull {
    record: SignedRecord,
    part: Part,
    client: PullClient,
    holders: BTreeSet<NodeId>,
    /// Whether the record is marked as one whose chunks may be absent.
    is_marked: bool,
    /// Peers that gave wrong bytes.
    liars: BTreeSet<NodeId>,
    /// A root that lists pages, until all of them are stored.
    root: Option<Root>,
    page: Option<Page>,
    /// Bytes let in that have not come yet.
    held: u64,
    fetched_bytes: u64,
    /// Its number among what relies on leases, once it is under way.
    activity: Option<u64>,
}

#[derive(Debug)]
struct Root {
    id: PageId,
    data: Bytes,
    stored: bool,
    pages: Vec<PageRef>,
    next: usize,
}

#[derive(Debug)]
struct Page {
    id: PageId,
    data: Bytes,
    chunks: BTreeMap<ChunkId, u32>,
    queue: VecDeque<ChunkRef>,
    active: BTreeSet<ChunkId>,
    /// Their bytes.
    active_bytes: u64,
    attempts: u32,
}

/// All pulls.
#[derive(Debug, Default)]
pub(crate) struct Pulls {
    pulls: BTreeMap<PullId, Pull>,
    waiting: VecDeque<PullId>,
}

impl Pulls {
    /// Takes the first of those waiting whose record is not being pulled already: two pulls of one record, of which one is light,
    /// would not agree on its mark.
    fn next_waiting(&mut self) -> Option<PullId> {
        let active = self.pulls.values().filter(|pull| pull.activity.is_some());
        let active: BTreeSet<RecordId> = active.map(|pull| pull.record.id).collect();
        let may_begin = |id: &PullId| self.pulls.get(id).is_some_and(|pull| !active.contains(&pull.record.id));
        let place = self.waiting.iter().position(may_begin)?;
        self.waiting.remove(place)
    }
}

/// Operations that all pulls may have under way: what follows the last completion of each, and writes of chunks.
pub(crate) const OPERATIONS_MAX: u64 = ACTIVE_MAX as u64 + ACTIVE_BYTES_MAX / BLOB_LEN_MIN as u64;

/// What of their limits is used.
pub(crate) fn gauges(cx: &Context) -> [Gauge; 3] {
    let waiting = cx.pulls.waiting.len();
    let bytes = cx.pulls.pulls.values().filter_map(|pull| pull.page.as_ref()).map(|page| page.active_bytes).sum();
    [
        ("pulls", (cx.pulls.pulls.len() - waiting) as u64, ACTIVE_MAX as u64),
        ("pulls waiting", waiting as u64, WAITING_MAX as u64),
        // The share of a pull shrinks when another starts, and what it has under way stays.
        ("bytes being pulled", bytes, ACTIVE_MAX as u64 * (ACTIVE_BYTES_MAX + u64::from(BLOB_LEN_MAX))),
    ]
}

/// Starts a pull, or lets it wait its turn. `holders` are asked first, then everybody. Answered by [`Signal::Pulled`].
pub(crate) fn start(cx: &mut Context, record: SignedRecord, part: Part, client: PullClient, holders: BTreeSet<NodeId>) {
    let full = cx.pulls.waiting.len() >= WAITING_MAX
        || matches!(client, PullClient::Announce { .. }) && buggify!(cx.simulation, "pull.busy");
    if full {
        return cx.signal(Signal::Pulled { client, record, outcome: PullOutcome::Refused(Refusal::Busy) });
    }
    let id = PullId(cx.number());
    let pull = Pull {
        record,
        part,
        client,
        holders,
        is_marked: false,
        liars: BTreeSet::new(),
        root: None,
        page: None,
        held: 0,
        fetched_bytes: 0,
        activity: None,
    };
    cx.pulls.pulls.insert(id, pull);
    cx.pulls.waiting.push_back(id);
    start_waiting(cx);
}

fn start_waiting(cx: &mut Context) {
    while cx.pulls.pulls.len() - cx.pulls.waiting.len() < ACTIVE_MAX {
        let Some(id) = cx.pulls.next_waiting() else { return };
        begin(cx, id);
    }
}

/// A record is about to be evicted: a pull of it that is under way does not make it whole.
pub(crate) fn on_evict(cx: &mut Context, record: RecordId) {
    for pull in cx.pulls.pulls.values_mut().filter(|pull| pull.record.id == record) {
        pull.is_marked = false;
    }
}

/// Ends all pulls of a request that is gone.
pub(crate) fn cancel(cx: &mut Context, request: RequestId) {
    cancel_those(cx, |pull| pull.client == PullClient::Request(request));
}

/// Ends the mending of a record that is to be whole here no more.
pub(crate) fn cancel_mend(cx: &mut Context, record: RecordId) {
    cancel_those(cx, |pull| pull.client == PullClient::Mend && pull.record.id == record);
}

fn cancel_those(cx: &mut Context, doomed: impl Fn(&Pull) -> bool) {
    let ids: Vec<PullId> = cx.pulls.pulls.iter().filter(|(_, pull)| doomed(pull)).map(|(id, _)| *id).collect();
    cx.pulls.waiting.retain(|id| !ids.contains(id));
    for id in ids {
        drop_pull(cx, id);
    }
    start_waiting(cx);
}

fn drop_pull(cx: &mut Context, id: PullId) -> Option<Pull> {
    let pull = cx.pulls.pulls.remove(&id)?;
    space::withdrawn(cx, pull.record.record.owner, pull.held);
    pull.activity.into_iter().for_each(|activity| cx.activities.end(activity));
    fetch::cancel(cx, |client| matches!(client, FetchClient::PullChunk(other, _) if *other == id));
    page_loader::cancel(cx, |client| *client == PageClient::Pull(id));
    Some(pull)
}

fn finish(cx: &mut Context, id: PullId, outcome: PullOutcome) {
    if matches!(outcome, PullOutcome::Refused(_)) && planted!(cx.simulation, PullSlotLeak) {
        let Some(Pull { client, record, .. }) = cx.pulls.pulls.get(&id) else { return };
        let (client, record) = (*client, record.clone());
        return cx.signal(Signal::Pulled { client, record, outcome });
    }
    if let Some(pull) = drop_pull(cx, id) {
        cx.signal(Signal::Pulled { client: pull.client, record: pull.record, outcome });
    }
    start_waiting(cx);
}

fn refuse(cx: &mut Context, id: PullId, reason: Refusal) {
    finish(cx, id, PullOutcome::Refused(reason));
}

fn refuse_disk(cx: &mut Context, id: PullId, error: &DiskError) {
    answers::note_disk_error(cx, error);
    if *error == DiskError::Full {
        space::measure(cx);
    }
    refuse(cx, id, if *error == DiskError::Full { Refusal::Full } else { Refusal::Disk });
}

fn begin(cx: &mut Context, id: PullId) {
    let activity = cx.begin_activity();
    let Some(pull) = cx.pulls.pulls.get_mut(&id) else { return cx.activities.end(activity) };
    pull.activity = Some(activity);
    let record = pull.record.clone();
    let judging = Box::new(Judging::new(cx, &record));
    judge_on(cx, id, judging);
}

fn judge_on(cx: &mut Context, id: PullId, judging: Box<Judging>) {
    let scan = judging.scan();
    cx.disk(scan, Pending::Pull(id, PullStep::Judge(judging)));
}

fn on_judged(cx: &mut Context, id: PullId, verdict: Verdict) {
    let Some(pull) = cx.pulls.pulls.get(&id) else { return };
    match verdict {
        Verdict::Unknown(judging) => return judge_on(cx, id, judging),
        Verdict::Obsolete(by) => return finish(cx, id, PullOutcome::Obsolete(by)),
        Verdict::Kept => {}
    }
    if pull.record.record.owner == cx.owner && pull.record.record.body.is_file() {
        let mark = schema::evicted_key(cx.owner, pull.record.id);
        let keys = alloc::vec![schema::record_key(&pull.record), mark];
        return cx.disk(DiskOp::Lookup { keys }, Pending::Pull(id, PullStep::Own));
    }
    bring(cx, id);
}

/// What is here of an own record is known.
fn on_own(cx: &mut Context, id: PullId, values: &[Option<Bytes>]) {
    let Some(pull) = cx.pulls.pulls.get_mut(&id) else { return };
    let is_here = values.first().is_some_and(Option::is_some);
    pull.is_marked = values.get(1).is_some_and(Option::is_some) && !cx.evicting.contains(&pull.record.id);
    if is_here && pull.part == Part::Light {
        return finish(cx, id, PullOutcome::Stored { fetched_bytes: 0 });
    }
    bring(cx, id);
}

fn bring(cx: &mut Context, id: PullId) {
    let Some(pull) = cx.pulls.pulls.get(&id) else { return };
    match pull.record.record.body {
        RecordBody::Tombstone | RecordBody::Checkpoint(_) => commit_record(cx, id, None),
        RecordBody::File { root_len, .. } if root_len as usize > PAGE_LEN_MAX => refuse(cx, id, Refusal::Invalid),
        RecordBody::File { root, root_len } => load_page(cx, id, PageRef { id: root, len: root_len }),
    }
}

fn load_page(cx: &mut Context, id: PullId, page: PageRef) {
    let Some(pull) = cx.pulls.pulls.get(&id) else { return };
    let order = PageOrder {
        client: PageClient::Pull(id),
        owner: pull.record.record.owner,
        page,
        opening: Opening::No,
        holders: pull.holders.clone(),
    };
    page_loader::load(cx, order);
}

/// A page is loaded or cannot be.
pub(crate) fn on_page(cx: &mut Context, id: PullId, result: Result<LoadedPage, PageFailure>) {
    let page = match result {
        Ok(page) => page,
        Err(PageFailure::Nowhere) => return refuse(cx, id, Refusal::Unavailable),
        Err(PageFailure::Damaged) => return refuse(cx, id, Refusal::Invalid),
    };
    let Some(pull) = cx.pulls.pulls.get_mut(&id) else { return };
    match page.public.children {
        Children::Pages(pages) if pull.root.is_none() => {
            pull.root = Some(Root { id: page.id, data: page.data, stored: false, pages, next: 0 });
            next_page(cx, id);
        }
        Children::Pages(_) => refuse(cx, id, Refusal::Invalid),
        Children::Chunks(mut chunks) => {
            if planted!(cx.simulation, ManifestOffByOne) && chunks.len() > 1 {
                chunks.pop();
            }
            let chunks = chunks.into_iter().map(|chunk| (chunk.id, chunk.len)).collect();
            let page = Page {
                id: page.id,
                data: page.data,
                chunks,
                queue: VecDeque::new(),
                active: BTreeSet::new(),
                active_bytes: 0,
                attempts: 0,
            };
            let is_light = pull.part == Part::Light;
            pull.page = Some(page);
            if is_light { commit_light_page(cx, id) } else { look_for_chunks(cx, id) }
        }
    }
}

/// Goes on with the next page of the root, or ends with the root and the record.
fn next_page(cx: &mut Context, id: PullId) {
    let Some(pull) = cx.pulls.pulls.get_mut(&id) else { return };
    pull.page = None;
    let Some(root) = &mut pull.root else {
        let RecordBody::File { root, .. } = pull.record.record.body else { return };
        return commit_record(cx, id, Some(root));
    };
    if let Some(page) = root.pages.get(root.next).copied() {
        root.next += 1;
        return load_page(cx, id, page);
    }
    let (root_id, stored) = (root.id, root.stored);
    if stored {
        return commit_record(cx, id, Some(root_id));
    }
    let (data, pages): (_, Vec<PageId>) = (root.data.clone(), root.pages.iter().map(|page| page.id).collect());
    root.stored = true;
    let page = NewPage { place: PageContext::of(&pull.record.record), id: root_id, data };
    page_store::commit_root(cx, page, &pages, Pending::Pull(id, PullStep::CommitPage));
}

/// Stores a page whose chunks are not brought here, and not needed.
fn commit_light_page(cx: &mut Context, id: PullId) {
    let Some(pull) = cx.pulls.pulls.get(&id) else { return };
    let Some(page) = &pull.page else { return };
    let page = NewPage { place: PageContext::of(&pull.record.record), id: page.id, data: page.data.clone() };
    page_store::commit_page(cx, page, &[], ChunkLease::PEERS, Pending::Pull(id, PullStep::CommitPage));
}

fn look_for_chunks(cx: &mut Context, id: PullId) {
    let Some(Pull { record, page: Some(page), .. }) = cx.pulls.pulls.get_mut(&id) else {
        // It was the root: a page that was stored a moment ago is gone.
        return refuse(cx, id, Refusal::Disk);
    };
    page.attempts += 1;
    let owner = record.record.owner;
    let blobs = page.chunks.keys().map(|chunk| BlobKey { owner, chunk: *chunk }).collect();
    if page.attempts > ATTEMPTS_MAX {
        return refuse(cx, id, Refusal::Disk);
    }
    cx.disk(DiskOp::HasBlobs { blobs }, Pending::Pull(id, PullStep::Has));
}

/// An operation is complete.
pub(crate) fn on_completion(cx: &mut Context, id: PullId, step: PullStep, completion: Completion) {
    match step {
        PullStep::Judge(judging) => match completion.entries() {
            Ok((entries, more)) => on_judged(cx, id, judge::go_on(judging, entries, more)),
            Err(error) => refuse_disk(cx, id, &error),
        },
        PullStep::Own => match completion.values() {
            Ok(values) => on_own(cx, id, &values),
            Err(error) => refuse_disk(cx, id, &error),
        },
        PullStep::Has => match completion.has() {
            Ok(has) => on_presence(cx, id, &has),
            Err(error) => refuse_disk(cx, id, &error),
        },
        PullStep::Write(blob, len, from) => {
            let written = completion.written();
            space::arrived(cx, blob.owner, len.into(), &written);
            on_written(cx, id, blob.chunk, from, written);
        }
        PullStep::CommitPage => match completion.committed() {
            Ok(true) => next_page(cx, id),
            Ok(false) => {
                // A chunk was dropped or found damaged since it was looked for.
                sometimes!(cx.simulation, "pull.chunk-vanished");
                look_for_chunks(cx, id);
            }
            Err(error) => refuse_disk(cx, id, &error),
        },
        PullStep::CommitRecord => match completion.committed() {
            Ok(true) => on_record_stored(cx, id),
            Ok(false) => refuse(cx, id, Refusal::Disk),
            Err(error) => refuse_disk(cx, id, &error),
        },
    }
}

fn on_presence(cx: &mut Context, id: PullId, has: &[bool]) {
    let Some(Pull { client, record, page: Some(page), .. }) = cx.pulls.pulls.get_mut(&id) else { return };
    let client = *client;
    let absent = page.chunks.iter().zip(has).filter(|(_, present)| !**present);
    page.queue = absent.map(|((id, len), _)| ChunkRef { id: *id, len: *len }).collect();
    if !page.queue.is_empty() && page.queue.len() < page.chunks.len() {
        sometimes!(cx.simulation, "pull.resumed");
    }
    if page.queue.is_empty() {
        // What is here already is never refused.
        return pump(cx, id);
    }
    if matches!(client, PullClient::Promise { fetch: false, .. }) {
        return refuse(cx, id, Refusal::Unavailable);
    }
    let bytes = page.queue.iter().map(|chunk| u64::from(chunk.len)).sum();
    let owner = record.record.owner;
    match space::admit(cx, owner, bytes) {
        Ok(()) => {
            if let Some(pull) = cx.pulls.pulls.get_mut(&id) {
                pull.held += bytes;
            }
            pump(cx, id);
        }
        Err(reason) => refuse(cx, id, reason),
    }
}

/// Goes on with all repairs: their rate allows more.
pub(crate) fn pump_repairs(cx: &mut Context) {
    let repairs = cx.pulls.pulls.iter().filter(|(_, pull)| pull.client.is_repair() && pull.page.is_some());
    let ids: Vec<PullId> = repairs.map(|(id, _)| *id).collect();
    for id in ids {
        let waits = |pull: &Pull| pull.page.as_ref().is_some_and(|page| !page.queue.is_empty());
        if cx.pulls.pulls.get(&id).is_some_and(waits) {
            pump(cx, id);
        }
    }
}

/// Fetches as many chunks as may be under way; commits the page when all are here.
fn pump(cx: &mut Context, id: PullId) {
    let pulls = cx.pulls.pulls.len() - cx.pulls.waiting.len();
    let window = ACTIVE_BYTES_MAX / u64::try_from(pulls.max(1)).unwrap_or(u64::MAX);
    loop {
        let Some(Pull { client, page: Some(page), .. }) = cx.pulls.pulls.get(&id) else { return };
        let is_repair = client.is_repair();
        let Some(chunk) = page.queue.front().copied() else { break };
        let active = page.active_bytes;
        let one_by_one = buggify!(cx.simulation, "pull.one-chunk-at-a-time");
        if active > 0 && (one_by_one || active + u64::from(chunk.len) > window) {
            return;
        }
        if is_repair && !repair::take(cx, chunk.len) {
            return;
        }
        let Some(Pull { record, holders, liars, page: Some(page), .. }) = cx.pulls.pulls.get_mut(&id) else { return };
        page.queue.pop_front();
        if page.active.insert(chunk.id) {
            page.active_bytes += u64::from(chunk.len);
        }
        let order = fetch::Order {
            client: FetchClient::PullChunk(id, chunk.id),
            object: ObjectKey { owner: record.record.owner, id: ObjectId::Chunk(chunk.id) },
            len: chunk.len,
            lane: id.0,
            holders: holders.clone(),
            wide: true,
            liars: liars.clone(),
        };
        fetch::start(cx, order);
    }
    let Some(pull) = cx.pulls.pulls.get(&id) else { return };
    let Some(page) = pull.page.as_ref().filter(|page| page.active.is_empty()) else { return };
    let chunks: Vec<ChunkId> = page.chunks.keys().copied().collect();
    let new = NewPage { place: PageContext::of(&pull.record.record), id: page.id, data: page.data.clone() };
    page_store::commit_page(cx, new, &chunks, ChunkLease::PEERS, Pending::Pull(id, PullStep::CommitPage));
}

/// A chunk came, or will not come.
pub(crate) fn on_fetched(cx: &mut Context, id: PullId, chunk: ChunkId, result: FetchResult) {
    let Some(pull) = cx.pulls.pulls.get_mut(&id) else { return };
    match result {
        FetchResult::Got { from, data } => {
            let blob = BlobKey { owner: pull.record.record.owner, chunk };
            // From here on the room that it needs is the write's.
            let len = pull.page.as_ref().and_then(|page| page.chunks.get(&chunk)).copied().unwrap_or_default();
            pull.held = pull.held.saturating_sub(len.into());
            let known = planted!(cx.simulation, TrustFetchedBlob);
            let entry = Some(ChunkLease::PEERS.entry(cx, blob.owner, chunk));
            cx.disk(
                DiskOp::WriteBlob { blob, data, known, entry },
                Pending::Pull(id, PullStep::Write(blob, len, from)),
            );
        }
        FetchResult::Nowhere => refuse(cx, id, Refusal::Unavailable),
    }
}

fn on_written(cx: &mut Context, id: PullId, chunk: ChunkId, from: NodeId, written: Result<bool, DiskError>) {
    let Some(pull) = cx.pulls.pulls.get_mut(&id) else { return };
    let Some(page) = &mut pull.page else { return };
    let len = page.chunks.get(&chunk).copied().unwrap_or_default();
    if page.active.remove(&chunk) {
        page.active_bytes -= u64::from(len);
    }
    match written {
        Ok(_) => {
            pull.fetched_bytes += u64::from(len);
            if let PullClient::Request(request) = pull.client {
                cx.expect_progress(request);
            }
        }
        Err(DiskError::Mismatch) => {
            // The peer lied: ask the others.
            sometimes!(cx.simulation, "pull.wrong-bytes-refused");
            pull.liars.insert(from);
            page.queue.push_back(ChunkRef { id: chunk, len });
            pull.held += u64::from(len);
            let owner = pull.record.record.owner;
            space::hold(cx, owner, len.into());
            asks::on_lie(cx, from);
        }
        Err(
            error @ (DiskError::Full
            | DiskError::Io(_)
            | DiskError::Degraded(_)
            | DiskError::NotFound
            | DiskError::Corrupt),
        ) => {
            return refuse_disk(cx, id, &error);
        }
    }
    pump(cx, id);
}

fn commit_record(cx: &mut Context, id: PullId, root: Option<PageId>) {
    let Some(pull) = cx.pulls.pulls.get(&id) else { return };
    let record = pull.record.clone();
    let owner = record.record.owner;
    let below = pull.root.iter().flat_map(|root| root.pages.iter().map(|page| page.id)).collect();
    let pages = RecordPages { root, below };
    let mut writes: Vec<Write> = pages.taken_over(owner).collect();
    if owner == cx.owner {
        cx.clock.observe(&record.record.version);
        writes.push(Write::Put { key: Bytes::from_static(schema::CLOCK), value: schema::encode(&cx.clock) });
    }
    let mut require_keys = pages.required(owner);
    let mark = schema::evicted_key(owner, record.id);
    // An evict that begins now sets the mark again, after this.
    let is_evicting = cx.evicting.contains(&record.id);
    match (pull.part, pull.is_marked && !is_evicting) {
        (Part::Light, _) if planted!(cx.simulation, LightUnmarked) => {}
        (Part::Light, _) if root.is_some() => {
            writes.push(Write::Put { key: mark, value: Bytes::from_static(schema::LIGHT) })
        }
        (Part::Whole, true) => {
            sometimes!(cx.simulation, "pull.light-made-whole");
            writes.push(Write::Delete { key: mark });
        }
        (Part::Light, _) | (Part::Whole, false) => {}
    }
    if pull.client == PullClient::Mend {
        // A record that was dropped meanwhile stays dropped.
        require_keys.push(schema::record_key(&record));
    }
    let with = With { require_keys, writes, ..With::default() };
    records::add(cx, record, with, Pending::Pull(id, PullStep::CommitRecord));
}

fn on_record_stored(cx: &mut Context, id: PullId) {
    let Some(pull) = cx.pulls.pulls.get(&id) else { return };
    let fetched_bytes = pull.fetched_bytes;
    if pull.part == Part::Whole && pull.is_marked {
        let record = pull.record.clone();
        keep::release_promises(cx, &record);
    }
    finish(cx, id, PullOutcome::Stored { fetched_bytes });
}
