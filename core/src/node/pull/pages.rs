//! The pages of what is pulled: loaded from the root down, stored from the leaves up, and the record last.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;

use bytes::Bytes;

use super::{Page, PullClient, PullId, PullOutcome, PullStep, Root, chunks, finish, refuse};
use crate::disk::Write;
use crate::frame::Refusal;
use crate::ids::{ChunkId, PageId};
use crate::manifest::{Children, PAGE_LEN_MAX, PageContext, PageRef};
use crate::node::cluster::{self, Part};
use crate::node::collect::ChunkLease;
use crate::node::context::Context;
use crate::node::page_loader::{self, LoadedPage, Opening, PageClient, PageFailure, PageOrder};
use crate::node::page_store::{self, NewPage, RecordPages};
use crate::node::pending::Pending;
use crate::node::records::{self, With};
use crate::node::{fill, keep, schema};
use crate::record::RecordBody;
use crate::{planted, sometimes};

pub(super) fn bring(cx: &mut Context, id: PullId) {
    let Some(pull) = cx.pulls.pulls.get(&id) else { return };
    match pull.record.record.body {
        RecordBody::Tombstone | RecordBody::Checkpoint(_) => commit_record(cx, id, None),
        RecordBody::File { root_len, .. } if root_len as usize > PAGE_LEN_MAX => refuse(cx, id, Refusal::Invalid),
        RecordBody::File { root, root_len } => load_page(cx, id, PageRef { id: root, len: root_len }),
    }
}

fn load_page(cx: &mut Context, id: PullId, page: PageRef) {
    let Some(pull) = cx.pulls.pulls.get(&id) else { return };
    let order = PageOrder {
        client: PageClient::Pull(id),
        owner: pull.record.record.owner,
        page,
        opening: Opening::No,
        holders: pull.holders.clone(),
    };
    page_loader::load(cx, order);
}

/// A page is loaded or cannot be.
pub(crate) fn on_page(cx: &mut Context, id: PullId, result: Result<LoadedPage, PageFailure>) {
    let page = match result {
        Ok(page) => page,
        Err(PageFailure::Nowhere) => return refuse(cx, id, Refusal::Unavailable),
        Err(PageFailure::Damaged) => return refuse(cx, id, Refusal::Invalid),
    };
    let Some(pull) = cx.pulls.pulls.get_mut(&id) else { return };
    match page.public.children {
        Children::Pages(pages) if pull.root.is_none() => {
            pull.root = Some(Root { id: page.id, data: page.data, stored: false, pages, next: 0 });
            next(cx, id);
        }
        Children::Pages(_) => refuse(cx, id, Refusal::Invalid),
        Children::Chunks(mut chunks) => {
            if planted!(cx.simulation, ManifestOffByOne) && chunks.len() > 1 {
                chunks.pop();
            }
            let chunks = chunks.into_iter().map(|chunk| (chunk.id, chunk.len)).collect();
            let page = Page {
                id: page.id,
                data: page.data,
                chunks,
                queue: VecDeque::new(),
                active: BTreeSet::new(),
                active_bytes: 0,
                attempts: 0,
            };
            let is_light = pull.part == Part::Light;
            pull.page = Some(page);
            if is_light { commit(cx, id, &[]) } else { chunks::look_for(cx, id) }
        }
    }
}

/// Goes on with the next page of the root, or ends with the root and the record.
pub(super) fn next(cx: &mut Context, id: PullId) {
    let Some(pull) = cx.pulls.pulls.get_mut(&id) else { return };
    pull.page = None;
    let Some(root) = &mut pull.root else {
        let RecordBody::File { root, .. } = pull.record.record.body else { return };
        return commit_record(cx, id, Some(root));
    };
    if let Some(page) = root.pages.get(root.next).copied() {
        root.next += 1;
        return load_page(cx, id, page);
    }
    let (root_id, stored) = (root.id, root.stored);
    if stored {
        return commit_record(cx, id, Some(root_id));
    }
    let (data, pages): (_, Vec<PageId>) = (root.data.clone(), root.pages.iter().map(|page| page.id).collect());
    root.stored = true;
    let page = NewPage { place: PageContext::of(&pull.record.record), id: root_id, data };
    page_store::commit_root(cx, page, &pages, Pending::Pull(id, PullStep::CommitPage));
}

/// Stores a page that needs these of its chunks here: all, or none if the pull is light.
pub(super) fn commit(cx: &mut Context, id: PullId, chunks: &[ChunkId]) {
    let Some(pull) = cx.pulls.pulls.get(&id) else { return };
    let Some(page) = &pull.page else { return };
    let page = NewPage { place: PageContext::of(&pull.record.record), id: page.id, data: page.data.clone() };
    page_store::commit_page(cx, page, chunks, ChunkLease::PEERS, Pending::Pull(id, PullStep::CommitPage));
}

fn commit_record(cx: &mut Context, id: PullId, root: Option<PageId>) {
    let Some(pull) = cx.pulls.pulls.get(&id) else { return };
    let record = pull.record.clone();
    let owner = record.record.owner;
    let below = pull.root.iter().flat_map(|root| root.pages.iter().map(|page| page.id)).collect();
    let pages = RecordPages { root, below };
    let mut writes: Vec<Write> = pages.taken_over(owner).collect();
    if owner == cx.owner {
        cx.clock.observe(&record.record.version);
        writes.push(Write::Put { key: Bytes::from_static(schema::CLOCK), value: schema::encode(&cx.clock) });
    }
    let mut require_keys = pages.required(owner);
    let mark = schema::evicted_key(owner, record.id);
    // An evict that begins now sets the mark again, after this.
    let is_evicting = cx.evicting.contains(&record.id);
    match (pull.part, pull.is_marked && !is_evicting) {
        (Part::Light, _) if planted!(cx.simulation, LightUnmarked) => {}
        (Part::Light, _) if root.is_some() => {
            writes.push(Write::Put { key: mark, value: Bytes::from_static(schema::LIGHT) })
        }
        (Part::Whole, true) => {
            sometimes!(cx.simulation, "pull.light-made-whole");
            writes.push(Write::Delete { key: mark });
        }
        (Part::Light, _) | (Part::Whole, false) => {}
    }
    if pull.client == PullClient::Mend {
        // A record that was dropped meanwhile stays dropped.
        require_keys.push(schema::record_key(&record));
    }
    let with = With { require_keys, writes, ..With::default() };
    records::add(cx, record, with, Pending::Pull(id, PullStep::CommitRecord));
}

pub(super) fn on_record_stored(cx: &mut Context, id: PullId) {
    let Some(pull) = cx.pulls.pulls.get(&id) else { return };
    let fetched_bytes = pull.fetched_bytes;
    let (record, was_light) = (pull.record.clone(), pull.part == Part::Whole && pull.is_marked);
    let came_light = pull.part == Part::Light && pull.client == PullClient::Nobody;
    if was_light {
        keep::release_promises(cx, &record);
    }
    if came_light && cluster::own_part(cx, &record.record) == Part::Whole {
        sometimes!(cx.simulation, "pull.light-for-want-of-room");
        fill::on_light(cx);
    }
    finish(cx, id, PullOutcome::Stored { fetched_bytes });
}
