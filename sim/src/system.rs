//! What can be simulated: a system under test, what its callers do, what goes wrong with it, and who judges it.
//!
//! Nothing here knows the store. [`run`] takes a [`Plan`] (operations and faults, each with its time, all drawn before), drives
//! a [`System`] through it and shows all that happens to the [`Oracle`]s. Sweeps, shrinking and reports build on it.

use std::fmt::Debug;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::trace::Trace;

/// What a caller does, and what a fault is: printable, and storable in a case file.
pub trait Step: Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + 'static {
    /// One sentence in plain words, without a full stop: what happens, to whom.
    fn tell(&self) -> String;

    /// Which family it belongs to: `put`, `network`, ...
    fn family(&self) -> &'static str;

    /// Which nodes have a part in it, so that a smaller cluster can leave out what it lacks.
    fn nodes(&self) -> Vec<usize>;
}

/// Something that a caller does at a time.
#[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timed<O> {
    /// Its number: stays what it was when others are removed.
    pub id: usize,
    /// When, in microseconds since the start.
    pub at_us: u64,
    /// What.
    pub what: O,
}

/// Something that goes wrong for a while.
#[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spanned<F> {
    /// Its number: stays what it was when others are removed.
    pub id: usize,
    /// From when, in microseconds since the start.
    pub from_us: u64,
    /// Until when, in microseconds since the start.
    pub until_us: u64,
    /// What.
    pub what: F,
}

/// All that is done to a system. Everything in it can be removed without moving the rest.
#[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan<O, F> {
    /// What callers do.
    pub ops: Vec<Timed<O>>,
    /// What goes wrong.
    pub faults: Vec<Spanned<F>>,
    /// How long this goes on, in microseconds; then faults end and the system settles.
    pub end_us: u64,
}

/// A system under test, in simulated time.
pub trait System {
    /// What its callers do.
    type Op: Step;
    /// What goes wrong with it.
    type Fault: Step;
    /// What oracles see.
    type Event: Debug;
    /// What oracles can look at.
    type View: ?Sized;

    /// Simulated time since the start.
    fn now(&self) -> Duration;

    /// Goes on until `until`, or until something happened that oracles should see at once; adds it to `events`. Called again
    /// until [`System::now`] is `until`.
    fn advance(&mut self, until: Duration, events: &mut Vec<Self::Event>);

    /// A caller does something. `id` is the number in the plan.
    fn start(&mut self, id: usize, op: &Self::Op, events: &mut Vec<Self::Event>);

    /// Something goes wrong from now on.
    fn begin(&mut self, id: usize, fault: &Self::Fault, events: &mut Vec<Self::Event>);

    /// It no longer does.
    fn end(&mut self, id: usize, fault: &Self::Fault, events: &mut Vec<Self::Event>);

    /// The plan is over: heals what should heal, lets the system come to rest and asks it what a judge wants to know. Called
    /// again until it returns false.
    fn settle(&mut self, events: &mut Vec<Self::Event>) -> bool;

    /// What oracles can look at, now.
    fn view(&mut self) -> &mut Self::View;

    /// Everything that has happened.
    fn trace(&self) -> &Trace;
}

/// Judges a run by one rule.
pub trait Oracle<S: System> {
    /// Its name: one word.
    fn name(&self) -> &'static str;

    /// Sees what happened.
    ///
    /// # Errors
    /// How the rule was broken, in one sentence.
    fn observe(&mut self, at: Duration, event: &S::Event, view: &mut S::View) -> Result<(), String>;

    /// Judges the system after it has settled.
    ///
    /// # Errors
    /// How the rule was broken, in one sentence.
    fn judge(&mut self, view: &mut S::View) -> Result<(), String>;
}

/// Draws plans: what a seed stands for.
pub trait Workload<S: System> {
    /// The plan of a seed.
    fn plan(&self, seed: u64) -> Plan<S::Op, S::Fault>;
}

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Violation {
    /// The oracle's name.
    pub oracle: String,
    /// When it was found, in microseconds since the start.
    pub at_us: u64,
    /// How the rule was broken.
    pub what: String,
}

/// Drives a system through a plan. Ends at the first broken rule.
///
/// # Errors
/// The first broken rule.
pub fn run<S: System>(
    system: &mut S,
    plan: &Plan<S::Op, S::Fault>,
    oracles: &mut [Box<dyn Oracle<S>>],
) -> Result<(), Violation> {
    let mut events = Vec::new();
    for (at, moment) in moments(plan) {
        while system.now() < at {
            system.advance(at, &mut events);
            show(system, oracles, &mut events)?;
        }
        match moment {
            Moment::End(fault) => system.end(fault.id, &fault.what, &mut events),
            Moment::Begin(fault) => system.begin(fault.id, &fault.what, &mut events),
            Moment::Start(op) => system.start(op.id, &op.what, &mut events),
            Moment::Over => {}
        }
        show(system, oracles, &mut events)?;
    }
    while system.settle(&mut events) {
        show(system, oracles, &mut events)?;
    }
    show(system, oracles, &mut events)?;
    let at = system.now();
    for oracle in oracles {
        oracle.judge(system.view()).map_err(|what| violation(oracle.name(), at, what))?;
    }
    Ok(())
}

/// What the plan does at a time. At one time, what ends goes before what begins, and faults before operations.
enum Moment<'a, O, F> {
    End(&'a Spanned<F>),
    Begin(&'a Spanned<F>),
    Start(&'a Timed<O>),
    Over,
}

fn moments<O, F>(plan: &Plan<O, F>) -> Vec<(Duration, Moment<'_, O, F>)> {
    let mut moments = Vec::new();
    for fault in &plan.faults {
        moments.push((fault.from_us, 1, fault.id, Moment::Begin(fault)));
        moments.push((fault.until_us.max(fault.from_us + 1), 0, fault.id, Moment::End(fault)));
    }
    for op in &plan.ops {
        moments.push((op.at_us, 2, op.id, Moment::Start(op)));
    }
    moments.retain(|(at, ..)| *at < plan.end_us);
    moments.push((plan.end_us, 3, 0, Moment::Over));
    moments.sort_by_key(|(at, kind, id, _)| (*at, *kind, *id));
    moments.into_iter().map(|(at, _, _, moment)| (Duration::from_micros(at), moment)).collect()
}

fn show<S: System>(
    system: &mut S,
    oracles: &mut [Box<dyn Oracle<S>>],
    events: &mut Vec<S::Event>,
) -> Result<(), Violation> {
    let at = system.now();
    for event in events.drain(..) {
        for oracle in &mut *oracles {
            oracle.observe(at, &event, system.view()).map_err(|what| violation(oracle.name(), at, what))?;
        }
    }
    Ok(())
}

fn violation(oracle: &str, at: Duration, what: String) -> Violation {
    Violation { oracle: oracle.into(), at_us: u64::try_from(at.as_micros()).unwrap_or(u64::MAX), what }
}
