//! Leases: what is stored before the record that needs it is kept for a while, so that an interrupted put or pull goes on where
//! it stood, and then goes. They are counted in the time that this node has lived, and none ends while a put or a pull is under
//! way that began before it.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::disk::{DiskOp, Write};
use crate::ids::{ChunkId, NameId, OwnerId, PageId};
use crate::manifest::PageContext;
use crate::node::context::Context;
use crate::node::pending::{Completion, Pending};
use crate::node::{age, schema};
use crate::version::Version;
use crate::{planted, sometimes};

use super::{CollectStep, Pass, pages, pass_on, rows, step_failed};

/// Whose lease of a chunk it is: that of one put, which ends when the put's page is stored; or that of whatever comes from peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkLease(u64);

impl ChunkLease {
    /// Of chunks that come from peers: uploads, pulls, gets. Who needs one that went meanwhile fetches it again.
    pub(crate) const PEERS: Self = Self(0);

    /// A lease of its own, for who could not get a chunk again.
    pub(crate) fn new(cx: &mut Context) -> Self {
        Self(cx.draw().max(1))
    }

    /// Its key.
    pub(crate) fn key(self, owner: OwnerId, chunk: ChunkId) -> Bytes {
        schema::lease_key(owner, chunk, self.0)
    }

    /// The lease of a chunk from now on, as an entry of the index.
    pub(crate) fn entry(self, cx: &mut Context, owner: OwnerId, chunk: ChunkId) -> (Bytes, Bytes) {
        (self.key(owner, chunk), schema::encode(&age::lived_ms(cx)))
    }
}

/// The lease of a page: since when, and for which version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PageLease {
    since_ms: u64,
    name_id: NameId,
    version: Version,
}

impl PageLease {
    /// From now on.
    pub(crate) fn new(cx: &mut Context, place: &PageContext) -> Self {
        Self { since_ms: age::lived_ms(cx), name_id: place.name_id, version: place.version }
    }
}

/// Puts and pulls under way, with the time of life at which each began.
#[derive(Debug, Default)]
pub(crate) struct Activities {
    began: BTreeMap<u64, u64>,
}

impl Activities {
    /// Something ends.
    pub(crate) fn end(&mut self, number: u64) {
        self.began.remove(&number);
    }

    /// When the oldest began: numbers and times grow together.
    fn oldest_ms(&self) -> Option<u64> {
        self.began.values().next().copied()
    }
}

impl Context {
    /// Something begins that relies on leases. The number is for its end.
    pub(crate) fn begin_activity(&mut self) -> u64 {
        let (number, now_ms) = (self.number(), age::lived_ms(self));
        self.activities.began.insert(number, now_ms);
        number
    }
}

/// What the collector waits for with leases.
#[derive(Debug)]
pub(crate) enum LeaseStep {
    Chunks,
    /// The end of so many leases of chunks; and where to go on.
    ChunksEnded(usize, Pass),
    Pages,
    /// Whether the version of the first of these pages has a record; and where to go on.
    Record(VecDeque<Ended>, Pass),
    /// The end of a page's lease, with those that follow.
    PageEnded(VecDeque<Ended>, Pass),
}

/// The lease of a page that is over.
#[derive(Debug)]
pub(crate) struct Ended {
    owner: OwnerId,
    page: PageId,
    lease: PageLease,
}

fn pending(step: LeaseStep) -> Pending {
    Pending::Collect(CollectStep::Lease(step))
}

/// Whether a lease since some time of life is over.
fn is_over(cx: &mut Context, since_ms: u64) -> bool {
    let now_ms = age::lived_ms(cx);
    let lease_ms = u64::try_from(cx.config.lease.as_millis()).unwrap_or(u64::MAX);
    let oldest_ms = cx.activities.oldest_ms().filter(|_| !planted!(cx.simulation, LeaseEndsInMidPut));
    now_ms.saturating_sub(since_ms) >= lease_ms && oldest_ms.is_none_or(|began_ms| since_ms < began_ms)
}

fn scan(cx: &mut Context, prefix: &'static [u8], from: Bytes, step: LeaseStep) {
    let scan = DiskOp::Scan { from, to: schema::end_of(prefix), limit: rows(cx), reverse: false };
    cx.disk(scan, pending(step));
}

/// Reads leases of chunks on.
pub(super) fn read_chunks(cx: &mut Context, from: Bytes) {
    scan(cx, schema::LEASES, from, LeaseStep::Chunks);
}

