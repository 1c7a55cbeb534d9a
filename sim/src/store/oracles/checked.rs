//! Rule (a part of integrity): what a disk lacks of the records that it holds was destroyed by the plan. It is looked at whenever a node
//! has started, when the core is healed and at the end; and a check of a disk says that all this is lost, and nothing else.
//!
//! Not looked at: disks that lie, or of which nobody knows what they lost.

use std::time::Duration;

use forever_core::ids::BlobKey;

use super::super::{Event, OpResult, View, fsck};
use super::Rule;
use super::history::History;

/// The oracle.
#[derive(Default)]
pub(crate) struct Checked {
    history: History,
}

impl Checked {
    fn check(&self, op: usize, lost: &[BlobKey], view: &mut dyn View) -> Result<(), String> {
        let Some(node) = self.history.ops.get(&op).map(|operation| operation.op.node) else { return Ok(()) };
        if self.history.is_untrusted(view, node) {
            return Ok(());
        }
        if let Some(blob) = lost.iter().find(|chunk| !self.history.has_destroyed(node, chunk)) {
            return Err(format!(
                "a check of node {node} says that chunk {} is lost, and nothing destroyed it",
                blob.chunk
            ));
        }
        match fsck::lost(&view.contents(node)).iter().find(|chunk| !lost.contains(chunk)) {
            Some(blob) => Err(format!("a check of node {node} says nothing of chunk {}, which is lost", blob.chunk)),
            None => Ok(()),
        }
    }

    /// Looks at a disk itself.
    fn look(&self, node: usize, when: &str, view: &mut dyn View) -> Result<(), String> {
        if self.history.is_untrusted(view, node) {
            return Ok(());
        }
        match fsck::lost(&view.contents(node)).iter().find(|chunk| !self.history.has_destroyed(node, chunk)) {
            Some(blob) => {
                Err(format!("{when}, the disk of node {node} lacks chunk {}, and nothing destroyed it", blob.chunk))
            }
            None => Ok(()),
        }
    }

    fn look_at_core(&self, when: &str, view: &mut dyn View) -> Result<(), String> {
        let nodes = 0..view.scenario().nodes.len();
        nodes
            .filter(|node| view.is_core(*node))
            .collect::<Vec<_>>()
            .into_iter()
            .try_for_each(|node| self.look(node, when, view))
    }
}

impl Rule for Checked {
    fn name(&self) -> &'static str {
        "integrity"
    }

    fn observe(&mut self, at: Duration, event: &Event, view: &mut dyn View) -> Result<(), String> {
        self.history.note(at, event, view);
        match event {
            Event::Ended { op, result: OpResult::Checked(lost) } => self.check(*op, lost, view),
            Event::Up { node } => self.look(*node, "after a start", view),
            Event::Healed => self.look_at_core("when the core is healed", view),
            Event::Ended { .. }
            | Event::Started { .. }
            | Event::Down { .. }
            | Event::Bit { .. }
            | Event::Delivered { .. }
            | Event::Lost { .. }
            | Event::Frame { .. }
            | Event::Heard { .. }
            | Event::Told { .. }
            | Event::Probe { .. } => Ok(()),
        }
    }

    fn judge(&mut self, view: &mut dyn View) -> Result<(), String> {
        self.look_at_core("at the end", view)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::DiskLoss;
    use super::super::testing::{Run, chunk_of};
    use super::*;

    #[test]
    fn a_disk_that_lacks_a_chunk_after_a_start_has_lost_it_to_the_plan() {
        let mut run = Run::new(Checked::default());
        run.put(0, 1, 100, &[0, 1]).unwrap();
        run.see(Event::Up { node: 0 }).unwrap();
        let chunk = chunk_of(&run.view, 0, run.version(100, 0));
        run.view.disks[0].blobs.remove(&chunk);
        let error = run.see(Event::Up { node: 0 }).unwrap_err();
        assert!(error.contains("nothing destroyed it"), "{error}");
        run.see(Event::Healed).unwrap_err();
        run.judge().unwrap_err();
        run.lose(0, DiskLoss::Blobs(vec![chunk]));
        run.see(Event::Up { node: 0 }).unwrap();
        run.judge().unwrap();
    }
}
