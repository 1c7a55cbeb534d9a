//! What is being relied on right now: references and promises whose commits are under way. A scan of the disk does not show
//! them yet, so whoever is about to drop something asks here, too.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::ids::{ChunkId, RecordId, RequestId};

/// Commits under way that make something relied upon, and the evicts that watch for them.
#[derive(Debug, Default)]
pub(crate) struct Fresh {
    /// Chunks of pages whose commits are under way, and of how many.
    chunks: BTreeMap<ChunkId, u32>,
    /// Records on which promises are being committed, and how many.
    promises: BTreeMap<RecordId, u32>,
    /// What each evict must not drop any more.
    watches: BTreeMap<RequestId, BTreeSet<ChunkId>>,
}

impl Fresh {
    /// The commit of a page that lists these chunks starts.
    pub(crate) fn begin_page(&mut self, chunks: impl Iterator<Item = ChunkId>) {
        for chunk in chunks {
            *self.chunks.entry(chunk).or_default() += 1;
            for watched in self.watches.values_mut() {
                watched.insert(chunk);
            }
        }
    }

    /// That commit is complete.
    pub(crate) fn end_page(&mut self, chunks: impl Iterator<Item = ChunkId>) {
        for chunk in chunks {
            release(&mut self.chunks, chunk);
        }
    }

    /// The commit of a promise starts.
    pub(crate) fn begin_promise(&mut self, record: RecordId) {
        *self.promises.entry(record).or_default() += 1;
    }

    /// That commit is complete.
    pub(crate) fn end_promise(&mut self, record: RecordId) {
        release(&mut self.promises, record);
    }

    /// Whether a promise on a record is being committed.
    pub(crate) fn is_promising(&self, record: RecordId) -> bool {
        self.promises.contains_key(&record)
    }

    /// An evict is about to look for references: from now on it is told of new ones.
    pub(crate) fn watch(&mut self, evict: RequestId) {
        let under_way = self.chunks.keys().copied().collect();
        self.watches.insert(evict, under_way);
    }

    /// Whether a chunk has got a reference since the evict began to watch.
    pub(crate) fn is_new(&self, evict: RequestId, chunk: ChunkId) -> bool {
        self.watches.get(&evict).is_some_and(|watched| watched.contains(&chunk))
    }

    /// The evict is over.
    pub(crate) fn unwatch(&mut self, evict: RequestId) {
        self.watches.remove(&evict);
    }
}

fn release<K: Ord>(counts: &mut BTreeMap<K, u32>, key: K) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}