/// Reads leases of pages on.
pub(super) fn read_pages(cx: &mut Context, from: Bytes) {
    scan(cx, schema::PAGE_LEASES, from, LeaseStep::Pages);
}

/// An operation is complete.
pub(super) fn on_completion(cx: &mut Context, step: LeaseStep, completion: Completion) {
    match step {
        LeaseStep::Chunks => match completion.entries() {
            Ok((entries, more)) => on_chunk_leases(cx, &entries, more),
            Err(error) => step_failed(cx, &error),
        },
        LeaseStep::ChunksEnded(ended, next) => match completion.committed() {
            Ok(_) => {
                pages::give_room_back(cx, ended);
                pass_on(cx, next);
            }
            Err(error) => step_failed(cx, &error),
        },
        LeaseStep::Pages => match completion.entries() {
            Ok((entries, more)) => on_page_leases(cx, entries, more),
            Err(error) => step_failed(cx, &error),
        },
        LeaseStep::Record(ended, next) => match completion.entries() {
            Ok((entries, _)) => end_page(cx, ended, !entries.is_empty(), next),
            Err(error) => step_failed(cx, &error),
        },
        LeaseStep::PageEnded(ended, next) => match completion.committed() {
            Ok(_) => look_for_record(cx, ended, next),
            Err(error) => step_failed(cx, &error),
        },
    }
}

fn on_chunk_leases(cx: &mut Context, entries: &[(Bytes, Bytes)], more: bool) {
    let next = match entries.last().filter(|_| more) {
        Some((key, _)) => Pass::ChunkLeases(schema::after(key)),
        None => Pass::PageLeases(Bytes::from_static(schema::PAGE_LEASES)),
    };
    let (mut writes, mut over) = (Vec::new(), 0);
    for (key, since) in entries {
        // A value that makes no sense is as old as can be.
        let since_ms = schema::decode::<u64>(since).unwrap_or(0);
        if is_over(cx, since_ms) {
            over += 1;
            writes.push(Write::Delete { key: key.clone() });
            writes.extend(schema::chunk_of_lease(key).map(|(owner, chunk)| pages::release(owner, chunk)));
        }
    }
    if writes.is_empty() {
        return pass_on(cx, next);
    }
    sometimes!(cx.simulation, "collect.lease-over");
    let commit = DiskOp::Commit { require_blobs: Vec::new(), require_keys: Vec::new(), writes };
    cx.disk(commit, pending(LeaseStep::ChunksEnded(over, next)));
}

fn on_page_leases(cx: &mut Context, entries: Vec<(Bytes, Bytes)>, more: bool) {
    let next = match entries.last().filter(|_| more) {
        Some((key, _)) => Pass::PageLeases(schema::after(key)),
        None => Pass::Resting,
    };
    let mut ended = VecDeque::new();
    for (key, lease) in entries {
        let (Some((owner, page)), Some(lease)) = (schema::page_of_lease(&key), schema::decode::<PageLease>(&lease))
        else {
            continue;
        };
        if is_over(cx, lease.since_ms) {
            ended.push_back(Ended { owner, page, lease });
        }
    }
    look_for_record(cx, ended, next);
}

/// A page that was stored again for a record which is here already has a lease that says nothing.
fn look_for_record(cx: &mut Context, ended: VecDeque<Ended>, next: Pass) {
    let Some(Ended { owner, lease, .. }) = ended.front() else { return pass_on(cx, next) };
    let from = schema::version_records(*owner, lease.name_id, lease.version);
    let scan = DiskOp::Scan { to: schema::end_of(&from), from, limit: 1, reverse: false };
    cx.disk(scan, pending(LeaseStep::Record(ended, next)));
}

/// The lease must still be there: a record that is stored meanwhile ends it.
fn end_page(cx: &mut Context, mut ended: VecDeque<Ended>, has_record: bool, next: Pass) {
    let Some(Ended { owner, page, .. }) = ended.pop_front() else { return pass_on(cx, next) };
    let key = schema::page_lease_key(owner, page);
    let mut writes = alloc::vec![Write::Delete { key: key.clone() }];
    if !has_record {
        sometimes!(cx.simulation, "collect.page-lease-over");
        writes.push(Write::Put { key: schema::doomed_key(owner, page), value: Bytes::new() });
        cx.collector.doomed = true;
    }
    let commit = DiskOp::Commit { require_blobs: Vec::new(), require_keys: alloc::vec![key], writes };
    cx.disk(commit, pending(LeaseStep::PageEnded(ended, next)));
}
