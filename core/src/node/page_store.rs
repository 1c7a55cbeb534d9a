//! What commits of pages and records require, and what they say about leases: one place for what is put here and for what comes
//! from peers.
//!
//! Pages are stored bottom-up: a page of chunks requires them, a root of pages requires those, a record requires its root. Each
//! commit takes over from the leases of what it requires, and undoes what doomed it: so what is stored is never on the way out.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::disk::{DiskOp, Write};
use crate::ids::{BlobKey, ChunkId, OwnerId, PageId};
use crate::manifest::PageContext;
use crate::node::collect::{ChunkLease, PageLease};
use crate::node::context::Context;
use crate::node::pending::Pending;
use crate::node::schema;

/// A page to be stored.
#[derive(Debug)]
pub(crate) struct NewPage {
    /// The version that it is for.
    pub(crate) place: PageContext,
    pub(crate) id: PageId,
    pub(crate) data: Bytes,
}

/// Stores a page of chunks, with a reference to each; `then` is told. Its chunks no longer need `lease`.
pub(crate) fn commit_page(cx: &mut Context, page: NewPage, chunks: &[ChunkId], lease: ChunkLease, then: Pending) {
    let NewPage { place, id, data } = page;
    let owner = place.owner;
    let require_blobs = chunks.iter().map(|chunk| BlobKey { owner, chunk: *chunk }).collect();
    let mut writes = stored(cx, &place, id, data);
    for chunk in chunks {
        let reference = schema::reference_key(owner, *chunk, id);
        writes.push(Write::Put { key: reference, value: Bytes::new() });
        writes.push(Write::Delete { key: lease.key(owner, *chunk) });
    }
    cx.disk(DiskOp::Commit { require_blobs, require_keys: Vec::new(), writes }, then);
}

/// Stores a root that lists pages; `then` is told.
pub(crate) fn commit_root(cx: &mut Context, root: NewPage, pages: &[PageId], then: Pending) {
    let NewPage { place, id, data } = root;
    let owner = place.owner;
    let require_keys = pages.iter().map(|page| schema::page_key(owner, *page)).collect();
    let mut writes = stored(cx, &place, id, data);
    writes.extend(pages.iter().map(|page| Write::Delete { key: schema::doomed_key(owner, *page) }));
    cx.disk(DiskOp::Commit { require_blobs: Vec::new(), require_keys, writes }, then);
}

fn stored(cx: &mut Context, place: &PageContext, id: PageId, data: Bytes) -> Vec<Write> {
    let owner = place.owner;
    let lease = PageLease::new(cx, place);
    alloc::vec![
        Write::Put { key: schema::page_key(owner, id), value: data },
        Write::Put { key: schema::page_lease_key(owner, id), value: schema::encode(&lease) },
        Write::Delete { key: schema::doomed_key(owner, id) },
    ]
}

/// The pages of a record that is about to be stored.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecordPages {
    /// The root; `None` for a deletion.
    pub(crate) root: Option<PageId>,
    /// Those below it.
    pub(crate) below: Vec<PageId>,
}

impl RecordPages {
    /// What the record's commit requires.
    pub(crate) fn required(&self, owner: OwnerId) -> Vec<Bytes> {
        self.root.map(|root| schema::page_key(owner, root)).into_iter().collect()
    }

    /// What the record's commit says of its pages: the record is what keeps them now.
    pub(crate) fn taken_over(&self, owner: OwnerId) -> impl Iterator<Item = Write> {
        let doomed = self.root.map(|root| schema::doomed_key(owner, root));
        let leases = self.root.iter().chain(&self.below).map(move |page| schema::page_lease_key(owner, *page));
        doomed.into_iter().chain(leases).map(|key| Write::Delete { key })
    }
}
