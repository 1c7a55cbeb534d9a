//! Faults of processes that the plainest tests leave out.

use std::time::Duration;

use forever_sim::store::{Event, Fault, OpError, OpKind, OpResult};
use forever_sim::system::System;
use forever_sim::trace::Trace;
use forever_sim::turmoil_tier::TurmoilTier;

use crate::harness::{CHUNK, FILE_LEN, Run, put, scenario};

#[test]
fn a_paused_node_does_nothing_until_it_goes_on() {
    let mut run = Run::new(40, 3);
    let pause = Fault::Pause { node: 1 };
    let id = run.begin(&pause);
    let op = run.start(1, OpKind::List);
    run.advance(Duration::from_secs(2));
    assert!(run.result(op).is_none() && run.has_bitten(id) && run.is_up(1));
    run.end(id, &pause);
    run.advance(Duration::from_millis(5));
    assert!(matches!(run.result(op), Some(OpResult::Listed { .. })));
    run.until_linked();
    run.put(0, 1, CHUNK);
}

#[test]
fn a_node_that_starts_late_is_down_until_then_and_catches_up() {
    let mut run = Run::fresh(TurmoilTier::new(&scenario(41, 3), Trace::default()));
    let slow = Fault::SlowStart { node: 2 };
    let id = run.begin(&slow);
    run.advance(Duration::from_secs(1));
    assert!(run.has_bitten(id) && !run.is_up(2) && run.is_up(0));
    assert_eq!(run.run(2, OpKind::List), OpResult::Failed(OpError::Down));
    assert!(!run.events.iter().any(|event| matches!(event, Event::Up { node: 2 })));
    run.end(id, &slow);
    run.until_linked();
    run.put(0, 1, CHUNK);
}

#[test]
fn a_node_that_moves_is_found_at_its_new_address() {
    for anywhere in [false, true] {
        let mut scenario = scenario(45, 3);
        scenario.nodes.iter_mut().for_each(|node| node.anywhere = anywhere);
        let mut run = Run::fresh(TurmoilTier::new(&scenario, Trace::default()));
        run.until_linked();
        let moved = Fault::Moved { node: 0 };
        let id = run.begin(&moved);
        run.advance(Duration::from_secs(1));
        assert!(run.has_bitten(id) && !run.is_up(0));
        run.end(id, &moved);
        run.until_linked();
        run.put(0, 1, CHUNK);
        let is_moved = |event: &Event| matches!(event, Event::Probe { name: "members.moved" });
        assert!(run.events.iter().any(is_moved));
    }
}

#[test]
fn power_goes_in_the_middle_of_accesses_and_nothing_acknowledged_is_lost() {
    for seed in 0..12 {
        let mut run = Run::new(100 + seed, 2);
        run.put(1, 1, 4 * CHUNK);
        run.start(1, put(2, 2, FILE_LEN));
        run.advance(Duration::from_millis(20 + seed));
        let loss = Fault::PowerLoss { node: 1 };
        let id = run.begin(&loss);
        run.until("the power is gone", |run| !run.is_up(1));
        let left = run.tier.view().contents(1);
        assert!(left.blobs.values().all(|is_right| *is_right), "no blob is there in part");
        assert!(left.records.iter().any(|held| held.chunks.is_some()), "what was acknowledged is there");
        run.end(id, &loss);
        run.until_linked();
        assert!(run.reads(1, 1, 4 * CHUNK));
    }
}

#[test]
fn a_slow_start_of_a_node_that_runs_is_none() {
    let mut run = Run::new(42, 2);
    let slow = Fault::SlowStart { node: 1 };
    let id = run.begin(&slow);
    run.put(1, 1, CHUNK);
    assert!(run.is_up(1) && !run.has_bitten(id));
    run.end(id, &slow);
    assert!(run.is_up(1));
}

#[test]
fn power_that_goes_where_nothing_runs_changes_nothing() {
    let mut run = Run::new(43, 2);
    let (crash, loss) = (Fault::Crash { node: 1 }, Fault::PowerLoss { node: 1 });
    let first = run.begin(&crash);
    let second = run.begin(&loss);
    run.advance(Duration::from_millis(200));
    assert!(run.has_bitten(first) && !run.has_bitten(second));
    run.end(first, &crash);
    run.advance(Duration::from_secs(1));
    assert!(!run.is_up(1), "it has no power");
    run.end(second, &loss);
    run.until_linked();
}

#[test]
fn a_node_that_is_paused_starts_when_it_goes_on() {
    let mut run = Run::new(44, 2);
    let (crash, pause) = (Fault::Crash { node: 1 }, Fault::Pause { node: 1 });
    let first = run.begin(&crash);
    let second = run.begin(&pause);
    run.end(first, &crash);
    run.advance(Duration::from_secs(2));
    assert!(!run.is_up(1) && run.has_bitten(second));
    run.end(second, &pause);
    run.until_linked();
}

#[test]
fn oracles_that_look_change_nothing() {
    let mut are_up = 0;
    for seed in 0..4 {
        let run = |looks: bool| {
            let mut run = Run::new(140 + seed, 2);
            run.put(1, 1, 4 * CHUNK);
            run.start(0, put(2, 2, 8 * CHUNK));
            let mut is_up = false;
            for step in 0..600 {
                if step == 500 {
                    // At a node that does nothing, so that the next accesses of its disk are those of who looks.
                    run.begin(&Fault::PowerLoss { node: 1 });
                }
                run.advance(Duration::from_millis(1));
                // What has been seen and has not changed is not looked at again, so nobody has looked before.
                if looks && step >= 500 {
                    (0..2).for_each(|node| drop(run.tier.view().contents(node)));
                }
                is_up |= step == 530 && run.is_up(1);
            }
            assert!(!run.is_up(1), "the power has gone");
            (is_up, run.tier.trace().hash(), run.tier.trace().events())
        };
        let seen = run(true);
        assert_eq!(seen, run(false), "seed {seed}");
        are_up += usize::from(seen.0);
    }
    assert!(are_up > 0, "the power goes some time after it was said to");
}
