//! What follows a comparison: records that only the peer has are asked for, those that only this node has are told to the peer.

use alloc::vec::Vec;

use bytes::Bytes;

use super::reads::{self, FindClient};
use super::{SyncStep, asking, finish, is_open, next_task, wait_for_room};
use crate::frame::{FOUND_MAX, Frame};
use crate::ids::NodeId;
use crate::node::context::Context;
use crate::node::pending::Pending;
use crate::node::signal::AskClient;
use crate::node::{asks, cluster, repair};
use crate::reconcile::Item;
use crate::record::SignedRecord;
use crate::sometimes;
use crate::work::{WorkOp, WorkResult};

/// Deals with the next differences; goes on with the next part when there are none left.
pub(super) fn go_on(cx: &mut Context) {
    let Some(asking) = &cx.sync.asking else { return };
    if !asking.there.is_empty() && wait_for_room(cx) {
        return;
    }
    let Some(asking) = &mut cx.sync.asking else { return };
    let id = asking.id;
    if !asking.there.is_empty() {
        let most = FOUND_MAX.min(asking.there.len());
        let items: Vec<Item> = asking.there.iter().take(most).copied().collect();
        return reads::find(cx, FindClient::There(id), items.into_iter());
    }
    if !asking.here.is_empty() {
        let most = FOUND_MAX.min(asking.here.len());
        let items: Vec<Item> = asking.here.drain(..most).collect();
        return reads::find(cx, FindClient::Here(id), items.into_iter());
    }
    next_task(cx);
}

/// Which of the items that the peer has are here after all: it may have others of this owner than it should. The rest is asked for.
pub(super) fn on_looked_for(cx: &mut Context, id: u64, here: &[(Item, Bytes)], failed: bool) {
    if asking(cx, id).is_none() {
        return;
    }
    if failed {
        return finish(cx, false);
    }
    let Some(asking) = asking(cx, id) else { return };
    let most = FOUND_MAX.min(asking.there.len());
    let looked_for: Vec<Item> = asking.there.drain(..most).collect();
    let missing = looked_for.into_iter().filter(|item| here.iter().all(|(found, _)| found != item));
    let items: Vec<Item> = missing.collect();
    if items.is_empty() {
        return go_on(cx);
    }
    let node = asking.node;
    asks::ask(cx, AskClient::Sync(id), node, |request| Frame::FindItems { request, items });
}

/// The peer gave records.
pub(super) fn on_found(cx: &mut Context, id: u64, records: Vec<Bytes>) {
    let Some(asking) = asking(cx, id) else { return };
    let node = asking.node;
    if records.is_empty() {
        // They have been dropped there meanwhile.
        return go_on(cx);
    }
    cx.work(WorkOp::VerifyRecords { records }, Pending::Sync(SyncStep::Verify(id, node)));
}

/// They are verified: what is to be here is fetched in its turn.
pub(super) fn on_verified(cx: &mut Context, id: u64, node: NodeId, result: WorkResult) {
    let WorkResult::RecordsVerified(records) = result else { return };
    let all = records.len();
    let records: Vec<SignedRecord> = records.into_iter().flatten().collect();
    let lied = records.len() < all;
    for record in records {
        if cluster::part_here(cx, &record.record).is_some() {
            sometimes!(cx.simulation, "sync.found");
            repair::want(cx, record, node);
        } else {
            cx.sync.turns.is_ahead(node);
        }
    }
    if asking(cx, id).is_none() {
        return;
    }
    if lied {
        finish(cx, false);
        return asks::on_lie(cx, node);
    }
    go_on(cx);
}

/// Records are read of which the peer is to be told.
pub(super) fn on_own_read(cx: &mut Context, id: u64, records: Vec<(Item, Bytes)>, failed: bool) {
    let Some(asking) = asking(cx, id) else { return };
    let node = asking.node;
    if failed {
        return finish(cx, false);
    }
    let records: Vec<Bytes> = records.into_iter().map(|(_, record)| record).collect();
    if records.is_empty() {
        return go_on(cx);
    }
    asks::ask(cx, AskClient::Sync(id), node, |request| Frame::Tell { request, records });
}

/// The peer has heard of them. If it has too much to repair already, it is told of the rest another time.
pub(super) fn on_told(cx: &mut Context, id: u64, lacking: Option<u32>) {
    if asking(cx, id).is_none() {
        return;
    }
    let Some(lacking) = lacking else { return finish(cx, false) };
    if lacking > 0 {
        is_open(cx);
    }
    if let Some(asking) = asking(cx, id) {
        asking.lacking += u64::from(lacking);
    }
    go_on(cx);
}

/// Tells those of some peers that are to hold a record of it, which they have not (read-repair).
pub(crate) fn tell_holders(cx: &mut Context, record: &SignedRecord, without: &[NodeId]) {
    for node in without {
        if cluster::part(cx, *node, &record.record).is_some() {
            sometimes!(cx.simulation, "sync.read-repair");
            let records = alloc::vec![record.bytes.clone()];
            asks::ask(cx, AskClient::Nobody, *node, |request| Frame::Tell { request, records });
        }
    }
}
