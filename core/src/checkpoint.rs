//! Checkpoints: what a device had of its owner's names when it signed one, so that whoever restores them can tell whether
//! something is withheld.
//!
//! A checkpoint is a record of its own kind under a name of its own for each device ([`OwnerKeys::checkpoint_name`]), which
//! nobody can put, list or delete. It covers the *winners* of all names that its device knew (files and deletions; no
//! checkpoints): how many, and a fingerprint of them. Winners are never pruned, so it covers nothing that goes away while it is the
//! newest of its device.
//!
//! The fingerprint is a keyed hash of a sum of keyed hashes of the records' ids (see [`Census`]). The sum makes it cheap to keep
//! while names change. It is never shown, since sums of hashes that an attacker knows can be met by other sets (Wagner, "A
//! Generalized Birthday Problem", 2002); behind the owner's keys there is nothing for him to compute with. And whoever finds a
//! set that has the fingerprint has found the very set, however he came by it: [`Audit`] builds on that.

mod audit;

use serde::{Deserialize, Serialize};

use crate::ids::{Fingerprint, RecordId};
use crate::secrets::OwnerKeys;

pub use audit::{Audit, Verdict};

/// What a device says of the names that it knows. Which device it is, the record's version says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Checkpoint {
    /// How many checkpoints the device has signed, this one included.
    pub sequence: u64,
    /// When, by the device's clock: milliseconds since the Unix epoch.
    pub wall_ms: u64,
    /// How many names it knew, deleted ones included.
    pub names: u64,
    /// Of the records that these names were.
    pub fingerprint: Fingerprint,
}

/// A set of records, as its count and sum: the sum, modulo 2^256, of a keyed hash of each record's id, read as a number in
/// little endian. Adding and removing take the same time whatever the size of the set.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Census {
    names: u64,
    /// From the least significant on.
    sum: [u64; 4],
}

impl Census {
    /// Adds a record that is not in the set.
    pub fn add(&mut self, keys: &OwnerKeys, record: RecordId) {
        self.names += 1;
        let mut carry = false;
        for (digit, term) in self.sum.iter_mut().zip(digits(keys.checkpoint_term(record))) {
            let (sum, over) = digit.overflowing_add(term);
            let (sum, again) = sum.overflowing_add(u64::from(carry));
            (*digit, carry) = (sum, over || again);
        }
    }

    /// Removes a record that is in the set.
    ///
    /// # Panics
    /// If the set is empty.
    pub fn remove(&mut self, keys: &OwnerKeys, record: RecordId) {
        self.names = self.names.checked_sub(1).expect("only what was added is removed");
        let mut borrow = false;
        for (digit, term) in self.sum.iter_mut().zip(digits(keys.checkpoint_term(record))) {
            let (rest, under) = digit.overflowing_sub(term);
            let (rest, again) = rest.overflowing_sub(u64::from(borrow));
            (*digit, borrow) = (rest, under || again);
        }
    }

    /// How many records.
    #[must_use]
    pub const fn names(&self) -> u64 {
        self.names
    }

    /// The fingerprint of the set.
    #[must_use]
    pub fn fingerprint(&self, keys: &OwnerKeys) -> Fingerprint {
        let mut hasher = blake3::Hasher::new_keyed(keys.checkpoint_sum_key());
        hasher.update(&self.names.to_le_bytes());
        for digit in self.sum {
            hasher.update(&digit.to_le_bytes());
        }
        Fingerprint(*hasher.finalize().as_bytes())
    }

    /// Whether it is the set that a checkpoint covers.
    #[must_use]
    pub fn is_of(&self, keys: &OwnerKeys, checkpoint: &Checkpoint) -> bool {
        self.names == checkpoint.names && self.fingerprint(keys) == checkpoint.fingerprint
    }
}

/// The sum is as secret as the keys: see the top of this file.
impl core::fmt::Debug for Census {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Census({} names, ***)", self.names)
    }
}

fn digits(bytes: [u8; 32]) -> [u64; 4] {
    let (digits, _) = bytes.as_chunks::<8>();
    core::array::from_fn(|at| digits.get(at).map_or(0, |digit| u64::from_le_bytes(*digit)))
}

#[cfg(test)]
mod tests;
