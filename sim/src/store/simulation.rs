//! The store as a kind of simulation: what sweeps, checks and shrinking run.

use super::arrivals;
use super::oracles::{self, SharedFindings};
use super::{Event, Fault, Op, Recorder, Scenario, Shape, Tier, View};
use crate::simulation::{self, Outcome, Remark, Simulation, Tally};
use crate::system::{self, Oracle, System};
use crate::timeline::Timeline;
use crate::trace::{Keep, Trace};
use crate::turmoil_tier::TurmoilTier;
use crate::world::World;

/// Events of a run that is watched whose text is kept: some hundred megabytes, and far more than anybody looks at.
const WATCHED_MAX: u64 = 500_000;

/// The store in one tier, with scenarios of one shape.
#[derive(Clone, Debug)]
pub struct Store {
    /// Which machinery runs it.
    pub tier: Tier,
    /// Within which ranges scenarios are drawn.
    pub shape: Shape,
}

impl Store {
    /// The store in a tier, with that tier's usual scenarios.
    #[must_use]
    pub fn new(tier: Tier) -> Self {
        Self { tier, shape: Shape::of(tier) }
    }

    /// Runs a scenario and writes down what a picture shows and a story tells: up to a panic, if it comes to that.
    #[must_use]
    pub fn watch(scenario: &Scenario) -> Watched {
        let recorder = Recorder::default();
        let trace = Trace::keeping(Keep::Events { from: 0, count: WATCHED_MAX });
        let outcome = simulation::outcome_of(&trace, || simulate(scenario, trace.clone(), Some(&recorder)));
        let mut timeline = recorder.timeline(scenario, outcome.violation.as_ref(), outcome.sim_time);
        arrivals::complete(&mut timeline.messages, &trace.entries());
        Watched { outcome, timeline, remarks: recorder.remarks() }
    }
}

/// A run that was watched.
#[derive(Clone, Debug)]
pub struct Watched {
    /// What came of it.
    pub outcome: Outcome,
    /// What a picture shows, without a story.
    pub timeline: Timeline,
    /// What a story tells besides the plan.
    pub remarks: Vec<Remark>,
}

impl Simulation for Store {
    type Scenario = Scenario;

    fn draw(&self, seed: u64) -> Scenario {
        Scenario::draw(seed, self.tier, &self.shape)
    }

    /// Runs in the tier that the scenario names.
    fn run(&self, scenario: &Scenario, trace: Trace) -> Outcome {
        simulate(scenario, trace, None)
    }

    fn remarks(&self, scenario: &Scenario) -> Vec<Remark> {
        Self::watch(scenario).remarks
    }
}

/// Runs a scenario before all oracles, and before a recorder if there is one.
#[must_use]
pub fn simulate(scenario: &Scenario, trace: Trace, recorder: Option<&Recorder>) -> Outcome {
    match scenario.tier {
        Tier::World => simulate_in(World::new(scenario, trace), scenario, recorder),
        Tier::Turmoil => simulate_in(TurmoilTier::new(scenario, trace), scenario, recorder),
    }
}

fn simulate_in<S>(mut system: S, scenario: &Scenario, recorder: Option<&Recorder>) -> Outcome
where
    S: System<Op = Op, Fault = Fault, Event = Event, View = dyn View>,
{
    let findings = SharedFindings::default();
    let mut judges: Vec<Box<dyn Oracle<S>>> = Vec::new();
    if let Some(recorder) = recorder {
        judges.push(Box::new(recorder.clone()));
    }
    judges.extend(oracles::all(scenario, &findings));
    let violation = system::run(&mut system, &scenario.plan, &mut judges).err();
    let found = findings.borrow();
    let tally = Tally {
        ops: found.tally.ops,
        succeeded: found.tally.succeeded,
        reads: found.tally.reads,
        excused: found.tally.excused + found.tally.unrepaired,
        faults: scenario.plan.faults.len() as u64,
        bites: found.bites.clone(),
    };
    let trace = system.trace();
    Outcome {
        violation,
        tally,
        probes: found.probes.clone(),
        trace_hash: trace.hash(),
        events: trace.events(),
        sim_time: system.now(),
    }
}

#[cfg(test)]
mod tests;
