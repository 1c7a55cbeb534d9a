//! A caller of a node: from an operation to commands, and from events to its result. The same in both tiers.

use forever_core::bulk::PlainChunk;
use forever_core::command::{Command, CommandError, PutMeta, RangeRequest, VersionSelector};
use forever_core::event::{FileInfo, What};
use forever_core::ids::RequestId;

use super::event::{Got, OpError, OpResult};
use super::{OpKind, names};

/// What a caller does next.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "few are alive at a time")]
pub enum Next {
    /// Gives these commands, in order; refusals go to [`OpClient::refused`].
    Commands(Vec<Command>),
    /// It has its result. If the request has not ended by itself, it is to be cancelled.
    Done {
        /// The result.
        result: OpResult,
        /// Whether the request still runs.
        cancel: bool,
    },
}

/// A caller in the middle of an operation.
#[derive(Debug)]
pub struct OpClient {
    doing: Doing,
}

#[derive(Debug)]
enum Doing {
    Put { content: Vec<u8>, given: usize, chunk_size: usize, ended: bool, abandon_after: Option<u32> },
    Get { file: Option<FileInfo>, first: u64, len: u64, bytes: Vec<u8> },
    Other,
}

impl OpClient {
    /// A caller, and its first command. `old` is the version that a get of an old version asks for.
    #[must_use]
    pub fn new(what: &OpKind, chunk_size: u32, old: Option<VersionSelector>) -> (Self, Command) {
        let mut doing = Doing::Other;
        let command = match what {
            OpKind::Put { file, content, abandon_after } => {
                let content = content.bytes();
                let meta = PutMeta { len: Some(content.len() as u64), ..PutMeta::default() };
                let chunk_size = chunk_size as usize;
                doing = Doing::Put { content, given: 0, chunk_size, ended: false, abandon_after: *abandon_after };
                Command::Put { name: names::of(*file), meta }
            }
            OpKind::Get { file, range, .. } => {
                doing = Doing::Get { file: None, first: 0, len: 0, bytes: Vec::new() };
                let range = range.map(|range| RangeRequest::From {
                    first: range.first,
                    last: Some(range.first + range.len.max(1) - 1),
                });
                Command::Get { name: names::of(*file), version: old, range }
            }
            OpKind::Delete { file } => Command::Delete { name: names::of(*file) },
            OpKind::List => Command::List { prefix: String::new(), after: None, limit: 10_000 },
            OpKind::Stat { file } => Command::Stat { name: names::of(*file), version: None, holders: true },
            OpKind::Versions { file } => Command::Versions { name: names::of(*file) },
            OpKind::Evict { file } => Command::Evict { name: names::of(*file) },
            OpKind::Restore => Command::Restore,
        };
        (Self { doing }, command)
    }

    /// What the caller does on an event of its request.
    pub fn on_event(&mut self, request: RequestId, what: What) -> Next {
        if let What::Failed(error) = what {
            return done(OpResult::Failed(OpError::Failed(error)));
        }
        match &mut self.doing {
            Doing::Put { .. } => self.on_put(request, what),
            Doing::Get { .. } => self.on_get(request, what),
            Doing::Other => on_other(what),
        }
    }

    /// What the caller does when a command of its was refused.
    #[must_use]
    pub fn refused(&self, command: &Command, error: CommandError) -> Option<OpResult> {
        // The credit of a request's last bytes finds it ended; a put that has failed takes no more chunks.
        let is_late = error == CommandError::NoRequest && !matches!(command, Command::Put { .. } | Command::Get { .. });
        (!is_late).then_some(OpResult::Failed(OpError::Refused(error)))
    }

    fn on_put(&mut self, request: RequestId, what: What) -> Next {
        let Doing::Put { content, given, chunk_size, ended, abandon_after } = &mut self.doing else {
            unreachable!("called for puts only")
        };
        let ready = match what {
            What::PutReady { chunks } => chunks as usize,
            What::PutDone(report) => return done(OpResult::Put(report)),
            other @ (What::GetStart { .. }
            | What::GetData(_)
            | What::GetDone
            | What::Deleted(_)
            | What::Listed { .. }
            | What::Stat(_)
            | What::Versions(_)
            | What::Shared(_)
            | What::Evicted { .. }
            | What::RestoreProgress(_)
            | What::Restored(_)
            | What::Status(_)
            | What::Peers(_)
            | What::Failed(_)) => return nonsense("a put", &other),
        };
        let mut commands = Vec::new();
        for chunk in content[*given..].chunks(*chunk_size).take(ready) {
            let mut plain = PlainChunk::with_capacity(*chunk_size);
            plain.extend(chunk);
            commands.push(Command::PutChunk { request, plain });
            *given += chunk.len();
            if abandon_after.is_some_and(|after| *given >= after as usize * *chunk_size) {
                return Next::Done { result: OpResult::Abandoned, cancel: true };
            }
        }
        if *given == content.len() && !*ended {
            *ended = true;
            commands.push(Command::PutEnd { request });
        }
        Next::Commands(commands)
    }

    fn on_get(&mut self, request: RequestId, what: What) -> Next {
        let Doing::Get { file, first, len, bytes } = &mut self.doing else { unreachable!("called for gets only") };
        match what {
            What::GetStart { file: found, first: from, len: announced } => {
                (*file, *first, *len) = (Some(found), from, announced);
                Next::Commands(Vec::new())
            }
            What::GetData(plain) => {
                bytes.extend_from_slice(&plain.0);
                Next::Commands(vec![Command::GetCredit { request, bytes: plain.0.len() as u64 }])
            }
            What::GetDone => {
                let Some(file) = file.take() else { return nonsense("a get", &What::GetDone) };
                if bytes.len() as u64 != *len {
                    let what = format!("a get announced {len} bytes and delivered {}", bytes.len());
                    return done(OpResult::Failed(OpError::Nonsense(what)));
                }
                done(OpResult::Got(Got { file, first: *first, bytes: std::mem::take(bytes) }))
            }
            other @ (What::PutReady { .. }
            | What::PutDone(_)
            | What::Deleted(_)
            | What::Listed { .. }
            | What::Stat(_)
            | What::Versions(_)
            | What::Shared(_)
            | What::Evicted { .. }
            | What::RestoreProgress(_)
            | What::Restored(_)
            | What::Status(_)
            | What::Peers(_)
            | What::Failed(_)) => nonsense("a get", &other),
        }
    }
}

fn on_other(what: What) -> Next {
    match what {
        What::Deleted(report) => done(OpResult::Deleted(report)),
        What::Listed { files, .. } => done(OpResult::Listed(files)),
        What::Stat(stat) => done(OpResult::Stat(stat)),
        What::Versions(versions) => done(OpResult::Versions(versions)),
        What::Evicted { freed_bytes, promised_by } => done(OpResult::Evicted { freed_bytes, promised_by }),
        What::RestoreProgress(_) => Next::Commands(Vec::new()),
        What::Restored(report) => done(OpResult::Restored(report)),
        What::PutReady { .. }
        | What::PutDone(_)
        | What::GetStart { .. }
        | What::GetData(_)
        | What::GetDone
        | What::Shared(_)
        | What::Status(_)
        | What::Peers(_)
        | What::Failed(_) => nonsense("a request", &what),
    }
}

fn done(result: OpResult) -> Next {
    Next::Done { result, cancel: false }
}

fn nonsense(request: &str, what: &What) -> Next {
    done(OpResult::Failed(OpError::Nonsense(format!("{request} was answered by {what:?}"))))
}
