//! Keeping what a get fetched: its blobs are stored, and a file that is whole again no longer relies on promises.

use crate::frame::Frame;
use crate::node::cluster::{self, Part};
use crate::node::context::Context;
use crate::node::pull::{self, PullClient};
use crate::node::{asks, neighbours};
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

    /// If the whole file is here now: its record is kept with it, its pages need its chunks here again, it is no longer
    /// evicted, and peers are released from their promises.
    pub(crate) fn settle(&self, cx: &mut Context, record: &SignedRecord) {
        if self.failed || !self.fetched || self.delivered != Some(true) {
            return;
        }
        if cx.evicting.contains(&record.id) {
            return;
        }
        let holders = cluster::likely_of(cx, &record.record);
        pull::start(cx, record.clone(), Part::Whole, PullClient::Nobody, holders);
    }
}

/// The file is durably whole here, and no longer marked: peers need no longer keep it for this node.
pub(crate) fn release_promises(cx: &mut Context, record: &SignedRecord) {
    if !cx.evicting.contains(&record.id) {
        sometimes!(cx.simulation, "keep.promises-released");
        release(cx, record);
    }
}

/// Gives back the promises that peers gave to this node about a record.
pub(crate) fn release(cx: &mut Context, record: &SignedRecord) {
    let (owner, id, name_id) = (record.record.owner, record.id, record.record.name_id);
    let mut nodes = cx.links.ready_nodes();
    let likely = cluster::likely_of(cx, &record.record);
    nodes.extend(likely.into_iter().filter(|node| neighbours::is_on_demand(cx, *node)));
    for node in nodes {
        asks::tell(cx, node, Frame::ReleasePromise { owner, name_id, record: id });
    }
}
