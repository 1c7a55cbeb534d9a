//! A simulation made of its parts.

use serde::{Deserialize, Serialize};

use super::{Outcome, Scenario, Simulation, Tally};
use crate::system::{self, Oracle, Plan, Step, System, Workload};
use crate::trace::Trace;

/// A seed and its plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seeded<O, F> {
    /// Where the system's own draws come from.
    pub seed: u64,
    /// How many nodes there are.
    pub nodes: usize,
    /// What is done.
    pub plan: Plan<O, F>,
}

impl<O: Step + Sync, F: Step + Sync> Scenario for Seeded<O, F> {
    type Op = O;
    type Fault = F;

    fn seed(&self) -> u64 {
        self.seed
    }

    fn plan(&self) -> &Plan<O, F> {
        &self.plan
    }

    fn with_plan(&self, plan: Plan<O, F>) -> Self {
        Self { plan, ..self.clone() }
    }

    fn nodes(&self) -> usize {
        self.nodes
    }

    fn without_node(&self, node: usize) -> Option<Self> {
        // Steps cannot be renumbered here, so that only the last one can go.
        let ops = self.plan.ops.iter().flat_map(|op| op.what.nodes());
        let faults = self.plan.faults.iter().flat_map(|fault| fault.what.nodes());
        let needed = ops.chain(faults).any(|used| used == node);
        (node + 1 == self.nodes && node > 0 && !needed).then(|| Self { nodes: node, ..self.clone() })
    }
}

/// The oracles of a system.
pub type Oracles<S> = Vec<Box<dyn Oracle<S>>>;

/// Something to simulate: how many nodes, what is done to them, and how a system and its oracles are made for one run.
pub struct Harness<W, N, O> {
    /// How many nodes there are.
    pub nodes: usize,
    /// Draws plans.
    pub workload: W,
    /// Makes the system of a scenario, which records in the trace all that it does.
    pub system: N,
    /// Makes the oracles of one run.
    pub oracles: O,
}

impl<S, W, N, O> Simulation for Harness<W, N, O>
where
    S: System<Op: Sync, Fault: Sync>,
    W: Workload<S> + Sync,
    N: Fn(&Seeded<S::Op, S::Fault>, Trace) -> S + Sync,
    O: Fn() -> Oracles<S> + Sync,
{
    type Scenario = Seeded<S::Op, S::Fault>;

    fn draw(&self, seed: u64) -> Self::Scenario {
        Seeded { seed, nodes: self.nodes, plan: self.workload.plan(seed) }
    }

    fn run(&self, scenario: &Self::Scenario, trace: Trace) -> Outcome {
        let mut system = (self.system)(scenario, trace);
        let violation = system::run(&mut system, &scenario.plan, &mut (self.oracles)()).err();
        let trace = system.trace();
        let tally = Tally {
            ops: scenario.plan.ops.len() as u64,
            faults: scenario.plan.faults.len() as u64,
            ..Tally::default()
        };
        Outcome {
            violation,
            tally,
            probes: std::collections::BTreeSet::new(),
            trace_hash: trace.hash(),
            events: trace.events(),
            sim_time: system.now(),
        }
    }
}
