//! Rule: within the settling budget after the core is healed, every operation has ended, and every holder of a name in the core, and
//! every device of its owner, holds every acknowledged record of it that its writer could bring to it, unless the core has newer ones
//! for which its name no longer keeps it, when it has come to rest and before the judge's own questions move
//! anything. And the healed core works: each of its nodes that can reach
//! another puts a file, evicts it if it can reach two, and deletes it.
//! Where all nodes that have not gone are healed and can be trusted, one that leaves has soon handed over all that it holds.
//!
//! Repair among the others is the placed oracle's business (`placed.rs`). Here it is looked at what the writer owes; so a record is
//! demanded of a node if its writer is in the core, has its disk since, and had met the node before the write
//! began. A node that lies, or that lost its disk after it was told, is not told again; nor is a record demanded
//! whose chunks no disk of the core can give any more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use forever_core::event::{RequestError, UNCOUNTED};
use forever_core::ids::BlobKey;

use super::super::{Contents, Event, Holding, OpError, OpKind, OpResult, View, names};
use super::Rule;
use super::history::{self, History};
use super::{keeping, placed};

/// The rule in a sentence.
pub const RULE: &str = "the healed core answers all requests and agrees on all records within the settling budget";

/// The oracle.
#[derive(Default)]
pub(crate) struct Convergence {
    history: History,
    judge_has_begun: bool,
}

impl Convergence {
    /// What the judge asked for has been done.
    fn check_works(&self, op: usize, result: &OpResult, view: &mut dyn View) -> Result<(), String> {
        let Some(operation) = self.history.ops.get(&op).filter(|operation| operation.of_judge) else { return Ok(()) };
        let OpResult::Failed(error) = result else { return Ok(()) };
        let node = operation.op.node;
        let owner = view.keys(node).owner_id();
        let has_room = |other: &usize| !history::may_lack_room(view, *other, owner);
        let others =
            (0..view.scenario().nodes.len()).filter(|other| *other != node && view.is_core(*other)).filter(has_room);
        let others = others.count();
        let needed = match operation.op.what {
            OpKind::Put { .. } | OpKind::Delete { .. } => 1,
            // Two others must promise.
            OpKind::Evict { .. } => 2,
            OpKind::Leave => return self.check_leave(op, error, view),
            OpKind::Get { .. }
            | OpKind::Undelete { .. }
            | OpKind::List
            | OpKind::ListPart(_)
            | OpKind::Stat { .. }
            | OpKind::Versions { .. }
            | OpKind::Share { .. }
            | OpKind::Redeem { .. }
            | OpKind::Restore
            | OpKind::Scrub { .. }
            | OpKind::Fsck
            | OpKind::Forget { .. } => {
                return Ok(());
            }
        };
        // A clock that has once been far ahead makes versions that no write can follow for a day.
        let is_clock = *error == OpError::Failed(RequestError::ClockBehind);
        // What could not be put is not there to be evicted or deleted.
        let is_absent = *error == OpError::Failed(RequestError::NotFound) && !operation.is_put();
        // Whether it is there is not known as long as one who may have it cannot be asked.
        let is_unknown = matches!(error, OpError::Failed(RequestError::Unavailable(_))) && !self.is_anywhere(op, view);
        let is_full = *error == OpError::Failed(RequestError::DiskFull) && history::may_lack_room(view, node, owner);
        if is_clock || is_absent || is_unknown || is_full || others < needed {
            return Ok(());
        }
        Err(format!(
            "after the core has settled, operation {op} at node {node} ({:?}) fails: {error}",
            operation.op.what
        ))
    }

    /// A node may stay only if somebody whom it owes something is out of reach, or may have no room for it, or if nobody has all of what
    /// it is to hand over.
    fn check_leave(&self, op: usize, error: &OpError, view: &mut dyn View) -> Result<(), String> {
        let leaver = self.history.ops.get(&op).map(|operation| operation.op.node);
        let nodes = view.scenario().nodes.len();
        // Each of the others may be told of each.
        let lost = (leaver.map_or(0, |leaver| placed::lost_at(view, leaver)) * nodes) as u64;
        let view: &dyn View = view;
        // Or some are still looking through what they have.
        let is_owed_in_vain = matches!(error, OpError::Failed(RequestError::StillOwed { owed })
            if *owed <= lost || *owed >= UNCOUNTED);
        let lacks_room = |node| (0..nodes).any(|of| history::may_lack_room(view, node, view.keys(of).owner_id()));
        let has_excuse = |node| !view.is_core(node) || self.history.is_untrusted(view, node) || lacks_room(node);
        if is_owed_in_vain || (0..nodes).filter(|node| !view.is_gone(*node)).any(has_excuse) {
            return Ok(());
        }
        Err(format!("after the core has settled, a node cannot leave (operation {op}): {error}"))
    }

