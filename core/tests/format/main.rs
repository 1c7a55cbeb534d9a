//! What is written and sent: bytes, and who can read them.
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod codec;
mod common;
mod fuzz_corpus;
mod golden_vectors;
mod recover;
