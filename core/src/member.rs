//! What the nodes of a cluster know of each other: a table of members, one entry a node.
//!
//! An entry is written by the node that it is about, or by whoever forgets that node. Of two entries about one node the one with
//! the higher stamp holds, so tables merge in any order to the same table (a last-writer-wins map; Shapiro et al., "A
//! comprehensive study of Convergent and Commutative Replicated Data Types", INRIA RR-7506, 2011).

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::ids::{NodeId, OwnerId};
use crate::placement::WEIGHT_MAX;

/// The most members of a cluster, those that have left or were forgotten included: what a node is told of is kept for ever,
/// on its disk and in memory.
pub const MEMBERS_MAX: usize = 4_096;

/// The most addresses of a member.
pub const ADDRESSES_MAX: usize = 8;

/// The longest address, in bytes.
pub const ADDRESS_LEN_MAX: usize = 256;

/// The longest name of a zone, in bytes.
pub const ZONE_LEN_MAX: usize = 64;

/// The highest stamp that is believed. No node gets there by itself, and above it is room to answer a lie.
pub const STAMP_MAX: u64 = 1 << 62;

/// Whether a node belongs to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MemberStatus {
    /// It does.
    In,
    /// It has left by itself.
    Left,
    /// Another member says that it will not come back.
    Forgotten,
}

/// What a member says of itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MemberInfo {
    /// Which of the entries about one node holds: the highest.
    pub stamp: u64,
    /// Whether it belongs to the cluster. Of two entries with one stamp the greater holds.
    pub status: MemberStatus,
    /// Whose device it is.
    pub owner: OwnerId,
    /// Where it listens: at most [`ADDRESSES_MAX`], each at most [`ADDRESS_LEN_MAX`] bytes. An empty host means "where you
    /// see me".
    pub addresses: Vec<String>,
    /// How much it takes of what is stored, compared with others, at most [`WEIGHT_MAX`]; 0 for nothing.
    pub weight: u32,
    /// What it has in common with others that may fail together with it, such as a site; at most [`ZONE_LEN_MAX`] bytes.
    pub zone: String,
}

impl MemberInfo {
    /// Whether it keeps to the limits.
    #[must_use]
    pub fn is_sane(&self) -> bool {
        self.stamp <= STAMP_MAX
            && self.addresses.len() <= ADDRESSES_MAX
            && self.addresses.iter().all(|address| address.len() <= ADDRESS_LEN_MAX)
            && self.zone.len() <= ZONE_LEN_MAX
            && self.weight <= WEIGHT_MAX
    }

    /// Whether this entry holds rather than another one about the same node. Exactly one of two that differ does.
    #[must_use]
    pub fn supersedes(&self, other: &Self) -> bool {
        self > other
    }
}

/// An entry of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Whom it is about.
    pub node: NodeId,
    /// What is known of it.
    pub info: MemberInfo,
}

impl Member {
    /// The entry's part of the fingerprint of a table, which is the wrapping sum of all. Sums can be forged by whoever
    /// wants to; they tell honest nodes whether there is anything to tell.
    pub(crate) fn fingerprint(node: NodeId, info: &MemberInfo) -> u64 {
        let mut bytes = node.0.to_vec();
        crate::codec::encode_onto(info, &mut bytes);
        let hash = blake3::hash(&bytes);
        let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

#[cfg(test)]
mod tests;
