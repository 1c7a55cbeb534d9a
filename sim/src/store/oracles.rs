//! Who judges the store: one file a rule, the rule stated at its top.
//!
//! Oracles live outside the nodes. They know what callers did and were told, what the plan destroyed, and what lies on the
//! disks; they never ask a node whether it did right. What an operation that failed, or whose node went down, has done is
//! unknown: it may have taken effect, at once or later.

pub mod authority;
pub mod bounds;
pub(crate) mod cached;
mod checked;
pub mod collection;
pub mod confidentiality;
pub mod convergence;
pub(crate) mod copies;
pub mod durability;
pub(crate) mod history;
mod holders;
pub mod integrity;
mod keeping;
mod links;
pub(crate) mod members;
pub(crate) mod mended;
mod owed;
pub(crate) mod placed;
pub mod reasons;
mod restores;
pub mod resurrection;
pub mod sessions;
mod sums;
mod tally;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

pub use tally::Tally;

use super::{Event, Fault, Op, Scenario, View, probes};
use crate::system::{Oracle, System};

/// A rule, whatever the tier.
pub(crate) trait Rule {
    /// Its name: one word.
    fn name(&self) -> &'static str;

    /// Sees what happened; an error says how the rule was broken.
    fn observe(&mut self, at: Duration, event: &Event, view: &mut dyn View) -> Result<(), String>;

    /// Judges the cluster after it has settled.
    fn judge(&mut self, view: &mut dyn View) -> Result<(), String>;
}

/// What oracles find out besides violations.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// How operations went.
    pub tally: Tally,
    /// How many faults of each kind took effect.
    pub bites: BTreeMap<&'static str, u64>,
    /// Interesting states that were reached.
    pub probes: BTreeSet<&'static str>,
}

/// Findings that oracles write while a simulation runs and its caller reads afterwards.
pub type SharedFindings = Rc<RefCell<Findings>>;

/// A rule in the form that [`crate::system::run`] wants.
struct Judge<R>(R);

impl<S, R: Rule> Oracle<S> for Judge<R>
where
    S: System<Op = Op, Fault = Fault, Event = Event, View = dyn View>,
{
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn observe(&mut self, at: Duration, event: &Event, view: &mut (dyn View + 'static)) -> Result<(), String> {
        self.0.observe(at, event, view)
    }

    fn judge(&mut self, view: &mut (dyn View + 'static)) -> Result<(), String> {
        self.0.judge(view)
    }
}

/// The names of all oracles, with their rules in a sentence.
pub const ALL: &[(&str, &str)] = &[
    ("durability", durability::RULE),
    ("integrity", integrity::RULE),
    ("resurrection", resurrection::RULE),
    ("convergence", convergence::RULE),
    ("collection", collection::RULE),
    ("confidentiality", confidentiality::RULE),
    ("authority", authority::RULE),
    ("bounds", bounds::RULE),
    ("sessions", sessions::RULE),
    ("reasons", reasons::RULE),
];

/// All oracles. What they find out besides violations goes into `findings`.
#[must_use]
pub fn all<S>(scenario: &Scenario, findings: &SharedFindings) -> Vec<Box<dyn Oracle<S>>>
where
    S: System<Op = Op, Fault = Fault, Event = Event, View = dyn View>,
{
    vec![
        Box::new(Judge(tally::Counter::new(findings.clone()))),
        Box::new(Judge(probes::Probes::new(findings.clone()))),
        Box::new(Judge(integrity::Integrity::default())),
        Box::new(Judge(holders::Holders::default())),
        Box::new(Judge(sums::Sums::default())),
        Box::new(Judge(checked::Checked::default())),
        Box::new(Judge(links::Links::default())),
        Box::new(Judge(sessions::Sessions::default())),
        Box::new(Judge(reasons::Reasons::default())),
        Box::new(Judge(authority::Authority::default())),
        Box::new(Judge(confidentiality::Confidentiality::default())),
        Box::new(Judge(bounds::Bounds::new(scenario))),
        Box::new(Judge(durability::Durability::new(findings.clone()))),
        Box::new(Judge(copies::Copies::default())),
        Box::new(Judge(restores::Restores::default())),
        Box::new(Judge(resurrection::Resurrection::default())),
        Box::new(Judge(cached::Cached::default())),
        Box::new(Judge(convergence::Convergence::default())),
        Box::new(Judge(members::Members::default())),
        Box::new(Judge(mended::Mended::default())),
        Box::new(Judge(placed::Placed::default())),
        Box::new(Judge(owed::Owed::default())),
        Box::new(Judge(collection::Collection::default())),
    ]
}

#[cfg(test)]
pub(crate) mod testing;
