//! From a seed to a scenario: what the cluster is. What is done in it is drawn in `ops`, what goes wrong in `faults`.
//!
//! Swarm testing (Groce et al., "Swarm Testing", ISSTA 2012): each seed switches whole families of faults off, leaves kinds
//! of operations out and moves the knobs of the configuration, so that rare mixtures come up that a uniform mixture hides.

mod departures;
mod faults;
mod ops;

use std::time::Duration;

use forever_core::config::{CheckpointPace, Config};
use forever_core::placement::Replicas;
use forever_core::record::Retention;
use forever_core::simulation::Simulation;

use super::scenario::know_each_other;
use super::{Engine, Family, NodeSpec, Scenario, Shape, Tier};
use crate::draw::{Draw, Draws, Site};
use crate::system::Plan;
use departures::{Departures, Setting};

const NODES: Site = Site::new("scenario.nodes");
const OWNERS: Site = Site::new("scenario.owners");
const TOPOLOGY: Site = Site::new("scenario.topology");
const CONFIG: Site = Site::new("scenario.config");
const FAMILIES: Site = Site::new("scenario.families");
const HEALED: Site = Site::new("scenario.healed");
const BUGGIFY: Site = Site::new("scenario.buggify");
const ENGINE: Site = Site::new("scenario.engine");
const TIMES: Site = Site::new("scenario.times");
const ANYWHERE: Site = Site::new("scenario.anywhere");

/// Where nodes move, so many of a thousand listen at all addresses of their machines.
const ANYWHERE_PER_MILLE: u64 = 400;

/// How often nodes compare where that is longer than all of a run.
const HOUR: Duration = Duration::from_secs(3_600);

impl Scenario {
    /// What a seed stands for in a tier. The same arguments give the same scenario; each part of it is drawn by itself.
    #[must_use]
    pub fn draw(seed: u64, tier: Tier, shape: &Shape) -> Self {
        let draws = Draws::new(seed);
        let count = draw_count(draws, shape);
        let mut nodes = draw_nodes(draws, count);
        let families = draw_families(draws, shape);
        if families.contains(&Family::Moved) {
            for (node, number) in nodes.iter_mut().zip(0..) {
                node.anywhere = draws.at(ANYWHERE, number, 0).per_mille(ANYWHERE_PER_MILLE);
            }
        }
        let mut config = draw_config(draws, tier, shape);
        if families.contains(&Family::Buggify) {
            config.simulation.buggify = Some(draws.at(BUGGIFY, 0, 0).next());
        }
        let core = draw_core(draws, shape, &nodes);
        let victims = faults::victims(draws, nodes.len());
        let setting = Setting { tier, shape, nodes: &nodes, core: &core, families: &families, victims: &victims };
        let departures = Departures::draw(draws, &setting);
        let faults = faults::draw(draws, &setting, departures.faults());
        let ops = ops::draw(draws, &setting, &config, &faults, departures);
        let mut times = draws.at(TIMES, 0, 0);
        let latency_us = slowest(&mut times, shape.latency_us);
        let disk_us = slowest(&mut times, (20, 8_000));
        Self {
            seed,
            tier,
            nodes,
            core,
            config,
            latency_us,
            disk_us,
            engine: draw_engine(draws),
            families,
            plan: Plan { ops, faults, end_us: shape.duration_ms * 1_000 },
            settle_us: shape.settle_ms * 1_000,
            planted: None,
        }
    }
}

fn draw_count(draws: Draws, shape: &Shape) -> usize {
    let mut draw = draws.at(NODES, 0, 0);
    let (least, most) = shape.nodes;
    let count = if draw.per_mille(500) {
        u64::from(shape.nodes_usual)
    } else {
        draw.between(u64::from(least), u64::from(most))
    };
    usize::try_from(count).expect("a shape has at most 200 nodes")
}

