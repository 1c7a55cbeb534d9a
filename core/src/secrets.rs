//! Secrets and the keys derived from them.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{NameId, OwnerId};
use crate::name::Name;

macro_rules! secret32 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Serialize, Deserialize, zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Wraps 32 secret bytes.
            #[must_use]
            pub fn new(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The bytes, for use in a cipher or to be written to a file of mode 0600.
            #[must_use]
            pub fn expose(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(***)"))
            }
        }
    };
}

secret32! {
    /// The owner's secret: everything the owner needs is derived from it. Shown as a 24-word phrase.
    OwnerSecret
}
secret32! {
    /// The key of one chunk.
    ChunkKey
}
secret32! {
    /// The key of one manifest page.
    PageKey
}

/// The keys derived from an [`OwnerSecret`].
#[derive(Clone)]
pub struct OwnerKeys {}

impl OwnerKeys {
    /// Derives all keys.
    #[must_use]
    pub fn derive(_secret: &OwnerSecret) -> Self {
        todo!()
    }

    /// The public half of the signing key.
    #[must_use]
    pub fn owner_id(&self) -> OwnerId {
        todo!()
    }

    /// A name as peers see it.
    #[must_use]
    pub fn name_id(&self, _name: &Name) -> NameId {
        todo!()
    }
}

impl fmt::Debug for OwnerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnerKeys(***)")
    }
}
