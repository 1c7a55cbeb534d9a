//! A scenario: what a seed stands for, whole and printable. A run depends on nothing else.

use std::time::Duration;

use forever_core::manifest::CHUNK_LEN_MAX;
use forever_net_tokio::store::INLINE_LEN_MAX;
use serde::{Deserialize, Serialize};

use super::oracles::mended::mends_within;
use super::{Fault, Op, OpKind};
use crate::simulation::Unrunnable;
use crate::system::{Plan, Timed};

/// The most nodes of a scenario.
pub(super) const NODES_MAX: usize = 200;

/// The longest plan, and the longest time to settle, in microseconds: ten days.
const TIME_US_MAX: u64 = 10 * 86_400_000_000;

/// Which machinery runs a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Discrete events around the core: for breadth.
    World,
    /// The real driver, channel and storage engine on turmoil's network: for depth.
    Turmoil,
}

impl Tier {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::World, Self::Turmoil];

    /// Its name, as case files and command lines have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::World => "world",
            Self::Turmoil => "turmoil",
        }
    }
}

/// A family of faults, switched on or off as a whole for a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Messages late, held, cut or damaged.
    Network,
    /// Processes that end, pause and start.
    Process,
    /// Wrong clocks.
    Clock,
    /// Failing disks.
    Disk,
    /// Nodes that lie.
    Liar,
    /// Rare paths of the real code taken on purpose.
    Buggify,
    /// Nodes that come back at another address.
    Moved,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Network, Self::Process, Self::Clock, Self::Disk, Self::Liar, Self::Buggify, Self::Moved];
}

/// A simulated node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSpec {
    /// Whose it is: nodes with the same number are devices of one owner.
    pub owner: usize,
    /// Whom it dials at the start.
    pub bootstrap: Vec<usize>,
    /// Whether it listens at all addresses of its machine, and has to learn from others which those are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anywhere: bool,
}

/// All of a simulation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Where all further draws come from.
    pub seed: u64,
    /// Which machinery runs it.
    pub tier: Tier,
    /// The nodes.
    pub nodes: Vec<NodeSpec>,
    /// The part of the cluster that is healed at the end; the rest stays as the plan's end left it, cut off.
    pub core: Vec<usize>,
    /// The nodes' configuration; addresses are set by the tier.
    pub config: forever_core::config::Config,
    /// Shortest and longest time that a message takes, in microseconds.
    pub latency_us: (u32, u32),
    /// Shortest and longest time that a disk operation takes, in microseconds (World).
    pub disk_us: (u32, u32),
    /// How the storage engine works (Turmoil).
    #[serde(default)]
    pub engine: Engine,
    /// Families of faults that this seed has.
    pub families: Vec<Family>,
    /// What is done.
    pub plan: Plan<Op, Fault>,
    /// After the plan: the healed core must agree and answer within so much simulated time, in microseconds.
    pub settle_us: u64,
    /// A bug put into the code on purpose, if it was built with any.
    pub planted: Option<String>,
}

/// How the storage engine works, as far as scenarios differ in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Engine {
    /// Memory in which it may keep pages of its index, in bytes. What is there is not read from the disk, and meets no fault of it.
    pub cache_bytes: u32,
    /// Blobs up to this length in bytes live in the index, longer ones in files of their own.
    pub inline_len_max: u32,
}

impl Default for Engine {
    /// Memory for all pages of a small index, and files as a real node has them.
    fn default() -> Self {
        let inline_len_max = u32::try_from(INLINE_LEN_MAX).expect("a few KiB");
        Self { cache_bytes: 1 << 20, inline_len_max }
    }
}

/// Whether one of two nodes dials the other.
pub(crate) fn know_each_other(nodes: &[NodeSpec], a: usize, b: usize) -> bool {
    nodes[a].bootstrap.contains(&b) || nodes[b].bootstrap.contains(&a)
}

impl Scenario {
    /// Whether the plan has a node lie at any time.
    #[must_use]
    pub fn lies(&self, node: usize) -> bool {
        self.plan.faults.iter().any(|fault| matches!(fault.what, Fault::Liar { node: liar, .. } if liar == node))
    }

