//! Foreverstore on tokio: the one loop that drives a [`forever_core`] node, and what it drives it with.
//!
//! - [`drive`]: the loop, generic over [`net::Net`], [`disk::Disk`], [`work::Work`] and [`clock::Clock`].
//! - [`net`], [`channel`], [`link`]: transports, the secure channel, and frames over it.
//! - [`store`]: the storage engine.
//! - [`handle`]: how callers talk to a running node.
pub mod clock;
pub mod disk;
pub mod handle;
pub mod net;
pub mod store;
pub mod work;
