use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::ids::{NameId, OwnerId, RecordId};
use crate::placement::Group;

fn hash(number: u64) -> [u8; 32] {
    *blake3::hash(&number.to_le_bytes()).as_bytes()
}

/// The record of a number: of one of three owners, three versions a name.
fn item(number: u64) -> Item {
    Item::new(OwnerId(hash(number % 3)), NameId(hash(1_000_000 + number / 3)), RecordId(hash(number)))
}

/// What a comparison came to.
#[derive(Debug, Default)]
struct Outcome {
    here: BTreeSet<Item>,
    there: BTreeSet<Item>,
    rounds: u32,
    bytes: usize,
}

fn compare(here: impl IntoIterator<Item = Item>, there: impl IntoIterator<Item = Item>) -> Outcome {
    let there: Items = there.into_iter().collect();
    let (mut asker, mut message) = Asker::begin(here.into_iter().collect());
    let mut outcome = Outcome::default();
    loop {
        let answer = answer(&there, &message).expect("an honest message makes sense");
        assert!(message.len() <= MESSAGE_LEN_MAX && answer.len() <= MESSAGE_LEN_MAX);
        outcome.rounds += 1;
        outcome.bytes += message.len() + answer.len();
        let found = asker.on_answer(&answer).expect("an honest answer makes sense");
        outcome.here.extend(found.here);
        outcome.there.extend(found.there);
        match found.next {
            Some(next) => message = next,
            None => return outcome,
        }
    }
}

#[test]
fn items_tell_where_a_record_lies() {
    let item = Item::new(OwnerId([1; 32]), NameId([2; 32]), RecordId([3; 32]));
    assert_eq!((item.owner(), item.name(), item.record()), (&[1; 8][..], &[2; 12][..], &[3; 12][..]));
}

#[test]
fn sums_do_not_depend_on_the_order_and_take_back_what_was_added() {
    let records: Vec<RecordId> = (0..100).map(|number| RecordId(hash(number))).collect();
    let sum = |records: &mut dyn Iterator<Item = &RecordId>| {
        let mut sum = Sum::default();
        records.for_each(|record| sum.add(Sum::of(record)));
        sum
    };
    let forward = sum(&mut records.iter());
    assert_eq!(forward, sum(&mut records.iter().rev()));
    assert_eq!(forward.count(), 100);
    let mut less = forward;
    less.remove(Sum::of(&records[7]));
    assert_ne!(less.digest(), forward.digest());
    less.add(Sum::of(&records[7]));
    assert_eq!(less, forward);
    assert_ne!(Sum::default().digest(), Sum::of(&RecordId([0; 32])).digest(), "an id of zeros counts, too");
}

#[test]
fn digests_are_golden() {
    assert_eq!(Sum::default().digest().0, [224, 48, 102, 140, 110, 110, 32, 117]);
    assert_eq!(Sum::of(&RecordId([7; 32])).digest().0, [80, 127, 252, 141, 2, 117, 93, 10]);
}

#[test]
fn buckets_are_the_first_byte_of_the_group() {
    assert_eq!(bucket_of(Group(0x12ff)), 0x12);
    assert_eq!(usize::from(bucket_of(Group(u16::MAX))), BUCKETS - 1);
}

#[test]
fn equal_sets_need_one_message_each_way() {
    let outcome = compare((0..400).map(item), (0..400).map(item));
    assert!(outcome.here.is_empty() && outcome.there.is_empty());
    assert_eq!(outcome.rounds, 1);
    assert!(outcome.bytes < 500, "{}", outcome.bytes);
}

#[test]
fn one_difference_costs_little() {
    let outcome = compare((0..400).map(item), (0..399).map(item));
    assert_eq!(outcome.here, [item(399)].into());
    assert!(outcome.bytes < 2_000, "{}", outcome.bytes);
}

#[test]
fn an_empty_node_is_told_of_everything_within_the_rounds() {
    let all: BTreeSet<Item> = (0..16_384).map(item).collect();
    let outcome = compare([], all.iter().copied());
    assert_eq!(outcome.there, all);
    assert!(outcome.rounds < ROUNDS_MAX / 2, "{}", outcome.rounds);
    let outcome = compare(all.iter().copied(), []);
    assert_eq!(outcome.here, all);
    assert!(outcome.rounds < ROUNDS_MAX / 2, "{}", outcome.rounds);
}

#[test]
fn sets_with_nothing_in_common_are_told_apart_within_the_rounds() {
    let (mine, theirs) = ((0..16_384).map(item), (100_000..116_384).map(item));
    let outcome = compare(mine.clone(), theirs.clone());
    assert_eq!((outcome.here, outcome.there), (mine.collect(), theirs.collect()));
    assert!(outcome.rounds < ROUNDS_MAX, "{}", outcome.rounds);
}

#[test]
fn nonsense_is_an_error() {
    let items: Items = (0..50).map(item).collect();
    let (mut asker, first) = Asker::begin((0..60).map(item).collect());
    for broken in [&[][..], &[0x61, 0, 0, 9], &[0x61, 0, 0, 1, 5], &[9; 100], &[0x61; MESSAGE_LEN_MAX + 1]] {
        assert_eq!(answer(&items, broken), Err(Broken), "{broken:?}");
        assert_eq!(asker.on_answer(broken), Err(Broken), "{broken:?}");
    }
    // Another version of the protocol.
    assert_eq!(asker.on_answer(&[0x62]), Err(Broken));
    assert!(asker.on_answer(&answer(&items, &first).unwrap()).is_ok(), "nonsense leaves a session as it was");
}

#[test]
fn an_answerer_that_never_ends_is_left() {
    let (mut asker, _) = Asker::begin((0..400).map(item).collect());
    // One range of everything, whose fingerprint is that of no set.
    let wrong = [&[0x61, 0, 0, 1][..], &[0xee; 16]].concat();
    for _ in 1..ROUNDS_MAX {
        let found = asker.on_answer(&wrong).expect("it may yet end");
        assert!(found.next.is_some());
    }
    assert_eq!(asker.on_answer(&wrong), Err(Broken));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn differences_are_told_exactly(
        common in 0_u64..3_000,
        only_here in proptest::collection::btree_set(10_000_u64..20_000, 0..200),
        only_there in proptest::collection::btree_set(20_000_u64..30_000, 0..200),
    ) {
        let here = (0..common).chain(only_here.iter().copied()).map(item);
        let there = (0..common).chain(only_there.iter().copied()).map(item);
        let outcome = compare(here, there);
        prop_assert_eq!(outcome.here, only_here.into_iter().map(item).collect());
        prop_assert_eq!(outcome.there, only_there.into_iter().map(item).collect());
    }

    #[test]
    fn any_sets_of_any_size_end_within_the_rounds(
        here in proptest::collection::btree_set(0_u64..6_000, 0..6_000),
        there in proptest::collection::btree_set(0_u64..6_000, 0..6_000),
    ) {
        let outcome = compare(here.iter().copied().map(item), there.iter().copied().map(item));
        prop_assert_eq!(outcome.here, here.difference(&there).copied().map(item).collect());
        prop_assert_eq!(outcome.there, there.difference(&here).copied().map(item).collect());
        prop_assert!(outcome.rounds <= ROUNDS_MAX / 2);
    }

    #[test]
    fn bytes_from_the_wire_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        crate::fuzzing::reconcile_message(&bytes);
    }
}
