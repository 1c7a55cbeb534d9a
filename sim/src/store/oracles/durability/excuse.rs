//! Why a read may fail to find what was acknowledged, and the proof of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use forever_core::ids::BlobKey;
use forever_core::version::Version;

use super::super::super::{Contents, Holding, OpKind, View};
use super::super::history::{self, Address, FileKey};
use super::super::keeping;
use super::{Durability, Stored};

impl Durability {
    /// Looks for an excuse for a read that did not find the newest acknowledged version.
    pub(super) fn excuse(
        &mut self,
        view: &mut dyn View,
        reader: usize,
        key: FileKey,
        (newest, op): (Version, usize),
        found: Option<Version>,
        is_absent: bool,
    ) -> Result<(), String> {
        let Some(address) = history::address(view, key) else { return Ok(()) };
        let disks = disks_of_core(view);
        if is_absent && disks.values().any(|contents| keeping::is_deleted_above(contents, address, &newest)) {
            return Ok(());
        }
        let here = disks.get(&reader).and_then(|contents| winner(contents, address));
        let wanted = here.or_else(|| disks.values().filter_map(|contents| winner(contents, address)).max());
        if here.is_some_and(|here| here < newest) {
            if self.history.is_beyond_repair(view, op, reader) {
                self.findings.borrow_mut().tally.unrepaired += 1;
                return Ok(());
            }
            return Err(format!("node {reader} holds only an older version although its writer could have brought it"));
        }
        let wanted = wanted.filter(|wanted| *wanted >= newest).unwrap_or(newest);
        if found.is_none_or(|found| found < newest)
            && let Some(holders) = holders_between_them(&disks, address, &wanted)
        {
            let version = history::show(&wanted);
            return Err(format!("the disks of nodes {holders:?} hold all of version {version} between them"));
        }
        if wanted == newest {
            let reach: Vec<usize> = disks.keys().copied().collect();
            self.prove_destroyed(view, key, newest, &reach)?;
        } else {
            self.prove_unreadable(view, key, &wanted, &disks)?;
        }
        self.findings.borrow_mut().tally.excused += 1;
        self.findings.borrow_mut().probes.insert("excused read");
        Ok(())
    }

    /// The device that wrote a version, which nobody was told of, had all of it: why can it not be read?
    fn prove_unreadable(
        &self,
        view: &dyn View,
        key: FileKey,
        version: &Version,
        disks: &BTreeMap<usize, Arc<Contents>>,
    ) -> Result<(), String> {
        let shown = history::show(version);
        let Some(writer) = history::node_of(view, version.node) else {
            return Err(format!("a newer version {shown} hides it that nobody wrote"));
        };
        let Some(contents) = disks.get(&writer) else { return Ok(()) };
        let Some((owner, name)) = history::address(view, key) else { return Ok(()) };
        let missing = match contents.holding(owner, name, version) {
            Holding::Broken(missing) => missing,
            Holding::Absent | Holding::Whole(_) | Holding::Light(_) => Vec::new(),
        };
        let evicted = self
            .history
            .of_file(key)
            .any(|(_, operation)| matches!(operation.op.what, OpKind::Evict { .. }) && operation.op.node == writer);
        if evicted || self.history.is_untrusted(view, writer) || self.history.is_destroyed(writer, 0, &missing) {
            return Ok(());
        }
        Err(format!(
            "a newer version {shown} hides it, which node {writer} wrote and has lost nothing of, and which no disk holds"
        ))
    }

    /// Every disk in reach that held a version must have been destroyed since.
    pub(super) fn prove_destroyed(
        &self,
        view: &mut dyn View,
        key: FileKey,
        version: Version,
        reach: &[usize],
    ) -> Result<(), String> {
        let Some(stored) = self.stored.get(&(key, version)) else { return Ok(()) };
        for (node, since) in &stored.holders {
            let destroyed = self.may_have_moved(view, (*node, *since), (key, version), stored)
                || !view.is_core(*node)
                || self.history.is_untrusted(view, *node)
                || self.history.is_destroyed(*node, *since, &stored.chunks);
            if !destroyed && reach.contains(node) && !self.history.is_pruned(view, *node, key, &version) {
                return Err(format!("node {node} held it, and the plan has destroyed nothing of it there since"));
            }
        }
        Ok(())
    }

    /// Whether a node may have dropped a version that was out of place there: as many others as must have held it then, or have had
    /// newer versions in its place, are explained, too.
    fn may_have_moved(
        &self,
        view: &mut dyn View,
        (node, since): (usize, u64),
        (key, version): (FileKey, Version),
        stored: &Stored,
    ) -> bool {
        if !self.history.may_be_out_of_place(view, node, key, stored.limit) {
            return false;
        }
        let mut explained = 0;
        for other in (0..view.scenario().nodes.len()).filter(|other| *other != node) {
            let is_explained = !view.is_core(other)
                || self.history.is_untrusted(view, other)
                || self.history.is_destroyed(other, since, &stored.chunks)
                || self.history.may_be_out_of_place(view, other, key, stored.limit)
                || self.history.is_pruned(view, other, key, &version);
            explained += usize::from(is_explained);
        }
        explained >= stored.limit
    }
}

/// The disks of the core: its nodes can all ask each other.
fn disks_of_core(view: &mut dyn View) -> BTreeMap<usize, Arc<Contents>> {
    let core: Vec<usize> = (0..view.scenario().nodes.len()).filter(|node| view.is_core(*node)).collect();
    core.into_iter().map(|node| (node, view.contents(node))).collect()
}

/// The highest version of a name on a disk.
fn winner(contents: &Contents, (owner, name): Address) -> Option<Version> {
    contents.of_name(owner, name).map(|signed| signed.record.version).max()
}

/// The disks that have a version's record, if all its chunks lie intact on some of the disks.
pub(super) fn holders_between_them(
    disks: &BTreeMap<usize, Arc<Contents>>,
    (owner, name): Address,
    version: &Version,
) -> Option<Vec<usize>> {
    let mut holders = Vec::new();
    let mut missing: Option<Vec<BlobKey>> = None;
    for (node, contents) in disks {
        match contents.holding(owner, name, version) {
            Holding::Absent => continue,
            Holding::Whole(_) | Holding::Light(_) => missing = Some(Vec::new()),
            // Without its manifest it is of no use.
            Holding::Broken(chunks) if chunks.is_empty() => continue,
            Holding::Broken(chunks) => {
                if missing.is_none() {
                    missing = Some(chunks);
                }
            }
        }
        holders.push(*node);
    }
    let is_intact = |chunk: &BlobKey| disks.values().any(|contents| contents.blobs.get(chunk) == Some(&true));
    missing?.iter().all(is_intact).then_some(holders)
}
