//! Deliveries: records that some known node has not acknowledged yet. They are owed durably and offered again whenever the
//! node can be reached.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::disk::{DiskOp, Write};
use crate::frame::{AnnounceOutcome, Frame, Refusal};
use crate::ids::{NodeId, RecordId};
use crate::node::cluster::{self, Part};
use crate::node::collect::{self, Address};
use crate::node::context::Context;
use crate::node::gauges::Gauge;
use crate::node::pending::{Completion, Pending};
use crate::node::signal::{Answer, AskClient, Delivery, Signal};
use crate::node::timers::Timer;
use crate::node::{answers, asks, debts, neighbours, schema};
use crate::placement::Group;
use crate::record::{Record, SignedRecord};
use crate::{buggify, planted, sometimes};

/// Deliveries to one node under way at once.
const BATCH: u32 = 16;

/// Deliveries to a node that is no longer a member that are struck off at once.
const FORGIVEN_MAX: u32 = 1_024;

/// Nodes without a link that are brought at once what they are owed.
const VISITS_MAX: usize = 4;

/// When deliveries that a peer refused, or that could not be read, are tried again.
const RETRY: Duration = Duration::from_secs(30);

/// What a delivery waits for.
#[derive(Debug)]
pub(crate) enum OutboxStep {
    Owed(NodeId),
    Records(NodeId, Vec<Bytes>),
    /// A delivery about a record of this name is no longer owed.
    Settled(NodeId, RecordId, Part, Option<Address>),
    /// What is owed to a node that is no longer a member.
    Forgiven(NodeId),
    /// Deliveries to it about records of these names are no longer owed; there may be more.
    Struck(NodeId, Vec<Option<Address>>),
}

/// Deliveries under way.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// With the key of each record, and how much of it was announced.
    under_way: BTreeMap<NodeId, BTreeMap<RecordId, (Bytes, Part)>>,
    /// Nodes whose owed deliveries are being read.
    reading: BTreeSet<NodeId>,
    /// Where to go on reading when the batch under way is done with.
    next: BTreeMap<NodeId, Bytes>,
    /// Nodes without a link that may be owed something, and those of them that are brought it now.
    due: BTreeSet<NodeId>,
    visiting: BTreeSet<NodeId>,
}

/// What of its limits is used: a batch that was read, and the publications under way.
pub(crate) fn gauges(cx: &Context) -> [Gauge; 1] {
    let most = cx.outbox.under_way.values().map(BTreeMap::len).max().unwrap_or(0);
    [("deliveries to one node", most as u64, u64::from(BATCH + cx.config.requests_max))]
}

/// Announces a record to a node, unless as much of it is being announced already. Answered by [`Signal::Delivered`].
pub(crate) fn deliver(cx: &mut Context, node: NodeId, record: RecordId, record_key: Bytes, bytes: Bytes, part: Part) {
    let whole = part == Part::Whole;
    let under_way = cx.outbox.under_way.entry(node).or_default();
    if under_way.get(&record).is_none_or(|(_, announced)| *announced < part) {
        under_way.insert(record, (record_key, part));
        asks::ask(cx, AskClient::Outbox(record, part), node, |request| Frame::Announce {
            request,
            record: bytes,
            whole,
        });
    }
}

/// Time to try again what could not be read, delivered or struck off.
pub(crate) fn on_timer(cx: &mut Context, node: NodeId) {
    if cx.members.is_in(node) { flush(cx, node) } else { forgive(cx, node) }
}

/// A node can be reached: deliver what it is owed.
pub(crate) fn flush(cx: &mut Context, node: NodeId) {
    if !neighbours::can_be_asked(cx, node) || !cx.outbox.reading.insert(node) {
        return;
    }
    let prefix = schema::outbox(node);
    let from = cx.outbox.next.remove(&node).unwrap_or_else(|| prefix.clone());
    let limit = if buggify!(cx.simulation, "outbox.batch-of-one", for a run) { 1 } else { BATCH };
    let scan = DiskOp::Scan { from, to: schema::end_of(&prefix), limit, reverse: false };
    cx.disk(scan, Pending::Outbox(OutboxStep::Owed(node)));
}

