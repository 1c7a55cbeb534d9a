//! A replicated counter with a bug, found, shrunk and told: how to simulate a sans-io core of your own.
//!
//! Every node counts its own increments and tells them to the others. The network may deliver a message twice, and the core
//! forgets to check for that. Run it with `cargo run -p forever-sim --example counter`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use forever_sim::draw::{Draws, Site};
use forever_sim::shrink::{Effort, shrink};
use forever_sim::simulation::{Harness, Seeded, Simulation};
use forever_sim::sweep::{Sweep, sweep};
use forever_sim::system::{Oracle, Plan, Spanned, Step, System, Timed, Workload};
use forever_sim::trace::Trace;
use forever_sim::{case::Size, story};
use serde::{Deserialize, Serialize};

// The core under test: no network, no clock; what goes in and comes out is data.

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Message {
    from: usize,
    number: u64,
}

struct Node {
    me: usize,
    sent: u64,
    total: u64,
    seen: BTreeSet<Message>,
    has_bug: bool,
}

impl Node {
    fn increment(&mut self) -> Message {
        (self.sent, self.total) = (self.sent + 1, self.total + 1);
        Message { from: self.me, number: self.sent }
    }

    fn receive(&mut self, message: Message) {
        let is_new = self.seen.insert(message);
        if is_new || self.has_bug {
            self.total += 1;
        }
    }
}

// What callers do, and what goes wrong: as data, so that it can be drawn, stored, left out and told.

/// A caller increments the counter at a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Increment {
    node: usize,
}

impl Step for Increment {
    fn tell(&self) -> String {
        format!("a caller increments the counter at node {}", self.node)
    }
    fn family(&self) -> &'static str {
        "increment"
    }
    fn nodes(&self) -> Vec<usize> {
        vec![self.node]
    }
}

/// What goes wrong in the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Fault {
    /// What one node sends to another comes twice.
    Twice {
        /// The one.
        from: usize,
        /// The other.
        to: usize,
    },
    /// Every message takes longer.
    Slow {
        /// By so much.
        extra_ms: u64,
    },
}

impl Step for Fault {
    fn tell(&self) -> String {
        match self {
            Self::Twice { from, to } => format!("what node {from} sends to node {to} comes twice"),
            Self::Slow { extra_ms } => format!("every message takes {extra_ms} ms longer"),
        }
    }
    fn family(&self) -> &'static str {
        "network"
    }
    fn nodes(&self) -> Vec<usize> {
        match self {
            Self::Twice { from, to } => vec![*from, *to],
            Self::Slow { .. } => Vec::new(),
        }
    }
}

// The system: nodes, the messages under way between them, and simulated time.

const LATENCY: Site = Site::new("counter.latency");

/// A simulated cluster.
pub struct Cluster {
    draws: Draws,
    trace: Trace,
    now: Duration,
    nodes: Vec<Node>,
    faults: BTreeMap<usize, Fault>,
    /// By the time of arrival, and by number, because two may arrive at once.
    under_way: BTreeMap<(Duration, u64), (usize, Message)>,
    sent: u64,
    increments: u64,
}

impl Cluster {
    fn new(seed: u64, nodes: usize, has_bug: bool, trace: Trace) -> Self {
        let node = |me| Node { me, sent: 0, total: 0, seen: BTreeSet::new(), has_bug };
        let (nodes, faults, under_way) = ((0..nodes).map(node).collect(), BTreeMap::new(), BTreeMap::new());
        Self { draws: Draws::new(seed), trace, now: Duration::ZERO, nodes, faults, under_way, sent: 0, increments: 0 }
    }

    fn send(&mut self, to: usize, message: Message) {
        let mut draw = self.draws.at(LATENCY, message.from as u64, self.sent);
        let mut latency = draw.duration(Duration::from_millis(1), Duration::from_millis(50));
        let (mut copies, from) = (1, message.from);
        for fault in self.faults.values() {
            match fault {
                Fault::Twice { from: a, to: b } => copies += usize::from((*a, *b) == (from, to)),
                Fault::Slow { extra_ms } => latency += Duration::from_millis(*extra_ms),
            }
        }
        for _ in 0..copies {
            self.sent += 1;
            self.under_way.insert((self.now + latency, self.sent), (to, message));
        }
    }
}

impl System for Cluster {
    type Op = Increment;
    type Fault = Fault;
    /// A node's total has changed.
    type Event = usize;
    /// The totals of all nodes, and what they should be.
    type View = Self;

