//! Rule: damage does not stay. When the healed core has been left alone for as long as a scrub and a check of presence take, no
//! blob on a disk of the core is damaged any more, and every version that such a disk has the record of, and has not evicted, is whole
//! there, as far as a disk of the core has what it lacks.
//!
//! It is looked at before the judge's own questions move anything, since a read mends what it meets. Where the plan destroys
//! blobs, the core rests long enough for that ([`Scenario::rest_us_min`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forever_core::ids::BlobKey;

use super::super::{Contents, Event, Fault, Scenario, View};
use super::Rule;
use super::history::{self, History};

/// How long everything is read, looked for and mended at most, where both are switched on.
pub(crate) fn mends_within(scenario: &Scenario) -> Option<Duration> {
    let (scrub, presence) = (scenario.config.scrub_period, scenario.config.presence_period);
    let is_on = !scrub.is_zero() && !presence.is_zero();
    // The pace of a scrub is set by what there is: an empty disk that fills up is read at its old pace for up to a period more.
    let is_emptied = scenario.plan.faults.iter().any(|fault| matches!(fault.what, Fault::LostDisk { .. }));
    let rounds = if is_emptied { 2 } else { 1 };
    // A round of each from wherever it stands, some more for blobs that came meanwhile, and the way of what is mended.
    is_on.then(|| (scrub * rounds + presence) * 5 / 4 + Duration::from_secs(10))
}

/// The oracle.
#[derive(Default)]
pub(crate) struct Mended {
    history: History,
    has_looked: bool,
}

impl Mended {
    fn look(&mut self, at: Duration, view: &mut dyn View) -> Result<(), String> {
        self.has_looked = true;
        let rested = self.history.healed.map(|(_, healed)| at.saturating_sub(healed));
        let within = mends_within(view.scenario());
        if rested.zip(within).is_none_or(|(rested, within)| rested < within) {
            return Ok(());
        }
        let core = (0..view.scenario().nodes.len()).filter(|node| view.is_core(*node) && view.is_up(*node));
        let core: Vec<usize> = core.filter(|node| !self.history.is_untrusted(view, *node)).collect();
        let disks: BTreeMap<usize, Arc<Contents>> = core.into_iter().map(|node| (node, view.contents(node))).collect();
        disks.iter().try_for_each(|(node, contents)| check(*node, contents, &disks, view))
    }
}

fn check(
    node: usize,
    contents: &Contents,
    disks: &BTreeMap<usize, Arc<Contents>>,
    view: &dyn View,
) -> Result<(), String> {
    if let Some((blob, _)) = contents.blobs.iter().find(|(_, is_intact)| !**is_intact) {
        return Err(format!("node {node} has not found out in a whole round that chunk {} is damaged", blob.chunk));
    }
    let evicted: BTreeSet<&Bytes> =
        contents.rows.iter().map(|(key, _)| key).filter(|key| key.starts_with(b"E")).collect();
    for held in &contents.records {
        let (owner, id) = (held.record.record.owner, held.record.id);
        let mark = Bytes::from([&b"E"[..], &owner.0, &id.0].concat());
        if evicted.contains(&mark) || history::may_lack_room(view, node, owner) {
            continue;
        }
        let is_there = |chunk: &BlobKey, disk: &Contents| disk.blobs.get(chunk) == Some(&true);
        let missing = held.chunks.iter().flatten().filter(|chunk| !is_there(chunk, contents));
        for chunk in missing {
            if let Some((other, _)) = disks.iter().find(|(_, disk)| is_there(chunk, disk)) {
                let version = history::show(&held.record.record.version);
                return Err(format!(
                    "node {node} has version {version} of somebody and not its chunk {}, which node {other} has",
                    chunk.chunk
                ));
            }
        }
    }
    Ok(())
}

impl Rule for Mended {
    fn name(&self) -> &'static str {
        "convergence"
    }

    fn observe(&mut self, at: Duration, event: &Event, view: &mut dyn View) -> Result<(), String> {
        self.history.note(at, event, view);
        let judge_begins = matches!(event, Event::Started { .. }) && self.history.healed.is_some() && !self.has_looked;
        if judge_begins { self.look(at, view) } else { Ok(()) }
    }

    fn judge(&mut self, view: &mut dyn View) -> Result<(), String> {
        if self.has_looked { Ok(()) } else { self.look(self.history.at, view) }
    }
}

#[cfg(test)]
mod tests;
