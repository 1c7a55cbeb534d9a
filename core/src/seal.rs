//! Sealing and opening of chunks.
//!
//! A chunk's key is a keyed hash of its plaintext, so equal chunks of one owner give equal blobs, and no two plaintexts
//! share a key. The blob's address is a hash of all its bytes: whoever checked the address needs no further MAC.

use aes::Aes256;
use aes::cipher::{KeyIvInit, StreamCipher};
use bytes::{Buf, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::bulk::{Bulk, IV_LEN, PlainChunk};
use crate::ids::ChunkId;
use crate::secrets::{ChunkKey, OwnerKeys, context, derive};

/// AES-256 in counter mode. The low 8 bytes of every IV are zero, so that the counter never carries out of them and
/// implementations with 64- and 128-bit counters agree.
pub(crate) type Cipher = ctr::Ctr64BE<Aes256>;

/// The longest blob: a chunk of 16 MiB and its IV.
pub const BLOB_LEN_MAX: u32 = 16 * 1024 * 1024 + 16;

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
    #[error("the blob does not match its content address: fetch it from another holder")]
    WrongHash,
    /// The blob is shorter than its IV.
    #[error("the blob is too short to hold an IV: its manifest is wrong")]
    TooShort,
    /// The IV is not the one that the key gives.
    #[error("the blob's IV is not the one its key gives: its manifest is wrong")]
    WrongIv,
}

/// Seals a chunk in place.
#[must_use]
pub fn seal_chunk(keys: &OwnerKeys, plain: PlainChunk) -> SealedChunk {
    let key = ChunkKey::new(*blake3::keyed_hash(keys.convergence_secret(), plain.plain()).as_bytes());
    let iv = chunk_iv(&key);
    let mut blob = plain.into_buffer();
    let (head, body) = blob.split_at_mut(IV_LEN);
    head.copy_from_slice(&iv);
    apply(&key, &iv, body);
    SealedChunk { id: ChunkId(*blake3::hash(&blob).as_bytes()), key, blob: Bulk::from(blob.freeze()) }
}

/// Checks a blob against its address and decrypts it: in place when nobody else holds its buffer, else into a new one.
///
/// # Errors
/// When the blob is not what its address and key say.
pub fn open_chunk(chunk: ChunkId, key: &ChunkKey, data: Bulk) -> Result<Bytes, SealError> {
    if data.hash() != *chunk.as_bytes() {
        return Err(SealError::WrongHash);
    }
    let iv = chunk_iv(key);
    if leading_iv(&data)? != iv {
        return Err(SealError::WrongIv);
    }
    if data.parts().len() == 1 {
        return Ok(decrypt_single(key, &iv, data.into_bytes()));
    }
    let mut plain = BytesMut::with_capacity(data.len() - IV_LEN);
    let mut cipher = Cipher::new(key.expose().into(), &iv.into());
    let mut iv_left = IV_LEN;
    for part in data.parts() {
        let skipped = iv_left.min(part.len());
        iv_left -= skipped;
        let start = plain.len();
        plain.extend_from_slice(&part[skipped..]);
        // Part by part, so that the copy is still in the processor's cache.
        cipher.apply_keystream(&mut plain[start..]);
    }
    Ok(plain.freeze())
}

fn decrypt_single(key: &ChunkKey, iv: &[u8; IV_LEN], mut blob: Bytes) -> Bytes {
    blob.advance(IV_LEN);
    let mut plain = match blob.try_into_mut() {
        Ok(unique) => unique,
        Err(shared) => BytesMut::from(&shared[..]),
    };
    apply(key, iv, &mut plain);
    plain.freeze()
}

fn apply(key: &ChunkKey, iv: &[u8; IV_LEN], text: &mut [u8]) {
    Cipher::new(key.expose().into(), &(*iv).into()).apply_keystream(text);
}

/// The IV that a key gives: 8 bytes derived from it, 8 zero bytes for the counter.
fn chunk_iv(key: &ChunkKey) -> [u8; IV_LEN] {
    let derived = derive(context::CHUNK_IV, key.expose());
    let mut iv = [0; IV_LEN];
    iv[..8].copy_from_slice(&derived[..8]);
    iv
}

/// The blob's first bytes, which may lie across parts.
fn leading_iv(data: &Bulk) -> Result<[u8; IV_LEN], SealError> {
    let mut bytes = data.parts().iter().flat_map(|part| part.iter().copied());
    let mut iv = [0; IV_LEN];
    for byte in &mut iv {
        *byte = bytes.next().ok_or(SealError::TooShort)?;
    }
    Ok(iv)
}

#[cfg(test)]
mod tests;
