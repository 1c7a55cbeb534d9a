//! The breadth tier: discrete events around [`forever_core::node::Node`], without a runtime, at a resolution of a microsecond.
//!
//! ```text
//! queue ──(the next happening)──> host ── process ── node ──(outputs)──> net, disk, worker, callers ──> queue
//! ```
//!
//! Nothing in it waits: what takes time is put into the queue with the time at which it is over. What is in the queue for a
//! process carries the number of its life, and comes to nothing when that is over. All that happens to a node, and all that
//! it does, goes into the trace (`record.rs` says in what form).
//!
//! | part | what it is |
//! | --- | --- |
//! | `queue` | what will happen, in order |
//! | `host`, `clock`, `process` | machines, their clocks, and nodes that run on them |
//! | `net`, `traffic`, `dial`, `cut` | connections: what they are, frames on them, how they are made and how they end |
//! | `disk`, `storage` | disks in memory; operations over time and what goes wrong with them |
//! | `work`, `signatures` | pure work, and what was signed, remembered |
//! | `callers`, `settle` | operations of the plan, and those of the judge at the end |
//! | `parting` | nodes that leave, and those that are written off |
//! | `faults`, `ways` | how each fault begins and ends; what it does to the ways between hosts |
//! | `view` | what oracles see |

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use forever_core::command::Command;
use forever_core::event::What;
use forever_core::ids::{OpId, RequestId};
use forever_core::input::Input;
use forever_core::work::WorkOp;

use crate::draw::{Draw, Draws, Site, fold};
use crate::store::inspect::Inspector;
use crate::store::{Asked, Event, Fault, Op, OpError, OpResult, Scenario, View};
use crate::system::System;
use crate::trace::Trace;

mod callers;
mod clock;
mod cut;
mod dial;
pub mod disk;
mod faults;
mod host;
mod net;
mod parting;
mod process;
mod queue;
mod record;
mod settle;
mod signatures;
mod storage;
mod traffic;
mod view;
mod ways;
mod work;

use callers::Ops;
use host::Host;
use net::Net;
use queue::Queue;
use settle::{Phase, Placed};
use signatures::Signatures;
use work::Worker;

/// Events gathered before the oracles see them, if nothing more urgent than a frame is among them.
const EVENTS_MAX: usize = 256;

/// A cluster in simulated time.
#[derive(Debug)]
pub struct World {
    scenario: Scenario,
    draws: Draws,
    /// All values drawn so far, folded.
    drawn: u64,
    trace: Trace,
    now_us: u64,
    queue: Queue<Happening>,
    hosts: Vec<Host>,
    net: Net,
    /// Frames sent so far.
    frames: u64,
    /// Where frames are encoded.
    encoded: Vec<u8>,
    worker: Worker,
    inspector: Inspector,
    ops: Ops,
    /// The faults that go on.
    active: BTreeMap<usize, Fault>,
    /// The faults that have taken effect.
    bitten: BTreeSet<usize>,
    /// Disk operations that wait for a stall to end, by host.
    stalled: BTreeMap<usize, Vec<Happening>>,
    phase: Phase,
    placed: Placed,
    /// The nodes that have left the cluster or were written off.
    gone: BTreeSet<usize>,
    /// The interesting states that nodes have reached.
    probes: BTreeSet<&'static str>,
    watches_frames: bool,
    events: Vec<Event>,
    is_urgent: bool,
}

/// Something that happens at a time. Small, because it is moved often.
#[derive(Debug)]
enum Happening {
    /// A node is started for the first time.
    Boot { host: usize },
    /// A process that has nothing to do any more ends.
    Exit { host: usize, life: u32 },
    /// A node's deadline is due.
    Wake { host: usize, life: u32 },
    /// A node is told something.
    Input { host: usize, life: u32, input: Box<Input> },
    /// Data has left a link.
    Sent { conn: usize, side: usize },
    /// The next message on the way out of an end is due.
    Arrive { conn: usize, side: usize },
    /// A message of a connection being made is due.
    Leg { conn: usize },
    /// A connection should have been made.
    DialTimeout { conn: usize },
    /// A handshake should have ended.
    AdmitTimeout { conn: usize },
    /// A link that was closed should be gone.
    CloseTimeout { conn: usize, side: usize },
    /// A disk operation is due: the so many-th of this disk.
    Disk { host: usize, life: u32, op: OpId, nth: u64 },
    /// A piece of work is done.
    Work { host: usize, life: u32, op: OpId, what: Box<WorkOp> },
    /// A caller reaches its node.
    Begin { host: usize, life: u32, op: usize, asked: Box<Asked> },
    /// A caller that took its time gives its node a command.
    Give { host: usize, life: u32, request: RequestId, command: Box<Command> },
    /// A caller is told something.
    Tell { host: usize, life: u32, request: RequestId, what: Box<What> },
    /// Connections are reset.
    Reset { fault: usize, nth: u64 },
    /// A pair of nodes clogs or clears.
    Clog { fault: usize, pair: usize, on: bool },
}

