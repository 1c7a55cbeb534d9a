//! What a seed stands for: keys, randomness and the content of files.

/// Bytes that follow from a purpose, a seed and a number: no draw moves another, unlike draws from one shared stream.
#[must_use]
pub fn draw(purpose: &str, seed: u64, number: u64) -> [u8; 32] {
    let mut out = [0; 32];
    fill(purpose, seed, number, &mut out);
    out
}

/// The content of a file: without repetition, other content for each seed.
#[must_use]
pub fn content(seed: u64, len: usize) -> Vec<u8> {
    let mut out = vec![0; len];
    fill("content", seed, 0, &mut out);
    out
}

fn fill(purpose: &str, seed: u64, number: u64, out: &mut [u8]) {
    let mut hasher = blake3::Hasher::new_derive_key("foreverstore 2026 simulation");
    hasher.update(&seed.to_le_bytes()).update(&number.to_le_bytes()).update(purpose.as_bytes());
    hasher.finalize_xof().fill(out);
}
