//! Names: their records from the newest to the oldest, until one that is not kept any more. It and all older ones go, but those
//! that are relied on.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::disk::{DiskError, DiskOp, Write};
use crate::frame::Frame;
use crate::ids::{NodeId, RecordId};
use crate::merge::{Age, Keeper};
use crate::node::context::Context;
use crate::node::pending::{Completion, Pending};
use crate::node::signal::{Answer, AskClient};
use crate::node::{age, answers, asks, neighbours, schema};
use crate::record::{Rank, RecordBody, SignedRecord};
use crate::{planted, sometimes};

use super::{
    ASKED_MAX, Address, CollectStep, NAMES_MAX, Pass, RemoveOutcome, Why, look_at, pass_on, remove, retry, rows,
    step_done, step_failed,
};

/// Records of a name that one look removes.
const DOOMED_MAX: usize = 64;

/// A peer's answer about a name has all of its records if it has fewer than this.
const WHOLE_ANSWER_MAX: usize = 32;

/// What the collector waits for with a name.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NameStep {
    Records,
    /// Which of the records have been evicted.
    Marks,
}

/// A name that is being looked at.
#[derive(Debug)]
pub(crate) struct Look {
    address: Address,
    keeper: Keeper,
    newest: Option<SignedRecord>,
    /// The newest deletion.
    deletion: Option<Rank>,
    /// Records that are not kept, the newest first.
    doomed: VecDeque<SignedRecord>,
    /// Whether there are more of them.
    more: bool,
    failed: bool,
}

/// Looks at a name.
pub(super) fn look(cx: &mut Context, address: Address) {
    let keeper = Keeper::new(age_of_versions(cx));
    let doomed = VecDeque::new();
    let look = Look { address, keeper, newest: None, deletion: None, doomed, more: false, failed: false };
    cx.collector.look = Some(look);
    read_records(cx, address, None);
}

fn read_records(cx: &mut Context, (owner, name): Address, before: Option<Bytes>) {
    let from = schema::name_records(owner, name);
    let to = before.unwrap_or_else(|| schema::end_of(&from));
    let scan = DiskOp::Scan { from, to, limit: rows(cx), reverse: true };
    cx.disk(scan, Pending::Collect(CollectStep::Name(NameStep::Records)));
}

/// An operation is complete.
pub(super) fn on_completion(cx: &mut Context, step: &NameStep, completion: Completion) {
    match step {
        NameStep::Records => match completion.entries() {
            Ok((entries, more)) => on_records(cx, entries, more),
            Err(error) => fail(cx, &error),
        },
        NameStep::Marks => match completion.values() {
            Ok(marks) => on_marks(cx, &marks),
            Err(error) => fail(cx, &error),
        },
    }
}

fn fail(cx: &mut Context, error: &DiskError) {
    if let Some(look) = cx.collector.look.take() {
        look_at(cx, look.address.0, look.address.1);
    }
    step_failed(cx, error);
}

fn on_records(cx: &mut Context, entries: Vec<(Bytes, Bytes)>, more: bool) {
    let Some(look) = &mut cx.collector.look else { return };
    let last = entries.last().map(|(key, _)| key.clone());
    for (_, record) in entries {
        let Ok(record) = SignedRecord::decode(record) else { continue };
        if look.newest.is_none() {
            look.newest = Some(record.clone());
        }
        if record.record.body == RecordBody::Tombstone {
            look.deletion.get_or_insert(record.rank());
        }
        let is_last = record.record.body == RecordBody::Tombstone && look.doomed.is_empty() && !more;
        let forgotten = is_last && planted!(cx.simulation, TombstoneForgotten);
        if look.keeper.keeps(&record.record) && !forgotten {
            continue;
        }
        look.more |= look.doomed.len() >= DOOMED_MAX;
        if !look.more {
            look.doomed.push_back(record);
        }
    }
    let address = look.address;
    if let (true, false, Some(last)) = (more, look.more, last) {
        return read_records(cx, address, Some(last));
    }
    let Some(newest) = look.newest.as_ref().filter(|_| !look.doomed.is_empty()) else {
        cx.collector.look = None;
        return step_done(cx);
    };
    let records = core::iter::once(newest).chain(&look.doomed);
    let keys = records.map(|record| schema::evicted_key(record.record.owner, record.id)).collect();
    cx.disk(DiskOp::Lookup { keys }, Pending::Collect(CollectStep::Name(NameStep::Marks)));
}

/// A whole copy goes only for a whole copy, or for a deletion: what replaces it may not be acknowledged yet, and be nowhere else.
fn on_marks(cx: &mut Context, marks: &[Option<Bytes>]) {
    let Some(look) = &mut cx.collector.look else { return };
    let deletion = look.deletion;
    let newest_is_whole = marks.first().is_none_or(Option::is_none);
    let marks = marks.iter().skip(1).map(Option::is_some);
    let doomed = core::mem::take(&mut look.doomed).into_iter().zip(marks);
    let may_go = |(record, is_marked): (SignedRecord, bool)| {
        let is_deleted = deletion.is_some_and(|deletion| record.rank() < deletion);
        (newest_is_whole || is_marked || is_deleted).then_some(record)
    };
    look.doomed = doomed.filter_map(may_go).collect();
    remove_next(cx);
}

fn remove_next(cx: &mut Context) {
    let Some(look) = &mut cx.collector.look else { return };
    if let Some(record) = look.doomed.pop_front() {
        let heir = look.newest.clone();
        return remove(cx, record, Why::NotKept(heir));
    }
    let ((owner, name), failed, more) = (look.address, look.failed, look.more);
    cx.collector.look = None;
    if failed || more {
        look_at(cx, owner, name);
    }
    if failed { retry(cx) } else { step_done(cx) }
}

