use std::collections::BTreeSet;

use super::*;
use crate::store::Fault;
use crate::system::Step as _;

fn draw(seed: u64, tier: Tier) -> Scenario {
    Scenario::draw(seed, tier, &Shape::of(tier))
}

#[test]
fn a_seed_is_always_the_same_scenario_and_another_seed_another() {
    for tier in [Tier::World, Tier::Turmoil] {
        assert_eq!(draw(5, tier), draw(5, tier));
        assert_ne!(draw(5, tier), draw(6, tier));
    }
}

#[test]
fn every_scenario_keeps_to_its_shape() {
    for tier in [Tier::World, Tier::Turmoil] {
        let shape = Shape::of(tier);
        for seed in 0..300 {
            let scenario = draw(seed, tier);
            let count = scenario.nodes.len();
            assert!((3..=7).contains(&count));
            assert!(scenario.plan.ops.len() >= 100, "seed {seed}");
            assert!(scenario.plan.ops.iter().all(|op| op.what.node < count && op.at_us < scenario.plan.end_us));
            assert!(scenario.core.len() >= 2 && is_connected(&scenario.nodes, &scenario.core));
            assert!(is_connected(&scenario.nodes, &(0..count).collect::<Vec<_>>()));
            let has_faults = scenario.families.iter().any(|family| !matches!(family, Family::Buggify | Family::Moved));
            assert_eq!(scenario.plan.faults.len() >= shape.faults.0 as usize, has_faults, "seed {seed}");
            let moves = scenario.plan.faults.iter().filter(|fault| fault.what.family() == "moved").count();
            let (moved, least) = (scenario.families.contains(&Family::Moved), if has_faults { 0 } else { 12 });
            assert!(if moved { moves >= least } else { moves == 0 }, "seed {seed}");
            for fault in &scenario.plan.faults {
                assert!(fault.from_us < fault.until_us, "{fault:?}");
                assert!(fault.what.works_in(tier), "{fault:?}");
                assert!(fault.what.nodes().iter().all(|node| *node < count), "{fault:?}");
            }
            assert!(shape.chunk_sizes.contains(&scenario.config.chunk_size));
            assert!(scenario.config.link_timeout >= 2 * scenario.config.heartbeat);
        }
    }
}

#[test]
fn seeds_differ_in_families_kinds_knobs_and_topology() {
    let scenarios: Vec<Scenario> = (0..300).map(|seed| draw(seed, Tier::World)).collect();
    let some = |is: &dyn Fn(&Scenario) -> bool| {
        let count = scenarios.iter().filter(|scenario| is(scenario)).count();
        count > 0 && count < scenarios.len()
    };
    for family in Family::ALL {
        assert!(some(&|scenario| scenario.families.contains(&family)), "{family:?}");
    }
    assert!(some(&|scenario| scenario.plan.faults.is_empty()));
    assert!(some(&|scenario| scenario.core.len() == scenario.nodes.len()));
    for kind in ["delete", "list", "stat", "versions", "evict", "restore", "leave", "forget", "fsck"] {
        assert!(some(&|scenario| scenario.plan.ops.iter().any(|op| op.what.family() == kind)), "{kind}");
    }
    let shares = |scenario: &Scenario| {
        let owners: BTreeSet<usize> = scenario.nodes.iter().map(|node| node.owner).collect();
        owners.len() < scenario.nodes.len()
    };
    assert!(some(&shares), "two devices of one owner");
    let names: BTreeSet<&str> = scenarios.iter().flat_map(|s| &s.plan.faults).map(|fault| fault.what.name()).collect();
    assert_eq!(names.len(), 28, "all that works in World: {names:?}");
}

#[test]
fn callers_ask_for_all_kinds_of_ranges_parts_and_lengths() {
    use crate::store::{Length, OpKind, Range, Reader, Said};
    let scenarios: Vec<Scenario> = (0..300).map(|seed| draw(seed, Tier::World)).collect();
    let ops: Vec<&OpKind> = scenarios.iter().flat_map(|scenario| &scenario.plan.ops).map(|op| &op.what.what).collect();
    let some = |is: &dyn Fn(&OpKind) -> bool| {
        let count = ops.iter().filter(|what| is(what)).count();
        assert!(count > 0 && count < ops.len() / 2, "{count}");
    };
    some(&|what| matches!(what, OpKind::Get { range: Some(Range::From { .. }), .. }));
    some(&|what| matches!(what, OpKind::Get { range: Some(Range::Last { .. }), .. }));
    some(&|what| matches!(what, OpKind::Get { range: Some(Range::Slice { .. }), .. }));
    some(&|what| matches!(what, OpKind::Get { reader: Reader { abandon_after: Some(_), .. }, .. }));
    some(&|what| matches!(what, OpKind::Get { reader: Reader { slow_ms: 1.., .. }, .. }));
    some(&|what| matches!(what, OpKind::Put { said: Said { length: Length::Unknown, .. }, .. }));
    some(&|what| matches!(what, OpKind::Put { said: Said { length: Length::Wrong(_), .. }, .. }));
    some(&|what| matches!(what, OpKind::Put { said: Said { details: Some(_), .. }, .. }));
    some(&|what| matches!(what, OpKind::ListPart(part) if part.folder.is_some() && part.after.is_some()));
    let pages = |scenario: &&Scenario| {
        let chunk_size = scenario.config.chunk_size;
        let chunks = |what: &OpKind| if let OpKind::Put { content, .. } = what { content.len / chunk_size } else { 0 };
        scenario.plan.ops.iter().any(|op| chunks(&op.what.what) as usize >= forever_core::manifest::PAGE_ENTRIES_MAX)
    };
    let paged = scenarios.iter().filter(pages).count();
    assert!((1..30).contains(&paged), "a file of several pages takes long: {paged}");
}

#[test]
fn in_nearly_all_scenarios_few_disks_are_destroyed() {
    let mut many = 0;
    for seed in 0..600 {
        let scenario = draw(seed, Tier::World);
        let destroyed = |fault: &Fault| match fault {
            Fault::LostDisk { node }
            | Fault::BitRot { node, .. }
            | Fault::IndexRot { node, .. }
            | Fault::Misdirected { node, .. }
            | Fault::LostDirSyncs { node }
            | Fault::Liar { node, .. } => Some(*node),
            Fault::Partition { .. }
            | Fault::OneWay { .. }
            | Fault::Hold { .. }
            | Fault::LatencySpike { .. }
            | Fault::SlowPair { .. }
            | Fault::Bandwidth { .. }
            | Fault::DropBytes { .. }
            | Fault::DuplicateBytes { .. }
            | Fault::ReorderBytes { .. }
            | Fault::Resets { .. }
            | Fault::HalfOpen { .. }
            | Fault::Clog { .. }
            | Fault::Stranger { .. }
            | Fault::Crash { .. }
            | Fault::PowerLoss { .. }
            | Fault::Pause { .. }
            | Fault::SlowStart { .. }
            | Fault::Moved { .. }
            | Fault::Skew { .. }
            | Fault::Drift { .. }
            | Fault::Jump { .. }
            | Fault::ReadErrors { .. }
            | Fault::WriteErrors { .. }
            | Fault::SyncErrors { .. }
            | Fault::Full { .. }
            | Fault::SlowDisk { .. }
            | Fault::StalledDisk { .. } => None,
        };
        let victims: BTreeSet<usize> = scenario.plan.faults.iter().filter_map(|fault| destroyed(&fault.what)).collect();
        many += usize::from(victims.len() > 2);
    }
    assert!((1..20).contains(&many), "{many}");
}
