//! Rule: nothing under an OwnerId changes without its signature. Every record on any disk verifies under the key of the owner
//! that it names, and says what an operation of the plan said: that owner's, at the device that the version names, a file for
//! a put and a deletion for a delete, and no more of them than the operation may have stamped. Devices sign checkpoints unasked, each
//! under the name that it has for them.
//!
//! Signatures are verified by whoever reads the disk ([`super::super::inspect`], outside the nodes, once for the same bytes):
//! a record that it leaves out, although there is a row for it, is not its owner's.
//!
//! Looked at when the core is healed and after it has settled, on the disks of all nodes, healed or not.

use std::collections::BTreeMap;
use std::time::Duration;

use forever_core::ids::{NameId, OwnerId};
use forever_core::record::{RecordBody, SignedRecord};

use super::super::{Event, View, names};
use super::Rule;
use super::history::{self, FileKey, History, Outcome};

/// The rule in a sentence.
pub const RULE: &str = "every record on any disk is signed by its owner and was made by an operation of its owner";

/// How often a write may be stamped anew before it gives way: what the core allows itself.
const STAMPS_MAX: usize = 4;

/// The oracle.
#[derive(Default)]
pub(crate) struct Authority {
    history: History,
}

impl Authority {
    /// The files of the plan by what they are to peers.
    fn addresses(&self, view: &dyn View) -> BTreeMap<(OwnerId, NameId), FileKey> {
        let file_of = |operation: &history::Operation| Some((operation.owner, operation.op.node, operation.file()?));
        let files = self.history.ops.values().filter_map(file_of);
        let address = |(owner, node, file): (usize, usize, u32)| {
            let keys = view.keys(node);
            ((keys.owner_id(), keys.name_id(&names::of(file))), (owner, file))
        };
        files.map(address).collect()
    }

    fn check_disk(&self, view: &mut dyn View, node: usize) -> Result<(), String> {
        let contents = view.contents(node);
        let rows = contents.rows.iter().filter(|(key, _)| key.first() == Some(&b'R')).count();
        if rows != contents.records.len() {
            let verified = contents.records.len();
            return Err(format!(
                "of {rows} records on the disk of node {node} only {verified} are signed by their owner"
            ));
        }
        let addresses = self.addresses(view);
        let mut counts: BTreeMap<(FileKey, usize, bool), usize> = BTreeMap::new();
        for held in &contents.records {
            let told = |what: String| {
                let version = history::show(&held.record.record.version);
                format!("the disk of node {node} holds a record of version {version} {what}")
            };
            let writer = Self::writer(view, &held.record).map_err(told)?;
            if matches!(held.record.record.body, RecordBody::Checkpoint(_)) {
                check_checkpoint(view, writer, &held.record).map_err(told)?;
                continue;
            }
            let file = self.check_record(&addresses, writer, &held.record).map_err(told)?;
            let deleted = held.record.record.body == RecordBody::Tombstone;
            *counts.entry((file, writer, deleted)).or_default() += 1;
        }
        for ((file, writer, deleted), count) in counts {
            let made = self.history.of_file(file).filter(|(_, operation)| {
                operation.op.node == writer && if deleted { operation.is_delete() } else { operation.is_put() }
            });
            let operations = made.count();
            if count > operations * STAMPS_MAX {
                let what = if deleted { "deletions" } else { "versions" };
                let number = file.1;
                return Err(format!(
                    "the disk of node {node} holds {count} {what} of file {number} by node {writer}, made by {operations} \
                     operations"
                ));
            }
        }
        Ok(())
    }

    fn check_record(
        &self,
        addresses: &BTreeMap<(OwnerId, NameId), FileKey>,
        writer: usize,
        record: &SignedRecord,
    ) -> Result<FileKey, String> {
        let what = &record.record;
        let Some(file) = addresses.get(&(what.owner, what.name_id)) else {
            return Err("of a name that nobody wrote".into());
        };
        let deleted = what.body == RecordBody::Tombstone;
        let could_make = |operation: &history::Operation| {
            operation.op.node == writer
                && operation.outcome() != Some(&Outcome::Refused)
                && if deleted { operation.is_delete() } else { operation.is_put() }
        };
        if !self.history.of_file(*file).any(|(_, operation)| could_make(operation)) {
            return Err(format!("of file {}, which no operation at node {writer} made", file.1));
        }
        let acked = self.history.acked.get(file).and_then(|versions| versions.get(&what.version));
        if acked.is_some_and(|acked| acked.deleted != deleted) {
            return Err("that says another thing than the operation that was acknowledged with it".into());
        }
        Ok(*file)
    }

    /// The device that stamped a record, which must be its owner's.
    fn writer(view: &dyn View, record: &SignedRecord) -> Result<usize, String> {
        let Some(writer) = history::node_of(view, record.record.version.node) else {
            return Err("stamped by a node that does not exist".into());
        };
        if view.keys(writer).owner_id() != record.record.owner {
            return Err(format!("stamped by node {writer}, which is not its owner's"));
        }
        Ok(writer)
    }

    fn check(&self, view: &mut dyn View) -> Result<(), String> {
        (0..view.scenario().nodes.len()).try_for_each(|node| self.check_disk(view, node))
    }
}

/// A checkpoint lies under the name that its device has for it, where no file can be.
fn check_checkpoint(view: &dyn View, writer: usize, record: &SignedRecord) -> Result<(), String> {
    let its_own = view.keys(writer).checkpoint_name(view.node_id(writer));
    if record.record.name_id == its_own { Ok(()) } else { Err("a checkpoint under a name that is not its own".into()) }
}

impl Rule for Authority {
    fn name(&self) -> &'static str {
        "authority"
    }

    fn observe(&mut self, at: Duration, event: &Event, view: &mut dyn View) -> Result<(), String> {
        self.history.note(at, event, view);
        match event {
            Event::Healed => self.check(view),
            Event::Started { .. }
            | Event::Delivered { .. }
            | Event::Ended { .. }
            | Event::Up { .. }
            | Event::Down { .. }
            | Event::Bit { .. }
            | Event::Lost { .. }
            | Event::Frame { .. }
            | Event::Probe { .. } => Ok(()),
        }
    }

    fn judge(&mut self, view: &mut dyn View) -> Result<(), String> {
        self.check(view)
    }
}

#[cfg(test)]
mod tests;
