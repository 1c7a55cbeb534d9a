//! Comparisons at the end that is asked. What that costs is bounded: few comparisons at once, one search for records after the other,
//! and each of them over no more items than a comparison may have.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;

use super::SyncStep;
use super::reads::{self, Failed, FindClient, ReadClient};
use super::scope::{self, Selection};
use crate::disk::{DiskError, DiskOp};
use crate::frame::{CompareOutcome, FOUND_MAX, Frame, SetRange, SyncOutcome};
use crate::ids::{LinkId, NodeId, OwnerId};
use crate::node::context::Context;
use crate::node::pending::Pending;
use crate::node::{answers, cluster, fill, links, repair, schema};
use crate::reconcile::{self, Digest, Item, Items, MESSAGE_LEN_MAX};
use crate::record::SignedRecord;
use crate::work::{WorkOp, WorkResult};
use crate::{buggify, sometimes};

/// Comparisons served at once.
pub(super) const COMPARED_MAX: usize = 2;

/// Groups of a bucket.
const GROUPS_OF_BUCKET: usize = 256;

/// Comparisons, and searches for records, that wait for their turn: one of each of so many peers. Comparisons beyond are told that
/// this node is busy, searches beyond get no answer.
pub(super) const WAITING_MAX: usize = 64;

/// A question that is being answered.
#[derive(Debug)]
pub(super) struct Served {
    link: LinkId,
    request: u64,
    /// What a comparison asks.
    message: Bytes,
}

/// Records that a peer told of, being verified.
#[derive(Debug)]
pub(crate) struct Tale {
    link: LinkId,
    request: u64,
    node: NodeId,
}

/// What is being answered.
#[derive(Debug, Default)]
pub(super) struct Serving {
    compared: usize,
    comparing: VecDeque<(Served, SetRange)>,
    finding: bool,
    waiting: VecDeque<(Served, Vec<Item>)>,
}

impl Serving {
    pub(super) fn compared(&self) -> usize {
        self.compared
    }

