//! Placement: which nodes hold a name, by weighted rendezvous hashing.
//!
//! Names are gathered into [`GROUPS`] groups by the first 16 bits of their ids. For each group every node draws a cost from
//! a hash of both, and the nodes are ranked by it: the holders are the first of that list. So a node that joins takes its
//! share from all others alike, one that leaves gives its share to all others alike, and nothing else moves.
//!
//! Sources: Thaler and Ravishankar, "Using Name-Based Mappings to Increase Hit Rates" (1998), for rendezvous hashing; Schindelhauer
//! and Schomaker, "Weighted Distributed Hash Tables" (SPAA 2005), for the weights: with the cost `-log(u) / weight` a node wins
//! in proportion to its weight. All in fixed point, so that every node computes the same list.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::ids::{NameId, NodeId};

/// How many groups there are.
pub const GROUPS: u32 = 1 << 16;

/// On how many nodes each name is kept at least, if there are so many.
const HOLDERS_MIN: usize = 2;

/// The largest weight of a node.
pub const WEIGHT_MAX: u32 = 1 << 20;

/// In front of what is hashed.
const DOMAIN: &[u8] = b"foreverstore 2026 placement\0";

/// Names that are placed alike: those whose ids start with these 16 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Group(pub u16);

impl Group {
    /// The group of a name.
    #[must_use]
    pub fn of(name: NameId) -> Self {
        let [high, low, ..] = name.0;
        Self(u16::from_be_bytes([high, low]))
    }
}

/// On how many nodes a name is kept. Signed in its records, so that every node that has one knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Replicas(u8);

impl Replicas {
    /// On all nodes.
    pub const ALL: Self = Self(0);

    /// On one: the fewest.
    pub(crate) const LEAST: Self = Self(1);

    /// On so many; `None` if that is none.
    #[must_use]
    pub const fn new(count: u8) -> Option<Self> {
        if count == 0 { None } else { Some(Self(count)) }
    }

    /// The most nodes that are to hold it: two at least, since a write is acknowledged by two, and what stands in for a second
    /// holder would have no place to go to.
    #[must_use]
    pub fn limit(self) -> usize {
        self.count().max(HOLDERS_MIN)
    }

    fn count(self) -> usize {
        if self == Self::ALL { usize::MAX } else { usize::from(self.0) }
    }
}

impl Default for Replicas {
    /// Three.
    fn default() -> Self {
        Self(3)
    }
}

impl PartialOrd for Replicas {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Replicas {
    /// All are the most.
    fn cmp(&self, other: &Self) -> Ordering {
        self.count().cmp(&other.count())
    }
}

impl core::fmt::Display for Replicas {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if *self == Self::ALL { f.write_str("all") } else { self.0.fmt(f) }
    }
}

/// Text that is not a number of replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a number of replicas from 1 to 255, or \"all\"")]
pub struct ParseReplicasError;

impl core::str::FromStr for Replicas {
    type Err = ParseReplicasError;

    fn from_str(text: &str) -> Result<Self, ParseReplicasError> {
        if text == "all" {
            return Ok(Self::ALL);
        }
        text.parse().ok().and_then(Self::new).ok_or(ParseReplicasError)
    }
}

/// A node that may hold names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The node.
    pub node: NodeId,
    /// Its capacity in proportion to the others', at most [`WEIGHT_MAX`]; 0 holds nothing.
    pub weight: u32,
    /// What fails together with it: a room, a site, a provider. Nodes of other zones come first. Empty: a zone of its own.
    pub zone: String,
}

/// The nodes that hold a group, best first: whoever is to be kept on `n` nodes is kept on the first `n`. Nodes of distinct zones
/// come first, then the second of each zone, and so on, each time by cost; the order does not depend on how many are wanted.
#[must_use]
pub fn rank(group: Group, candidates: &[Candidate]) -> Vec<NodeId> {
    order(group, candidates).into_iter().map(|index| candidates[index].node).collect()
}

