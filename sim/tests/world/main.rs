//! The World tier: its disk, its faults, and whole runs of it.
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod departures;
mod disk;
mod disk_faults;
mod faults;
mod runs;
mod seeds;
mod small_world;
