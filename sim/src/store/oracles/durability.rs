//! Rule: what was acknowledged on so many nodes lies durably on so many disks at that moment; and after the plan, each
//! name's newest acknowledged version, or a newer one, can be read bit for bit from the healed core, unless the plan
//! destroyed or left dead every disk that held it.
//!
//! A read that fails is excused only by proof: no disk in reach of the reader holds all of it between them, and each disk
//! that held it when it was acknowledged has been destroyed since, lies, or was left dead. Nothing else excuses it.
//!
//! That there is no such file is excused by a deletion, newer than the acknowledged version, on a disk in reach. And if a newer
//! version, which nobody was told of, hides the acknowledged one and cannot be read, the device that wrote it must have been
//! left dead or out of reach, must lie, must have lost some of it, or must have evicted it: it had all of it when it wrote.
//!
//! A node keeps of a name what its signed retention says of the records that it has: a version that newer ones have pushed out
//! there counts as held, since they are there in its place.
//!
//! A copy that was out of place may have gone when as many other nodes held it as it is to be kept on: it is as good as destroyed
//! if so many others are, or may have dropped theirs for the same reason. (That they held it then is looked at in `copies`.)
//!
//! A node that leaves hands over what it holds first: when it has left, some node that stays holds each version that it held, whole,
//! and those who do are its holders from then on. Excused is what all who are to hold it then lie about, lost, evicted, or had no room for.
//!
//! Present limit of the core, which this allows and counts (`unrepaired`): a device that holds an older version answers from
//! its own disk, and only the writer brings newer versions to it. If the writer is dead, has lost its disk, or had never
//! met that device, the older version is what it reads. Whether the bytes are right is the integrity oracle's business.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use forever_core::event::RequestError;
use forever_core::ids::{BlobKey, NodeId};
use forever_core::version::Version;

use super::super::{Contents, Event, Holding, OpError, OpKind, OpResult, View};
use super::history::{self, FileKey, History, Outcome};
use super::{Rule, SharedFindings};
use excuse::holders_between_them;

mod excuse;

/// The rule in a sentence.
pub const RULE: &str = "what was acknowledged is durable on as many disks as reported, and can be read afterwards unless \
                        the plan destroyed every disk that held it";

/// Who held a version, and since which event that is known.
#[derive(Debug, Default)]
struct Stored {
    holders: Vec<(usize, u64)>,
    chunks: Vec<BlobKey>,
    /// On how many nodes it is to be kept.
    limit: usize,
}

/// The oracle.
pub(crate) struct Durability {
    findings: SharedFindings,
    history: History,
    stored: BTreeMap<(FileKey, Version), Stored>,
    /// Nodes whose disks named a member of the cluster when they last started.
    remembering: BTreeSet<usize>,
}

/// The first byte of the keys of members (see `core/FORMAT.md`).
const MEMBER_KIND: u8 = b'N';

impl Durability {
    pub(crate) fn new(findings: SharedFindings) -> Self {
        Self { findings, history: History::default(), stored: BTreeMap::new(), remembering: BTreeSet::new() }
    }

    /// Looks at the disks at the very moment of an acknowledgement.
    fn on_acked(&mut self, op: usize, version: Version, replicas: u32, view: &mut dyn View) -> Result<(), String> {
        let Some(operation) = self.history.ops.get(&op).cloned() else { return Ok(()) };
        let Some(file) = operation.file() else { return Ok(()) };
        let key = (operation.owner, file);
        let Some((owner, name)) = history::address(view, key) else { return Ok(()) };
        let writer = operation.op.node;
        let knows_others = !view.scenario().nodes[writer].bootstrap.is_empty()
            || self.remembering.contains(&writer)
            || self.history.had_met_anybody(writer, operation.started);
        if replicas < 2 && knows_others {
            return Err(format!(
                "operation {op} was acknowledged on {replicas} node although node {writer} knows others"
            ));
        }
        let mut stored = Stored { limit: self.history.limit(view, op), ..Stored::default() };
        let mut excused = Vec::new();
        for node in 0..view.scenario().nodes.len() {
            let holding = view.holding(node, owner, name, &version);
            let trusted = !self.history.is_untrusted(view, node);
            match holding {
                Holding::Whole(chunks) if trusted => {
                    stored.holders.push((node, self.history.now));
                    stored.chunks = chunks;
                }
                Holding::Whole(_) => excused.push(node),
                // It has not promised anything.
                Holding::Light(_) => {}
                Holding::Absent | Holding::Broken(_) => {
                    if !trusted
                        || self.is_excused_at_ack(node, operation.started, key, &holding)
                        || self.history.is_pruned(view, node, key, &version)
                    {
                        excused.push(node);
                    }
                }
            }
        }
        if stored.holders.len() + excused.len() < replicas as usize {
            let holders: Vec<usize> = stored.holders.iter().map(|(node, _)| *node).collect();
            return Err(format!(
                "operation {op} (version {} of file {file}) was acknowledged as durable on {replicas} nodes, but only the \
                 disks of nodes {holders:?} hold it (excused: {excused:?})",
                history::show(&version)
            ));
        }
        self.stored.insert((key, version), stored);
        Ok(())
    }

