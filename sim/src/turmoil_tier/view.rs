//! What oracles can look at.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use forever_core::ids::{BlobKey, NodeId};
use forever_core::secrets::OwnerKeys;
use forever_net_tokio::store::Store;
use forever_net_tokio::store::fs::Fs;
use forever_net_tokio::store::inspect::{self, Place, Seen};
use forever_net_tokio::store::memory_fs::MemoryFs;

use super::TurmoilTier;
use super::disk;
use crate::store::inspect::Inspector;
use crate::store::{Contents, Scenario, View, machine};

/// Which file a path is of, and how often it was changed: see [`MemoryFs::stamp`].
type Stamp = (usize, u64);

/// What has been seen, so that what has not changed is not looked at again.
#[derive(Debug, Default)]
pub(super) struct Eyes {
    inspector: Inspector,
    /// Whether the bytes of a file are what its address says.
    files: BTreeMap<(usize, PathBuf), (Stamp, bool)>,
    /// What the index of a node says, of which start of the node.
    indices: BTreeMap<usize, (Stamp, u64, Seen)>,
}

impl TurmoilTier {
    /// The store that is open on a node.
    pub(super) fn open_store(&self, node: usize) -> Option<Arc<Store>> {
        self.hosts[node].store.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    /// What the index on a node's disk says. One that cannot be read holds nothing that an honest reader finds.
    fn read_index(&mut self, node: usize, fs: &MemoryFs) -> Seen {
        let start = self.hosts[node].starts.get();
        let Some(stamp) = fs.stamp(&disk::index_path()) else { return Seen::default() };
        if let Some((at, of, seen)) = self.eyes.indices.get(&node)
            && (*at, *of) == (stamp, start)
        {
            return seen.clone();
        }
        let seen = inspect::look(fs, Path::new(disk::ROOT)).unwrap_or_default();
        self.eyes.indices.insert(node, (stamp, start, seen.clone()));
        seen
    }

    fn read_contents(&mut self, node: usize, fs: &MemoryFs) -> Contents {
        let Seen { entries, places } = self.read_index(node, fs);
        let mut blobs = BTreeMap::new();
        for (blob, place) in places {
            let is_right = match place {
                Place::Index(bytes) => blake3::hash(&bytes) == blob.chunk.0,
                Place::File { path, len } => self.is_right(node, fs, &path, len, &blob),
                Place::Damaged => false,
            };
            blobs.insert(blob, is_right);
        }
        self.eyes.inspector.contents(entries, blobs)
    }

    fn is_right(&mut self, node: usize, fs: &MemoryFs, path: &Path, len: u64, blob: &BlobKey) -> bool {
        let Some(stamp) = fs.stamp(path) else { return false };
        if let Some((seen, is_right)) = self.eyes.files.get(&(node, path.to_path_buf()))
            && *seen == stamp
        {
            return *is_right;
        }
        let is_right = fs
            .read(path, u64::MAX)
            .is_ok_and(|bytes| bytes.len() as u64 == len && blake3::hash(&bytes) == blob.chunk.0);
        self.eyes.files.insert((node, path.to_path_buf()), (stamp, is_right));
        is_right
    }
}

impl View for TurmoilTier {
    fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    fn node_id(&self, node: usize) -> NodeId {
        self.hosts[node].secrets.identity.node_id()
    }

    fn keys(&self, node: usize) -> &OwnerKeys {
        &self.hosts[node].secrets.keys
    }

    fn secrets(&self) -> Vec<(String, Vec<u8>)> {
        machine::named(&self.scenario, self.hosts.iter().map(|host| &host.secrets))
    }

    fn is_up(&self, node: usize) -> bool {
        self.hosts[node].status.shown().is_up
    }

    fn is_core(&self, node: usize) -> bool {
        self.settling.is_healed() && self.scenario.core.contains(&node)
    }

    fn is_gone(&self, node: usize) -> bool {
        self.gone.contains(&node)
    }

    fn contents(&mut self, node: usize) -> Arc<Contents> {
        let fs = self.hosts[node].fs.borrow().memory().clone();
        Arc::new(fs.look(|| self.read_contents(node, &fs)))
    }

    fn each_stored(&mut self, node: usize, show: &mut dyn FnMut(&str, &[u8])) {
        let fs = self.hosts[node].fs.borrow().memory().clone();
        fs.each_file(|path, bytes| show(&path.to_string_lossy(), bytes));
    }

    fn gauges(&self, node: usize) -> Vec<(&'static str, u64, u64)> {
        let gauges = std::mem::take(&mut self.hosts[node].status.shown().gauges);
        gauges.into_iter().map(|(name, (used, limit))| (name, used, limit)).collect()
    }

    fn requests(&self, node: usize) -> u64 {
        self.hosts[node].status.shown().requests
    }

    fn left_over(&self, node: usize) -> Vec<(&'static str, u64)> {
        if !self.settling.has_rested() {
            return Vec::new();
        }
        let shown = self.hosts[node].status.shown();
        shown.left_over.iter().map(|(name, least)| (*name, *least)).collect()
    }

    fn links(&self, node: usize) -> Vec<usize> {
        self.hosts[node].status.shown().links.values().copied().collect()
    }
}
