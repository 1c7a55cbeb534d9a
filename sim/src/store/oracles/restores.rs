//! Rule (a part of durability): a restore that calls itself complete is. For each device whose checkpoint it says is covered, it
//! knows every version that had been acknowledged to that device before it signed that checkpoint, or something newer of the
//! name; and every file that it knows as the newest, and that was acknowledged before the restore began, lies there whole.
//!
//! And a restore that says that all members have told all they hold brings what they hold: of each name that lay on the disk of a
//! member when it began, and still does when it ends, it knows that version or a newer one, but for as many as it says are
//! missing.
//!
//! When a checkpoint was signed shows from outside only so far: at each acknowledgement it is looked which checkpoint of the
//! device is on its disk. The next may be under way just then; the one after that is signed later, and so is one that bears a later time
//! of a clock that goes right. If the device lost its disk in
//! between, a checkpoint belongs to the life in which it was announced first.
//!
//! Not demanded is what a device wrote in another life than that of its checkpoint: nobody but its peers could have told it. Nor are
//! the chunks of what a caller evicted on the restoring node, or what the plan destroyed there.

use std::collections::BTreeMap;
use std::time::Duration;

use forever_core::event::{CheckpointInfo, RestoreReport};
use forever_core::frame::Frame;
use forever_core::ids::{NameId, NodeId};
use forever_core::record::RecordBody;
use forever_core::version::Version;

use super::super::{Contents, DiskLoss, Event, Fault, Holding, OpKind, OpResult, View, liar};
use super::Rule;
use super::history::{self, Address, FileKey, History, Outcome};
use super::keeping;

/// The number of the frames that announce a record.
const ANNOUNCE: u8 = 13;

/// An acknowledged write.
#[derive(Debug)]
struct Written {
    key: FileKey,
    version: Version,
    writer: usize,
    /// In which life of its device's disk.
    life: usize,
    /// The checkpoint of its device that was on the disk then.
    sequence: u64,
    since: u64,
    /// What the clock of its device showed, if the plan never touches that.
    acked_ms: Option<u64>,
}

impl Written {
    /// Whether a checkpoint of its device was signed later, for certain.
    fn is_before(&self, checkpoint: &CheckpointInfo) -> bool {
        checkpoint.sequence >= self.sequence + 2 || self.acked_ms.is_some_and(|acked_ms| checkpoint.time_ms > acked_ms)
    }
}

/// The newest versions of an owner's names on the disk of a node.
type Told = (usize, BTreeMap<NameId, Version>);

/// The oracle.
#[derive(Default)]
pub(crate) struct Restores {
    history: History,
    written: Vec<Written>,
    /// In which life of its device's disk each checkpoint was announced first: by device, sequence, and time of its clock.
    signed: BTreeMap<(usize, u64, u64), usize>,
    /// What could be told when a restore began.
    told: BTreeMap<usize, Vec<Told>>,
}

/// Whether it matters what happens before a restore: a disk is read, and a frame looked into, only then.
fn has_restores(view: &dyn View) -> bool {
    view.scenario().plan.ops.iter().any(|op| op.what.what == OpKind::Restore)
}

impl Restores {
    fn life(&self, node: usize) -> usize {
        let is_end = |(_, loser, what): &&(u64, usize, DiskLoss)| *loser == node && *what == DiskLoss::All;
        self.history.losses.iter().filter(is_end).count()
    }

    /// Whether a disk is lost in the plan, so that it matters in which of its lives a checkpoint was signed.
    fn has_lives(view: &dyn View) -> bool {
        let mut faults = view.scenario().plan.faults.iter();
        has_restores(view) && faults.any(|fault| matches!(fault.what, Fault::LostDisk { .. }))
    }

    /// A device announces one of its checkpoints.
    fn on_announced(&mut self, from: usize, bytes: &[u8], view: &dyn View) {
        if bytes.first() != Some(&ANNOUNCE) || !Self::has_lives(view) {
            return;
        }
        let decoded = bincode::serde::decode_from_slice::<Frame, _>(bytes, bincode::config::standard());
        let Ok((Frame::Announce { record, .. }, _)) = decoded else { return };
        let Some(record) = liar::decode(&record) else { return };
        if let RecordBody::Checkpoint(checkpoint) = record.body
            && record.version.node == view.node_id(from)
        {
            let life = self.life(from);
            self.signed.entry((from, checkpoint.sequence, checkpoint.wall_ms)).or_insert(life);
        }
    }

