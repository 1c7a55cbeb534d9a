//! Which records are on the disk: every commit that adds or removes one goes through here, so that the [`Summary`] in memory is
//! what the disk has, and names follow.
//!
//! Invariants. A record is counted if and only if it is on the disk, unless it is *busy* (a commit about it is under way),
//! *doubtful* (nobody knows whether its commit was made; the disk is asked) or not yet reached by the scan that a start begins
//! with. About one record one commit is under way at a time, and before it the disk tells whether the record is there: so it is
//! known what the commit changes.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use bytes::Bytes;

use crate::disk::{DiskDone, DiskError, DiskOp, Write};
use crate::ids::{BlobKey, OwnerId};
use crate::node::context::Context;
use crate::node::pending::{Completion, Pending};
use crate::node::summary::{Counted, Place, Summary};
use crate::node::timers::Timer;
use crate::node::{answers, boot, names, outbox, schema};
use crate::record::SignedRecord;
use crate::{buggify, planted, sometimes};

/// Records read at a time at start.
const BATCH: u32 = 256;

/// Doubtful records that the disk is asked about at a time.
const LOOKUPS_MAX: usize = 64;

/// What goes with the change of a record, in the same commit.
#[derive(Debug, Default)]
pub(crate) struct With {
    pub(crate) require_blobs: Vec<BlobKey>,
    pub(crate) require_keys: Vec<Bytes>,
    pub(crate) writes: Vec<Write>,
}

/// What is waited for.
#[derive(Debug)]
pub(crate) enum RecordsStep {
    /// A batch of the scan at start.
    Read,
    /// Whether the records of a job are on the disk.
    Look(u64),
    Commit(u64),
}

#[derive(Debug)]
struct Change {
    key: Bytes,
    record: SignedRecord,
    adds: bool,
    /// Whether it was on the disk before the commit.
    was_there: bool,
    /// Whether it is in the sums. (The scan counts nothing that is busy.)
    counted: bool,
}

/// Changes that are made in one commit; or none, and the disk is only asked.
#[derive(Debug)]
struct Job {
    changes: Vec<Change>,
    commit: Option<(With, Box<Pending>)>,
}

/// A record of which nobody knows whether the disk has it.
#[derive(Debug)]
struct Doubt {
    record: SignedRecord,
    /// Whether it is in the sums.
    counted: bool,
    /// Whether a commit that stores it has failed, and may have been made all the same.
    failed: bool,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The disk could not tell what is there.
    Unknown,
    /// All is as it was.
    Unchanged,
    Made,
    /// The commit failed, and may have been made all the same.
    InDoubt,
}

/// How far the scan at start has come.
#[derive(Debug, Default)]
enum Reading {
    #[default]
    NotStarted,
    /// All before this key has been counted; whether the next batch is being read.
    From(Bytes, bool),
    Done,
}

/// What is known of which records are on the disk.
#[derive(Debug)]
pub(crate) struct Records {
    summary: Summary,
    reading: Reading,
    /// Records that a job is about, and whether the scan has passed them meanwhile.
    busy: BTreeMap<Bytes, bool>,
    jobs: BTreeMap<u64, Job>,
    /// Jobs about records that are busy.
    waiting: VecDeque<Job>,
    doubtful: BTreeMap<Bytes, Doubt>,
    /// Whether the disk is being asked about doubtful records.
    asking: bool,
    /// Where the sums have changed since it was last asked, and whether there were records of this node's owner among it.
    changed: BTreeMap<Place, bool>,
    /// Rows that the scan could make nothing of, and so did not count.
    damaged: BTreeSet<Bytes>,
}

impl Records {
    pub(crate) fn new(owner: OwnerId) -> Self {
        Self {
            summary: Summary::new(owner),
            reading: Reading::NotStarted,
            busy: BTreeMap::new(),
            jobs: BTreeMap::new(),
            waiting: VecDeque::new(),
            doubtful: BTreeMap::new(),
            asking: false,
            changed: BTreeMap::new(),
            damaged: BTreeSet::new(),
        }
    }

