//! Operations at this tier: how they reach their nodes, and what is told of them.

use forever_core::command::VersionSelector;

use super::TurmoilTier;
use super::caller::Call;
use crate::store::{Event, Op, OpError, OpKind, OpResult, names};

impl TurmoilTier {
    /// A caller of a node begins.
    pub(super) fn call(&mut self, id: usize, op: &Op) {
        self.trace.record_value(self.sim.elapsed(), "tier", "call", &(id as u64, op));
        let old = self.old_version(op);
        self.board.emit(Event::Started { op: id, what: op.clone(), asked: old });
        self.board.opened(id, op.node);
        let host = &self.hosts[op.node];
        let call = Call { op: id, what: op.what.clone(), old };
        let is_taken =
            host.status.shown().is_up && host.calls.borrow().as_ref().is_some_and(|calls| calls.send(call).is_ok());
        if !is_taken {
            self.board.ended(id, OpResult::Failed(OpError::Down));
        }
    }

    fn old_version(&self, op: &Op) -> Option<VersionSelector> {
        let OpKind::Get { file, old: Some(nth), .. } = &op.what else { return None };
        let versions = self.known.get(&(self.scenario.nodes[op.node].owner, *file))?;
        versions.iter().nth(*nth as usize % versions.len()).map(VersionSelector::from)
    }

    /// All that has happened since the last call.
    pub(super) fn tell(&mut self, events: &mut Vec<Event>) {
        for event in self.board.take_events() {
            if let Event::Ended { op, result: OpResult::Put(report) } = &event
                && let Some(file) = names::file_of(&report.file.name)
                && let Some(owner) = self.owner_of_op(*op)
            {
                self.known.entry((owner, file)).or_default().insert(report.file.version);
            }
            if let Event::Ended { op, result } = &event {
                self.settling.ended(*op);
                self.trace.record(self.sim.elapsed(), "tier", "ended", format!("{op} {}", kind_of(result)).as_bytes());
            }
            events.push(event);
        }
    }

    fn owner_of_op(&self, op: usize) -> Option<usize> {
        let planned = self.scenario.plan.ops.iter().find(|planned| planned.id == op)?;
        Some(self.scenario.nodes[planned.what.node].owner)
    }
}

fn kind_of(result: &OpResult) -> String {
    match result {
        OpResult::Put(_) => "put".into(),
        OpResult::Got(_) => "got".into(),
        OpResult::Deleted(_) => "deleted".into(),
        OpResult::Listed { .. } => "listed".into(),
        OpResult::Stat(_) => "stat".into(),
        OpResult::Versions(_) => "versions".into(),
        OpResult::Evicted { .. } => "evicted".into(),
        OpResult::Restored(_) => "restored".into(),
        OpResult::Scrubbed(_) => "scrubbed".into(),
        OpResult::Abandoned => "abandoned".into(),
        OpResult::Failed(error) => format!("failed: {error}"),
    }
}
