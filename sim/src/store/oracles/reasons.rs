//! Rule: an operation fails only for a reason that there is. A disk is said to have failed only where the plan lets it fail, and to be
//! full only where there is a limit; nothing is damaged if nobody damages anything; clocks are behind only where the plan sets
//! them; and what a put has stored of its file stays until the put has ended, unless a caller evicts it or the plan destroys it.
//!
//! That others cannot be reached, or do not answer in time, has too many reasons to be judged here.

use std::time::Duration;

use forever_core::event::RequestError;

use super::super::{DiskLoss, Event, Family, Fault, OpError, OpKind, OpResult, View};
use super::Rule;
use super::history::{History, Operation};
use crate::system::Step as _;

/// The rule in a sentence.
pub const RULE: &str = "an operation fails only for a reason that there is";

/// The oracle.
#[derive(Default)]
pub(crate) struct Reasons {
    history: History,
}

impl Reasons {
    fn has_reason(&self, operation: &Operation, error: &RequestError, view: &dyn View) -> bool {
        let scenario = view.scenario();
        let (config, node) = (&scenario.config, operation.op.node);
        let is_in_plan = |is: &dyn Fn(&Fault) -> bool| scenario.plan.faults.iter().any(|fault| is(&fault.what));
        let of_disk = |fault: &Fault| matches!(fault.family(), "disk" | "liar") && fault.nodes().contains(&node);
        // The power may go while the disk is checked, by nobody whom that ends.
        let is_checked = operation.op.what == OpKind::Fsck;
        let is_dark = |fault: &Fault| is_checked && matches!(fault, Fault::PowerLoss { node: dark } if *dark == node);
        match error {
            RequestError::Disk(_) => is_in_plan(&|fault| of_disk(fault) || is_dark(fault)),
            RequestError::DiskFull => {
                is_in_plan(&|fault| matches!(fault, Fault::Full { node: full, .. } if *full == node))
                    || config.store_max_bytes > 0
            }
            RequestError::Integrity(_) => {
                is_in_plan(&|fault| matches!(fault.family(), "disk" | "liar")) || !self.history.losses.is_empty()
            }
            RequestError::ClockBehind => {
                scenario.families.contains(&Family::Clock) || is_in_plan(&|fault| fault.family() == "clock")
            }
            RequestError::Unavailable(_) if matches!(operation.op.what, OpKind::Put { .. }) => {
                let is_here = |(_, loser, _): &(u64, usize, DiskLoss)| *loser == node;
                self.history.losses.iter().any(is_here)
                    || self.is_evicted_meanwhile(operation)
                    || self.is_contended(operation)
            }
            RequestError::NotFound
            | RequestError::NoSuchVersion
            | RequestError::NotDeleted
            | RequestError::NotKept
            | RequestError::Ticket(_)
            | RequestError::TicketExpired { .. }
            | RequestError::TicketGone
            | RequestError::Range { .. }
            | RequestError::NotEnoughPeers { .. }
            | RequestError::Unavailable(_)
            | RequestError::Deadline(_)
            | RequestError::Length { .. }
            | RequestError::Stopping
            | RequestError::NoSuchMember
            | RequestError::MemberAlive
            | RequestError::StillOwed { .. } => true,
        }
    }

    /// Whether somebody else wrote the same file meanwhile, or a write of it at another node may yet take effect.
    fn is_contended(&self, operation: &Operation) -> bool {
        let Some(file) = operation.file() else { return false };
        self.history.of_file((operation.owner, file)).any(|(_, other)| {
            (other.is_put() || other.is_delete())
                && other.started != operation.started
                && (other.is_uncertain() && other.op.node != operation.op.node
                    || other.ended.as_ref().is_none_or(|(ended, ..)| *ended >= operation.started))
        })
    }

    /// Whether a caller had something of the same owner evicted from the node while the operation was under way: files share chunks.
    fn is_evicted_meanwhile(&self, operation: &Operation) -> bool {
        self.history.ops.values().any(|other| {
            matches!(other.op.what, OpKind::Evict { .. })
                && other.op.node == operation.op.node
                && other.ended.as_ref().is_none_or(|(ended, ..)| *ended >= operation.started)
        })
    }
}

impl Rule for Reasons {
    fn name(&self) -> &'static str {
        "reasons"
    }

    fn observe(&mut self, at: Duration, event: &Event, view: &mut dyn View) -> Result<(), String> {
        self.history.note(at, event, view);
        let Event::Ended { op, result: OpResult::Failed(OpError::Failed(error)) } = event else { return Ok(()) };
        let Some(operation) = self.history.ops.get(op) else { return Ok(()) };
        if self.has_reason(operation, error, view) {
            return Ok(());
        }
        let node = operation.op.node;
        Err(format!("operation {op} at node {node} fails, and nothing that happened is a reason for it: {error}"))
    }

    fn judge(&mut self, _view: &mut dyn View) -> Result<(), String> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Run, plan_fault, put_of};
    use super::*;

    fn fails(run: &mut Run<Reasons>, error: RequestError) -> Result<(), String> {
        let op = run.start(0, put_of(1));
        run.end(op, OpResult::Failed(OpError::Failed(error)))
    }

    #[test]
    fn a_disk_is_said_to_have_failed_only_where_it_may() {
        let mut run = Run::new(Reasons::default());
        for error in [
            RequestError::Disk("no".into()),
            RequestError::DiskFull,
            RequestError::Integrity("no".into()),
            RequestError::ClockBehind,
            RequestError::Unavailable("no".into()),
        ] {
            assert!(fails(&mut run, error).unwrap_err().contains("nothing that happened"));
        }
        fails(&mut run, RequestError::NotEnoughPeers { needed: 2, have: 1, why: String::new() }).unwrap();
        plan_fault(&mut run.view, Fault::Full { node: 0, free_bytes: 0 });
        fails(&mut run, RequestError::Disk("no".into())).unwrap();
        fails(&mut run, RequestError::DiskFull).unwrap();
        fails(&mut run, RequestError::ClockBehind).unwrap_err();
        plan_fault(&mut run.view, Fault::Jump { node: 1, ahead_ms: 5 });
        fails(&mut run, RequestError::ClockBehind).unwrap();
    }

    #[test]
    fn the_power_may_go_while_a_disk_is_checked() {
        let mut run = Run::new(Reasons::default());
        let no_power = || OpResult::Failed(OpError::Failed(RequestError::Disk("the power is gone".into())));
        let check = run.start(0, OpKind::Fsck);
        run.end(check, no_power()).unwrap_err();
        plan_fault(&mut run.view, Fault::PowerLoss { node: 0 });
        let (check, put) = (run.start(0, OpKind::Fsck), run.start(0, put_of(1)));
        run.end(check, no_power()).unwrap();
        run.end(put, no_power()).unwrap_err();
    }

    #[test]
    fn what_a_put_has_stored_may_go_if_a_caller_evicts_meanwhile() {
        let mut run = Run::new(Reasons::default());
        let unavailable = || OpResult::Failed(OpError::Failed(RequestError::Unavailable("a chunk has gone".into())));
        let evict = run.start(0, OpKind::Evict { file: 2 });
        let put = run.start(0, put_of(1));
        run.end(put, unavailable()).unwrap();
        run.end(evict, OpResult::Evicted { freed_bytes: 1, promised_by: Vec::new() }).unwrap();
        let put = run.start(0, put_of(3));
        run.end(put, unavailable()).unwrap_err();
    }
}
