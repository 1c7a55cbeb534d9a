//! The chunks of a page that is being pulled: those that are not here are fetched, written, and then the page is stored.

use alloc::vec::Vec;

use super::{
    ACTIVE_BYTES_MAX, ATTEMPTS_MAX, Pull, PullClient, PullId, PullStep, pages, refuse, refuse_disk, refuse_for_room,
};
use crate::disk::{DiskError, DiskOp};
use crate::frame::Refusal;
use crate::ids::{BlobKey, ChunkId, NodeId, ObjectId, ObjectKey};
use crate::manifest::ChunkRef;
use crate::node::collect::ChunkLease;
use crate::node::context::Context;
use crate::node::pending::Pending;
use crate::node::signal::{FetchClient, FetchResult};
use crate::node::{asks, fetch, repair, space};
use crate::{buggify, planted, sometimes};

pub(super) fn look_for(cx: &mut Context, id: PullId) {
    let Some(Pull { record, page: Some(page), .. }) = cx.pulls.pulls.get_mut(&id) else {
        // It was the root: a page that was stored a moment ago is gone.
        return refuse(cx, id, Refusal::Disk);
    };
    page.attempts += 1;
    let owner = record.record.owner;
    let blobs = page.chunks.keys().map(|chunk| BlobKey { owner, chunk: *chunk }).collect();
    if page.attempts > ATTEMPTS_MAX {
        return refuse(cx, id, Refusal::Disk);
    }
    cx.disk(DiskOp::HasBlobs { blobs }, Pending::Pull(id, PullStep::Has));
}

pub(super) fn on_presence(cx: &mut Context, id: PullId, has: &[bool]) {
    let Some(Pull { client, record, page: Some(page), .. }) = cx.pulls.pulls.get_mut(&id) else { return };
    let client = *client;
    let absent = page.chunks.iter().zip(has).filter(|(_, present)| !**present);
    page.queue = absent.map(|((id, len), _)| ChunkRef { id: *id, len: *len }).collect();
    if !page.queue.is_empty() && page.queue.len() < page.chunks.len() {
        sometimes!(cx.simulation, "pull.resumed");
    }
    if page.queue.is_empty() {
        // What is here already is never refused.
        return pump(cx, id);
    }
    if matches!(client, PullClient::Promise { fetch: false, .. }) {
        return refuse(cx, id, Refusal::Unavailable);
    }
    let bytes = page.queue.iter().map(|chunk| u64::from(chunk.len)).sum();
    let owner = record.record.owner;
    match space::admit(cx, owner, bytes) {
        Ok(()) => {
            if let Some(pull) = cx.pulls.pulls.get_mut(&id) {
                pull.held += bytes;
            }
            pump(cx, id);
        }
        Err(reason) => refuse_for_room(cx, id, reason),
    }
}

/// Goes on with all repairs: their rate allows more.
pub(crate) fn pump_repairs(cx: &mut Context) {
    let repairs = cx.pulls.pulls.iter().filter(|(_, pull)| pull.client.is_repair() && pull.page.is_some());
    let ids: Vec<PullId> = repairs.map(|(id, _)| *id).collect();
    for id in ids {
        let waits = |pull: &Pull| pull.page.as_ref().is_some_and(|page| !page.queue.is_empty());
        if cx.pulls.pulls.get(&id).is_some_and(waits) {
            pump(cx, id);
        }
    }
}

/// Fetches as many chunks as may be under way; commits the page when all are here.
fn pump(cx: &mut Context, id: PullId) {
    let pulls = cx.pulls.pulls.len() - cx.pulls.waiting.len();
    let window = ACTIVE_BYTES_MAX / u64::try_from(pulls.max(1)).unwrap_or(u64::MAX);
    loop {
        let Some(Pull { client, page: Some(page), .. }) = cx.pulls.pulls.get(&id) else { return };
        let is_repair = client.is_repair();
        let Some(chunk) = page.queue.front().copied() else { break };
        let active = page.active_bytes;
        let one_by_one = buggify!(cx.simulation, "pull.one-chunk-at-a-time");
        if active > 0 && (one_by_one || active + u64::from(chunk.len) > window) {
            return;
        }
        if is_repair && !repair::take(cx, chunk.len) {
            return;
        }
        let Some(Pull { record, holders, liars, page: Some(page), .. }) = cx.pulls.pulls.get_mut(&id) else { return };
        page.queue.pop_front();
        if page.active.insert(chunk.id) {
            page.active_bytes += u64::from(chunk.len);
        }
        let order = fetch::Order {
            client: FetchClient::PullChunk(id, chunk.id),
            object: ObjectKey { owner: record.record.owner, id: ObjectId::Chunk(chunk.id) },
            len: chunk.len,
            lane: id.0,
            holders: holders.clone(),
            wide: true,
            liars: liars.clone(),
        };
        fetch::start(cx, order);
    }
    let Some(pull) = cx.pulls.pulls.get(&id) else { return };
    let Some(page) = pull.page.as_ref().filter(|page| page.active.is_empty()) else { return };
    let chunks: Vec<ChunkId> = page.chunks.keys().copied().collect();
    pages::commit(cx, id, &chunks);
}

/// A chunk came, or will not come.
pub(crate) fn on_fetched(cx: &mut Context, id: PullId, chunk: ChunkId, result: FetchResult) {
    let Some(pull) = cx.pulls.pulls.get_mut(&id) else { return };
    match result {
        FetchResult::Got { from, data } => {
            let blob = BlobKey { owner: pull.record.record.owner, chunk };
            // From here on the room that it needs is the write's.
            let len = pull.page.as_ref().and_then(|page| page.chunks.get(&chunk)).copied().unwrap_or_default();
            pull.held = pull.held.saturating_sub(len.into());
            let known = planted!(cx.simulation, TrustFetchedBlob);
            let entry = Some(ChunkLease::PEERS.entry(cx, blob.owner, chunk));
            cx.disk(
                DiskOp::WriteBlob { blob, data, known, entry },
                Pending::Pull(id, PullStep::Write(blob, len, from)),
            );
        }
        FetchResult::Nowhere => refuse(cx, id, Refusal::Unavailable),
    }
}

pub(super) fn on_written(cx: &mut Context, id: PullId, chunk: ChunkId, from: NodeId, written: Result<bool, DiskError>) {
    let Some(pull) = cx.pulls.pulls.get_mut(&id) else { return };
    let Some(page) = &mut pull.page else { return };
    let len = page.chunks.get(&chunk).copied().unwrap_or_default();
    if page.active.remove(&chunk) {
        page.active_bytes -= u64::from(len);
    }
    match written {
        Ok(_) => {
            pull.fetched_bytes += u64::from(len);
            if let PullClient::Request(request) = pull.client {
                cx.expect_progress(request);
            }
        }
        Err(DiskError::Mismatch) => {
            // The peer lied: ask the others.
            sometimes!(cx.simulation, "pull.wrong-bytes-refused");
            pull.liars.insert(from);
            page.queue.push_back(ChunkRef { id: chunk, len });
            pull.held += u64::from(len);
            let owner = pull.record.record.owner;
            space::hold(cx, owner, len.into());
            asks::on_lie(cx, from);
        }
        Err(error) => return refuse_disk(cx, id, &error),
    }
    pump(cx, id);
}
