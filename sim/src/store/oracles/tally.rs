//! How operations went: what a sweep adds up, and holds against its goals.

use std::collections::BTreeSet;
use std::ops::AddAssign;
use std::time::Duration;

use forever_core::event::RequestError;
use serde::{Deserialize, Serialize};

use super::super::{Event, OpError, OpResult, View};
use super::{Rule, SharedFindings};

/// How operations went, in one run or in many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Operations of the plan.
    pub ops: u64,
    /// Those that did what they should, or truly said that there is nothing to do it to.
    pub succeeded: u64,
    /// Reads by which the judge looked for acknowledged writes.
    pub reads: u64,
    /// Those that failed, and are excused because the plan destroyed every copy.
    pub excused: u64,
    /// Those that found an older version, because the only repair there is yet (by the writer) could not happen.
    pub unrepaired: u64,
}

impl Tally {
    /// Operations that succeeded, of a thousand.
    #[must_use]
    pub fn success_per_mille(&self) -> u64 {
        self.succeeded * 1_000 / self.ops.max(1)
    }

    /// Reads that were excused, of a thousand: those whose writer could not repair them among them.
    #[must_use]
    pub fn excused_per_mille(&self) -> u64 {
        (self.excused + self.unrepaired) * 1_000 / self.reads.max(1)
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.ops += other.ops;
        self.succeeded += other.succeeded;
        self.reads += other.reads;
        self.excused += other.excused;
        self.unrepaired += other.unrepaired;
    }
}

/// Counts.
pub(crate) struct Counter {
    findings: SharedFindings,
    bitten: BTreeSet<usize>,
    plan_is_over: bool,
    /// Operations of the plan under way.
    open: BTreeSet<usize>,
}

impl Counter {
    pub(crate) fn new(findings: SharedFindings) -> Self {
        Self { findings, bitten: BTreeSet::new(), plan_is_over: false, open: BTreeSet::new() }
    }
}

impl Rule for Counter {
    fn name(&self) -> &'static str {
        "tally"
    }

    fn observe(&mut self, _at: Duration, event: &Event, view: &mut dyn View) -> Result<(), String> {
        match event {
            Event::Started { op, .. } if !self.plan_is_over => {
                self.open.insert(*op);
                self.findings.borrow_mut().tally.ops += 1;
            }
            Event::Ended { op, result } if self.open.remove(op) => {
                self.findings.borrow_mut().tally.succeeded += u64::from(is_success(result));
            }
            Event::Bit { fault } if self.bitten.insert(*fault) => {
                let planned = view.scenario().plan.faults.iter().find(|planned| planned.id == *fault);
                if let Some(planned) = planned {
                    *self.findings.borrow_mut().bites.entry(planned.what.name()).or_default() += 1;
                }
            }
            Event::Healed => self.plan_is_over = true,
            Event::Started { .. }
            | Event::Delivered { .. }
            | Event::Ended { .. }
            | Event::Bit { .. }
            | Event::Up { .. }
            | Event::Down { .. }
            | Event::Lost { .. }
            | Event::Frame { .. }
            | Event::Heard { .. }
            | Event::Told { .. }
            | Event::Probe { .. } => {}
        }
        Ok(())
    }

    fn judge(&mut self, _view: &mut dyn View) -> Result<(), String> {
        Ok(())
    }
}

/// Whether a caller got what it could expect. That there is no such file, or that a length is not the one announced, is an
/// answer; whether it is true is another oracle's business. A caller who goes away wants nothing more.
pub(crate) fn is_success(result: &OpResult) -> bool {
    match result {
        OpResult::Put(_)
        | OpResult::Got(_)
        | OpResult::Deleted(_)
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
        | OpResult::Failed(OpError::NoTicket)
        | OpResult::Abandoned => true,
        OpResult::Failed(OpError::Failed(error)) => match error {
            RequestError::NotFound
            | RequestError::NoSuchVersion
            | RequestError::Range { .. }
            | RequestError::Length { .. }
            | RequestError::Ticket(_)
            | RequestError::TicketExpired { .. }
            | RequestError::TicketGone
            | RequestError::NotDeleted
            | RequestError::NotKept => true,
            RequestError::NotEnoughPeers { .. }
            | RequestError::Unavailable(_)
            | RequestError::Integrity(_)
            | RequestError::DiskFull
            | RequestError::Disk(_)
            | RequestError::Deadline(_)
            | RequestError::ClockBehind
            | RequestError::Stopping
            | RequestError::NoSuchMember
            | RequestError::MemberAlive
            | RequestError::StillOwed { .. } => false,
        },
        OpResult::Failed(OpError::Down | OpError::Gone | OpError::Refused(_) | OpError::Nonsense(_)) => false,
    }
}
