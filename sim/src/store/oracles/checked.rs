//! Rule (a part of integrity): what a check of a disk says is lost was destroyed by the plan; and it says so of all that a look at the
//! disk shows to be lost.
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
        let was_destroyed = |chunk: &BlobKey| self.history.is_destroyed(node, 0, std::slice::from_ref(chunk));
        if let Some(blob) = lost.iter().find(|chunk| !was_destroyed(chunk)) {
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
}

impl Rule for Checked {
    fn name(&self) -> &'static str {
        "integrity"
    }

    fn observe(&mut self, at: Duration, event: &Event, view: &mut dyn View) -> Result<(), String> {
        self.history.note(at, event, view);
        if let Event::Ended { op, result: OpResult::Checked(lost) } = event {
            return self.check(*op, lost, view);
        }
        Ok(())
    }

    fn judge(&mut self, _view: &mut dyn View) -> Result<(), String> {
        Ok(())
    }
}
