//! The real node on a simulated network, through what happens to clusters.
#![allow(clippy::unwrap_used, reason = "clippy takes only functions marked as tests for tests")]

mod basics;
mod clock;
mod departures;
mod disk;
#[path = "../harness/mod.rs"]
mod harness;
mod liars;
mod network;
mod plans;
mod process;
mod recording;