    /// A restore begins: what lies on the disks of the members that its node has met can be told.
    fn on_started(&mut self, op: usize, view: &mut dyn View) {
        let Some(operation) = self.history.ops.get(&op).filter(|operation| operation.op.what == OpKind::Restore) else {
            return;
        };
        let (node, started) = (operation.op.node, operation.started);
        let others = (0..view.scenario().nodes.len()).filter(|other| *other != node);
        let is_teller = |other: &usize| {
            self.history.has_met(node, *other, started)
                && !self.history.is_parting(*other)
                && !self.history.is_untrusted(&*view, *other)
        };
        let tellers: Vec<usize> = others.filter(is_teller).collect();
        let owner = view.keys(node).owner_id();
        let newest_of = |contents: &Contents| {
            let mut newest: BTreeMap<NameId, Version> = BTreeMap::new();
            let records = contents.records.iter().map(|held| &held.record.record).filter(|one| one.owner == owner);
            for record in records.filter(|record| !matches!(record.body, RecordBody::Checkpoint(_))) {
                let known = newest.entry(record.name_id).or_insert(record.version);
                *known = record.version.max(*known);
            }
            newest
        };
        let told = tellers.into_iter().map(|teller| (teller, newest_of(&view.contents(teller)))).collect();
        self.told.insert(op, told);
    }

    /// A restore has ended that says that everybody has told all: what could be told is here, or counted as missing.
    fn check_told(&self, op: usize, told: &[Told], report: &RestoreReport, view: &mut dyn View) -> Result<(), String> {
        let Some(operation) = self.history.ops.get(&op) else { return Ok(()) };
        let node = operation.op.node;
        if report.unasked > 0 || self.history.is_untrusted(view, node) {
            return Ok(());
        }
        let owner = view.keys(node).owner_id();
        let here = view.contents(node);
        let mut lacking: BTreeMap<NameId, usize> = BTreeMap::new();
        for (teller, names) in told.iter().filter(|(teller, _)| !self.history.is_parting(*teller)) {
            let there = view.contents(*teller);
            for (name, version) in names {
                let address = (owner, *name);
                let is_known =
                    |contents: &Contents| newest(contents, address).is_some_and(|(known, _)| known >= *version);
                // A deletion may have come and gone meanwhile.
                let mut nodes = 0..view.scenario().nodes.len();
                if is_known(&there)
                    && !is_known(&here)
                    && !nodes.any(|node| keeping::is_deleted_above(&view.contents(node), address, version))
                {
                    lacking.insert(*name, *teller);
                }
            }
        }
        match lacking.values().next() {
            Some(teller) if lacking.len() as u64 > report.missing => Err(format!(
                "operation {op} says that all members have told node {node} all they hold, and that {} records are missing; {} \
                 names are, one of which lies on the disk of node {teller}",
                report.missing,
                lacking.len()
            )),
            Some(_) | None => Ok(()),
        }
    }

    fn on_acked(&mut self, op: usize, view: &mut dyn View) {
        if !has_restores(view) {
            return;
        }
        let Some(operation) = self.history.ops.get(&op) else { return };
        let (Some(file), Some(Outcome::Acked { version, .. })) = (operation.file(), operation.outcome()) else {
            return;
        };
        let (key, version, writer) = ((operation.owner, file), *version, operation.op.node);
        let id = view.node_id(writer);
        let sequence = newest_sequence(&view.contents(writer), id);
        let life = self.life(writer);
        let acked_ms = history::wall_ms(view, writer, self.history.at);
        self.written.push(Written { key, version, writer, life, sequence, since: self.history.now, acked_ms });
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
            let known_life = self.signed.get(&(device, checkpoint.sequence, checkpoint.time_ms)).copied();
            let life = known_life.or((self.life(device) == 0).then_some(0));
            let is_covered = |written: &&Written| {
                written.key.0 == operation.owner
                    && written.writer == device
                    && written.is_before(checkpoint)
                    && Some(written.life) == life
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
            Event::Started { op, .. } => {
                self.on_started(*op, view);
                Ok(())
            }
            Event::Ended { op, result: OpResult::Restored(report) } => {
                let told = self.told.remove(op).unwrap_or_default();
                self.check_told(*op, &told, report, view)?;
                self.on_restored(*op, report, view)
            }
            Event::Ended { op, .. } => {
                self.told.remove(op);
                self.on_acked(*op, view);
                Ok(())
            }
            Event::Frame { from, bytes, .. } => {
                self.on_announced(*from, bytes, view);
                Ok(())
            }
            Event::Delivered { .. }
            | Event::Heard { .. }
            | Event::Told { .. }
            | Event::Up { .. }
            | Event::Down { .. }
            | Event::Bit { .. }
            | Event::Lost { .. }
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
