//! Several nodes that share a cluster key.

use std::ops::{Index, IndexMut};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use super::{CHUNK, Node};

/// Nodes, each of an owner of its own, connected to each other.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// Dropped, and so killed, before their folders go.
    pub(crate) nodes: Vec<Node>,
    ip: String,
    folder: TempDir,
}

impl Cluster {
    /// Starts so many nodes, each told of those before it, and waits until all are connected.
    #[track_caller]
    pub(crate) fn start(count: usize) -> Self {
        Self::start_with(count, &[])
    }

    /// The same with settings, by their environment variables.
    #[track_caller]
    pub(crate) fn start_with(count: usize, settings: &[(&str, &str)]) -> Self {
        let mut cluster = Self::empty();
        for number in 0..count {
            let mut node = cluster.init(&format!("node-{number}"), None);
            for (key, value) in settings {
                node.set(key, value);
            }
            let peers: Vec<&str> = cluster.nodes.iter().map(|peer| peer.listen.as_str()).collect();
            node.start(&peers);
            cluster.nodes.push(node);
        }
        cluster.wait_until_connected();
        cluster
    }

    /// No nodes yet, and the folder for them.
    pub(crate) fn empty() -> Self {
        Self { nodes: Vec::new(), ip: own_ip(), folder: tempfile::tempdir().unwrap() }
    }

    /// Makes one more node, which shares the cluster's key, if there is one yet. With a phrase it is that owner's.
    #[track_caller]
    pub(crate) fn init(&self, name: &str, phrase: Option<&str>) -> Node {
        let key = self.nodes.first().map(|node| node.data.join("cluster.key"));
        self.init_with_key(name, key.as_deref(), phrase)
    }

    #[track_caller]
    pub(crate) fn init_with_key(&self, name: &str, key: Option<&Path>, phrase: Option<&str>) -> Node {
        let mut node = Node::init(&self.path(name), &self.ip, key, phrase);
        node.set("FOREVER_CHUNK_SIZE_KIB", &(CHUNK / 1024).to_string());
        node
    }

    /// A path in the folder of this cluster.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file in the folder of this cluster.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Any port at this cluster's address.
    pub(crate) fn any_port(&self) -> String {
        format!("{}:0", self.ip)
    }

    #[track_caller]
    pub(crate) fn wait_until_connected(&self) {
        for node in &self.nodes {
            node.wait_for_peers(self.nodes.len() as u64 - 1);
        }
    }
}

impl Index<usize> for Cluster {
    type Output = Node;

    fn index(&self, number: usize) -> &Node {
        &self.nodes[number]
    }
}

impl IndexMut<usize> for Cluster {
    fn index_mut(&mut self, number: usize) -> &mut Node {
        &mut self.nodes[number]
    }
}

/// A loopback address of this cluster's own, so that a node that starts again finds its port free: Linux has 2^24 of them.
fn own_ip() -> String {
    static CLUSTERS: AtomicU32 = AtomicU32::new(0);
    if !cfg!(target_os = "linux") {
        return "127.0.0.1".to_owned();
    }
    let (process, cluster) = (process::id(), CLUSTERS.fetch_add(1, Ordering::Relaxed));
    let part = |number: u32| 1 + number % 254;
    format!("127.{}.{}.{}", part(process), part(process / 254), part(cluster))
}
