//! A caller of a node: from an operation to commands, and from events to its result. The same in both tiers.

use forever_core::bulk::PlainChunk;
use forever_core::command::{Command, CommandError};
use forever_core::event::{FileInfo, PutReport, What};
use forever_core::ids::RequestId;

use super::event::{Got, OpError, OpResult, Piece};
use super::{Asked, OpKind, Part, Reader, names};

/// How many pieces a slow caller is slow with: it is to hold the node up, not the simulation.
pub(super) const SLOW_PIECES_MAX: u32 = 8;

/// What a caller does next.
#[derive(Debug)]
pub enum Next {
    /// Gives these commands, in order; refusals go to [`OpClient::refused`].
    Commands(Vec<Command>),
    /// Gives this command after so many milliseconds; what then comes [`OpClient::after_pause`] says.
    Later {
        /// How many.
        after_ms: u32,
        /// The command.
        command: Command,
    },
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
    Put(Giving),
    Get(Reading),
    Scrub { steps: u32, abandon_after: Option<u32> },
    Other,
}

/// A put in the middle.
#[derive(Debug)]
struct Giving {
    content: Vec<u8>,
    given: usize,
    chunk_size: usize,
    /// Chunks that the node takes now.
    credit: usize,
    ended: bool,
    abandon_after: Option<u32>,
    slow_ms: u32,
    pauses: u32,
    is_pausing: bool,
}

/// A get in the middle.
#[derive(Debug, Default)]
struct Reading {
    reader: Reader,
    file: Option<FileInfo>,
    first: u64,
    len: u64,
    pieces: u32,
    bytes: Vec<u8>,
}

impl OpClient {
    /// A caller, and its first command.
    ///
    /// # Panics
    /// When it is to redeem a ticket and brings none, or to write a node off and knows none.
    #[must_use]
    pub fn new(what: &OpKind, chunk_size: u32, asked: &Asked) -> (Self, Command) {
        let mut doing = Doing::Other;
        let command = match what {
            OpKind::Put { file, content, abandon_after, said, slow_ms } => {
                let meta = said.meta(content.len);
                doing = Doing::Put(Giving {
                    content: content.bytes(),
                    given: 0,
                    chunk_size: chunk_size as usize,
                    credit: 0,
                    ended: false,
                    abandon_after: *abandon_after,
                    slow_ms: *slow_ms,
                    pauses: 0,
                    is_pausing: false,
                });
                Command::Put { name: names::of(*file), meta }
            }
            OpKind::Get { file, range, reader, .. } => {
                doing = Doing::Get(Reading { reader: *reader, ..Reading::default() });
                Command::Get {
                    name: names::of(*file),
                    version: asked.version,
                    range: range.map(|range| range.request()),
                }
            }
            OpKind::Delete { file } => Command::Delete { name: names::of(*file) },
            OpKind::Undelete { file } => Command::Undelete { name: names::of(*file) },
            OpKind::List => list(&Part::ALL),
            OpKind::ListPart(part) => list(part),
            OpKind::Stat { file } => Command::Stat { name: names::of(*file), version: None, holders: true },
            OpKind::Versions { file } => Command::Versions { name: names::of(*file) },
            OpKind::Evict { file } => Command::Evict { name: names::of(*file) },
            OpKind::Restore => Command::Restore { dry_run: false },
            OpKind::Scrub { abandon_after } => {
                doing = Doing::Scrub { steps: 0, abandon_after: *abandon_after };
                Command::Scrub { from_start: false }
            }
            // Tiers have a disk checked beside its node: this is not asked of one.
            OpKind::Fsck => Command::Status,
            OpKind::Leave => Command::Leave,
            OpKind::Forget { .. } => {
                Command::Forget { node: asked.member.expect("whoever writes a node off knows it") }
            }
            OpKind::Share { file, valid_ms, .. } => {
                Command::Share { name: names::of(*file), version: asked.version, valid_ms: *valid_ms }
            }
            OpKind::Redeem { range, .. } => {
                doing = Doing::Get(Reading::default());
                let ticket = asked.ticket.clone().expect("nobody redeems a ticket without one");
                Command::GetShared { ticket, range: range.map(|range| range.request()) }
            }
        };
        (Self { doing }, command)
    }

