//! Makes a failing scenario small: drops and shortens whatever the same failure does without.
//!
//! In turn, until a whole round changes nothing: what comes after the failure, faults, operations, nodes, spans and delays,
//! and what [`Scenario::simpler`] offers. Lists are cut by delta debugging (Zeller and Hildebrandt: Simplifying and Isolating
//! Failure-Inducing Input, 2002). Every candidate is run; one is kept only if the same failure comes of it. That steps can be
//! dropped without moving the draws of others ([`crate::draw`]) is what makes this work well.

pub(crate) mod ddmin;
mod time;

use crate::simulation::{self, Outcome, Scenario, Simulation};
use crate::system::{Plan, Violation};
use crate::trace::Keep;

/// How hard to try.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Candidates that are run at most.
    pub tries_max: u32,
}

impl Default for Effort {
    fn default() -> Self {
        Self { tries_max: 2000 }
    }
}

/// How far it has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Candidates run.
    pub tries: u32,
    /// What is being made smaller.
    pub phase: &'static str,
    /// Operations left.
    pub ops: usize,
    /// Faults left.
    pub faults: usize,
    /// Nodes left.
    pub nodes: usize,
}

/// A scenario that was made small.
#[derive(Clone, Debug)]
pub struct Shrunk<S> {
    /// What is left.
    pub scenario: S,
    /// The failure that comes of it.
    pub violation: Violation,
    /// What came of running it.
    pub outcome: Outcome,
    /// Candidates run.
    pub tries: u32,
}

/// Why nothing was made smaller.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ShrinkError {
    /// Nothing fails.
    #[error("this scenario breaks no rule in this build: check out the commit and the features that the case names")]
    NoFailure,
    /// Something else fails.
    #[error(
        "this scenario now breaks '{}' ({}), not '{}' ({}): check out the commit and the features that the case names",
        now.oracle, now.what, expected.oracle, expected.what
    )]
    AnotherFailure {
        /// What fails.
        now: Box<Violation>,
        /// What should.
        expected: Box<Violation>,
    },
}

/// Makes a scenario small with which `expected` fails. The result follows from the scenario, the simulation and the effort.
///
/// # Errors
/// If nothing fails to begin with, or something else.
pub fn shrink<S: Simulation>(
    simulation: &S,
    scenario: &S::Scenario,
    expected: &Violation,
    effort: Effort,
    show: &mut dyn FnMut(Progress),
) -> Result<Shrunk<S::Scenario>, ShrinkError> {
    let (outcome, _) = simulation::run_caught(simulation, scenario, Keep::Hash);
    let Some(violation) = outcome.violation.clone() else { return Err(ShrinkError::NoFailure) };
    if !simulation::same_failure(&violation, expected) {
        return Err(ShrinkError::AnotherFailure { now: Box::new(violation), expected: Box::new(expected.clone()) });
    }
    let best = Shrunk { scenario: scenario.clone(), violation, outcome, tries: 1 };
    let mut shrinker = Shrinker { simulation, best, effort, phase: "", show };
    shrinker.rounds();
    Ok(shrinker.best)
}

struct Shrinker<'a, S: Simulation> {
    simulation: &'a S,
    best: Shrunk<S::Scenario>,
    effort: Effort,
    phase: &'static str,
    show: &'a mut dyn FnMut(Progress),
}

type PlanOf<S> = Plan<<S as Scenario>::Op, <S as Scenario>::Fault>;

impl<S: Simulation> Shrinker<'_, S> {
    fn rounds(&mut self) {
        loop {
            let before = self.best.scenario.clone();
            self.enter("what comes after", Self::cut_end);
            self.enter("faults", Self::cut_faults);
            self.enter("operations", Self::cut_ops);
            self.enter("nodes", Self::cut_nodes);
            self.enter("times", Self::shorten);
            self.enter("settings", Self::simplify);
            if self.best.scenario == before || self.is_over() {
                return;
            }
        }
    }

    fn enter(&mut self, phase: &'static str, shrink: fn(&mut Self)) {
        self.phase = phase;
        self.tell();
        shrink(self);
    }

    fn tell(&mut self) {
        let (scenario, tries) = (&self.best.scenario, self.best.tries);
        let (ops, faults) = (scenario.plan().ops.len(), scenario.plan().faults.len());
        (self.show)(Progress { tries, phase: self.phase, ops, faults, nodes: scenario.nodes() });
    }

    fn is_over(&self) -> bool {
        self.best.tries >= self.effort.tries_max
    }

    /// Runs a candidate, and keeps it if the same failure comes of it.
    fn try_one(&mut self, candidate: S::Scenario) -> bool {
        if self.is_over() || candidate == self.best.scenario {
            return false;
        }
        self.best.tries += 1;
        let (outcome, _) = simulation::run_caught(self.simulation, &candidate, Keep::Hash);
        let found = outcome.violation.clone();
        let Some(violation) = found.filter(|found| simulation::same_failure(found, &self.best.violation)) else {
            return false;
        };
        self.best = Shrunk { scenario: candidate, violation, outcome, tries: self.best.tries };
        self.tell();
        true
    }

    fn try_plan(&mut self, plan: PlanOf<S::Scenario>) -> bool {
        self.try_one(self.best.scenario.with_plan(plan))
    }

    /// What begins after the failure cannot have led to it; and if the rule breaks after the plan, an earlier end may do.
    fn cut_end(&mut self) {
        let at_us = self.best.violation.at_us;
        let mut plan = self.best.scenario.plan().clone();
        plan.ops.retain(|op| op.at_us <= at_us);
        plan.faults.retain(|fault| fault.from_us <= at_us);
        self.try_plan(plan.clone());
        let last = time::last_step(&plan).saturating_add(1);
        for end_us in [last, at_us.saturating_add(1), plan.end_us / 2] {
            if end_us >= last && end_us < self.best.scenario.plan().end_us {
                let shorter = Plan { end_us, ..self.best.scenario.plan().clone() };
                self.try_plan(shorter);
            }
        }
    }

    fn cut_faults(&mut self) {
        let faults = self.best.scenario.plan().faults.clone();
        ddmin::minimise(faults, &mut |faults| {
            let plan = Plan { faults: faults.to_vec(), ..self.best.scenario.plan().clone() };
            self.try_plan(plan)
        });
    }

    fn cut_ops(&mut self) {
        let ops = self.best.scenario.plan().ops.clone();
        ddmin::minimise(ops, &mut |ops| {
            let plan = Plan { ops: ops.to_vec(), ..self.best.scenario.plan().clone() };
            self.try_plan(plan)
        });
    }

    fn cut_nodes(&mut self) {
        for node in (0..self.best.scenario.nodes()).rev() {
            if let Some(without) = self.best.scenario.without_node(node) {
                self.try_one(without);
            }
        }
    }

    fn shorten(&mut self) {
        time::shorten(self.best.scenario.plan().clone(), &mut |plan| self.try_plan(plan.clone()));
    }

    fn simplify(&mut self) {
        // Each kept candidate offers new ones; those before it in the list have been tried in vain.
        let mut from = 0;
        while !self.is_over() {
            let candidates = self.best.scenario.simpler();
            let Some(candidate) = candidates.get(from) else { return };
            if !self.try_one(candidate.clone()) {
                from += 1;
            }
        }
    }
}
