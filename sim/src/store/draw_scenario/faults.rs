//! What goes wrong in a scenario.
//!
//! Faults that destroy what was acknowledged hit few disks: a write is acknowledged when two nodes hold it, so with one
//! destroyed disk all must still be readable, and that is what nearly all seeds hold the store to.

use super::super::scenario::know_each_other;
use super::super::{Approach, DiskPart, Family, Fault, Lie, NodeSpec, Tier};
use super::departures::Setting;
use crate::draw::{Draw, Draws, Site};
use crate::system::Spanned;

mod moves;

const COUNT: Site = Site::new("faults.count");
const FAULT: Site = Site::new("faults.fault");
const VICTIMS: Site = Site::new("faults.victims");
const AHEAD: Site = Site::new("faults.ahead");
const COMPANION: Site = Site::new("faults.companion");

/// The length of plans that spans of faults are made for.
const USUAL_MS: u64 = 60_000;

/// What keeps nodes from each other or from their callers lasts a share of its span only, so that most operations find a
/// cluster that can do them.
const OUTAGE_PER_MILLE: u64 = 400;

/// So many of a thousand outages of the network last so many times longer: whoever tries again, gives up, and comes back has time to.
const LONG_PER_MILLE: u64 = 80;
const LONGER: u64 = 5;

/// In so many of a thousand scenarios no disk is safe, so that there are reads whose every copy is gone.
const ALL_DESTROYED_PER_MILLE: u64 = 25;

/// No fault begins before: the cluster forms first. (A slow start begins with the run.)
const FIRST_MS: u64 = 1_000;

/// Kinds of faults, with their weights.
type Weights = &'static [(Kind, u32)];

/// A kind of fault.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Partition,
    OneWay,
    Hold,
    LatencySpike,
    SlowPair,
    Bandwidth,
    DropBytes,
    DuplicateBytes,
    ReorderBytes,
    Resets,
    HalfOpen,
    Clog,
    Stranger,
    Crash,
    PowerLoss,
    Pause,
    LostDisk,
    SlowStart,
    Skew,
    Drift,
    Jump,
    ReadErrors,
    WriteErrors,
    SyncErrors,
    /// The same, seldom and for longer: what comes after a failure succeeds.
    SeldomReadErrors,
    SeldomWriteErrors,
    SeldomSyncErrors,
    Full,
    SlowDisk,
    StalledDisk,
    BitRot,
    IndexRot,
    Misdirected,
    LostDirSyncs,
    Liar,
}

const NETWORK: Weights = &[
    (Kind::Partition, 12),
    (Kind::OneWay, 8),
    (Kind::Hold, 12),
    (Kind::LatencySpike, 10),
    (Kind::SlowPair, 10),
    (Kind::Bandwidth, 8),
    (Kind::DropBytes, 6),
    (Kind::DuplicateBytes, 6),
    (Kind::ReorderBytes, 6),
    (Kind::Resets, 12),
    (Kind::HalfOpen, 8),
    (Kind::Clog, 8),
    (Kind::Stranger, 5),
];

const PROCESS: Weights =
    &[(Kind::Crash, 28), (Kind::PowerLoss, 28), (Kind::Pause, 25), (Kind::LostDisk, 12), (Kind::SlowStart, 7)];

const CLOCK: Weights = &[(Kind::Skew, 40), (Kind::Drift, 30), (Kind::Jump, 30)];

const DISK: Weights = &[
    (Kind::ReadErrors, 10),
    (Kind::WriteErrors, 10),
    (Kind::SyncErrors, 6),
    (Kind::SeldomReadErrors, 10),
    (Kind::SeldomWriteErrors, 6),
    (Kind::SeldomSyncErrors, 14),
    (Kind::Full, 12),
    (Kind::SlowDisk, 18),
    (Kind::StalledDisk, 12),
    (Kind::BitRot, 8),
    (Kind::IndexRot, 4),
    (Kind::Misdirected, 8),
    (Kind::LostDirSyncs, 8),
];

const LIAR: Weights = &[(Kind::Liar, 1)];

