//! Rule: no get returns bytes that were not put under that name; and what is said of a file (its length, whether a version is
//! a deletion) is what was put.
//!
//! A version that was acknowledged belongs to one put: the bytes must be that put's, exactly, and those of the range asked
//! for. A version that nobody was told of belongs to some put, by the device that the version names: one whose outcome is
//! unknown, which is still under way, or which was stamped anew; the bytes must be those of one such put.

use std::time::Duration;

use forever_core::event::{FileInfo, RequestError};
use forever_core::version::Version;

use super::super::{Content, Event, Got, OpError, OpKind, OpResult, Range, View, names};
use super::Rule;
use super::history::{self, FileKey, History, Outcome};

/// The rule in a sentence.
pub const RULE: &str = "no get returns bytes that were not put under that name";

/// The oracle.
#[derive(Default)]
pub(crate) struct Integrity {
    history: History,
}

impl Integrity {
    /// The contents that a version of a file may have.
    fn candidates(&self, view: &dyn View, key: FileKey, version: &Version) -> Vec<Content> {
        let put = |op: &usize| match &self.history.ops.get(op)?.op.what {
            OpKind::Put { content, .. } => Some(*content),
            OpKind::Get { .. }
            | OpKind::Delete { .. }
            | OpKind::List
            | OpKind::Stat { .. }
            | OpKind::Versions { .. }
            | OpKind::Evict { .. }
            | OpKind::Restore => None,
        };
        if let Some(acked) = self.history.acked.get(&key).and_then(|versions| versions.get(version)) {
            return put(&acked.op).into_iter().collect();
        }
        let Some(writer) = history::node_of(view, version.node) else { return Vec::new() };
        let may_be = self.history.of_file(key).filter(|(_, operation)| {
            operation.is_put() && operation.op.node == writer && operation.outcome() != Some(&Outcome::Refused)
        });
        may_be.filter_map(|(op, _)| put(&op)).collect()
    }

    fn check_info(&self, view: &dyn View, owner: usize, info: &FileInfo) -> Result<Vec<Content>, String> {
        let Some(file) = names::file_of(&info.name) else {
            return Err(format!("a file named {:?}, which nobody put", info.name.as_str()));
        };
        let mut candidates = self.candidates(view, (owner, file), &info.version);
        if candidates.is_empty() {
            return Err(format!("version {} of file {file}, which nobody put", history::show(&info.version)));
        }
        candidates.retain(|content| u64::from(content.len) == info.size);
        if candidates.is_empty() {
            return Err(format!("file {file} as {} bytes, which is not the length of what was put", info.size));
        }
        Ok(candidates)
    }

    fn check_got(&self, view: &dyn View, owner: usize, what: &OpKind, got: &Got) -> Result<(), String> {
        let OpKind::Get { file, range, .. } = what else { return Err("a file without having asked for one".into()) };
        if names::file_of(&got.file.name) != Some(*file) {
            return Err(format!("file {:?} in place of file {file}", got.file.name.as_str()));
        }
        let candidates = self.check_info(view, owner, &got.file)?;
        let (first, end) = expected_range(*range, got.file.size);
        if got.first != first || got.bytes.len() as u64 != end - first {
            let len = got.bytes.len();
            return Err(format!("{len} bytes from byte {} where bytes {first}..{end} were asked for", got.first));
        }
        let (first, end) = (to_usize(first), to_usize(end));
        if !candidates.iter().any(|content| content.bytes().get(first..end) == Some(&got.bytes)) {
            let version = history::show(&got.file.version);
            return Err(format!("bytes of file {file}, version {version}, that are not those that were put"));
        }
        Ok(())
    }

    fn check(&self, view: &dyn View, op: usize, result: &OpResult) -> Result<(), String> {
        let Some(operation) = self.history.ops.get(&op) else { return Err("an answer to nothing".into()) };
        let owner = operation.owner;
        match result {
            OpResult::Got(got) => self.check_got(view, owner, &operation.op.what, got),
            OpResult::Listed(files) => files.iter().try_for_each(|file| self.check_info(view, owner, file).map(|_| ())),
            OpResult::Stat(stat) => self.check_info(view, owner, &stat.file).map(|_| ()),
            OpResult::Put(report) => self.check_info(view, owner, &report.file).map(|_| ()),
            OpResult::Versions(versions) => {
                let Some(file) = operation.file() else { return Ok(()) };
                for info in versions {
                    let acked = self.history.acked.get(&(owner, file)).and_then(|acked| acked.get(&info.version));
                    if acked.is_some_and(|acked| acked.deleted != info.deleted) {
                        return Err(format!("version {} as what it is not", history::show(&info.version)));
                    }
                    let Some(size) = info.size else { continue };
                    let candidates = self.candidates(view, (owner, file), &info.version);
                    if !candidates.iter().any(|content| u64::from(content.len) == size) {
                        return Err(format!("a version of file {file} with {size} bytes, which nobody put"));
                    }
                }
                Ok(())
            }
            OpResult::Failed(OpError::Failed(RequestError::Range { len })) => {
                let is_len = |(_, operation): (usize, &history::Operation)| match &operation.op.what {
                    OpKind::Put { content, .. } => u64::from(content.len) == *len,
                    OpKind::Get { .. }
                    | OpKind::Delete { .. }
                    | OpKind::List
                    | OpKind::Stat { .. }
                    | OpKind::Versions { .. }
                    | OpKind::Evict { .. }
                    | OpKind::Restore => false,
                };
                let Some(file) = operation.file() else { return Ok(()) };
                if self.history.of_file((owner, file)).any(is_len) {
                    return Ok(());
                }
                Err(format!("a length of {len} bytes, which no content of file {file} has"))
            }
            OpResult::Failed(OpError::Nonsense(what)) => Err(format!("nonsense: {what}")),
            OpResult::Deleted(_)
            | OpResult::Evicted { .. }
            | OpResult::Restored(_)
            | OpResult::Abandoned
            | OpResult::Failed(OpError::Down | OpError::Gone | OpError::Refused(_) | OpError::Failed(_)) => Ok(()),
        }
    }
}

fn expected_range(range: Option<Range>, size: u64) -> (u64, u64) {
    match range {
        None => (0, size),
        Some(range) => (range.first.min(size), range.first.saturating_add(range.len.max(1)).min(size)),
    }
}

fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

impl Rule for Integrity {
    fn name(&self) -> &'static str {
        "integrity"
    }

    fn observe(&mut self, at: Duration, event: &Event, view: &mut dyn View) -> Result<(), String> {
        self.history.note(at, event, view);
        let Event::Ended { op, result } = event else { return Ok(()) };
        self.check(view, *op, result).map_err(|what| {
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
