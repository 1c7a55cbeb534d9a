//! Mending: what this disk should hold and does not, because it is damaged or gone, is fetched again from whoever has it. No
//! keys are needed, so the records of other owners are mended like the own ones.
//!
//! - A *chunk* found damaged is fetched by itself: a page here lists it, which tells its length.
//! - A *record* that lacks pages or chunks here is pulled again: that loads its pages from the disk or from peers, looks for
//!   every chunk, and stores what is missing.
//!
//! What nobody can give now is tried again after a while, and when a peer comes. Nothing of this is remembered across a
//! restart: the next check of presence (`scrub`) finds it again.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::disk::{DiskError, DiskOp, Write};
use crate::ids::{BlobKey, NameId, NodeId, ObjectId, ObjectKey, OwnerId, PageId, RecordId, RequestId};
use crate::manifest::{Children, PageRef};
use crate::node::cluster::Part;
use crate::node::collect::ChunkLease;
use crate::node::context::Context;
use crate::node::gauges::Gauge;
use crate::node::locate::{self, Located, Scope};
use crate::node::page_loader::{self, LoadedPage, Opening, PageClient, PageFailure, PageOrder};
use crate::node::pending::{Completion, Pending};
use crate::node::pull::{self, PullClient, PullOutcome};
use crate::node::signal::{FetchClient, FetchResult, Signal};
use crate::node::timers::Timer;
use crate::node::{answers, asks, cluster, fetch, names, repair, schema, space};
use crate::record::SignedRecord;
use crate::sometimes;

/// Chunks and records being mended at once: few, because callers' own transfers go first.
const ACTIVE_MAX: usize = 4;

/// Chunks and records known to need mending. What is found beyond them is found again by the next check.
const KNOWN_MAX: usize = 4_096;

/// Chunks and records waiting to be mended beyond which a check waits.
const WAITING_MAX: usize = 64;

/// Pages asked which of them lists a chunk: one is enough, unless it is damaged itself.
const PAGES_MAX: u32 = 8;

/// First and longest wait before what nobody had is asked for again.
const RETRY: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(3_600));

/// How soon it is asked for when a peer has come: the peer's own start should be over.
const RETRY_WITH_PEER: Duration = Duration::from_secs(1);

/// What a mend waits for.
#[derive(Debug)]
pub(crate) enum MendStep {
    /// Which pages list a chunk.
    References(BlobKey),
    /// A chunk that a peer gave is stored.
    Written(BlobKey, u32, NodeId),
    /// Whether a record is still here, and not evicted.
    Record(RecordId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    UnderWay,
    /// Nobody had it, or the disk failed.
    Failed,
}

#[derive(Debug)]
struct Chunk {
    state: State,
    /// Pages that list it and have not been asked for its length.
    pages: VecDeque<PageId>,
    len: u32,
    /// Whether room is kept for it.
    held: bool,
    /// Whether it has waited for the disk to be measured: what is damaged counts as taken until then.
    measured: bool,
    /// Peers that gave wrong bytes.
    liars: BTreeSet<NodeId>,
}

#[derive(Debug)]
struct Record {
    state: State,
    what: Broken,
}

/// What is wrong with a record.
#[derive(Debug)]
enum Broken {
    /// It lacks pages or chunks.
    Lacking(SignedRecord),
    /// It was evicted, and is to come back.
    Evicted(SignedRecord),
    /// It is damaged itself, so that only its key tells what it was.
    Damaged { owner: OwnerId, name: NameId },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    Chunk(BlobKey),
    Record(RecordId),
}

/// All that is to be mended.
#[derive(Debug, Default)]
pub(crate) struct Mends {
    chunks: BTreeMap<BlobKey, Chunk>,
    records: BTreeMap<RecordId, Record>,
    /// Searches for records that are damaged themselves.
    searches: BTreeMap<RequestId, RecordId>,
    /// Those that wait, in order; some may have been forgotten meanwhile.
    queue: VecDeque<Item>,
    /// Chunks that wait for the disk to be measured.
    unmeasured: Vec<BlobKey>,
    /// How often in a row nobody had what was asked for.
    failures: u32,
}

impl Mends {
    fn states(&self) -> impl Iterator<Item = State> {
        let chunks = self.chunks.values().map(|chunk| chunk.state);
        chunks.chain(self.records.values().map(|record| record.state))
    }

