//! What a disk can be asked to do, and how it answers.
//!
//! A disk is two things: blobs (chunks, addressed by owner and content hash) and one ordered key-value index with atomic
//! commits. What the keys and values mean is the core's business (`node/schema.rs`). The contract, which the storage
//! engine and the simulator's in-memory disk both keep:
//!
//! - Every operation has exactly one completion. Operations may complete in any order.
//! - `Written` and `Committed` mean durable: they survive a power loss. What was never completed may or may not survive,
//!   but never in part: a blob is present whole or absent, a commit is applied whole or not at all.
//! - A blob is present if and only if its row in the index is; rows of blobs are the engine's own and not visible to
//!   `Lookup` and `Scan`.
//! - Commits are applied in the order they were issued.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::bulk::Bulk;
use crate::ids::{BlobKey, OwnerId};

/// A change to the index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Write {
    /// Sets a key.
    Put {
        /// At most 512 bytes.
        key: Bytes,
        /// At most [`VALUE_LEN_MAX`] bytes.
        value: Bytes,
    },
    /// Removes a key; no error if it is absent.
    Delete {
        /// The key.
        key: Bytes,
    },
    /// Makes a blob absent and frees its space; no error if it is absent already.
    DropBlob {
        /// The blob.
        blob: BlobKey,
        /// It stays if the index, as the writes before this one leave it, has a key that starts with one of these.
        unless: Vec<Bytes>,
    },
}

impl Write {
    /// Makes a blob absent, whatever the index says.
    #[must_use]
    pub fn drop_blob(blob: BlobKey) -> Self {
        Self::DropBlob { blob, unless: Vec::new() }
    }
}

/// The largest value of the index, in bytes: a manifest page of 4,096 entries fits.
pub const VALUE_LEN_MAX: usize = 1 << 20;

/// An operation on the disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiskOp {
    /// Makes a blob present. Its bytes are hashed first, unless the core has just done so; [`DiskError::Mismatch`] if they
    /// are not what the key says.
    /// When the blob is present already, what is there is read and checked instead, and replaced if it is damaged.
    WriteBlob {
        /// Its address.
        blob: BlobKey,
        /// Its bytes.
        data: Bulk,
        /// Whether they were sealed here or opened before, so that they are known to be what the key says.
        known: bool,
        /// A key to set and its value, if any, whether or not the blob was present: atomically with its presence, so that
        /// no commit drops the blob in between and no crash leaves one without the other.
        entry: Option<(Bytes, Bytes)>,
    },
    /// Reads a whole blob and checks its hash. [`DiskError::NotFound`] when absent, [`DiskError::Corrupt`] when the bytes
    /// on the disk are no longer what the address says.
    ReadBlob {
        /// Its address.
        blob: BlobKey,
    },
    /// Tells which blobs are present, without reading them.
    HasBlobs {
        /// At most [`KEYS_MAX`].
        blobs: Vec<BlobKey>,
    },
    /// Reads values of the index.
    Lookup {
        /// At most [`KEYS_MAX`].
        keys: Vec<Bytes>,
    },
    /// Reads a range of the index in order of keys, or in reverse order.
    Scan {
        /// First key, inclusive.
        from: Bytes,
        /// End, exclusive.
        to: Bytes,
        /// Most entries to return.
        limit: u32,
        /// Whether to start at the end and go backwards.
        reverse: bool,
    },
    /// Applies `writes` atomically if all that is required is present, else changes nothing and says what is missing.
    Commit {
        /// Blobs that must be present.
        require_blobs: Vec<BlobKey>,
        /// Keys that must be present.
        require_keys: Vec<Bytes>,
        /// The changes, in order.
        writes: Vec<Write>,
    },
    /// Measures the disk.
    Usage,
    /// Lists blobs that are present, in order of their keys.
    ListBlobs {
        /// The blob after which to start; the first one if `None`.
        after: Option<BlobKey>,
        /// Most blobs to return.
        limit: u32,
    },
}

/// The most keys or blobs that one operation names.
pub const KEYS_MAX: usize = 8_192;

/// How an operation ended well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiskDone {
    /// The blob is durable.
    Written {
        /// False when it was present already.
        new: bool,
    },
    /// The blob's bytes, their hash checked.
    Blob(Bytes),
    /// Presence, in the order asked.
    Has(Vec<bool>),
    /// Values, in the order asked.
    Values(Vec<Option<Bytes>>),
    /// Entries, in the order asked.
    Entries {
        /// Keys and values.
        entries: Vec<(Bytes, Bytes)>,
        /// Whether the limit cut the range short.
        more: bool,
    },
    /// The commit is durable.
    Committed,
    /// The commit was not applied: these were absent.
    Missing {
        /// Blobs of `require_blobs` that are absent.
        blobs: Vec<BlobKey>,
        /// Keys of `require_keys` that are absent.
        keys: Vec<Bytes>,
    },
    /// The disk's use.
    Usage(Usage),
    /// Blobs, in order of their keys.
    Blobs {
        /// Each with its length in bytes.
        blobs: Vec<(BlobKey, u64)>,
        /// Whether the limit cut the list short.
        more: bool,
    },
}

/// How full a disk is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Blobs present.
    pub blobs: u64,
    /// Their bytes.
    pub blob_bytes: u64,
    /// Bytes of the index.
    pub index_bytes: u64,
    /// Bytes that may still be written, if known: after the reserve, and within what blobs may take altogether.
    pub free_bytes: Option<u64>,
    /// What each owner's blobs take, in order of owners; those that have none are left out.
    pub owners: Vec<OwnerUsage>,
}

/// What an owner's blobs take of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerUsage {
    /// Whose they are.
    pub owner: OwnerId,
    /// How many.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The owner that cached chunks lie under: nobody's, since it is no point of the curve in its shortest form. It is the last of all
/// owners in order. Blobs under it are no copies of anything: they may go at any time.
pub const CACHE_OWNER: OwnerId = OwnerId([0xff; 32]);

/// How an operation failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum DiskError {
    /// No such blob.
    #[error("the blob is not on this disk")]
    NotFound,
    /// The bytes on the disk are not what their address says.
    #[error("the blob's bytes on this disk are damaged")]
    Corrupt,
    /// The bytes given to be written are not what their address says.
    #[error("the bytes to be written do not match their address")]
    Mismatch,
    /// No space is left, but for the reserve, or blobs take all that they may.
    #[error("the disk is full")]
    Full,
    /// Reading or writing failed; the operation may be tried again.
    #[error("the disk failed: {0}")]
    Io(String),
    /// A sync failed earlier. Nothing is acknowledged any more until the node is restarted on a sound disk.
    #[error("the disk is degraded after a failed sync: {0}")]
    Degraded(String),
}

/// What a completion carries.
pub type DiskResult = Result<DiskDone, DiskError>;
