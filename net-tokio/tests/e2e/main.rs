//! End-to-end tests: the real `forever` as separate processes, with real TCP, real disks and real signals.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod api;
mod canary;
mod damage;
mod delete;
mod demo;
mod evict;
mod faults;
mod files;
mod folders;
mod fsck;
mod get;
mod harness;
mod input;
mod lost_peers;
#[cfg(target_os = "linux")]
mod memory;
mod put;
mod record;
mod restart;
mod restore;
mod scrub;
mod share;
mod space;
mod strangers;
