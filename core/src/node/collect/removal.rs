//! Removing a record from this disk, with all that only it needs.
//!
//! One commit takes the record and its mark and dooms its root page; the collector then takes the pages, their references and
//! the chunks that nothing else needs. So a record is gone at once and whole, and a crash leaves only work to be done.
//!
//! Who is still owed the record is owed another in its place, if the caller names one: the one that replaced it. A deletion that is
//! owed to somebody who is not to have that one stays.
//!
//! A record that is out of place here goes the same way, once all that are to hold it have confirmed that they do (`rebalance`).
//!
//! Not removed is what somebody relies on: a record that this node has promised to keep, that a request is reading, or that
//! is being evicted. While the removal is under way no promise on it is given.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::disk::{DiskError, DiskOp, KEYS_MAX, Write};
use crate::ids::{NodeId, PageId, RecordId};
use crate::node::cluster::Part;
use crate::node::context::Context;
use crate::node::pending::{Completion, Pending};
use crate::node::records::{self, With};
use crate::node::signal::Signal;
use crate::node::{answers, cluster, debts, keep, mend, outbox, rebalance, schema};
use crate::record::{RecordBody, SignedRecord};
use crate::{planted, sometimes};

/// Promises about one record that are looked at.
const PROMISES_MAX: u32 = 64;

/// Other records of the same version that are looked at.
const SIBLINGS_MAX: u32 = 16;

/// How a removal ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RemoveOutcome {
    /// The record is gone, and its pages and chunks follow.
    Removed,
    /// These nodes rely on it.
    Promised(Vec<NodeId>),
    /// It is in use right now.
    Busy,
    /// It is a deletion that some member has not been told of, and would not learn of otherwise.
    Owed,
    /// It is out of place here, and not all that are to hold it have confirmed that they do.
    Unconfirmed,
    /// The disk failed, or did not have it.
    Failed,
}

/// Why a record goes.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "it is handed on once, and kept nowhere")]
pub(crate) enum Why {
    /// Its name does not keep it. Who is owed it is owed this one instead, if one is named, which must be here, too.
    NotKept(Option<SignedRecord>),
    /// It is out of place: it goes once `rebalance` finds that it lies where it is to lie.
    OutOfPlace,
}

/// What a removal waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RemoveStep {
    Promises,
    /// Other records of the same version, which may name the same root page.
    Siblings,
    /// The mark of an evicted record, and the deliveries that are owed.
    Marks,
    Commit,
}

#[derive(Debug)]
struct Removal {
    record: SignedRecord,
    out_of_place: bool,
    /// The record that is owed in its place.
    heir: Option<SignedRecord>,
    /// The root page, unless another record needs it.
    root: Option<PageId>,
    evicted: bool,
    members: Vec<NodeId>,
    /// The nodes that are owed it.
    owed: Vec<NodeId>,
    /// How many debts pass on to the heir.
    inherited: u64,
}

/// All removals under way.
#[derive(Debug, Default)]
pub(crate) struct Removals {
    removals: BTreeMap<RecordId, Removal>,
}

/// Removes a record that is on this disk. Answered by [`Signal::Removed`].
pub(crate) fn remove(cx: &mut Context, record: SignedRecord, why: Why) {
    let id = record.id;
    if cx.in_use.contains(id) || cx.fresh.is_promising(id) || !cx.evicting.insert(id) {
        let out_of_place = matches!(why, Why::OutOfPlace);
        return cx.signal(Signal::Removed { record, out_of_place, outcome: RemoveOutcome::Busy });
    }
    let from = schema::promises(record.record.owner, id);
    let root = root_of(&record);
    let (heir, out_of_place) = match why {
        Why::NotKept(heir) => (heir, false),
        Why::OutOfPlace => (None, true),
    };
    let (members, owed) = (Vec::new(), Vec::new());
    let removal = Removal { record, out_of_place, heir, root, evicted: false, members, owed, inherited: 0 };
    cx.removals.removals.insert(id, removal);
    scan(cx, id, from, PROMISES_MAX, RemoveStep::Promises);
}

fn root_of(record: &SignedRecord) -> Option<PageId> {
    match record.record.body {
        RecordBody::File { root, .. } => Some(root),
        RecordBody::Tombstone | RecordBody::Checkpoint(_) => None,
    }
}

