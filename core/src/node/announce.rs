//! Announcements and requests for promises, at the end that receives them.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::disk::{DiskOp, Write};
use crate::frame::{AnnounceOutcome, Frame, PromiseOutcome, Refusal};
use crate::ids::{LinkId, NodeId, OwnerId, RecordId};
use crate::node::cluster::{self, Part};
use crate::node::context::Context;
use crate::node::pending::{Completion, Pending};
use crate::node::pull::{self, PullClient, PullOutcome};
use crate::node::{links, schema};
use crate::record::{RecordBody, SignedRecord};
use crate::work::{WorkOp, WorkResult};
use crate::{planted, sometimes};

/// What an announcement waits for.
#[derive(Debug)]
pub(crate) enum AnnounceStep {
    Verify {
        link: LinkId,
        request: u64,
        whole: bool,
    },
    /// The newest record of the name.
    Newest {
        link: LinkId,
        request: u64,
        record: RecordId,
    },
}

/// What a promise waits for.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "promises are rare")]
pub(crate) enum PromiseStep {
    Verify {
        link: LinkId,
        request: u64,
        fetch: bool,
    },
    Mark {
        asked: Asked,
        record: SignedRecord,
        fetch: bool,
    },
    /// The mark of the newest record of its name, if that is what keeps it away.
    Newest {
        asked: Asked,
    },
    Commit {
        asked: Asked,
    },
}

/// A request for a promise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    link: LinkId,
    request: u64,
    owner: OwnerId,
    record: RecordId,
}

/// A peer announces a record.
pub(crate) fn on_announce(cx: &mut Context, link: LinkId, request: u64, record: Bytes, whole: bool) {
    let step = AnnounceStep::Verify { link, request, whole };
    cx.work(WorkOp::VerifyRecords { records: alloc::vec![record] }, Pending::Announce(step));
}

/// An operation is complete.
pub(crate) fn on_completion(cx: &mut Context, step: AnnounceStep, completion: Completion) {
    match step {
        AnnounceStep::Verify { link, request, whole } => {
            let WorkResult::RecordsVerified(mut records) = completion.work() else { return };
            let Some(Ok(record)) = records.pop() else { return links::offend(cx, link) };
            if planted!(cx.simulation, RejectFutureRecords) && record.record.version.wall_ms > cx.now.wall_ms + 2_000 {
                let outcome = AnnounceOutcome::Refused(Refusal::Invalid);
                return links::answer(cx, link, Frame::Announced { request, outcome });
            }
            // The announcer may itself have evicted what it owes.
            let holders = likely(cx, link, &record);
            // Only what is of its own owner does a node know how to have light.
            let is_light = !whole && record.record.owner == cx.owner;
            let part = if is_light { Part::Light } else { Part::Whole };
            pull::start(cx, record, part, PullClient::Announce { link, request }, holders);
        }
        AnnounceStep::Newest { link, request, record } => {
            let newest = completion.entries().ok().and_then(|(mut entries, _)| entries.pop());
            let outcome = match newest {
                Some((key, by)) if schema::record_id_of(&key) != Some(record) => {
                    note_late_put(cx, &by);
                    AnnounceOutcome::Superseded { by }
                }
                Some(_) => AnnounceOutcome::Stored,
                None => AnnounceOutcome::Refused(Refusal::Disk),
            };
            links::answer(cx, link, Frame::Announced { request, outcome });
        }
    }
}

/// Who is likely to have a record of which a peer speaks.
fn likely(cx: &mut Context, link: LinkId, record: &SignedRecord) -> BTreeSet<NodeId> {
    let speaker = cx.links.get(link).map(|link| link.node);
    cluster::likely_of(cx, &record.record).into_iter().chain(speaker).collect()
}

/// A record came to a node that knows a newer one.
fn note_late_put(cx: &mut Context, newer: &Bytes) {
    if SignedRecord::decode(newer.clone()).is_ok_and(|newer| newer.record.body == RecordBody::Tombstone) {
        sometimes!(cx.simulation, "announce.tombstone-beats-late-put");
    }
}

/// A pull that an announcement started is over.
pub(crate) fn on_pulled(cx: &mut Context, link: LinkId, request: u64, record: &SignedRecord, outcome: PullOutcome) {
    match outcome {
        PullOutcome::Refused(reason) => {
            links::answer(cx, link, Frame::Announced { request, outcome: AnnounceOutcome::Refused(reason) });
        }
        PullOutcome::Obsolete(by) => {
            sometimes!(cx.simulation, "announce.obsolete");
            note_late_put(cx, &by);
            links::answer(cx, link, Frame::Announced { request, outcome: AnnounceOutcome::Obsolete { by } });
        }
        PullOutcome::Stored { .. } => {
            let from = schema::name_records(record.record.owner, record.record.name_id);
            let newest = DiskOp::Scan { to: schema::end_of(&from), from, limit: 1, reverse: true };
            cx.disk(newest, Pending::Announce(AnnounceStep::Newest { link, request, record: record.id }));
        }
    }
}

