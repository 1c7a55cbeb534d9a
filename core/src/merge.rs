//! The state of a name: the set of its records.
//!
//! Merge is union, so it is commutative, associative and idempotent; the winner and what may be pruned are functions of the
//! set alone. Replicas that have seen the same records agree, in whatever order they came.

use alloc::collections::BTreeMap;

use crate::record::{Rank, SignedRecord};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// The records of one name, by rank.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordSet {
    records: BTreeMap<Rank, SignedRecord>,
}

impl RecordSet {
    /// Adds a record; false if it was there. All records of a set are of one name.
    pub fn insert(&mut self, record: SignedRecord) -> bool {
        if let Some(held) = self.winner() {
            let of = |record: &SignedRecord| (record.record.owner, record.record.name_id);
            assert!(of(held) == of(&record), "a set holds the records of one name");
        }
        self.records.insert(record.rank(), record).is_none()
    }

    /// Adds all records of another set.
    pub fn merge(&mut self, other: &Self) {
        for record in other.iter() {
            self.insert(record.clone());
        }
    }

    /// What the name is: the record of the highest rank.
    #[must_use]
    pub fn winner(&self) -> Option<&SignedRecord> {
        self.records.last_key_value().map(|(_, record)| record)
    }

    /// All records, the newest last.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &SignedRecord> {
        self.records.values()
    }

    /// How many records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The records to keep, the newest last; the others may be pruned.
    ///
    /// The winner's signed retention rules: a record is kept when it is among the newest `keep_versions`, or when the one
    /// that replaced it is less than `keep_days` older than the winner. Time is what the versions say, never a replica's
    /// clock. The winner is always kept, so a tombstone is kept until something newer takes its place.
    #[must_use]
    pub fn kept(&self) -> Self {
        let Some(winner) = self.winner() else {
            return Self::default();
        };
        let newest_ms = winner.record.version.wall_ms;
        let keep_versions = winner.record.retention.keep_versions.max(1) as usize;
        let keep_ms = u64::from(winner.record.retention.keep_days) * DAY_MS;
        let mut kept = Self::default();
        let mut replaced_ms = newest_ms;
        for (newer, record) in self.iter().rev().enumerate() {
            if newer < keep_versions || newest_ms.saturating_sub(replaced_ms) < keep_ms {
                kept.records.insert(record.rank(), record.clone());
            }
            replaced_ms = record.record.version.wall_ms;
        }
        kept
    }
}

impl FromIterator<SignedRecord> for RecordSet {
    fn from_iter<I: IntoIterator<Item = SignedRecord>>(records: I) -> Self {
        let mut set = Self::default();
        for record in records {
            set.insert(record);
        }
        set
    }
}

/// The record that a name is, of any number of its records in any order.
pub fn winner<'a>(records: impl IntoIterator<Item = &'a SignedRecord>) -> Option<&'a SignedRecord> {
    records.into_iter().max_by_key(|record| record.rank())
}

#[cfg(test)]
mod tests;
