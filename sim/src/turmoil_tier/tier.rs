//! The tier as a system under test: nodes, operations and faults by number.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use forever_core::command::VersionSelector;
use forever_core::config::Config;
use forever_core::version::Version;
use forever_net_tokio::store::memory_fs::MemoryFs;
use turmoil::Sim;

use super::board::Board;
use super::caller::Call;
use super::clock::SimClock;
use super::faulty_fs::FaultyFs;
use super::gate::Gate;
use super::host::{self, Host, PORT};
use super::net::{Panics, TurmoilNet, name_of};
use super::settle::Settling;
use super::view::Eyes;
use super::watch::Status;
use super::ways::{Also, Ways};
use super::wire::Wire;
use crate::draw::{Draws, Site};
use crate::store::machine::{EPOCH_MS, Secrets};
use crate::store::{Event, Fault, Op, OpError, OpKind, OpResult, Scenario, View, names};
use crate::system::System;
use crate::trace::{Trace, Tracer};

/// Simulated time of one step. Latencies below it would make hosts that run later in a step see messages earlier.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// Ports to dial from: turmoil leaks one for each refused connect.
const DIAL_PORTS: std::ops::RangeInclusive<u16> = 10_000..=65_535;

/// Segments that wait for a reader, and connections that wait to be accepted, before turmoil holds up or gives up: as many
/// dials as all peers can make of a node that is paused.
const SOCKET_CAPACITY: usize = 256;

const TURMOIL_SEED: Site = Site::new("turmoil seed");

/// Something that is to happen at a time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Due {
    /// A pair of nodes clogs, or clears.
    Clog { fault: usize, pair: (usize, usize), clogged: bool },
    /// Nobody answers for a node that is down any more.
    Silence { node: usize, start: u64 },
}

/// A cluster of real nodes on a turmoil network.
pub struct TurmoilTier {
    pub(super) scenario: Scenario,
    pub(super) sim: Sim<'static>,
    pub(super) hosts: Vec<Rc<Host>>,
    pub(super) board: Board,
    pub(super) wire: Wire,
    pub(super) trace: Trace,
    panics: Panics,
    ways: Ways,
    agenda: BTreeMap<(Duration, usize), Due>,
    agenda_next: usize,
    /// Why a node does not run, by node: the faults that hold it down.
    pub(super) held_down: Vec<BTreeSet<usize>>,
    /// Nodes that do not run and whose packets go nowhere.
    silent: BTreeSet<usize>,
    /// Nodes whose power goes at their next accesses of the disk, and by when it has gone in any case.
    pub(super) failing: BTreeMap<usize, Duration>,
    pub(super) settling: Settling,
    pub(super) eyes: Eyes,
    /// Versions that callers know of, by owner and file.
    known: BTreeMap<(usize, u32), BTreeSet<Version>>,
    is_started: bool,
}

impl TurmoilTier {
    /// The cluster of a scenario, at its start.
    ///
    /// # Panics
    /// When the scenario names nodes that it does not have.
    #[must_use]
    pub fn new(scenario: &Scenario, trace: Trace) -> Self {
        let draws = Draws::new(scenario.seed);
        let latency = latency_of(scenario);
        let mut sim = turmoil::Builder::new()
            .rng_seed(draws.at(TURMOIL_SEED, 0, 0).next())
            .epoch(SystemTime::UNIX_EPOCH + Duration::from_millis(EPOCH_MS))
            .simulation_duration(Duration::MAX)
            .tick_duration(TICK)
            .min_message_latency(latency.0)
            .max_message_latency(latency.1)
            .tcp_capacity(SOCKET_CAPACITY)
            .ephemeral_ports(DIAL_PORTS)
            .enable_random_order()
            .build();
        let secrets: Vec<Secrets> =
            scenario.nodes.iter().enumerate().map(|(node, spec)| Secrets::draw(draws, node, spec.owner)).collect();
        let board = Board::new(draws, secrets.iter().map(|secrets| secrets.identity.node_id()).collect());
        let (wire, panics) = (Wire::new(board.clone()), Panics::default());
        let shared = Shared { scenario, draws, board: &board, wire: &wire, panics: &panics, trace: &trace };
        let hosts: Vec<_> =
            secrets.into_iter().enumerate().map(|(node, secrets)| Rc::new(shared.host(node, secrets))).collect();
        for host in &hosts {
            let software = Rc::clone(host);
            sim.host(host.name.as_str(), move || host::run(Rc::clone(&software)));
        }
        let nodes = hosts.len();
        trace.record_value(Duration::ZERO, "tier", "scenario", scenario);
        Self {
            scenario: scenario.clone(),
            sim,
            hosts,
            board,
            wire,
            trace,
            panics,
            ways: Ways::new(nodes, latency),
            agenda: BTreeMap::new(),
            agenda_next: 0,
            held_down: vec![BTreeSet::new(); nodes],
            silent: BTreeSet::new(),
            failing: BTreeMap::new(),
            settling: Settling::default(),
            eyes: Eyes::default(),
            known: BTreeMap::new(),
            is_started: false,
        }
    }

