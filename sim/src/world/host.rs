//! A host: what of a node outlives its process, and the process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use forever_core::config::Config;
use forever_core::ids::{NodeId, RequestId};
use forever_core::node::Node;

use super::Happening;
use super::callers::Caller;
use super::clock::HostClock;
use super::disk::MemoryDisk;
use super::signatures::Signatures;
use crate::draw::Draws;
use crate::store::Scenario;
use crate::store::liar::Liar;
use crate::store::machine::Secrets;

/// The port of all addresses.
const PORT: u16 = 7000;

/// A machine with its disk and clocks.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) id: NodeId,
    pub(super) owner: usize,
    pub(super) secrets: Secrets,
    pub(super) config: Config,
    /// How often it has got another address.
    pub(super) moves: u32,
    pub(super) clock: HostClock,
    pub(super) disk: MemoryDisk,
    /// Disk operations completed so far, over all lives: the n-th has draws of its own.
    pub(super) disk_ops: u64,
    /// No commit completes before those issued before it.
    pub(super) last_commit_us: u64,
    /// What is wrong with the disk.
    pub(super) disk_faults: BTreeMap<usize, crate::store::Fault>,
    /// Blobs whose names are not durable, by the fault that lies about it.
    pub(super) unsynced: BTreeSet<forever_core::ids::BlobKey>,
    pub(super) process: Option<Process>,
    /// How often it has been started: no two lives have the same randomness, and none gets another's inputs.
    pub(super) life: u32,
    /// Whether the machine has no power.
    pub(super) is_dark: bool,
    /// Faults that keep the process from being started.
    pub(super) held_down_by: BTreeSet<usize>,
    /// Faults that have stopped it in its tracks.
    pub(super) paused_by: BTreeSet<usize>,
    /// What would have happened while it was stopped, in order.
    pub(super) backlog: Vec<Happening>,
    pub(super) liars: BTreeMap<usize, Liar>,
    /// The least that its node has had under way since the core came to rest, by name.
    pub(super) left_over: BTreeMap<&'static str, u64>,
}

/// A running node.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) node: Node,
    pub(super) callers: BTreeMap<RequestId, Caller>,
    /// When the node is to be woken next.
    pub(super) wake_us: u64,
}

/// A disk on which nothing lies yet.
pub(super) fn empty_disk(config: &Config) -> MemoryDisk {
    MemoryDisk::limited((config.store_max_bytes > 0).then_some(config.store_max_bytes))
}

impl Host {
    /// `memory` is that of its owner.
    pub(super) fn new(scenario: &Scenario, number: usize, memory: Arc<Signatures>) -> Self {
        let spec = &scenario.nodes[number];
        let mut secrets = Secrets::draw(Draws::new(scenario.seed), number, spec.owner);
        secrets.keys = secrets.keys.with_memory(memory);
        let config = Config {
            listen: vec![if spec.anywhere { format!(":{PORT}") } else { address(number, 0) }],
            bootstrap: spec.bootstrap.iter().map(|node| address(*node, 0)).collect(),
            ..scenario.config.clone()
        };
        Self {
            name: name(number),
            id: secrets.identity.node_id(),
            owner: spec.owner,
            secrets,
            config,
            moves: 0,
            clock: HostClock::default(),
            disk: empty_disk(&scenario.config),
            disk_ops: 0,
            last_commit_us: 0,
            disk_faults: BTreeMap::new(),
            unsynced: BTreeSet::new(),
            process: None,
            life: 0,
            is_dark: false,
            held_down_by: BTreeSet::new(),
            paused_by: BTreeSet::new(),
            backlog: Vec::new(),
            liars: BTreeMap::new(),
            left_over: BTreeMap::new(),
        }
    }

    /// It has another address from now on.
    pub(super) fn move_on(&mut self, number: usize) {
        self.moves += 1;
        for listen in self.config.listen.iter_mut().filter(|listen| !listen.starts_with(':')) {
            *listen = address(number, self.moves);
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        !self.paused_by.is_empty()
    }

    /// Whether the process of this life still runs.
    pub(super) fn lives(&self, life: u32) -> bool {
        self.life == life && self.process.is_some()
    }
}

pub(super) fn name(number: usize) -> String {
    format!("node-{number}")
}

/// What a host is called on the network, after so many moves.
pub(super) fn host_name(number: usize, moves: u32) -> String {
    if moves == 0 { name(number) } else { format!("{}-{moves}", name(number)) }
}

pub(super) fn address(number: usize, moves: u32) -> String {
    format!("{}:{PORT}", host_name(number, moves))
}

/// The host of an address, and after how many moves it had it.
pub(super) fn number_of(address: &str) -> Option<(usize, u32)> {
    let (host, _) = address.strip_prefix("node-")?.split_once(':')?;
    match host.split_once('-') {
        Some((number, moves)) => Some((number.parse().ok()?, moves.parse().ok()?)),
        None => Some((host.parse().ok()?, 0)),
    }
}
