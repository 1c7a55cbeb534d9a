//! The check of presence: whether every record here is what its signature says, and whether all its pages and chunks are
//! here that should be. It reads the index alone, no blob, so it is cheap: a while after every start, and once in a period.
//!
//! A run goes through the records in order of their keys, a batch at a time; of each it loads the pages one by one, which
//! verifies them, and asks which of their chunks are present. What lacks something is given to `mend`.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::disk::DiskOp;
use crate::ids::{BlobKey, NameId, OwnerId, RecordId};
use crate::manifest::{Children, PageRef};
use crate::node::context::Context;
use crate::node::page_loader::{self, LoadedPage, Opening, PageClient, PageFailure, PageOrder};
use crate::node::pending::{Completion, Pending};
use crate::node::signal::Signal;
use crate::node::timers::Timer;
use crate::node::{mend, schema};
use crate::planted;
use crate::record::{RecordBody, RecordError, SignedRecord};
use crate::work::{WorkOp, WorkResult};

/// Records looked at in a row.
const BATCH: u32 = 64;

/// The longest rest between two batches of a run that nobody waits for.
const REST_MAX: Duration = Duration::from_secs(1);

/// Into how many parts a period is cut to find the rest between batches, if that is shorter.
const RESTS_OF_PERIOD: u32 = 4_096;

/// The longest wait after a start before the first run.
const FIRST_MAX: Duration = Duration::from_secs(60);

/// Parts of a period after which the first run begins, if that is sooner.
const FIRST_OF_PERIOD: u32 = 16;

/// When a batch that the disk failed to read is read again, and a run goes on that waits for mends.
const AGAIN: Duration = Duration::from_secs(1);

/// What a run waits for; each with the run's number, since a run may be started over.
#[derive(Debug)]
pub(crate) enum PresenceStep {
    Scan(u64),
    /// The keys of the records being verified.
    Verify(u64, Vec<Bytes>),
    /// The marks of those that are evicted here.
    Marks(u64, Vec<SignedRecord>),
    /// The chunks of a page.
    Has(u64),
}

/// What a run has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) records: u64,
    pub(crate) pages: u64,
    /// Records that are damaged themselves.
    pub(crate) damaged: u64,
    /// Records that lack pages or chunks.
    pub(crate) lacking: u64,
}

/// A record being looked at.
#[derive(Debug)]
struct Current {
    record: SignedRecord,
    evicted: bool,
    /// Whether the next page is the root: only that lists further ones.
    at_root: bool,
    pages: VecDeque<PageRef>,
    lacks: bool,
}

/// The run under way, if any.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    /// The run's number; 0 if none is under way.
    run: u64,
    /// Whether somebody waits for it.
    hurried: bool,
    /// Where the next batch starts; `None` after the last.
    next: Option<Bytes>,
    batch: VecDeque<(SignedRecord, bool)>,
    current: Option<Current>,
    found: Found,
}

impl Presence {
    /// What the run under way, or the last one, has found so far.
    pub(crate) fn found(&self) -> Found {
        self.found
    }
}

/// Plans the first run after a start.
pub(crate) fn start(cx: &mut Context) {
    let period = cx.config.presence_period;
    if !period.is_zero() {
        let wait = (period / FIRST_OF_PERIOD).min(FIRST_MAX);
        let first = cx.now.mono + cx.jitter(wait);
        cx.timers.set(Timer::Presence, first);
    }
}

/// Starts a run at once, from the first record, and does not rest. Answered by [`Signal::PresenceChecked`].
pub(crate) fn hurry(cx: &mut Context) {
    begin(cx, true);
}

/// Whoever waited for the run has gone: it takes its time.
pub(crate) fn calm(cx: &mut Context) {
    cx.presence.hurried = false;
}

fn begin(cx: &mut Context, hurried: bool) {
    cx.timers.cancel(&Timer::Presence);
    page_loader::cancel(cx, |client| *client == PageClient::Presence);
    let run = cx.number();
    cx.presence = Presence { run, hurried, next: Some(Bytes::from_static(b"R")), ..Presence::default() };
    read(cx);
}

/// Time to start a run, or to go on with one.
pub(crate) fn on_timer(cx: &mut Context) {
    if cx.presence.run == 0 { begin(cx, false) } else { read(cx) }
}

/// Reads the next batch; ends the run after the last.
fn read(cx: &mut Context) {
    if !cx.mends.has_room() {
        return again(cx, AGAIN);
    }
    let Some(from) = cx.presence.next.clone() else { return finish(cx) };
    let scan = DiskOp::Scan { from, to: schema::end_of(b"R"), limit: BATCH, reverse: false };
    cx.disk(scan, Pending::Presence(PresenceStep::Scan(cx.presence.run)));
}

fn again(cx: &mut Context, rest: Duration) {
    let at = cx.now.mono + rest;
    cx.timers.set(Timer::Presence, at);
}

fn finish(cx: &mut Context) {
    cx.presence.run = 0;
    cx.presence.hurried = false;
    let period = cx.config.presence_period;
    if !period.is_zero() {
        let rest = cx.jitter(period);
        again(cx, rest);
    }
    cx.signal(Signal::PresenceChecked { done: true });
}

