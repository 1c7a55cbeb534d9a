//! Records that requests are reading, or are about to publish: they are not removed meanwhile.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::ids::{NameId, OwnerId, RecordId, RequestId};
use crate::node::collect;
use crate::node::context::Context;
use crate::record::SignedRecord;

/// Which requests use which records.
#[derive(Debug, Default)]
pub(crate) struct InUse {
    records: BTreeMap<RequestId, Vec<(RecordId, OwnerId, NameId)>>,
}

impl InUse {
    /// A request uses a record, until it ends.
    pub(crate) fn hold(&mut self, request: RequestId, record: &SignedRecord) {
        let held = (record.id, record.record.owner, record.record.name_id);
        self.records.entry(request).or_default().push(held);
    }

    /// Whether a request uses a record.
    pub(crate) fn contains(&self, record: RecordId) -> bool {
        self.records.values().flatten().any(|(id, ..)| *id == record)
    }
}

/// A request has ended: what it used may go.
pub(crate) fn release(cx: &mut Context, request: RequestId) {
    for (_, owner, name) in cx.in_use.records.remove(&request).unwrap_or_default() {
        collect::look_at(cx, owner, name);
    }
}
