//! Publishing: making a record of this node's owner durable here, and on enough other nodes to acknowledge it. It is owed to
//! its holders and to the owner's other devices; while a holder cannot take it, the next in rank does.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::ToString;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::disk::{DiskError, Write};
use crate::event::{RequestError, WriteReport};
use crate::ids::{NodeId, RecordId, RequestId};
use crate::name::Name;
use crate::node::cluster::{self, Part};
use crate::node::context::Context;
use crate::node::page_store::RecordPages;
use crate::node::pending::{Completion, Pending};
use crate::node::pull::{self, PullClient};
use crate::node::records::{self, With};
use crate::node::signal::{Delivery, Signal};
use crate::node::targets::Targets;
use crate::node::timers::Timer;
use crate::node::{answers, asks, debts, neighbours, outbox, schema};
use crate::placement::Replicas;
use crate::record::{Record, RecordBody, Retention, SignedRecord};
use crate::version::{ClockError, Version};
use crate::work::{WorkOp, WorkResult};
use crate::{buggify, planted, sometimes};

/// What a publication waits for.
#[derive(Debug)]
pub(crate) enum PublishStep {
    /// The record, and the deliveries that its commit notes as owed.
    Commit(u64),
    /// The record that a peer says supersedes the one published.
    Verify(NodeId, RecordId, Part),
}

#[derive(Debug)]
struct Publish {
    record: SignedRecord,
    targets: Targets,
    /// Peers that have all chunks from a put, whatever their rank.
    carriers: BTreeSet<NodeId>,
    /// What peers have been told to have.
    told: BTreeMap<NodeId, Part>,
    /// Those that have not answered.
    waiting: BTreeSet<NodeId>,
    /// Those that have all of it.
    stored: BTreeSet<NodeId>,
    /// Whether enough time has gone to wait no longer for the slow.
    patience_over: bool,
    durable_here: bool,
    /// Records that are said to supersede this one and are being verified.
    verifying: u32,
}

/// All publications under way.
#[derive(Debug, Default)]
pub(crate) struct Publishes {
    publishes: BTreeMap<RequestId, Publish>,
}

/// How often a write is stamped anew before it gives way to whoever keeps writing the name.
const STAMPS_MAX: u32 = 4;

/// A version for a write that has been stamped `stamps` times, this time included.
///
/// # Errors
/// When the clock refuses, or the write has been superseded too often.
pub(crate) fn stamp(cx: &mut Context, stamps: u32) -> Result<Version, RequestError> {
    if stamps > STAMPS_MAX {
        let why = "another device keeps writing the same name; try again";
        return Err(RequestError::Unavailable(why.to_string()));
    }
    let (now, me) = (cx.now.wall_ms, cx.me);
    if planted!(cx.simulation, StampByWallClock) {
        return Ok(Version { wall_ms: now, counter: 0, node: me });
    }
    cx.clock.stamp(now, me).map_err(|ClockError::TooFarAhead { .. }| RequestError::ClockBehind)
}

/// The record of a write of this node, signed.
pub(crate) fn sign(cx: &Context, name: &Name, version: Version, replicas: Replicas, body: RecordBody) -> SignedRecord {
    let record = Record {
        owner: cx.owner,
        name_id: cx.keys.name_id(name),
        version,
        retention: Retention { replicas, ..cx.config.retention },
        body,
    };
    SignedRecord::sign(&cx.keys, record)
}

