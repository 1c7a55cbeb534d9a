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

/// The parts of chunks that are a range of a file's bytes, in order.
#[derive(Clone, Debug)]
pub struct ChunkSlices {
    chunk_size: u32,
    first: u64,
    end: u64,
    next: u64,
    /// Exclusive.
    last: u64,
}

/// The parts of chunks that are the bytes `first .. first + count` of a file of `len` bytes, in order. What lies beyond the
/// file's end is left out. `chunk_size` is not 0.
#[must_use]
pub fn chunks_of_range(len: u64, chunk_size: u32, first: u64, count: u64) -> ChunkSlices {
    assert!(chunk_size > 0, "a manifest with chunks of no length is refused when it is opened");
    let size = u64::from(chunk_size);
    let end = first.saturating_add(count).min(len);
    let (next, last) = if first < end { (first / size, (end - 1) / size + 1) } else { (0, 0) };
    ChunkSlices { chunk_size, first, end, next, last }
}

impl ChunkSlices {
    /// Whether all have been taken.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.next >= self.last
    }
}

impl Iterator for ChunkSlices {
    type Item = ChunkSlice;

    fn next(&mut self) -> Option<ChunkSlice> {
        if self.is_over() {
            return None;
        }
        let index = self.next;
        self.next += 1;
        let chunk_start = index * u64::from(self.chunk_size);
        let within = |position: u64| {
            u32::try_from(position.saturating_sub(chunk_start))
                .map_or(self.chunk_size, |offset| offset.min(self.chunk_size))
        };
        Some(ChunkSlice { index, start: within(self.first), end: within(self.end) })
    }
}

#[cfg(test)]
mod tests;
