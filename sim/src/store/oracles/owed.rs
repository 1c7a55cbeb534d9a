//! Rule (a part of convergence): what a write could not bring to a holder is owed to it, on the writer's disk, until the holder has it. It is
//! looked at when a write is acknowledged that is still to come to some node; when a holder starts, for what it missed; and when the core
//! is healed, before anything else could bring it. And when the core has come to rest, no node of it owes another of it anything.
//!
//! Demanded is what convergence demands: of a writer that knew the holder, for a holder that has its disk since and does not lie, and
//! whose name keeps the version; not for one that was told to leave, or was to be written off. A deletion is owed to whoever has an older
//! version, holder or not, and stays as long as it is. In place of what its name no longer keeps, what replaced it is owed. At rest, what a holder may have no room for, and what no disk of the core has
//! whole, may stay owed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use forever_core::ids::NodeId;
use forever_core::record::{RecordBody, SignedRecord};

use super::super::{Contents, Event, Holding, Op, OpKind, OpResult, View};
use super::Rule;
use super::history::{self, FileKey, History};
use super::{keeping, placed};

/// The oracle.
#[derive(Default)]
pub(crate) struct Owed {
    history: History,
    /// Whom the writer of each acknowledged write knew before it began.
    known: BTreeMap<usize, BTreeSet<usize>>,
    judge_has_begun: bool,
}

impl Owed {
    /// Takes note of whom the writer of a write that was just acknowledged knew.
    fn note_known(&mut self, op: usize, view: &dyn View) {
        let Some(operation) = self.history.ops.get(&op) else { return };
        let (writer, since) = (operation.op.node, operation.started);
        let nodes = 0..view.scenario().nodes.len();
        let known = nodes.filter(|node| self.history.had_met(writer, *node, since)).collect();
        self.known.insert(op, known);
    }

    /// Whether a node was told to leave, or somebody to write it off: it may be owed nothing any more.
    fn may_go(&self, node: usize) -> bool {
        let mut asked = self.history.ops.values().map(|operation| &operation.op);
        let is_written_off = |op: &Op| matches!(op.what, OpKind::Forget { member } if member == node);
        asked.any(|op| op.node == node && op.what == OpKind::Leave || is_written_off(op))
    }

    /// The acknowledged writes, with their files.
    fn writes(&self) -> Vec<(FileKey, usize)> {
        let of_file = |(key, versions): (&FileKey, &BTreeMap<_, history::Acked>)| {
            let key = *key;
            versions.values().map(|acked| (key, acked.op)).collect::<Vec<_>>()
        };
        self.history.acked.iter().flat_map(of_file).collect()
    }

    /// A write that was acknowledged and is still to come to some node is owed to it.
    fn check_ended(&mut self, op: usize, result: &OpResult, view: &mut dyn View) -> Result<(), String> {
        self.note_known(op, view);
        let is_pending = match result {
            OpResult::Put(report) => report.write.pending > 0,
            OpResult::Deleted(report) => report.pending > 0,
            OpResult::Got(_)
            | OpResult::Listed { .. }
            | OpResult::Stat(_)
            | OpResult::Versions(_)
            | OpResult::Evicted { .. }
            | OpResult::Restored(_)
            | OpResult::Scrubbed(_)
            | OpResult::Checked(_)
            | OpResult::Left
            | OpResult::Forgotten
            | OpResult::Shared(_)
            | OpResult::Abandoned
            | OpResult::Failed(_) => false,
        };
        let write = self.writes().into_iter().find(|(_, write)| *write == op).filter(|_| is_pending);
        write.map_or(Ok(()), |write| self.check_write(write, None, view))
    }

    fn check_all(&self, only: Option<usize>, view: &mut dyn View) -> Result<(), String> {
        self.writes().into_iter().try_for_each(|write| self.check_write(write, only, view))
    }

