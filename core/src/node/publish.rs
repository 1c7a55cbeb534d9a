//! Publishing: making a record of this node's owner durable here, and on enough other nodes to acknowledge it.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::ToString;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::disk::{DiskError, DiskOp, Write};
use crate::event::{RequestError, WriteReport};
use crate::ids::{NodeId, PageId, RecordId, RequestId};
use crate::node::context::Context;
use crate::node::pending::{Completion, Pending};
use crate::node::signal::{Delivery, Signal};
use crate::node::timers::Timer;
use crate::node::{answers, outbox, schema};
use crate::record::SignedRecord;

/// What a publication waits for.
#[derive(Debug)]
pub(crate) enum PublishStep {
    Commit,
}

#[derive(Debug)]
struct Publish {
    record: SignedRecord,
    /// Peers that have been told and have not answered.
    waiting: BTreeSet<NodeId>,
    stored: BTreeSet<NodeId>,
    /// Whether enough time has gone to wait no longer for the slow.
    patience_over: bool,
    durable_here: bool,
}

/// All publications under way.
#[derive(Debug, Default)]
pub(crate) struct Publishes {
    publishes: BTreeMap<RequestId, Publish>,
}

/// Starts a publication. Answered by [`Signal::Published`].
pub(crate) fn start(cx: &mut Context, request: RequestId, record: SignedRecord, root: Option<PageId>) {
    let key = schema::record_key(&record);
    let mut writes = alloc::vec![
        Write::Put { key: key.clone(), value: record.bytes.clone() },
        Write::Put { key: Bytes::from_static(schema::CLOCK), value: schema::encode(&cx.clock) },
    ];
    let members: Vec<NodeId> = cx.members.nodes().collect();
    cx.counters.owed += members.len() as u64;
    writes.extend(
        members.into_iter().map(|node| Write::Put { key: schema::outbox_key(node, &key), value: Bytes::new() }),
    );
    let require_keys = root.map(|root| schema::page_key(cx.owner, root)).into_iter().collect();
    let publish = Publish {
        record,
        waiting: BTreeSet::new(),
        stored: BTreeSet::new(),
        patience_over: false,
        durable_here: false,
    };
    cx.publishes.publishes.insert(request, publish);
    let commit = DiskOp::Commit { require_blobs: Vec::new(), require_keys, writes };
    cx.disk(commit, Pending::Publish(request, PublishStep::Commit));
}

/// Ends a publication whose request is gone. (The record, once committed, is delivered all the same.)
pub(crate) fn cancel(cx: &mut Context, request: RequestId) {
    cx.publishes.publishes.remove(&request);
    cx.timers.cancel(&Timer::Straggler(request));
}

/// The record is durable here, or the disk failed.
pub(crate) fn on_completion(cx: &mut Context, request: RequestId, completion: Completion) {
    let committed = completion.committed();
    let Some(publish) = cx.publishes.publishes.get_mut(&request) else { return };
    match committed {
        Ok(true) => {
            publish.durable_here = true;
            let record = publish.record.clone();
            cx.signal(Signal::OwnRecordStored(record));
            for node in cx.links.ready_nodes() {
                announce(cx, request, node);
            }
            let patience = cx.now.mono + cx.config.straggler_timeout;
            cx.timers.set(Timer::Straggler(request), patience);
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

fn announce(cx: &mut Context, request: RequestId, node: NodeId) {
    let Some(publish) = cx.publishes.publishes.get_mut(&request) else { return };
    if publish.durable_here && !publish.stored.contains(&node) && publish.waiting.insert(node) {
        let (record, key, bytes) =
            (publish.record.id, schema::record_key(&publish.record), publish.record.bytes.clone());
        outbox::deliver(cx, node, record, key, bytes);
    }
}

/// A peer can be reached: tell it, too.
pub(crate) fn on_peer_ready(cx: &mut Context, node: NodeId) {
    let requests: Vec<RequestId> = cx.publishes.publishes.keys().copied().collect();
    for request in requests {
        announce(cx, request, node);
    }
}

/// A delivery was answered.
pub(crate) fn on_delivered(cx: &mut Context, node: NodeId, record: RecordId, outcome: Delivery) {
    let of_record = |(_, publish): &(&RequestId, &Publish)| publish.record.id == record;
    let Some(request) = cx.publishes.publishes.iter().find(of_record).map(|(id, _)| *id) else { return };
    if let Some(publish) = cx.publishes.publishes.get_mut(&request) {
        publish.waiting.remove(&node);
        if outcome == Delivery::Stored {
            publish.stored.insert(node);
            cx.expect_progress(request);
        }
    }
    check(cx, request);
}

/// Patience with the slow is over.
pub(crate) fn on_straggler(cx: &mut Context, request: RequestId) {
    if let Some(publish) = cx.publishes.publishes.get_mut(&request) {
        publish.patience_over = true;
    }
    check(cx, request);
}

/// Done when all who could be told have it; or when enough do, and patience with the others is over.
fn check(cx: &mut Context, request: RequestId) {
    let quorum = cx.write_quorum();
    let Some(publish) = cx.publishes.publishes.get(&request) else { return };
    let replicas = replicas(publish);
    if publish.durable_here && replicas >= quorum && (publish.waiting.is_empty() || publish.patience_over) {
        let pending = cx.members.count().saturating_sub(replicas - 1);
        let report = WriteReport { version: publish.record.record.version, replicas, pending };
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
