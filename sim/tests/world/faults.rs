//! Each fault of the network, of processes and of clocks bites: with it, something goes otherwise than without.

use std::time::Duration;

use crate::small_world::{Ran, fault, get, op, put, ran, scenario};
use forever_core::config::Config;
use forever_sim::store::{DiskLoss, Event, Fault, OpResult, Scenario, names};
use forever_sim::system::System as _;
use forever_sim::trace::Trace;
use forever_sim::world::World;

/// When the operation that is watched begins, in milliseconds; the fault begins before and ends long after.
const AT_MS: u64 = 3_000;
const FROM_MS: u64 = 2_900;
const UNTIL_MS: u64 = 10_000;

/// A put of 50 chunks at the first of some nodes, without a fault and with one. Checks that the fault bit, and that all is
/// well after it.
fn put_under(nodes: usize, what: Fault) -> (Ran, Ran) {
    let mut scenario = scenario(nodes, 15);
    op(&mut scenario, AT_MS, 0, put(1, 7, 50_000));
    let without = ran(&scenario);
    assert!(without.is_ok(0), "{:?}", without.result(0));
    fault(&mut scenario, FROM_MS, UNTIL_MS, what);
    let with = ran(&scenario);
    assert!(with.bit(0), "the fault had no effect");
    with.assert_healed(&scenario);
    (without, with)
}

fn assert_slower(what: Fault, by: Duration) {
    let nodes = 2;
    let (without, with) = put_under(nodes, what.clone());
    let (fast, slow) = (without.took(0), with.took(0));
    assert!(slow > fast + by, "{what:?}: {slow:?} and {fast:?} without");
}

#[test]
fn what_blocks_the_way_makes_a_put_wait_for_its_end() {
    let until_the_end = Duration::from_millis(UNTIL_MS - AT_MS - 1_000);
    for what in [
        Fault::Partition { these: vec![0], those: vec![1] },
        Fault::OneWay { from: 0, to: 1 },
        Fault::OneWay { from: 1, to: 0 },
        Fault::Hold { a: 0, b: 1 },
        Fault::Pause { node: 1 },
    ] {
        assert_slower(what, until_the_end);
    }
}

#[test]
fn what_slows_the_way_makes_a_put_slower() {
    let second = Duration::from_secs(1);
    assert_slower(Fault::LatencySpike { extra_ms: 1_000 }, second);
    assert_slower(Fault::SlowPair { a: 0, b: 1, extra_ms: 500 }, second);
    assert_slower(Fault::Bandwidth { node: 1, bytes_per_s: 20_000 }, second);
}

#[test]
fn a_partial_partition_leaves_the_others_connected() {
    let under = |those: Vec<usize>| {
        let mut scenario = scenario(3, 40);
        op(&mut scenario, AT_MS, 0, put(1, 7, 50_000));
        fault(&mut scenario, FROM_MS, 35_000, Fault::Partition { these: vec![0], those });
        ran(&scenario)
    };
    let in_time = |ran: &Ran| ran.is_ok(0) && ran.took(0) < Duration::from_secs(15);
    let partial = under(vec![1]);
    assert!(partial.bit(0) && in_time(&partial), "{:?}", partial.result(0));
    assert!(!in_time(&under(vec![1, 2])), "nobody is left to hold a copy");
}

#[test]
fn resets_break_connections_and_harm_no_content() {
    let (without, with) = put_under(2, Fault::Resets { a: 0, b: 1, every_ms: 100 });
    assert!(with.took(0) > without.took(0));
}

#[test]
fn half_open_connections_are_noticed_and_made_anew() {
    for node in [0, 1] {
        let (without, with) = put_under(2, Fault::HalfOpen { node });
        assert!(
            with.took(0) > without.took(0) + Duration::from_millis(20),
            "{:?} against {:?}",
            with.took(0),
            without.took(0)
        );
    }
}

#[test]
fn clogged_ways_clear_again_one_by_one() {
    let mut scenario = scenario(3, 15);
    op(&mut scenario, 3_500, 0, put(1, 7, 50_000));
    let without = ran(&scenario);
    fault(&mut scenario, 2_000, 5_000, Fault::Clog { pairs: vec![(0, 1), (0, 2), (1, 2)] });
    let with = ran(&scenario);
    assert!(with.bit(0));
    assert!(with.took(0) > without.took(0) + Duration::from_millis(100), "{:?}", with.took(0));
    with.assert_healed(&scenario);
}