    fn count(&self, state: State) -> usize {
        self.states().filter(|other| *other == state).count()
    }

    fn len(&self) -> usize {
        self.chunks.len() + self.records.len()
    }

    /// Whether so few are waiting that a check may go on looking for more.
    pub(crate) fn has_room(&self) -> bool {
        self.states().filter(|state| *state != State::Failed).count() < WAITING_MAX
    }

    /// Whether nothing is being mended or waits for its turn.
    pub(crate) fn is_idle(&self) -> bool {
        self.states().all(|state| state == State::Failed)
    }

    /// Chunks and records that nobody could give so far.
    pub(crate) fn failed(&self) -> u64 {
        self.count(State::Failed) as u64
    }

    fn state_mut(&mut self, item: Item) -> Option<&mut State> {
        match item {
            Item::Chunk(blob) => self.chunks.get_mut(&blob).map(|chunk| &mut chunk.state),
            Item::Record(id) => self.records.get_mut(&id).map(|record| &mut record.state),
        }
    }
}

/// Operations that all mends together may have under way: those of their page loads among them, and those of mends that
/// were given up.
pub(crate) const OPERATIONS_MAX: u64 = 2 * ACTIVE_MAX as u64;

/// What of their limits is used.
pub(crate) fn gauges(cx: &Context) -> [Gauge; 2] {
    [
        ("mends under way", cx.mends.count(State::UnderWay) as u64, ACTIVE_MAX as u64),
        ("mends known", cx.mends.len() as u64, KNOWN_MAX as u64),
    ]
}

/// Brings back a chunk that was found damaged and is absent now, if a page here lists it.
pub(crate) fn chunk(cx: &mut Context, blob: BlobKey) {
    if cx.mends.chunks.contains_key(&blob) || cx.mends.len() >= KNOWN_MAX {
        return;
    }
    let chunk = Chunk {
        state: State::Waiting,
        pages: VecDeque::new(),
        len: 0,
        held: false,
        measured: false,
        liars: BTreeSet::new(),
    };
    cx.mends.chunks.insert(blob, chunk);
    cx.mends.queue.push_back(Item::Chunk(blob));
    pump(cx);
}

/// Brings back all that a record lacks here, if it is here and not evicted.
pub(crate) fn record(cx: &mut Context, record: SignedRecord) {
    if cx.mends.records.contains_key(&record.id) || cx.mends.len() >= KNOWN_MAX {
        return;
    }
    let id = record.id;
    add_record(cx, id, Broken::Lacking(record));
}

/// Brings back a record that was evicted here. `false` if there is no room to remember it.
pub(crate) fn bring_back(cx: &mut Context, record: SignedRecord) -> bool {
    let id = record.id;
    if cx.mends.records.contains_key(&id) {
        return true;
    }
    let has_room = cx.mends.len() < KNOWN_MAX;
    if has_room {
        add_record(cx, id, Broken::Evicted(record));
    }
    has_room
}

/// Brings back a record whose own bytes are damaged here.
pub(crate) fn damaged_record(cx: &mut Context, owner: OwnerId, name: NameId, id: RecordId) {
    if !cx.mends.records.contains_key(&id) && cx.mends.len() < KNOWN_MAX {
        add_record(cx, id, Broken::Damaged { owner, name });
    }
}

fn add_record(cx: &mut Context, id: RecordId, what: Broken) {
    cx.mends.records.insert(id, Record { state: State::Waiting, what });
    cx.mends.queue.push_back(Item::Record(id));
    pump(cx);
}

/// Stores a page that a peer gave in place of one that is damaged here.
pub(crate) fn page(cx: &mut Context, owner: OwnerId, page: PageId, data: Bytes) {
    cx.counters.mended += 1;
    let key = schema::page_key(owner, page);
    // One that was collected meanwhile stays away.
    let require_keys = alloc::vec![key.clone()];
    let writes = alloc::vec![Write::Put { key, value: data }];
    cx.disk(DiskOp::Commit { require_blobs: Vec::new(), require_keys, writes }, Pending::Nobody);
}

/// A chunk is being dropped on purpose: nobody here wants it any more.
pub(crate) fn forget_chunk(cx: &mut Context, blob: &BlobKey) {
    if let Some(chunk) = cx.mends.chunks.remove(blob) {
        if chunk.held {
            space::withdrawn(cx, blob.owner, chunk.len.into());
        }
        fetch::cancel(cx, |client| *client == FetchClient::Mend(*blob));
        page_loader::cancel(cx, |client| *client == PageClient::Mend(*blob));
        pump(cx);
    }
}

/// A record is being evicted or dropped.
pub(crate) fn forget_record(cx: &mut Context, id: RecordId) {
    if cx.mends.records.remove(&id).is_some() {
        pull::cancel_mend(cx, id);
        pump(cx);
    }
}

/// Who may have what is missing here.
fn sources(cx: &Context) -> BTreeSet<NodeId> {
    cx.links.ready_nodes()
}

/// Starts as many as may be under way.
pub(crate) fn pump(cx: &mut Context) {
    while cx.mends.count(State::UnderWay) < ACTIVE_MAX && (cx.mends.queue.is_empty() || repair::has_tokens(cx)) {
        let Some(item) = cx.mends.queue.pop_front() else { break };
        let Some(state) = cx.mends.state_mut(item).filter(|state| **state == State::Waiting) else { continue };
        *state = State::UnderWay;
        match item {
            Item::Chunk(blob) => {
                if let Some(chunk) = cx.mends.chunks.get_mut(&blob) {
                    chunk.measured = false;
                }
                let from = schema::references(blob.owner, blob.chunk);
                let scan = DiskOp::Scan { to: schema::end_of(&from), from, limit: PAGES_MAX, reverse: false };
                cx.disk(scan, Pending::Mend(MendStep::References(blob)));
            }
            Item::Record(id) => begin_record(cx, id),
        }
    }
    if cx.mends.queue.is_empty() && cx.mends.is_idle() {
        schedule_retry(cx);
        cx.signal(Signal::MendsIdle);
    }
}

fn begin_record(cx: &mut Context, id: RecordId) {
    match cx.mends.records.get(&id).map(|record| &record.what) {
        Some(Broken::Lacking(record) | Broken::Evicted(record)) => {
            let keys = alloc::vec![schema::record_key(record), schema::evicted_key(record.record.owner, id)];
            cx.disk(DiskOp::Lookup { keys }, Pending::Mend(MendStep::Record(id)));
        }
        Some(Broken::Damaged { owner, name }) => {
            let (owner, name) = (*owner, *name);
            let search = RequestId(cx.number());
            cx.mends.searches.insert(search, id);
            locate::start_of(cx, search, owner, name, Scope::Everywhere);
        }
        None => {}
    }
}

/// The records of a damaged record's name are known. Gives them back if the search was another's.
pub(crate) fn on_located(cx: &mut Context, search: RequestId, located: Located) -> Option<Located> {
    let Some(id) = cx.mends.searches.remove(&search) else { return Some(located) };
    let record = cx.mends.records.get_mut(&id)?;
    match located.records.iter().find(|found| found.id == id) {
        Some(found) => {
            record.what = Broken::Lacking(found.clone());
            begin_record(cx, id);
        }
        None => fail(cx, Item::Record(id)),
    }
    None
}

/// It is in order, or nobody needs it any more.
fn settle(cx: &mut Context, item: Item) {
    match item {
        Item::Chunk(blob) => drop(cx.mends.chunks.remove(&blob)),
        Item::Record(id) => drop(cx.mends.records.remove(&id)),
    }
    pump(cx);
}

/// It cannot be had now.
fn fail(cx: &mut Context, item: Item) {
    sometimes!(cx.simulation, "mend.nobody-has-it");
    if let Some(state) = cx.mends.state_mut(item) {
        *state = State::Failed;
    }
    pump(cx);
}

/// Sets the time at which what nobody had is asked for again: a while after all has been asked for, however long that took, so that
/// a node that lacks much is not at it without a pause.
fn schedule_retry(cx: &mut Context) {
    if cx.mends.failed() > 0 && cx.timers.deadline(&Timer::Mend).is_none() {
        let (first, longest) = RETRY;
        let wait = (first * 2_u32.saturating_pow(cx.mends.failures.min(16))).min(longest);
        let again = cx.now.mono + cx.jitter(wait);
        cx.timers.set(Timer::Mend, again);
    }
}

fn mended(cx: &mut Context, item: Item) {
    cx.counters.mended += 1;
    cx.mends.failures = 0;
    settle(cx, item);
}

/// Time to try again what nobody had.
pub(crate) fn on_timer(cx: &mut Context) {
    cx.mends.failures = cx.mends.failures.saturating_add(1);
    let chunks = cx.mends.chunks.iter_mut().map(|(blob, chunk)| (Item::Chunk(*blob), &mut chunk.state));
    let records = cx.mends.records.iter_mut().map(|(id, record)| (Item::Record(*id), &mut record.state));
    for (item, state) in chunks.chain(records).filter(|(_, state)| **state == State::Failed) {
        *state = State::Waiting;
        cx.mends.queue.push_back(item);
    }
    pump(cx);
}

/// A peer has come that may have what others had not.
pub(crate) fn on_peer_ready(cx: &mut Context, node: NodeId) {
    if cx.mends.failed() > 0 && cx.links.is_news(node) {
        cx.mends.failures = 0;
        let soon = cx.now.mono + RETRY_WITH_PEER;
        cx.timers.set_if_sooner(Timer::Mend, soon);
    }
}

/// An operation is complete.
pub(crate) fn on_completion(cx: &mut Context, step: MendStep, completion: Completion) {
    match step {
        MendStep::References(blob) => match completion.entries() {
            Ok((entries, _)) => {
                let Some(chunk) = cx.mends.chunks.get_mut(&blob) else { return };
                chunk.pages = entries.iter().filter_map(|(key, _)| schema::page_of_reference(key)).collect();
                next_page(cx, blob);
            }
            Err(_) => fail(cx, Item::Chunk(blob)),
        },
        MendStep::Written(blob, len, from) => {
            let written = completion.written();
            space::arrived(cx, blob.owner, len.into(), &written);
            on_written(cx, blob, from, written);
        }
        MendStep::Record(id) => match completion.values() {
            Ok(values) => on_record(cx, id, &values),
            Err(_) => fail(cx, Item::Record(id)),
        },
    }
}

/// Asks the next page that lists the chunk for its length.
fn next_page(cx: &mut Context, blob: BlobKey) {
    let Some(chunk) = cx.mends.chunks.get_mut(&blob) else { return };
    let Some(page) = chunk.pages.pop_front() else { return settle(cx, Item::Chunk(blob)) };
    let order = PageOrder {
        client: PageClient::Mend(blob),
        owner: blob.owner,
        // Only this disk is asked, which needs no length.
        page: PageRef { id: page, len: 0 },
        opening: Opening::No,
        holders: BTreeSet::new(),
    };
    page_loader::load(cx, order);
}

/// A page that lists the chunk is loaded, or cannot be.
pub(crate) fn on_page(cx: &mut Context, blob: BlobKey, result: Result<LoadedPage, PageFailure>) {
    let listed = result.ok().and_then(|page| match page.public.children {
        Children::Chunks(chunks) => chunks.into_iter().find(|chunk| chunk.id == blob.chunk),
        Children::Pages(_) => None,
    });
    let Some(chunk) = cx.mends.chunks.get_mut(&blob) else { return };
    match listed {
        Some(listed) => {
            chunk.len = listed.len;
            fetch_chunk(cx, blob);
        }
        None => next_page(cx, blob),
    }
}

fn fetch_chunk(cx: &mut Context, blob: BlobKey) {
    let holders = sources(cx);
    let lane = cx.number();
    let Some(len) = cx.mends.chunks.get(&blob).map(|chunk| chunk.len) else { return };
    let has_room = space::admit(cx, blob.owner, len.into()).is_ok();
    let Some(chunk) = cx.mends.chunks.get_mut(&blob) else { return };
    if !has_room {
        if core::mem::replace(&mut chunk.measured, true) {
            return fail(cx, Item::Chunk(blob));
        }
        return cx.mends.unmeasured.push(blob);
    }
    chunk.held = true;
    let order = fetch::Order {
        client: FetchClient::Mend(blob),
        object: ObjectKey { owner: blob.owner, id: ObjectId::Chunk(blob.chunk) },
        len: chunk.len,
        lane,
        holders: holders.difference(&chunk.liars).copied().collect(),
        wide: true,
        liars: chunk.liars.clone(),
    };
    let len = chunk.len;
    fetch::start(cx, order);
    repair::spend(cx, len);
}

/// The disk has been measured: the room of what is damaged has been given back.
pub(crate) fn on_measured(cx: &mut Context) {
    for blob in core::mem::take(&mut cx.mends.unmeasured) {
        fetch_chunk(cx, blob);
    }
}

/// The chunk came, or will not come.
pub(crate) fn on_fetched(cx: &mut Context, blob: BlobKey, result: FetchResult) {
    match result {
        FetchResult::Got { from, data } => {
            // From here on the room that it needs is the write's.
            let Some(len) = take_hold(cx, &blob) else { return };
            let step = MendStep::Written(blob, len, from);
            // The page that lists it may go before it is written.
            let entry = Some(ChunkLease::PEERS.entry(cx, blob.owner, blob.chunk));
            cx.disk(DiskOp::WriteBlob { blob, data, known: false, entry }, Pending::Mend(step));
        }
        FetchResult::Nowhere => {
            if let Some(len) = take_hold(cx, &blob) {
                space::withdrawn(cx, blob.owner, len.into());
            }
            fail(cx, Item::Chunk(blob));
        }
    }
}

/// The room kept for a chunk is no longer its mend's; its length.
fn take_hold(cx: &mut Context, blob: &BlobKey) -> Option<u32> {
    let chunk = cx.mends.chunks.get_mut(blob)?;
    chunk.held = false;
    Some(chunk.len)
}

fn on_written(cx: &mut Context, blob: BlobKey, from: NodeId, written: Result<bool, DiskError>) {
    match written {
        Ok(_) => {
            sometimes!(cx.simulation, "mend.chunk-mended");
            mended(cx, Item::Chunk(blob));
        }
        Err(DiskError::Mismatch) => {
            asks::on_lie(cx, from);
            if let Some(chunk) = cx.mends.chunks.get_mut(&blob) {
                chunk.liars.insert(from);
                fetch_chunk(cx, blob);
            }
        }
        Err(error) => {
            answers::note_disk_error(cx, &error);
            fail(cx, Item::Chunk(blob));
        }
    }
}

/// What the disk has of a record that lacks something, and its mark.
fn on_record(cx: &mut Context, id: RecordId, found: &[Option<Bytes>]) {
    let (record, comes_back) = match cx.mends.records.get(&id).map(|record| &record.what) {
        Some(Broken::Lacking(record)) => (record.clone(), false),
        Some(Broken::Evicted(record)) => (record.clone(), true),
        Some(Broken::Damaged { .. }) | None => return,
    };
    let to_be_whole = match found {
        [Some(_), mark] => comes_back || mark.is_none(),
        _ => false,
    };
    if !to_be_whole || cx.evicting.contains(&id) {
        return settle(cx, Item::Record(id));
    }
    let mut holders = sources(cx);
    holders.extend(cluster::likely_of(cx, &record.record));
    pull::start(cx, record, Part::Whole, PullClient::Mend, holders);
}

/// A record is whole again, or is not.
pub(crate) fn on_pulled(cx: &mut Context, record: SignedRecord, outcome: PullOutcome) {
    let id = record.id;
    if !cx.mends.records.contains_key(&id) {
        return;
    }
    match outcome {
        PullOutcome::Stored { .. } => {
            sometimes!(cx.simulation, "mend.record-mended");
            if record.record.owner == cx.owner {
                names::on_mended(cx, record);
            }
            mended(cx, Item::Record(id));
        }
        PullOutcome::Obsolete(_) => settle(cx, Item::Record(id)),
        PullOutcome::Refused(_) => fail(cx, Item::Record(id)),
    }
}
