//! A scenario: what a seed stands for, whole and printable. A run depends on nothing else.

use serde::{Deserialize, Serialize};

use super::{Fault, Op};
use crate::system::Plan;

/// Which machinery runs a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Discrete events around the core: for breadth.
    World,
    /// The real driver, channel and storage engine on turmoil's network: for depth.
    Turmoil,
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
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Network, Self::Process, Self::Clock, Self::Disk, Self::Liar, Self::Buggify];
}

/// A simulated node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSpec {
    /// Whose it is: nodes with the same number are devices of one owner.
    pub owner: usize,
    /// Whom it dials at the start.
    pub bootstrap: Vec<usize>,
}

/// All of a simulation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Families of faults that this seed has.
    pub families: Vec<Family>,
    /// What is done.
    pub plan: Plan<Op, Fault>,
    /// After the plan: the healed core must agree and answer within so much simulated time, in microseconds.
    pub settle_us: u64,
    /// A bug put into the code on purpose, if it was built with any.
    pub planted: Option<String>,
}

impl Scenario {
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
