//! Rule: no get returns bytes that were not put under that name, nor, of a version asked for by its number, those of another;
//! and what is said of a file (its length, what its writer said of it, whether a version is a deletion) is what was put.
//!
//! A version that was acknowledged belongs to one put: the bytes must be that put's, exactly, and those of the range asked
//! for. A version that nobody was told of belongs to some put, by the device that the version names: one whose outcome is
//! unknown, which is still under way, or which was stamped anew and then acknowledged with a higher version; the bytes must
//! be those of one such put. Each piece is looked at when it is delivered, so that what a get delivers before it fails, or
//! before its caller goes away, must be right, too.
//!
//! What an undelete puts back is the content of some put; and if all writes of the name that began before its end had been
//! acknowledged before its beginning, and the newest version below the deletion lay on the disk of the node that was asked, it is that one's.
//!
//! An acknowledged version that lies whole on an honest disk, all the while that its node is asked for it, exists.

use std::collections::BTreeMap;
use std::time::Duration;

use forever_core::command::VersionSelector;
use forever_core::event::{FileInfo, RequestError, VersionInfo};
use forever_core::version::Version;

use super::super::{Content, Event, Got, Holding, OpError, OpKind, OpResult, Piece, Range, Said, View, names};
use super::Rule;
use super::history::{self, FileKey, History, Operation, Outcome};

/// The rule in a sentence.
pub const RULE: &str = "no get returns bytes that were not put under that name, or of another version than asked for";

/// The most bytes of contents that are remembered. Beyond it, all are forgotten: to make them again costs only time.
const REMEMBERED_BYTES_MAX: usize = 32 << 20;

/// What a version of a file may be.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Candidate {
    content: Content,
    said: Said,
}

/// The bytes of contents that were asked for before.
#[derive(Default)]
struct Remembered {
    contents: BTreeMap<Content, Vec<u8>>,
    len: usize,
}

impl Remembered {
    fn of(&mut self, content: Content) -> &[u8] {
        if !self.contents.contains_key(&content) {
            if self.len > REMEMBERED_BYTES_MAX {
                *self = Self::default();
            }
            self.len += content.len as usize;
        }
        self.contents.entry(content).or_insert_with(|| content.bytes())
    }
}

/// The oracle.
#[derive(Default)]
pub(crate) struct Integrity {
    history: History,
    remembered: Remembered,
    /// What a get under way may be delivering, by operation.
    readings: BTreeMap<usize, Vec<Candidate>>,
    /// The versions that lay whole on a node's disk when it was asked for them by number, by operation.
    held: BTreeMap<usize, Version>,
    /// The version before the deletion, if it lay on a node's disk when that was asked to put the file back, by operation.
    before: BTreeMap<usize, Version>,
    /// What came back, by file and by the version that it came back as.
    put_back: BTreeMap<(FileKey, Version), Vec<Candidate>>,
}

impl Integrity {
    /// What a version of a file may be.
    fn candidates(&self, view: &dyn View, key: FileKey, version: &Version) -> Vec<Candidate> {
        if let Some(put_back) = self.put_back.get(&(key, *version)) {
            return put_back.clone();
        }
        let made = |operation: &Operation| self.made_by(view, key, operation);
        if let Some(acked) = self.history.acked.get(&key).and_then(|versions| versions.get(version)) {
            return self.history.ops.get(&acked.op).map(made).unwrap_or_default();
        }
        self.writers(view, key, version).flat_map(made).collect()
    }

    /// What a write may have made: what was put, or of what is put back, anything that was put before.
    fn made_by(&self, view: &dyn View, key: FileKey, operation: &Operation) -> Vec<Candidate> {
        let chunk_size = view.scenario().config.chunk_size;
        let given = |operation: &Operation| {
            let (content, said) = operation.op.what.given()?;
            (!operation.op.what.comes_to_nothing(chunk_size)).then_some(Candidate { content, said })
        };
        if !operation.is_undelete() {
            return given(operation).into_iter().collect();
        }
        let ended = operation.ended.as_ref().map_or(u64::MAX, |(ended, ..)| *ended);
        let before = self.history.of_file(key).filter(|(_, other)| other.started < ended);
        before.filter_map(|(_, other)| given(other)).collect()
    }

