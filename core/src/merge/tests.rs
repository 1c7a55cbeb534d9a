use alloc::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::ids::{NameId, NodeId, OwnerId, PageId, RecordId};
use crate::placement::Replicas;
use crate::record::{Record, RecordBody, Retention};
use crate::version::Version;

/// A record whose rank and retention matter and whose signature does not.
fn record(wall_ms: u64, counter: u32, id: u8, retention: Retention) -> SignedRecord {
    SignedRecord {
        record: Record {
            owner: OwnerId([1; 32]),
            name_id: NameId([2; 32]),
            version: Version { wall_ms, counter, node: NodeId([3; 32]) },
            retention,
            body: RecordBody::File { root: PageId([4; 32]), root_len: 100 },
        },
        id: RecordId([id; 32]),
        bytes: bytes::Bytes::new(),
    }
}

fn kept_days(versions_at_day: &[u64], keep_versions: u32, keep_days: u32) -> Vec<u64> {
    let retention = Retention { keep_versions, keep_days, replicas: Replicas::default() };
    let set: RecordSet = versions_at_day.iter().map(|day| record(day * DAY_MS, 0, 0, retention)).collect();
    set.kept().iter().map(|record| record.record.version.wall_ms / DAY_MS).collect()
}

#[test]
fn newest_versions_are_kept() {
    assert_eq!(kept_days(&[1, 2, 3, 4], 2, 0), [3, 4]);
    assert_eq!(kept_days(&[1, 2], 9, 0), [1, 2]);
}

#[test]
fn winner_is_kept_whatever_the_retention() {
    assert_eq!(kept_days(&[1, 2], 0, 0), [2]);
}

#[test]
fn version_is_kept_for_days_after_it_was_replaced() {
    // 10 was replaced on day 95, 5 days before the newest; 1 on day 10, 90 days before.
    assert_eq!(kept_days(&[1, 10, 95, 100], 1, 6), [10, 95, 100]);
    assert_eq!(kept_days(&[1, 10, 95, 100], 1, 5), [95, 100]);
    assert_eq!(kept_days(&[1, 10, 95, 100], 1, 90), [10, 95, 100]);
    assert_eq!(kept_days(&[1, 10, 95, 100], 1, 91), [1, 10, 95, 100]);
}

#[test]
fn newest_records_retention_rules() {
    let with = |keep_versions| Retention { keep_versions, keep_days: 0, replicas: Replicas::default() };
    let set: RecordSet =
        [record(1, 0, 0, with(9)), record(2, 0, 0, with(9)), record(3, 0, 0, with(1))].into_iter().collect();
    assert_eq!(set.kept().len(), 1);
}

#[test]
fn equal_versions_are_decided_by_hash() {
    let retention = Retention { keep_versions: 1, keep_days: 0, replicas: Replicas::default() };
    let records = [record(1, 1, 7, retention), record(1, 1, 9, retention), record(1, 1, 8, retention)];
    assert_eq!(winner(&records).unwrap().id, RecordId([9; 32]));
    assert_eq!(records.into_iter().collect::<RecordSet>().winner().unwrap().id, RecordId([9; 32]));
}

#[test]
fn nothing_has_no_winner() {
    assert_eq!(RecordSet::default().winner(), None);
    assert!(RecordSet::default().kept().is_empty());
    assert_eq!(winner([]), None);
}

fn any_records(retention: impl Strategy<Value = (u32, u32)>) -> impl Strategy<Value = Vec<SignedRecord>> {
    let place = (0..6_u64, 0..2_u32, 0..2_u8);
    (vec(place, 0..12), retention).prop_map(|(places, (keep_versions, keep_days))| {
        let retention = Retention { keep_versions, keep_days, replicas: Replicas::default() };
        places.into_iter().map(|(day, counter, id)| record(day * DAY_MS, counter, id, retention)).collect()
    })
}

fn any_set() -> impl Strategy<Value = RecordSet> {
    any_records(Just((2, 2))).prop_map(RecordSet::from_iter)
}

fn union(one: &RecordSet, two: &RecordSet) -> RecordSet {
    let mut union = one.clone();
    union.merge(two);
    union
}

proptest! {
    #[test]
    fn merge_is_commutative_associative_and_idempotent(a in any_set(), b in any_set(), c in any_set()) {
        prop_assert_eq!(union(&a, &b), union(&b, &a));
        prop_assert_eq!(union(&union(&a, &b), &c), union(&a, &union(&b, &c)));
        prop_assert_eq!(union(&a, &a), a);
    }

    #[test]
    fn winner_does_not_depend_on_order(records in any_records(Just((2, 2))).prop_shuffle()) {
        let set: RecordSet = records.iter().cloned().collect();
        prop_assert_eq!(set.winner(), winner(&records));
        let backwards: RecordSet = records.iter().rev().cloned().collect();
        prop_assert_eq!(set, backwards);
    }

    #[test]
    fn pruning_keeps_the_winner_and_pruning_again_prunes_no_more(
        records in any_records((0..5_u32, 0..5_u32)),
    ) {
        let set: RecordSet = records.into_iter().collect();
        let kept = set.kept();
        prop_assert_eq!(kept.winner(), set.winner());
        prop_assert_eq!(kept.kept(), kept);
    }

    /// Whoever prunes before it merges never loses what it should keep after.
    #[test]
    fn pruning_early_loses_nothing_that_is_to_be_kept(a in any_set(), b in any_set()) {
        let late = union(&a, &b).kept();
        let early = union(&a.kept(), &b.kept()).kept();
        prop_assert_eq!(union(&early, &late), early);
    }
}
