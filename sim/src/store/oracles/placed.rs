//! Rule (a part of convergence): when the healed core has come to rest, what a name is lies where it belongs. Of each name that
//! any honest disk of the core has a record of, the newest record is on every node of the core that placement makes its holder,
//! whoever wrote it and wherever it was brought first; a file's with all its pages and chunks, if the disks of the core have
//! an intact copy between them; and a deletion is on all nodes of the core.
//!
//! Excused is what a holder evicted or may have had no room for, and what the plan destroyed on its disk and it has not read since. Nodes that lie, and disks
//! that acknowledged what they did not store, are neither asked for anything nor taken for a source. What such a node wrote it may have
//! handed to some only: the others have it when they compare, so it is not demanded where nodes compare too rarely.
//!
//! What was evicted somewhere lies whole on two other nodes of the core, as when it was evicted, whoever of those that had promised to
//! keep it has gone since; or it has come back. This is asked for where all nodes that have not gone are in the core and can be
//! trusted: the promise of another is worth nothing, or may yet be kept.
//!
//! Holders are the first in rank among all nodes: whoever of them is in the core is a holder, whether or not the others count as
//! members still. And where some nodes are left dead at the end, what they were to hold others hold: the first in rank among the core
//! are holders, too, since its rest is longer than a member is waited for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use forever_core::ids::{BlobKey, NameId, OwnerId};
use forever_core::record::{RecordBody, SignedRecord};

use super::super::{Contents, Event, Holding, View};
use super::Rule;
use super::history::{self, History};

/// How many other nodes keep what was evicted.
const KEEPERS: usize = 2;

/// The disks of the core that are honest.
pub(super) type Disks = BTreeMap<usize, Arc<Contents>>;

/// Something that is not where it belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misplaced {
    node: usize,
    record: SignedRecord,
    /// Chunks that lie there broken or not at all, if the record does.
    broken: Vec<BlobKey>,
}

impl std::fmt::Display for Misplaced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let record = &self.record.record;
        let version = history::show(&record.version);
        let what = if record.body.is_file() { "version" } else { "the record" };
        write!(f, "node {} is to hold {what} {version} of name {}, and ", self.node, record.name_id)?;
        match self.broken.len() {
            0 => write!(f, "has not even its record, or not all its pages, or does not keep its chunks"),
            chunks => write!(f, "lacks {chunks} of its chunks"),
        }
    }
}

/// All that is not where it belongs, as far as it could be there. `is_trusted` says whose disks count.
pub(crate) fn misplaced(view: &mut dyn View, is_trusted: impl Fn(&dyn View, usize) -> bool) -> Vec<Misplaced> {
    let disks = disks(view, &is_trusted);
    let view: &dyn View = view;
    let compares = view.scenario().compares_at_rest();
    let is_brought = |record: &&SignedRecord| {
        let writer = history::node_of(view, record.record.version.node);
        compares || writer.is_none_or(|writer| is_trusted(view, writer))
    };
    let newest = newest(&disks).into_iter().filter(is_brought);
    newest.flat_map(|record| lacking(view, &disks, record)).collect()
}

/// Whether too few disks have something whole that was evicted on another, and its node will look whether they do.
pub(crate) fn is_any_forsaken(view: &mut dyn View, is_trusted: impl Fn(&dyn View, usize) -> bool) -> bool {
    let disks = disks(view, is_trusted);
    let is_looked_for = !view.scenario().config.scrub_period.is_zero();
    is_looked_for && are_all(view, &disks) && forsaken(view, &disks, |_, _| false).is_some()
}

/// Whether these are the disks of all nodes that have not gone.
fn are_all(view: &dyn View, disks: &Disks) -> bool {
    disks.len() == (0..view.scenario().nodes.len()).filter(|node| !view.is_gone(*node)).count()
}

/// How many files a node has records of that no disks of the core have whole between them.
pub(super) fn lost_at(view: &mut dyn View, node: usize) -> usize {
    let disks = disks(view, |_, _| true);
    let contents = disks.get(&node).cloned();
    let records = contents.iter().flat_map(|contents| &contents.records).map(|held| &held.record);
    records.filter(|record| record.record.body.is_file() && !is_whole_between_them(&disks, record)).count()
}

/// The disks of those nodes of the core that run and are trusted.
pub(super) fn disks(view: &mut dyn View, is_trusted: impl Fn(&dyn View, usize) -> bool) -> Disks {
    let nodes = 0..view.scenario().nodes.len();
    let core: Vec<usize> =
        nodes.filter(|node| view.is_core(*node) && view.is_up(*node) && is_trusted(view, *node)).collect();
    core.into_iter().map(|node| (node, view.contents(node))).collect()
}

/// The newest record of each name.
fn newest(disks: &Disks) -> Vec<&SignedRecord> {
    let mut newest: BTreeMap<(OwnerId, NameId), &SignedRecord> = BTreeMap::new();
    for held in disks.values().flat_map(|contents| &contents.records) {
        let record = &held.record;
        let known = newest.entry((record.record.owner, record.record.name_id)).or_insert(record);
        if known.rank() < record.rank() {
            *known = record;
        }
    }
    newest.into_values().collect()
}