    /// Notes the newest version below a deletion that is to be undone, if it lies on the disk of the node that is asked.
    fn on_undelete(&mut self, op: usize, view: &mut dyn View) {
        let Some(operation) = self.history.ops.get(&op) else { return };
        let Some(key) = operation.file().map(|file| (operation.owner, file)) else { return };
        let versions = || self.history.acked.get(&key).into_iter().flatten().rev();
        let is_deleted = versions().next().is_some_and(|(_, acked)| acked.deleted);
        let before = versions().find(|(_, acked)| !acked.deleted).map(|(version, _)| *version);
        let Some(before) = before.filter(|_| is_deleted) else { return };
        let node = operation.op.node;
        let Some((owner, name)) = history::address(view, key) else { return };
        if !self.history.is_untrusted(view, node) && view.holding(node, owner, name, &before) != Holding::Absent {
            self.before.insert(op, before);
        }
    }

    /// A deleted file is back.
    fn check_put_back(
        &mut self,
        view: &dyn View,
        op: usize,
        operation: &Operation,
        info: &FileInfo,
    ) -> Result<(), String> {
        let mut candidates = self.check_info(view, operation.owner, info)?;
        let Some(file) = operation.file() else { return Ok(()) };
        let key = (operation.owner, file);
        let is_settled = |(number, other): (usize, &Operation)| {
            let is_before = other.ended.as_ref().is_some_and(|(ended, ..)| *ended < operation.started);
            number == op || !(other.is_put() || other.is_delete()) || is_before && !other.is_uncertain()
        };
        if let Some(before) = self.before.get(&op)
            && self.history.of_file(key).all(is_settled)
        {
            let due = self.candidates(view, key, before);
            candidates.retain(|candidate| due.contains(candidate));
            if candidates.is_empty() {
                let before = history::show(before);
                return Err(format!(
                    "another content of file {file} than that of version {before}, the one before the deletion"
                ));
            }
        }
        self.put_back.insert((key, info.version), candidates);
        Ok(())
    }

    /// The writes that may have made a version which nobody was told of.
    fn writers(&self, view: &dyn View, key: FileKey, version: &Version) -> impl Iterator<Item = &Operation> {
        let (writer, version) = (history::node_of(view, version.node), *version);
        self.history.of_file(key).map(|(_, operation)| operation).filter(move |operation| {
            (operation.is_put() || operation.is_delete())
                && Some(operation.op.node) == writer
                && match operation.outcome() {
                    None | Some(Outcome::Unknown) => true,
                    // It may have been stamped anew: then it had a lower version before.
                    Some(Outcome::Acked { version: last, .. }) => *last > version,
                    Some(Outcome::Answered | Outcome::Refused) => false,
                }
        })
    }

    fn check_info(&self, view: &dyn View, owner: usize, info: &FileInfo) -> Result<Vec<Candidate>, String> {
        let Some(file) = names::file_of(&info.name) else {
            return Err(format!("a file named {:?}, which nobody put", info.name.as_str()));
        };
        let mut candidates = self.candidates(view, (owner, file), &info.version);
        if candidates.is_empty() {
            return Err(format!("version {} of file {file}, which nobody put", history::show(&info.version)));
        }
        candidates.retain(|candidate| u64::from(candidate.content.len) == info.size);
        let chunks = info.size.div_ceil(u64::from(view.scenario().config.chunk_size));
        if candidates.is_empty() || info.chunks != chunks {
            return Err(format!(
                "file {file} as {} bytes in {} chunks, which is not the length of what was put",
                info.size, info.chunks
            ));
        }
        candidates.retain(|candidate| {
            let meta = candidate.said.meta(candidate.content.len);
            (meta.mtime_ms, meta.mode, &meta.content_type) == (info.mtime_ms, info.mode, &info.content_type)
        });
        if candidates.is_empty() {
            return Err(format!("file {file} with another time, mode or content type than it was put with"));
        }
        Ok(candidates)
    }

