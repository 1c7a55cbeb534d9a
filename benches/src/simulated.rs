//! Clusters in simulated time.

use forever_core::config::Config;
use forever_sim::store::{Engine, NodeSpec, Scenario, Tier};
use forever_sim::system::Plan;

/// So many nodes of owners of their own, each of which dials at most `dials` of those before it, on a fast network with fast disks; they
/// do nothing, for ever.
#[must_use]
pub fn scenario(nodes: usize, dials: usize, config: Config) -> Scenario {
    let spec = |node: usize| NodeSpec {
        owner: node,
        bootstrap: (node.saturating_sub(dials)..node).collect(),
        anywhere: false,
    };
    Scenario {
        seed: 1,
        tier: Tier::World,
        nodes: (0..nodes).map(spec).collect(),
        core: (0..nodes).collect(),
        config,
        latency_us: (200, 2_000),
        disk_us: (20, 200),
        engine: Engine::default(),
        families: Vec::new(),
        plan: Plan { ops: Vec::new(), faults: Vec::new(), end_us: u64::MAX },
        settle_us: 0,
        planted: None,
    }
}
