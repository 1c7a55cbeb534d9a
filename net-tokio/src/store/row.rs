//! The rows of blobs: where a blob's bytes are.

use bytes::Bytes;
use forever_core::ids::{BlobKey, ChunkId, OwnerId};

/// The key of a blob's row: owner, then chunk.
pub(crate) fn row_key(blob: &BlobKey) -> [u8; 64] {
    let mut key = [0; 64];
    key[..32].copy_from_slice(&blob.owner.0);
    key[32..].copy_from_slice(&blob.chunk.0);
    key
}

/// The blob of a row's key.
pub(crate) fn blob_of(key: &[u8; 64]) -> BlobKey {
    let (mut owner, mut chunk) = ([0; 32], [0; 32]);
    owner.copy_from_slice(&key[..32]);
    chunk.copy_from_slice(&key[32..]);
    BlobKey { owner: OwnerId(owner), chunk: ChunkId(chunk) }
}

const TAG_INLINE: u8 = 0;
const TAG_FILE: u8 = 1;

/// Where a blob's bytes are. Encoded as a tag byte, then the bytes themselves (0), or the length as 8 bytes in little
/// endian and the file's path below the owner's folder in UTF-8 (1): so the path transform may change at any time, and
/// a script finds a blob without knowing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    /// In the row.
    Inline(Bytes),
    /// In a file.
    File {
        /// Its length in bytes.
        len: u64,
        /// Its path below `blobs/<owner>/`.
        path: String,
    },
}

impl Row {
    /// The blob's length in bytes.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::File { len, .. } => *len,
        }
    }

    /// The row's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Inline(bytes) => {
                let mut row = Vec::with_capacity(1 + bytes.len());
                row.push(TAG_INLINE);
                row.extend_from_slice(bytes);
                row
            }
            Self::File { len, path } => {
                let mut row = Vec::with_capacity(9 + path.len());
                row.push(TAG_FILE);
                row.extend_from_slice(&len.to_le_bytes());
                row.extend_from_slice(path.as_bytes());
                row
            }
        }
    }

    /// The row of some bytes; nothing if no row was ever encoded so.
    pub(crate) fn decode(row: &[u8]) -> Option<Self> {
        let (tag, rest) = row.split_first()?;
        match *tag {
            TAG_INLINE => Some(Self::Inline(Bytes::copy_from_slice(rest))),
            TAG_FILE => {
                let (len, path) = rest.split_first_chunk::<8>()?;
                Some(Self::File { len: u64::from_le_bytes(*len), path: String::from_utf8(path.to_vec()).ok()? })
            }
            _ => None,
        }
    }
}
