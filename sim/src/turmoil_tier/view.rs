//! What oracles can look at.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use forever_core::disk::DiskError;
use forever_core::ids::{BlobKey, NodeId};
use forever_core::secrets::OwnerKeys;
use forever_net_tokio::simulation::Simulated;
use forever_net_tokio::store::Store;
use forever_net_tokio::store::fs::Fs;
use forever_net_tokio::store::inspect::Place;
use forever_net_tokio::store::memory_fs::MemoryFs;

use super::TurmoilTier;
use super::disk;
use crate::store::inspect::Inspector;
use crate::store::{Contents, Scenario, View};

/// Which file a path is of, and how often it was changed: see [`MemoryFs::stamp`].
type Stamp = (usize, u64);

/// What has been seen, so that what has not changed is not looked at again.
#[derive(Debug, Default)]
pub(super) struct Eyes {
    inspector: Inspector,
    /// Whether the bytes of a file are what its address says.
    files: BTreeMap<(usize, PathBuf), (Stamp, bool)>,
    /// The stores of nodes that are down, opened aside.
    aside: BTreeMap<usize, Aside>,
}

/// A store opened aside: the stamp of the index that it was opened at, after which start of its node, and the store if it
/// could be opened.
type Aside = (Option<Stamp>, u64, Option<Arc<Store>>);

impl TurmoilTier {
    /// The store that is open on a node.
    pub(super) fn open_store(&self, node: usize) -> Option<Arc<Store>> {
        self.hosts[node].store.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    /// The store of a node that is down, opened beside it on a copy of its disk.
    fn store_aside(&mut self, node: usize) -> Option<Arc<Store>> {
        let host = &self.hosts[node];
        let fs = host.fs.borrow().memory().clone();
        let stamp = fs.stamp(&Path::new(disk::ROOT).join("index.redb"));
        let start = host.starts.get();
        if let Some((seen, at, store)) = self.eyes.aside.get(&node)
            && (*seen, *at) == (stamp, start)
        {
            return store.clone();
        }
        let config = disk::store_config(Simulated::default());
        // Nobody sees what this changes.
        let store = stamp.and_then(|_| Store::open(Arc::new(fs.after_kill()), &config).ok()).map(Arc::new);
        self.eyes.aside.insert(node, (stamp, start, store.clone()));
        store
    }

    fn read_contents(&mut self, node: usize) -> Result<Contents, DiskError> {
        let open = self.open_store(node);
        let Some(store) = open.or_else(|| self.store_aside(node)) else { return Ok(Contents::default()) };
        let rows = store.entries()?;
        let fs = self.hosts[node].fs.borrow().memory().clone();
        let mut blobs = BTreeMap::new();
        for (blob, place) in store.places()? {
            let is_right = match place {
                Place::Index(bytes) => blake3::hash(&bytes) == blob.chunk.0,
                Place::File { path, len } => self.is_right(node, &fs, &path, len, &blob),
                Place::Damaged => false,
            };
            blobs.insert(blob, is_right);
        }
        Ok(self.eyes.inspector.contents(rows, blobs))
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
        let mut secrets = Vec::new();
        for host in &self.hosts {
            let node = host.number;
            secrets.push((format!("the key of node {node}"), host.secrets.node_key.to_vec()));
            secrets.push((format!("the secret of the owner of node {node}"), host.secrets.owner.expose().to_vec()));
        }
        secrets.extend(self.hosts.first().map(|host| ("the cluster's key".into(), host.secrets.cluster_key.to_vec())));
        secrets
    }

    fn is_up(&self, node: usize) -> bool {
        self.hosts[node].status.shown().is_up
    }

    fn is_core(&self, node: usize) -> bool {
        self.settling.is_healed() && self.scenario.core.contains(&node)
    }

    fn contents(&mut self, node: usize) -> Contents {
        self.board.look(true);
        // A disk whose index cannot be read holds nothing that an honest reader finds.
        let contents = self.read_contents(node).unwrap_or_default();
        self.board.look(false);
        contents
    }

    fn each_stored(&mut self, node: usize, show: &mut dyn FnMut(&str, &[u8])) {
        let fs = self.hosts[node].fs.borrow().memory().clone();
        fs.each_file(|path, bytes| show(&path.to_string_lossy(), bytes));
    }

    fn gauges(&self, node: usize) -> Vec<(&'static str, u64, u64)> {
        let gauges = std::mem::take(&mut self.hosts[node].status.shown().gauges);
        gauges.into_iter().map(|(name, (used, limit))| (name, used, limit)).collect()
    }

    fn links(&self, node: usize) -> Vec<usize> {
        self.hosts[node].status.shown().links.values().copied().collect()
    }
}