    /// What the caller does on an event of its request.
    pub fn on_event(&mut self, request: RequestId, what: What) -> Next {
        if let What::Failed(error) = what {
            return done(OpResult::Failed(OpError::Failed(error)));
        }
        match &mut self.doing {
            Doing::Put(giving) => giving.on_event(request, what),
            Doing::Get(_) => self.on_get(request, what),
            Doing::Scrub { steps, abandon_after } => {
                *steps += 1;
                if abandon_after.is_some_and(|after| *steps >= after) && !what.is_last() {
                    return Next::Done { result: OpResult::Abandoned, cancel: true };
                }
                on_other(what)
            }
            Doing::Other => on_other(what),
        }
    }

    /// What the caller does once it has given the command that it took its time for.
    pub fn after_pause(&mut self, request: RequestId) -> Next {
        match &mut self.doing {
            Doing::Put(giving) => giving.after_pause(request),
            Doing::Get(_) | Doing::Scrub { .. } | Doing::Other => Next::Commands(Vec::new()),
        }
    }

    /// What the caller does when a command of its was refused.
    #[must_use]
    pub fn refused(&self, command: &Command, error: CommandError) -> Option<OpResult> {
        // The credit of a request's last bytes finds it ended; a put that has failed takes no more chunks.
        let is_late = error == CommandError::NoRequest && !matches!(command, Command::Put { .. } | Command::Get { .. });
        (!is_late).then_some(OpResult::Failed(OpError::Refused(error)))
    }

    /// The bytes that an event of this request delivers.
    #[must_use]
    pub fn piece(&self, what: &What) -> Option<Piece> {
        let (Doing::Get(reading), What::GetData(plain)) = (&self.doing, what) else { return None };
        let first = reading.first + reading.bytes.len() as u64;
        Some(Piece { version: reading.file.as_ref()?.version, first, bytes: plain.0.clone() })
    }

    fn on_get(&mut self, request: RequestId, what: What) -> Next {
        let Doing::Get(reading) = &mut self.doing else { unreachable!("called for gets only") };
        match what {
            What::GetStart { file, first, len } if reading.file.is_none() => {
                (reading.file, reading.first, reading.len) = (Some(file), first, len);
                Next::Commands(Vec::new())
            }
            What::GetData(plain) if reading.file.is_some() => reading.on_data(request, &plain.0),
            What::GetDone => {
                let Some(file) = reading.file.take() else { return nonsense("a get", &What::GetDone) };
                if reading.bytes.len() as u64 != reading.len {
                    let what = format!("a get announced {} bytes and delivered {}", reading.len, reading.bytes.len());
                    return done(OpResult::Failed(OpError::Nonsense(what)));
                }
                done(OpResult::Got(Got { file, first: reading.first, bytes: std::mem::take(&mut reading.bytes) }))
            }
            other @ (What::PutReady { .. }
            | What::GetStart { .. }
            | What::GetData(_)
            | What::PutDone(_)
            | What::Deleted(_)
            | What::Undeleted { .. }
            | What::Listed { .. }
            | What::Stat(_)
            | What::Versions(_)
            | What::Shared(_)
            | What::Evicted { .. }
            | What::RestoreFound(_)
            | What::RestoreProgress(_)
            | What::Restored(_)
            | What::Left
            | What::Forgotten
            | What::ScrubProgress(_)
            | What::Scrubbed(_)
            | What::Status(_)
            | What::Peers(_)
            | What::Failed(_)) => nonsense("a get", &other),
        }
    }
}