impl World {
    /// The cluster of a scenario. Its nodes start with the first thing that happens, so that a fault at the start can keep
    /// one from it.
    #[must_use]
    pub fn new(scenario: &Scenario, trace: Trace) -> Self {
        let mut memories: BTreeMap<usize, Arc<Signatures>> = BTreeMap::new();
        let mut host = |number: usize| {
            let memory = memories.entry(scenario.nodes[number].owner).or_default();
            Host::new(scenario, number, memory.clone())
        };
        let hosts: Vec<Host> = (0..scenario.nodes.len()).map(&mut host).collect();
        let mut queue = Queue::default();
        for host in 0..hosts.len() {
            queue.push(0, Happening::Boot { host });
        }
        record::other(&trace, 0, "plan", "scenario", scenario);
        Self {
            draws: Draws::new(scenario.seed),
            drawn: 0,
            trace,
            now_us: 0,
            queue,
            net: Net::new(hosts.len()),
            frames: 0,
            encoded: Vec::new(),
            worker: Worker::default(),
            inspector: Inspector::knowing(hosts.iter().map(|host| host.secrets.keys.clone())),
            hosts,
            ops: Ops::default(),
            active: BTreeMap::new(),
            bitten: BTreeSet::new(),
            stalled: BTreeMap::new(),
            phase: Phase::Plan,
            placed: None,
            gone: BTreeSet::new(),
            probes: BTreeSet::new(),
            watches_frames: true,
            events: Vec::new(),
            is_urgent: false,
            scenario: scenario.clone(),
        }
    }

    /// Whether oracles see frames ([`Event::Frame`]). They do unless told otherwise; to look at them all takes time.
    pub fn watch_frames(&mut self, watch: bool) {
        self.watches_frames = watch;
    }

    /// A draw, noted in the trace with the next input.
    fn draw(&mut self, site: Site, actor: u64, nth: u64) -> Draw {
        let draw = self.draws.at(site, actor, nth);
        self.drawn = fold(self.drawn ^ draw.clone().next());
        draw
    }

    fn tell_oracles(&mut self, event: Event) {
        self.events.push(event);
        self.is_urgent = true;
    }

    fn advance_to(&mut self, until_us: u64, events: &mut Vec<Event>) {
        while !self.is_urgent && self.events.len() < EVENTS_MAX {
            if self.queue.next_at().is_none_or(|at_us| at_us > until_us) {
                self.now_us = self.now_us.max(until_us);
                break;
            }
            if let Some((at_us, happening)) = self.queue.pop() {
                self.now_us = self.now_us.max(at_us);
                self.happen(happening);
            }
        }
        self.hand_over(events);
    }

    /// Ends whatever lets something happen.
    fn hand_over(&mut self, events: &mut Vec<Event>) {
        if events.is_empty() {
            std::mem::swap(events, &mut self.events);
        } else {
            events.append(&mut self.events);
        }
        self.is_urgent = false;
    }

    /// Nodes start before anything else happens at the start, if no fault of that moment keeps them from it.
    fn start_nodes(&mut self) {
        while self.now_us == 0 && self.queue.next_at() == Some(0) {
            if let Some((_, happening)) = self.queue.pop() {
                self.happen(happening);
            }
        }
    }

    /// The host whose process something happens to.
    fn process_of(&self, happening: &Happening) -> Option<usize> {
        let end = |conn, side: usize| self.net.get(conn).map(|conn: &net::Conn| conn.ends[side].host);
        match *happening {
            Happening::Sent { conn, side } | Happening::CloseTimeout { conn, side } => end(conn, side),
            Happening::DialTimeout { conn } => end(conn, 0),
            Happening::AdmitTimeout { conn } => end(conn, 1),
            Happening::Wake { .. }
            | Happening::Exit { .. }
            | Happening::Input { .. }
            | Happening::Disk { .. }
            | Happening::Work { .. }
            | Happening::Begin { .. }
            | Happening::Give { .. }
            | Happening::Tell { .. }
            | Happening::Boot { .. }
            | Happening::Arrive { .. }
            | Happening::Leg { .. }
            | Happening::Reset { .. }
            | Happening::Clog { .. } => happening.life().map(|(host, _)| host),
        }
    }

