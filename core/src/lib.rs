//! The sans-io core of Foreverstore.
//!
//! Everything that decides is here: identifiers, formats, cryptography and the [`node::Node`], a state machine that
//! turns inputs (frames, completions of disk and compute work, commands, time) into outputs (frames to send, disk
//! operations, work, events). Nothing here does IO, reads a clock, owns a thread or draws randomness but from the seed
//! it was given, so the same code runs under tokio, in a discrete-event world and in a turmoil network.
//!
//! Start reading at `node.rs`, which only dispatches, then `output.rs`, which lists everything a node can do.
#![no_std]

extern crate alloc;

pub mod bulk;
mod canonical;
pub mod checkpoint;
pub mod codec;
pub mod command;
pub mod config;
pub mod disk;
pub mod event;
pub mod frame;
#[doc(hidden)]
pub mod fuzzing;
pub mod ids;
pub mod input;
pub mod intent;
pub mod key_hash;
pub mod manifest;
pub mod member;
pub mod merge;
pub mod name;
pub mod node;
pub mod output;
pub mod path;
pub mod phrase;
pub mod placement;
pub mod range;
pub mod record;
pub mod recording;
pub mod seal;
pub mod secrets;
mod signature;
pub mod simulation;
pub mod ticket;
pub mod time;
pub mod version;
pub mod work;
