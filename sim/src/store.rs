//! The store as a system under test: what its callers do, what goes wrong with it, what oracles see of it. Both tiers
//! take the same [`Scenario`] and show the same [`Event`]s.

mod arrivals;
mod catalogue;
pub(crate) mod clear;
mod client;
mod draw_scenario;
mod event;
mod fault;
pub(crate) mod fsck;
pub mod inspect;
pub(crate) mod judge;
mod known;
pub mod liar;
pub(crate) mod machine;
mod messages;
pub mod names;
mod op;
pub mod oracles;
pub(crate) mod parting;
pub mod probes;
mod recorder;
mod scenario;
mod shape;
mod simulation;
mod smaller;

pub use client::{Next, OpClient};
pub(crate) use event::REQUESTS;
pub use event::{Contents, DiskLoss, Event, Got, Held, Holding, OpError, OpResult, Piece, View};
pub use fault::{Approach, DiskPart, Fault, Lie};
pub use known::Asked;
pub(crate) use known::Known;
pub use op::{Content, Length, Op, OpKind, Part, Range, Reader, Said};
pub use recorder::Recorder;
pub use scenario::{Engine, Family, NodeSpec, Scenario, Tier};
pub use shape::{Shape, ShapeError};
pub use simulation::{Store, Watched, simulate};
