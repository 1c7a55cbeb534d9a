//! Foreverstore on tokio: the one loop that drives a [`forever_core`] node, and what it drives it with.
//!
//! - [`drive`]: the loop, generic over [`net::Net`], [`disk::Disk`], [`work::Work`] and [`clock::Clock`].
//! - [`net`], [`channel`], [`link`]: transports, the secure channel, and frames over it.
//! - [`store`]: the storage engine.
//! - [`handle`]: how callers talk to a running node.
//! - [`folder`], [`settings`]: what a node finds on its machine: keys, lock, configuration.
//! - [`api`], [`server`]: the HTTP API, and the node that serves it.
pub mod api;
pub mod clock;
pub mod disk;
pub mod folder;
pub mod handle;
pub mod net;
pub mod server;
pub mod settings;
pub mod work;