    /// Lets something happen. A process that is stopped gets it when it goes on; one that is gone, never.
    fn happen(&mut self, happening: Happening) {
        if let Some((host, life)) = happening.life()
            && !self.hosts[host].lives(life)
        {
            // A caller that had not reached its node before that went down hears so.
            if let Happening::Begin { op, .. } = happening
                && self.ops.running.contains_key(&op)
            {
                self.end_op(op, OpResult::Failed(OpError::Gone));
            }
            return;
        }
        if let Some(host) = self.process_of(&happening)
            && self.hosts[host].is_paused()
        {
            return self.hosts[host].backlog.push(happening);
        }
        match happening {
            Happening::Boot { host } => self.boot(host),
            Happening::Exit { host, .. } => self.kill(host, false),
            Happening::Wake { host, .. } => self.wake(host),
            Happening::Input { host, input, .. } => self.input(host, *input),
            Happening::Sent { conn, side } => self.sent(conn, side),
            Happening::Arrive { conn, side } => self.arrive(conn, side),
            Happening::Leg { conn } => self.leg(conn),
            Happening::DialTimeout { conn } => self.dial_timeout(conn),
            Happening::AdmitTimeout { conn } => self.admit_timeout(conn),
            Happening::CloseTimeout { conn, side } => self.close_timeout(conn, side),
            Happening::Disk { host, op, nth, .. } => self.finish_disk(host, op, nth),
            Happening::Work { host, op, what, .. } => self.finish_work(host, op, *what),
            Happening::Begin { op, asked, .. } => self.begin_op(op, &asked),
            Happening::Give { host, request, command, .. } => self.give_now(host, request, *command),
            Happening::Tell { host, request, what, .. } => self.tell(host, request, *what),
            Happening::Reset { fault, nth } => self.doom(fault, nth),
            Happening::Clog { fault, pair, on } => self.clog(fault, pair, on),
        }
    }
}

impl Happening {
    /// The process to which alone it happens, and its life.
    fn life(&self) -> Option<(usize, u32)> {
        match self {
            Self::Wake { host, life }
            | Self::Exit { host, life }
            | Self::Input { host, life, .. }
            | Self::Disk { host, life, .. }
            | Self::Work { host, life, .. }
            | Self::Begin { host, life, .. }
            | Self::Give { host, life, .. }
            | Self::Tell { host, life, .. } => Some((*host, *life)),
            Self::Boot { .. }
            | Self::Sent { .. }
            | Self::Arrive { .. }
            | Self::Leg { .. }
            | Self::DialTimeout { .. }
            | Self::AdmitTimeout { .. }
            | Self::CloseTimeout { .. }
            | Self::Reset { .. }
            | Self::Clog { .. } => None,
        }
    }
}

impl System for World {
    type Op = Op;
    type Fault = Fault;
    type Event = Event;
    type View = dyn View;

    fn now(&self) -> Duration {
        Duration::from_micros(self.now_us)
    }

    fn advance(&mut self, until: Duration, events: &mut Vec<Event>) {
        self.advance_to(micros(until), events);
    }

    fn start(&mut self, id: usize, op: &Op, events: &mut Vec<Event>) {
        self.start_nodes();
        self.start_op(id, op);
        self.hand_over(events);
    }

    fn begin(&mut self, id: usize, fault: &Fault, events: &mut Vec<Event>) {
        self.begin_fault(id, fault);
        self.hand_over(events);
    }

    fn end(&mut self, id: usize, fault: &Fault, events: &mut Vec<Event>) {
        self.end_fault(id, fault);
        self.hand_over(events);
    }

    fn settle(&mut self, events: &mut Vec<Event>) -> bool {
        let goes_on = self.settle_on();
        self.hand_over(events);
        goes_on
    }

    fn view(&mut self) -> &mut Self::View {
        self
    }

    fn trace(&self) -> &Trace {
        &self.trace
    }
}

/// Whole microseconds.
fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