/// Starts a publication. `carriers` have all chunks already. Answered by [`Signal::Published`].
pub(crate) fn start(
    cx: &mut Context,
    request: RequestId,
    record: SignedRecord,
    pages: &RecordPages,
    carriers: BTreeSet<NodeId>,
) {
    let targets = Targets::new(record.record.name_id, record.record.retention.replicas);
    let key = schema::record_key(&record);
    let clock = Write::Put { key: Bytes::from_static(schema::CLOCK), value: schema::encode(&cx.clock) };
    let mut writes = alloc::vec![clock];
    let mut owed_to = cluster::owed_to(cx, &record.record);
    if planted!(cx.simulation, OutboxSkipsAbsent) {
        owed_to.retain(|node| cx.links.of(*node).is_some());
    }
    let owed = owed_to.len() as u64;
    writes.extend(
        owed_to.into_iter().map(|node| Write::Put { key: schema::outbox_key(node, &key), value: Bytes::new() }),
    );
    writes.extend(pages.taken_over(cx.owner));
    let require_keys = pages.required(cx.owner);
    let step = PublishStep::Commit(owed);
    let publish = Publish {
        record: record.clone(),
        targets,
        carriers,
        told: BTreeMap::new(),
        waiting: BTreeSet::new(),
        stored: BTreeSet::new(),
        patience_over: false,
        durable_here: false,
        verifying: 0,
    };
    cx.publishes.publishes.insert(request, publish);
    let with = With { require_keys, writes, ..With::default() };
    records::add_new(cx, record, with, Pending::Publish(request, step));
}

/// Ends a publication whose request is gone. (The record, once committed, is delivered all the same.)
pub(crate) fn cancel(cx: &mut Context, request: RequestId) {
    cx.publishes.publishes.remove(&request);
    cx.timers.cancel(&Timer::Straggler(request));
}

/// An operation is complete.
pub(crate) fn on_completion(cx: &mut Context, request: RequestId, step: PublishStep, completion: Completion) {
    match step {
        PublishStep::Commit(owed) => {
            let committed = completion.committed();
            match &committed {
                Ok(true) => debts::made(cx, owed),
                Ok(false) => {}
                Err(_) => debts::doubt(cx),
            }
            on_committed(cx, request, committed);
        }
        PublishStep::Verify(node, record, part) => on_verified(cx, request, (node, part), record, completion.work()),
    }
}

/// The record is durable here, or the disk failed.
fn on_committed(cx: &mut Context, request: RequestId, committed: Result<bool, DiskError>) {
    let Some(publish) = cx.publishes.publishes.get_mut(&request) else { return };
    match committed {
        Ok(true) => {
            publish.durable_here = true;
            let record = publish.record.record;
            tell(cx, request);
            outbox::owe(cx, &record);
            let hasty = buggify!(cx.simulation, "publish.no-patience");
            let patience = if hasty { Duration::ZERO } else { cx.config.straggler_timeout };
            let deadline = cx.now.mono + patience;
            cx.timers.set(Timer::Straggler(request), deadline);
            cx.expect_progress(request);
            check(cx, request);
        }
        Ok(false) => {
            finish(cx, request, Err(RequestError::Unavailable("its manifest vanished from the disk".to_string())))
        }
        Err(error) => {
            answers::note_disk_error(cx, &error);
            let error =
                if error == DiskError::Full { RequestError::DiskFull } else { RequestError::Disk(error.to_string()) };
            finish(cx, request, Err(error));
        }
    }
}

/// Tells all who are to have it, and can be told, and have not been.
fn tell(cx: &mut Context, request: RequestId) {
    let Some(mut publish) = cx.publishes.publishes.remove(&request) else { return };
    if publish.durable_here {
        let mut parts: BTreeMap<NodeId, Part> = BTreeMap::new();
        parts.extend(cluster::owner_devices(cx, cx.owner).into_iter().map(|node| (node, Part::Light)));
        if publish.record.record.body == RecordBody::Tombstone {
            parts.extend(cx.links.ready_nodes().into_iter().map(|node| (node, Part::Whole)));
        }
        parts.extend(publish.targets.pick(cx, &publish.stored).into_iter().map(|node| (node, Part::Whole)));
        parts.extend(publish.carriers.iter().map(|node| (*node, Part::Whole)));
        for (node, part) in parts {
            if neighbours::can_be_asked(cx, node) {
                announce(cx, &mut publish, node, part);
            }
        }
    }
    cx.publishes.publishes.insert(request, publish);
}

