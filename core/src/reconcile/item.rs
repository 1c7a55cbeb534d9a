//! What stands for a record while sets are compared.

use alloc::vec::Vec;

use negentropy::{Id, NegentropyStorageBase, NegentropyStorageVector};
use serde::{Deserialize, Serialize};

use crate::ids::{NameId, OwnerId, RecordId};

/// Bytes of the owner's id in an item.
pub const OWNER_PREFIX: usize = 8;

/// Bytes of the name's id in an item.
const NAME_PREFIX: usize = 12;

/// Bytes of the record's id in an item.
pub const RECORD_PREFIX: usize = 12;

/// A record as sets are compared: the starts of its owner's, its name's and its own id. So items are in the order of records on a
/// disk, and tell where a record lies there, which its id alone does not.
///
/// Two records have the same item only if somebody takes the trouble to make two that have, both his own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Item(pub [u8; 32]);

impl Item {
    /// Before all others.
    pub const FIRST: Self = Self([0; 32]);

    /// The item of a record.
    #[must_use]
    pub fn new(owner: OwnerId, name: NameId, record: RecordId) -> Self {
        let mut bytes = [0; 32];
        let (owner_part, rest) = bytes.split_at_mut(OWNER_PREFIX);
        let (name_part, record_part) = rest.split_at_mut(NAME_PREFIX);
        owner_part.copy_from_slice(&owner.0[..OWNER_PREFIX]);
        name_part.copy_from_slice(&name.0[..NAME_PREFIX]);
        record_part.copy_from_slice(&record.0[..RECORD_PREFIX]);
        Self(bytes)
    }

    /// The start of the owner's id.
    #[must_use]
    pub fn owner(&self) -> &[u8] {
        &self.0[..OWNER_PREFIX]
    }

    /// The start of the name's id.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.0[OWNER_PREFIX..OWNER_PREFIX + NAME_PREFIX]
    }

    /// The start of the record's id.
    #[must_use]
    pub fn record(&self) -> &[u8] {
        &self.0[OWNER_PREFIX + NAME_PREFIX..]
    }
}

impl core::fmt::Debug for Item {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Item(")?;
        for (number, part) in [self.owner(), self.name(), self.record()].into_iter().enumerate() {
            write!(f, "{}", if number == 0 { "" } else { "/" })?;
            part[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        }
        write!(f, ")")
    }
}

/// The items of a set, in order.
#[derive(Clone, Debug)]
pub struct Items(pub(super) NegentropyStorageVector);

impl Items {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.size().expect("the items are sealed")
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl FromIterator<Item> for Items {
    fn from_iter<I: IntoIterator<Item = Item>>(items: I) -> Self {
        let items: Vec<Item> = items.into_iter().collect();
        let mut storage = NegentropyStorageVector::with_capacity(items.len());
        for item in items {
            // Items have no time: their order is that of their bytes.
            storage.insert(0, Id::from_byte_array(item.0)).expect("the items are not sealed yet");
        }
        storage.seal().expect("the items are sealed once");
        Self(storage)
    }
}
