//! Rule (a part of integrity): what a node says of who holds a file is true. If it says, once the cluster has settled, that it
//! has all of a file, its disk does; and so does the disk of each honest peer that it names as a holder.
//!
//! A disk does not know of rot before it reads: it may say that it has a chunk which the plan destroyed. Before the cluster has
//! settled, what was true when it was said need not be when it is heard; nor after it, of a copy out of place that went while the
//! node asked others.

use std::time::Duration;

use forever_core::event::FileStat;
use forever_core::ids::BlobKey;

use super::super::{Event, Holding, OpResult, View, names};
use super::Rule;
use super::copies::MOVED;
use super::history::{self, History};

/// The oracle.
#[derive(Default)]
pub(crate) struct Holders {
    history: History,
    /// When a node last dropped what was out of place there.
    moved: Option<Duration>,
}

impl Holders {
    /// Whether a node may have dropped what a stat is of, because it was out of place there, since the stat began.
    fn may_have_moved(&self, view: &dyn View, node: usize, owner: usize, stat: &FileStat, since: Duration) -> bool {
        let file = names::file_of(&stat.file.name);
        let is_out_of_place =
            file.is_some_and(|file| history::is_out_of_place(view, node, (owner, file), stat.replicas.limit()));
        is_out_of_place && self.moved.is_some_and(|moved| moved >= since)
    }

    /// Whether a node has all of the version that a stat is of, but for what rotted there.
    fn holds(&self, view: &mut dyn View, node: usize, owner: usize, stat: &FileStat) -> bool {
        let address = names::file_of(&stat.file.name).and_then(|file| history::address(view, (owner, file)));
        let Some((owner, name)) = address else { return true };
        let rotted = |chunk: &BlobKey| self.history.has_destroyed(node, chunk);
        match view.holding(node, owner, name, &stat.file.version) {
            Holding::Whole(_) | Holding::Light(_) => true,
            _ if self.history.is_untrusted(view, node) => true,
            Holding::Broken(missing) => !missing.is_empty() && missing.iter().all(rotted),
            Holding::Absent => false,
        }
    }

    fn check(&self, view: &mut dyn View, op: usize, stat: &FileStat) -> Result<(), String> {
        let Some(operation) = self.history.ops.get(&op).filter(|operation| operation.of_judge) else { return Ok(()) };
        let (asked, owner, since) = (operation.op.node, operation.owner, operation.started_at);
        let peers = stat.holders.iter().flatten().filter_map(|id| history::node_of(view, *id));
        let said: Vec<usize> = peers.chain(stat.local.then_some(asked)).collect();
        let is_untrue = |node: &usize| {
            !self.holds(view, *node, owner, stat) && !self.may_have_moved(view, *node, owner, stat, since)
        };
        match said.into_iter().find(is_untrue) {
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
            Event::Probe { name: MOVED } => {
                self.moved = Some(at);
                Ok(())
            }
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
