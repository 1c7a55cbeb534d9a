//! Rule: on one node, a caller reads its own writes, reads never go back, and a device's stamps only grow.
//!
//! What an operation must see is what had ended on that node before it began: the acknowledged writes, and the versions
//! that were read there and lie on its disk. (A version that was read from a peer and not kept is seen again only if that
//! peer can be reached.) "No such file" is right if some delete, by whichever device of the owner, may stand above. A node
//! that loses its disk starts anew. Where a deletion was written or read, and nothing may have been put above it, whoever wants the
//! file back is not told that it is not deleted.
//!
//! And what a node tells is well formed: a list is in order, has what was asked for and lacks nothing before its end, neither what was
//! written or read there nor what lies on the disk as a name's newest version; a history is in order, its newest version alone is the current one, and it lacks none that lies on the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use forever_core::event::{FileInfo, RequestError, VersionInfo};
use forever_core::version::Version;

use super::super::{Event, Holding, OpError, OpKind, OpResult, Part, View, names};
use super::Rule;
use super::history::{self, FileKey, History, Operation, Outcome};

/// The rule in a sentence.
pub const RULE: &str = "on one node, reads see its writes and never go back, and stamps only grow";

/// Of so many of a file's newest versions it is looked whether a history tells of them.
const LOOKED_AT_MAX: usize = 4;

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
    /// The versions that lay on a node's disk when it was asked for a history, by operation.
    held: BTreeMap<usize, Vec<Version>>,
    /// The files that lay on a node's disk when it was asked for a list, by operation.
    lying: BTreeMap<usize, BTreeMap<u32, Version>>,
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

    /// Whoever wants a deleted file back hears that it is not deleted.
    fn check_not_deleted(&self, operation: &Operation, file: u32) -> Result<(), String> {
        let key = (operation.owner, file);
        let Some(floor) = self.floor(operation.op.node, key, operation.started).filter(|floor| floor.deleted) else {
            return Ok(());
        };
        let may_be_above = self.history.of_file(key).any(|(_, other)| {
            other.is_put()
                && match other.outcome() {
                    None | Some(Outcome::Unknown) => true,
                    Some(Outcome::Acked { version, .. }) => *version > floor.version,
                    Some(Outcome::Answered | Outcome::Refused) => false,
                }
        });
        if may_be_above {
            return Ok(());
        }
        let version = history::show(&floor.version);
        Err(format!(
            "found file {file} not to be deleted, where version {version}, a deletion, had been written there before"
        ))
    }

    /// A list is in order, keeps to what was asked for, and lacks nothing up to where it ends.
    fn check_list(
        &self,
        operation: &Operation,
        op: usize,
        (part, files, more): (&Part, &[FileInfo], bool),
        view: &mut dyn View,
    ) -> Result<(), String> {
        if let Some(pair) = files.windows(2).find(|pair| pair[0].name.as_str() >= pair[1].name.as_str()) {
            return Err(format!("lists {:?} before {:?}", pair[0].name.as_str(), pair[1].name.as_str()));
        }
        if let Some(stray) = files.iter().find(|info| !part.has(info.name.as_str())) {
            return Err(format!("lists {:?}, which was not asked for", stray.name.as_str()));
        }
        if files.len() > part.limit as usize || (more && files.len() < part.limit as usize) {
            let (listed, limit) = (files.len(), part.limit);
            return Err(format!("lists {listed} files where {limit} were asked for, and more is {more}"));
        }
        let mut listed: BTreeSet<u32> = BTreeSet::new();
        for info in files {
            let Some(file) = names::file_of(&info.name) else { continue };
            self.check_seen(operation, file, info.version)?;
            listed.insert(file);
        }
        let end = files.last().filter(|_| more).map(|info| info.name.as_str().to_string());
        let is_due = |file: u32| {
            let name = names::of(file);
            part.has(name.as_str()) && end.as_ref().is_none_or(|end| name.as_str() <= end.as_str())
        };
        let node = operation.op.node;
        let of_node = self.floors.keys().filter(|(of, (owner, _))| *of == node && *owner == operation.owner);
        for (_, (_, file)) in of_node.filter(|(_, (_, file))| !listed.contains(file) && is_due(*file)) {
            self.check_absent(operation, *file)?;
        }
        let Some(lying) = self.lying.get(&op) else { return Ok(()) };
        let still = self.files_on(node, operation.owner, view);
        let is_unlisted = |(file, version): &(&u32, &Version)| {
            still.get(file) == Some(version) && is_due(**file) && !listed.contains(file)
        };
        match lying.iter().find(is_unlisted) {
            Some((file, version)) => {
                let version = history::show(version);
                Err(format!("does not list file {file}, whose version {version} lies on its disk"))
            }
            None => Ok(()),
        }
    }

    /// The files of an owner whose newest version on the disk of a node is no deletion, with that version.
    fn files_on(&self, node: usize, owner: usize, view: &mut dyn View) -> BTreeMap<u32, Version> {
        let contents = view.contents(node);
        let of_owner = self.history.files(owner);
        let newest = of_owner.filter_map(|file| {
            let (owner, name) = history::address(&*view, (owner, file))?;
            let newest = contents.of_name(owner, name).max_by_key(|signed| signed.rank())?;
            newest.record.body.is_file().then_some((file, newest.record.version))
        });
        newest.collect()
    }

    /// A history is in order, newest first; the newest, and only that, is the current one; and it lacks no acknowledged
    /// version that lay on the disk all the while.
    fn check_versions(
        &self,
        operation: &Operation,
        op: usize,
        file: u32,
        versions: &[VersionInfo],
        view: &mut dyn View,
    ) -> Result<(), String> {
        if let Some(pair) = versions.windows(2).find(|pair| pair[0].version <= pair[1].version) {
            let (one, other) = (history::show(&pair[0].version), history::show(&pair[1].version));
            return Err(format!("tells of version {one} of file {file} before version {other}"));
        }
        if let Some(odd) = versions.iter().enumerate().find(|(place, info)| info.current != (*place == 0)) {
            let version = history::show(&odd.1.version);
            return Err(format!("tells of version {version} of file {file} as current, or not, wrongly"));
        }
        let Some(newest) = versions.first() else { return Err(format!("tells of no version of file {file}")) };
        self.check_seen(operation, file, newest.version)?;
        for version in self.held.get(&op).into_iter().flatten() {
            let is_told = versions.iter().any(|info| info.version == *version);
            if !is_told && Self::is_held(view, operation.op.node, file, version) {
                let version = history::show(version);
                return Err(format!("tells nothing of version {version} of file {file}, which lies on its disk"));
            }
        }
        Ok(())
    }

    fn is_held(view: &mut dyn View, node: usize, file: u32, version: &Version) -> bool {
        let (owner, name) = (view.keys(node).owner_id(), view.keys(node).name_id(&names::of(file)));
        view.holding(node, owner, name, version) != Holding::Absent
    }

    /// Notes what lies on the disk of a node that is asked for a list, or for a history: of that, acknowledged versions.
    fn on_started(&mut self, op: usize, view: &mut dyn View) {
        let Some(operation) = self.history.ops.get(&op) else { return };
        if matches!(operation.op.what, OpKind::List | OpKind::ListPart(_)) {
            let lying = self.files_on(operation.op.node, operation.owner, view);
            self.lying.insert(op, lying);
            return;
        }
        let OpKind::Versions { file } = operation.op.what else { return };
        let node = operation.op.node;
        let acked = self.history.acked.get(&(operation.owner, file)).into_iter().flatten().rev();
        let newest: Vec<Version> = acked.map(|(version, _)| *version).take(LOOKED_AT_MAX).collect();
        let held = newest.into_iter().filter(|version| Self::is_held(view, node, file, version));
        self.held.insert(op, held.collect());
    }

    fn check(
        &mut self,
        operation: &Operation,
        op: usize,
        result: &OpResult,
        view: &mut dyn View,
    ) -> Result<(), String> {
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
            (OpKind::Share { file, old: None, .. }, OpResult::Shared(share)) => {
                self.check_seen(operation, *file, share.file.version)
            }
            (OpKind::Stat { file }, OpResult::Stat(stat)) => self.on_read(operation, *file, stat.file.version, view),
            (OpKind::Versions { file }, OpResult::Versions(versions)) => {
                self.check_versions(operation, op, *file, versions, view)
            }
            (
                OpKind::Get { file, old: None, .. } | OpKind::Stat { file },
                OpResult::Failed(OpError::Failed(RequestError::NotFound)),
            ) => self.check_absent(operation, *file),
            (OpKind::Undelete { file }, OpResult::Failed(OpError::Failed(RequestError::NotDeleted))) => {
                self.check_not_deleted(operation, *file)
            }
            (OpKind::List, OpResult::Listed { files, more }) => {
                self.check_list(operation, op, (&Part::ALL, files, *more), view)
            }
            (OpKind::ListPart(part), OpResult::Listed { files, more }) => {
                self.check_list(operation, op, (part, files, *more), view)
            }
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
        if Self::is_held(view, node, file, &version) {
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
                let checked = self.check(&operation, *op, result, view);
                self.held.remove(op);
                self.lying.remove(op);
                checked.map_err(|what| format!("operation {op} at node {node} {what}"))
            }
            Event::Started { op, .. } => {
                self.on_started(*op, view);
                Ok(())
            }
            Event::Lost { node, .. } if self.history.is_wiped(*node, self.history.now) => {
                self.floors.retain(|(of, _), _| of != node);
                self.stamps.remove(node);
                Ok(())
            }
            Event::Lost { .. }
            | Event::Delivered { .. }
            | Event::Up { .. }
            | Event::Down { .. }
            | Event::Bit { .. }
            | Event::Frame { .. }
            | Event::Heard { .. }
            | Event::Told { .. }
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
