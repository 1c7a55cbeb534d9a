//! How the hosts of a scenario are made.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use forever_core::config::Config;
use forever_net_tokio::store::memory_fs::MemoryFs;

use super::SimClock;
use super::board::Board;
use super::faulty_fs::FaultyFs;
use super::gate::Gate;
use super::host::{Host, PORT};
use super::net::{TurmoilNet, name_of};
use super::panics::Panics;
use super::tier::TICK;
use super::watch::Status;
use super::wire::Wire;
use crate::draw::Draws;
use crate::store::Scenario;
use crate::store::machine::Secrets;
use crate::trace::{Trace, Tracer};

/// What all hosts are made of.
pub(super) struct Shared<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) draws: Draws,
    pub(super) board: &'a Board,
    pub(super) wire: &'a Wire,
    pub(super) panics: &'a Panics,
    pub(super) trace: &'a Trace,
}

impl Shared<'_> {
    /// A node's host, which has never run.
    pub(super) fn host(&self, node: usize, secrets: Secrets) -> Host {
        let name = name_of(node);
        let tracer = Tracer::new(self.trace.clone(), &name);
        let gate = Gate::new(self.board.clone());
        let bootstrap = &self.scenario.nodes[node].bootstrap;
        let config = Config {
            listen: vec![listens_at(self.scenario, node)],
            bootstrap: bootstrap.iter().map(|node| format!("{}:{PORT}", name_of(*node))).collect(),
            ..self.scenario.config.clone()
        };
        #[cfg(feature = "planted-bugs")]
        let config = with_planted(config, self.scenario);
        Host {
            name,
            number: node,
            draws: self.draws,
            config,
            moves: Cell::new(0),
            disk_us: self.scenario.disk_us,
            engine: self.scenario.engine,
            secrets,
            net: TurmoilNet::new(node, self.wire.clone(), gate.clone(), tracer.clone(), self.panics.clone()),
            clock: SimClock::new(node, self.board.clone()),
            gate,
            board: self.board.clone(),
            tracer,
            status: Status::default(),
            fs: RefCell::new(FaultyFs::new(MemoryFs::new(), node, self.board.clone())),
            store: Default::default(),
            calls: RefCell::new(None),
            starts: Cell::new(0),
            is_wanted: Cell::new(false),
            recorders: RefCell::new(None),
        }
    }
}

/// The configuration with the bug that the scenario wants, if it wants one.
#[cfg(feature = "planted-bugs")]
fn with_planted(mut config: Config, scenario: &Scenario) -> Config {
    if let Some(name) = &scenario.planted {
        let bug = name.parse().unwrap_or_else(|error| panic!("{name}: {error}"));
        config.simulation.planted = Some(bug);
    }
    config
}

/// What a node is told to listen at before it moves: the name of its machine, or all addresses of it.
fn listens_at(scenario: &Scenario, node: usize) -> String {
    let host = if scenario.nodes[node].anywhere { String::new() } else { name_of(node) };
    format!("{host}:{PORT}")
}

/// In whole milliseconds, at least a tick.
pub(super) fn latency_of(scenario: &Scenario) -> (Duration, Duration) {
    let (first, last) = scenario.latency_us;
    let ms = |us: u32| Duration::from_millis((u64::from(us) + 500) / 1000).max(TICK);
    (ms(first), ms(last.max(first)))
}