    /// Whether each holder, or this one, has what a write wrote, or is owed it.
    fn check_write(&self, (key, op): (FileKey, usize), only: Option<usize>, view: &mut dyn View) -> Result<(), String> {
        let (Some(operation), Some(known)) = (self.history.ops.get(&op), self.known.get(&op)) else { return Ok(()) };
        let (writer, since, is_deletion) = (operation.op.node, operation.started, operation.is_delete());
        let of_op = |(version, acked): (&_, &history::Acked)| (acked.op == op).then_some(*version);
        let version = self.history.acked.get(&key).and_then(|versions| versions.iter().find_map(of_op));
        let (Some(version), Some((owner, name))) = (version, history::address(view, key)) else { return Ok(()) };
        let is_sound = |view: &dyn View, node| {
            !self.history.is_untrusted(view, node) && !self.history.is_wiped(node, since) && !self.may_go(node)
        };
        let is_asked = |node: &usize| *node != writer && only.is_none_or(|only| only == *node);
        let asked: Vec<usize> = known.iter().copied().filter(is_asked).collect();
        if asked.is_empty() || !is_sound(view, writer) {
            return Ok(());
        }
        let contents = view.contents(writer);
        let record = contents.of_name(owner, name).find(|signed| signed.record.version == version);
        let age = keeping::latest(view, self.history.at);
        for node in asked.into_iter().filter(|node| is_sound(view, *node)).collect::<Vec<_>>() {
            let there = view.contents(node);
            let is_absent = there.holding(owner, name, &version) == Holding::Absent;
            // What replaced it need not be there if it is kept on fewer nodes.
            let mut heirs = contents.of_name(owner, name).filter(|heir| heir.record.version > version);
            let is_outlived = !is_deletion && heirs.any(|heir| !is_to_hold(view, node, heir));
            let known = [Some(&there), Some(&contents).filter(|_| is_outlived)];
            let known = known.into_iter().flatten().map(AsRef::as_ref);
            if !is_absent || keeping::is_obsolete_by(known, (owner, name), &version, age) {
                continue;
            }
            let is_demanded = if is_deletion {
                // What nobody else has any more, and this node has not either, needs no deletion.
                there.of_name(owner, name).any(|other| other.record.version < version)
            } else {
                record.is_some_and(|record| has_always_been_holder(view, node, record))
                    && self.history.is_to_have(view, op, &contents, node)
            };
            let (view, to): (&dyn View, NodeId) = (view, view.node_id(node));
            let mut heirs = contents.of_name(owner, name).filter(|other| other.record.version >= version);
            if is_demanded && !heirs.any(|heir| is_to_hold(view, node, heir) && owes(&contents, to, heir)) {
                let (version, file) = (history::show(&version), key.1);
                return Err(format!(
                    "node {node} lacks version {version} of file {file}, which operation {op} of node {writer} wrote, \
                     and is not owed it"
                ));
            }
        }
        Ok(())
    }

    /// Whether nothing is owed among the core.
    fn check_rest(&self, view: &mut dyn View) -> Result<(), String> {
        let disks = placed::disks(view, |view, node| !self.history.is_untrusted(view, node));
        let view: &dyn View = view;
        for (debtor, contents) in &disks {
            for node in disks.keys() {
                let id = view.node_id(*node);
                let is_due = |record: &&SignedRecord| {
                    !history::may_lack_room(view, *node, record.record.owner)
                        && (!record.record.body.is_file() || placed::is_whole_between_them(&disks, record))
                };
                let mut owed = contents.records.iter().map(|held| &held.record).filter(is_due);
                if let Some(record) = owed.find(|record| owes(contents, id, record)) {
                    let (version, name) = (history::show(&record.record.version), record.record.name_id);
                    return Err(format!("node {debtor} still owes node {node} version {version} of name {name}"));
                }
            }
        }
        Ok(())
    }
}

/// Whether a node is to hold a record, so that it is brought to it.
fn is_to_hold(view: &dyn View, node: usize, record: &SignedRecord) -> bool {
    let record = &record.record;
    record.body == RecordBody::Tombstone
        || view.keys(node).owner_id() == record.owner
        || history::holders(view, record.name_id, record.retention.replicas.limit()).contains(&node)
}

/// Whether a node is to hold a record, and was before anybody left or was written off: only to such a node it was owed when it was written.
fn has_always_been_holder(view: &dyn View, node: usize, record: &SignedRecord) -> bool {
    let record = &record.record;
    view.keys(node).owner_id() == record.owner
        || history::first_of_all(view, record.name_id, record.retention.replicas.limit()).contains(&node)
}

/// Whether a disk says that a node is owed a record.
fn owes(contents: &Contents, to: NodeId, record: &SignedRecord) -> bool {
    let debts = [&b"O"[..], &to.0].concat();
    let mut rows = contents.rows.iter().map(|(key, _)| key);
    rows.any(|key| key.starts_with(&debts) && key.ends_with(&record.id.0))
}

impl Rule for Owed {
    fn name(&self) -> &'static str {
        "convergence"
    }

    fn observe(&mut self, at: Duration, event: &Event, view: &mut dyn View) -> Result<(), String> {
        self.history.note(at, event, view);
        if let Event::Ended { op, result } = event {
            return self.check_ended(*op, result, view);
        }
        if let Event::Up { node } = event {
            return self.check_all(Some(*node), view);
        }
        if matches!(event, Event::Healed) {
            return self.check_all(None, view);
        }
        let begins = matches!(event, Event::Started { .. }) && self.history.healed.is_some();
        if !begins || std::mem::replace(&mut self.judge_has_begun, true) {
            return Ok(());
        }
        self.check_rest(view)
    }

    fn judge(&mut self, view: &mut dyn View) -> Result<(), String> {
        if self.judge_has_begun { Ok(()) } else { self.check_rest(view) }
    }
}

#[cfg(test)]
mod tests;
