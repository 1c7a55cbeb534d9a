use proptest::prelude::*;

use super::*;

const NODE: NodeId = NodeId([5; 32]);

fn version(wall_ms: u64, counter: u32) -> Version {
    Version { wall_ms, counter, node: NODE }
}

fn clock_at(wall_ms: u64, counter: u32) -> HybridClock {
    let mut clock = HybridClock::default();
    clock.observe(&version(wall_ms, counter));
    clock
}

#[test]
fn stamp_follows_the_wall_clock_and_counts_within_a_millisecond() {
    let mut clock = HybridClock::default();
    assert_eq!(clock.stamp(1_000, NODE), Ok(version(1_000, 0)));
    assert_eq!(clock.stamp(1_000, NODE), Ok(version(1_000, 1)));
    assert_eq!(clock.stamp(999, NODE), Ok(version(1_000, 2)));
    assert_eq!(clock.stamp(1_001, NODE), Ok(version(1_001, 0)));
}

#[test]
fn stamp_is_above_what_was_observed() {
    let mut clock = clock_at(5_000, 7);
    clock.observe(&version(4_000, 9));
    clock.observe(&version(5_000, 3));
    assert_eq!(clock.stamp(1_000, NODE), Ok(version(5_000, 8)));
}

#[test]
fn full_counter_moves_to_the_next_millisecond() {
    let mut clock = clock_at(1_000, u32::MAX);
    assert_eq!(clock.stamp(1_000, NODE), Ok(version(1_001, 0)));
}

#[test]
fn more_than_a_day_ahead_gives_no_stamp_and_changes_nothing() {
    let now = 1_000;
    let mut clock = clock_at(now + AHEAD_MS_MAX, 0);
    assert!(clock.stamp(now, NODE).is_ok());
    let mut clock = clock_at(now + AHEAD_MS_MAX + 1, 0);
    let before = clock;
    let refused = Err(ClockError::TooFarAhead { ahead_ms: AHEAD_MS_MAX + 1 });
    assert_eq!(clock.stamp(now, NODE), refused);
    assert_eq!(clock, before);
    assert!(clock.stamp(now + 1, NODE).is_ok());
}

#[test]
fn end_of_time_gives_no_stamp() {
    let mut clock = clock_at(u64::MAX, u32::MAX);
    assert!(clock.stamp(u64::MAX, NODE).is_err());
}

#[test]
fn clock_survives_being_persisted() {
    let clock = clock_at(1_000, 3);
    let text = serde_json::to_string(&clock).unwrap();
    assert_eq!(serde_json::from_str::<HybridClock>(&text).unwrap(), clock);
}

#[derive(Clone, Debug)]
enum Step {
    Stamp(u64),
    Observe(u64, u32),
}

fn any_step() -> impl Strategy<Value = Step> {
    let near_full = prop_oneof![0..4_u32, (u32::MAX - 2)..=u32::MAX];
    prop_oneof![
        (0..50_u64).prop_map(Step::Stamp),
        (0..50_u64, near_full).prop_map(|(wall_ms, counter)| Step::Observe(wall_ms, counter)),
    ]
}

proptest! {
    #[test]
    fn every_stamp_is_above_all_before_it(steps in proptest::collection::vec(any_step(), 1..60)) {
        let mut clock = HybridClock::default();
        let mut highest = None;
        for step in steps {
            match step {
                Step::Stamp(now) => {
                    let stamped = clock.stamp(now, NODE).unwrap();
                    prop_assert!(Some(stamped) > highest);
                    highest = Some(stamped);
                }
                Step::Observe(wall_ms, counter) => {
                    clock.observe(&version(wall_ms, counter));
                    highest = highest.max(Some(version(wall_ms, counter)));
                }
            }
        }
    }

    #[test]
    fn byte_order_is_the_order_of_versions(
        one in (0..3_u64, 0..3_u32, 0..3_u8),
        two in (0..3_u64, 0..3_u32, 0..3_u8),
    ) {
        let [one, two] = [one, two].map(|(wall_ms, counter, node)| Version {
            wall_ms: wall_ms << 20,
            counter: counter << 20,
            node: NodeId([node; 32]),
        });
        prop_assert_eq!(one.cmp(&two), one.to_bytes().cmp(&two.to_bytes()));
    }
}
