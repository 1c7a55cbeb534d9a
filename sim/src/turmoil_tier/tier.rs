//! The tier as a system under test: nodes, operations and faults by number.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use forever_net_tokio::store::memory_fs::MemoryFs;
use turmoil::Sim;

use super::board::Board;
use super::host::{self, Host};
use super::make::{Shared, latency_of};
use super::panics::Panics;
use super::settle::Settling;
use super::stranger::{self, Stranger};
use super::view::Eyes;
use super::ways::{Also, Ways};
use super::wire::Wire;
use crate::draw::{Draws, Site};
use crate::store::machine::{EPOCH_MS, Secrets};
use crate::store::{Event, Fault, Known, Op, OpError, OpResult, Scenario, View};
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
    /// A node that has left has closed its links.
    Exit { node: usize, start: u64 },
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
    /// Nodes that have left the cluster or were written off.
    pub(super) gone: BTreeSet<usize>,
    /// Nodes that do not run and whose packets go nowhere.
    silent: BTreeSet<usize>,
    /// Nodes whose power goes at their next accesses of the disk, and by when it has gone in any case.
    pub(super) failing: BTreeMap<usize, Duration>,
    pub(super) settling: Settling,
    pub(super) eyes: Eyes,
    /// What callers know of the operations that have ended.
    pub(super) known: Known,
    /// Operations that have not.
    pub(super) called: BTreeMap<usize, Op>,
    /// Somebody outside, if the plan has one.
    pub(super) stranger: Option<Stranger>,
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
        let has_stranger = scenario.plan.faults.iter().any(|fault| matches!(fault.what, Fault::Stranger { .. }));
        let stranger = has_stranger.then(|| {
            let (stranger, process) = Stranger::new();
            let tracer = Tracer::new(trace.clone(), stranger::NAME);
            let setup = stranger::Setup { board: board.clone(), tracer, panics: panics.clone() };
            sim.host(stranger::NAME, move || stranger::run(setup.clone(), Rc::clone(&process)));
            stranger
        });
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
            gone: BTreeSet::new(),
            silent: BTreeSet::new(),
            failing: BTreeMap::new(),
            settling: Settling::default(),
            eyes: Eyes::default(),
            known: Known::default(),
            called: BTreeMap::new(),
            stranger,
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
            Due::Exit { node, start } => self.exit(node, start),
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
        // Who has left the core still closes its links.
        let core =
            self.settling.is_healed().then(|| self.gone.iter().chain(&self.scenario.core).collect::<BTreeSet<_>>());
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
