//! Whole nodes at work in a small deterministic world. One crate for all: most of what a test crate costs is to link it.
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod cache;
mod checkpoints;
mod collect;
mod debts;
mod devices;
mod evicted;
mod faults;
mod harness;
mod light;
mod limits;
mod loss;
mod members;
mod mend;
mod moves;
mod peers;
mod placement;
mod races;
mod requests;
mod restore;
mod scrub;
mod sharing;
mod sync;
mod traces;
mod turns;
mod undelete;
