//! Deterministic simulation: whole clusters in one thread, in simulated time, from one seed; faults everywhere; every failure
//! a seed that replays bit for bit, shrinks, and is told as a short story.
//!
//! # Foreverstore
//!
//! [`store`] simulates Foreverstore in two tiers over one [`store::Scenario`]: [`world`] drives `forever_core::Node` by
//! discrete events, for breadth; [`turmoil_tier`] runs the unchanged driver, secure channel, links and storage engine on a
//! turmoil network and on file systems in memory, for depth. Oracles that live outside the nodes judge both. The program
//! `forever-sim` runs, sweeps, checks, replays, shrinks and draws them:
//!
//! ```
//! use forever_sim::simulation::Simulation;
//! use forever_sim::store::{Store, Tier};
//! use forever_sim::trace::Trace;
//!
//! let mut store = Store::new(Tier::World);
//! store.shape.set("duration_ms=5000")?;
//! store.shape.set("ops=[10,10]")?;
//! let scenario = store.draw(7);
//! let outcome = store.run(&scenario, Trace::default());
//! assert_eq!(outcome.violation, None);
//! assert_eq!(outcome.trace_hash, store.run(&scenario, Trace::default()).trace_hash);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A core of your own
//!
//! Nothing outside [`store`], [`world`] and [`turmoil_tier`] knows the store. To simulate another sans-io core, write
//!
//! 1. what its callers do and what goes wrong, as data: two types that implement [`system::Step`];
//! 2. a [`system::System`]: the core, the network between its nodes, simulated time, and a [`trace::Trace`] of all that happens;
//!    whatever it draws, it draws from [`draw::Draws`], so that a step can be left out without moving any other;
//! 3. an [`system::Oracle`] for each rule that must hold;
//! 4. a [`system::Workload`], which draws the plan that a seed stands for;
//!
//! put them into a [`simulation::Harness`], and [`sweep::sweep`], [`check::check`], [`shrink::shrink`], [`story::tell`],
//! [`case::Case`] and [`timeline::Timeline`] work. `examples/counter.rs` does so in some two hundred lines for a replicated
//! counter that counts a message twice if it comes twice. It ends with what is left of a failing seed:
//!
//! ```text
//! 3 nodes, seed 0.
//! Left of 3 nodes, 60 operations and 4 faults: 3 nodes, 1 operation and 1 fault.
//!
//!    0.000866 s  What node 2 sends to node 0 comes twice (until 0.001580 s).
//!    0.001579 s  A caller increments the counter at node 2.
//!    0.001580 s  The plan is over: whatever still goes wrong ends, and the system comes to rest.
//!    0.007231 s  The rule 'total' is broken: node 0 counts 2 of 1 increments.
//! ```

pub mod case;
pub mod check;
pub mod draw;
pub mod junit;
#[cfg(feature = "planted-bugs")]
pub mod mutants;
pub mod recording;
pub mod shrink;
pub mod simulation;
pub mod store;
pub mod story;
pub mod sweep;
pub mod system;
pub mod timeline;
pub mod trace;
pub mod turmoil_tier;
pub mod world;
