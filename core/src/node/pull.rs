//! Pulls: bringing a record and all that it names onto this disk. One mechanism serves a peer's announcement, a promise and
//! a restore.
//!
//! Pages are stored bottom-up, each in one commit that requires all that it lists, and the record last: so a page that is
//! stored was complete, and a record becomes visible only with all its chunks durable. Pages that are here already are
//! taken through the same again: a chunk may have been evicted or found damaged since.
//!
//! A record that its name would not keep is not pulled at all. A light pull brings the record and its pages alone, for a device of
//! the owner that does not hold the file: the record is marked, so that nobody takes it for whole, and its pages need no chunks
//! here. A record that is here already stays as it is. One that was marked and is pulled whole loses its mark. Where there is no room
//! for all of an owner's record, its device takes it light, to know of it, and makes it whole when there is (`fill`).

mod chunks;
mod pages;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use bytes::Bytes;

use crate::disk::{DiskError, DiskOp};
use crate::frame::Refusal;
use crate::ids::{BlobKey, ChunkId, LinkId, NodeId, PageId, RecordId, RequestId};
use crate::manifest::{ChunkRef, PageRef};
use crate::node::cluster::Part;
use crate::node::context::Context;
use crate::node::gauges::Gauge;
use crate::node::judge::{self, Judging, Verdict};
use crate::node::page_loader::{self, PageClient};
use crate::node::pending::{Completion, Pending};
use crate::node::signal::{FetchClient, Signal};
use crate::node::upload::BLOB_LEN_MIN;
use crate::node::{answers, fetch, schema, space};
use crate::record::SignedRecord;
use crate::seal::BLOB_LEN_MAX;
use crate::{buggify, planted, sometimes};

pub(crate) use chunks::{on_fetched, pump_repairs};
pub(crate) use pages::on_page;

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
    /// Of an own record: whether it is here, and marked as one whose chunks may be absent.
    is_here: bool,
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
        is_here: false,
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
        return refuse_for_room(cx, id, Refusal::Full);
    }
    refuse(cx, id, Refusal::Disk);
}

/// There is no room for all of it: a device of its owner takes it light.
fn refuse_for_room(cx: &mut Context, id: PullId, reason: Refusal) {
    let Some(pull) = cx.pulls.pulls.get(&id) else { return };
    let is_own_file = pull.record.record.owner == cx.owner && pull.record.record.body.is_file();
    // What is mended was here, and may have been dropped since.
    let is_news = is_own_file && pull.part == Part::Whole && !pull.is_here && pull.client != PullClient::Mend;
    let light = is_news.then(|| (pull.record.clone(), pull.holders.clone()));
    refuse(cx, id, reason);
    if let Some((record, holders)) = light {
        start(cx, record, Part::Light, PullClient::Nobody, holders);
    }
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
    pages::bring(cx, id);
}

/// What is here of an own record is known.
fn on_own(cx: &mut Context, id: PullId, values: &[Option<Bytes>]) {
    let Some(pull) = cx.pulls.pulls.get_mut(&id) else { return };
    pull.is_here = values.first().is_some_and(Option::is_some);
    pull.is_marked = values.get(1).is_some_and(Option::is_some) && !cx.evicting.contains(&pull.record.id);
    if pull.is_here && pull.part == Part::Light {
        return finish(cx, id, PullOutcome::Stored { fetched_bytes: 0 });
    }
    pages::bring(cx, id);
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
            Ok(has) => chunks::on_presence(cx, id, &has),
            Err(error) => refuse_disk(cx, id, &error),
        },
        PullStep::Write(blob, len, from) => {
            let written = completion.written();
            space::arrived(cx, blob.owner, len.into(), &written);
            chunks::on_written(cx, id, blob.chunk, from, written);
        }
        PullStep::CommitPage => match completion.committed() {
            Ok(true) => pages::next(cx, id),
            Ok(false) => {
                // A chunk was dropped or found damaged since it was looked for.
                sometimes!(cx.simulation, "pull.chunk-vanished");
                chunks::look_for(cx, id);
            }
            Err(error) => refuse_disk(cx, id, &error),
        },
        PullStep::CommitRecord => match completion.committed() {
            Ok(true) => pages::on_record_stored(cx, id),
            Ok(false) => refuse(cx, id, Refusal::Disk),
            Err(error) => refuse_disk(cx, id, &error),
        },
    }
}
