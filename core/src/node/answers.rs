//! Answers to peers' questions about records.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::buggify;
use crate::disk::{CACHE_OWNER, DiskError, DiskOp};
use crate::frame::{ANSWER_RECORDS_MAX, Frame, HEADER_LEN_MAX, HeldRecord};
use crate::ids::{BlobKey, LinkId, NameId, OwnerId, RecordId};
use crate::node::context::Context;
use crate::node::pending::{Completion, Pending};
use crate::node::{cache, links, mend, schema, space};
use crate::record::SignedRecord;

/// What an answer waits for.
#[derive(Debug)]
pub(crate) enum AnswerStep {
    /// The records.
    Records { link: LinkId, request: u64, owner: OwnerId, paged: bool },
    /// The marks of those that were evicted here.
    Marks { link: LinkId, request: u64, records: Vec<Bytes>, next: Bytes },
}

/// A peer asks for the records of a name.
pub(crate) fn on_find(cx: &mut Context, link: LinkId, request: u64, owner: OwnerId, name: NameId) {
    let from = schema::name_records(owner, name);
    scan(cx, from.clone(), schema::end_of(&from), true, AnswerStep::Records { link, request, owner, paged: false });
}

/// A peer asks for the records of a namespace, from `after` on.
pub(crate) fn on_scan(cx: &mut Context, link: LinkId, request: u64, owner: OwnerId, after: &[u8]) {
    let prefix = schema::owner_records(owner);
    let end = schema::end_of(&prefix);
    let from = if after.is_empty() { prefix.clone() } else { schema::after(after) };
    if !from.starts_with(&prefix) {
        return links::offend(cx, link);
    }
    scan(cx, from, end, false, AnswerStep::Records { link, request, owner, paged: true });
}

fn scan(cx: &mut Context, from: Bytes, to: Bytes, reverse: bool, step: AnswerStep) {
    let most = u32::try_from(ANSWER_RECORDS_MAX).expect("a small constant");
    // The answer about one name has one page, so only a longer one may be cut.
    let limit = if !reverse && buggify!(cx.simulation, "answers.page-cut-short", for a run) { 1 } else { most };
    cx.disk(DiskOp::Scan { from, to, limit, reverse }, Pending::Answer(step));
}

/// An operation is complete.
pub(crate) fn on_completion(cx: &mut Context, step: AnswerStep, completion: Completion) {
    match step {
        AnswerStep::Records { link, request, owner, paged } => {
            // A disk that fails gives no answer: the asker's deadline passes, and it knows no less than is true.
            match completion.entries() {
                Ok((entries, more)) => on_records(cx, link, request, owner, entries, more && paged),
                Err(_) => links::end_answer(cx, link),
            }
        }
        AnswerStep::Marks { link, request, records, next } => {
            let Ok(marks) = completion.values() else { return links::end_answer(cx, link) };
            // What is about to go from here is no copy that anybody should count on.
            let is_going = |record: &Bytes| {
                let decoded = || SignedRecord::decode(record.clone());
                !cx.evicting.is_empty() && decoded().is_ok_and(|record| cx.evicting.contains(&record.id))
            };
            let held = |(record, mark): (Bytes, Option<Bytes>)| {
                let complete = mark.is_none() && !is_going(&record);
                HeldRecord { record, complete }
            };
            let records = records.into_iter().zip(marks).map(held).collect();
            links::answer(cx, link, Frame::Records { request, records, next });
        }
    }
}

fn on_records(
    cx: &mut Context,
    link: LinkId,
    request: u64,
    owner: OwnerId,
    mut entries: Vec<(Bytes, Bytes)>,
    mut more: bool,
) {
    let mut bytes = 0;
    let fitting = entries.iter().take_while(|(key, record)| {
        bytes += record.len() + 16;
        bytes + key.len() < HEADER_LEN_MAX / 2
    });
    let fitting = fitting.count();
    more |= fitting < entries.len();
    entries.truncate(fitting);
    let next = entries.last().filter(|_| more).map(|(key, _)| key.clone()).unwrap_or_default();
    let marks = entries.iter().filter_map(|(key, _)| schema::record_id_of(key));
    let keys = marks.map(|id: RecordId| schema::evicted_key(owner, id)).collect();
    let records = entries.into_iter().map(|(_, record)| record).collect();
    cx.disk(DiskOp::Lookup { keys }, Pending::Answer(AnswerStep::Marks { link, request, records, next }));
}

/// Gives back a promise that a peer no longer relies on.
pub(crate) fn on_release(cx: &mut Context, link: LinkId, owner: OwnerId, name: NameId, record: RecordId) {
    let Some(node) = cx.links.get(link).map(|link| link.node) else { return };
    let delete = crate::disk::Write::Delete { key: schema::promise_key(owner, record, node) };
    let commit = DiskOp::Commit { require_blobs: Vec::new(), require_keys: Vec::new(), writes: alloc::vec![delete] };
    cx.disk(commit, Pending::Release(link, owner, name));
}

/// Commits changes that nobody waits for.
pub(crate) fn commit_quietly(cx: &mut Context, writes: Vec<crate::disk::Write>) {
    cx.disk(DiskOp::Commit { require_blobs: Vec::new(), require_keys: Vec::new(), writes }, Pending::Nobody);
}

/// A blob of this disk turned out to be damaged, and is absent now: it is fetched again.
pub(crate) fn note_damage(cx: &mut Context, blob: BlobKey) {
    cx.counters.damaged_blobs += 1;
    // It takes no room any more.
    space::measure(cx);
    if blob.owner == CACHE_OWNER {
        return cache::on_unreadable(cx, blob.chunk);
    }
    mend::chunk(cx, blob);
}

/// Notes a disk error that concerns the whole node.
pub(crate) fn note_disk_error(cx: &mut Context, error: &DiskError) {
    match error {
        DiskError::Degraded(_) => cx.disk_error = Some(alloc::string::ToString::to_string(error)),
        DiskError::Corrupt | DiskError::NotFound | DiskError::Mismatch | DiskError::Full | DiskError::Io(_) => {}
    }
}
