//! Shared set-up of the benchmarks.

pub mod cluster;
pub mod simulated;

use forever_core::bulk::PlainChunk;
use forever_core::secrets::{OwnerKeys, OwnerSecret};

/// Plain bytes of a chunk, as nodes cut files by default.
pub const CHUNK_LEN: usize = 1 << 20;

/// The keys of an owner.
#[must_use]
pub fn keys() -> OwnerKeys {
    OwnerKeys::derive(&OwnerSecret::new([7; 32]))
}

/// `len` bytes that do not repeat and do not compress; the same for the same `seed`.
#[must_use]
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    // xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled" (2016).
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let words = std::iter::repeat_with(|| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes()
    });
    words.flatten().take(len).collect()
}

/// A chunk with this plaintext.
#[must_use]
pub fn plain_chunk(plain: &[u8]) -> PlainChunk {
    let mut chunk = PlainChunk::with_capacity(plain.len());
    chunk.extend(plain);
    chunk
}
