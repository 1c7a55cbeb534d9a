//! The depth tier: the real node on turmoil's network.
//!
//! What the driver is given here, instead of what a real node gives it:
//!
//! | part | real | here |
//! | --- | --- | --- |
//! | network | TCP | [`TurmoilNet`] |
//! | disk | threads over the machine's file system | [`SimDisk`]: the same engine, inline, over a file system in memory |
//! | work | threads | [`SimWork`]: inline |
//! | clock | the machine's | [`SimClock`] |
//!
//! Nothing here uses a thread, a hash map's order, the machine's clock or its randomness: that is what makes runs alike.

mod client;
mod clock;
mod cluster;
mod disk;
mod host;
mod net;
mod work;

pub use client::{Client, Failure};
pub use clock::SimClock;
pub use cluster::{Cluster, Pending, Setup, SimError};
pub use disk::SimDisk;
pub use net::{TurmoilListener, TurmoilNet, TurmoilStream};
pub use work::SimWork;
