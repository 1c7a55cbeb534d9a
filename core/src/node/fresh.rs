//! Promises that are being committed: a scan of the disk does not show them yet, so whoever is about to remove what they are
//! about asks here, too.

use alloc::collections::BTreeMap;

use crate::ids::RecordId;

/// Promises whose commits are under way.
#[derive(Debug, Default)]
pub(crate) struct Fresh {
    /// The records they are about, and how many.
    promises: BTreeMap<RecordId, u32>,
}

impl Fresh {
    /// The commit of a promise starts.
    pub(crate) fn begin_promise(&mut self, record: RecordId) {
        *self.promises.entry(record).or_default() += 1;
    }

    /// That commit is complete.
    pub(crate) fn end_promise(&mut self, record: RecordId) {
        if let Some(count) = self.promises.get_mut(&record) {
            *count -= 1;
            if *count == 0 {
                self.promises.remove(&record);
            }
        }
    }

    /// Whether a promise on a record is being committed.
    pub(crate) fn is_promising(&self, record: RecordId) -> bool {
        self.promises.contains_key(&record)
    }
}