    /// The sums of what is on the disk, once all of it has been counted.
    pub(crate) fn summary(&self) -> Option<&Summary> {
        matches!(self.reading, Reading::Done).then_some(&self.summary)
    }

    /// Whether the sums are exactly those of the disk.
    pub(crate) fn is_certain(&self) -> bool {
        matches!(self.reading, Reading::Done) && self.busy.is_empty() && self.doubtful.is_empty()
    }

    /// Whether a record is being stored or removed.
    pub(crate) fn is_busy(&self) -> bool {
        !self.busy.is_empty()
    }

    /// Where records have come or gone since this was last asked: at most the places that there are. True if some of them were of this
    /// node's owner.
    pub(crate) fn take_changed(&mut self) -> BTreeMap<Place, bool> {
        core::mem::take(&mut self.changed)
    }

    /// Whether an owner's record may be on the disk that its commit has not told of.
    pub(crate) fn may_lack(&self, owner: OwnerId) -> bool {
        self.doubtful.values().any(|doubt| doubt.failed && doubt.record.record.owner == owner)
    }

    /// Whether the scan at start has gone past a key.
    fn has_read(&self, key: &Bytes) -> bool {
        match &self.reading {
            Reading::NotStarted => false,
            Reading::From(from, _) => key < from,
            Reading::Done => true,
        }
    }

    /// The disk has a record, or has not.
    fn settle(&mut self, key: Bytes, record: SignedRecord, is_there: bool, counted: bool) {
        if !self.has_read(&key) {
            // A batch that is being read may have it or not.
            self.doubtful.insert(key, Doubt { record, counted: false, failed: false });
        } else if is_there != counted {
            let counted = Counted::of(&record);
            *self.changed.entry(Place::of(&record)).or_default() |= self.summary.is_own(counted);
            if is_there { self.summary.add(counted) } else { self.summary.remove(counted) }
        }
    }
}

/// Operations of its own: the scan at start, and the question about doubtful records.
pub(crate) const OPERATIONS_MAX: u64 = 2;

/// Starts to count all records.
pub(crate) fn start(cx: &mut Context) {
    cx.records.reading = Reading::From(Bytes::from_static(schema::RECORDS), false);
    read_on(cx);
}

fn read_on(cx: &mut Context) {
    let Reading::From(from, under_way @ false) = &mut cx.records.reading else { return };
    *under_way = true;
    let (from, to) = (from.clone(), schema::end_of(schema::RECORDS));
    let limit = if buggify!(cx.simulation, "records.batch-of-one", for a run) { 1 } else { BATCH };
    cx.disk(DiskOp::Scan { from, to, limit, reverse: false }, Pending::Records(RecordsStep::Read));
}

/// A batch of the scan is read.
fn on_read(cx: &mut Context, entries: Result<(Vec<(Bytes, Bytes)>, bool), DiskError>) {
    let (entries, more) = match entries {
        Ok(read) => read,
        Err(error) => {
            answers::note_disk_error(cx, &error);
            if let Reading::From(_, under_way) = &mut cx.records.reading {
                *under_way = false;
            }
            return again_soon(cx);
        }
    };
    let next = entries.last().filter(|_| more).map(|(key, _)| schema::after(key));
    for (key, value) in entries {
        if let Some(passed) = cx.records.busy.get_mut(&key) {
            *passed = true;
        } else if cx.records.doubtful.contains_key(&key) {
            sometimes!(cx.simulation, "records.changed-while-counted");
        } else if let Ok(record) = SignedRecord::decode(value) {
            cx.records.summary.add(Counted::of(&record));
        } else {
            cx.records.damaged.insert(key);
        }
    }
    match next {
        Some(next) => {
            cx.records.reading = Reading::From(next, false);
            read_on(cx);
        }
        None => cx.records.reading = Reading::Done,
    }
    ask_about_doubtful(cx);
}

/// Stores a record that the disk cannot have yet.
pub(crate) fn add_new(cx: &mut Context, record: SignedRecord, with: With, then: Pending) {
    let mut job = adding(record, with, then);
    for change in &mut job.changes {
        change.was_there = false;
        cx.records.busy.insert(change.key.clone(), false);
    }
    commit(cx, job);
}

