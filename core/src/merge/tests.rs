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

fn tombstone(wall_ms: u64, retention: Retention) -> SignedRecord {
    let mut deletion = record(wall_ms, 0, 0, retention);
    deletion.record.body = RecordBody::Tombstone;
    deletion
}

/// The days of the versions kept of some, those with a minus sign deletions, on a day.
fn kept_on(day: u64, versions_at_day: &[i64], keep_versions: u32, keep_days: u32) -> Vec<u64> {
    let retention = Retention { keep_versions, keep_days, replicas: Replicas::default() };
    let of_day = |day: &i64| {
        let wall_ms = day.unsigned_abs() * DAY_MS;
        if *day < 0 { tombstone(wall_ms, retention) } else { record(wall_ms, 0, 0, retention) }
    };
    let set: RecordSet = versions_at_day.iter().map(of_day).collect();
    let age = Age { now_ms: day * DAY_MS, day_ms: DAY_MS };
    set.kept(age).iter().map(|record| record.record.version.wall_ms / DAY_MS).collect()
}

fn kept_days(versions_at_day: &[u64], keep_versions: u32, keep_days: u32) -> Vec<u64> {
    let retention = Retention { keep_versions, keep_days, replicas: Replicas::default() };
    let set: RecordSet = versions_at_day.iter().map(|day| record(day * DAY_MS, 0, 0, retention)).collect();
    set.kept(Age::OF_RECORDS).iter().map(|record| record.record.version.wall_ms / DAY_MS).collect()
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
fn versions_age_when_nobody_writes_the_name_again() {
    assert_eq!(kept_on(40, &[1, 10], 1, 30), [1, 10], "30 days, and a day for clocks that differ");
    assert_eq!(kept_on(41, &[1, 10], 1, 30), [10]);
    assert_eq!(kept_on(42, &[1, 10], 2, 30), [1, 10], "the newest versions do not age");
    assert_eq!(kept_on(0, &[1, 10], 1, 0), [10], "whatever the clock");
}

#[test]
fn what_was_deleted_goes_with_the_age_of_the_deletion_alone() {
    assert_eq!(kept_on(10, &[1, 2, -10], 9, 0), [10], "at once");
    assert_eq!(kept_on(40, &[1, 2, -10], 9, 30), [1, 2, 10], "what was kept before, though it was replaced long ago");
    assert_eq!(kept_on(41, &[1, 2, -10], 9, 30), [10], "however many versions are kept");
    assert_eq!(kept_on(10_000, &[-10], 1, 0), [10], "a deletion stays");
}

#[test]
fn what_was_deleted_stays_deleted_when_the_name_is_written_again() {
    assert_eq!(kept_on(41, &[1, -10, 20], 9, 30), [10, 20]);
    assert_eq!(kept_on(30, &[1, -10, 20], 9, 30), [1, 10, 20]);
    assert_eq!(kept_on(20, &[1, -10, 20], 1, 0), [20], "a deletion that is not the newest is a version like any other");
}

#[test]
fn newest_records_retention_rules() {
    let with = |keep_versions| Retention { keep_versions, keep_days: 0, replicas: Replicas::default() };
    let set: RecordSet =
        [record(1, 0, 0, with(9)), record(2, 0, 0, with(9)), record(3, 0, 0, with(1))].into_iter().collect();
    assert_eq!(set.kept(Age::OF_RECORDS).len(), 1);
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
    assert!(RecordSet::default().kept(Age::OF_RECORDS).is_empty());
    assert_eq!(winner([]), None);
}

fn any_records(retention: impl Strategy<Value = (u32, u32)>) -> impl Strategy<Value = Vec<SignedRecord>> {
    let place = (0..6_u64, 0..2_u32, 0..3_u8);
    (vec(place, 0..12), retention).prop_map(|(places, (keep_versions, keep_days))| {
        let retention = Retention { keep_versions, keep_days, replicas: Replicas::default() };
        let of_place = |(day, counter, id)| {
            let mut record = record(day * DAY_MS, counter, id, retention);
            if id == 2 {
                record.record.body = RecordBody::Tombstone;
            }
            record
        };
        places.into_iter().map(of_place).collect()
    })
}

fn any_age() -> impl Strategy<Value = Age> {
    (0..12_u64).prop_map(|day| Age { now_ms: day * DAY_MS, day_ms: DAY_MS })
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
        age in any_age(),
    ) {
        let set: RecordSet = records.into_iter().collect();
        let kept = set.kept(age);
        prop_assert_eq!(kept.winner(), set.winner());
        prop_assert_eq!(kept.kept(age), kept);
    }

    /// What goes is the old end.
    #[test]
    fn all_that_is_older_than_what_is_pruned_is_pruned(records in any_records((0..5_u32, 0..5_u32)), age in any_age()) {
        let set: RecordSet = records.into_iter().collect();
        let kept = set.kept(age);
        let newest: Vec<_> = set.iter().rev().take(kept.len()).collect();
        prop_assert_eq!(kept.iter().rev().collect::<Vec<_>>(), newest);
    }

    /// Replicas whose clocks differ agree in the end.
    #[test]
    fn later_only_more_is_pruned(records in any_records((0..5_u32, 0..5_u32)), one in any_age(), two in any_age()) {
        let set: RecordSet = records.into_iter().collect();
        let (early, late) = if one.now_ms < two.now_ms { (one, two) } else { (two, one) };
        prop_assert_eq!(set.kept(early).kept(late), set.kept(late));
        prop_assert_eq!(set.kept(late).kept(early), set.kept(late));
    }

    /// Whoever prunes before it merges never loses what it should keep after.
    #[test]
    fn pruning_early_loses_nothing_that_is_to_be_kept(a in any_set(), b in any_set(), age in any_age()) {
        let late = union(&a, &b).kept(age);
        let early = union(&a.kept(age), &b.kept(age)).kept(age);
        prop_assert_eq!(union(&early, &late), early);
    }
}
