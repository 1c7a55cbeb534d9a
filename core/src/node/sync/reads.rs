//! Reading of the index for comparisons: the items of a part of a set, and the records that items stand for. Page by page, one
//! operation at a time for each.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use bytes::Bytes;

use super::serve::Served;
use super::{SyncStep, exchange, scope, serve};
use crate::disk::{DiskError, DiskOp};
use crate::frame::SetRange;
use crate::ids::{NameId, OwnerId};
use crate::node::context::Context;
use crate::node::pending::Pending;
use crate::node::summary::kept_on;
use crate::node::{answers, schema};
use crate::placement::Group;
use crate::reconcile::{Item, OWNER_PREFIX, bucket_of};
use crate::record::SignedRecord;

/// The most items of one comparison: what it may take of memory at either end is 40 bytes times that.
pub(super) const ITEMS_MAX: usize = 16_384;

/// Rows read at a time.
const ROWS: u32 = 512;

/// Rows that are looked at for one item: the versions of one name.
const VERSIONS: u32 = 256;

/// Why items could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// This is the one in their middle.
    TooMany(Item),
    Disk,
}

/// Who reads.
#[derive(Debug)]
pub(super) enum ReadClient {
    /// The own comparison of this number.
    Ask(u64),
    /// A comparison that a peer asks for.
    Serve(Served),
}

/// What records are looked for.
#[derive(Debug)]
pub(super) enum FindClient {
    /// What the peer has, in the own comparison of this number: is it here?
    There(u64),
    /// What the peer lacks: to tell it.
    Here(u64),
    /// A peer wants them.
    Serve(Served),
}

#[derive(Debug)]
struct ItemsRead {
    client: ReadClient,
    range: SetRange,
    /// Owners that have records in this bucket; the first is being read.
    owners: VecDeque<OwnerId>,
    items: Vec<Item>,
}

#[derive(Debug)]
struct Finding {
    client: FindClient,
    /// Each with an owner that it may be of; the first is being looked for.
    queue: VecDeque<(Item, OwnerId)>,
    found: Vec<(Item, Bytes)>,
}

#[derive(Debug)]
enum Read {
    Items(ItemsRead),
    Find(Finding),
}

/// All reads under way.
#[derive(Debug, Default)]
pub(super) struct Reads {
    reads: BTreeMap<u64, Read>,
}

/// The prefix of all records of an owner whose names start so.
fn records_from(owner: OwnerId, name: &[u8]) -> Bytes {
    Bytes::from([&schema::owner_records(owner)[..], name].concat())
}

/// Where the records of an owner lie that may belong to a part: the first key, and the first behind them.
fn span(owner: OwnerId, range: &SetRange) -> (Bytes, Bytes) {
    let bucket = records_from(owner, &[range.bucket]);
    let mut to = schema::end_of(&bucket);
    let mut from = bucket;
    if owner.0.starts_with(range.from.owner()) {
        from = from.max(records_from(owner, range.from.name()));
    }
    if let Some(end) = range.to.filter(|end| owner.0.starts_with(end.owner())) {
        to = to.min(schema::end_of(&records_from(owner, end.name())));
    }
    (from, to)
}

/// Whether an owner's records may belong to a part.
fn may_have(owner: OwnerId, range: &SetRange) -> bool {
    let prefix = &owner.0[..OWNER_PREFIX];
    prefix >= range.from.owner() && range.to.is_none_or(|to| prefix <= to.owner())
}

/// Reads the items of a part of a set. Answered by a call of `on_items`.
pub(super) fn items(cx: &mut Context, client: ReadClient, range: SetRange) {
    let owners = match (range.owner, cx.records.summary()) {
        (Some(owner), _) => [owner].into(),
        (None, Some(summary)) => summary.owners_in(range.bucket).filter(|owner| may_have(*owner, &range)).collect(),
        (None, None) => VecDeque::new(),
    };
    let id = cx.number();
    let read = ItemsRead { client, range, owners, items: Vec::new() };
    cx.sync.reads.reads.insert(id, Read::Items(read));
    next_owner(cx, id, None);
}

/// Goes on with a page of the first owner, or with the next.
fn next_owner(cx: &mut Context, id: u64, from: Option<Bytes>) {
    let Some(Read::Items(read)) = cx.sync.reads.reads.get(&id) else { return };
    let Some(owner) = read.owners.front().copied() else {
        let Some(Read::Items(read)) = cx.sync.reads.reads.remove(&id) else { return };
        return end(cx, read.client, Ok(read.items));
    };
    let (first, to) = span(owner, &read.range);
    let from = from.unwrap_or(first);
    if from >= to {
        return skip_owner(cx, id);
    }
    cx.disk(DiskOp::Scan { from, to, limit: ROWS, reverse: false }, Pending::Sync(SyncStep::Read(id)));
}