/// A put and a get at a node that is down, or was.
fn down(what: Fault) -> (Ran, Scenario) {
    let mut scenario = scenario(3, 20);
    op(&mut scenario, 1_000, 0, put(1, 7, 5_000));
    op(&mut scenario, 3_000, 0, get(1));
    op(&mut scenario, 12_000, 0, get(1));
    fault(&mut scenario, 2_000, 8_000, what);
    let ran = ran(&scenario);
    assert!(ran.bit(0));
    ran.assert_healed(&scenario);
    (ran, scenario)
}

#[test]
fn a_node_that_is_down_answers_nobody_and_has_everything_when_it_is_back() {
    for what in [Fault::Crash { node: 0 }, Fault::PowerLoss { node: 0 }] {
        let (ran, _) = down(what);
        assert!(ran.is_down(1));
        assert_eq!(ran.got(2), names::content(7, 5_000));
        let up_and_down = |event: &Event| matches!(event, Event::Up { node: 0 } | Event::Down { node: 0 });
        assert_eq!(ran.events.iter().filter(|(_, event)| up_and_down(event)).count(), 3);
    }
}

#[test]
fn a_lost_disk_is_empty_and_the_peers_still_have_its_files() {
    let (ran, _) = down(Fault::LostDisk { node: 0 });
    let lost = |event: &Event| matches!(event, Event::Lost { node: 0, what: DiskLoss::All });
    assert!(ran.events.iter().any(|(_, event)| lost(event)));
    assert_eq!(ran.got(2), names::content(7, 5_000));
}

#[test]
fn a_node_that_moves_is_found_at_its_new_address_and_no_longer_at_its_old_one() {
    for anywhere in [false, true] {
        let mut scenario = scenario(3, 40);
        scenario.nodes.iter_mut().for_each(|node| node.anywhere = anywhere);
        op(&mut scenario, 1_000, 1, put(1, 7, 5_000));
        let away = op(&mut scenario, 3_000, 0, get(1));
        let back = op(&mut scenario, 20_000, 2, put(1, 8, 5_000));
        fault(&mut scenario, 2_000, 8_000, Fault::Moved { node: 0 });
        let ran = ran(&scenario);
        assert!(ran.bit(0) && ran.is_down(away) && ran.is_ok(back));
        ran.assert_healed(&scenario);
        let is_it = |event: &Event, probe: &str| matches!(event, Event::Probe { name } if *name == probe);
        let reached = |probe: &str| ran.events.iter().any(|(_, event)| is_it(event, probe));
        assert!(reached("members.moved"));
        assert_eq!(reached("members.address-learned"), anywhere);
    }
}

/// After how long node 0 has no link to node 1 any more, which something happens to.
fn link_is_gone_after(what: &Fault) -> Duration {
    let mut world = World::new(&scenario(2, 60), Trace::default());
    let advance = |world: &mut World, until| {
        while world.now() < until {
            world.advance(until, &mut Vec::new());
        }
    };
    let start = Duration::from_secs(3);
    advance(&mut world, start);
    assert_eq!(world.view().links(0), [1]);
    world.begin(0, what, &mut Vec::new());
    while !world.view().links(0).is_empty() {
        let next = world.now() + Duration::from_millis(1);
        advance(&mut world, next);
        assert!(next < Duration::from_secs(60), "{what:?} goes unnoticed");
    }
    world.now() - start
}

#[test]
fn peers_learn_of_a_kill_at_once_and_of_a_power_loss_by_its_silence() {
    let of_kill = link_is_gone_after(&Fault::Crash { node: 1 });
    assert!(of_kill < Duration::from_millis(20), "{of_kill:?}");
    let of_silence = link_is_gone_after(&Fault::PowerLoss { node: 1 });
    let timeout = Config::default().link_timeout;
    assert!(of_silence > timeout / 2 && of_silence < timeout * 2, "{of_silence:?} of {timeout:?}");
}

