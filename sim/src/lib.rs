//! Deterministic simulation of Foreverstore: whole clusters in one thread, in simulated time, from one seed.
//!
//! What is here is the depth tier, [`turmoil_tier`]: the unchanged driver, secure channel, links and storage engine of
//! `forever-net-tokio`, on a turmoil network and on file systems in memory, with partitions, kills, power losses and lost
//! disks. Every byte that goes over the network, every operation of a disk, every piece of work and every event that a
//! caller gets goes into a [`trace::Trace`]: the same seed gives the same hash, in any thread and any process.
//!
//! ```
//! use forever_sim::turmoil_tier::{Cluster, Setup};
//!
//! let mut cluster = Cluster::new(Setup::new(7, 3));
//! cluster.run(2, |client| async move { client.put("a", b"content").await })??;
//! cluster.kill(0);
//! let content = cluster.run(2, |client| async move { client.get("a").await })??;
//! assert_eq!(content, b"content");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What is not here yet: the breadth tier, which drives `forever_core::Node` by discrete events without a runtime;
//! faults chosen by a seed, such as resets in mid-frame, slow or failing disks and skewed clocks; random workloads, oracles
//! and sweeps. Tests choose what happens, and when, themselves.

pub mod content;
pub mod draw;
#[cfg(feature = "planted-bugs")]
pub mod mutants;
pub mod store;
pub mod system;
pub mod trace;
pub mod turmoil_tier;
pub mod world;
