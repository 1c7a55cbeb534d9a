//! The depth tier: the real node on turmoil's network.
//!
//! What the driver is given here, instead of what a real node gives it:
//!
//! | part | real | here |
//! | --- | --- | --- |
//! | network | TCP | [`TurmoilNet`], with a wire that drops, doubles, reorders, limits and resets |
//! | disk | threads over the machine's file system | [`SimDisk`]: the same engine on one task, over a file system in memory that fails |
//! | work | threads | [`SimWork`]: inline |
//! | clock | the machine's | [`SimClock`], with skew and drift |
//! | observer | nobody, or a recorder | traces, recorders, and liars |
//!
//! Nothing here uses a thread, a hash map's order, the machine's clock or its randomness: that is what makes runs alike.

mod board;
mod caller;
mod calls;
mod clock;
mod disk;
mod faults;
mod faulty_fs;
mod fsck;
mod gate;
mod host;
mod make;
mod net;
mod panics;
mod parting;
mod settle;
mod stranger;
mod tier;
mod view;
mod watch;
mod ways;
mod wire;
mod work;

pub use clock::SimClock;
pub use disk::SimDisk;
pub use net::{TurmoilListener, TurmoilNet, TurmoilStream};
pub use tier::TurmoilTier;
pub use work::SimWork;