fn announce(cx: &mut Context, publish: &mut Publish, node: NodeId, part: Part) {
    if publish.told.get(&node).is_some_and(|told| *told >= part) || !publish.waiting.insert(node) {
        return;
    }
    publish.told.insert(node, part);
    let record = &publish.record;
    outbox::deliver(cx, node, record.id, schema::record_key(record), record.bytes.clone(), part);
}

/// A peer can be reached: it may be one to tell.
pub(crate) fn on_peer_ready(cx: &mut Context, node: NodeId) {
    for publish in cx.publishes.publishes.values_mut() {
        publish.targets.on_ready(node);
        if !publish.waiting.contains(&node) && !publish.stored.contains(&node) {
            publish.told.remove(&node);
        }
    }
    tell_all(cx);
}

/// A peer that was to come does not: the next in rank may be one to tell.
pub(crate) fn on_unreachable(cx: &mut Context, node: NodeId) {
    let requests: Vec<RequestId> = cx.publishes.publishes.keys().copied().collect();
    for request in requests {
        if let Some(publish) = cx.publishes.publishes.get_mut(&request) {
            publish.targets.fail(node);
        }
        tell(cx, request);
        check(cx, request);
    }
}

/// A peer can no longer be reached: the next in rank may be one to tell.
pub(crate) fn on_peer_gone(cx: &mut Context) {
    tell_all(cx);
}

fn tell_all(cx: &mut Context) {
    let requests: Vec<RequestId> = cx.publishes.publishes.keys().copied().collect();
    for request in requests {
        tell(cx, request);
    }
}

/// A delivery was answered.
pub(crate) fn on_delivered(cx: &mut Context, node: NodeId, record: RecordId, part: Part, outcome: Delivery) {
    let of_record = |(_, publish): &(&RequestId, &Publish)| publish.record.id == record;
    let Some(request) = cx.publishes.publishes.iter().find(of_record).map(|(id, _)| *id) else { return };
    if let Some(publish) = cx.publishes.publishes.get_mut(&request) {
        if publish.told.get(&node).is_some_and(|told| *told > part) {
            // It is to have more than what this is about, and will answer that, too.
            return;
        }
        publish.waiting.remove(&node);
        let light_counts = planted!(cx.simulation, LightIsReplica);
        let has_all = light_counts || part == Part::Whole;
        let is_obsolete = matches!(outcome, Delivery::Obsolete(_));
        match outcome {
            Delivery::Stored => {
                publish.stored.extend(Some(node).filter(|_| has_all));
                cx.expect_progress(request);
            }
            Delivery::Superseded(by) | Delivery::Obsolete(by) => {
                // Where it is obsolete a newer one is in its place, if that is verified.
                publish.stored.extend(Some(node).filter(|_| has_all && !is_obsolete));
                publish.verifying += 1;
                let verify = WorkOp::VerifyRecords { records: alloc::vec![by] };
                cx.work(verify, Pending::Publish(request, PublishStep::Verify(node, record, part)));
            }
            Delivery::Refused(_) if planted!(cx.simulation, CountRefusedReplica) => {
                publish.stored.insert(node);
            }
            Delivery::Refused(_) | Delivery::Lost => publish.targets.fail(node),
        }
    }
    tell(cx, request);
    check(cx, request);
}

/// A peer knew a newer record of the name. It is worth having, and the clock learns from it; the one published is stamped
/// anew, since its caller is about to be told that it is the newest.
fn on_verified(
    cx: &mut Context,
    request: RequestId,
    (node, part): (NodeId, Part),
    record: RecordId,
    result: WorkResult,
) {
    let WorkResult::RecordsVerified(mut records) = result else { return };
    // Another peer's answer may have had it stamped anew meanwhile.
    let current = cx.publishes.publishes.get_mut(&request).filter(|publish| publish.record.id == record);
    let Some(publish) = current else { return };
    publish.verifying -= 1;
    let published = publish.record.clone();
    let of_name = |newer: &SignedRecord| {
        newer.record.owner == published.record.owner && newer.record.name_id == published.record.name_id
    };
    let Some(newer) = records.pop().and_then(Result::ok).filter(of_name) else {
        asks::on_lie(cx, node);
        return check(cx, request);
    };
    // What this device stamped later it wrote at the same time; that one may win.
    let sibling = newer.record.version.node == cx.me && cx.clock.has_seen(&newer.record.version);
    if sibling || newer.rank() <= published.rank() {
        // The answer counts for what it is about: meanwhile the peer may have been told to hold all of it.
        if sibling && newer.rank() > published.rank() && part == Part::Whole {
            publish.stored.insert(node);
        }
        return check(cx, request);
    }
    sometimes!(cx.simulation, "publish.stamped-anew");
    cx.clock.observe(&newer.record.version);
    let part = cluster::own_part(cx, &newer.record);
    pull::start(cx, newer.clone(), part, PullClient::Nobody, [node].into());
    cancel(cx, request);
    cx.signal(Signal::Superseded { request, by: newer });
}

