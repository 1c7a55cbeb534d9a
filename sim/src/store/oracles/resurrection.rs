//! Rule: after an acknowledged delete, and once the core is healed, no node of the core serves (by name, or to whoever has a
//! ticket) or lists a version that the delete's version is above, if no version above the delete was put.
//!
//! Deletes and puts are ordered by their versions. That no device stamps a delete below what it has written before is the
//! sessions oracle's business.
//!
//! That the deleted file's chunks are gone once its keep is over is the collection oracle's business. A device that only the writer
//! could have told of the delete may not know of it (see the durability oracle).

use std::collections::BTreeSet;
use std::time::Duration;

use forever_core::version::Version;

use super::super::{Event, OpKind, OpResult, View, names};
use super::Rule;
use super::history::{self, History};
use super::keeping;

/// The rule in a sentence.
pub const RULE: &str = "after an acknowledged delete and healing, no node serves what was deleted";

/// The oracle.
#[derive(Default)]
pub(crate) struct Resurrection {
    history: History,
    /// Tickets that were redeemed at a node whose disk had a deletion of what they open.
    void: BTreeSet<usize>,
}

impl Resurrection {
    fn check(&self, view: &dyn View, node: usize, owner: usize, file: u32, version: Version) -> Result<(), String> {
        let Some((deleted, acked)) = self.history.newest((owner, file)).filter(|(_, acked)| acked.deleted) else {
            return Ok(());
        };
        if version > deleted || self.history.is_beyond_repair(view, acked.op, node) {
            return Ok(());
        }
        Err(format!(
            "node {node} has version {} of file {file}, which operation {} deleted with version {}",
            history::show(&version),
            acked.op,
            history::show(&deleted)
        ))
    }
}

impl Resurrection {
    /// Notes whether what a ticket opens has been deleted, as far as the disk of the node that is asked knows.
    fn on_started(&mut self, op: usize, view: &mut dyn View) {
        let Some(operation) = self.history.ops.get(&op) else { return };
        let Some(ticketed) = self.history.ticketed(operation) else { return };
        let Some((owner, name)) = history::address(view, ticketed.key) else { return };
        let contents = view.contents(operation.op.node);
        if keeping::is_deleted_above(&contents, (owner, name), &ticketed.version) {
            self.void.insert(op);
        }
    }
}

impl Rule for Resurrection {
    fn name(&self) -> &'static str {
        "resurrection"
    }

    fn observe(&mut self, at: Duration, event: &Event, view: &mut dyn View) -> Result<(), String> {
        self.history.note(at, event, view);
        if let Event::Started { op, .. } = event {
            self.on_started(*op, view);
        }
        let Event::Ended { op, result } = event else { return Ok(()) };
        if self.void.remove(op) && matches!(result, OpResult::Got(_)) {
            return Err(format!("operation {op} read by a ticket what its node knew to be deleted"));
        }
        let Some(operation) = self.history.ops.get(op).filter(|operation| operation.of_judge) else { return Ok(()) };
        let (node, owner) = (operation.op.node, operation.owner);
        match (&operation.op.what, result) {
            (OpKind::Get { file, old: None, .. }, OpResult::Got(got)) => {
                self.check(view, node, owner, *file, got.file.version)
            }
            (OpKind::Redeem { .. }, OpResult::Got(got)) => {
                let Some(file) = operation.file() else { return Ok(()) };
                self.check(view, node, owner, file, got.file.version)
            }
            (OpKind::Stat { file }, OpResult::Stat(stat)) => self.check(view, node, owner, *file, stat.file.version),
            (OpKind::List | OpKind::ListPart(_), OpResult::Listed { files, .. }) => files.iter().try_for_each(|info| {
                let Some(file) = names::file_of(&info.name) else { return Ok(()) };
                self.check(view, node, owner, file, info.version)
            }),
            // All else serves nothing.
            (_, _) => Ok(()),
        }
    }

    fn judge(&mut self, _view: &mut dyn View) -> Result<(), String> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
