//! Rule (a part of durability): a restore that calls itself complete is. For each device whose checkpoint it says is covered, it
//! knows every version that had been acknowledged to that device before it signed that checkpoint, or something newer of the
//! name; and every file that it knows as the newest, and that was acknowledged before the restore began, lies there whole.
//!
//! When a checkpoint was signed shows from outside only so far: at each acknowledgement it is looked which checkpoint of the
//! device is on its disk. The next may be under way just then; the one after that is signed later.
//!
//! Not demanded is what a device wrote before it lost its disk: nobody but its peers could have told it. Nor are the chunks of what a
//! caller evicted on the restoring node, or what the plan destroyed there.

use std::time::Duration;

use forever_core::event::RestoreReport;
use forever_core::ids::NodeId;
use forever_core::record::RecordBody;
use forever_core::version::Version;

use super::super::{Contents, Event, Holding, OpKind, OpResult, View};
use super::Rule;
use super::history::{self, Address, FileKey, History, Outcome};

/// An acknowledged write.
#[derive(Debug)]
struct Written {
    key: FileKey,
    version: Version,
    writer: usize,
    /// The checkpoint of its device that was on the disk then.
    sequence: u64,
    since: u64,
}

/// The oracle.
#[derive(Default)]
pub(crate) struct Restores {
    history: History,
    written: Vec<Written>,
}

impl Restores {
    fn on_acked(&mut self, op: usize, view: &mut dyn View) {
        // A disk is read only where it matters.
        if !view.scenario().plan.ops.iter().any(|op| op.what.what == OpKind::Restore) {
            return;
        }
        let Some(operation) = self.history.ops.get(&op) else { return };
        let (Some(file), Some(Outcome::Acked { version, .. })) = (operation.file(), operation.outcome()) else {
            return;
        };
        let (key, version, writer) = ((operation.owner, file), *version, operation.op.node);
        let id = view.node_id(writer);
        let sequence = newest_sequence(&view.contents(writer), id);
        self.written.push(Written { key, version, writer, sequence, since: self.history.now });
    }

    fn on_restored(&self, op: usize, report: &RestoreReport, view: &mut dyn View) -> Result<(), String> {
        let Some(operation) = self.history.ops.get(&op) else { return Ok(()) };
        let node = operation.op.node;
        if !report.is_complete() || self.history.is_untrusted(view, node) {
            return Ok(());
        }
        let contents = view.contents(node);
        for checkpoint in &report.checkpoints {
            let Some(device) = history::node_of(view, checkpoint.device) else {
                return Err(format!("operation {op} tells of a checkpoint of a device that does not exist"));
            };
            let is_covered = |written: &&Written| {
                written.key.0 == operation.owner
                    && written.writer == device
                    && checkpoint.sequence >= written.sequence + 2
                    && !self.history.is_wiped(device, written.since)
                    && !self.history.is_untrusted(view, device)
            };
            for written in self.written.iter().filter(is_covered) {
                let Some(address) = history::address(view, written.key) else { continue };
                if newest(&contents, address).is_none_or(|(newest, _)| newest < written.version) {
                    return Err(format!(
                        "operation {op} calls node {node} complete as of checkpoint {} of node {device}, without version {} of \
                         file {}, which that node had been told was stored before",
                        checkpoint.sequence,
                        history::show(&written.version),
                        written.key.1
                    ));
                }
            }
        }
        self.check_whole(op, operation.started, node, operation.owner, &contents, view)
    }

    fn check_whole(
        &self,
        op: usize,
        started: u64,
        node: usize,
        owner: usize,
        contents: &Contents,
        view: &dyn View,
    ) -> Result<(), String> {
        for written in self.written.iter().filter(|written| written.key.0 == owner && written.since < started) {
            let Some((id, name)) = history::address(view, written.key) else { continue };
            if newest(contents, (id, name)) != Some((written.version, true)) {
                continue;
            }
            let evicted = self
                .history
                .of_file(written.key)
                .any(|(_, operation)| matches!(operation.op.what, OpKind::Evict { .. }) && operation.op.node == node);
            let is_lost = match contents.holding(id, name, &written.version) {
                Holding::Whole(_) | Holding::Light(_) => false,
                Holding::Absent => true,
                Holding::Broken(missing) => !self.history.is_destroyed(node, 0, &missing),
            };
            if is_lost && !evicted {
                return Err(format!(
                    "operation {op} calls node {node} complete, and version {} of file {} is not whole there",
                    history::show(&written.version),
                    written.key.1
                ));
            }
        }
        Ok(())
    }
}

/// The number of the newest checkpoint of a device on a disk; 0 if there is none.
fn newest_sequence(contents: &Contents, device: NodeId) -> u64 {
    let of_device = contents.records.iter().map(|held| &held.record.record).filter(|one| one.version.node == device);
    let sequence = |body: &RecordBody| match body {
        RecordBody::Checkpoint(checkpoint) => Some(checkpoint.sequence),
        RecordBody::File { .. } | RecordBody::Tombstone => None,
    };
    of_device.filter_map(|one| sequence(&one.body)).max().unwrap_or(0)
}

/// The newest version of a name on a disk, and whether it is a file.
fn newest(contents: &Contents, (owner, name): Address) -> Option<(Version, bool)> {
    let records = contents.records.iter().map(|held| &held.record.record);
    let of_name = records.filter(|record| record.owner == owner && record.name_id == name);
    of_name.map(|record| (record.version, record.body.is_file())).max()
}

impl Rule for Restores {
    fn name(&self) -> &'static str {
        "durability"
    }

    fn observe(&mut self, at: Duration, event: &Event, view: &mut dyn View) -> Result<(), String> {
        self.history.note(at, event, view);
        match event {
            Event::Ended { op, result: OpResult::Restored(report) } => self.on_restored(*op, report, view),
            Event::Ended { op, .. } => {
                self.on_acked(*op, view);
                Ok(())
            }
            Event::Started { .. }
            | Event::Delivered { .. }
            | Event::Heard { .. }
            | Event::Told { .. }
            | Event::Up { .. }
            | Event::Down { .. }
            | Event::Bit { .. }
            | Event::Lost { .. }
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
