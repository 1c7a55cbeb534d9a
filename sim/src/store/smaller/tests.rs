use super::*;
use crate::simulation::Scenario as _;
use crate::store::{Family, Tier};

fn scenario(faults: Vec<Fault>) -> Scenario {
    let spec = |bootstrap: &[usize]| NodeSpec { owner: 0, bootstrap: bootstrap.into(), anywhere: false };
    let op = |id, node, what| Timed { id, at_us: 1_000, what: Op { node, what } };
    let content = Content { salt: 1, len: 9, changed: Some((4, 2)) };
    let span = |(id, what)| Spanned { id, from_us: 0, until_us: 1_000, what };
    Scenario {
        seed: 1,
        tier: Tier::World,
        nodes: vec![spec(&[]), spec(&[0]), spec(&[0, 1])],
        core: vec![0, 2],
        config: forever_core::config::Config::default(),
        latency_us: (10, 100),
        disk_us: (10, 10),
        engine: Default::default(),
        families: vec![Family::Network, Family::Buggify],
        plan: Plan {
            ops: vec![op(0, 0, OpKind::put(1, content)), op(1, 2, OpKind::List)],
            faults: faults.into_iter().enumerate().map(span).collect(),
            end_us: 10_000,
        },
        settle_us: 1_000,
        planted: None,
    }
}

#[test]
fn the_nodes_after_one_that_is_gone_move_up_everywhere() {
    let faults = vec![
        Fault::Partition { these: vec![0, 1], those: vec![2] },
        Fault::Crash { node: 2 },
        Fault::Clog { pairs: vec![(0, 1), (2, 0)] },
        Fault::LatencySpike { extra_ms: 1 },
    ];
    let without = scenario(faults).without_node(1).unwrap();
    assert_eq!(without.nodes.iter().map(|node| node.bootstrap.clone()).collect::<Vec<_>>(), [vec![], vec![0]]);
    assert_eq!(without.core, [0, 1]);
    assert_eq!(without.plan.ops[1].what.node, 1);
    let faults: Vec<Fault> = without.plan.faults.into_iter().map(|fault| fault.what).collect();
    assert_eq!(
        faults,
        [
            Fault::Partition { these: vec![0], those: vec![1] },
            Fault::Crash { node: 1 },
            Fault::Clog { pairs: vec![(1, 0)] },
            Fault::LatencySpike { extra_ms: 1 },
        ]
    );
}

#[test]
fn who_met_through_a_node_that_is_gone_meets_through_a_neighbour_of_it() {
    let bootstraps =
        |scenario: &Scenario| -> Vec<Vec<usize>> { scenario.nodes.iter().map(|node| node.bootstrap.clone()).collect() };
    let knows = |bootstrap: &[usize]| NodeSpec { owner: 0, bootstrap: bootstrap.into(), anywhere: false };
    let mut star = scenario(Vec::new());
    star.plan.ops.clear();
    star.nodes = vec![knows(&[]), knows(&[0]), knows(&[0]), knows(&[0])];
    assert_eq!(bootstraps(&star.without_node(0).unwrap()), [vec![], vec![0], vec![0]]);
    star.nodes = vec![knows(&[]), knows(&[0]), knows(&[1]), knows(&[2])];
    star.core = vec![0, 3];
    assert_eq!(bootstraps(&star.without_node(1).unwrap()), [vec![], vec![0], vec![1]]);
    assert_eq!(bootstraps(&star.without_node(2).unwrap()), [vec![], vec![0], vec![1]]);
}

#[test]
fn a_node_that_a_step_needs_stays() {
    let plain = scenario(Vec::new());
    assert!(plain.without_node(0).is_none() && plain.without_node(2).is_none() && plain.without_node(3).is_none());
    for fault in [
        Fault::Crash { node: 1 },
        Fault::OneWay { from: 0, to: 1 },
        Fault::Partition { these: vec![1], those: vec![0, 2] },
        Fault::Clog { pairs: vec![(1, 2)] },
    ] {
        assert!(scenario(vec![fault]).without_node(1).is_none());
    }
}

#[test]
fn every_simpler_scenario_differs_in_one_thing_and_there_is_an_end() {
    let mut scenario = scenario(Vec::new());
    scenario.config.simulation.buggify = Some(7);
    assert_eq!(scenario.simpler().len(), 4, "buggify, latency, changed bytes, half as long");
    let mut steps = 0;
    while let Some(simpler) = scenario.simpler().into_iter().next() {
        assert_ne!(simpler, scenario);
        scenario = simpler;
        steps += 1;
        assert!(steps < 20);
    }
    assert_eq!((scenario.families.as_slice(), scenario.config.simulation.buggify), (&[Family::Network][..], None));
    let OpKind::Put { content, .. } = &scenario.plan.ops[0].what.what else { panic!() };
    assert_eq!((content.len, content.changed), (1, None));
}