    fn check_got(&mut self, view: &dyn View, operation: &Operation, got: &Got) -> Result<(), String> {
        let Some((file, range)) = operation.reads() else {
            return Err("a file without having asked for one".into());
        };
        if names::file_of(&got.file.name) != Some(file) {
            return Err(format!("file {:?} in place of file {file}", got.file.name.as_str()));
        }
        check_asked(operation.asked, &got.file.version)?;
        let candidates = self.check_info(view, operation.owner, &got.file)?;
        let Some((first, end)) = within(range, got.file.size) else {
            return Err(format!("{} bytes of a range that lies outside the file", got.bytes.len()));
        };
        if got.first != first || got.bytes.len() as u64 != end - first {
            let len = got.bytes.len();
            return Err(format!("{len} bytes from byte {} where bytes {first}..{end} were asked for", got.first));
        }
        if !candidates.iter().any(|candidate| self.has(candidate, first, &got.bytes)) {
            return Err(wrong_bytes(file, &got.file.version));
        }
        Ok(())
    }

    fn has(&mut self, candidate: &Candidate, first: u64, bytes: &[u8]) -> bool {
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        self.remembered.of(candidate.content).get(first..first.saturating_add(bytes.len())) == Some(bytes)
    }

    /// Each piece must be of what the pieces before it may have been of.
    fn check_piece(&mut self, view: &dyn View, op: usize, piece: &Piece) -> Result<(), String> {
        let Some(operation) = self.history.ops.get(&op) else { return Err("bytes that nobody asked for".into()) };
        let Some((file, range)) = operation.reads() else {
            return Err("bytes without having asked for any".into());
        };
        check_asked(operation.asked, &piece.version)?;
        let owner = operation.owner;
        let before = self.readings.remove(&op);
        let mut candidates = before.unwrap_or_else(|| self.candidates(view, (owner, file), &piece.version));
        let end = piece.first + piece.bytes.len() as u64;
        candidates.retain(|candidate| {
            let asked = within(range, u64::from(candidate.content.len));
            asked.is_some_and(|asked| asked.0 <= piece.first && end <= asked.1)
                && self.has(candidate, piece.first, &piece.bytes)
        });
        if candidates.is_empty() {
            return Err(wrong_bytes(file, &piece.version));
        }
        self.readings.insert(op, candidates);
        Ok(())
    }

    /// Notes whether what is asked for by its number lies whole on the disk of the node that is asked.
    fn on_started(&mut self, op: usize, view: &mut dyn View) {
        let Some(operation) = self.history.ops.get(&op) else { return };
        let (Some(asked), Some(file)) = (operation.asked, operation.file()) else { return };
        let (node, acked) = (operation.op.node, self.history.acked.get(&(operation.owner, file)));
        let is_it = |(version, acked): &(&Version, &history::Acked)| !acked.deleted && asked.matches(version);
        let Some((version, _)) = acked.into_iter().flatten().find(is_it) else { return };
        let version = *version;
        if self.is_whole(view, node, (operation.owner, file), &version) {
            self.held.insert(op, version);
        }
    }

    fn is_whole(&self, view: &mut dyn View, node: usize, key: FileKey, version: &Version) -> bool {
        let Some((owner, name)) = history::address(view, key) else { return false };
        !self.history.is_untrusted(view, node)
            && matches!(view.holding(node, owner, name, version), Holding::Whole(_) | Holding::Light(_))
    }

    /// A get was told that there is no such file or version.
    fn check_absent(&self, view: &mut dyn View, op: usize, operation: &Operation) -> Result<(), String> {
        let (Some(version), Some(file)) = (self.held.get(&op), operation.file()) else { return Ok(()) };
        if !self.is_whole(view, operation.op.node, (operation.owner, file), version) {
            return Ok(());
        }
        let version = history::show(version);
        Err(format!("no version {version} of file {file}, which was acknowledged and lies whole on its disk"))
    }

    /// Whether a ticket may be void because of a write that stands above the version it opens.
    fn may_be_gone(&self, operation: &Operation) -> bool {
        let Some(ticketed) = self.history.ticketed(operation) else { return false };
        self.history.of_file(ticketed.key).any(|(_, write)| {
            (write.is_put() || write.is_delete())
                && match write.outcome() {
                    None | Some(Outcome::Unknown) => true,
                    Some(Outcome::Acked { version, .. }) => *version > ticketed.version,
                    Some(Outcome::Answered | Outcome::Refused) => false,
                }
        })
    }

