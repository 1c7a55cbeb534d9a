//! Faults of the network: each takes effect, none gives wrong data, and all is well after them.

use std::time::Duration;

use forever_sim::store::{Approach, Event, Fault, OpKind, OpResult};
use forever_sim::system::{Spanned, System};

use crate::harness::{CHUNK, FILE_LEN, Run, content, get, put, scenario};

/// Puts and reads a file while a fault is at work, and again after it has ended: nothing that is read is wrong, and in the
/// end everything is there. How long the put took, or the fault if that was shorter.
fn through(seed: u64, fault: &Fault) -> Duration {
    let mut run = Run::new(seed, 3);
    run.put(0, 1, 8 * CHUNK);
    run.run(0, OpKind::Evict { file: 1 });
    let id = run.begin(fault);
    let start = run.tier.now();
    let second = run.start(0, put(2, 2, 16 * CHUNK));
    let read = run.start(0, get(1));
    let ends = start + Duration::from_secs(3);
    run.until("the put ends, or the fault", |run| run.tier.now() >= ends || run.result(second).is_some());
    let took = run.tier.now() - start;
    run.advance(ends.saturating_sub(run.tier.now()));
    assert!(run.has_bitten(id), "{fault:?} does not bite");
    run.end(id, fault);
    if let OpResult::Got(got) = run.finish(read) {
        assert_eq!(got.bytes, content(1, 8 * CHUNK).bytes(), "{fault:?}");
    }
    run.finish(second);
    run.until_linked();
    assert!(run.reads(0, 1, 8 * CHUNK), "{fault:?}");
    let last = run.run(0, put(3, 3, FILE_LEN));
    assert!(matches!(last, OpResult::Put(_)), "{fault:?}: {last:?}");
    assert!(run.reads(0, 3, FILE_LEN), "{fault:?}");
    took
}

/// Runs until a link between two nodes has closed because of a fault of the wire between them.
fn closes(seed: u64, fault: &Fault) {
    let mut run = Run::new(seed, 2);
    let id = run.begin(fault);
    run.start(0, put(1, 1, FILE_LEN));
    run.until("the link closes", |run| {
        !run.tier.view().links(1).contains(&0) || !run.tier.view().links(0).contains(&1)
    });
    assert!(run.has_bitten(id));
    run.end(id, fault);
}

#[test]
fn without_faults_a_put_takes_less_than_a_second() {
    let took = through(20, &Fault::LatencySpike { extra_ms: 1 });
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn a_partition_and_a_one_way_street_are_survived() {
    through(21, &Fault::Partition { these: vec![0, 1], those: vec![2] });
    through(22, &Fault::OneWay { from: 1, to: 0 });
}

#[test]
fn what_is_held_comes_when_it_is_released() {
    let mut run = Run::new(23, 2);
    let hold = Fault::Hold { a: 0, b: 1 };
    let id = run.begin(&hold);
    let op = run.start(0, put(1, 1, 3 * CHUNK));
    run.advance(Duration::from_secs(2));
    assert!(run.result(op).is_none() && run.has_bitten(id), "{:?}", run.result(op));
    run.end(id, &hold);
    let released = run.tier.now();
    assert!(matches!(run.finish(op), OpResult::Put(_)));
    assert!(run.tier.now() - released < Duration::from_millis(500), "over the same link");
}

#[test]
fn latency_and_slow_pairs_delay() {
    let usual = through(24, &Fault::LatencySpike { extra_ms: 1 });
    let spiky = through(24, &Fault::LatencySpike { extra_ms: 900 });
    assert!(spiky > usual + Duration::from_millis(300), "{spiky:?} and {usual:?}");
    let took = through(25, &Fault::SlowPair { a: 0, b: 1, extra_ms: 400 });
    assert!(took > Duration::from_millis(800), "{took:?}: a put asks, and is answered");
}

#[test]
fn bandwidth_limits_what_passes() {
    let mut run = Run::new(26, 2);
    let slow = Fault::Bandwidth { node: 1, bytes_per_s: 256 << 10 };
    let id = run.begin(&slow);
    let start = run.tier.now();
    run.put(0, 1, 16 * CHUNK);
    let took = run.tier.now() - start;
    assert!(run.has_bitten(id) && took > Duration::from_secs(4), "a mebibyte took {took:?}");
    assert!(took < Duration::from_secs(8), "{took:?}");
}

#[test]
fn damaged_ciphertext_closes_the_link_and_nothing_else() {
    for (seed, fault) in [
        (27, Fault::DropBytes { a: 0, b: 1, per_mille: 50 }),
        (28, Fault::DuplicateBytes { a: 0, b: 1, per_mille: 50 }),
        (29, Fault::ReorderBytes { a: 0, b: 1, per_mille: 50 }),
    ] {
        closes(seed, &fault);
        through(seed, &fault);
    }
}

#[test]
fn resets_in_mid_frame_are_survived() {
    let resets = Fault::Resets { a: 0, b: 1, every_ms: 300 };
    closes(30, &resets);
    through(30, &resets);
}

#[test]
fn a_node_does_not_learn_at_once_that_its_connections_are_half_open() {
    let mut run = Run::new(31, 2);
    let half_open = Fault::HalfOpen { node: 0 };
    let id = run.begin(&half_open);
    run.advance(Duration::from_millis(5));
    assert!(run.has_bitten(id));
    assert!(!run.tier.view().links(1).contains(&0) && run.tier.view().links(0).contains(&1));
    run.end(id, &half_open);
    run.until_linked();
    run.advance(Duration::from_secs(10));
    run.until_linked();
    run.put(0, 1, FILE_LEN);
}

#[test]
fn ways_clog_one_after_the_other() {
    let clog = Fault::Clog { pairs: vec![(0, 1), (1, 2), (0, 2)] };
    let mut scenario = scenario(32, 3);
    // When each pair clogs and clears follows from how long the plan says that it lasts.
    scenario.plan.faults.push(Spanned { id: 7, from_us: 0, until_us: 3_000_000, what: clog.clone() });
    let mut run = Run::of(&scenario);
    run.begin_as(7, &clog);
    let op = run.start(0, put(1, 1, FILE_LEN));
    run.advance(Duration::from_millis(1_400));
    assert!(run.has_bitten(7) && run.result(op).is_none(), "{:?}", run.result(op));
    run.advance(Duration::from_millis(1_600));
    run.end(7, &clog);
    assert!(matches!(run.finish(op), OpResult::Put(_)));
}

#[test]
fn a_stranger_who_dials_is_told_nothing_and_hinders_nobody() {
    for approach in Approach::ALL {
        let stranger = Fault::Stranger { node: 0, approach };
        let mut scenario = scenario(33, 2);
        scenario.plan.faults.push(Spanned { id: 7, from_us: 0, until_us: 5_000_000, what: stranger.clone() });
        let mut run = Run::of(&scenario);
        run.begin_as(7, &stranger);
        run.put(0, 1, FILE_LEN);
        run.advance(Duration::from_secs(5));
        assert!(run.has_bitten(7), "{approach:?} was not heard");
        run.end(7, &stranger);
        assert!(run.reads(0, 1, FILE_LEN));
        let is_told = |event: &Event| matches!(event, Event::Told { .. });
        assert!(!run.events.iter().any(is_told), "{approach:?} was told something");
    }
}
