//! The members of the cluster that this node knows, remembered on its disk.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::disk::{DiskOp, Write};
use crate::frame::Hello;
use crate::ids::{NodeId, OwnerId};
use crate::node::context::Context;
use crate::node::pending::Pending;
use crate::node::schema::{self, Remembered};
use crate::node::{cluster, dials};

/// The members known, this node not among them.
#[derive(Debug, Default)]
pub(crate) struct Members {
    members: BTreeMap<NodeId, Remembered>,
    /// Whose devices those are that have said hello.
    owners: BTreeMap<NodeId, OwnerId>,
}

impl Members {
    /// How many, this node not counted.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.members.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn contains(&self, node: NodeId) -> bool {
        self.members.contains_key(&node)
    }

    /// The devices of an owner, this node not among them.
    pub(crate) fn devices(&self, owner: OwnerId) -> impl Iterator<Item = NodeId> {
        self.owners.iter().filter(move |(_, other)| **other == owner).map(|(node, _)| *node)
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.members.keys().copied()
    }
}

/// A member read from the disk at start.
pub(crate) fn recover(cx: &mut Context, node: NodeId, remembered: Remembered) {
    for address in &remembered.addresses {
        dials::add(cx, address, node);
    }
    cx.members.members.entry(node).or_insert(remembered);
    cluster::on_membership(cx);
}

/// A peer has said hello: remember it and where it can be reached. An address without a host means the host from which
/// the peer was seen to come.
pub(crate) fn remember(cx: &mut Context, node: NodeId, remote: &str, hello: &Hello) {
    let host = remote.rsplit_once(':').map_or(remote, |(host, _)| host);
    let addresses: Vec<String> = hello
        .listen
        .iter()
        .map(|address| match address.strip_prefix(':') {
            Some(port) => alloc::format!("{host}:{port}"),
            None => address.to_string(),
        })
        .collect();
    cx.members.owners.insert(node, hello.owner);
    let remembered = Remembered { addresses };
    for address in &remembered.addresses {
        dials::add(cx, address, node);
    }
    if cx.members.members.get(&node) != Some(&remembered) {
        let put = Write::Put { key: schema::member_key(node), value: schema::encode(&remembered) };
        cx.disk(
            DiskOp::Commit { require_blobs: Vec::new(), require_keys: Vec::new(), writes: alloc::vec![put] },
            Pending::Nobody,
        );
        cx.members.members.insert(node, remembered);
        cluster::on_membership(cx);
    }
}