    /// A get was told that its range lies outside the file, and how long that is.
    fn check_outside(&self, view: &dyn View, operation: &Operation, len: u64) -> Result<(), String> {
        let Some((file, range)) = operation.reads() else {
            return Err("a range without having asked for one".into());
        };
        if let Some((first, end)) = within(range, len) {
            return Err(format!("no bytes {first}..{end} of file {file}, although it has {len}"));
        }
        let chunk_size = view.scenario().config.chunk_size;
        let is_len = |(_, operation): (usize, &Operation)| {
            let what = &operation.op.what;
            let has_len = what.given().is_some_and(|(content, _)| u64::from(content.len) == len);
            has_len && !what.comes_to_nothing(chunk_size)
        };
        if self.history.of_file((operation.owner, file)).any(is_len) {
            return Ok(());
        }
        Err(format!("a length of {len} bytes, which no content of file {file} has"))
    }

    fn check_versions(&self, view: &dyn View, owner: usize, file: u32, info: &VersionInfo) -> Result<(), String> {
        let shown = history::show(&info.version);
        let acked = self.history.acked.get(&(owner, file)).and_then(|acked| acked.get(&info.version));
        let is_right_kind = match acked {
            Some(acked) => acked.deleted == info.deleted,
            None => self.writers(view, (owner, file), &info.version).any(|write| write.is_delete() == info.deleted),
        };
        if !is_right_kind {
            return Err(format!("version {shown} as what it is not"));
        }
        let Some(size) = info.size else { return Ok(()) };
        let candidates = self.candidates(view, (owner, file), &info.version);
        if !candidates.iter().any(|candidate| u64::from(candidate.content.len) == size) {
            return Err(format!("version {shown} of file {file} with {size} bytes, which nobody put"));
        }
        Ok(())
    }

    fn check(&mut self, view: &mut dyn View, op: usize, result: &OpResult) -> Result<(), String> {
        let Some(operation) = self.history.ops.get(&op).cloned() else { return Err("an answer to nothing".into()) };
        let owner = operation.owner;
        match result {
            OpResult::Got(got) => self.check_got(view, &operation, got),
            OpResult::Listed { files, .. } => {
                files.iter().try_for_each(|file| self.check_info(view, owner, file).map(|_| ()))
            }
            OpResult::Stat(stat) => self.check_info(view, owner, &stat.file).map(|_| ()),
            OpResult::Put(report) if operation.is_undelete() => self.check_put_back(view, op, &operation, &report.file),
            OpResult::Put(report) => self.check_info(view, owner, &report.file).map(|_| ()),
            OpResult::Shared(share) => {
                check_asked(operation.asked, &share.file.version)?;
                self.check_info(view, owner, &share.file).map(|_| ())
            }
            OpResult::Versions(versions) => {
                let Some(file) = operation.file() else { return Ok(()) };
                versions.iter().try_for_each(|info| self.check_versions(view, owner, file, info))
            }
            OpResult::Failed(OpError::Failed(error)) => self.check_failed(view, op, &operation, error),
            OpResult::Failed(OpError::Nonsense(what)) => Err(format!("nonsense: {what}")),
            OpResult::Deleted(_)
            | OpResult::Evicted { .. }
            | OpResult::Restored(_)
            | OpResult::Scrubbed(_)
            | OpResult::Checked(_)
            | OpResult::Left
            | OpResult::Forgotten
            | OpResult::Abandoned
            | OpResult::Failed(OpError::Down | OpError::Gone | OpError::NoTicket | OpError::Refused(_)) => Ok(()),
        }
    }

