//! Callers of a node, on its own host: operations as requests through its [`Handle`].

use std::sync::Arc;
use std::time::Duration;

use forever_core::command::CommandError;
use forever_core::event::What;
use forever_net_tokio::handle::{Handle, Request};
use tokio::sync::mpsc;

use super::board::Board;
use super::net::TurmoilNet;
use crate::store::{Asked, Next, OpClient, OpError, OpKind, OpResult};
use crate::trace::Tracer;

/// An operation on its way to a node.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) op: usize,
    pub(crate) what: OpKind,
    pub(crate) asked: Asked,
}

/// What callers need of their host.
pub(crate) struct Callers {
    pub(crate) handle: Handle,
    pub(crate) net: TurmoilNet,
    pub(crate) board: Board,
    pub(crate) tracer: Tracer,
    pub(crate) chunk_size: u32,
}

/// Runs every call in a task of its own.
pub(crate) async fn serve(callers: Callers, mut calls: mpsc::UnboundedReceiver<Call>) {
    let callers = Arc::new(callers);
    while let Some(call) = calls.recv().await {
        callers.board.stir();
        let caller = Arc::clone(&callers);
        callers.net.spawn_local(async move {
            let op = call.op;
            let result = caller.run(call).await;
            caller.board.ended(op, result);
        });
    }
}

impl Callers {
    async fn run(&self, call: Call) -> OpResult {
        let (mut client, command) = OpClient::new(&call.what, self.chunk_size, &call.asked);
        let mut request = match self.handle.request(command).await {
            Ok(request) => request,
            Err(error) => return OpResult::Failed(refused(error)),
        };
        loop {
            let Some(what) = request.next().await else { return OpResult::Failed(OpError::Gone) };
            self.note(call.op, &what);
            if let Some(piece) = client.piece(&what) {
                self.board.delivered(call.op, piece);
            }
            let mut next = client.on_event(request.id, what);
            loop {
                let (commands, is_after_pause) = match next {
                    Next::Commands(commands) => (commands, false),
                    Next::Later { after_ms, command } => {
                        tokio::time::sleep(Duration::from_millis(u64::from(after_ms))).await;
                        (vec![command], true)
                    }
                    // A request that is dropped before its end is cancelled.
                    Next::Done { result, .. } => return result,
                };
                for command in commands {
                    if let Some(result) = give(&client, &request, command).await {
                        return result;
                    }
                }
                if !is_after_pause {
                    break;
                }
                next = client.after_pause(request.id);
            }
        }
    }

    fn note(&self, op: usize, what: &What) {
        self.tracer.value("event", &(op as u64, what));
    }
}

/// Gives a command that belongs to a request; the operation's result, if a refusal ends it.
async fn give(client: &OpClient, request: &Request, command: forever_core::command::Command) -> Option<OpResult> {
    match request.send(command.clone()).await {
        Ok(()) => None,
        Err(CommandError::Stopping) => Some(OpResult::Failed(OpError::Gone)),
        Err(error) => client.refused(&command, error),
    }
}

/// A node that has gone refuses commands as one that is stopping does.
fn refused(error: CommandError) -> OpError {
    if error == CommandError::Stopping { OpError::Gone } else { OpError::Refused(error) }
}
