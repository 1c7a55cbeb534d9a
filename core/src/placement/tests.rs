use alloc::collections::BTreeSet;
use alloc::string::ToString;

use super::*;

fn node(number: u32) -> NodeId {
    NodeId(*blake3::hash(&number.to_be_bytes()).as_bytes())
}

fn candidates(weights: impl IntoIterator<Item = u32>) -> Vec<Candidate> {
    let candidate = |(number, weight): (usize, u32)| Candidate {
        node: node(u32::try_from(number).expect("few")),
        weight,
        zone: String::new(),
    };
    weights.into_iter().enumerate().map(candidate).collect()
}

fn groups() -> impl Iterator<Item = Group> {
    (0..=u16::MAX).map(Group)
}

/// How many of the groups each node holds, with three replicas.
fn load(candidates: &[Candidate]) -> BTreeMap<NodeId, u32> {
    let mut load: BTreeMap<NodeId, u32> = candidates.iter().map(|candidate| (candidate.node, 0)).collect();
    for group in groups() {
        for node in rank(group, candidates).into_iter().take(3) {
            *load.get_mut(&node).expect("a candidate") += 1;
        }
    }
    load
}

#[test]
fn logarithms_are_right_to_the_last_bit_but_one() {
    for (hash, log2) in
        [(u64::MAX, 0.0), (u64::MAX / 2, 1.0), (0, 64.0), ((1 << 62) - 1, 2.0), ((3 << 62) - 1, 0.415_037_499)]
    {
        let computed = minus_log2(hash) as f64 / f64::from(2_u32).powi(32);
        assert!((computed - log2).abs() < 1e-8, "{hash}: {computed} is not {log2}");
    }
}

#[test]
fn nodes_of_equal_weight_are_ranked_without_logarithms_as_with_them() {
    let far: Vec<u64> = (0..300_u64).map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    let near = far.iter().flat_map(|hash| (0..64).map(move |shift| hash.wrapping_add(1 << shift)));
    let hashes: Vec<u64> = far.iter().copied().chain(near).chain([0, 1, 2, 3, u64::MAX, u64::MAX - 1]).collect();
    for (place, hash) in hashes.iter().enumerate() {
        for other in [place / 64, place / 3, place.saturating_sub(1)].map(|other| hashes[other]) {
            let exact = minus_log2(*hash).cmp(&minus_log2(other));
            assert_eq!(Cost::new(*hash, 7, false).cmp(&Cost::new(other, 7, false)), exact, "{hash:#x} and {other:#x}");
        }
    }
}

#[test]
fn a_hundred_equal_nodes_hold_equal_shares_within_ten_percent() {
    let candidates = candidates([1; 100]);
    let fair = f64::from(GROUPS) * 3.0 / 100.0;
    for (node, held) in load(&candidates) {
        let share = f64::from(held) / fair;
        assert!((0.9..1.1).contains(&share), "{node} holds {share} of its share");
    }
}

#[test]
fn shares_follow_the_weights() {
    // With weights far apart and several replicas a heavy node saturates, so single replicas are counted.
    let candidates = candidates([1, 2, 3, 4]);
    let mut firsts = BTreeMap::new();
    for group in groups() {
        *firsts.entry(rank(group, &candidates)[0]).or_insert(0) += 1;
    }
    for candidate in &candidates {
        let share = f64::from(firsts[&candidate.node]) / f64::from(GROUPS) * 10.0 / f64::from(candidate.weight);
        assert!((0.95..1.05).contains(&share), "weight {}: {share} of its share", candidate.weight);
    }
}

#[test]
fn a_node_that_joins_moves_its_own_share_and_nothing_else() {
    const STEP: usize = 4;
    let before = candidates([1; 100]);
    let after = candidates([1; 101]);
    let joined = node(100);
    let mut moved = 0;
    for group in groups().step_by(STEP) {
        let old: BTreeSet<NodeId> = rank(group, &before).into_iter().take(3).collect();
        let new: BTreeSet<NodeId> = rank(group, &after).into_iter().take(3).collect();
        let gained: Vec<&NodeId> = new.difference(&old).collect();
        assert!(gained.is_empty() || gained == [&joined], "only the new node gains");
        moved += gained.len();
    }
    let fair = f64::from(GROUPS) / STEP as f64 * 3.0 / 101.0;
    let share = f64::from(u32::try_from(moved).expect("few")) / fair;
    assert!((0.9..1.1).contains(&share), "{share} of the new node's share moved");
}

#[test]
fn a_node_that_leaves_is_replaced_where_it_was_and_nowhere_else() {
    let before = candidates([1; 30]);
    let gone = node(7);
    let after: Vec<Candidate> = before.iter().filter(|candidate| candidate.node != gone).cloned().collect();
    for group in groups().step_by(7) {
        let mut old = rank(group, &before);
        old.retain(|node| *node != gone);
        assert_eq!(old, rank(group, &after));
    }
}

#[test]
fn distinct_zones_come_first() {
    let mut candidates = candidates([1; 9]);
    for (number, candidate) in candidates.iter_mut().enumerate() {
        candidate.zone = ["a", "b", "c"][number % 3].to_string();
    }
    let zone =
        |node: NodeId| candidates.iter().find(|candidate| candidate.node == node).map(|found| found.zone.as_str());
    for group in groups().step_by(31) {
        let ranked = rank(group, &candidates);
        for round in ranked.chunks(3) {
            let zones: BTreeSet<_> = round.iter().map(|node| zone(*node)).collect();
            assert_eq!(zones.len(), 3, "each round has a node of each zone");
        }
    }
}

#[test]
fn fewer_replicas_are_a_prefix_and_weight_zero_holds_nothing() {
    let mut candidates = candidates([1, 0, 5, 2]);
    candidates[2].zone = "a".to_string();
    candidates[3].zone = "a".to_string();
    for group in groups().step_by(101) {
        let ranked = rank(group, &candidates);
        assert_eq!(ranked.len(), 3);
        assert!(!ranked.contains(&node(1)));
    }
}

/// The same on every machine and for ever: nodes that disagree would move everything.
#[test]
fn ranks_are_golden() {
    let mut candidates = candidates([1, 1, 2, 3, 1]);
    candidates[0].zone = "x".to_string();
    candidates[3].zone = "x".to_string();
    let number = |node_id: NodeId| (0..5).find(|number| node(*number) == node_id).expect("a candidate");
    let lists: Vec<Vec<u32>> = [0, 1, 2, 0x7fff, 0xffff]
        .map(|group| rank(Group(group), &candidates).into_iter().map(number).collect::<Vec<u32>>())
        .into();
    insta::assert_json_snapshot!(lists);
}

#[test]
fn replicas_are_read_and_written_and_ordered() {
    for text in ["1", "3", "255", "all"] {
        let replicas: Replicas = text.parse().expect("well formed");
        assert_eq!(replicas.to_string(), text);
    }
    for text in ["0", "256", "-1", "", "ALL", "three"] {
        assert_eq!(text.parse::<Replicas>(), Err(ParseReplicasError));
    }
    assert!(Replicas::ALL > Replicas::new(255).expect("not none"));
    assert!(Replicas::default() < Replicas::new(4).expect("not none"));
}
