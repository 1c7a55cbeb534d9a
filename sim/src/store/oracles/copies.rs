//! Rule (a part of durability): a copy stays where it was counted. A disk that held all of a version when it was acknowledged
//! holds it still after settling, unless the plan destroyed some of it, a caller evicted the file there, or newer
//! versions there have pushed it out. A copy out of place (the node is neither among the first in rank nor a device of the owner, or was about to leave)
//! may go, but at that moment as many other disks hold it whole as it is to be kept on. A newer version that has pushed one out may
//! itself be out of place there, and have gone since: then some disk that has it tells. And an evict rests
//! on promises: when it ends, each node that it names holds what was evicted, whole; and until the evictor has it whole again,
//! none of them evicts its own copy. And a restore that says that nothing is missing has brought whatever every peer it could
//! have asked had: what was acknowledged before it began and lay on the disks of all other nodes. And every
//! blob that a disk has is what its address says, whenever a node starts, when the core is healed and after it has settled,
//! unless the plan damaged it.
//!
//! Of the versions of an evicted file only those are looked at that the evictor itself had written before: others may have
//! come to it after the evict had chosen what to drop.

use std::collections::BTreeSet;
use std::time::Duration;

use forever_core::event::RestoreReport;
use forever_core::ids::{BlobKey, NodeId};
use forever_core::version::Version;

use super::super::{Event, Holding, OpKind, OpResult, View};
use super::Rule;
use super::history::{self, FileKey, History};

/// The probe of a node that has dropped what was out of place there.
pub(crate) const MOVED: &str = "rebalance.moved";

/// A copy that was counted when its version was acknowledged.
#[derive(Clone, Copy, Debug)]
struct Copy {
    key: FileKey,
    version: Version,
    node: usize,
    since: u64,
    /// On how many nodes it is to be kept.
    limit: usize,
    /// It was out of place, and has gone.
    has_moved: bool,
}

/// A promise that an evict rests on.
#[derive(Debug)]
struct Promise {
    key: FileKey,
    version: Version,
    evictor: usize,
    promiser: usize,
    since: u64,
}

/// The oracle.
#[derive(Default)]
pub(crate) struct Copies {
    history: History,
    copies: Vec<Copy>,
    promises: Vec<Promise>,
}

impl Copies {
    fn holding(view: &mut dyn View, node: usize, key: FileKey, version: &Version) -> Holding {
        match history::address(view, key) {
            Some((owner, name)) => view.holding(node, owner, name, version),
            None => Holding::Absent,
        }
    }

    /// Whether the plan explains why a node does not hold all of a version that it held at some event.
    fn is_explained(&self, view: &dyn View, node: usize, since: u64, holding: &Holding) -> bool {
        let lost = |chunk: &BlobKey| self.history.is_destroyed(node, since, std::slice::from_ref(chunk));
        match holding {
            Holding::Whole(_) | Holding::Light(_) => true,
            _ if self.history.is_untrusted(view, node) || self.history.is_wiped(node, since) => true,
            Holding::Broken(missing) => !missing.is_empty() && missing.iter().all(lost),
            Holding::Absent => false,
        }
    }

    fn was_evicted(&self, node: usize, key: FileKey, since: u64) -> bool {
        self.history.of_file(key).any(|(_, operation)| {
            let evict = matches!(operation.op.what, OpKind::Evict { .. });
            let over_before = operation.ended.as_ref().is_some_and(|(ended, ..)| *ended < since);
            // One that failed or was cut short may have dropped some of it all the same.
            evict && operation.op.node == node && !over_before
        })
    }

    /// Every blob of a disk is what its address says.
    fn check_blobs(&self, node: usize, view: &mut dyn View) -> Result<(), String> {
        if self.history.is_untrusted(view, node) {
            return Ok(());
        }
        let contents = view.contents(node);
        let mut damaged = contents.blobs.iter().filter(|(_, is_intact)| !**is_intact).map(|(blob, _)| blob);
        match damaged.find(|blob| !self.history.has_destroyed(node, blob)) {
            None => Ok(()),
            Some(blob) => Err(format!(
                "the disk of node {node} has chunk {} with bytes that are not its own, and nothing that the plan did explains it",
                blob.chunk
            )),
        }
    }