    /// Records what the nodes are told and do, from now on: before anything has started.
    pub fn record(&mut self) {
        for host in &self.hosts {
            host.recorders.borrow_mut().get_or_insert_default();
        }
    }

    /// What was recorded so far: of each process its node and its recording. Only once.
    #[must_use]
    pub fn take_recordings(&mut self) -> Vec<(usize, Vec<u8>)> {
        let mut recordings = Vec::new();
        for host in &self.hosts {
            for recorder in host.recorders.borrow().iter().flatten() {
                let recording = recorder.lock().unwrap_or_else(PoisonError::into_inner).take();
                recordings.push((host.number, recording));
            }
        }
        recordings
    }

    pub(super) fn start_all(&mut self) {
        if !std::mem::replace(&mut self.is_started, true) {
            for node in 0..self.hosts.len() {
                self.start_if_free(node);
            }
        }
    }

    /// One step of time.
    pub(super) fn step(&mut self) {
        self.start_all();
        while let Some(entry) = self.agenda.first_entry() {
            if entry.key().0 > self.sim.elapsed() {
                break;
            }
            let due = entry.remove();
            self.come_due(due);
        }
        let stepped = self.sim.step();
        assert!(!self.panics.any(), "a task of a node panicked: its message is on stderr");
        if let Err(error) = stepped {
            panic!("a node failed: {error}");
        }
        self.lose_power_that_fails();
    }

    pub(super) fn schedule(&mut self, at: Duration, due: Due) {
        self.agenda.insert((at, self.agenda_next), due);
        self.agenda_next += 1;
    }

    fn come_due(&mut self, due: Due) {
        match due {
            Due::Clog { fault, pair, clogged } => {
                if self.board.active().iter().any(|(id, _)| *id == fault) {
                    self.wire.clog(fault, pair, clogged);
                }
            }
            Due::Silence { node, start } => {
                if !self.hosts[node].is_wanted.get() && self.hosts[node].starts.get() == start {
                    self.silent.insert(node);
                }
            }
        }
        self.update_ways();
    }

    /// Sets turmoil's network as the faults at work want it.
    pub(super) fn update_ways(&mut self) {
        let core = self.settling.is_healed().then(|| self.scenario.core.clone());
        let silent = &self.silent;
        let is_cut = |a, b| {
            let is_outside = core.as_ref().is_some_and(|core| core.contains(&a) != core.contains(&b));
            is_outside || silent.contains(&a) || silent.contains(&b)
        };
        let also = Also { clogged: self.wire.clogged(), is_cut: &is_cut };
        self.ways.update(&self.sim, &self.board.active(), &also);
    }

    pub(super) fn note(&self, kind: &str, node: usize) {
        self.trace.record(self.sim.elapsed(), "tier", kind, node.to_string().as_bytes());
    }

    /// Starts a node unless a fault holds it down.
    pub(super) fn start_if_free(&mut self, node: usize) {
        let host = Rc::clone(&self.hosts[node]);
        if self.held_down[node].is_empty() && !host.is_wanted.get() {
            self.note("start", node);
            host.is_wanted.set(true);
            host.gate.reset();
            if self.silent.remove(&node) {
                self.update_ways();
            }
            self.sim.bounce(host.name.as_str());
        }
    }

    /// Ends a node's process, and leaves its disk as `left`. Its destructors run, but its disk is out of their reach, as it is
    /// when a process is killed; if it is `silently`, nothing that they send reaches anybody either.
    pub(super) fn take_down(&mut self, node: usize, left: MemoryFs, silently: bool) {
        let host = Rc::clone(&self.hosts[node]);
        let old = host.fs.borrow().clone();
        old.memory().cut_power();
        host.fs.replace(old.replaced_by(left));
        if !host.is_wanted.replace(false) {
            return;
        }
        self.note("down", node);
        if silently {
            self.silent.insert(node);
            self.update_ways();
        } else {
            let start = host.starts.get();
            self.schedule(self.sim.elapsed() + Duration::from_secs(1), Due::Silence { node, start });
        }
        for op in self.board.open_at(node) {
            self.board.ended(op, OpResult::Failed(OpError::Gone));
        }
        self.sim.crash(host.name.as_str());
        host.calls.take();
        host.gate.reset();
        let was_up = std::mem::take(&mut *host.status.shown()).is_up;
        if was_up {
            self.board.emit(Event::Down { node });
        }
    }