/// A record is owed to others: those of them without a link are brought it one after the other.
pub(crate) fn owe(cx: &mut Context, record: &Record) {
    if neighbours::are_all(cx) || planted!(cx.simulation, VisitsForgotten) {
        return;
    }
    let owed_to = cluster::owed_to(cx, record);
    cx.outbox.due.extend(owed_to.into_iter().filter(|node| neighbours::is_on_demand(cx, *node)).collect::<Vec<_>>());
    visit(cx);
}

/// A record of this node's owner is on the disk after all although its commit failed, and with it what is owed.
pub(crate) fn on_doubt_over(cx: &mut Context, record: &Record) {
    for node in cluster::owed_to(cx, record) {
        flush(cx, node);
    }
}

/// A member is alive again. Without a link to it nobody else would bring it what it is owed.
pub(crate) fn on_member_up(cx: &mut Context, node: NodeId) {
    if planted!(cx.simulation, VisitsForgotten) {
        return;
    }
    if neighbours::is_on_demand(cx, node) && debts::may_be_any(cx) {
        cx.outbox.due.insert(node);
        visit(cx);
    }
}

/// Brings the next nodes without a link what they are owed.
fn visit(cx: &mut Context) {
    while cx.outbox.visiting.len() < VISITS_MAX {
        let Some(node) = cx.outbox.due.pop_first() else { return };
        flush(cx, node);
        if is_busy(cx, node) {
            cx.outbox.visiting.insert(node);
        }
    }
}

fn is_busy(cx: &Context, node: NodeId) -> bool {
    cx.outbox.reading.contains(&node) || cx.outbox.under_way.contains_key(&node)
}

/// A node has been brought all that could be, or nothing could.
fn end_visit_if_idle(cx: &mut Context, node: NodeId) {
    if !is_busy(cx, node) && cx.outbox.visiting.remove(&node) {
        visit(cx);
    }
}

/// An operation is complete.
pub(crate) fn on_completion(cx: &mut Context, step: OutboxStep, completion: Completion) {
    let node = match &step {
        OutboxStep::Owed(node)
        | OutboxStep::Records(node, _)
        | OutboxStep::Settled(node, ..)
        | OutboxStep::Forgiven(node)
        | OutboxStep::Struck(node, _) => *node,
    };
    complete(cx, step, completion);
    end_visit_if_idle(cx, node);
}

