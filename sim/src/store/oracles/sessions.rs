//! Rule: on one node, a caller reads its own writes, reads never go back, and a device's stamps only grow.
//!
//! What an operation must see is what had ended on that node before it began: the acknowledged writes, and the versions
//! that were read there and lie on its disk. (A version that was read from a peer and not kept is seen again only if that
//! peer can be reached.) "No such file" is right if some delete, by whichever device of the owner, may stand above. A node
//! that loses its disk starts anew.

use std::collections::BTreeMap;
use std::time::Duration;

use forever_core::event::RequestError;
use forever_core::version::Version;

use super::super::{Event, Holding, OpError, OpKind, OpResult, View, names};
use super::Rule;
use super::history::{self, FileKey, History, Operation, Outcome};

/// The rule in a sentence.
pub const RULE: &str = "on one node, reads see its writes and never go back, and stamps only grow";

/// What a node must show from an event on.
#[derive(Clone, Copy, Debug)]
struct Floor {
    since: u64,
    version: Version,
    deleted: bool,
}

/// The oracle.
#[derive(Default)]
pub(crate) struct Sessions {
    history: History,
    /// By node and file, in order of events and of versions.
    floors: BTreeMap<(usize, FileKey), Vec<Floor>>,
    /// The highest stamp of each node so far, by event.
    stamps: BTreeMap<usize, Vec<(u64, Version)>>,
}

impl Sessions {
    fn floor(&self, node: usize, key: FileKey, before: u64) -> Option<Floor> {
        self.floors.get(&(node, key))?.iter().rev().find(|floor| floor.since < before).copied()
    }

    fn raise(&mut self, node: usize, key: FileKey, version: Version, deleted: bool) {
        let floors = self.floors.entry((node, key)).or_default();
        if floors.last().is_none_or(|floor| floor.version < version) {
            floors.push(Floor { since: self.history.now, version, deleted });
        }
    }

    fn on_stamp(&mut self, node: usize, started: u64, version: Version) -> Result<(), String> {
        let stamps = self.stamps.entry(node).or_default();
        let before = stamps.iter().rev().find(|(since, _)| *since < started);
        if let Some((_, before)) = before.filter(|(_, before)| *before >= version) {
            return Err(format!("stamped version {} after version {}", history::show(&version), history::show(before)));
        }
        if stamps.last().is_none_or(|(_, last)| *last < version) {
            stamps.push((self.history.now, version));
        }
        Ok(())
    }

    /// Whether a delete may stand above a version.
    fn may_be_deleted_above(&self, key: FileKey, version: Version) -> bool {
        self.history.of_file(key).any(|(_, operation)| {
            operation.is_delete()
                && match operation.outcome() {
                    None | Some(Outcome::Unknown) => true,
                    Some(Outcome::Acked { version: deleted, .. }) => *deleted > version,
                    Some(Outcome::Answered | Outcome::Refused) => false,
                }
        })
    }

    fn check_seen(&self, operation: &Operation, file: u32, seen: Version) -> Result<(), String> {
        let floor = self.floor(operation.op.node, (operation.owner, file), operation.started);
        match floor.filter(|floor| seen < floor.version) {
            None => Ok(()),
            Some(floor) => {
                let what = if floor.deleted { "deleted" } else { "written or read" };
                let (seen, version) = (history::show(&seen), history::show(&floor.version));
                Err(format!("saw version {seen} of file {file}, where version {version} had been {what} there before"))
            }
        }
    }

    fn check_absent(&self, operation: &Operation, file: u32) -> Result<(), String> {
        let key = (operation.owner, file);
        let floor = self.floor(operation.op.node, key, operation.started).filter(|floor| !floor.deleted);
        match floor.filter(|floor| !self.may_be_deleted_above(key, floor.version)) {
            None => Ok(()),
            Some(floor) => {
                let version = history::show(&floor.version);
                Err(format!("saw no file {file}, where version {version} had been written or read there before"))
            }
        }
    }

    fn check_list(&self, operation: &Operation, files: &[forever_core::event::FileInfo]) -> Result<(), String> {
        let mut listed: BTreeMap<u32, Version> = BTreeMap::new();
        for info in files {
            let Some(file) = names::file_of(&info.name) else { continue };
            self.check_seen(operation, file, info.version)?;
            listed.insert(file, info.version);
        }
        let node = operation.op.node;
        let of_node = self.floors.keys().filter(|(of, (owner, _))| *of == node && *owner == operation.owner);
        for (_, (_, file)) in of_node.filter(|(_, (_, file))| !listed.contains_key(file)) {
            self.check_absent(operation, *file)?;
        }
        Ok(())
    }

    fn check(&mut self, operation: &Operation, result: &OpResult, view: &mut dyn View) -> Result<(), String> {
        let node = operation.op.node;
        if let Some(Outcome::Acked { version, .. }) = operation.outcome() {
            let (version, deleted) = (*version, operation.is_delete());
            self.on_stamp(node, operation.started, version)?;
            if let Some(file) = operation.file() {
                self.raise(node, (operation.owner, file), version, deleted);
            }
            return Ok(());
        }
        match (&operation.op.what, result) {
            (OpKind::Get { file, old: None, .. }, OpResult::Got(got)) => {
                self.on_read(operation, *file, got.file.version, view)
            }
            (OpKind::Stat { file }, OpResult::Stat(stat)) => self.on_read(operation, *file, stat.file.version, view),
            (OpKind::Versions { file }, OpResult::Versions(versions)) => {
                let Some(newest) = versions.iter().find(|info| info.current) else { return Ok(()) };
                self.check_seen(operation, *file, newest.version)
            }
            (
                OpKind::Get { file, old: None, .. } | OpKind::Stat { file },
                OpResult::Failed(OpError::Failed(RequestError::NotFound)),
            ) => self.check_absent(operation, *file),
            (OpKind::List, OpResult::Listed(files)) => self.check_list(operation, files),
            // All else tells nothing of what is there.
            (_, _) => Ok(()),
        }
    }

    fn on_read(
        &mut self,
        operation: &Operation,
        file: u32,
        version: Version,
        view: &mut dyn View,
    ) -> Result<(), String> {
        self.check_seen(operation, file, version)?;
        let node = operation.op.node;
        let (owner, name) = (view.keys(node).owner_id(), view.keys(node).name_id(&names::of(file)));
        if view.holding(node, owner, name, &version) != Holding::Absent {
            self.raise(node, (operation.owner, file), version, false);
        }
        Ok(())
    }
}

impl Rule for Sessions {
    fn name(&self) -> &'static str {
        "sessions"
    }

    fn observe(&mut self, at: Duration, event: &Event, view: &mut dyn View) -> Result<(), String> {
        self.history.note(at, event, view);
        match event {
            Event::Ended { op, result } => {
                let Some(operation) = self.history.ops.get(op).cloned() else { return Ok(()) };
                let node = operation.op.node;
                if self.history.is_untrusted(view, node) {
                    return Ok(());
                }
                self.check(&operation, result, view).map_err(|what| format!("operation {op} at node {node} {what}"))
            }
            Event::Lost { node, .. } if self.history.is_wiped(*node, self.history.now) => {
                self.floors.retain(|(of, _), _| of != node);
                self.stamps.remove(node);
                Ok(())
            }
            Event::Lost { .. }
            | Event::Started { .. }
            | Event::Up { .. }
            | Event::Down { .. }
            | Event::Bit { .. }
            | Event::Frame { .. }
            | Event::Probe { .. }
            | Event::Healed => Ok(()),
        }
    }

    fn judge(&mut self, _view: &mut dyn View) -> Result<(), String> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
