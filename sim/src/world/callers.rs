//! Callers: one an operation. They take no time but what the node takes, and a moment to react.

use std::collections::BTreeMap;

use forever_core::command::{Command, CommandError};
use forever_core::event::What;
use forever_core::ids::RequestId;

use super::{Happening, World, record};
use crate::store::{Asked, Event, Known, Next, Op, OpClient, OpError, OpKind, OpResult, View, fsck, parting};

/// A caller of a running node.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) op: usize,
    client: OpClient,
}

/// All operations.
#[derive(Debug, Default)]
pub(super) struct Ops {
    /// Those that have begun and not ended.
    pub(super) running: BTreeMap<usize, Op>,
    /// What callers know of those that have.
    known: Known,
}

impl World {
    /// A caller begins.
    pub(super) fn start_op(&mut self, id: usize, op: &Op) {
        record::other(&self.trace, self.now_us, &self.hosts[op.node].name, "op", &(id, op));
        let mut asked = self.ops.known.asked(self.hosts[op.node].owner, &op.what);
        if let (Some(asked), Some(member)) = (&mut asked, op.what.member()) {
            asked.member = Some(self.hosts[member].id);
        }
        let version = asked.as_ref().and_then(|asked| asked.version);
        self.tell_oracles(Event::Started { op: id, what: op.clone(), asked: version });
        self.ops.running.insert(id, op.clone());
        let Some(asked) = asked else { return self.end_op(id, OpResult::Failed(OpError::NoTicket)) };
        let host = &self.hosts[op.node];
        if host.process.is_none() {
            return self.end_op(id, OpResult::Failed(OpError::Down));
        }
        let begin = Happening::Begin { host: op.node, life: host.life, op: id, asked: Box::new(asked) };
        self.happen(begin);
    }

    /// Operations at a host whose process is stopped, so that they have not reached it.
    #[expect(clippy::wildcard_enum_match_arm, reason = "all else is not an operation")]
    pub(super) fn waiting_ops(&mut self, number: usize) -> Vec<usize> {
        let mut waiting = Vec::new();
        self.hosts[number].backlog.retain(|happening| match happening {
            Happening::Begin { op, .. } => {
                waiting.push(*op);
                false
            }
            _ => true,
        });
        waiting
    }

    /// A caller reaches its node.
    pub(super) fn begin_op(&mut self, id: usize, asked: &Asked) {
        let Some(op) = self.ops.running.get(&id).cloned() else { return };
        if op.what == OpKind::Fsck {
            let lost = fsck::lost(&self.contents(op.node));
            return self.end_op(id, OpResult::Checked(lost));
        }
        let (client, command) = OpClient::new(&op.what, self.scenario.config.chunk_size, asked);
        match self.command(op.node, command) {
            Ok(request) => {
                let Some(process) = &mut self.hosts[op.node].process else { return };
                process.callers.insert(request, Caller { op: id, client });
            }
            Err(error) => self.end_op(id, OpResult::Failed(OpError::Refused(error))),
        }
        self.carry_out(op.node);
    }

    fn command(&mut self, number: usize, command: Command) -> Result<RequestId, CommandError> {
        let host = &mut self.hosts[number];
        record::command(&self.trace, self.now_us, &host.name, &command);
        let now = host.clock.at(self.now_us);
        let process = host.process.as_mut().expect("callers talk to nodes that run");
        process.node.handle_command(now, command)
    }

    /// A caller is told something.
    pub(super) fn tell(&mut self, number: usize, request: RequestId, what: What) {
        let Some(process) = &mut self.hosts[number].process else { return };
        let Some(caller) = process.callers.get_mut(&request) else { return };
        let id = caller.op;
        if let Some(piece) = caller.client.piece(&what) {
            self.events.push(Event::Delivered { op: id, piece });
        }
        let next = caller.client.on_event(request, what);
        self.follow(number, request, id, next);
        self.blame_clock(number);
        self.carry_out(number);
    }

    /// A caller does what it does next.
    fn follow(&mut self, number: usize, request: RequestId, id: usize, next: Next) {
        match next {
            Next::Commands(commands) => self.give(number, request, id, commands),
            Next::Later { after_ms, command } => {
                let life = self.hosts[number].life;
                let give = Happening::Give { host: number, life, request, command: Box::new(command) };
                self.queue.push(self.now_us + u64::from(after_ms) * 1_000, give);
            }
            Next::Done { result, cancel } => {
                if let Some(process) = &mut self.hosts[number].process {
                    process.callers.remove(&request);
                }
                if cancel {
                    // An error means that the request has ended by itself meanwhile.
                    let _ = self.command(number, Command::Cancel { request });
                }
                self.end_op(id, result);
            }
        }
    }

    /// A caller that took its time gives a command.
    pub(super) fn give_now(&mut self, number: usize, request: RequestId, command: Command) {
        let Some(process) = &self.hosts[number].process else { return };
        let Some(id) = process.callers.get(&request).map(|caller| caller.op) else { return };
        self.give(number, request, id, vec![command]);
        let process = self.hosts[number].process.as_mut();
        if let Some(caller) = process.and_then(|process| process.callers.get_mut(&request)) {
            let next = caller.client.after_pause(request);
            self.follow(number, request, id, next);
        }
        self.blame_clock(number);
        self.carry_out(number);
    }

    fn give(&mut self, number: usize, request: RequestId, id: usize, commands: Vec<Command>) {
        for command in commands {
            let stand_in = stand_in(&command);
            let Err(error) = self.command(number, command) else { continue };
            let Some(process) = &mut self.hosts[number].process else { return };
            let Some(caller) = process.callers.get(&request) else { return };
            if let Some(result) = caller.client.refused(&stand_in, error) {
                process.callers.remove(&request);
                let _ = self.command(number, Command::Cancel { request });
                return self.end_op(id, result);
            }
        }
    }

    /// A caller has its answer.
    pub(super) fn end_op(&mut self, id: usize, result: OpResult) {
        let Some(op) = self.ops.running.remove(&id) else { return };
        self.ops.known.note(self.hosts[op.node].owner, &op.what, &result);
        let gone = parting::gone(&op, &result);
        self.tell_oracles(Event::Ended { op: id, result });
        if let Some(node) = gone {
            self.part_with(node);
        }
    }
}

/// A command that is refused like this one, without its bytes.
fn stand_in(command: &Command) -> Command {
    if let Command::PutChunk { request, .. } = command {
        Command::PutEnd { request: *request }
    } else {
        command.clone()
    }
}