fn complete(cx: &mut Context, step: OutboxStep, completion: Completion) {
    match step {
        OutboxStep::Owed(node) => {
            let Ok((entries, more)) = completion.entries() else { return read_again(cx, node) };
            if let (true, Some((last, _))) = (more, entries.last()) {
                cx.outbox.next.insert(node, schema::after(last));
            }
            let keys: Vec<Bytes> = entries.iter().map(|(key, _)| schema::record_key_of_outbox(key)).collect();
            if keys.is_empty() {
                cx.outbox.reading.remove(&node);
                return;
            }
            sometimes!(cx.simulation, "outbox.delivered-late");
            let step = OutboxStep::Records(node, keys.clone());
            cx.disk(DiskOp::Lookup { keys }, Pending::Outbox(step));
        }
        OutboxStep::Records(node, keys) => {
            let Ok(values) = completion.values() else { return read_again(cx, node) };
            cx.outbox.reading.remove(&node);
            for (key, value) in keys.into_iter().zip(values) {
                if planted!(cx.simulation, StruckOffWhenRead) {
                    let delete = Write::Delete { key: schema::outbox_key(node, &key) };
                    answers::commit_quietly(cx, alloc::vec![delete]);
                }
                match (schema::record_id_of(&key), value) {
                    (Some(record), Some(bytes)) => deliver_owed(cx, node, record, key, bytes),
                    // The record has been pruned since: nothing is owed any more.
                    (Some(record), None) => settle(cx, node, record, &key, Part::Whole),
                    (None, _) => {
                        answers::commit_quietly(cx, alloc::vec![Write::Delete { key: schema::outbox_key(node, &key) }]);
                        debts::doubt(cx);
                    }
                }
            }
            if !cx.outbox.under_way.contains_key(&node) {
                go_on(cx, node);
            }
        }
        OutboxStep::Settled(node, record, part, name) => {
            match completion.committed() {
                Ok(true) => on_struck(cx, &[name]),
                // A debt that was settled before is missing, and not counted twice.
                Ok(false) => {}
                // It stands on the disk still: it is offered again, and struck off then.
                Err(error) => {
                    answers::note_disk_error(cx, &error);
                    debts::doubt(cx);
                    retry(cx, node);
                }
            }
            forget(cx, node, record, part);
        }
        OutboxStep::Forgiven(node) => {
            let Ok((entries, _)) = completion.entries() else { return retry(cx, node) };
            let record_keys = entries.iter().map(|(key, _)| schema::record_key_of_outbox(key));
            let struck = record_keys.map(|key| schema::address_of_record(&key)).collect();
            let writes: Vec<Write> = entries.into_iter().map(|(key, _)| Write::Delete { key }).collect();
            if writes.is_empty() || cx.members.is_in(node) {
                return;
            }
            let commit = DiskOp::Commit { require_blobs: Vec::new(), require_keys: Vec::new(), writes };
            cx.disk(commit, Pending::Outbox(OutboxStep::Struck(node, struck)));
        }
        OutboxStep::Struck(node, struck) => {
            if completion.committed() != Ok(true) {
                debts::doubt(cx);
                return retry(cx, node);
            }
            on_struck(cx, &struck);
            forgive(cx, node);
        }
    }
}

/// Debts about records of these names are gone from the disk.
fn on_struck(cx: &mut Context, names: &[Option<Address>]) {
    debts::struck(cx, names.len() as u64);
    for name in names.iter().flatten() {
        collect::on_struck(cx, *name);
    }
}

/// Announces a record that a node was owed when it was written, if the node is to have it still.
fn deliver_owed(cx: &mut Context, node: NodeId, id: RecordId, key: Bytes, bytes: Bytes) {
    let Ok(SignedRecord { record, .. }) = SignedRecord::decode(bytes.clone()) else { return retry(cx, node) };
    match cluster::part(cx, node, &record) {
        Some(part) => deliver(cx, node, id, key, bytes, part),
        // Others are to hold it now, and who holds what is theirs brings it to them.
        None if cluster::place_of(cx, node, Group::of(record.name_id)).is_some() => {
            sometimes!(cx.simulation, "outbox.no-longer-a-holder");
            settle(cx, node, id, &key, Part::Whole);
        }
        // It has just come back, and is not in service yet.
        None => retry(cx, node),
    }
}

/// The same for all who are no longer members, after a start that may have cut that short.
pub(crate) fn forgive_all(cx: &mut Context) {
    let gone: Vec<NodeId> = cx.members.all().map(|(node, _)| node).filter(|node| !cx.members.is_in(*node)).collect();
    for node in gone {
        forgive(cx, node);
    }
}

/// A node is no longer a member: nothing is owed to it any more.
pub(crate) fn forgive(cx: &mut Context, node: NodeId) {
    let prefix = schema::outbox(node);
    let to = schema::end_of(&prefix);
    let scan = DiskOp::Scan { from: prefix, to, limit: FORGIVEN_MAX, reverse: false };
    cx.disk(scan, Pending::Outbox(OutboxStep::Forgiven(node)));
}

/// What is owed could not be read. It is owed all the same, so it is read again later, from the start.
fn read_again(cx: &mut Context, node: NodeId) {
    cx.outbox.reading.remove(&node);
    cx.outbox.next.remove(&node);
    if planted!(cx.simulation, DeliveryForgotten) {
        return;
    }
    retry(cx, node);
}