/// Draws the faults, in order of their beginnings.
pub(super) fn draw(draws: Draws, of: &Setting<'_>, departures: &[(u64, u64, Fault)]) -> Vec<Spanned<Fault>> {
    let Setting { tier, shape, nodes, families, .. } = *of;
    let tables: Vec<Vec<Kind>> = families.iter().filter_map(|family| table(*family, tier)).collect();
    let cluster = Cluster { nodes: nodes.len(), linked: linked(nodes), victims: of.victims.to_vec() };
    let count = draws.at(COUNT, 0, 0).between(u64::from(shape.faults.0), u64::from(shape.faults.1));
    // Faults of one family alone hit the same things again and again, and many find nothing to change.
    let count = match tables.len() {
        0 => 0,
        1 => count * 3 / 2,
        _ => count,
    };
    let mut faults: Vec<(u64, u64, Fault)> = Vec::new();
    for nth in 0..count {
        let mut draw = draws.at(FAULT, 0, nth);
        let table = draw.pick(&tables);
        let kind = *draw.pick(table);
        let (from_ms, until_ms) = span(&mut draw, kind, shape.duration_ms);
        let mut ahead = draws.at(AHEAD, 0, nth);
        faults.push((from_ms * 1_000, until_ms * 1_000, cluster.fault(&mut draw, &mut ahead, kind)));
    }
    if families.contains(&Family::Process) {
        faults.extend(companions(draws, &faults));
        faults.extend(absent_when_disks_are_lost(draws, nodes.len(), &faults));
    }
    if families.contains(&Family::Moved) {
        let is_alone = tables.is_empty();
        faults.extend(moves::draw(draws, shape, nodes.len(), &cluster.victims, is_alone));
    }
    faults.extend(departures.iter().cloned());
    faults.retain(|(from_us, ..)| *from_us < shape.duration_ms * 1_000);
    faults.sort_by_key(|(from_us, ..)| *from_us);
    let number = |(id, (from_us, until_us, what))| Spanned { id, from_us, until_us, what };
    faults.into_iter().enumerate().map(number).collect()
}

/// What fails seldom fails alone: a disk that makes trouble often takes its node down, during the trouble or soon after; and
/// often the node is up again while the trouble lasts, and meets it at its start.
fn companions(draws: Draws, faults: &[(u64, u64, Fault)]) -> Vec<(u64, u64, Fault)> {
    let mut companions = Vec::new();
    for ((from_us, until_us, fault), nth) in faults.iter().zip(0..) {
        let (Fault::ReadErrors { node, .. } | Fault::WriteErrors { node, .. } | Fault::SyncErrors { node, .. }) =
            *fault
        else {
            continue;
        };
        let is_of_reads = matches!(fault, Fault::ReadErrors { .. });
        let mut draw = draws.at(COMPANION, 0, nth);
        if draw.per_mille(650) {
            let down_us = draw.between(50_000, 1_000_000);
            let at_its_start = draw.per_mille(if is_of_reads { 800 } else { 300 });
            let at_us = if at_its_start {
                draw.between(*from_us, *until_us)
            } else {
                draw.between(*from_us, until_us + 2_500_000)
            };
            let from_us = if at_its_start { at_us.saturating_sub(down_us).max(FIRST_MS * 1_000) } else { at_us };
            let what = if draw.per_mille(400) { Fault::Crash { node } } else { Fault::PowerLoss { node } };
            companions.push((from_us, from_us + down_us, what));
        }
    }
    companions
}

/// While one node comes back with an empty disk another is often away: what took the one down took both.
fn absent_when_disks_are_lost(draws: Draws, nodes: usize, faults: &[(u64, u64, Fault)]) -> Vec<(u64, u64, Fault)> {
    let mut absent = Vec::new();
    for ((from_us, until_us, fault), nth) in faults.iter().zip(0..) {
        let Fault::LostDisk { node } = fault else { continue };
        let mut draw = draws.at(COMPANION, 1, nth);
        if draw.per_mille(400) {
            let other = (node + 1 + draw.index(nodes - 1)) % nodes;
            let back_us = until_us + draw.between(300_000, 4_000_000);
            absent.push((draw.between(*from_us, *until_us), back_us, Fault::Crash { node: other }));
        }
    }
    absent
}

fn table(family: Family, tier: Tier) -> Option<Vec<Kind>> {
    let weights = match family {
        Family::Network => NETWORK,
        Family::Process => PROCESS,
        Family::Clock => CLOCK,
        Family::Disk => DISK,
        Family::Liar => LIAR,
        // The one are points in the code, not faults of a plan; the others are drawn by themselves (`moves`).
        Family::Buggify | Family::Moved => return None,
    };
    let works = |kind: Kind| {
        !matches!(
            (kind, tier),
            (
                Kind::IndexRot | Kind::DropBytes | Kind::DuplicateBytes | Kind::ReorderBytes | Kind::Stranger,
                Tier::World
            )
        )
    };
    let weights = weights.iter().filter(|(kind, _)| works(*kind));
    Some(weights.flat_map(|(kind, weight)| (0..*weight).map(|_| *kind)).collect())
}