    /// A caller of a node begins.
    pub(super) fn call(&mut self, id: usize, op: &Op) {
        self.trace.record_value(self.sim.elapsed(), "tier", "call", &(id as u64, op));
        self.board.emit(Event::Started { op: id, what: op.clone() });
        self.board.opened(id, op.node);
        let old = self.old_version(op);
        let host = &self.hosts[op.node];
        let call = Call { op: id, what: op.what.clone(), old };
        let is_taken =
            host.status.shown().is_up && host.calls.borrow().as_ref().is_some_and(|calls| calls.send(call).is_ok());
        if !is_taken {
            self.board.ended(id, OpResult::Failed(OpError::Down));
        }
    }

    fn old_version(&self, op: &Op) -> Option<VersionSelector> {
        let OpKind::Get { file, old: Some(nth), .. } = &op.what else { return None };
        let versions = self.known.get(&(self.scenario.nodes[op.node].owner, *file))?;
        versions.iter().nth(*nth as usize % versions.len()).map(VersionSelector::from)
    }

    /// All that has happened since the last call.
    pub(super) fn tell(&mut self, events: &mut Vec<Event>) {
        for event in self.board.take_events() {
            if let Event::Ended { op, result: OpResult::Put(report) } = &event
                && let Some(file) = names::file_of(&report.file.name)
                && let Some(owner) = self.owner_of_op(*op)
            {
                self.known.entry((owner, file)).or_default().insert(report.file.version);
            }
            if let Event::Ended { op, result } = &event {
                self.settling.ended(*op);
                self.trace.record(self.sim.elapsed(), "tier", "ended", format!("{op} {}", kind_of(result)).as_bytes());
            }
            events.push(event);
        }
    }

    fn owner_of_op(&self, op: usize) -> Option<usize> {
        let planned = self.scenario.plan.ops.iter().find(|planned| planned.id == op)?;
        Some(self.scenario.nodes[planned.what.node].owner)
    }
}

fn kind_of(result: &OpResult) -> String {
    match result {
        OpResult::Put(_) => "put".into(),
        OpResult::Got(_) => "got".into(),
        OpResult::Deleted(_) => "deleted".into(),
        OpResult::Listed(_) => "listed".into(),
        OpResult::Stat(_) => "stat".into(),
        OpResult::Versions(_) => "versions".into(),
        OpResult::Evicted { .. } => "evicted".into(),
        OpResult::Restored(_) => "restored".into(),
        OpResult::Abandoned => "abandoned".into(),
        OpResult::Failed(error) => format!("failed: {error}"),
    }
}

impl System for TurmoilTier {
    type Op = Op;
    type Fault = Fault;
    type Event = Event;
    type View = dyn View;

    fn now(&self) -> Duration {
        self.sim.elapsed()
    }

    fn advance(&mut self, until: Duration, events: &mut Vec<Event>) {
        while self.sim.elapsed() < until && events.is_empty() {
            self.step();
            self.tell(events);
        }
    }

    fn start(&mut self, id: usize, op: &Op, events: &mut Vec<Event>) {
        self.start_all();
        self.call(id, op);
        self.tell(events);
    }

    fn begin(&mut self, id: usize, fault: &Fault, events: &mut Vec<Event>) {
        self.begin_fault(id, fault);
        self.tell(events);
    }

    fn end(&mut self, id: usize, fault: &Fault, events: &mut Vec<Event>) {
        self.end_fault(id, fault);
        self.tell(events);
    }

    fn settle(&mut self, events: &mut Vec<Event>) -> bool {
        let goes_on = self.settle_on();
        self.tell(events);
        goes_on
    }

    fn view(&mut self) -> &mut (dyn View + 'static) {
        self
    }

    fn trace(&self) -> &Trace {
        &self.trace
    }
}

/// What all hosts are made of.
struct Shared<'a> {
    scenario: &'a Scenario,
    draws: Draws,
    board: &'a Board,
    wire: &'a Wire,
    panics: &'a Panics,
    trace: &'a Trace,
}

impl Shared<'_> {
    fn host(&self, node: usize, secrets: Secrets) -> Host {
        let name = name_of(node);
        let tracer = Tracer::new(self.trace.clone(), &name);
        let gate = Gate::new(self.board.clone());
        let bootstrap = &self.scenario.nodes[node].bootstrap;
        let config = Config {
            listen: vec![address_of(node)],
            bootstrap: bootstrap.iter().copied().map(address_of).collect(),
            ..self.scenario.config.clone()
        };
        #[cfg(feature = "planted-bugs")]
        let config = with_planted(config, self.scenario);
        Host {
            name,
            number: node,
            draws: self.draws,
            config,
            disk_us: self.scenario.disk_us,
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

fn address_of(node: usize) -> String {
    format!("{}:{PORT}", name_of(node))
}

/// In whole milliseconds, at least a tick.
fn latency_of(scenario: &Scenario) -> (Duration, Duration) {
    let (first, last) = scenario.latency_us;
    let ms = |us: u32| Duration::from_millis((u64::from(us) + 500) / 1000).max(TICK);
    (ms(first), ms(last.max(first)))
}
