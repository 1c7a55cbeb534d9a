//! Doomed pages: each goes in one commit, with its references and with the chunks that nothing else needs. A root that lists
//! pages dooms them and goes first, so what is still to be done is always on the disk.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::disk::{DiskError, DiskOp, Write};
use crate::ids::{BlobKey, ChunkId, OwnerId, PageId};
use crate::manifest::{Children, PagePublic};
use crate::node::context::Context;
use crate::node::pending::{Completion, Pending};
use crate::node::{schema, space};
use crate::work::{WorkOp, WorkResult};
use crate::{planted, sometimes};

use super::{CollectStep, step_done, step_failed};

/// What the collector waits for with a doomed page.
#[derive(Debug)]
pub(crate) enum PageStep {
    Next,
    Read(OwnerId, PageId),
    Checked(OwnerId, PageId),
    /// These chunks may be gone.
    Commit(OwnerId, Vec<ChunkId>),
}

fn pending(step: PageStep) -> Pending {
    Pending::Collect(CollectStep::Page(step))
}

/// Takes the next doomed page.
pub(super) fn next(cx: &mut Context) {
    let from = Bytes::from_static(schema::DOOMED);
    let scan = DiskOp::Scan { to: schema::end_of(&from), from, limit: 1, reverse: false };
    cx.disk(scan, pending(PageStep::Next));
}

/// An operation is complete.
pub(super) fn on_completion(cx: &mut Context, step: PageStep, completion: Completion) {
    match step {
        PageStep::Next => match completion.entries() {
            Ok((entries, _)) => on_next(cx, entries.first().map(|(key, _)| key)),
            Err(error) => step_failed(cx, &error),
        },
        PageStep::Read(owner, page) => match completion.values() {
            Ok(values) => on_read(cx, owner, page, values.into_iter().flatten().next()),
            Err(error) => step_failed(cx, &error),
        },
        PageStep::Checked(owner, page) => {
            let result = completion.work();
            let WorkResult::PageChecked(public) = result else {
                panic!("the check of a page was completed by {result:?}")
            };
            // What is not a page names nothing that could go with it.
            take(cx, owner, page, public.ok());
        }
        PageStep::Commit(owner, chunks) => on_committed(cx, owner, &chunks, completion.committed()),
    }
}

fn on_next(cx: &mut Context, key: Option<&Bytes>) {
    let Some(key) = key else {
        cx.collector.doomed = false;
        return step_done(cx);
    };
    let Some((owner, page)) = schema::page_of_doomed(key) else {
        // Nothing that this program wrote: it would be met again and again.
        let writes = alloc::vec![Write::Delete { key: key.clone() }];
        let commit = DiskOp::Commit { require_blobs: Vec::new(), require_keys: Vec::new(), writes };
        return cx.disk(commit, pending(PageStep::Commit(cx.owner, Vec::new())));
    };
    let keys = alloc::vec![schema::page_key(owner, page)];
    cx.disk(DiskOp::Lookup { keys }, pending(PageStep::Read(owner, page)));
}

fn on_read(cx: &mut Context, owner: OwnerId, page: PageId, data: Option<Bytes>) {
    match data {
        Some(data) => cx.work(WorkOp::CheckPage { page, data }, pending(PageStep::Checked(owner, page))),
        None => take(cx, owner, page, None),
    }
}

/// Takes a page away. A page that was stored again meanwhile is no longer doomed, and the commit changes nothing.
fn take(cx: &mut Context, owner: OwnerId, page: PageId, public: Option<PagePublic>) {
    let doomed = schema::doomed_key(owner, page);
    let mut writes = alloc::vec![
        Write::Delete { key: doomed.clone() },
        Write::Delete { key: schema::page_key(owner, page) },
        Write::Delete { key: schema::page_lease_key(owner, page) },
    ];
    let mut gone = Vec::new();
    match public.map(|public| public.children) {
        None => {}
        Some(Children::Pages(pages)) => {
            let doom = |child| Write::Put { key: schema::doomed_key(owner, child), value: Bytes::new() };
            writes.extend(pages.into_iter().map(|child| doom(child.id)));
        }
        Some(Children::Chunks(chunks)) => {
            gone = chunks.into_iter().map(|chunk| chunk.id).collect();
            if !planted!(cx.simulation, CollectForgetsReferences) {
                writes.extend(unreference(owner, page, &gone));
            }
            let ignored = planted!(cx.simulation, CollectIgnoresReferences);
            writes.extend(gone.iter().map(|chunk| {
                if ignored { Write::drop_blob(BlobKey { owner, chunk: *chunk }) } else { release(owner, *chunk) }
            }));
        }
    }
    let commit = DiskOp::Commit { require_blobs: Vec::new(), require_keys: alloc::vec![doomed], writes };
    cx.disk(commit, pending(PageStep::Commit(owner, gone)));
}

fn on_committed(cx: &mut Context, owner: OwnerId, gone: &[ChunkId], committed: Result<bool, DiskError>) {
    match committed {
        Ok(true) => {
            if !gone.is_empty() {
                sometimes!(cx.simulation, "collect.page-gone");
            }
            for chunk in gone {
                cx.hot.remove(&BlobKey { owner, chunk: *chunk });
            }
            give_room_back(cx, gone.len());
            step_done(cx);
        }
        Ok(false) => {
            sometimes!(cx.simulation, "collect.page-needed-again");
            step_done(cx);
        }
        Err(error) => step_failed(cx, &error),
    }
}

/// Chunks may have gone: what they took is free again once the disk is measured.
pub(super) fn give_room_back(cx: &mut Context, chunks: usize) {
    if chunks > 0 {
        space::measure(cx);
    }
}

/// Takes a page's references to chunks away.
pub(crate) fn unreference(owner: OwnerId, page: PageId, chunks: &[ChunkId]) -> impl Iterator<Item = Write> {
    chunks.iter().map(move |chunk| Write::Delete { key: schema::reference_key(owner, *chunk, page) })
}

/// Drops a chunk, unless a page references it or a lease is on it.
pub(crate) fn release(owner: OwnerId, chunk: ChunkId) -> Write {
    let unless = alloc::vec![schema::references(owner, chunk), schema::leases(owner, chunk)];
    Write::DropBlob { blob: BlobKey { owner, chunk }, unless }
}