    fn on_acked(&mut self, op: usize, view: &mut dyn View) {
        let Some(operation) = self.history.ops.get(&op) else { return };
        let Some(key) = operation.file().map(|file| (operation.owner, file)) else { return };
        let acked = self.history.acked.get(&key).into_iter().flatten().find(|(_, acked)| acked.op == op);
        let Some((version, _)) = acked.filter(|(_, acked)| !acked.deleted) else { return };
        let version = *version;
        let limit = self.history.limit(view, op);
        for node in 0..view.scenario().nodes.len() {
            if matches!(Self::holding(view, node, key, &version), Holding::Whole(_)) {
                let since = self.history.now;
                self.copies.push(Copy { key, version, node, since, limit, has_moved: false });
            }
        }
    }

    /// Some node dropped what was out of place there: which copies are gone that were there, and do enough others hold each?
    fn on_moved(&mut self, view: &mut dyn View) -> Result<(), String> {
        for number in 0..self.copies.len() {
            let Copy { key, version, node, since, limit, has_moved } = self.copies[number];
            if !self.history.may_be_out_of_place(view, node, key, limit) {
                continue;
            }
            let is_gone = Self::holding(view, node, key, &version) == Holding::Absent;
            self.copies[number].has_moved = is_gone;
            if has_moved || !is_gone {
                continue;
            }
            let mut held = 0;
            for other in (0..view.scenario().nodes.len()).filter(|other| *other != node) {
                let holding = Self::holding(view, other, key, &version);
                if view.is_gone(other) {
                    continue;
                }
                let counts = self.history.is_untrusted(view, other)
                    || match holding {
                        Holding::Whole(_) => true,
                        Holding::Light(_) => false,
                        // It has rotted, and nobody knows yet.
                        Holding::Broken(_) => self.is_explained(view, other, 0, &holding),
                        Holding::Absent => {
                            self.history.is_wiped(other, since) || self.history.is_pruned(view, other, key, &version)
                        }
                    };
                held += usize::from(counts);
            }
            let pruned = self.history.is_outlived(view, node, key, &version);
            if held < limit && !pruned && !self.is_explained(view, node, since, &Holding::Absent) {
                return Err(format!(
                    "node {node} has dropped version {} of file {}, which was out of place there, while only {held} others \
                     held it of {limit}",
                    history::show(&version),
                    key.1
                ));
            }
        }
        Ok(())
    }

    fn on_evicted(&mut self, op: usize, promised_by: &[NodeId], view: &mut dyn View) -> Result<(), String> {
        let Some(operation) = self.history.ops.get(&op).cloned() else { return Ok(()) };
        let Some(key) = operation.file().map(|file| (operation.owner, file)) else { return Ok(()) };
        let (evictor, since) = (operation.op.node, operation.started);
        self.check_relied_on(op, evictor, key, view)?;
        let mut versions = Vec::new();
        for (version, acked) in self.history.acked.get(&key).into_iter().flatten() {
            let write = self.history.ops.get(&acked.op);
            let own = write.is_some_and(|write| {
                write.op.node == evictor && write.ended.as_ref().is_some_and(|(ended, ..)| *ended < since)
            });
            let had = self.copies.iter().any(|copy| {
                (copy.key, copy.version, copy.node) == (key, *version, evictor)
                    && !self.history.is_wiped(evictor, copy.since)
            });
            if own && had && !acked.deleted {
                versions.push(*version);
            }
        }
        let promisers: Vec<usize> = promised_by.iter().filter_map(|id| history::node_of(view, *id)).collect();
        for promiser in promisers {
            for version in &versions {
                let holding = Self::holding(view, promiser, key, version);
                // What rotted before it was looked at counts as held.
                let rotted = matches!(&holding, Holding::Broken(_)) && self.is_explained(view, promiser, 0, &holding);
                let pruned = self.history.is_pruned(view, promiser, key, version);
                if !rotted && !pruned && !self.is_explained(view, promiser, since, &holding) {
                    return Err(format!(
                        "operation {op} evicted file {} from node {evictor} on a promise of node {promiser}, which does not \
                         hold version {}",
                        key.1,
                        history::show(version)
                    ));
                }
                let since = self.history.now;
                self.promises.push(Promise { key, version: *version, evictor, promiser, since });
            }
        }
        Ok(())
    }

