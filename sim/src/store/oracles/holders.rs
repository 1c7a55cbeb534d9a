//! Rule (a part of integrity): what a node says of who holds a file is true. If it says, once the cluster has settled, that it
//! has all of a file, its disk does; and so does the disk of each honest peer that it names as a holder.
//!
//! A disk does not know of rot before it reads: it may say that it has a chunk which the plan destroyed. Before the cluster has
//! settled, what was true when it was said need not be when it is heard.

use std::time::Duration;

use forever_core::event::FileStat;
use forever_core::ids::BlobKey;

use super::super::{Event, Holding, OpResult, View, names};
use super::Rule;
use super::history::{self, History};

/// The oracle.
#[derive(Default)]
pub(crate) struct Holders {
    history: History,
}

impl Holders {
    /// Whether a node has all of the version that a stat is of, but for what rotted there.
    fn holds(&self, view: &mut dyn View, node: usize, owner: usize, stat: &FileStat) -> bool {
        let address = names::file_of(&stat.file.name).and_then(|file| history::address(view, (owner, file)));
        let Some((owner, name)) = address else { return true };
        let rotted = |chunk: &BlobKey| self.history.is_destroyed(node, 0, std::slice::from_ref(chunk));
        match view.holding(node, owner, name, &stat.file.version) {
            Holding::Whole(_) | Holding::Light(_) => true,
            _ if self.history.is_untrusted(view, node) => true,
            Holding::Broken(missing) => !missing.is_empty() && missing.iter().all(rotted),
            Holding::Absent => false,
        }
    }

    fn check(&self, view: &mut dyn View, op: usize, stat: &FileStat) -> Result<(), String> {
        let Some(operation) = self.history.ops.get(&op).filter(|operation| operation.of_judge) else { return Ok(()) };
        let (asked, owner) = (operation.op.node, operation.owner);
        let peers = stat.holders.iter().flatten().filter_map(|id| history::node_of(view, *id));
        let said: Vec<usize> = peers.chain(stat.local.then_some(asked)).collect();
        match said.into_iter().find(|node| !self.holds(view, *node, owner, stat)) {
            None => Ok(()),
            Some(node) => Err(format!(
                "node {asked} says that node {node} holds all of version {} of {:?}, and its disk does not",
                history::show(&stat.file.version),
                stat.file.name.as_str()
            )),
        }
    }
}

impl Rule for Holders {
    fn name(&self) -> &'static str {
        "integrity"
    }

    fn observe(&mut self, at: Duration, event: &Event, view: &mut dyn View) -> Result<(), String> {
        self.history.note(at, event, view);
        match event {
            Event::Ended { op, result: OpResult::Stat(stat) } => self.check(view, *op, stat),
            Event::Ended { .. }
            | Event::Started { .. }
            | Event::Delivered { .. }
            | Event::Up { .. }
            | Event::Down { .. }
            | Event::Bit { .. }
            | Event::Lost { .. }
            | Event::Frame { .. }
            | Event::Heard { .. }
            | Event::Told { .. }
            | Event::Probe { .. }
            | Event::Healed => Ok(()),
        }
    }

    fn judge(&mut self, _view: &mut dyn View) -> Result<(), String> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