/// A peer asks for a promise to keep a record.
pub(crate) fn on_ask_promise(cx: &mut Context, link: LinkId, request: u64, record: Bytes, fetch: bool) {
    let step = PromiseStep::Verify { link, request, fetch };
    cx.work(WorkOp::VerifyRecords { records: alloc::vec![record] }, Pending::Promise(step));
}

fn answer(cx: &mut Context, asked: Asked, outcome: PromiseOutcome) {
    links::answer(cx, asked.link, Frame::Promise { request: asked.request, outcome });
}

/// The name would not keep the record here. Whoever has it needs no promise if what replaces it lies here whole, or is a deletion.
fn on_obsolete(cx: &mut Context, asked: Asked, by: Bytes) {
    match SignedRecord::decode(by) {
        Ok(by) => {
            let keys = alloc::vec![schema::evicted_key(asked.owner, by.id)];
            cx.disk(DiskOp::Lookup { keys }, Pending::Promise(PromiseStep::Newest { asked }));
        }
        Err(_) => answer(cx, asked, PromiseOutcome::Refused),
    }
}

/// An operation is complete.
pub(crate) fn on_promise_completion(cx: &mut Context, step: PromiseStep, completion: Completion) {
    match step {
        PromiseStep::Verify { link, request, fetch } => {
            let WorkResult::RecordsVerified(mut records) = completion.work() else { return };
            let Some(Ok(record)) = records.pop() else { return links::offend(cx, link) };
            let asked = Asked { link, request, owner: record.record.owner, record: record.id };
            let keys = alloc::vec![schema::evicted_key(asked.owner, asked.record)];
            cx.disk(DiskOp::Lookup { keys }, Pending::Promise(PromiseStep::Mark { asked, record, fetch }));
        }
        PromiseStep::Mark { asked, record, fetch } => {
            // What is here without its chunks is fetched like anything else that is missing, and is light no more when it is promised.
            let evicted = completion.values().map_or(true, |marks| marks.iter().flatten().any(schema::is_evicted));
            let evicting = cx.evicting.contains(&asked.record) && !planted!(cx.simulation, PromiseWhileEvicting);
            if evicted || evicting {
                sometimes!(cx.simulation, "promise.refused");
                return answer(cx, asked, PromiseOutcome::Refused);
            }
            // What is missing or damaged here is fetched, if the asker wants that: it still has it.
            let client = PullClient::Promise { link: asked.link, request: asked.request, fetch };
            let holders = likely(cx, asked.link, &record);
            pull::start(cx, record, Part::Whole, client, holders);
        }
        PromiseStep::Newest { asked } => {
            let is_whole = completion.values().is_ok_and(|marks| marks.iter().all(Option::is_none));
            answer(cx, asked, if is_whole { PromiseOutcome::Obsolete } else { PromiseOutcome::Refused });
        }
        PromiseStep::Commit { asked } => {
            cx.fresh.end_promise(asked.record);
            let is_given = completion.committed() == Ok(true);
            answer(cx, asked, if is_given { PromiseOutcome::Given } else { PromiseOutcome::Refused });
        }
    }
}

/// The record is here with all its chunks: make the promise durable.
pub(crate) fn on_promise_pulled(
    cx: &mut Context,
    link: LinkId,
    request: u64,
    record: &SignedRecord,
    outcome: PullOutcome,
) {
    let asked = Asked { link, request, owner: record.record.owner, record: record.id };
    let Some(node) = cx.links.get(link).map(|link| link.node) else { return };
    let evicting = cx.evicting.contains(&record.id) && !planted!(cx.simulation, PromiseWhileEvicting);
    match outcome {
        PullOutcome::Obsolete(by) => return on_obsolete(cx, asked, by),
        PullOutcome::Stored { .. } if !evicting => {}
        PullOutcome::Stored { .. } | PullOutcome::Refused(_) => return answer(cx, asked, PromiseOutcome::Refused),
    }
    if planted!(cx.simulation, PromiseNotDurable) {
        return answer(cx, asked, PromiseOutcome::Given);
    }
    let promise = Write::Put { key: schema::promise_key(asked.owner, asked.record, node), value: Bytes::new() };
    let commit = DiskOp::Commit {
        require_blobs: Vec::new(),
        require_keys: alloc::vec![schema::record_key(record)],
        writes: alloc::vec![promise],
    };
    cx.fresh.begin_promise(asked.record);
    cx.disk(commit, Pending::Promise(PromiseStep::Commit { asked }));
}