/// A removal is over.
pub(super) fn on_removed(cx: &mut Context, record: &SignedRecord, outcome: RemoveOutcome) {
    match outcome {
        RemoveOutcome::Removed => sometimes!(cx.simulation, "collect.record-removed"),
        // Whoever uses it has the name looked at again afterwards.
        RemoveOutcome::Busy | RemoveOutcome::Unconfirmed => {}
        // Beyond so many a later pass looks whether it is owed still.
        RemoveOutcome::Owed => {
            if cx.collector.owed.len() < NAMES_MAX {
                cx.collector.owed.insert((record.record.owner, record.record.name_id));
            }
        }
        RemoveOutcome::Promised(nodes) => nodes.into_iter().for_each(|node| ask_whether_relied_on(cx, record, node)),
        RemoveOutcome::Failed => {
            if let Some(look) = &mut cx.collector.look {
                look.failed = true;
            }
        }
    }
    remove_next(cx);
}

/// Whether a node still relies on a promise that keeps a record here: it does if it has the record without the chunks, or is about
/// to drop them. Who is no longer a member relies on nothing. A node that is away is asked another time.
pub(crate) fn ask_whether_relied_on(cx: &mut Context, record: &SignedRecord, node: NodeId) {
    if node != cx.me && !cx.members.is_in(node) {
        return lapse(cx, record, node);
    }
    let is_away = !neighbours::can_be_asked(cx, node);
    if is_away || cx.collector.asked.len() >= ASKED_MAX || cx.collector.asked.contains_key(&(record.id, node)) {
        return;
    }
    cx.collector.asked.insert((record.id, node), record.clone());
    let (owner, name_id) = (record.record.owner, record.record.name_id);
    asks::ask(cx, AskClient::Promise(record.id), node, |request| Frame::Find { request, owner, name_id });
}

/// A node said which records of the name it has, or did not answer.
pub(crate) fn on_answered(cx: &mut Context, id: RecordId, node: NodeId, answer: Option<Answer>) {
    let Some(record) = cx.collector.asked.remove(&(id, node)) else { return };
    let Some(answer) = answer else { return };
    let Answer::Records { records, .. } = answer else { return asks::on_lie(cx, node) };
    let is_whole = records.len() < WHOLE_ANSWER_MAX;
    let decoded = records.into_iter().filter_map(|held| Some((SignedRecord::decode(held.record).ok()?, held.complete)));
    let there: Vec<_> = decoded.map(|(other, complete)| (other.rank(), complete)).collect();
    let is_covered = is_whole || there.iter().any(|(rank, _)| *rank <= record.rank());
    let is_relied_on = there.iter().any(|(rank, complete)| *rank == record.rank() && !complete);
    if is_covered && !is_relied_on {
        lapse(cx, &record, node);
    }
}

/// A promise that nobody relies on goes.
fn lapse(cx: &mut Context, record: &SignedRecord, node: NodeId) {
    if cx.fresh.is_promising(record.id) {
        return;
    }
    sometimes!(cx.simulation, "collect.promise-outlived");
    let key = schema::promise_key(record.record.owner, record.id, node);
    answers::commit_quietly(cx, alloc::vec![Write::Delete { key }]);
    look_at(cx, record.record.owner, record.record.name_id);
}

/// Reads records on, to find names that have more than they keep.
pub(super) fn read(cx: &mut Context, from: Bytes) {
    let to = schema::end_of(schema::RECORDS);
    let scan = DiskOp::Scan { from, to, limit: rows(cx), reverse: false };
    cx.disk(scan, Pending::Collect(CollectStep::Records));
}

/// Records are read: a name that does not keep all of its own is looked at, and one that has records in two batches.
pub(super) fn on_read(cx: &mut Context, completion: Completion) {
    let (entries, more) = match completion.entries() {
        Ok(read) => read,
        Err(error) => return step_failed(cx, &error),
    };
    let Pass::Records(_, before) = cx.collector.pass.clone() else { return step_done(cx) };
    let rows: Vec<(Address, &Bytes)> =
        entries.iter().filter_map(|(key, row)| Some((schema::address_of_record(key)?, row))).collect();
    let age = age_of_versions(cx);
    let last = rows.last().map(|(address, _)| *address);
    for name in rows.chunk_by(|(one, _), (other, _)| one == other) {
        let Some((address, _)) = name.first() else { continue };
        let goes_on = before == Some(*address);
        let is_whole = !(goes_on || more && last == Some(*address));
        let is_to_be_looked_at = if is_whole { !keeps_all(age, name) } else { goes_on || name.len() > 1 };
        if is_to_be_looked_at {
            look_at(cx, address.0, address.1);
        }
    }
    let next = match entries.last().filter(|_| more) {
        Some((key, _)) => Pass::Records(schema::after(key), last.or(before)),
        None => Pass::ChunkLeases(Bytes::from_static(schema::LEASES)),
    };
    pass_on(cx, next);
}

/// Whether a name keeps all of its records, the oldest of which comes first.
fn keeps_all(age: Age, rows: &[(Address, &Bytes)]) -> bool {
    let mut keeper = Keeper::new(age);
    let mut records = rows.iter().rev().filter_map(|(_, row)| SignedRecord::decode((*row).clone()).ok());
    rows.len() < 2 || records.all(|record| keeper.keeps(&record.record))
}

fn age_of_versions(cx: &mut Context) -> Age {
    let mut age = age::of_versions(cx);
    if planted!(cx.simulation, CollectIgnoresDays) {
        age.now_ms = u64::MAX;
    }
    age
}