/// The same, as places in the list of candidates.
pub(crate) fn order(group: Group, candidates: &[Candidate]) -> Vec<usize> {
    let able = || candidates.iter().enumerate().filter(|(_, candidate)| candidate.weight > 0);
    let weight = able().next().map(|(_, candidate)| candidate.weight);
    let are_alike = able().all(|(_, candidate)| Some(candidate.weight) == weight);
    let costs = able().map(|(index, candidate)| (Cost::of(group, candidate, !are_alike), index));
    let mut ranked: Vec<(Cost, usize)> = costs.collect();
    ranked.sort_by(|(cost, index), (other_cost, other)| {
        cost.cmp(other_cost).then_with(|| candidates[*index].node.cmp(&candidates[*other].node))
    });
    let ranked = ranked.into_iter().map(|(_, index)| index);
    if able().all(|(_, candidate)| candidate.zone.is_empty()) {
        return ranked.collect();
    }
    let mut of_zone: BTreeMap<&str, usize> = BTreeMap::new();
    let mut rounds: Vec<(usize, usize)> = Vec::with_capacity(candidates.len());
    for index in ranked {
        let zone = candidates[index].zone.as_str();
        let round = if zone.is_empty() {
            0
        } else {
            let before = of_zone.entry(zone).or_default();
            core::mem::replace(before, *before + 1)
        };
        rounds.push((round, index));
    }
    // Stable, so nodes of one round stay in the order of their costs.
    rounds.sort_by_key(|(round, _)| *round);
    rounds.into_iter().map(|(_, index)| index).collect()
}

/// Hashes that differ by more than one part in 2 to this power have logarithms that differ by some hundred of their last bits.
const FAR_APART: u32 = 24;

/// `-log2(u) / weight`, for a hash `u` between 0 and 1: numerator and denominator, compared without dividing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cost {
    hash: u64,
    /// The numerator, if it will be needed.
    bits: Option<u64>,
    weight: u32,
}

impl Cost {
    fn of(group: Group, candidate: &Candidate, with_bits: bool) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(DOMAIN).update(&candidate.node.0).update(&group.0.to_be_bytes());
        let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
        Self::new(u64::from_be_bytes([a, b, c, d, e, f, g, h]), candidate.weight.min(WEIGHT_MAX), with_bits)
    }

    fn new(hash: u64, weight: u32, with_bits: bool) -> Self {
        Self { hash, bits: with_bits.then(|| minus_log2(hash)), weight }
    }

    fn bits(&self) -> u64 {
        self.bits.unwrap_or_else(|| minus_log2(self.hash))
    }

    fn cmp(&self, other: &Self) -> Ordering {
        // With equal weights the greater hash has the lesser cost, which takes no logarithm, unless both are as good as equal.
        let is_far = self.hash.abs_diff(other.hash) > self.hash.max(other.hash) >> FAR_APART;
        if self.weight == other.weight && is_far {
            return other.hash.cmp(&self.hash);
        }
        let product = |bits: u64, weight: u32| u128::from(bits) * u128::from(weight);
        product(self.bits(), other.weight).cmp(&product(other.bits(), self.weight))
    }
}

/// `-log2((hash + 1) / 2^64)`, with 32 bits behind the point: by repeated squaring of the mantissa, one bit a step.
fn minus_log2(hash: u64) -> u64 {
    let Some(number) = hash.checked_add(1) else { return 0 };
    let zeros = number.leading_zeros();
    let mut mantissa = number << zeros;
    let mut fraction = 0_u64;
    for bit in (0..32).rev() {
        let square = u128::from(mantissa) * u128::from(mantissa);
        let carries = square >> 127 == 1;
        let shifted = if carries { square >> 64 } else { square >> 63 };
        // At most 64 bits are left either way.
        mantissa = u64::try_from(shifted).unwrap_or(u64::MAX);
        fraction |= u64::from(carries) << bit;
    }
    // log2(number) = 63 - zeros + fraction
    (u64::from(zeros + 1) << 32) - fraction
}

#[cfg(test)]
mod tests;