/// Owners, most with one device and some with two, and whom each node dials at the start.
fn draw_nodes(draws: Draws, count: usize) -> Vec<NodeSpec> {
    let mut owners: Vec<usize> = Vec::new();
    for node in 0..count {
        let mut draw = draws.at(OWNERS, node as u64, 0);
        let fresh = owners.iter().max().map_or(0, |last| last + 1);
        let is_single = |owner: &usize| owners.iter().filter(|other| *other == owner).count() == 1;
        let single = owners.iter().copied().find(is_single);
        owners.push(single.filter(|_| draw.per_mille(350)).unwrap_or(fresh));
    }
    let mut draw = draws.at(TOPOLOGY, 0, 0);
    let topology = draw.below(10);
    // One address is enough, and the first node needs none.
    let bootstrap = |node: usize| -> Vec<usize> {
        match topology {
            // A star around node 0.
            0..=3 => (0..node.min(1)).collect(),
            // A chain.
            4..=6 => node.checked_sub(1).into_iter().collect(),
            // A ring.
            7..=8 => vec![(node + 1) % count],
            // Everybody knows everybody.
            _ => (0..count).filter(|other| *other != node).collect(),
        }
    };
    (0..count).map(|node| NodeSpec { owner: owners[node], bootstrap: bootstrap(node), anywhere: false }).collect()
}

fn draw_config(draws: Draws, tier: Tier, shape: &Shape) -> Config {
    let knob = |number: u64| draws.at(CONFIG, 0, number);
    let ms = |draw: &mut Draw, least: u64, most: u64| Duration::from_millis(draw.between(least, most));
    // A plan of Turmoil is half as long, and a byte lost there stalls its link until that is given up.
    let heartbeat = match tier {
        Tier::World => ms(&mut knob(8), 500, 3_000),
        Tier::Turmoil => ms(&mut knob(8), 250, 1_000),
    };
    let link_timeout = heartbeat * u32::try_from(knob(9).between(2, 5)).expect("at most 5");
    // In so many of the largest files. Only World shows what lies on its disks at any time.
    let room = |draw: &mut Draw, files: &[u64]| match tier {
        Tier::World => draw.pick(files) * u64::from(shape.file_bytes_max),
        Tier::Turmoil => 0,
    };
    let small_hot = match tier {
        Tier::World => [0, 1 << 10, 16 << 10, 1 << 20],
        Tier::Turmoil => [0, 64 << 10, 1 << 20, 16 << 20],
    };
    let two = Replicas::new(2).expect("two is not none");
    Config {
        listen: Vec::new(),
        bootstrap: Vec::new(),
        max_peers: match tier {
            Tier::World => *knob(42).pick(&[64, 64, 64, 64, 64, 64, 64, 64, 3, 4]),
            Tier::Turmoil => 64,
        },
        weight: 100,
        zone: String::new(),
        swim_period: ms(&mut knob(18), 1_500, 4_000),
        repair_after: ms(&mut knob(19), 10_000, 60_000),
        chunk_size: *knob(0).pick(&shape.chunk_sizes),
        retention: Retention {
            keep_versions: *knob(1).pick(&[1, 3, 10]),
            keep_days: *knob(2).pick(&[0, 1, 30]),
            replicas: *knob(50).pick(&[Replicas::ALL, two, Replicas::default(), two, Replicas::default()]),
        },
        // Mostly nothing ages in the minute that a plan takes; in some seeds days and leases end within it.
        lease: Duration::from_secs(*knob(40).pick(&[7 * 86_400, 7 * 86_400, 20, 8])),
        day: Duration::from_secs(*knob(41).pick(&[86_400, 86_400, 86_400, 12])),
        put_window_chunks: *knob(3).pick(&[2, 4, 16]),
        fetch_window_chunks: *knob(4).pick(&[1, 2, 8]),
        hot_bytes: *knob(5).pick(&small_hot),
        link_window_bytes: *knob(6).pick(&[4 << 10, 64 << 10, 1 << 20]),
        requests_max: *knob(7).pick(&[12, 32, 256]),
        request_timeout: ms(&mut knob(10), 5_000, 15_000),
        fetch_timeout: ms(&mut knob(11), 500, 3_000),
        answer_timeout: ms(&mut knob(12), 1_500, 5_000),
        straggler_timeout: ms(&mut knob(13), 500, 3_000),
        heartbeat,
        link_timeout,
        redial: (ms(&mut knob(14), 50, 250), ms(&mut knob(15), 500, 3_000)),
        ban_after: *knob(16).pick(&[2, 3, 5]),
        ban_for: ms(&mut knob(17), 1_000, 8_000),
        checkpoints: CheckpointPace {
            quiet: ms(&mut knob(30), 100, 3_000),
            changes_max: *knob(31).pick(&[1, 4, 64]),
            wait_max: ms(&mut knob(32), 1_000, 20_000),
        },
        sync_interval: if knob(43).per_mille(u64::from(shape.hourly_sync_per_mille)) {
            HOUR
        } else {
            ms(&mut knob(33), shape.sync_ms.0.into(), shape.sync_ms.1.into())
        },
        repair_bytes_s: *knob(34).pick(&[256 << 10, 4 << 20, 64 << 20]),
        quota_bytes: room(&mut knob(35), &[0, 0, 0, 1, 3]),
        store_max_bytes: room(&mut knob(36), &[0, 0, 0, 0, 4, 8]),
        cache_bytes: *knob(37).pick(&[0, 2, 5, 40]) * u64::from(*knob(0).pick(&shape.chunk_sizes)),
        scrub_period: Duration::from_secs(*knob(51).pick(&[0, 8, 20, 40])),
        presence_period: Duration::from_secs(*knob(52).pick(&[0, 5, 15])),
        simulation: Simulation::default(),
    }
}

