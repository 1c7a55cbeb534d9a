//! Rule: nothing under an OwnerId changes without its signature. Every record on any disk verifies under the key of the owner
//! that it names, and says what an operation of the plan said: that owner's, at the device that the version names, a file for
//! a put and a deletion for a delete, and no more of them than the operation may have stamped. Devices sign checkpoints unasked, each
//! under the name that it has for them.
//!
//! And nobody reads anything by a ticket but what an owner gave leave to: a ticket that a node makes is signed by its owner, names the
//! file and version that it says and is valid for as long as was asked; one that was changed on its way, or whose time is up, opens
//! nothing, and no other is refused for that. (Times are those of the node that is asked, and are judged where the plan leaves its
//! clock alone.)
//!
//! Signatures are verified by whoever reads the disk ([`super::super::inspect`], outside the nodes, once for the same bytes):
//! a record that it leaves out, although there is a row for it, is not its owner's.
//!
//! Looked at when the core is healed and after it has settled, on the disks of all nodes, healed or not.

use std::collections::BTreeMap;
use std::time::Duration;

use forever_core::event::{RequestError, Share};
use forever_core::record::{RecordBody, SignedRecord};

use super::super::{Event, OpError, OpKind, OpResult, View, names};
use super::Rule;
use super::history::{self, Address, FileKey, History, Operation, Outcome};

/// The rule in a sentence.
pub const RULE: &str = "every record on any disk is signed by its owner and was made by an operation of its owner, and a ticket opens \
                        what its owner gave leave to read";

/// How often a write may be stamped anew before it gives way: what the core allows itself.
const STAMPS_MAX: usize = 4;

/// The oracle.
#[derive(Default)]
pub(crate) struct Authority {
    history: History,
}

impl Authority {
    /// The files of the plan by what they are to peers.
    fn addresses(&self, view: &dyn View) -> BTreeMap<Address, FileKey> {
        // Who reads by a ticket is no device of the file's owner.
        let by_owner = self.history.ops.values().filter(|one| !matches!(one.op.what, OpKind::Redeem { .. }));
        let file_of = |operation: &Operation| Some(((operation.owner, operation.file()?), operation.op.node));
        let devices: BTreeMap<FileKey, usize> = by_owner.filter_map(file_of).collect();
        let address = |(key, node): (FileKey, usize)| {
            let keys = view.keys(node);
            ((keys.owner_id(), keys.name_id(&names::of(key.1))), key)
        };
        devices.into_iter().map(address).collect()
    }

    fn check_disk(
        &self,
        view: &mut dyn View,
        addresses: &BTreeMap<Address, FileKey>,
        node: usize,
    ) -> Result<(), String> {
        let contents = view.contents(node);
        let rows = contents.rows.iter().filter(|(key, _)| key.first() == Some(&b'R')).count();
        if rows != contents.records.len() {
            let verified = contents.records.len();
            return Err(format!(
                "of {rows} records on the disk of node {node} only {verified} are signed by their owner"
            ));
        }
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
            let file = self.check_record(addresses, writer, &held.record).map_err(told)?;
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
        addresses: &BTreeMap<Address, FileKey>,
        writer: usize,
        record: &SignedRecord,
    ) -> Result<FileKey, String> {
        let what = &record.record;
        let Some(file) = addresses.get(&(what.owner, what.name_id)) else {
            return Err("of a name that nobody wrote".into());
        };
        let deleted = what.body == RecordBody::Tombstone;
        let could_make = |operation: &Operation| {
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

    /// A node has made a ticket.
    fn check_share(&self, view: &mut dyn View, operation: &Operation, share: &Share) -> Result<(), String> {
        let OpKind::Share { file, valid_ms, .. } = operation.op.what else {
            return Err("made a ticket without having been asked for one".into());
        };
        let node = operation.op.node;
        let ticket = share.ticket.verify().map_err(|error| format!("made a ticket that nobody can use: {error}"))?;
        let keys = view.keys(node);
        let name = keys.name_id(&names::of(file));
        if (ticket.owner, ticket.name_id) != (keys.owner_id(), name) {
            return Err(format!("made a ticket for another file than file {file}"));
        }
        let contents = view.contents(node);
        let records = contents.records.iter().map(|held| &held.record);
        let of_version = |record: &&SignedRecord| {
            let what = &record.record;
            (what.owner, what.name_id, what.version) == (ticket.owner, name, share.file.version)
        };
        let mut ids = records.filter(of_version).map(|record| record.id).peekable();
        if ids.peek().is_some() && !ids.any(|id| id == ticket.record) {
            return Err(format!("made a ticket for another version of file {file} than it says"));
        }
        let wall_ms = |at| history::wall_ms(view, node, at);
        if let (Some(from), Some(until)) = (wall_ms(operation.started_at), wall_ms(self.history.at))
            && (ticket.expires_ms != share.expires_ms
                || !(from + valid_ms..=until + valid_ms).contains(&ticket.expires_ms))
        {
            return Err(format!("made a ticket that is valid for other than {valid_ms} ms"));
        }
        Ok(())
    }

    /// Somebody has tried to read by a ticket.
    #[expect(clippy::wildcard_enum_match_arm, reason = "everything else is other rules' business")]
    fn check_redeem(&self, view: &dyn View, operation: &Operation, result: &OpResult) -> Result<(), String> {
        let (OpKind::Redeem { forged, .. }, Some(ticketed)) = (&operation.op.what, self.history.ticketed(operation))
        else {
            return Ok(());
        };
        let wall_ms = |at| history::wall_ms(view, operation.op.node, at);
        let is_over = |at| wall_ms(at).map(|now| now >= ticketed.expires_ms);
        match result {
            OpResult::Got(_) if forged.is_some() => Err("read by a ticket that was changed on its way".into()),
            OpResult::Got(_) if is_over(operation.started_at) == Some(true) => {
                Err("read by a ticket whose time was up before".into())
            }
            OpResult::Failed(OpError::Failed(RequestError::Ticket(error))) if forged.is_none() => {
                Err(format!("was refused although its ticket is as it was made: {error}"))
            }
            OpResult::Failed(OpError::Failed(RequestError::TicketExpired { .. }))
                if is_over(self.history.at) == Some(false) =>
            {
                Err("was refused although the time of its ticket is not up".into())
            }
            _ => Ok(()),
        }
    }

    fn check_ended(&self, view: &mut dyn View, op: usize, result: &OpResult) -> Result<(), String> {
        let Some(operation) = self.history.ops.get(&op) else { return Ok(()) };
        let node = operation.op.node;
        let checked = if let OpResult::Shared(share) = result
            && !self.history.is_untrusted(view, node)
        {
            self.check_share(view, operation, share)
        } else {
            self.check_redeem(view, operation, result)
        };
        checked.map_err(|what| format!("operation {op} at node {node} {what}"))
    }

    fn check(&self, view: &mut dyn View) -> Result<(), String> {
        let addresses = self.addresses(view);
        (0..view.scenario().nodes.len()).try_for_each(|node| self.check_disk(view, &addresses, node))
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
            Event::Ended { op, result } => self.check_ended(view, *op, result),
            Event::Started { .. }
            | Event::Delivered { .. }
            | Event::Up { .. }
            | Event::Down { .. }
            | Event::Bit { .. }
            | Event::Lost { .. }
            | Event::Frame { .. }
            | Event::Heard { .. }
            | Event::Told { .. }
            | Event::Probe { .. } => Ok(()),
        }
    }

    fn judge(&mut self, view: &mut dyn View) -> Result<(), String> {
        self.check(view)
    }
}

#[cfg(test)]
mod tests;