    /// A node without addresses to dial knows others if its disk names some.
    fn on_up(&mut self, node: usize, view: &mut dyn View) {
        self.remembering.remove(&node);
        let has_addresses = !view.scenario().nodes[node].bootstrap.is_empty();
        let own = view.node_id(node).0;
        let is_of_another = |key: &[u8]| key.split_first().is_some_and(|(kind, of)| *kind == MEMBER_KIND && of != own);
        if !has_addresses && view.contents(node).rows.iter().any(|(key, _)| is_of_another(key)) {
            self.remembering.insert(node);
        }
    }

    /// Whether the plan, or an evict by a caller, took away what a node had a moment before the acknowledgement.
    fn is_excused_at_ack(&self, node: usize, started: u64, file: FileKey, holding: &Holding) -> bool {
        if self.history.is_wiped(node, started) {
            return true;
        }
        let Holding::Broken(missing) = holding else { return false };
        let evicted = self.history.of_file(file).any(|(_, operation)| {
            matches!(operation.op.what, OpKind::Evict { .. })
                && operation.op.node == node
                && operation.ended.as_ref().is_none_or(|(ended, ..)| *ended >= started)
        });
        // A disk does not know of rot before it reads: it may say that it has a chunk which rotted long ago.
        let rotted = |chunk: &BlobKey| self.history.has_destroyed(node, chunk);
        evicted || (!missing.is_empty() && missing.iter().all(rotted))
    }

    /// An evicted copy counts no longer; the copies of those who promised to keep theirs do.
    fn on_evicted(&mut self, op: usize, promised_by: &[NodeId], view: &mut dyn View) {
        let Some(operation) = self.history.ops.get(&op) else { return };
        let Some(file) = operation.file() else { return };
        let (key, evictor, now) = ((operation.owner, file), operation.op.node, self.history.now);
        let promisers: Vec<usize> = promised_by.iter().filter_map(|id| history::node_of(view, *id)).collect();
        let trusted: Vec<usize> =
            promisers.into_iter().filter(|node| !self.history.is_untrusted(view, *node)).collect();
        let Some((owner, name)) = history::address(view, key) else { return };
        for ((of, version), stored) in &mut self.stored {
            let before = stored.holders.len();
            if *of != key {
                continue;
            }
            stored.holders.retain(|(node, _)| *node != evictor);
            if stored.holders.len() < before {
                stored.holders.retain(|(node, _)| !trusted.contains(node));
                // Who promises reads its index: what the plan destroyed before, it cannot know.
                let mut since = |node: usize| match view.holding(node, owner, name, version) {
                    Holding::Whole(_) => now,
                    Holding::Absent | Holding::Light(_) | Holding::Broken(_) => 0,
                };
                let promised: Vec<(usize, u64)> = trusted.iter().map(|node| (*node, since(*node))).collect();
                stored.holders.extend(promised);
            }
        }
    }

    /// What a node that has left held must have been handed over: those who hold it then are holders from now on.
    fn on_left(&mut self, leaver: usize, view: &mut dyn View) -> Result<(), String> {
        if self.history.is_untrusted(view, leaver) {
            return Ok(());
        }
        let now = self.history.now;
        let others = |node: &usize| *node != leaver;
        let others: Vec<usize> = (0..view.scenario().nodes.len()).filter(others).collect();
        let others: Vec<usize> = others.into_iter().filter(|node| !view.is_gone(*node)).collect();
        for ((key, version), stored) in &mut self.stored {
            let Some((owner, name)) = history::address(view, *key) else { continue };
            let is_whole =
                |view: &mut dyn View, node| matches!(view.holding(node, owner, name, version), Holding::Whole(_));
            if !stored.holders.iter().any(|(node, _)| *node == leaver) || !is_whole(view, leaver) {
                continue;
            }
            let heirs: Vec<usize> = others.iter().copied().filter(|node| is_whole(view, *node)).collect();
            let is_replaced = others.iter().any(|node| self.history.is_pruned(view, *node, *key, version));
            let view: &dyn View = view;
            let holders =
                history::holders(view, name, stored.limit.saturating_add(1)).into_iter().filter(|node| *node != leaver);
            let mut holders = holders.take(stored.limit);
            // Who evicted its copy does not take it back when one that promised to keep the file leaves.
            let is_evicted = |node: usize| {
                let mut of_file = self.history.of_file(*key).map(|(_, operation)| &operation.op);
                of_file.any(|op| op.node == node && matches!(op.what, OpKind::Evict { .. }))
            };
            let has_excuse = |node: usize| {
                self.history.is_untrusted(view, node)
                    || self.history.is_destroyed(node, 0, &stored.chunks)
                    || history::may_lack_room(view, node, owner)
                    || is_evicted(node)
            };
            if heirs.is_empty() && !is_replaced && !holders.all(has_excuse) {
                return Err(format!(
                    "node {leaver} has left the cluster with the only copy of version {} of file {}",
                    history::show(version),
                    key.1
                ));
            }
            let heirs = heirs.into_iter().filter(|node| !self.history.is_untrusted(view, *node));
            stored.holders.extend(heirs.map(|node| (node, now)));
        }
        Ok(())
    }