impl Giving {
    fn on_event(&mut self, request: RequestId, what: What) -> Next {
        let ready = match what {
            What::PutReady { chunks } => chunks as usize,
            What::PutDone(report) => return done(OpResult::Put(report)),
            other @ (What::GetStart { .. }
            | What::GetData(_)
            | What::GetDone
            | What::Deleted(_)
            | What::Undeleted { .. }
            | What::Listed { .. }
            | What::Stat(_)
            | What::Versions(_)
            | What::Shared(_)
            | What::Evicted { .. }
            | What::RestoreFound(_)
            | What::RestoreProgress(_)
            | What::Restored(_)
            | What::Left
            | What::Forgotten
            | What::ScrubProgress(_)
            | What::Scrubbed(_)
            | What::Status(_)
            | What::Peers(_)
            | What::Failed(_)) => return nonsense("a put", &other),
        };
        self.credit += ready;
        if self.is_pausing { Next::Commands(Vec::new()) } else { self.go_on(request) }
    }

    fn after_pause(&mut self, request: RequestId) -> Next {
        self.is_pausing = false;
        self.go_on(request)
    }

    /// Gives what it may: all of it or, slowly, the next piece.
    fn go_on(&mut self, request: RequestId) -> Next {
        let mut commands = Vec::new();
        let is_slow = self.slow_ms > 0 && self.pauses < SLOW_PIECES_MAX;
        let most = if is_slow { self.credit.min(1) } else { self.credit };
        for chunk in self.content[self.given..].chunks(self.chunk_size).take(most) {
            let mut plain = PlainChunk::with_capacity(self.chunk_size);
            plain.extend(chunk);
            commands.push(Command::PutChunk { request, plain });
            self.given += chunk.len();
            self.credit -= 1;
            if self.abandon_after.is_some_and(|after| self.given >= after as usize * self.chunk_size) {
                return Next::Done { result: OpResult::Abandoned, cancel: true };
            }
        }
        if self.given == self.content.len() && !self.ended && (commands.is_empty() || !is_slow) {
            self.ended = true;
            commands.push(Command::PutEnd { request });
        }
        match commands.pop() {
            Some(command) if is_slow => {
                self.is_pausing = true;
                self.pauses += 1;
                Next::Later { after_ms: self.slow_ms, command }
            }
            last => {
                commands.extend(last);
                Next::Commands(commands)
            }
        }
    }
}

impl Reading {
    fn on_data(&mut self, request: RequestId, plain: &[u8]) -> Next {
        self.bytes.extend_from_slice(plain);
        self.pieces += 1;
        if self.reader.abandon_after.is_some_and(|after| self.pieces >= after) {
            return Next::Done { result: OpResult::Abandoned, cancel: true };
        }
        let command = Command::GetCredit { request, bytes: plain.len() as u64 };
        if self.reader.slow_ms > 0 && self.pieces <= SLOW_PIECES_MAX {
            return Next::Later { after_ms: self.reader.slow_ms, command };
        }
        Next::Commands(vec![command])
    }
}

fn list(part: &Part) -> Command {
    Command::List { prefix: part.prefix(), after: part.after(), limit: part.limit }
}

fn on_other(what: What) -> Next {
    match what {
        What::Deleted(report) => done(OpResult::Deleted(report)),
        What::Undeleted { file, write } => done(OpResult::Put(PutReport { file, new_bytes: 0, sent_bytes: 0, write })),
        What::Listed { files, more } => done(OpResult::Listed { files, more }),
        What::Stat(stat) => done(OpResult::Stat(stat)),
        What::Versions(versions) => done(OpResult::Versions(versions)),
        What::Evicted { freed_bytes, promised_by } => done(OpResult::Evicted { freed_bytes, promised_by }),
        What::RestoreProgress(_) | What::ScrubProgress(_) => Next::Commands(Vec::new()),
        What::Restored(report) => done(OpResult::Restored(report)),
        What::Scrubbed(report) => done(OpResult::Scrubbed(report)),
        What::Shared(share) => done(OpResult::Shared(share)),
        What::Left => done(OpResult::Left),
        What::Forgotten => done(OpResult::Forgotten),
        What::PutReady { .. }
        | What::PutDone(_)
        | What::GetStart { .. }
        | What::GetData(_)
        | What::GetDone
        | What::RestoreFound(_)
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

#[cfg(test)]
mod tests;
