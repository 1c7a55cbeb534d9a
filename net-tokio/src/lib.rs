//! Foreverstore on tokio: the one loop that drives a [`forever_core`] node, and what it drives it with.
//!
//! - [`drive`]: the loop, generic over [`net::Net`], [`disk::Disk`], [`work::Work`] and [`clock::Clock`].
//! - [`net`], [`channel`], [`peers`], [`link`]: transports, the secure channel, who may connect, and frames over it.
//! - [`store`]: the storage engine.
//! - [`mdns`]: finding nodes of the local network.
//! - [`handle`]: how callers talk to a running node.

pub mod api;
pub mod channel;
pub mod clock;
pub mod codec_text;
pub mod disk;
pub mod drive;
pub mod folder;
pub mod handle;
pub mod link;
pub mod mdns;
pub mod net;
pub mod observe;
pub mod peers;
pub mod record;
pub mod server;
pub mod settings;
pub mod simulation;
pub mod store;
pub mod work;