    /// After how long a link on which nothing comes is gone for certain. It is looked at once in a heartbeat; clocks that run
    /// slow, and bytes on the way, take some more.
    #[must_use]
    pub fn link_is_dead(&self) -> Duration {
        (self.config.link_timeout + self.config.heartbeat) * 2 + Duration::from_secs(2)
    }

    /// Whether its nodes compare with each other again and again while the core comes to rest, and not only when something happens.
    pub(crate) fn compares_at_rest(&self) -> bool {
        u128::from(self.settle_us) > 4 * self.config.sync_interval.as_micros()
    }

    /// Whether the core comes to rest for so long that others take over what members hold that were left dead.
    pub(crate) fn replaces_the_dead(&self) -> bool {
        u128::from(self.settle_us) > 4 * self.config.repair_after.as_micros()
    }

    /// How long the core comes to rest at least before it is judged, in microseconds: links to nodes that were left dead must
    /// be gone by then, and what the plan destroyed on disks mended.
    pub(crate) fn rest_us_min(&self) -> u64 {
        let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX - 1) + 1;
        let all_live = self.core.len() == self.nodes.len();
        let of_links = if all_live { 0 } else { us(self.link_is_dead()) };
        of_links.max(mends_within(self).filter(|_| self.is_damaged()).map_or(0, us))
    }

    /// Whether its plan destroys what lies on disks.
    pub(crate) fn is_damaged(&self) -> bool {
        let destroys = |what: &Fault| {
            matches!(what, Fault::BitRot { .. } | Fault::Misdirected { .. } | Fault::LostDirSyncs { .. })
        };
        self.plan.faults.iter().any(|fault| destroys(&fault.what))
    }

    /// How long the longest file may take to be read from peers, in microseconds, without any fault: chunk after chunk.
    pub(crate) fn slowest_read_us(&self) -> u64 {
        let len = |op: &Timed<Op>| if let OpKind::Put { content, .. } = &op.what.what { content.len } else { 0 };
        let longest = self.plan.ops.iter().map(len).max().unwrap_or(0);
        let chunks = u64::from(longest.div_ceil(self.config.chunk_size));
        chunks * u64::from(2 * self.latency_us.1 + 2 * self.disk_us.1)
    }

    /// What its plan does not say of whether it can be run.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub(super) fn check_settings(&self) -> Result<(), Unrunnable> {
        let count = self.nodes.len();
        let wants = |holds: bool, field, must: String| {
            if holds { Ok(()) } else { Err(Unrunnable::Setting { field, must }) }
        };
        wants((1..=NODES_MAX).contains(&count), "nodes", format!("a list of 1 to {NODES_MAX} nodes"))?;
        for (number, node) in self.nodes.iter().enumerate() {
            if let Some(other) = node.bootstrap.iter().copied().find(|other| *other >= count) {
                return Err(Unrunnable::NoSuchNode { by: format!("node {number}"), node: other, nodes: count });
            }
        }
        if let Some(node) = self.core.iter().copied().find(|node| *node >= count) {
            return Err(Unrunnable::NoSuchNode { by: "core".into(), node, nodes: count });
        }
        wants(!self.core.is_empty(), "core", "a list of at least one node".into())?;
        let chunk_sizes = 1..=CHUNK_LEN_MAX;
        wants(chunk_sizes.contains(&self.config.chunk_size), "chunk_size", format!("1 to {CHUNK_LEN_MAX}"))?;
        wants(self.latency_us.0 <= self.latency_us.1, "latency_us", "the shortest time, then the longest".into())?;
        wants(self.disk_us.0 <= self.disk_us.1, "disk_us", "the shortest time, then the longest".into())?;
        wants((1..=TIME_US_MAX).contains(&self.plan.end_us), "end_us", "1 microsecond to ten days".into())?;
        wants(self.settle_us <= TIME_US_MAX, "settle_us", "at most ten days".into())
    }

    /// Whether leases end within the time there is, so that the cluster is at rest only without any.
    pub(crate) fn ends_leases(&self) -> bool {
        u128::from(self.settle_us) > 8 * self.config.lease.as_micros()
    }

    /// The same without points in the code that go wrong; `None` if it has none.
    #[must_use]
    pub fn without_buggify(&self) -> Option<Self> {
        self.config.simulation.buggify?;
        let mut calm = self.clone();
        calm.families.retain(|family| *family != Family::Buggify);
        calm.config.simulation.buggify = None;
        Some(calm)
    }
}
