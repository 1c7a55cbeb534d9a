//! A Turmoil cluster in the hands of a test: operations and faults, one at a time.
#![allow(dead_code, reason = "each test program uses some of it")]
#![allow(clippy::unwrap_used, reason = "clippy takes only functions marked as tests for tests")]

use std::time::Duration;

use forever_core::config::Config;
use forever_sim::store::{Content, Event, Fault, NodeSpec, Op, OpKind, OpResult, Scenario, Tier};
use forever_sim::system::{Plan, System};
use forever_sim::trace::Trace;
use forever_sim::turmoil_tier::TurmoilTier;

/// Plain bytes of a chunk.
pub(crate) const CHUNK: u32 = 64 << 10;

/// A file of 40 chunks.
pub(crate) const FILE_LEN: u32 = 40 * CHUNK - 7;

/// Longer than a hello is under way.
const HELLO_TAKES: Duration = Duration::from_millis(50);

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Nodes of which each dials those before it and belongs to an owner of its own; nothing is planned.
pub(crate) fn scenario(seed: u64, nodes: usize) -> Scenario {
    Scenario {
        seed,
        tier: Tier::Turmoil,
        nodes: (0..nodes)
            .map(|node| NodeSpec { owner: node, bootstrap: (0..node).collect(), anywhere: false })
            .collect(),
        core: (0..nodes).collect(),
        config: Config {
            chunk_size: CHUNK,
            request_timeout: Duration::from_secs(15),
            heartbeat: Duration::from_secs(1),
            link_timeout: Duration::from_secs(4),
            redial: (Duration::from_millis(100), Duration::from_secs(2)),
            ban_for: Duration::from_secs(5),
            ..Config::default()
        },
        latency_us: (1_000, 10_000),
        disk_us: (100, 3_000),
        engine: Default::default(),
        families: Vec::new(),
        plan: Plan { ops: Vec::new(), faults: Vec::new(), end_us: 0 },
        settle_us: 30_000_000,
        planted: None,
    }
}

/// What the test puts as file `salt` everywhere.
pub(crate) fn content(salt: u64, len: u32) -> Content {
    Content { salt, len, changed: None }
}

pub(crate) fn put(file: u32, salt: u64, len: u32) -> OpKind {
    OpKind::put(file, content(salt, len))
}

pub(crate) fn get(file: u32) -> OpKind {
    OpKind::get(file)
}

pub(crate) struct Run {
    pub(crate) tier: TurmoilTier,
    pub(crate) events: Vec<Event>,
    next: usize,
}

impl Run {
    /// Nodes that have met.
    pub(crate) fn new(seed: u64, nodes: usize) -> Self {
        Self::of(&scenario(seed, nodes))
    }

    /// Nodes of a scenario, which have met.
    pub(crate) fn of(scenario: &Scenario) -> Self {
        let mut run = Self::fresh(TurmoilTier::new(scenario, Trace::default()));
        run.until_linked();
        run
    }

    pub(crate) fn fresh(tier: TurmoilTier) -> Self {
        Self { tier, events: Vec::new(), next: 1000 }
    }

    pub(crate) fn until(&mut self, what: &str, mut holds: impl FnMut(&mut Self) -> bool) {
        let deadline = self.tier.now() + PATIENCE;
        while !holds(self) {
            assert!(self.tier.now() < deadline, "it does not come to pass that {what}");
            self.advance(Duration::from_millis(1));
        }
    }

    pub(crate) fn advance(&mut self, time: Duration) {
        let until = self.tier.now() + time;
        while self.tier.now() < until {
            let mut events = Vec::new();
            self.tier.advance(until, &mut events);
            self.events.extend(events);
        }
    }

    /// Waits until every node has a link to every other.
    pub(crate) fn until_linked(&mut self) {
        let nodes = self.tier.view().scenario().nodes.len();
        self.until("all are linked", |run| {
            let view = run.tier.view();
            (0..nodes).all(|node| (0..nodes).all(|other| node == other || view.links(node).contains(&other)))
        });
        // A peer is a member once it has said hello.
        self.advance(HELLO_TAKES);
    }

    pub(crate) fn start(&mut self, node: usize, what: OpKind) -> usize {
        self.next += 1;
        let mut events = Vec::new();
        self.tier.start(self.next, &Op { node, what }, &mut events);
        self.events.extend(events);
        self.next
    }

    pub(crate) fn result(&self, id: usize) -> Option<OpResult> {
        self.events.iter().find_map(|event| {
            let Event::Ended { op, result } = event else { return None };
            (*op == id).then(|| result.clone())
        })
    }

    pub(crate) fn finish(&mut self, op: usize) -> OpResult {
        self.until(&format!("operation {op} ends"), |run| run.result(op).is_some());
        self.result(op).unwrap()
    }

    pub(crate) fn run(&mut self, node: usize, what: OpKind) -> OpResult {
        let op = self.start(node, what);
        self.finish(op)
    }

    /// Puts a file on all nodes there are.
    pub(crate) fn put(&mut self, node: usize, file: u32, len: u32) {
        let nodes = u32::try_from(self.tier.view().scenario().nodes.len()).unwrap();
        let result = self.run(node, put(file, u64::from(file), len));
        let OpResult::Put(report) = &result else { panic!("{result:?}") };
        assert_eq!((report.write.replicas, report.write.pending), (nodes, 0));
    }

    /// Whether a node reads a file that [`Run::put`] has stored.
    pub(crate) fn reads(&mut self, node: usize, file: u32, len: u32) -> bool {
        let result = self.run(node, get(file));
        matches!(result, OpResult::Got(got) if got.bytes == content(u64::from(file), len).bytes())
    }

    pub(crate) fn begin(&mut self, fault: &Fault) -> usize {
        self.next += 1;
        self.begin_as(self.next, fault);
        self.next
    }

    pub(crate) fn begin_as(&mut self, id: usize, fault: &Fault) {
        let mut events = Vec::new();
        self.tier.begin(id, fault, &mut events);
        self.events.extend(events);
    }

    pub(crate) fn end(&mut self, id: usize, fault: &Fault) {
        let mut events = Vec::new();
        self.tier.end(id, fault, &mut events);
        self.events.extend(events);
    }

    pub(crate) fn has_bitten(&self, id: usize) -> bool {
        self.events.iter().any(|event| matches!(event, Event::Bit { fault } if *fault == id))
    }

    pub(crate) fn is_up(&mut self, node: usize) -> bool {
        self.tier.view().is_up(node)
    }
}