    fn now(&self) -> Duration {
        self.now
    }
    fn advance(&mut self, until: Duration, events: &mut Vec<usize>) {
        let next = self.under_way.first_entry().filter(|next| next.key().0 <= until);
        let Some(next) = next else { return self.now = until };
        self.now = self.now.max(next.key().0);
        let (to, message) = next.remove();
        self.trace.record_value(self.now, &format!("node {to}"), "receives", &message);
        self.nodes[to].receive(message);
        events.push(to);
    }
    fn start(&mut self, _: usize, op: &Increment, events: &mut Vec<usize>) {
        let message = self.nodes[op.node].increment();
        self.trace.record_value(self.now, &format!("node {}", op.node), "increments", &message);
        self.increments += 1;
        (0..self.nodes.len()).filter(|to| *to != op.node).for_each(|to| self.send(to, message));
        events.push(op.node);
    }
    fn begin(&mut self, id: usize, fault: &Fault, _: &mut Vec<usize>) {
        self.faults.insert(id, fault.clone());
    }
    fn end(&mut self, id: usize, _: &Fault, _: &mut Vec<usize>) {
        self.faults.remove(&id);
    }
    fn settle(&mut self, events: &mut Vec<usize>) -> bool {
        self.advance(self.now + Duration::from_secs(1), events);
        !self.under_way.is_empty()
    }
    fn view(&mut self) -> &mut Self {
        self
    }
    fn trace(&self) -> &Trace {
        &self.trace
    }
}

// The rule, and what a seed stands for.

struct Total;

impl Oracle<Cluster> for Total {
    fn name(&self) -> &'static str {
        "total"
    }
    fn observe(&mut self, _: Duration, node: &usize, view: &mut Cluster) -> Result<(), String> {
        let (total, limit) = (view.nodes[*node].total, view.increments);
        if total > limit { Err(format!("node {node} counts {total} of {limit} increments")) } else { Ok(()) }
    }
    fn judge(&mut self, view: &mut Cluster) -> Result<(), String> {
        let totals: Vec<u64> = view.nodes.iter().map(|node| node.total).collect();
        let agree = totals.iter().all(|total| *total == view.increments);
        if agree { Ok(()) } else { Err(format!("after {} increments the totals are {totals:?}", view.increments)) }
    }
}

const NODES: usize = 3;
const STEPS: Site = Site::new("counter.steps");

struct Busy;

impl Workload<Cluster> for Busy {
    fn plan(&self, seed: u64) -> Plan<Increment, Fault> {
        let draw = |actor, nth| Draws::new(seed).at(STEPS, actor, nth as u64);
        let op = |id| {
            let mut draw = draw(0, id);
            Timed { id, at_us: draw.below(10_000_000), what: Increment { node: draw.index(NODES) } }
        };
        let fault = |id| {
            let mut draw = draw(1, id);
            let (from, from_us) = (draw.index(NODES), draw.below(9_000_000));
            let twice = Fault::Twice { from, to: (from + 1) % NODES };
            let what = if draw.per_mille(100) { twice } else { Fault::Slow { extra_ms: draw.between(10, 500) } };
            Spanned { id, from_us, until_us: from_us + draw.below(2_000_000), what }
        };
        Plan { ops: (0..60).map(op).collect(), faults: (0..4).map(fault).collect(), end_us: 10_000_000 }
    }
}

/// The simulation of the counter, with or without its bug.
pub fn simulation(has_bug: bool) -> impl Simulation<Scenario = Seeded<Increment, Fault>> {
    let system = move |scenario: &Seeded<_, _>, trace| Cluster::new(scenario.seed, scenario.nodes, has_bug, trace);
    Harness { nodes: NODES, workload: Busy, system, oracles: || vec![Box::new(Total) as Box<dyn Oracle<Cluster>>] }
}

fn main() {
    let simulation = simulation(true);
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let range = Sweep { seeds: 0..100, time: None, jobs, stop: &AtomicBool::new(false) };
    let report = sweep(&simulation, &range, &mut |_| {});
    println!("{} of {} seeds break a rule.", report.failed(), report.seeds);
    let failure = report.first_failure().expect("the bug shows within 100 seeds");
    println!("Seed {}: {}.\n", failure.seed, failure.violation.what);
    let scenario = failure.scenario.as_ref().expect("what fails was drawn");
    let small = shrink(&simulation, scenario, &failure.violation, Effort::default(), &mut |_| {});
    let small = small.expect("what failed fails again");
    print!("{}", story::tell(&small.scenario, Some(&small.violation), Some(Size::of(scenario)), &[]));
}
