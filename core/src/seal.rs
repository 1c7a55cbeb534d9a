//! Sealing and opening of chunks.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::bulk::{Bulk, PlainChunk};
use crate::ids::ChunkId;
use crate::secrets::{ChunkKey, OwnerKeys};

/// A sealed chunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedChunk {
    /// Its content address.
    pub id: ChunkId,
    /// Its key.
    pub key: ChunkKey,
    /// `IV(16) ‖ ciphertext`.
    pub blob: Bulk,
}

/// Why a blob could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum SealError {
    /// The bytes are not what the address says.
    #[error("the blob does not match its content address")]
    WrongHash,
    /// The blob is shorter than its IV.
    #[error("the blob is too short to hold an IV")]
    TooShort,
    /// The IV is not the one that the key gives.
    #[error("the blob's IV is not the one its key gives")]
    WrongIv,
}

/// Seals a chunk in place.
#[must_use]
pub fn seal_chunk(_keys: &OwnerKeys, _plain: PlainChunk) -> SealedChunk {
    todo!()
}

/// Checks a blob against its address and decrypts it.
///
/// # Errors
/// When the blob is not what its address and key say.
pub fn open_chunk(_chunk: ChunkId, _key: &ChunkKey, _data: Bulk) -> Result<Bytes, SealError> {
    todo!()
}
