//! An audit of this disk: all records of the owner are read, in order, and it is found out which checkpoints they cover.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::checkpoint::{Audit, Verdict};
use crate::disk::DiskOp;
use crate::ids::NameId;
use crate::node::context::Context;
use crate::node::pending::Pending;
use crate::node::schema;
use crate::record::{Rank, RecordBody, SignedRecord};

/// Records read at a time.
const BATCH: u32 = 256;

/// Records that were found elsewhere and are not on the disk, in order; the values say whether they count.
pub(crate) type Found = BTreeMap<(NameId, Rank), bool>;

/// Adds a record to those found.
pub(crate) fn note(found: &mut Found, record: &SignedRecord) {
    let counts = !matches!(record.record.body, RecordBody::Checkpoint(_));
    found.insert((record.record.name_id, record.rank()), counts);
}

/// An audit under way.
#[derive(Debug)]
pub(crate) struct DiskAudit {
    audit: Audit,
    /// If there are any, those of the disk are added to them, so that all come in order.
    found: Found,
}

impl DiskAudit {
    /// An audit of checkpoints. `pending` gives what waits for each of its reads.
    pub(crate) fn start<'a>(
        cx: &mut Context,
        checkpoints: impl IntoIterator<Item = &'a SignedRecord>,
        found: Found,
        pending: Pending,
    ) -> Self {
        read(cx, schema::owner_records(cx.owner), pending);
        Self { audit: Audit::new(checkpoints), found }
    }

    /// A batch is read. The verdicts after the last; else the next batch is read.
    pub(crate) fn on_read(
        &mut self,
        cx: &mut Context,
        entries: &[(Bytes, Bytes)],
        more: bool,
        pending: Pending,
    ) -> Option<Vec<Verdict>> {
        let is_merged = !self.found.is_empty();
        // They were verified before they were stored.
        let records = entries.iter().filter_map(|(_, bytes)| SignedRecord::decode(bytes.clone()).ok());
        for record in records {
            if is_merged {
                note(&mut self.found, &record);
            } else {
                self.audit.add(&cx.keys, &record);
            }
        }
        if let (true, Some((last, _))) = (more, entries.last()) {
            read(cx, schema::after(last), pending);
            return None;
        }
        for ((name, rank), counts) in core::mem::take(&mut self.found) {
            self.audit.add_counted(&cx.keys, name, rank, counts);
        }
        Some(self.audit.finish(&cx.keys))
    }
}

fn read(cx: &mut Context, from: Bytes, pending: Pending) {
    let to = schema::end_of(&schema::owner_records(cx.owner));
    cx.disk(DiskOp::Scan { from, to, limit: BATCH, reverse: false }, pending);
}