/// What is owed to a node is read again in a while; what was to be read again before that, is.
fn retry(cx: &mut Context, node: NodeId) {
    let again = cx.now.mono + RETRY;
    cx.timers.set_if_sooner(Timer::Outbox(node), again);
}

/// A delivery is no longer under way. After the last of a batch the next is read, if there is one.
fn forget(cx: &mut Context, node: NodeId, record: RecordId, part: Part) {
    let Some(under_way) = cx.outbox.under_way.get_mut(&node) else { return };
    if under_way.get(&record).is_some_and(|(_, announced)| *announced > part) {
        // More of it is under way by now.
        return;
    }
    under_way.remove(&record);
    if under_way.is_empty() {
        cx.outbox.under_way.remove(&node);
        go_on(cx, node);
    }
}

/// A batch is done with: the next is read, if there is one.
fn go_on(cx: &mut Context, node: NodeId) {
    if cx.outbox.next.contains_key(&node) && !planted!(cx.simulation, OutboxFirstBatch) {
        flush(cx, node);
    }
}

/// A node answered an announcement, or did not.
pub(crate) fn on_answered(cx: &mut Context, node: NodeId, record: RecordId, part: Part, answer: Option<Answer>) {
    let under_way = cx.outbox.under_way.get(&node).and_then(|records| records.get(&record));
    let Some((record_key, announced)) = under_way.cloned() else { return };
    let outcome = match answer.map(Answer::announced) {
        Some(Some(AnnounceOutcome::Stored)) => Delivery::Stored,
        Some(Some(AnnounceOutcome::Superseded { by })) => Delivery::Superseded(by),
        Some(Some(AnnounceOutcome::Obsolete { by })) => Delivery::Obsolete(by),
        Some(Some(AnnounceOutcome::Refused(reason))) => Delivery::Refused(reason),
        Some(None) => {
            asks::on_lie(cx, node);
            Delivery::Lost
        }
        None => Delivery::Lost,
    };
    cx.signal(Signal::Delivered { node, record, part, outcome: outcome.clone() });
    if part < announced {
        // The debt is paid by what is still under way.
        return;
    }
    match outcome {
        Delivery::Stored | Delivery::Superseded(_) | Delivery::Obsolete(_) => {
            settle(cx, node, record, &record_key, part);
        }
        Delivery::Refused(Refusal::Busy) if planted!(cx.simulation, BusyIsStored) => {
            settle(cx, node, record, &record_key, part);
        }
        Delivery::Refused(Refusal::Full) if planted!(cx.simulation, FullIsSettled) => {
            settle(cx, node, record, &record_key, part);
        }
        Delivery::Lost if planted!(cx.simulation, LostIsDelivered) => settle(cx, node, record, &record_key, part),
        Delivery::Refused(_) => {
            sometimes!(cx.simulation, "outbox.refused");
            forget(cx, node, record, part);
            if planted!(cx.simulation, TimerNotRearmed) {
                return;
            }
            retry(cx, node);
        }
        Delivery::Lost => {
            cx.outbox.next.remove(&node);
            forget(cx, node, record, part);
            if neighbours::is_on_demand(cx, node) {
                // It need not go and come back for the next try.
                retry(cx, node);
            }
        }
    }
    end_visit_if_idle(cx, node);
}

/// A delivery is no longer owed: it stays under way until the disk has forgotten it, so that it is not read again meanwhile.
pub(crate) fn settle(cx: &mut Context, node: NodeId, record: RecordId, record_key: &[u8], part: Part) {
    let key = schema::outbox_key(node, record_key);
    let commit = DiskOp::Commit {
        require_blobs: Vec::new(),
        require_keys: alloc::vec![key.clone()],
        writes: alloc::vec![Write::Delete { key }],
    };
    let name = schema::address_of_record(record_key);
    cx.disk(commit, Pending::Outbox(OutboxStep::Settled(node, record, part, name)));
}