    /// Whether a disk of the core has a record of the file that an operation is about.
    fn is_anywhere(&self, op: usize, view: &mut dyn View) -> bool {
        let Some(operation) = self.history.ops.get(&op) else { return true };
        let Some(file) = operation.file() else { return true };
        let Some((owner, name)) = history::address(view, (operation.owner, file)) else { return true };
        let mut core =
            (0..view.scenario().nodes.len()).filter(|node| view.is_core(*node)).collect::<Vec<_>>().into_iter();
        core.any(|node| view.contents(node).of_name(owner, name).next().is_some())
    }

    fn check_ended(&self) -> Result<(), String> {
        let open = self.history.ops.iter().find(|(_, operation)| operation.ended.is_none());
        open.map_or(Ok(()), |(op, operation)| {
            let at = operation.started_at;
            let node = operation.op.node;
            Err(format!("operation {op} at node {node}, begun at {at:?}, has no end after the core has settled"))
        })
    }

    fn check_records(&self, view: &mut dyn View) -> Result<(), String> {
        let core: Vec<usize> = (0..view.scenario().nodes.len()).filter(|node| view.is_core(*node)).collect();
        let disks: BTreeMap<usize, Arc<Contents>> = core.into_iter().map(|node| (node, view.contents(node))).collect();
        let view: &dyn View = view;
        let age = keeping::latest(view, self.history.at);
        for ((_, file), versions) in &self.history.acked {
            for (version, acked) in versions {
                let Some(operation) = self.history.ops.get(&acked.op) else { continue };
                let writer = operation.op.node;
                let keys = view.keys(writer);
                let (owner, name) = (keys.owner_id(), keys.name_id(&names::of(*file)));
                for (node, contents) in &disks {
                    let demanded = !self.history.is_beyond_repair(view, acked.op, *node)
                        // There is always room for the record, and a device of the owner takes it without the rest.
                        && (view.keys(*node).owner_id() == owner || !history::may_lack_room(view, *node, owner))
                        && (*node == writer
                            || disks.get(&writer).is_some_and(|of| self.history.is_to_have(view, acked.op, of, *node)));
                    if !demanded || contents.holding(owner, name, version) != Holding::Absent {
                        continue;
                    }
                    let known = disks.values().map(Arc::as_ref);
                    if keeping::is_obsolete_by(known, (owner, name), version, age) {
                        continue;
                    }
                    let source = disks.get(&writer).map(|contents| contents.holding(owner, name, version));
                    if let Some(Holding::Broken(missing)) = source
                        && !are_somewhere(&disks, &missing)
                    {
                        continue;
                    }
                    return Err(format!(
                        "node {node} lacks version {} of file {file}, which operation {} of node {writer} wrote",
                        history::show(version),
                        acked.op
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Whether all these chunks lie intact on some disk.
fn are_somewhere(disks: &BTreeMap<usize, Arc<Contents>>, chunks: &[BlobKey]) -> bool {
    let is_intact = |chunk: &BlobKey| disks.values().any(|contents| contents.blobs.get(chunk) == Some(&true));
    !chunks.is_empty() && chunks.iter().all(is_intact)
}

impl Rule for Convergence {
    fn name(&self) -> &'static str {
        "convergence"
    }

    fn observe(&mut self, at: Duration, event: &Event, view: &mut dyn View) -> Result<(), String> {
        self.history.note(at, event, view);
        match event {
            Event::Ended { op, result } => self.check_works(*op, result, view),
            Event::Started { .. } if self.history.healed.is_some() && !self.judge_has_begun => {
                self.judge_has_begun = true;
                self.check_records(view)
            }
            Event::Started { .. }
            | Event::Up { .. }
            | Event::Down { .. }
            | Event::Bit { .. }
            | Event::Delivered { .. }
            | Event::Lost { .. }
            | Event::Frame { .. }
            | Event::Heard { .. }
            | Event::Told { .. }
            | Event::Probe { .. }
            | Event::Healed => Ok(()),
        }
    }

    fn judge(&mut self, view: &mut dyn View) -> Result<(), String> {
        self.check_ended()?;
        let is_down = |node: &usize| view.is_core(*node) && !view.is_up(*node) && !view.is_gone(*node);
        if let Some(node) = (0..view.scenario().nodes.len()).find(is_down) {
            return Err(format!("node {node} of the core is down after the core has settled"));
        }
        if self.judge_has_begun { Ok(()) } else { self.check_records(view) }
    }
}

#[cfg(test)]
mod tests;