/// Who lacks some of a record.
fn lacking(view: &dyn View, disks: &Disks, record: &SignedRecord) -> Vec<Misplaced> {
    let is_file = record.record.body.is_file();
    if is_file && !is_whole_between_them(disks, record) {
        return Vec::new();
    }
    let holders = holders(view, record);
    let mut lacking = Vec::new();
    for (node, contents) in disks.iter().filter(|(node, _)| holders.contains(node)) {
        let may_lack_room = history::may_lack_room(view, *node, record.record.owner);
        if is_file && (is_evicted(contents, record) || may_lack_room) {
            continue;
        }
        let broken = match holding(contents, record) {
            // What is there by chance goes when nothing else needs it.
            Holding::Absent | Holding::Light(_) => Vec::new(),
            Holding::Whole(_) => continue,
            Holding::Broken(_) if !is_file => continue,
            Holding::Broken(broken) => broken,
        };
        lacking.push(Misplaced { node: *node, record: record.clone(), broken });
    }
    lacking
}

fn holding(contents: &Contents, record: &SignedRecord) -> Holding {
    contents.holding(record.record.owner, record.record.name_id, &record.record.version)
}

/// Whether the pages are all on some disk, and each chunk intact on some.
pub(super) fn is_whole_between_them(disks: &Disks, record: &SignedRecord) -> bool {
    let is_it = |held: &&super::super::Held| held.record.id == record.id;
    let chunks = disks.values().find_map(|contents| contents.records.iter().find(is_it)?.chunks.as_ref());
    let is_intact = |chunk: &BlobKey| disks.values().any(|contents| contents.blobs.get(chunk) == Some(&true));
    chunks.is_some_and(|chunks| chunks.iter().all(is_intact))
}

/// The nodes that are to hold a record.
fn holders(view: &dyn View, record: &SignedRecord) -> BTreeSet<usize> {
    let nodes = 0..view.scenario().nodes.len();
    if record.record.body == RecordBody::Tombstone {
        return nodes.collect();
    }
    let (name, limit) = (record.record.name_id, record.record.retention.replicas.limit());
    let mut holders: BTreeSet<usize> = history::holders(view, name, limit).into_iter().collect();
    if view.scenario().replaces_the_dead() {
        holders.extend(history::holders_of_core(view, name, limit));
    }
    holders
}

/// Whether a node dropped its copy on purpose: an empty mark says so (see `core/FORMAT.md`).
fn is_evicted(contents: &Contents, record: &SignedRecord) -> bool {
    contents.mark(record).is_some_and(|mark| mark.is_empty())
}

/// What was evicted somewhere and lies whole on too few other nodes, told. Disks are those of the core, all of them honest.
fn forsaken(view: &dyn View, disks: &Disks, is_destroyed: impl Fn(usize, &BlobKey) -> bool) -> Option<String> {
    let files = newest(disks).into_iter().filter(|record| record.record.body.is_file());
    files.filter(|record| is_whole_between_them(disks, record)).find_map(|record| {
        let owner = record.record.owner;
        let evictor = disks.iter().find(|(_, contents)| is_evicted(contents, record)).map(|(node, _)| *node)?;
        let is_whole = |(node, contents): &(&usize, &Arc<Contents>)| match holding(contents, record) {
            Holding::Whole(_) => true,
            // What was destroyed there and has not been read since.
            Holding::Broken(broken) => broken.iter().all(|chunk| is_destroyed(**node, chunk)),
            Holding::Absent | Holding::Light(_) => false,
        };
        let keepers: Vec<usize> = disks.iter().filter(is_whole).map(|(node, _)| *node).collect();
        let lack_room = disks.keys().any(|node| history::may_lack_room(view, *node, owner));
        (keepers.len() < KEEPERS && !lack_room).then(|| {
            let (version, name) = (history::show(&record.record.version), record.record.name_id);
            format!(
                "node {evictor} has evicted version {version} of name {name}, which is whole on nodes {keepers:?} only"
            )
        })
    })
}

/// The oracle.
#[derive(Default)]
pub(crate) struct Placed {
    history: History,
    judge_has_begun: bool,
}

impl Placed {
    fn check(&self, view: &mut dyn View) -> Result<(), String> {
        let found = misplaced(view, |view, node| !self.history.is_untrusted(view, node));
        let is_destroyed = |one: &Misplaced| {
            let chunk_is = |chunk: &BlobKey| self.history.has_destroyed(one.node, chunk);
            !one.broken.is_empty() && one.broken.iter().all(chunk_is)
        };
        found.into_iter().find(|one| !is_destroyed(one)).map_or(Ok(()), |one| Err(one.to_string()))?;
        let disks = disks(view, |view, node| !self.history.is_untrusted(view, node));
        // Only who goes through what it has evicted finds out that somebody has lost what it had promised to keep.
        let is_looked_for = !view.scenario().config.scrub_period.is_zero()
            || (0..view.scenario().nodes.len()).all(|node| !self.history.is_wiped(node, 0));
        match forsaken(view, &disks, |node, chunk| self.history.has_destroyed(node, chunk)) {
            Some(told) if are_all(view, &disks) && is_looked_for => Err(told),
            Some(_) | None => Ok(()),
        }
    }
}

impl Rule for Placed {
    fn name(&self) -> &'static str {
        "convergence"
    }

    fn observe(&mut self, at: Duration, event: &Event, view: &mut dyn View) -> Result<(), String> {
        self.history.note(at, event, view);
        let begins = matches!(event, Event::Started { .. }) && self.history.healed.is_some();
        if !begins || std::mem::replace(&mut self.judge_has_begun, true) {
            return Ok(());
        }
        self.check(view)
    }

    fn judge(&mut self, view: &mut dyn View) -> Result<(), String> {
        if self.judge_has_begun { Ok(()) } else { self.check(view) }
    }
}

#[cfg(test)]
mod tests;
