use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::beside;
use crate::ids::NodeId;

fn node(number: usize) -> NodeId {
    NodeId(*blake3::hash(&number.to_be_bytes()).as_bytes())
}

fn graph(nodes: &[NodeId], rings: u32) -> BTreeMap<NodeId, BTreeSet<NodeId>> {
    let others = |me: &NodeId| -> Vec<NodeId> { nodes.iter().copied().filter(|other| other != me).collect() };
    nodes.iter().map(|me| (*me, beside(*me, &others(me), rings).into_keys().collect())).collect()
}

/// How many steps the farthest node is away.
fn eccentricity(graph: &BTreeMap<NodeId, BTreeSet<NodeId>>, from: NodeId) -> Option<usize> {
    let mut reached: BTreeSet<NodeId> = [from].into();
    let mut edge = reached.clone();
    let mut steps = 0;
    while !edge.is_empty() {
        edge = edge.iter().flat_map(|node| &graph[node]).copied().filter(|node| !reached.contains(node)).collect();
        reached.extend(&edge);
        steps += usize::from(!edge.is_empty());
    }
    (reached.len() == graph.len()).then_some(steps)
}

#[test]
fn both_ends_agree_and_nobody_has_more_than_two_of_a_ring() {
    for (count, rings) in [(3, 1), (20, 2), (100, 4), (300, 32)] {
        let nodes: Vec<NodeId> = (0..count).map(node).collect();
        let graph = graph(&nodes, rings);
        for (me, others) in &graph {
            assert!(!others.is_empty() && others.len() <= 2 * rings as usize, "{count} nodes, {rings} rings");
            assert!(others.iter().all(|other| other != me && graph[other].contains(me)));
        }
    }
}

#[test]
fn everybody_is_few_steps_from_everybody() {
    for (count, rings, steps) in [(20, 1, 10), (20, 2, 5), (300, 2, 9), (300, 32, 2)] {
        let nodes: Vec<NodeId> = (0..count).map(node).collect();
        let graph = graph(&nodes, rings);
        let farthest = nodes.iter().map(|from| eccentricity(&graph, *from)).max().flatten();
        assert!(farthest.is_some_and(|farthest| farthest <= steps), "{count} nodes, {rings} rings: {farthest:?}");
    }
}

#[test]
fn one_more_member_changes_two_links_a_ring() {
    let nodes: Vec<NodeId> = (0..101).map(node).collect();
    let (before, after) = (graph(&nodes[..100], 8), graph(&nodes, 8));
    let lost: usize = before.iter().map(|(node, others)| others.difference(&after[node]).count()).sum();
    assert!(lost <= 2 * 8, "{lost} ends of links are no longer wanted");
}
