//! Sums of sets: what tells equal sets from others without listing them.

use serde::{Deserialize, Serialize};

use crate::ids::RecordId;
use crate::placement::Group;

/// Into how many buckets records are gathered, by the first byte of their group.
pub const BUCKETS: usize = 256;

/// The bucket of a group.
#[must_use]
pub fn bucket_of(group: Group) -> u8 {
    let [bucket, _] = group.0.to_be_bytes();
    bucket
}

/// How many records a set has, and their ids added up modulo 2^128. Sums of disjoint sets add up to the sum of their union.
///
/// Whoever may store records of his own can make two different sets of them add up to the same; the two then pass for equal, and
/// what is lost by it is their availability. Nothing but that rests on sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    count: u64,
    ids: u128,
}

/// What two nodes compare: the start of a hash of a [`Sum`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest(pub [u8; 8]);

/// In front of what is hashed.
const DOMAIN: &[u8] = b"foreverstore 2026 record set\0";

impl Sum {
    /// The sum of one record.
    #[must_use]
    pub fn of(record: &RecordId) -> Self {
        let (low, _) = record.0.split_first_chunk::<16>().expect("an id has 32 bytes");
        Self { count: 1, ids: u128::from_le_bytes(*low) }
    }

    /// How many records.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds the records of a disjoint set.
    pub fn add(&mut self, other: Self) {
        self.count += other.count;
        self.ids = self.ids.wrapping_add(other.ids);
    }

    /// Removes records that are in the set.
    pub fn remove(&mut self, other: Self) {
        // A disk that acknowledged what it did not store makes a record go twice.
        self.count = self.count.saturating_sub(other.count);
        self.ids = self.ids.wrapping_sub(other.ids);
    }

    /// What to compare.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hasher = blake3::Hasher::new();
        hasher.update(DOMAIN).update(&self.count.to_le_bytes()).update(&self.ids.to_le_bytes());
        let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
        Digest([a, b, c, d, e, f, g, h])
    }
}