fn scan(cx: &mut Context, id: RecordId, from: Bytes, limit: u32, step: RemoveStep) {
    let scan = DiskOp::Scan { to: schema::end_of(&from), from, limit, reverse: false };
    cx.disk(scan, Pending::Remove(id, step));
}

fn finish(cx: &mut Context, id: RecordId, outcome: RemoveOutcome) {
    cx.evicting.remove(&id);
    if let Some(Removal { record, out_of_place, .. }) = cx.removals.removals.remove(&id) {
        cx.signal(Signal::Removed { record, out_of_place, outcome });
    }
}

/// All that are to hold a record which is out of place have confirmed that they do.
pub(crate) fn confirmed(cx: &mut Context, id: RecordId) {
    look_for_siblings(cx, id);
}

/// They have not: it stays.
pub(crate) fn give_up(cx: &mut Context, id: RecordId) {
    finish(cx, id, RemoveOutcome::Unconfirmed);
}

fn fail(cx: &mut Context, id: RecordId, error: &DiskError) {
    answers::note_disk_error(cx, error);
    finish(cx, id, RemoveOutcome::Failed);
}

/// An operation is complete.
pub(crate) fn on_completion(cx: &mut Context, id: RecordId, step: RemoveStep, completion: Completion) {
    match step {
        RemoveStep::Promises => match completion.entries() {
            Ok((entries, _)) if entries.is_empty() => {
                let out_of_place = cx.removals.removals.get(&id).is_some_and(|removal| removal.out_of_place);
                if out_of_place { rebalance::confirm(cx, id) } else { look_for_siblings(cx, id) }
            }
            Ok((entries, _)) => {
                sometimes!(cx.simulation, "collect.promised-record-kept");
                let nodes = entries.iter().filter_map(|(key, _)| schema::node_at_end(key)).collect();
                finish(cx, id, RemoveOutcome::Promised(nodes));
            }
            Err(error) => fail(cx, id, &error),
        },
        RemoveStep::Siblings => match completion.entries() {
            Ok((entries, _)) => on_siblings(cx, id, entries),
            Err(error) => fail(cx, id, &error),
        },
        RemoveStep::Marks => match completion.values() {
            Ok(values) => on_marks(cx, id, &values),
            Err(error) => fail(cx, id, &error),
        },
        RemoveStep::Commit => match completion.committed() {
            Ok(true) => on_removed(cx, id),
            Ok(false) => finish(cx, id, RemoveOutcome::Failed),
            Err(error) => {
                debts::doubt(cx);
                fail(cx, id, &error);
            }
        },
    }
}

fn look_for_siblings(cx: &mut Context, id: RecordId) {
    let Some(removal) = cx.removals.removals.get(&id) else { return };
    let record = &removal.record.record;
    let from = schema::version_records(record.owner, record.name_id, record.version);
    scan(cx, id, from, SIBLINGS_MAX, RemoveStep::Siblings);
}

/// Two records share pages only if they are of one version, since a page is sealed for its version.
fn on_siblings(cx: &mut Context, id: RecordId, entries: Vec<(Bytes, Bytes)>) {
    let Some(removal) = cx.removals.removals.get_mut(&id) else { return };
    let others = entries.into_iter().filter_map(|(_, record)| SignedRecord::decode(record).ok());
    let roots = others.filter(|other| other.id != id).filter_map(|other| root_of(&other));
    let shared: Vec<PageId> = roots.collect();
    removal.root = removal.root.filter(|root| !shared.contains(root));
    removal.members = cx.members.nodes().take((KEYS_MAX - 1) / 2).collect();
    let mark = schema::evicted_key(removal.record.record.owner, id);
    let owed = core::iter::once(&removal.record).chain(&removal.heir).map(schema::record_key);
    let debts = owed.flat_map(|key| removal.members.iter().map(move |node| schema::outbox_key(*node, &key)));
    let keys = core::iter::once(mark).chain(debts).collect();
    cx.disk(DiskOp::Lookup { keys }, Pending::Remove(id, RemoveStep::Marks));
}

