//! Identifiers. Each is a type of its own, so that none can be passed for another.

use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Text that is not the hex form of an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 64 hex digits")]
pub struct ParseIdError;

macro_rules! id32 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The 32 raw bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl From<[u8; 32]> for $name {
            fn from(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "("))?;
                self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
                write!(f, ")")
            }
        }

        impl core::str::FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let mut bytes = [0; 32];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| ParseIdError)?;
                Ok(Self(bytes))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    self.0.serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    let text = alloc::string::String::deserialize(deserializer)?;
                    text.parse().map_err(serde::de::Error::custom)
                } else {
                    <[u8; 32]>::deserialize(deserializer).map(Self)
                }
            }
        }
    };
}

id32! {
    /// A device: the public half of its x25519 static key, authenticated by the secure channel.
    NodeId
}
id32! {
    /// An owner and its namespace: the public half of the owner's ed25519 key.
    OwnerId
}
id32! {
    /// A name as peers see it: a keyed hash of it (see [`crate::key_hash`]).
    NameId
}
id32! {
    /// The content address of a chunk: BLAKE3 of its blob (IV and ciphertext).
    ChunkId
}
id32! {
    /// The content address of a manifest page: BLAKE3 of its bytes.
    PageId
}
id32! {
    /// A record: BLAKE3 of its bytes without the signature.
    RecordId
}
id32! {
    /// A set of records: a keyed hash of what [`crate::checkpoint::Census`] sums up.
    Fingerprint
}

macro_rules! counter_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub u64);
    };
}

counter_id! {
    /// A caller's request, unique for the life of a [`crate::node::Node`].
    RequestId
}
counter_id! {
    /// A disk or work operation; each has exactly one completion.
    OpId
}
counter_id! {
    /// An authenticated connection, numbered by the driver, never reused.
    LinkId
}
counter_id! {
    /// An attempt to connect, numbered by the core.
    DialId
}

/// The address of a blob on a disk: possession is per owner and chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlobKey {
    /// Whose namespace the blob lies in.
    pub owner: OwnerId,
    /// Its content address.
    pub chunk: ChunkId,
}

/// What can be asked for by content address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ObjectId {
    /// A chunk's blob.
    Chunk(ChunkId),
    /// A manifest page.
    Page(PageId),
}

/// An object in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectKey {
    /// Whose namespace the object lies in.
    pub owner: OwnerId,
    /// Its content address.
    pub id: ObjectId,
}
