//! The state of a name: the set of its records.
//!
//! Merge is union, so it is commutative, associative and idempotent; the winner is a function of the set alone, and what may be
//! pruned is one of the set and of a time that only ever prunes more. Replicas that have seen the same records agree, in
//! whatever order they came.

use alloc::collections::BTreeMap;

use crate::placement::Replicas;
use crate::record::{Rank, Record, RecordBody, Retention, SignedRecord};

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

    /// On how many nodes the name is kept: as many as any of the records says, and at least `usual`.
    #[must_use]
    pub fn replicas(&self, usual: Replicas) -> Replicas {
        self.iter().map(|record| record.record.retention.replicas).fold(usual, Replicas::max)
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

    /// The records to keep, the newest last, as [`Keeper`] says; the others may be pruned.
    #[must_use]
    pub fn kept(&self, age: Age) -> Self {
        let mut keeper = Keeper::new(age);
        let mut kept = Self::default();
        for record in self.iter().rev() {
            if keeper.keeps(&record.record) {
                kept.records.insert(record.rank(), record.clone());
            }
        }
        kept
    }
}

/// What ages are measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age {
    /// The wall time that whoever judges believes, in milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// How long a day of retention is, in milliseconds; other than 24 hours only in simulations.
    pub day_ms: u64,
}

impl Age {
    /// At the beginning of time: only what the records themselves say has aged.
    pub const OF_RECORDS: Self = Self { now_ms: 0, day_ms: DAY_MS };
}

/// Judges the records of a name one by one, from the newest to the oldest.
///
/// The winner is always kept, and its signed retention rules the others. A record is kept while it was replaced or deleted less
/// than `keep_days` ago, and as long as it is among the newest `keep_versions` and no deletion stands above it. Of one that a
/// deletion stands above, only the age of that deletion counts: so what was deleted goes, even if the name is written again.
///
/// Ages are the differences of the versions' wall times: to the winner's, and to the time that the judge believes, less a day,
/// which is for clocks that differ. Once a record is not kept, none below it is, and neither a later time nor a new winner of
/// the same retention changes that. So replicas whose clocks differ agree in the end, and one that is given again what it has
/// pruned prunes it again.
#[derive(Clone, Debug)]
pub struct Keeper {
    age: Age,
    /// Of the winner.
    retention: Retention,
    /// The time by which ages are measured.
    reference_ms: u64,
    newer: u64,
    /// When the record before was written.
    replaced_ms: Option<u64>,
    /// When the oldest deletion so far was.
    deleted_ms: Option<u64>,
}

impl Keeper {
    /// For a name.
    #[must_use]
    pub const fn new(age: Age) -> Self {
        let retention = Retention { keep_versions: 1, keep_days: 0, replicas: Replicas::ALL };
        Self { age, retention, reference_ms: 0, newer: 0, replaced_ms: None, deleted_ms: None }
    }

    /// Whether the next older record of the name is kept.
    pub fn keeps(&mut self, record: &Record) -> bool {
        let written_ms = record.version.wall_ms;
        let is_kept = match self.replaced_ms {
            None => {
                self.retention = record.retention;
                self.reference_ms = written_ms.max(self.age.now_ms.saturating_sub(self.age.day_ms));
                true
            }
            Some(replaced_ms) => {
                let counts = self.newer < u64::from(self.retention.keep_versions);
                self.is_young(replaced_ms) || counts && self.deleted_ms.is_none_or(|deleted| self.is_young(deleted))
            }
        };
        self.newer += 1;
        self.replaced_ms = Some(written_ms);
        if record.body == RecordBody::Tombstone {
            self.deleted_ms = Some(written_ms);
        }
        is_kept
    }

    fn is_young(&self, since_ms: u64) -> bool {
        let keep_ms = u64::from(self.retention.keep_days).saturating_mul(self.age.day_ms);
        self.reference_ms.saturating_sub(since_ms) < keep_ms
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