/// Stores a record, whether or not the disk has it.
pub(crate) fn add(cx: &mut Context, record: SignedRecord, with: With, then: Pending) {
    let job = adding(record, with, then);
    start_or_wait(cx, job);
}

/// Removes records that must be on the disk, or nothing is changed.
pub(crate) fn remove(cx: &mut Context, records: Vec<SignedRecord>, mut with: With, then: Pending) {
    let mut changes = Vec::new();
    for record in records {
        let key = schema::record_key(&record);
        with.require_keys.push(key.clone());
        with.writes.push(Write::Delete { key: key.clone() });
        changes.push(Change { key, record, adds: false, was_there: false, counted: false });
    }
    start_or_wait(cx, Job { changes, commit: Some((with, Box::new(then))) });
}

fn adding(record: SignedRecord, mut with: With, then: Pending) -> Job {
    let key = schema::record_key(&record);
    with.writes.push(Write::Put { key: key.clone(), value: record.bytes.clone() });
    let change = Change { key, record, adds: true, was_there: false, counted: false };
    Job { changes: alloc::vec![change], commit: Some((with, Box::new(then))) }
}

fn start_or_wait(cx: &mut Context, job: Job) {
    if job.changes.iter().any(|change| cx.records.busy.contains_key(&change.key)) {
        cx.records.waiting.push_back(job);
    } else {
        look(cx, job);
    }
}

/// Asks the disk which of the records it has.
fn look(cx: &mut Context, job: Job) {
    let id = cx.number();
    let keys: Vec<Bytes> = job.changes.iter().map(|change| change.key.clone()).collect();
    cx.records.busy.extend(keys.iter().map(|key| (key.clone(), false)));
    cx.records.jobs.insert(id, job);
    cx.disk(DiskOp::Lookup { keys }, Pending::Records(RecordsStep::Look(id)));
}

fn commit(cx: &mut Context, mut job: Job) {
    let Some((with, _)) = &mut job.commit else { return };
    let With { require_blobs, require_keys, writes } = core::mem::take(with);
    let id = cx.number();
    cx.records.jobs.insert(id, job);
    cx.disk(DiskOp::Commit { require_blobs, require_keys, writes }, Pending::Records(RecordsStep::Commit(id)));
}

/// An operation is complete. Returns who waits for the commit, if it is over.
pub(crate) fn on_completion(
    cx: &mut Context,
    step: RecordsStep,
    completion: Completion,
) -> Option<(Pending, Completion)> {
    match step {
        RecordsStep::Read => {
            on_read(cx, completion.entries());
            None
        }
        RecordsStep::Look(id) => on_looked(cx, id, completion.values()),
        RecordsStep::Commit(id) => on_committed(cx, id, completion),
    }
}

fn on_looked(
    cx: &mut Context,
    id: u64,
    values: Result<Vec<Option<Bytes>>, DiskError>,
) -> Option<(Pending, Completion)> {
    let mut job = cx.records.jobs.remove(&id)?;
    let values = match values {
        Ok(values) => values,
        Err(error) => {
            answers::note_disk_error(cx, &error);
            again_soon(cx);
            release(cx, &job, End::Unknown);
            return job.commit.map(|(_, then)| (*then, Completion::Disk(Err(error))));
        }
    };
    for (change, value) in job.changes.iter_mut().zip(values) {
        change.was_there = value.is_some() && !cx.records.damaged.remove(&change.key);
        change.counted = clear_up(cx, change) && change.was_there;
    }
    if job.commit.is_some() {
        commit(cx, job);
    } else {
        release(cx, &job, End::Unchanged);
    }
    None
}

/// The disk has told whether it has a record: if that was in doubt, or the scan has passed it by, it is counted now.
/// Returns whether the sums are right about it.
fn clear_up(cx: &mut Context, change: &Change) -> bool {
    if !cx.records.has_read(&change.key) {
        return false;
    }
    let passed = cx.records.busy.get_mut(&change.key).is_some_and(core::mem::take);
    let doubt = cx.records.doubtful.remove(&change.key);
    if passed || doubt.is_some() {
        let counted = !passed && doubt.as_ref().is_some_and(|doubt| doubt.counted);
        cx.records.settle(change.key.clone(), change.record.clone(), change.was_there, counted);
    }
    if doubt.is_some_and(|doubt| doubt.failed) {
        on_doubt_over(cx, change.record.clone(), change.was_there);
    }
    true
}