fn on_marks(cx: &mut Context, id: RecordId, values: &[Option<Bytes>]) {
    if cx.in_use.contains(id) {
        return finish(cx, id, RemoveOutcome::Busy);
    }
    let Some(removal) = cx.removals.removals.get_mut(&id) else { return };
    let (mark, debts) = values.split_first().map_or((None, values), |(mark, debts)| (mark.as_ref(), debts));
    removal.evicted = mark.is_some();
    let owed = removal.members.iter().zip(debts).filter(|(_, debt)| debt.is_some());
    removal.owed = owed.map(|(node, _)| *node).collect();
    // Members may have come or gone since it was confirmed.
    let record = removal.record.clone();
    if removal.out_of_place && !rebalance::may_go(cx, &record) {
        sometimes!(cx.simulation, "rebalance.no-longer-out-of-place");
        return finish(cx, id, RemoveOutcome::Unconfirmed);
    }
    if is_still_needed(cx, id) {
        sometimes!(cx.simulation, "collect.owed-deletion-kept");
        return finish(cx, id, RemoveOutcome::Owed);
    }
    let Some(removal) = cx.removals.removals.get_mut(&id) else { return };
    let of_heir: Vec<NodeId> = removal
        .members
        .iter()
        .zip(debts.iter().skip(removal.members.len()))
        .filter(|(_, debt)| debt.is_some())
        .map(|(node, _)| *node)
        .collect();
    let owner = removal.record.record.owner;
    let record = removal.record.clone();
    let mut writes = alloc::vec![Write::Delete { key: schema::evicted_key(owner, id) }];
    let doom = removal.root.map(|root| schema::doomed_key(owner, root));
    writes.extend(doom.map(|key| Write::Put { key, value: Bytes::new() }));
    // Together with the record, so that no debt about it is left whatever happens.
    let key = schema::record_key(&record);
    writes.extend(removal.owed.iter().map(|node| Write::Delete { key: schema::outbox_key(*node, &key) }));
    let mut require_keys = Vec::new();
    if let Some(heir) = removal.heir.as_ref().filter(|_| !removal.owed.is_empty()).map(schema::record_key) {
        let inherited = removal.owed.iter().filter(|node| !of_heir.contains(node));
        let debts = inherited.map(|node| schema::outbox_key(*node, &heir));
        let before = writes.len();
        writes.extend(debts.map(|key| Write::Put { key, value: Bytes::new() }));
        removal.inherited = (writes.len() - before) as u64;
        require_keys.push(heir);
    }
    let with = With { require_keys, writes, ..With::default() };
    records::remove(cx, alloc::vec![record], with, Pending::Remove(id, RemoveStep::Commit));
}

/// A deletion is owed to every member, since any may hold what it deletes. Who is not to have what replaced it, too, would never
/// learn of it: so it stays until he has been told.
fn is_still_needed(cx: &mut Context, id: RecordId) -> bool {
    let Some(Removal { record, heir, owed, .. }) = cx.removals.removals.get(&id) else { return false };
    if record.record.body != RecordBody::Tombstone || planted!(cx.simulation, OwedDeletionForgotten) {
        return false;
    }
    let (heir, owed) = (heir.as_ref().map(|heir| heir.record), owed.clone());
    owed.into_iter().any(|node| heir.is_none_or(|heir| cluster::part(cx, node, &heir) != Some(Part::Whole)))
}

/// The record is gone: nobody is owed it any more, but maybe its heir, and promises on which it relied are given back.
fn on_removed(cx: &mut Context, id: RecordId) {
    let Some(removal) = cx.removals.removals.get_mut(&id) else { return };
    let (record, evicted, owed) = (removal.record.clone(), removal.evicted, core::mem::take(&mut removal.owed));
    let inherited = removal.inherited;
    debts::made(cx, inherited);
    debts::struck(cx, owed.len() as u64);
    if !owed.is_empty() {
        // Some may have been struck off since it was looked which there are.
        debts::doubt(cx);
    }
    for node in owed {
        outbox::flush(cx, node);
    }
    if evicted {
        keep::release(cx, &record);
    }
    mend::forget_record(cx, id);
    super::wake_for_pages(cx);
    finish(cx, id, RemoveOutcome::Removed);
}