fn skip_owner(cx: &mut Context, id: u64) {
    if let Some(Read::Items(read)) = cx.sync.reads.reads.get_mut(&id) {
        read.owners.pop_front();
        next_owner(cx, id, None);
    }
}

fn end(cx: &mut Context, client: ReadClient, items: Result<Vec<Item>, Failed>) {
    match client {
        ReadClient::Ask(id) => super::on_items(cx, id, items),
        ReadClient::Serve(served) => serve::on_items(cx, served, items),
    }
}

/// Looks for the records of items. Answered by a call of `on_found`.
pub(super) fn find(cx: &mut Context, client: FindClient, items: impl Iterator<Item = Item>) {
    let mut queue = VecDeque::new();
    for item in items {
        let mut name = NameId([0; 32]);
        name.0[..item.name().len()].copy_from_slice(item.name());
        let Some(summary) = cx.records.summary() else { continue };
        let owners = summary.owners_in(bucket_of(Group::of(name)));
        queue.extend(owners.filter(|owner| owner.0.starts_with(item.owner())).map(|owner| (item, owner)));
    }
    let id = cx.number();
    cx.sync.reads.reads.insert(id, Read::Find(Finding { client, queue, found: Vec::new() }));
    next_item(cx, id);
}

fn next_item(cx: &mut Context, id: u64) {
    let Some(Read::Find(finding)) = cx.sync.reads.reads.get(&id) else { return };
    let Some((item, owner)) = finding.queue.front() else {
        let Some(Read::Find(finding)) = cx.sync.reads.reads.remove(&id) else { return };
        return found(cx, finding.client, finding.found, false);
    };
    let from = Bytes::from([&schema::owner_records(*owner)[..], item.name()].concat());
    let scan = DiskOp::Scan { to: schema::end_of(&from), from, limit: VERSIONS, reverse: true };
    cx.disk(scan, Pending::Sync(SyncStep::Read(id)));
}

fn found(cx: &mut Context, client: FindClient, records: Vec<(Item, Bytes)>, failed: bool) {
    match client {
        FindClient::There(id) => exchange::on_looked_for(cx, id, &records, failed),
        FindClient::Here(id) => exchange::on_own_read(cx, id, records, failed),
        FindClient::Serve(served) => serve::on_found(cx, served, records, failed),
    }
}

/// Rows are read.
pub(super) fn on_read(cx: &mut Context, id: u64, entries: Result<(Vec<(Bytes, Bytes)>, bool), DiskError>) {
    let (entries, more) = match entries {
        Ok(read) => read,
        Err(error) => {
            answers::note_disk_error(cx, &error);
            return match cx.sync.reads.reads.remove(&id) {
                Some(Read::Items(read)) => end(cx, read.client, Err(Failed::Disk)),
                Some(Read::Find(finding)) => found(cx, finding.client, finding.found, true),
                None => {}
            };
        }
    };
    match cx.sync.reads.reads.get_mut(&id) {
        Some(Read::Items(read)) => {
            let next = entries.last().filter(|_| more).map(|(key, _)| schema::after(key));
            let records = entries.into_iter().filter_map(|(_, value)| SignedRecord::decode(value).ok());
            read.items.extend(records.filter_map(|record| item_in(&read.range, &record)));
            if read.items.len() > ITEMS_MAX {
                let Some(Read::Items(mut read)) = cx.sync.reads.reads.remove(&id) else { return };
                let middle = read.items.len() / 2;
                let (_, middle, _) = read.items.select_nth_unstable(middle);
                return end(cx, read.client, Err(Failed::TooMany(*middle)));
            }
            if next.is_none() {
                read.owners.pop_front();
            }
            next_owner(cx, id, next);
        }
        Some(Read::Find(finding)) => {
            let Some((item, _)) = finding.queue.pop_front() else { return };
            let is_it = |(key, _): &(Bytes, Bytes)| {
                schema::record_id_of(key).is_some_and(|record| record.0.starts_with(item.record()))
            };
            finding.found.extend(entries.into_iter().find(is_it).map(|(_, record)| (item, record)));
            next_item(cx, id);
        }
        None => {}
    }
}

/// The item of a record, if it belongs to a part.
fn item_in(range: &SetRange, record: &SignedRecord) -> Option<Item> {
    let item = Item::new(record.record.owner, record.record.name_id, record.id);
    let [_, place] = Group::of(record.record.name_id).0.to_be_bytes();
    let level = range.levels.get(usize::from(place));
    let is_kept = range.levels.is_empty() || level.is_some_and(|level| scope::belongs(kept_on(&record.record), *level));
    let is_within = range.from <= item && range.to.is_none_or(|to| item < to);
    (is_kept && is_within).then_some(item)
}
