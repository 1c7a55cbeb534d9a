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
