//! The store as a system under test: what its callers do, what goes wrong with it, what oracles see of it. Both tiers
//! take the same [`Scenario`] and show the same [`Event`]s.

mod client;
mod event;
mod fault;
pub mod inspect;
pub mod liar;
pub mod names;
mod op;
mod scenario;

pub use client::{Next, OpClient};
pub use event::{Contents, DiskLoss, Event, Got, Held, OpError, OpResult, View};
pub use fault::{Fault, Lie};
pub use op::{Content, Op, OpKind, Range};
pub use scenario::{Family, NodeSpec, Scenario, Tier};
