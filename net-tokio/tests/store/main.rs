//! The storage engine: what it promises, under faults and at rest.
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod check;
mod contract;
mod faults;
mod open;
mod trouble;
