//! Which parts of which chunks a range of a file's bytes is.

/// Part of a chunk's plaintext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkSlice {
    /// Which chunk of the file, from 0.
    pub index: u64,
    /// First byte within the chunk.
    pub start: u32,
    /// End within the chunk, exclusive; above `start`.
    pub end: u32,
}

/// How many chunks a file of `len` bytes has.
#[must_use]
pub fn chunk_count(len: u64, chunk_size: u32) -> u64 {
    len.div_ceil(u64::from(chunk_size.max(1)))
}

/// The plain length of the chunk at `index` of a file of `len` bytes; 0 beyond its end.
#[must_use]
pub fn chunk_len(len: u64, chunk_size: u32, index: u64) -> u32 {
    let start = index.saturating_mul(u64::from(chunk_size));
    u32::try_from(len.saturating_sub(start)).map_or(chunk_size, |rest| rest.min(chunk_size))
}

/// The parts of chunks that are the bytes `first .. first + count` of a file of `len` bytes, in order. What lies beyond the
/// file's end is left out. `chunk_size` is not 0.
pub fn chunks_of_range(len: u64, chunk_size: u32, first: u64, count: u64) -> impl Iterator<Item = ChunkSlice> {
    assert!(chunk_size > 0, "a manifest with chunks of no length is refused when it is opened");
    let size = u64::from(chunk_size);
    let end = first.saturating_add(count).min(len);
    let chunks = if first < end { first / size..(end - 1) / size + 1 } else { 0..0 };
    chunks.map(move |index| {
        let chunk_start = index * size;
        let within = |position: u64| {
            u32::try_from(position.saturating_sub(chunk_start)).map_or(chunk_size, |offset| offset.min(chunk_size))
        };
        ChunkSlice { index, start: within(first), end: within(end) }
    })
}

#[cfg(test)]
mod tests;
