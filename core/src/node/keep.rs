//! Keeping what a get fetched: its blobs are stored, and a file that is whole again no longer relies on promises.

use alloc::vec::Vec;

use crate::disk::{DiskOp, Write};
use crate::frame::Frame;
use crate::ids::BlobKey;
use crate::node::cluster::Part;
use crate::node::context::Context;
use crate::node::pending::{Completion, Pending};
use crate::node::pull::{self, PullClient};
use crate::node::{cluster, schema};
use crate::record::SignedRecord;
use crate::sometimes;

/// What a get keeps.
#[derive(Debug, Default)]
pub(crate) struct Keep {
    under_way: u32,
    fetched: bool,
    failed: bool,
    /// Whether all was delivered, and if so whether that was the whole file.
    delivered: Option<bool>,
}

impl Keep {
    /// A blob is being stored.
    pub(crate) fn begin(&mut self) {
        self.under_way += 1;
        self.fetched = true;
    }

    /// A blob is stored, or not.
    pub(crate) fn end(&mut self, stored: bool) {
        self.under_way -= 1;
        self.failed |= !stored;
    }

    /// The caller has all it asked for.
    pub(crate) fn delivered(&mut self, whole: bool) {
        self.delivered = Some(whole);
    }

    /// How many blobs are being stored.
    pub(crate) fn under_way(&self) -> u64 {
        u64::from(self.under_way)
    }

    /// Whether the caller has all and nothing is being stored.
    pub(crate) fn is_over(&self) -> bool {
        self.delivered.is_some() && self.under_way == 0
    }

    /// If the whole file is here now: its record is kept with it, it is no longer evicted, and peers are released from their
    /// promises. `chunks` are those of the file, as far as they are at hand: they must still be here.
    pub(crate) fn settle(&self, cx: &mut Context, record: &SignedRecord, record_is_here: bool, chunks: Vec<BlobKey>) {
        if self.failed || !self.fetched || self.delivered != Some(true) {
            return;
        }
        if !record_is_here {
            let holders = cluster::likely_of(cx, &record.record);
            return pull::start(cx, record.clone(), Part::Whole, PullClient::Nobody, holders);
        }
        if cx.evicting.contains(&record.id) {
            return;
        }
        let delete = Write::Delete { key: schema::evicted_key(record.record.owner, record.id) };
        let commit = DiskOp::Commit { require_blobs: chunks, require_keys: Vec::new(), writes: alloc::vec![delete] };
        cx.disk(commit, Pending::Kept(record.clone()));
    }
}

/// The file is durably whole here: peers need no longer keep it for this node.
pub(crate) fn on_kept(cx: &mut Context, record: &SignedRecord, completion: &Completion) {
    if completion.is_committed() {
        release_promises(cx, record);
    }
}

/// Peers that have promised to keep a file for this node need no longer.
pub(crate) fn release_promises(cx: &mut Context, record: &SignedRecord) {
    if cx.evicting.contains(&record.id) {
        return;
    }
    sometimes!(cx.simulation, "keep.promises-released");
    let (owner, id, name_id) = (record.record.owner, record.id, record.record.name_id);
    let links: Vec<_> = cx.links.ready_nodes().into_iter().filter_map(|node| cx.links.of(node)).collect();
    for link in links {
        cx.send(link, Frame::ReleasePromise { owner, name_id, record: id });
    }
}