    pub(super) fn comparing(&self) -> usize {
        self.comparing.len()
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

/// A peer asks whether this node has the same records.
pub(crate) fn on_sync(cx: &mut Context, link: LinkId, request: u64, shared: Digest, (owner, own): (OwnerId, Digest)) {
    let Some(node) = cx.links.get(link).map(|link| link.node) else { return };
    if cx.records.summary().is_none() || buggify!(cx.simulation, "sync.busy") {
        return links::answer(cx, link, Frame::Synced { request, outcome: SyncOutcome::Busy });
    }
    // Who leaves takes its copies along: it waits until what is light here and is to be whole has been made so.
    let left = if cx.members.is_in(node) { None } else { fill::hasten_placement(cx) };
    if let Some(left) = left {
        return links::answer(cx, link, Frame::Synced { request, outcome: SyncOutcome::Filling { left } });
    }
    let mine = scope::sums(cx, Selection::Shared(node));
    let of_owner = scope::sums(cx, Selection::Of(owner));
    let differing = |sums: &scope::Sums, theirs| if sums.root() == theirs { Vec::new() } else { sums.digests() };
    let (shared, own) = (differing(&mine, shared), differing(&of_owner, own));
    let same = shared.is_empty() && own.is_empty();
    let outcome = if same { SyncOutcome::Same } else { SyncOutcome::Differ { shared, own } };
    links::answer(cx, link, Frame::Synced { request, outcome });
}

/// A peer compares a part of a set.
pub(crate) fn on_compare(cx: &mut Context, link: LinkId, request: u64, range: SetRange, message: Bytes) {
    let is_sane = range.to.is_none_or(|to| range.from < to)
        && (range.levels.is_empty() || range.levels.len() == GROUPS_OF_BUCKET)
        && message.len() <= MESSAGE_LEN_MAX;
    if !is_sane {
        return links::offend(cx, link);
    }
    if cx.sync.serving.comparing.len() >= WAITING_MAX || cx.records.summary().is_none() {
        return links::answer(cx, link, Frame::Compared { request, outcome: CompareOutcome::Busy });
    }
    // Who asks anew has given the question before up.
    cx.sync.serving.comparing.retain(|(served, _)| served.link != link);
    cx.sync.serving.comparing.push_back((Served { link, request, message }, range));
    compare_next(cx);
}

fn compare_next(cx: &mut Context) {
    if cx.sync.serving.compared >= COMPARED_MAX {
        return;
    }
    while cx.sync.serving.comparing.front().is_some_and(|(served, _)| cx.links.get(served.link).is_none()) {
        cx.sync.serving.comparing.pop_front();
    }
    if let Some((served, range)) = cx.sync.serving.comparing.pop_front() {
        cx.sync.serving.compared += 1;
        reads::items(cx, ReadClient::Serve(served), range);
    }
}

/// The items of a part of a set are read.
pub(super) fn on_items(cx: &mut Context, served: Served, items: Result<Vec<Item>, Failed>) {
    cx.sync.serving.compared -= 1;
    answer_comparison(cx, served, items);
    compare_next(cx);
}

fn answer_comparison(cx: &mut Context, served: Served, items: Result<Vec<Item>, Failed>) {
    let Served { link, request, message } = served;
    let outcome = match items.map(|items| reconcile::answer(&items.into_iter().collect::<Items>(), &message)) {
        Ok(Ok(answer)) => CompareOutcome::Answer(answer.into()),
        Ok(Err(_)) => return links::offend(cx, link),
        Err(Failed::TooMany(middle)) => CompareOutcome::TooMany(middle),
        Err(Failed::Disk) => CompareOutcome::Busy,
    };
    links::answer(cx, link, Frame::Compared { request, outcome });
}

/// A peer wants the records of items.
pub(crate) fn on_find_items(cx: &mut Context, link: LinkId, request: u64, items: Vec<Item>) {
    if items.len() > FOUND_MAX {
        return links::offend(cx, link);
    }
    if cx.sync.serving.waiting.len() >= WAITING_MAX {
        return links::end_answer(cx, link);
    }
    cx.sync.serving.waiting.push_back((Served { link, request, message: Bytes::new() }, items));
    find_next(cx);
}

fn find_next(cx: &mut Context) {
    if cx.sync.serving.finding {
        return;
    }
    if let Some((served, items)) = cx.sync.serving.waiting.pop_front() {
        cx.sync.serving.finding = true;
        reads::find(cx, FindClient::Serve(served), items.into_iter());
    }
}

/// Records are found.
pub(super) fn on_found(cx: &mut Context, served: Served, records: Vec<(Item, Bytes)>, failed: bool) {
    cx.sync.serving.finding = false;
    if failed {
        links::end_answer(cx, served.link);
    } else {
        let records = records.into_iter().map(|(_, record)| record).collect();
        links::answer(cx, served.link, Frame::Found { request: served.request, records });
    }
    find_next(cx);
}

/// A peer tells of records that this node seems to lack: it is looked which of them it does.
pub(crate) fn on_tell(cx: &mut Context, link: LinkId, request: u64, records: Vec<Bytes>) {
    let Some(node) = cx.links.get(link).map(|link| link.node) else { return };
    let all = records.len();
    let records: Vec<SignedRecord> = records.into_iter().flat_map(SignedRecord::decode).collect();
    if records.len() < all || all > FOUND_MAX {
        return links::offend(cx, link);
    }
    if !repair::has_room(cx) {
        return links::answer(cx, link, Frame::Told { request, lacking: None });
    }
    let mut due = Vec::new();
    for record in records {
        if cluster::part_here(cx, &record.record).is_some() {
            due.push(record);
        } else {
            cx.sync.turns.is_ahead(node);
        }
    }
    // Who leaves sees the cluster without itself, and perhaps without others: it asks again until both see it alike.
    if due.len() < all && !cx.members.is_in(node) {
        return links::answer(cx, link, Frame::Told { request, lacking: None });
    }
    let keys = due.iter().map(schema::record_key).collect();
    let tale = Tale { link, request, node };
    cx.disk(DiskOp::Lookup { keys }, Pending::Sync(SyncStep::Looked(tale, due)));
}

/// The disk has told which are here: the others are verified.
pub(crate) fn on_told_looked(
    cx: &mut Context,
    tale: Tale,
    records: Vec<SignedRecord>,
    values: Result<Vec<Option<Bytes>>, DiskError>,
) {
    let values = match values {
        Ok(values) => values,
        Err(error) => {
            answers::note_disk_error(cx, &error);
            return links::answer(cx, tale.link, Frame::Told { request: tale.request, lacking: None });
        }
    };
    let is_lacking =
        |(record, value): &(SignedRecord, _)| Option::is_none(value) && !repair::is_obsolete(cx, record.id);
    let lacking = records.into_iter().zip(values).filter(is_lacking);
    let records: Vec<Bytes> = lacking.map(|(record, _)| record.bytes).collect();
    if records.is_empty() {
        return links::answer(cx, tale.link, Frame::Told { request: tale.request, lacking: Some(0) });
    }
    cx.work(WorkOp::VerifyRecords { records }, Pending::Sync(SyncStep::Told(tale)));
}

/// They are verified, and fetched in their turn.
pub(crate) fn on_told_verified(cx: &mut Context, tale: Tale, result: WorkResult) {
    let WorkResult::RecordsVerified(records) = result else { return };
    let all = records.len();
    let records: Vec<SignedRecord> = records.into_iter().flatten().collect();
    if records.len() < all {
        return links::offend(cx, tale.link);
    }
    for record in records {
        sometimes!(cx.simulation, "sync.told");
        repair::want(cx, record, tale.node);
    }
    let lacking = u32::try_from(all).ok();
    links::answer(cx, tale.link, Frame::Told { request: tale.request, lacking });
}
