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
use crate::reconcile::{Item, Items, bucket_of};
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
    TooMany,
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
    /// Owners that have records in these groups; the first is being read.
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

/// The prefix of all records of an owner that lie in a group.
fn group_records(owner: OwnerId, group: Group) -> Bytes {
    Bytes::from([&schema::owner_records(owner)[..], &group.0.to_be_bytes()].concat())
}

/// Reads the items of a part of a set. Answered by a call of `on_items`.
pub(super) fn items(cx: &mut Context, client: ReadClient, range: SetRange) {
    let owners = match (range.owner, cx.records.summary()) {
        (Some(owner), _) => [owner].into(),
        (None, Some(summary)) => summary.owners_in(bucket_of(range.first)).collect(),
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
        return end(cx, read.client, Ok(read.items.into_iter().collect()));
    };
    let from = from.unwrap_or_else(|| group_records(owner, read.range.first));
    let to = schema::end_of(&group_records(owner, read.range.last));
    cx.disk(DiskOp::Scan { from, to, limit: ROWS, reverse: false }, Pending::Sync(SyncStep::Read(id)));
}

fn end(cx: &mut Context, client: ReadClient, items: Result<Items, Failed>) {
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
            read.items.extend(records.filter(|record| is_in(&read.range, record)).map(|record| item_of(&record)));
            if read.items.len() > ITEMS_MAX {
                let Some(Read::Items(read)) = cx.sync.reads.reads.remove(&id) else { return };
                return end(cx, read.client, Err(Failed::TooMany));
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

fn is_in(range: &SetRange, record: &SignedRecord) -> bool {
    let group = Group::of(record.record.name_id);
    let level = group.0.checked_sub(range.first.0).and_then(|place| range.levels.get(usize::from(place)));
    range.levels.is_empty() || level.is_some_and(|level| scope::belongs(kept_on(&record.record), *level))
}

/// The item of a record.
pub(super) fn item_of(record: &SignedRecord) -> Item {
    Item::new(record.record.owner, record.record.name_id, record.id)
}
