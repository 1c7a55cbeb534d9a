//! The chunks of a file on their way to a caller: which to bring next under its credit, and which to deliver next.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::range::{ChunkSlice, ChunkSlices, chunks_of_range};

/// A chunk on its way.
#[derive(Debug)]
enum Slot {
    /// Its page is not loaded yet, or its blob is being read, fetched or opened.
    UnderWay,
    /// Nobody connected has it: it waits for a peer to come back.
    Stuck,
    /// Its plaintext is here.
    Ready(Bytes),
}

/// The window of chunks between the first not delivered and the last begun.
#[derive(Debug)]
pub(crate) struct Window {
    chunk_size: u32,
    first_index: u64,
    /// The chunks not begun yet.
    rest: ChunkSlices,
    slots: BTreeMap<u64, (ChunkSlice, Slot)>,
    /// Bytes delivered and not yet consumed by the caller.
    unconsumed: u64,
}

impl Window {
    /// The chunks of the bytes from `first` to `end`, exclusive, of a file of `len` bytes.
    pub(crate) fn new(len: u64, chunk_size: u32, first: u64, end: u64) -> Self {
        Self {
            chunk_size,
            first_index: first / u64::from(chunk_size),
            rest: chunks_of_range(len, chunk_size, first, end - first),
            slots: BTreeMap::new(),
            unconsumed: 0,
        }
    }

    /// Plain bytes of a chunk.
    pub(crate) fn chunk_size(&self) -> u32 {
        self.chunk_size
    }

    /// The first chunk of all.
    pub(crate) fn first_index(&self) -> u64 {
        self.first_index
    }

    /// The next chunk to bring, if so many chunks in all, `busy` others among them, may be under way or unconsumed.
    pub(crate) fn begin(&mut self, chunks: u64, busy: u64) -> Option<u64> {
        let size = u64::from(self.chunk_size);
        let under_way = self.slots.len() as u64 + busy;
        if under_way >= chunks || self.unconsumed + under_way * size >= chunks * size {
            return None;
        }
        let slice = self.rest.next()?;
        self.slots.insert(slice.index, (slice, Slot::UnderWay));
        Some(slice.index)
    }

    /// A chunk's plaintext is here.
    pub(crate) fn fill(&mut self, index: u64, plain: Bytes) {
        self.set(index, Slot::Ready(plain));
    }

    /// Nobody connected has a chunk.
    pub(crate) fn stick(&mut self, index: u64) {
        self.set(index, Slot::Stuck);
    }

    fn set(&mut self, index: u64, state: Slot) {
        if let Some((_, slot)) = self.slots.get_mut(&index) {
            *slot = state;
        }
    }

    /// The chunks that nobody had: they are under way again.
    pub(crate) fn unstick(&mut self) -> Vec<u64> {
        let mut stuck = Vec::new();
        for (index, (_, slot)) in &mut self.slots {
            if matches!(slot, Slot::Stuck) {
                *slot = Slot::UnderWay;
                stuck.push(*index);
            }
        }
        stuck
    }

    /// The chunks begun and not delivered.
    pub(crate) fn begun(&self) -> Vec<u64> {
        self.slots.keys().copied().collect()
    }

    /// The next bytes for the caller, if they are here.
    pub(crate) fn deliver(&mut self) -> Option<Bytes> {
        let entry = self.slots.first_entry()?;
        if !matches!(entry.get(), (_, Slot::Ready(_))) {
            return None;
        }
        let (slice, Slot::Ready(plain)) = entry.remove() else { return None };
        // A last chunk may turn out shorter than its manifest said.
        let part = plain.slice((slice.start as usize).min(plain.len())..(slice.end as usize).min(plain.len()));
        self.unconsumed += part.len() as u64;
        Some(part)
    }

    /// The caller has taken bytes.
    pub(crate) fn consume(&mut self, bytes: u64) {
        self.unconsumed = self.unconsumed.saturating_sub(bytes);
    }

    /// Whether nothing is on its way.
    pub(crate) fn is_idle(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether all has been delivered.
    pub(crate) fn is_over(&self) -> bool {
        self.rest.is_over() && self.slots.is_empty()
    }
}