#[test]
fn a_slow_start_of_a_node_that_runs_is_none() {
    let mut scenario = scenario(2, 10);
    fault(&mut scenario, 2_000, 5_000, Fault::SlowStart { node: 1 });
    let late = op(&mut scenario, 3_000, 1, put(1, 7, 5_000));
    let ran = ran(&scenario);
    assert!(ran.is_ok(late) && !ran.bit(0));
}

#[test]
fn a_node_that_is_paused_starts_when_it_goes_on() {
    let mut scenario = scenario(2, 20);
    fault(&mut scenario, 2_000, 4_000, Fault::Crash { node: 1 });
    fault(&mut scenario, 3_000, 9_000, Fault::Pause { node: 1 });
    let early = op(&mut scenario, 6_000, 1, put(1, 7, 5_000));
    let late = op(&mut scenario, 11_000, 1, put(1, 7, 5_000));
    let ran = ran(&scenario);
    let ups = ran.events.iter().filter(|(_, event)| matches!(event, Event::Up { node: 1 }));
    assert_eq!(ups.map(|(at, _)| at.as_secs()).collect::<Vec<_>>(), [0, 9]);
    assert!(ran.is_down(early) && ran.is_ok(late) && ran.bit(1));
}

#[test]
fn a_slow_start_keeps_callers_waiting() {
    let mut scenario = scenario(2, 10);
    let early = op(&mut scenario, 1_000, 1, put(1, 7, 5_000));
    let late = op(&mut scenario, 6_000, 1, put(1, 7, 5_000));
    fault(&mut scenario, 0, 5_000, Fault::SlowStart { node: 1 });
    let ran = ran(&scenario);
    assert!(ran.is_down(early) && ran.bit(0));
    assert!(ran.is_ok(late));
}

#[test]
fn a_paused_node_answers_when_it_goes_on() {
    let mut scenario = scenario(2, 20);
    op(&mut scenario, 1_000, 0, put(1, 7, 5_000));
    let read = op(&mut scenario, 4_000, 0, get(1));
    let without = ran(&scenario);
    fault(&mut scenario, 3_000, 7_000, Fault::Pause { node: 0 });
    let with = ran(&scenario);
    assert!(without.took(read) < Duration::from_millis(100));
    assert!(with.took(read) >= Duration::from_secs(3));
    assert_eq!(with.got(read), names::content(7, 5_000));
}

/// The wall time that a put's version has, in milliseconds, beyond what it has without a fault.
fn stamp_ahead(what: Fault) -> i64 {
    let mut scenario = scenario(2, 30);
    let write = op(&mut scenario, 12_000, 0, put(1, 7, 500));
    let stamp = |ran: &Ran| match ran.result(write) {
        OpResult::Put(report) => i64::try_from(report.file.version.wall_ms).unwrap(),
        other => panic!("{other:?}"),
    };
    let right = stamp(&ran(&scenario));
    fault(&mut scenario, 2_000, 20_000, what);
    let with = ran(&scenario);
    assert!(with.bit(0));
    with.assert_healed(&scenario);
    stamp(&with) - right
}

#[test]
fn wrong_clocks_stamp_wrong_versions() {
    assert!((4_990..=5_010).contains(&stamp_ahead(Fault::Skew { node: 0, ahead_ms: 5_000 })));
    assert!((-3_010..=-2_990).contains(&stamp_ahead(Fault::Jump { node: 0, ahead_ms: -3_000 })));
    assert!((990..=1_010).contains(&stamp_ahead(Fault::Drift { node: 0, ppm: 100_000 })));
    assert!((-1_010..=-990).contains(&stamp_ahead(Fault::Drift { node: 0, ppm: -100_000 })));
}

#[test]
fn nodes_outside_the_core_stay_as_they_are() {
    let mut scenario = scenario(4, 10);
    scenario.core = vec![0, 1];
    op(&mut scenario, 1_000, 0, put(1, 7, 5_000));
    fault(&mut scenario, 5_000, 60_000, Fault::Crash { node: 3 });
    let mut ran = ran(&scenario);
    assert!(!ran.world.view().is_up(3) && ran.world.view().is_up(2));
    let asked = |event: &Event| matches!(event, Event::Started { op: 1.., what, .. } if what.node > 1);
    assert!(!ran.events.iter().any(|(_, event)| asked(event)), "the judge asks the core only");
}
