//! Rule: what a node read of a file and cached is gone once its disk has the file's deletion. After settling, no running node
//! of the core has a chunk in its cache that only deleted names have, as far as its own disk knows of their deletions.
//!
//! Which names have a chunk is taken from all disks. A node that may have had a failing disk to the end, or lies, is not held to
//! it: a drop that the disk refuses is tried again after a while.

use std::collections::BTreeMap;
use std::time::Duration;

use forever_core::disk::CACHE_OWNER;
use forever_core::ids::{ChunkId, NameId, OwnerId};
use forever_core::record::RecordBody;
use forever_core::version::Version;

use super::super::{Contents, Event, Fault, View};
use super::Rule;
use super::history::History;

/// How long after healing a drop that failed has been tried again.
const TRIED_AGAIN: Duration = Duration::from_secs(61);

/// The oracle.
#[derive(Default)]
pub(crate) struct Cached {
    history: History,
}

impl Rule for Cached {
    fn name(&self) -> &'static str {
        "resurrection"
    }

    fn observe(&mut self, at: Duration, event: &Event, view: &mut dyn View) -> Result<(), String> {
        self.history.note(at, event, view);
        Ok(())
    }

    fn judge(&mut self, view: &mut dyn View) -> Result<(), String> {
        let nodes = view.scenario().nodes.len();
        let disks: Vec<_> = (0..nodes).map(|node| view.contents(node)).collect();
        let names = names_of_chunks(disks.iter().map(|disk| &**disk));
        let rested = self.history.healed.is_some_and(|(_, healed)| self.history.at - healed >= TRIED_AGAIN);
        let has_failing_disk = |node: usize| {
            let faults = &view.scenario().plan.faults;
            !rested && faults.iter().any(|fault| fails_writes(&fault.what, node))
        };
        let core = (0..nodes).filter(|node| view.is_core(*node) && view.is_up(*node));
        core.filter(|node| !self.history.is_untrusted(view, *node) && !has_failing_disk(*node))
            .try_for_each(|node| check(node, &disks[node], &names))
    }
}

/// Whether a fault may let a write of a node's disk fail.
fn fails_writes(fault: &Fault, of: usize) -> bool {
    matches!(fault, Fault::WriteErrors { node, .. } | Fault::SyncErrors { node, .. } | Fault::Full { node, .. } if *node == of)
}

/// The names that have a chunk, and the newest version of each that has it.
type Names = BTreeMap<ChunkId, BTreeMap<(OwnerId, NameId), Version>>;

fn names_of_chunks<'a>(disks: impl Iterator<Item = &'a Contents>) -> Names {
    let mut names = Names::new();
    for held in disks.flat_map(|disk| &disk.records) {
        let record = &held.record.record;
        for blob in held.chunks.iter().flatten() {
            let of_chunk = names.entry(blob.chunk).or_default();
            let newest = of_chunk.entry((record.owner, record.name_id)).or_insert(record.version);
            *newest = record.version.max(*newest);
        }
    }
    names
}

fn check(node: usize, disk: &Contents, names: &Names) -> Result<(), String> {
    let is_deleted = |((owner, name), version): (&(OwnerId, NameId), &Version)| {
        let records = disk.records.iter().map(|held| &held.record.record);
        let mut of_name = records.filter(|record| record.owner == *owner && record.name_id == *name);
        of_name.any(|record| record.body == RecordBody::Tombstone && record.version > *version)
    };
    for blob in disk.blobs.keys().filter(|blob| blob.owner == CACHE_OWNER) {
        if names.get(&blob.chunk).is_some_and(|names| names.iter().all(is_deleted)) {
            return Err(format!("node {node} still has chunk {} of a deleted file in its cache", blob.chunk));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