    /// A read by the judge.
    fn on_judged_read(&mut self, op: usize, result: &OpResult, view: &mut dyn View) -> Result<(), String> {
        let Some(operation) = self.history.ops.get(&op).cloned() else { return Ok(()) };
        let (OpKind::Get { old: None, .. }, Some(file)) = (&operation.op.what, operation.file()) else { return Ok(()) };
        let (key, reader) = ((operation.owner, file), operation.op.node);
        let Some((newest, acked)) = self.history.newest(key) else { return Ok(()) };
        if acked.deleted {
            return Ok(());
        }
        self.findings.borrow_mut().tally.reads += 1;
        let found = match result {
            OpResult::Got(got) => Ok(got.file.version),
            OpResult::Failed(error) => Err(error.to_string()),
            OpResult::Put(_)
            | OpResult::Deleted(_)
            | OpResult::Listed { .. }
            | OpResult::Stat(_)
            | OpResult::Versions(_)
            | OpResult::Evicted { .. }
            | OpResult::Restored(_)
            | OpResult::Scrubbed(_)
            | OpResult::Checked(_)
            | OpResult::Left
            | OpResult::Forgotten
            | OpResult::Shared(_)
            | OpResult::Abandoned => Err("it was answered as something else".to_string()),
        };
        let what = match &found {
            Ok(version) if *version >= newest => return Ok(()),
            Ok(version) => format!("got the older version {}", history::show(version)),
            Err(error) => format!("failed: {error}"),
        };
        let read = format!("node {reader}'s read of file {file} {what}");
        let is_absent = matches!(result, OpResult::Failed(OpError::Failed(RequestError::NotFound)));
        self.excuse(view, reader, key, (newest, acked.op), found.ok(), is_absent).map_err(|why| {
            format!("{read}; version {} was acknowledged by operation {}, and {why}", history::show(&newest), acked.op)
        })
    }
}

impl Rule for Durability {
    fn name(&self) -> &'static str {
        "durability"
    }

    fn observe(&mut self, at: Duration, event: &Event, view: &mut dyn View) -> Result<(), String> {
        self.history.note(at, event, view);
        if let Event::Up { node } = event {
            self.on_up(*node, view);
        }
        let Event::Ended { op, result } = event else { return Ok(()) };
        let Some(operation) = self.history.ops.get(op) else { return Ok(()) };
        let (uncertain, of_judge) = (operation.is_uncertain(), operation.of_judge);
        let is_evict = matches!(operation.op.what, OpKind::Evict { .. });
        if let Some(Outcome::Acked { version, replicas }) = operation.outcome().cloned() {
            return self.on_acked(*op, version, replicas, view);
        }
        if *result == OpResult::Left {
            let leaver = operation.op.node;
            return self.on_left(leaver, view);
        }
        if let OpResult::Evicted { promised_by, .. } = result {
            self.on_evicted(*op, promised_by, view);
        } else if is_evict && uncertain {
            // It may have dropped the copy before it failed.
            self.on_evicted(*op, &[], view);
        }
        if of_judge {
            return self.on_judged_read(*op, result, view);
        }
        Ok(())
    }

    fn judge(&mut self, view: &mut dyn View) -> Result<(), String> {
        let core: Vec<usize> = (0..view.scenario().nodes.len()).filter(|node| view.is_core(*node)).collect();
        let disks: BTreeMap<usize, Arc<Contents>> = core.iter().map(|node| (*node, view.contents(*node))).collect();
        let files: Vec<FileKey> = self.history.acked.keys().copied().collect();
        for key in files {
            let Some((version, acked)) = self.history.newest(key).filter(|(_, acked)| !acked.deleted) else { continue };
            let Some(address) = history::address(view, key) else { continue };
            if holders_between_them(&disks, address, &version).is_none() {
                self.prove_destroyed(view, key, version, &core).map_err(|why| {
                    let (file, version, op) = (key.1, history::show(&version), acked.op);
                    format!("version {version} of file {file}, acknowledged by operation {op}, is gone: {why}")
                })?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
