//! Deterministic simulation of Foreverstore: whole clusters in one thread, in simulated time, from one seed.
//!
//! Two tiers take the same [`store::Scenario`] and show the same [`store::Event`]s to the same oracles. [`turmoil_tier`], for
//! depth, is the unchanged driver, secure channel, links and storage engine of `forever-net-tokio`, on a turmoil network and on
//! file systems in memory. Everything that a node is told and does, and every byte that goes over the network, goes into a
//! [`trace::Trace`]: the same seed gives the same hash, in any thread and any process.

pub mod draw;
pub mod recording;
pub mod store;
pub mod system;
pub mod trace;
pub mod turmoil_tier;
