//! Operations at this tier: how they reach their nodes, and what is told of them.

use super::TurmoilTier;
use super::caller::Call;
use crate::store::parting;
use crate::store::{Event, Op, OpError, OpKind, OpResult, View};

impl TurmoilTier {
    /// A caller of a node begins.
    pub(super) fn call(&mut self, id: usize, op: &Op) {
        self.trace.record_value(self.sim.elapsed(), "tier", "call", &(id as u64, op));
        let mut asked = self.known.asked(self.scenario.nodes[op.node].owner, &op.what);
        if let (Some(asked), Some(member)) = (&mut asked, op.what.member()) {
            asked.member = Some(self.node_id(member));
        }
        let version = asked.as_ref().and_then(|asked| asked.version);
        self.board.emit(Event::Started { op: id, what: op.clone(), asked: version });
        self.board.opened(id, op.node);
        self.called.insert(id, op.clone());
        let Some(asked) = asked else { return self.board.ended(id, OpResult::Failed(OpError::NoTicket)) };
        if op.what == OpKind::Fsck {
            let result = self.check_disk(op.node);
            return self.board.ended(id, result);
        }
        let host = &self.hosts[op.node];
        let call = Call { op: id, what: op.what.clone(), asked };
        let is_taken =
            host.status.shown().is_up && host.calls.borrow().as_ref().is_some_and(|calls| calls.send(call).is_ok());
        if !is_taken {
            self.board.ended(id, OpResult::Failed(OpError::Down));
        }
    }

    /// All that has happened since the last call.
    pub(super) fn tell(&mut self, events: &mut Vec<Event>) {
        for event in self.board.take_events() {
            if let Event::Ended { op, result } = &event {
                self.settling.ended(*op);
                if let Some(what) = self.called.remove(op) {
                    self.known.note(self.scenario.nodes[what.node].owner, &what.what, result);
                    if let Some(node) = parting::gone(&what, result) {
                        self.part_with(node);
                    }
                }
                self.trace.record(self.sim.elapsed(), "tier", "ended", format!("{op} {}", kind_of(result)).as_bytes());
            }
            events.push(event);
        }
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
        OpResult::Checked(lost) => format!("checked: {} lost", lost.len()),
        OpResult::Left => "left".into(),
        OpResult::Forgotten => "forgotten".into(),
        OpResult::Shared(_) => "shared".into(),
        OpResult::Abandoned => "abandoned".into(),
        OpResult::Failed(error) => format!("failed: {error}"),
    }
}
