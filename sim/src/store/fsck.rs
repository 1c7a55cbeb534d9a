//! A check of a disk beside its running node, as an operation.

use forever_core::ids::BlobKey;

use super::Contents;

/// The chunks that the records of a disk need, and that are not there or not intact. What was evicted, or has never been here, is not
/// needed.
pub(crate) fn lost(contents: &Contents) -> Vec<BlobKey> {
    let is_there = |chunk: &&BlobKey| contents.blobs.get(*chunk) == Some(&true);
    let needed = contents.records.iter().filter(|held| contents.mark(&held.record).is_none());
    let mut lost: Vec<BlobKey> =
        needed.flat_map(|held| held.chunks.iter().flatten().filter(|chunk| !is_there(chunk))).copied().collect();
    lost.sort_unstable();
    lost.dedup();
    lost
}
