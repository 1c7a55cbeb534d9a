//! Fetches that wait for one of their holders to have room.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::FetchId;
use crate::ids::NodeId;

/// Who waits, and for whom: what becomes possible with a holder is found without a look at those that wait for others.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// The holders that each may yet be wanted of, connected or not.
    holders: BTreeMap<FetchId, Vec<NodeId>>,
    by_holder: BTreeMap<NodeId, BTreeSet<FetchId>>,
}

impl Waiting {
    /// From now on `id` waits for any of `holders`.
    pub(super) fn insert(&mut self, id: FetchId, holders: Vec<NodeId>) {
        self.remove(id);
        for holder in &holders {
            self.by_holder.entry(*holder).or_default().insert(id);
        }
        self.holders.insert(id, holders);
    }

    /// `id` waits no more, if it did.
    pub(super) fn remove(&mut self, id: FetchId) {
        for holder in self.holders.remove(&id).unwrap_or_default() {
            if let Some(ids) = self.by_holder.get_mut(&holder) {
                ids.remove(&id);
                if ids.is_empty() {
                    self.by_holder.remove(&holder);
                }
            }
        }
    }

    /// Who waits for `holder`, after `after` if given: the oldest.
    pub(super) fn next_for(&self, holder: NodeId, after: Option<FetchId>) -> Option<FetchId> {
        let ids = self.by_holder.get(&holder)?;
        match after {
            Some(after) => ids.range((core::ops::Bound::Excluded(after), core::ops::Bound::Unbounded)).next().copied(),
            None => ids.first().copied(),
        }
    }
}
