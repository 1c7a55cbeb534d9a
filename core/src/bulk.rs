//! Bulk bytes: handles that the core passes on and never reads.

use alloc::vec::Vec;
use core::fmt;

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

/// A sequence of buffers that together are one payload, in order, as they came off the wire.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bulk {
    parts: Vec<Bytes>,
}

impl Bulk {
    /// Appends a buffer.
    pub fn push(&mut self, part: Bytes) {
        self.parts.push(part);
    }

    /// The buffers in order.
    #[must_use]
    pub fn parts(&self) -> &[Bytes] {
        &self.parts
    }

    /// The total length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum()
    }

    /// Whether there are no bytes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The payload in one buffer: free when it already is one, a copy otherwise.
    #[must_use]
    pub fn into_bytes(mut self) -> Bytes {
        if self.parts.len() == 1 {
            return self.parts.remove(0);
        }
        let mut whole = BytesMut::with_capacity(self.len());
        for part in &self.parts {
            whole.extend_from_slice(part);
        }
        whole.freeze()
    }

    /// BLAKE3 of the payload.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        for part in &self.parts {
            hasher.update(part);
        }
        *hasher.finalize().as_bytes()
    }
}

impl From<Bytes> for Bulk {
    fn from(bytes: Bytes) -> Self {
        Self { parts: alloc::vec![bytes] }
    }
}

/// Length and short hash only: a trace must neither be huge nor leak content.
impl fmt::Debug for Bulk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hash = self.hash();
        write!(f, "Bulk({} B, {:02x}{:02x}{:02x}{:02x})", self.len(), hash[0], hash[1], hash[2], hash[3])
    }
}

/// Length of the IV in front of a blob's ciphertext.
pub const IV_LEN: usize = 16;

/// A plaintext chunk in a buffer that leaves room for the IV, so that it is sealed in place.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlainChunk {
    buffer: BytesMut,
}

impl PlainChunk {
    /// An empty chunk with room for `size` bytes of plaintext.
    #[must_use]
    pub fn with_capacity(size: usize) -> Self {
        let mut buffer = BytesMut::with_capacity(IV_LEN + size);
        buffer.resize(IV_LEN, 0);
        Self { buffer }
    }

    /// Appends plaintext.
    pub fn extend(&mut self, plain: &[u8]) {
        self.buffer.extend_from_slice(plain);
    }

    /// The plaintext.
    #[must_use]
    pub fn plain(&self) -> &[u8] {
        &self.buffer[IV_LEN..]
    }

    /// The plaintext's length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buffer.len() - IV_LEN
    }

    /// Whether there is no plaintext.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The whole buffer: room for the IV, then the plaintext.
    #[must_use]
    pub fn into_buffer(self) -> BytesMut {
        self.buffer
    }
}

impl fmt::Debug for PlainChunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlainChunk({} B, ***)", self.len())
    }
}