/// The nodes whose disks may be destroyed, and who may lie.
pub(super) fn victims(draws: Draws, nodes: usize) -> Vec<usize> {
    let mut draw = draws.at(VICTIMS, 0, 0);
    let mut order: Vec<usize> = (0..nodes).collect();
    draw.shuffle(&mut order);
    order.truncate(if nodes >= 4 && draw.per_mille(250) { 2 } else { 1 });
    if draw.per_mille(ALL_DESTROYED_PER_MILLE) { (0..nodes).collect() } else { order }
}

/// When a fault begins and ends, in milliseconds: short enough for the cluster to get most of its work done.
fn span(draw: &mut Draw, kind: Kind, duration_ms: u64) -> (u64, u64) {
    let (least, most) = match kind {
        Kind::Crash | Kind::PowerLoss | Kind::LostDisk | Kind::IndexRot => (100, 2_500),
        Kind::Pause | Kind::StalledDisk => (200, 3_000),
        Kind::Hold | Kind::Partition | Kind::OneWay | Kind::Clog | Kind::HalfOpen => (300, 5_000),
        Kind::LatencySpike | Kind::SlowPair | Kind::Bandwidth | Kind::Resets | Kind::SlowDisk => (1_000, 8_000),
        Kind::DropBytes | Kind::DuplicateBytes | Kind::ReorderBytes => (500, 5_000),
        Kind::Skew | Kind::Drift | Kind::Jump => (2_000, 20_000),
        Kind::ReadErrors | Kind::WriteErrors | Kind::Full => (500, 4_000),
        Kind::SyncErrors => (300, 2_500),
        Kind::SeldomReadErrors | Kind::SeldomWriteErrors | Kind::SeldomSyncErrors => (1_000, 8_000),
        Kind::BitRot => (100, 500),
        Kind::Misdirected | Kind::LostDirSyncs | Kind::Stranger => (1_000, 10_000),
        Kind::Liar => (2_000, 25_000),
        Kind::SlowStart => return (0, draw.between(500, 5_000).min(duration_ms)),
    };
    let from = draw.between(FIRST_MS, duration_ms - 500);
    // Shorter where the plan is, so that as much of it is without trouble.
    let share = if is_local(kind) { 1_000 } else { OUTAGE_PER_MILLE };
    let scaled = |span_ms: u64| (span_ms * duration_ms * share / (USUAL_MS * 1_000)).max(1);
    let spans_ms = draw.between(scaled(least), scaled(most));
    let is_long = matches!(kind, Kind::Partition | Kind::OneWay | Kind::HalfOpen) && draw.per_mille(LONG_PER_MILLE);
    (from, from + if is_long { LONGER * spans_ms } else { spans_ms })
}

/// What faults can hit.
struct Cluster {
    nodes: usize,
    /// Pairs of nodes that talk to each other, both ways round: what happens between others bites nobody.
    linked: Vec<(usize, usize)>,
    victims: Vec<usize>,
}