/// It is known whether a record is there whose commit failed.
fn on_doubt_over(cx: &mut Context, record: SignedRecord, is_there: bool) {
    if is_there && record.record.owner == cx.owner {
        outbox::on_doubt_over(cx, &record.record);
    }
    names::on_doubt_over(cx, record, is_there);
}

fn on_committed(cx: &mut Context, id: u64, completion: Completion) -> Option<(Pending, Completion)> {
    let job = cx.records.jobs.remove(&id)?;
    let committed = match &completion {
        Completion::Disk(Ok(DiskDone::Committed)) => Ok(true),
        Completion::Disk(Ok(_)) => Ok(false),
        Completion::Disk(Err(error)) => Err(error.clone()),
        Completion::Work(_) => return None,
    };
    let end = match committed {
        Ok(true) => End::Made,
        Ok(false) => End::Unchanged,
        Err(_) => End::InDoubt,
    };
    release(cx, &job, end);
    for change in job.changes.iter().filter(|change| change.adds && end == End::Made) {
        names::on_stored(cx, change.record.clone());
    }
    job.commit.map(|(_, then)| (*then, completion))
}

/// A job is over: what it has made of its records is counted, and who waits for them goes on.
fn release(cx: &mut Context, job: &Job, end: End) {
    cx.records.asking &= job.commit.is_some();
    for change in &job.changes {
        let passed = cx.records.busy.remove(&change.key).unwrap_or_default();
        if end == End::Unknown && !passed {
            continue;
        }
        let doubt = cx.records.doubtful.remove(&change.key);
        let counted = change.counted;
        let failed = doubt.is_some_and(|doubt| doubt.failed);
        let (key, record) = (change.key.clone(), change.record.clone());
        match end {
            End::Unchanged | End::Made => {
                let is_there = if end == End::Made { change.adds } else { change.was_there };
                let seems_there = is_there && !planted!(cx.simulation, SumForgetsCommit);
                cx.records.settle(key, record.clone(), seems_there, counted);
                if failed {
                    on_doubt_over(cx, record, is_there);
                }
            }
            End::Unknown | End::InDoubt => {
                sometimes!(cx.simulation, "records.in-doubt");
                let failed = failed || (end == End::InDoubt && change.adds);
                cx.records.doubtful.insert(key, Doubt { record, counted, failed });
                again_soon(cx);
            }
        }
    }
    for _ in 0..cx.records.waiting.len() {
        let Some(job) = cx.records.waiting.pop_front() else { break };
        start_or_wait(cx, job);
    }
    ask_about_doubtful(cx);
}

/// What could not be read is read again in a while.
fn again_soon(cx: &mut Context) {
    let soon = cx.now.mono + boot::AGAIN;
    cx.timers.set_if_sooner(Timer::Records, soon);
}

/// Time to ask again what the disk could not tell.
pub(crate) fn on_timer(cx: &mut Context) {
    read_on(cx);
    ask_about_doubtful(cx);
}

/// Asks the disk about doubtful records that are past the scan.
fn ask_about_doubtful(cx: &mut Context) {
    if cx.records.asking || cx.timers.deadline(&Timer::Records).is_some() {
        return;
    }
    let records = &cx.records;
    let askable = |(key, _): &(&Bytes, &Doubt)| records.has_read(key) && !records.busy.contains_key(*key);
    let change = |(key, doubt): (&Bytes, &Doubt)| Change {
        key: key.clone(),
        record: doubt.record.clone(),
        adds: true,
        was_there: false,
        counted: false,
    };
    let changes: Vec<Change> = records.doubtful.iter().filter(askable).take(LOOKUPS_MAX).map(change).collect();
    if !changes.is_empty() {
        cx.records.asking = true;
        look(cx, Job { changes, commit: None });
    }
}

#[cfg(test)]
mod tests;