/// Patience with the slow is over: they are not waited for, and if too few have it, the next in rank are told, too.
pub(crate) fn on_straggler(cx: &mut Context, request: RequestId) {
    let (now, patience, quorum) = (cx.now.mono, cx.config.straggler_timeout, cx.write_quorum());
    let Some(publish) = cx.publishes.publishes.get_mut(&request) else { return };
    publish.patience_over = true;
    publish.targets.lose_patience(now, patience);
    if replicas(publish) < quorum {
        for node in &publish.waiting {
            publish.targets.fail(*node);
        }
        tell(cx, request);
        cx.timers.set(Timer::Straggler(request), now + patience);
    }
    check(cx, request);
}

/// Done when all who could be told have it; or when enough do, and patience with the others is over.
fn check(cx: &mut Context, request: RequestId) {
    let quorum = cx.write_quorum();
    let Some(publish) = cx.publishes.publishes.get(&request) else { return };
    let early = if planted!(cx.simulation, AckBeforeReplicas) { publish.waiting.len() } else { 0 };
    let replicas = replicas(publish) + u32::try_from(early).unwrap_or(0);
    let settled = publish.durable_here && publish.verifying == 0;
    let is_awaited = !publish.waiting.is_empty() || publish.targets.is_coming();
    if settled && replicas >= quorum && (!is_awaited || publish.patience_over || early > 0) {
        if !publish.waiting.is_empty() {
            sometimes!(cx.simulation, "publish.straggler-left-behind");
        }
        let record = publish.record.record;
        let holders = cluster::holders(cx, record.name_id, record.retention.replicas);
        let lacking = |publish: &Publish, node: &NodeId| *node != cx.me && !publish.stored.contains(node);
        let Some(publish) = cx.publishes.publishes.get(&request) else { return };
        let lacking: Vec<NodeId> = holders.into_iter().filter(|node| lacking(publish, node)).collect();
        let pending = u32::try_from(lacking.len()).unwrap_or(u32::MAX);
        if planted!(cx.simulation, StandInIsHolder) {
            let (id, key) = (publish.record.id, schema::record_key(&publish.record));
            lacking.iter().for_each(|node| outbox::settle(cx, *node, id, &key, Part::Whole));
        }
        let report = WriteReport { version: record.version, replicas, pending };
        finish(cx, request, Ok(report));
    }
}

fn replicas(publish: &Publish) -> u32 {
    u32::from(publish.durable_here) + u32::try_from(publish.stored.len()).unwrap_or(u32::MAX)
}

/// No progress for too long.
pub(crate) fn on_timeout(cx: &mut Context, request: RequestId) -> Option<RequestError> {
    let publish = cx.publishes.publishes.get(&request)?;
    let (needed, have) = (cx.write_quorum(), replicas(publish));
    let troubles = cx.dials.troubles();
    let why =
        alloc::format!("it is stored on this node and will be sent on when the others can be reached. {troubles}");
    Some(RequestError::NotEnoughPeers { needed, have, why })
}

fn finish(cx: &mut Context, request: RequestId, result: Result<WriteReport, RequestError>) {
    cancel(cx, request);
    cx.signal(Signal::Published { request, result });
}
