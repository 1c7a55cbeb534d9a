//! A kind of simulation: what its seeds stand for and how that is run. Sweeps, checks, shrinking, case files and stories
//! are written against [`Simulation`]; [`Harness`] makes one of a [`crate::system::System`], its oracles and a workload.

mod harness;
mod panics;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use harness::{Harness, Oracles, Seeded};
pub(crate) use panics::{catch as caught, tolerating};

use crate::system::{Plan, Step, Violation};
use crate::trace::{Keep, Trace};

/// The name under which a panic is reported, as if it were an oracle's.
pub const PANIC: &str = "panic";

/// All that a run depends on: what a seed stands for, printable and storable in a case file.
pub trait Scenario: Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What callers do.
    type Op: Step;
    /// What goes wrong.
    type Fault: Step;

    /// The seed it was drawn from.
    fn seed(&self) -> u64;

    /// What is done.
    fn plan(&self) -> &Plan<Self::Op, Self::Fault>;

    /// The same with another plan.
    #[must_use]
    fn with_plan(&self, plan: Plan<Self::Op, Self::Fault>) -> Self;

    /// How many nodes there are.
    fn nodes(&self) -> usize;

    /// Whether it can be run at all. What was drawn can; a case file may have been changed by hand.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    fn check(&self) -> Result<(), Unrunnable> {
        self.check_plan()
    }

    /// Whether all steps of the plan have numbers of their own and name only nodes that there are.
    ///
    /// # Errors
    /// The first step that does not.
    fn check_plan(&self) -> Result<(), Unrunnable> {
        let plan = self.plan();
        let ops = plan.ops.iter().map(|op| ("operation", op.id, op.what.nodes()));
        let faults = plan.faults.iter().map(|fault| ("fault", fault.id, fault.what.nodes()));
        let mut seen = BTreeSet::new();
        for (kind, id, nodes) in ops.chain(faults) {
            if !seen.insert((kind, id)) {
                return Err(Unrunnable::SameNumber { kind, id });
            }
            if let Some(node) = nodes.into_iter().find(|node| *node >= self.nodes()) {
                return Err(Unrunnable::NoSuchNode { by: format!("{kind} {id}"), node, nodes: self.nodes() });
            }
        }
        Ok(())
    }

    /// What runs, as the beginning of a story: one sentence with a full stop.
    fn tell(&self) -> String {
        format!("{} nodes, seed {}.", self.nodes(), self.seed())
    }

    /// The same without a node that no step of the plan needs; the nodes after it move up by one. `None` if it cannot be.
    fn without_node(&self, node: usize) -> Option<Self> {
        let _ = node;
        None
    }

    /// The same with one thing made simpler, whatever shrinking cannot know of: shorter contents, fewer pieces, standard
    /// settings. Most promising first; none of them may lead back to another.
    fn simpler(&self) -> Vec<Self> {
        Vec::new()
    }
}

/// A kind of simulation.
pub trait Simulation: Sync {
    /// What a seed stands for.
    type Scenario: Scenario;

    /// What a seed stands for.
    fn draw(&self, seed: u64) -> Self::Scenario;

    /// Runs a scenario to its end or to the first broken rule. Must depend on the scenario only.
    fn run(&self, scenario: &Self::Scenario, trace: Trace) -> Outcome;

    /// What else a story should tell of a run, such as how operations ended. In the order of time.
    fn remarks(&self, scenario: &Self::Scenario) -> Vec<Remark> {
        let _ = scenario;
        Vec::new()
    }
}

/// Something that a story tells besides the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// When, in microseconds since the start.
    pub at_us: u64,
    /// One sentence without a full stop.
    pub text: String,
}

/// Why a scenario cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unrunnable {
    /// Something names a node that there is not.
    #[error("{by} names node {node}, and there are {nodes} nodes, numbered from 0")]
    NoSuchNode {
        /// What names it.
        by: String,
        /// The node that there is not.
        node: usize,
        /// How many there are.
        nodes: usize,
    },
    /// Two steps of a plan have one number, by which draws tell them apart.
    #[error("{kind} {id} is there twice; each has a number of its own")]
    SameNumber {
        /// Whether they are operations or faults.
        kind: &'static str,
        /// Their number.
        id: usize,
    },
    /// A setting has a value that it cannot have.
    #[error("`{field}` must be {must}")]
    Setting {
        /// The setting's name.
        field: &'static str,
        /// What it must be.
        must: String,
    },
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The first broken rule, if one was.
    pub violation: Option<Violation>,
    /// What was counted.
    pub tally: Tally,
    /// Interesting states that were reached.
    pub probes: BTreeSet<&'static str>,
    /// The hash of everything that happened.
    pub trace_hash: blake3::Hash,
    /// Events in the trace.
    pub events: u64,
    /// Simulated time that went by.
    pub sim_time: Duration,
}

impl Outcome {
    /// What comes of a panic: a broken rule named [`PANIC`]. What had been counted until then is lost.
    #[must_use]
    pub fn of_panic(message: String, trace: &Trace) -> Self {
        let sim_time = trace.last_at();
        let at_us = u64::try_from(sim_time.as_micros()).unwrap_or(u64::MAX);
        Self {
            violation: Some(Violation { oracle: PANIC.into(), at_us, what: message }),
            tally: Tally::default(),
            probes: BTreeSet::new(),
            trace_hash: trace.hash(),
            events: trace.events(),
            sim_time,
        }
    }

    /// What oracles made of the run, as text: the broken rule, what was counted and which probes were reached.
    #[must_use]
    pub fn judgement(&self) -> String {
        format!("{:?}; {:?}; reached {:?}", self.violation, self.tally, self.probes)
    }

    /// One hash over all that happened and what oracles made of it.
    #[must_use]
    pub fn digest(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.trace_hash.as_bytes()).update(self.judgement().as_bytes());
        hasher.finalize()
    }
}

/// What was counted in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Operations that callers began.
    pub ops: u64,
    /// Operations that ended as their caller wished.
    pub succeeded: u64,
    /// Operations that read.
    pub reads: u64,
    /// Reads that failed, and may have, because nobody could have answered.
    pub excused: u64,
    /// Faults in the plan.
    pub faults: u64,
    /// How often each fault took effect, by its name.
    pub bites: BTreeMap<&'static str, u64>,
}

/// Runs a scenario. A panic, even one that a runtime swallowed, is a broken rule named [`PANIC`].
pub fn run_caught<S: Simulation>(simulation: &S, scenario: &S::Scenario, keep: Keep) -> (Outcome, Trace) {
    let trace = Trace::keeping(keep);
    let outcome = outcome_of(&trace, || simulation.run(scenario, trace.clone()));
    (outcome, trace)
}

/// What comes of a run that goes into `trace`, whether it ends or panics.
pub(crate) fn outcome_of(trace: &Trace, run: impl FnOnce() -> Outcome) -> Outcome {
    panics::catch(run).unwrap_or_else(|message| Outcome::of_panic(message, trace))
}

/// Draws the scenario of a seed.
///
/// # Errors
/// The message of a panic.
pub fn draw_caught<S: Simulation>(simulation: &S, seed: u64) -> Result<S::Scenario, String> {
    panics::catch(|| simulation.draw(seed))
}

/// Whether two broken rules are the same failure: the same oracle and, of a panic, the same place.
#[must_use]
pub fn same_failure(one: &Violation, other: &Violation) -> bool {
    one.oracle == other.oracle && (one.oracle != PANIC || panics::place(&one.what) == panics::place(&other.what))
}