fn draw_engine(draws: Draws) -> Engine {
    let mut draw = draws.at(ENGINE, 0, 0);
    let usual = Engine::default();
    Engine {
        cache_bytes: *draw.pick(&[0, 0, 64 << 10, usual.cache_bytes]),
        inline_len_max: *draw.pick(&[0, 1 << 10, usual.inline_len_max]),
    }
}

fn draw_families(draws: Draws, shape: &Shape) -> Vec<Family> {
    let is_on = |family: &Family| {
        let number = Family::ALL.iter().position(|other| other == family).expect("ALL has every family");
        draws.at(FAMILIES, number as u64, 0).per_mille(u64::from(shape.families_per_mille))
    };
    shape.families.iter().copied().filter(is_on).collect()
}

/// The nodes to heal: usually all; sometimes one or two are left dead, if the rest can still reach each other.
fn draw_core(draws: Draws, shape: &Shape, nodes: &[NodeSpec]) -> Vec<usize> {
    let all: Vec<usize> = (0..nodes.len()).collect();
    let mut draw = draws.at(HEALED, 0, 0);
    if draw.per_mille(u64::from(shape.heal_all_per_mille)) || nodes.len() < 4 {
        return all;
    }
    let mut order = all.clone();
    draw.shuffle(&mut order);
    let dead = if nodes.len() > 5 && draw.per_mille(300) { 2 } else { 1 };
    let mut core = order.split_off(dead);
    core.sort_unstable();
    if is_connected(nodes, &core) { core } else { all }
}

fn is_connected(nodes: &[NodeSpec], core: &[usize]) -> bool {
    let mut reached: Vec<usize> = core.first().copied().into_iter().collect();
    let mut next = 0;
    while let Some(node) = reached.get(next).copied() {
        next += 1;
        for other in core {
            if know_each_other(nodes, node, *other) && !reached.contains(other) {
                reached.push(*other);
            }
        }
    }
    reached.len() == core.len()
}

/// A range that starts where the given one does and ends somewhere in it: most networks are fast, some are slow.
fn slowest(draw: &mut Draw, (least, most): (u32, u32)) -> (u32, u32) {
    let share = [40, 10, 4, 1][draw.index(4)];
    let top = (most / share).max(least.saturating_mul(2)).min(most.max(least));
    (least, top)
}

#[cfg(test)]
mod tests;