impl Cluster {
    fn fault(&self, draw: &mut Draw, ahead: &mut Draw, kind: Kind) -> Fault {
        let node = draw.index(self.nodes);
        let victim = *draw.pick(&self.victims);
        let (a, b) = *draw.pick(&self.linked);
        let small = |draw: &mut Draw, least: u64, most: u64| u32::try_from(draw.between(least, most)).expect("small");
        match kind {
            Kind::Partition => partition(draw, self.nodes),
            Kind::OneWay => Fault::OneWay { from: a, to: b },
            Kind::Hold => Fault::Hold { a, b },
            Kind::LatencySpike => Fault::LatencySpike { extra_ms: small(draw, 20, 800) },
            Kind::SlowPair => Fault::SlowPair { a, b, extra_ms: small(draw, 20, 800) },
            Kind::Bandwidth => Fault::Bandwidth { node, bytes_per_s: *draw.pick(&[4_000, 20_000, 100_000]) },
            Kind::DropBytes => Fault::DropBytes { a, b, per_mille: small(draw, 5, 100) },
            Kind::DuplicateBytes => Fault::DuplicateBytes { a, b, per_mille: small(draw, 5, 100) },
            Kind::ReorderBytes => Fault::ReorderBytes { a, b, per_mille: small(draw, 5, 100) },
            Kind::Resets => Fault::Resets { a, b, every_ms: small(draw, 100, 2_000) },
            Kind::HalfOpen => Fault::HalfOpen { node },
            Kind::Clog => Fault::Clog { pairs: (0..draw.between(1, 5)).map(|_| *draw.pick(&self.linked)).collect() },
            Kind::Stranger => Fault::Stranger { node, approach: *draw.pick(&Approach::ALL) },
            Kind::Crash => Fault::Crash { node },
            Kind::PowerLoss => Fault::PowerLoss { node },
            Kind::Pause => Fault::Pause { node },
            Kind::LostDisk => Fault::LostDisk { node: victim },
            Kind::SlowStart => Fault::SlowStart { node },
            Kind::Skew => Fault::Skew { node, ahead_ms: ahead_ms(ahead) },
            Kind::Drift => {
                let ppm = i32::try_from(draw.between(10, 50_000)).expect("small");
                Fault::Drift { node, ppm: if draw.per_mille(500) { ppm } else { -ppm } }
            }
            Kind::Jump => Fault::Jump { node, ahead_ms: ahead_ms(ahead) },
            Kind::ReadErrors => {
                // A disk that fails often lets no node start; one that fails now and then lets it, and fails it afterwards.
                let most = if draw.per_mille(500) { 300 } else { 80 };
                Fault::ReadErrors { node, per_mille: small(draw, 20, most), part: part(ahead) }
            }
            Kind::WriteErrors => Fault::WriteErrors { node, per_mille: small(draw, 20, 300), part: part(ahead) },
            Kind::SyncErrors => Fault::SyncErrors { node, per_mille: small(draw, 200, 800), part: part(ahead) },
            Kind::SeldomReadErrors => Fault::ReadErrors { node, per_mille: small(draw, 3, 30), part: part(ahead) },
            Kind::SeldomWriteErrors => Fault::WriteErrors { node, per_mille: small(draw, 3, 40), part: part(ahead) },
            Kind::SeldomSyncErrors => Fault::SyncErrors { node, per_mille: small(draw, 40, 300), part: part(ahead) },
            Kind::Full => {
                let most = *draw.pick(&[2_000, 30_000, 200_000]);
                Fault::Full { node, free_bytes: draw.between(0, most) }
            }
            Kind::SlowDisk => Fault::SlowDisk { node, extra_ms: small(draw, 2, 150) },
            Kind::StalledDisk => Fault::StalledDisk { node },
            Kind::BitRot => Fault::BitRot { node: victim, per_mille: small(draw, 20, 300) },
            Kind::IndexRot => Fault::IndexRot { node: victim, bits: small(draw, 1, 8) },
            Kind::Misdirected => Fault::Misdirected { node: victim, per_mille: small(draw, 20, 300) },
            Kind::LostDirSyncs => Fault::LostDirSyncs { node: victim },
            // Where no disk is safe, few lie all the same.
            Kind::Liar => Fault::Liar {
                node: if self.victims.len() > 2 { self.victims[0] } else { victim },
                lie: *draw.pick(&Lie::ALL),
            },
        }
    }
}

/// What of a disk fails: a bad sector is somewhere.
fn part(draw: &mut Draw) -> DiskPart {
    *draw.pick(&[DiskPart::All, DiskPart::Blobs, DiskPart::Blobs, DiskPart::Index])
}

/// Whether a fault hits single operations of a disk, and leaves the rest of the node at work.
const fn is_local(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::WriteErrors
            | Kind::SyncErrors
            | Kind::SeldomReadErrors
            | Kind::SeldomWriteErrors
            | Kind::SeldomSyncErrors
            | Kind::BitRot
            | Kind::Misdirected
            | Kind::LostDirSyncs
            | Kind::Full
    )
}

fn linked(nodes: &[NodeSpec]) -> Vec<(usize, usize)> {
    let pairs = (0..nodes.len()).flat_map(|a| (0..nodes.len()).map(move |b| (a, b)));
    pairs.filter(|(a, b)| a != b && know_each_other(nodes, *a, *b)).collect()
}

/// A wrong clock: mostly by less than what would make peers refuse each other's signatures, sometimes by more than a day.
fn ahead_ms(draw: &mut Draw) -> i64 {
    const HOUR_MS: u64 = 3_600_000;
    let most = match draw.below(100) {
        0..40 => 5_000,
        40..70 => 120_000,
        70..92 => 10 * HOUR_MS,
        _ => 30 * HOUR_MS,
    };
    let ahead = i64::try_from(draw.between(most / 10, most)).expect("30 hours");
    if draw.per_mille(500) { ahead } else { -ahead }
}

/// One against all others, two halves, or two small sets.
fn partition(draw: &mut Draw, nodes: usize) -> Fault {
    let mut order: Vec<usize> = (0..nodes).collect();
    draw.shuffle(&mut order);
    let (first, second) = match draw.below(3) {
        0 => (1, nodes - 1),
        1 => (nodes / 2, nodes - nodes / 2),
        _ => (1, 1 + draw.index(nodes - 1)),
    };
    Fault::Partition { these: order[..first].to_vec(), those: order[first..(first + second).min(nodes)].to_vec() }
}
