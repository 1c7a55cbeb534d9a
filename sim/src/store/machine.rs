//! What a node finds on its machine, the same in both tiers: its secrets, and what time it is at the start.

use std::sync::Arc;

use forever_core::secrets::{OwnerKeys, OwnerSecret};
use forever_net_tokio::channel::Identity;

use super::Scenario;
use crate::draw::{Draws, Site};

const NODE_KEY: Site = Site::new("node key");
const CLUSTER_KEY: Site = Site::new("cluster key");
const OWNER_SECRET: Site = Site::new("owner secret");

/// When all simulations start, in milliseconds since the Unix epoch: 2026-01-01. Far enough from zero for a clock to go wrong.
pub(crate) const EPOCH_MS: u64 = 1_767_225_600_000;

/// What is secret about a node.
#[derive(Clone, Debug)]
pub(crate) struct Secrets {
    pub(crate) node_key: [u8; 32],
    pub(crate) cluster_key: [u8; 32],
    pub(crate) owner: OwnerSecret,
    pub(crate) identity: Arc<Identity>,
    pub(crate) keys: OwnerKeys,
}

impl Secrets {
    /// A key of each node's own, an owner secret that its owner's devices share, and one cluster key.
    pub(crate) fn draw(draws: Draws, node: usize, owner: usize) -> Self {
        let node_key = draws.at(NODE_KEY, node as u64, 0).bytes32();
        let cluster_key = draws.at(CLUSTER_KEY, 0, 0).bytes32();
        let owner = OwnerSecret::new(draws.at(OWNER_SECRET, owner as u64, 0).bytes32());
        let identity = Arc::new(Identity::new(node_key, cluster_key));
        Self { keys: OwnerKeys::derive(&owner), node_key, cluster_key, owner, identity }
    }
}

/// The secrets of all nodes in order, each once and with what it is, for those who look for them where they must not be.
pub(crate) fn named<'a>(scenario: &Scenario, nodes: impl Iterator<Item = &'a Secrets>) -> Vec<(String, Vec<u8>)> {
    let mut named = Vec::new();
    for (node, (spec, secrets)) in scenario.nodes.iter().zip(nodes).enumerate() {
        named.push(("the cluster key".to_string(), secrets.cluster_key.to_vec()));
        named.push((format!("the key of node {node}"), secrets.node_key.to_vec()));
        named.push((format!("the secret of owner {}", spec.owner), secrets.owner.expose().to_vec()));
        for (what, key) in secrets.keys.derived() {
            named.push((format!("the {what} of owner {}", spec.owner), key.to_vec()));
        }
    }
    named.sort();
    named.dedup();
    named
}