/// An operation is complete.
pub(crate) fn on_completion(cx: &mut Context, step: PresenceStep, completion: Completion) {
    let (PresenceStep::Scan(run) | PresenceStep::Verify(run, _) | PresenceStep::Marks(run, _) | PresenceStep::Has(run)) =
        &step;
    if *run != cx.presence.run {
        return;
    }
    match step {
        PresenceStep::Scan(run) => match completion.entries() {
            Ok((entries, more)) => {
                cx.presence.next = entries.last().filter(|_| more).map(|(key, _)| schema::after(key));
                let (keys, records) = entries.into_iter().unzip();
                cx.work(WorkOp::VerifyRecords { records }, Pending::Presence(PresenceStep::Verify(run, keys)));
            }
            Err(_) => again(cx, AGAIN),
        },
        PresenceStep::Verify(run, keys) => {
            let records = on_verified(cx, keys, completion.work());
            let of = |record: &SignedRecord| schema::evicted_key(record.record.owner, record.id);
            let marks = DiskOp::Lookup { keys: records.iter().map(of).collect() };
            cx.disk(marks, Pending::Presence(PresenceStep::Marks(run, records)));
        }
        PresenceStep::Marks(_, records) => match completion.values() {
            Ok(marks) => {
                cx.presence.batch = records.into_iter().zip(marks.into_iter().map(|mark| mark.is_some())).collect();
                next_record(cx);
            }
            Err(_) => again(cx, AGAIN),
        },
        PresenceStep::Has(_) => {
            let absent = completion.has().is_ok_and(|has| has.into_iter().any(|present| !present))
                && !planted!(cx.simulation, LackingIsWhole);
            if let Some(current) = &mut cx.presence.current {
                current.lacks |= absent;
            }
            next_page(cx);
        }
    }
}

/// The records of a batch that are what their keys say; the others are fetched again.
fn on_verified(cx: &mut Context, keys: Vec<Bytes>, result: WorkResult) -> Vec<SignedRecord> {
    let WorkResult::RecordsVerified(records) = result else { return Vec::new() };
    let mut good = Vec::new();
    for (key, record) in keys.into_iter().zip(records) {
        cx.presence.found.records += 1;
        match record {
            Ok(record) if schema::record_key(&record) == key => good.push(record),
            // A newer program wrote it.
            Err(RecordError::UnknownFormat) => {}
            Ok(_) | Err(_) => {
                cx.presence.found.damaged += 1;
                if let Some((owner, name, id)) = parts_of(&key) {
                    mend::damaged_record(cx, owner, name, id);
                }
            }
        }
    }
    good
}

fn parts_of(key: &[u8]) -> Option<(OwnerId, NameId, RecordId)> {
    let (owner, rest) = key.get(1..)?.split_first_chunk()?;
    let (name, _) = rest.split_first_chunk()?;
    Some((OwnerId(*owner), NameId(*name), schema::record_id_of(key)?))
}

fn next_record(cx: &mut Context) {
    while let Some((record, evicted)) = cx.presence.batch.pop_front() {
        if let RecordBody::File { root, root_len } = record.record.body {
            let pages = [PageRef { id: root, len: root_len }].into();
            cx.presence.current = Some(Current { record, evicted, at_root: true, pages, lacks: false });
            return next_page(cx);
        }
    }
    if cx.presence.hurried {
        cx.signal(Signal::PresenceChecked { done: false });
    }
    if cx.presence.hurried || cx.presence.next.is_none() {
        return read(cx);
    }
    let rest = (cx.config.presence_period / RESTS_OF_PERIOD).min(REST_MAX);
    again(cx, rest);
}

fn next_page(cx: &mut Context) {
    let Some(current) = &mut cx.presence.current else { return };
    let Some(page) = current.pages.pop_front() else { return end_record(cx) };
    let order = PageOrder {
        client: PageClient::Presence,
        owner: current.record.record.owner,
        page,
        opening: Opening::No,
        // What is not here is what is looked for.
        holders: [].into(),
    };
    page_loader::load(cx, order);
}

fn end_record(cx: &mut Context) {
    let Some(Current { record, lacks: true, .. }) = cx.presence.current.take() else { return next_record(cx) };
    cx.presence.found.lacking += 1;
    mend::record(cx, record);
    next_record(cx);
}

/// A page of the record being looked at is loaded, or is not here as it should be.
pub(crate) fn on_page(cx: &mut Context, result: Result<LoadedPage, PageFailure>) {
    let run = cx.presence.run;
    let Some(current) = &mut cx.presence.current else { return };
    let Ok(page) = result else {
        current.lacks = true;
        return next_page(cx);
    };
    cx.presence.found.pages += 1;
    let at_root = core::mem::replace(&mut current.at_root, false);
    let owner = current.record.record.owner;
    match page.public.children {
        Children::Pages(pages) if at_root => current.pages.extend(pages),
        Children::Chunks(chunks) if !current.evicted && !chunks.is_empty() => {
            let blobs = chunks.iter().map(|chunk| BlobKey { owner, chunk: chunk.id }).collect();
            return cx.disk(DiskOp::HasBlobs { blobs }, Pending::Presence(PresenceStep::Has(run)));
        }
        Children::Pages(_) | Children::Chunks(_) => {}
    }
    next_page(cx);
}