    /// A restore that read at least one honest peer to the end, and misses nothing.
    fn on_restored(&self, op: usize, report: &RestoreReport, view: &mut dyn View) -> Result<(), String> {
        let Some(operation) = self.history.ops.get(&op) else { return Ok(()) };
        let (node, since) = (operation.op.node, operation.started);
        let others: Vec<usize> = (0..view.scenario().nodes.len()).filter(|other| *other != node).collect();
        let (lying, honest): (Vec<usize>, Vec<usize>) =
            others.into_iter().partition(|other| self.history.is_untrusted(view, *other));
        if report.missing > 0 || report.peers_done as usize <= lying.len() || self.history.is_untrusted(view, node) {
            return Ok(());
        }
        let acked = self.copies.iter().filter(|copy| copy.key.0 == operation.owner && copy.since < since);
        let versions: BTreeSet<(FileKey, Version)> = acked.map(|copy| (copy.key, copy.version)).collect();
        for (key, version) in versions {
            let has = |other: &usize| {
                self.copies.iter().any(|copy| {
                    (copy.key, copy.version, copy.node) == (key, version, *other)
                        && copy.since < since
                        && !self.history.is_wiped(*other, copy.since)
                })
            };
            let everywhere = honest.iter().all(has);
            if everywhere
                && Self::holding(view, node, key, &version) == Holding::Absent
                && !self.history.is_pruned(view, node, key, &version)
            {
                return Err(format!(
                    "operation {op} restored node {node} with nothing missing, but without version {} of file {}, which all \
                     other nodes hold",
                    history::show(&version),
                    key.1
                ));
            }
        }
        Ok(())
    }

    /// A node that has evicted a copy must not have promised to keep it.
    fn check_relied_on(&self, op: usize, node: usize, key: FileKey, view: &mut dyn View) -> Result<(), String> {
        for promise in self.promises.iter().filter(|promise| promise.key == key && promise.promiser == node) {
            let there = Self::holding(view, promise.evictor, key, &promise.version);
            let here = Self::holding(view, node, key, &promise.version);
            let relied_on = !self.is_explained(view, promise.evictor, promise.since, &there);
            let pruned = self.history.is_pruned(view, node, key, &promise.version);
            if relied_on && !pruned && !self.is_explained(view, node, promise.since, &here) {
                return Err(format!(
                    "operation {op} evicted file {} from node {node}, which had promised node {} to keep version {}",
                    key.1,
                    promise.evictor,
                    history::show(&promise.version)
                ));
            }
        }
        Ok(())
    }
}

impl Rule for Copies {
    fn name(&self) -> &'static str {
        "durability"
    }

    fn observe(&mut self, at: Duration, event: &Event, view: &mut dyn View) -> Result<(), String> {
        self.history.note(at, event, view);
        match event {
            Event::Started { op, what, .. } => {
                if let (OpKind::Evict { .. }, Some(operation)) = (&what.what, self.history.ops.get(op)) {
                    // It was whole again, or it is about to ask anew.
                    let key = operation.file().map(|file| (operation.owner, file));
                    self.promises.retain(|promise| Some(promise.key) != key || promise.evictor != what.node);
                }
                Ok(())
            }
            Event::Ended { op, result: OpResult::Evicted { promised_by, .. } } => {
                self.on_evicted(*op, promised_by, view)
            }
            Event::Ended { op, result: OpResult::Restored(report) } => self.on_restored(*op, report, view),
            Event::Ended { op, .. } => {
                self.on_acked(*op, view);
                Ok(())
            }
            Event::Probe { name: MOVED } => self.on_moved(view),
            Event::Up { node } => self.check_blobs(*node, view),
            Event::Healed => (0..view.scenario().nodes.len()).try_for_each(|node| self.check_blobs(node, view)),
            Event::Down { .. }
            | Event::Bit { .. }
            | Event::Delivered { .. }
            | Event::Lost { .. }
            | Event::Frame { .. }
            | Event::Heard { .. }
            | Event::Told { .. }
            | Event::Probe { .. } => Ok(()),
        }
    }

    fn judge(&mut self, view: &mut dyn View) -> Result<(), String> {
        for node in 0..view.scenario().nodes.len() {
            self.check_blobs(node, view)?;
            if !view.is_core(node) {
                continue;
            }
            let contents = view.contents(node);
            for copy in self.copies.iter().filter(|copy| copy.node == node) {
                let Some((owner, name)) = history::address(view, copy.key) else { continue };
                let holding = contents.holding(owner, name, &copy.version);
                let evicted = self.was_evicted(node, copy.key, copy.since);
                let pruned = self.history.is_outlived(view, node, copy.key, &copy.version);
                let moved = holding == Holding::Absent && copy.has_moved;
                if !evicted && !pruned && !moved && !self.is_explained(view, node, copy.since, &holding) {
                    return Err(format!(
                        "node {node} no longer holds all of version {} of file {}, which it held when that was acknowledged",
                        history::show(&copy.version),
                        copy.key.1
                    ));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
