//! A small scenario written by hand, and a way to run it and see all that happened.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for what it wants to see")]
#![allow(clippy::unwrap_used, reason = "clippy takes only functions marked as tests for tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use forever_core::config::Config;
use forever_sim::store::{Content, Event, Family, Fault, NodeSpec, Op, OpError, OpKind, OpResult, Scenario, Tier};
use forever_sim::system::{Plan, Spanned, Timed, run};
use forever_sim::trace::Trace;
use forever_sim::world::World;

pub const SECOND: u64 = 1_000_000;

/// Nodes with an owner each, of which each dials those before it, and nothing to do for `seconds`.
pub fn scenario(nodes: usize, seconds: u64) -> Scenario {
    Scenario {
        seed: 11,
        tier: Tier::World,
        nodes: (0..nodes)
            .map(|node| NodeSpec { owner: node, bootstrap: (0..node).collect(), anywhere: false })
            .collect(),
        core: (0..nodes).collect(),
        config: Config { chunk_size: 1_000, ..Config::default() },
        latency_us: (500, 5_000),
        disk_us: (50, 500),
        engine: Default::default(),
        families: Family::ALL.to_vec(),
        plan: Plan { ops: Vec::new(), faults: Vec::new(), end_us: seconds * SECOND },
        settle_us: 120 * SECOND,
        planted: None,
    }
}

pub fn put(file: u32, salt: u64, len: u32) -> OpKind {
    OpKind::put(file, Content { salt, len, changed: None })
}

pub fn get(file: u32) -> OpKind {
    OpKind::get(file)
}

/// Adds an operation and gives its number.
pub fn op(scenario: &mut Scenario, at_ms: u64, node: usize, what: OpKind) -> usize {
    let id = scenario.plan.ops.len();
    scenario.plan.ops.push(Timed { id, at_us: at_ms * 1_000, what: Op { node, what } });
    id
}

/// Adds a fault and gives its number.
pub fn fault(scenario: &mut Scenario, from_ms: u64, until_ms: u64, what: Fault) -> usize {
    let id = scenario.plan.faults.len();
    scenario.plan.faults.push(Spanned { id, from_us: from_ms * 1_000, until_us: until_ms * 1_000, what });
    id
}

/// What happened, and when.
pub struct Ran {
    pub world: World,
    pub events: Vec<(Duration, Event)>,
}

/// Sees everything and judges nothing.
struct Recorder(std::rc::Rc<std::cell::RefCell<Vec<(Duration, Event)>>>);

impl forever_sim::system::Oracle<World> for Recorder {
    fn name(&self) -> &'static str {
        "recorder"
    }

    fn observe(
        &mut self,
        at: Duration,
        event: &Event,
        _: &mut (dyn forever_sim::store::View + 'static),
    ) -> Result<(), String> {
        self.0.borrow_mut().push((at, event.clone()));
        Ok(())
    }

    fn judge(&mut self, _: &mut (dyn forever_sim::store::View + 'static)) -> Result<(), String> {
        Ok(())
    }
}

/// Runs a scenario to its end.
pub fn ran(scenario: &Scenario) -> Ran {
    ran_with(scenario, Trace::default())
}

pub fn ran_with(scenario: &Scenario, trace: Trace) -> Ran {
    let mut world = World::new(scenario, trace);
    let events = std::rc::Rc::default();
    run(&mut world, &scenario.plan, &mut [Box::new(Recorder(std::rc::Rc::clone(&events)))]).unwrap();
    Ran { world, events: events.take() }
}

impl Ran {
    /// How an operation ended, and when.
    pub fn ended(&self, id: usize) -> (Duration, OpResult) {
        let ended = self.events.iter().find_map(|(at, event)| match event {
            Event::Ended { op, result } if *op == id => Some((*at, result.clone())),
            _ => None,
        });
        ended.unwrap_or_else(|| panic!("operation {id} never ended"))
    }

    /// How long an operation took.
    pub fn took(&self, id: usize) -> Duration {
        let started = self.events.iter().find_map(|(at, event)| match event {
            Event::Started { op, .. } if *op == id => Some(*at),
            _ => None,
        });
        self.ended(id).0 - started.unwrap()
    }

    pub fn result(&self, id: usize) -> OpResult {
        self.ended(id).1
    }

    pub fn is_ok(&self, id: usize) -> bool {
        !matches!(self.result(id), OpResult::Failed(_))
    }

    pub fn is_down(&self, id: usize) -> bool {
        matches!(self.result(id), OpResult::Failed(OpError::Down | OpError::Gone))
    }

    /// Whether a fault took effect.
    pub fn bit(&self, id: usize) -> bool {
        self.events.iter().any(|(_, event)| matches!(event, Event::Bit { fault } if *fault == id))
    }

    pub fn got(&self, id: usize) -> Vec<u8> {
        match self.result(id) {
            OpResult::Got(got) => got.bytes,
            other => panic!("operation {id} ended with {other:?}"),
        }
    }

    /// Fails if the judge did not get a file whose put was acknowledged, or was not answered. What it does with a file of
    /// its own is the oracles' business.
    pub fn assert_healed(&self, scenario: &Scenario) {
        let file_of = |op: &Op| match op.what {
            OpKind::Put { file, .. }
            | OpKind::Get { file, .. }
            | OpKind::Stat { file }
            | OpKind::Evict { file }
            | OpKind::Delete { file } => Some((op.node, file)),
            _ => None,
        };
        let (mut put, mut asked, mut answers) = (BTreeSet::new(), BTreeMap::new(), 0);
        for (_, event) in &self.events {
            match event {
                Event::Started { op, what, .. } => drop(asked.insert(*op, file_of(what))),
                Event::Ended { op, result: OpResult::Put(_) } if *op < scenario.plan.ops.len() => {
                    put.insert(asked[op]);
                }
                Event::Ended { op, result } if *op >= scenario.plan.ops.len() => {
                    answers += 1;
                    let is_there = asked[op].is_none() || put.contains(&asked[op]);
                    let failed = matches!(result, OpResult::Failed(_));
                    assert!(!(failed && is_there), "{op}, {:?}: {result:?}", asked[op]);
                }
                _ => {}
            }
        }
        let judged = asked.keys().filter(|op| **op >= scenario.plan.ops.len()).count();
        assert!(judged > 0 && answers == judged, "{answers} of {judged} questions were answered");
    }
}
