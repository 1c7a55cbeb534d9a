//! Records: the signed statement of what a name is.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::canonical::{self, Fault};
use crate::checkpoint::Checkpoint;
use crate::ids::{NameId, OwnerId, PageId, RecordId};
use crate::placement::Replicas;
use crate::secrets::OwnerKeys;
use crate::signature::{self, SIGNATURE_LEN};
use crate::version::Version;

/// The largest signed record, in bytes.
pub const RECORD_LEN_MAX: usize = 300;

/// Where and how long versions are kept; signed, so that every replica places and prunes alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Retention {
    /// How many versions of the name, the newest included.
    pub keep_versions: u32,
    /// For how many days after being replaced.
    pub keep_days: u32,
    /// On how many nodes.
    #[serde(default = "everywhere")]
    pub replicas: Replicas,
}

/// What configurations say that do not tell.
fn everywhere() -> Replicas {
    Replicas::ALL
}

/// What a name is at a version. New kinds are appended: a variant's number is its format.
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
    /// What a device had of its owner's names at the time: see [`crate::checkpoint`]. It lies under a name of its own.
    Checkpoint(Checkpoint),
}

impl RecordBody {
    /// Whether it is a file, of whatever version.
    #[must_use]
    pub const fn is_file(&self) -> bool {
        matches!(self, Self::File { .. })
    }
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

/// The order of a name's records: version, then hash without the signature (two devices that share a node key by mistake
/// can stamp the same version twice).
pub type Rank = (Version, RecordId);

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
    /// Longer than [`RECORD_LEN_MAX`].
    #[error("the record is longer than a record may be")]
    TooLong,
    /// Another format, or a newer version of this one.
    #[error("the record is in a format that this build does not know: update this node")]
    UnknownFormat,
    /// Not the encoding of a record.
    #[error("the record cannot be decoded")]
    Malformed,
    /// Not the one encoding that this record has.
    #[error("the record is not encoded in its canonical form")]
    NotCanonical,
    /// Not signed by the owner it names.
    #[error("the record's signature is not its owner's")]
    BadSignature,
}

/// In front of every record: what it is, and the version of its format.
const MAGIC: [u8; 5] = *b"FSRC\x02";

/// In front of what is signed.
const DOMAIN: &[u8] = b"foreverstore 2026 record signature\0";

impl SignedRecord {
    /// Signs a record. It names the owner of `keys`.
    #[must_use]
    pub fn sign(keys: &OwnerKeys, record: Record) -> Self {
        assert!(record.owner == keys.owner_id(), "a record is signed by the owner it names");
        let mut body = MAGIC.to_vec();
        body.extend_from_slice(&canonical::encode(&record));
        let id = RecordId(*blake3::hash(&body).as_bytes());
        let bytes = signature::sign(keys, DOMAIN, body);
        assert!(bytes.len() <= RECORD_LEN_MAX, "the longest record fits its limit");
        Self { record, id, bytes: bytes.into() }
    }

    /// Decodes a record and verifies its signature.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify(bytes: Bytes) -> Result<Self, RecordError> {
        Self::verify_by(bytes, |owner, body, signed| signature::is_valid(owner, DOMAIN, body, signed))
    }

    /// The same in less time, for a simulator, which has the keys of owners.
    ///
    /// # Errors
    /// What is wrong with it.
    #[cfg(feature = "simulation")]
    pub fn verify_knowing(owners: &[OwnerKeys], bytes: Bytes) -> Result<Self, RecordError> {
        Self::verify_by(bytes, |owner, body, signed| signature::is_valid_knowing(owners, owner, DOMAIN, body, signed))
    }

    fn verify_by(
        bytes: Bytes,
        is_valid: impl FnOnce(OwnerId, &[u8], &[u8; SIGNATURE_LEN]) -> bool,
    ) -> Result<Self, RecordError> {
        let record = Self::decode(bytes)?;
        let (body, signed) = signature::split(&record.bytes).ok_or(RecordError::Malformed)?;
        if !is_valid(record.record.owner, body, signed) {
            return Err(RecordError::BadSignature);
        }
        Ok(record)
    }

    /// Decodes a record that was verified before: its signature is not looked at.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn decode(bytes: Bytes) -> Result<Self, RecordError> {
        if bytes.len() > RECORD_LEN_MAX {
            return Err(RecordError::TooLong);
        }
        let (body, _) = signature::split(&bytes).ok_or(RecordError::Malformed)?;
        let encoded = body.strip_prefix(&MAGIC).ok_or(RecordError::UnknownFormat)?;
        let record: Record = canonical::decode_all::<_, RECORD_LEN_MAX>(encoded).map_err(|fault| match fault {
            Fault::Undecodable => RecordError::Malformed,
            Fault::NotCanonical => RecordError::NotCanonical,
        })?;
        let id = RecordId(*blake3::hash(body).as_bytes());
        Ok(Self { record, id, bytes })
    }

    /// Where the record stands among those of its name: the highest rank wins.
    #[must_use]
    pub fn rank(&self) -> Rank {
        (self.record.version, self.id)
    }
}

/// Makes the owner the one of `keys` where a record has it, and signs the bytes, record or not.
pub(crate) fn sign_bytes(keys: &OwnerKeys, body: &[u8]) -> Bytes {
    let mut body = body.to_vec();
    if let Some(owner) = body.get_mut(MAGIC.len()..MAGIC.len() + 32) {
        owner.copy_from_slice(keys.owner_id().as_bytes());
    }
    signature::sign(keys, DOMAIN, body).into()
}

#[cfg(test)]
mod tests;