    fn check_failed(
        &self,
        view: &mut dyn View,
        op: usize,
        operation: &Operation,
        error: &RequestError,
    ) -> Result<(), String> {
        match error {
            RequestError::NotFound | RequestError::NoSuchVersion | RequestError::TicketGone
                if self.may_be_gone(operation) =>
            {
                Ok(())
            }
            RequestError::NotFound | RequestError::NoSuchVersion => self.check_absent(view, op, operation),
            RequestError::TicketGone if self.history.ticketed(operation).is_some() => {
                self.check_absent(view, op, operation)
            }
            // Whether they are true is the authority oracle's business.
            RequestError::Ticket(_) | RequestError::TicketExpired { .. } if operation.asked.is_some() => Ok(()),
            RequestError::Range { len } => self.check_outside(view, operation, *len),
            RequestError::Length { announced, got } => check_length(operation, *announced, *got),
            RequestError::Ticket(_) | RequestError::TicketExpired { .. } | RequestError::TicketGone => {
                Err(format!("nobody has a ticket, and the answer was: {error}"))
            }
            // Whether it is true is the sessions oracle's business.
            RequestError::NotDeleted | RequestError::NotKept if operation.is_undelete() => Ok(()),
            RequestError::NotDeleted | RequestError::NotKept => {
                Err(format!("nobody put a deleted file back, and the answer was: {error}"))
            }
            RequestError::StillOwed { owed } if operation.op.what == OpKind::Leave && *owed > 0 => Ok(()),
            RequestError::NoSuchMember | RequestError::MemberAlive if operation.op.what.member().is_some() => Ok(()),
            RequestError::NoSuchMember | RequestError::MemberAlive | RequestError::StillOwed { .. } => {
                Err(format!("nobody asked for members, and the answer was: {error}"))
            }
            RequestError::NotEnoughPeers { .. }
            | RequestError::Unavailable(_)
            | RequestError::Integrity(_)
            | RequestError::DiskFull
            | RequestError::Disk(_)
            | RequestError::Deadline(_)
            | RequestError::ClockBehind
            | RequestError::Stopping => Ok(()),
        }
    }
}

/// A put was told that its length is not the one that it announced.
fn check_length(operation: &Operation, announced: u64, got: u64) -> Result<(), String> {
    if let OpKind::Put { content, said, .. } = &operation.op.what
        && announced != got
        && got == u64::from(content.len)
        && said.meta(content.len).len == Some(announced)
    {
        return Ok(());
    }
    Err(format!("{got} bytes where {announced} were announced, to {:?}", operation.op.what))
}

fn check_asked(asked: Option<VersionSelector>, version: &Version) -> Result<(), String> {
    match asked.filter(|asked| !asked.matches(version)) {
        None => Ok(()),
        Some(asked) => Err(format!("version {}, where version {asked} was asked for", history::show(version))),
    }
}

/// First byte and end of what is asked for of a file of so many bytes; `None` if it has none of them.
fn within(range: Option<Range>, size: u64) -> Option<(u64, u64)> {
    range.map_or(Some((0, size)), |range| range.within(size))
}

fn wrong_bytes(file: u32, version: &Version) -> String {
    format!("bytes of file {file}, version {}, that are not those that were put", history::show(version))
}

impl Rule for Integrity {
    fn name(&self) -> &'static str {
        "integrity"
    }

    fn observe(&mut self, at: Duration, event: &Event, view: &mut dyn View) -> Result<(), String> {
        self.history.note(at, event, view);
        let (op, checked) = match event {
            Event::Started { op, what, .. } => {
                self.on_started(*op, view);
                if matches!(&what.what, OpKind::Undelete { .. }) {
                    self.on_undelete(*op, view);
                }
                return Ok(());
            }
            Event::Delivered { op, piece } => (op, self.check_piece(view, *op, piece)),
            Event::Ended { op, result } => {
                let checked = self.check(view, *op, result);
                self.readings.remove(op);
                self.held.remove(op);
                self.before.remove(op);
                (op, checked)
            }
            Event::Up { .. }
            | Event::Down { .. }
            | Event::Bit { .. }
            | Event::Lost { .. }
            | Event::Frame { .. }
            | Event::Heard { .. }
            | Event::Told { .. }
            | Event::Probe { .. }
            | Event::Healed => return Ok(()),
        };
        checked.map_err(|what| {
            let node = self.history.ops.get(op).map_or(0, |operation| operation.op.node);
            format!("operation {op} at node {node} was answered with {what}")
        })
    }

    fn judge(&mut self, _view: &mut dyn View) -> Result<(), String> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
