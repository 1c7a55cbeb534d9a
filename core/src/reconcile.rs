//! Reconciliation: how two nodes find out which records one has and the other lacks, in traffic that is in proportion to the
//! difference. Nothing here does IO or knows of nodes; `node/sync.rs` carries it.
//!
//! Each set has a [`Sum`], kept up to date by whoever changes it, so that equal sets are told by one small [`Digest`]. Sets that
//! differ are compared by [`BUCKETS`] digests, and the items of buckets that differ by negentropy: ranges of the sorted items are
//! split until their fingerprints agree or they are short enough to be listed.
//!
//! Source: Meyer, "Range-Based Set Reconciliation" (SRDS 2023), in the form of the protocol
//! [negentropy](https://github.com/hoytech/negentropy).

mod item;
mod session;
mod sum;

pub use item::{Item, Items, OWNER_PREFIX, RECORD_PREFIX};
pub use session::{Asker, Broken, Found, MESSAGE_LEN_MAX, ROUNDS_MAX, answer};
pub use sum::{BUCKETS, Digest, Sum, bucket_of};

#[cfg(test)]
mod tests;
