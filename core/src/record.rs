//! Records: the signed statement of what a name is.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::ids::{NameId, OwnerId, PageId, RecordId};
use crate::secrets::OwnerKeys;
use crate::version::Version;

/// The largest signed record, in bytes.
pub const RECORD_LEN_MAX: usize = 300;

/// How long old versions are kept; signed, so that every replica prunes alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Retention {
    /// How many versions of the name, the newest included.
    pub keep_versions: u32,
    /// For how many days after being replaced.
    pub keep_days: u32,
}

/// What a name is at a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RecordBody {
    /// A file.
    File {
        /// The root page of its manifest.
        root: PageId,
        /// The root page's length in bytes.
        root_len: u32,
    },
    /// Deleted.
    Tombstone,
}

/// What a name is at a version, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Record {
    /// The namespace.
    pub owner: OwnerId,
    /// The name.
    pub name_id: NameId,
    /// The version.
    pub version: Version,
    /// How long versions of this name are kept.
    pub retention: Retention,
    /// What it is.
    pub body: RecordBody,
}

/// A record whose signature has been verified, with the exact bytes that were signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedRecord {
    /// What it says.
    pub record: Record,
    /// BLAKE3 of its bytes without the signature.
    pub id: RecordId,
    /// The exact bytes, signature included, as stored and sent.
    pub bytes: Bytes,
}

/// Why a record is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum RecordError {
    /// Not signed by the owner it names.
    #[error("the record's signature is not its owner's")]
    BadSignature,
}

impl SignedRecord {
    /// Signs a record.
    #[must_use]
    pub fn sign(_keys: &OwnerKeys, _record: Record) -> Self {
        todo!()
    }

    /// Decodes a record and verifies its signature.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify(_bytes: Bytes) -> Result<Self, RecordError> {
        todo!()
    }
}
