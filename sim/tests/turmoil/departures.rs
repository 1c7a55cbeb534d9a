//! Real nodes that leave, and that are written off.

use std::time::Duration;

use forever_sim::store::{Fault, OpKind, OpResult};
use forever_sim::system::System;

use crate::harness::{FILE_LEN, Run, put};

#[test]
fn a_node_that_leaves_hands_over_what_it_holds_stops_and_is_not_started_again() {
    let mut run = Run::new(46, 5);
    run.until_linked();
    assert!(matches!(run.run(4, put(1, 1, FILE_LEN)), OpResult::Put(_)));
    assert_eq!(run.run(4, OpKind::Leave), OpResult::Left);
    run.until("it has stopped", |run| !run.is_up(4));
    let crash = Fault::Crash { node: 4 };
    let id = run.begin(&crash);
    run.end(id, &crash);
    run.advance(Duration::from_secs(2));
    let view = run.tier.view();
    assert!(view.is_gone(4) && !view.is_up(4));
    let chunks = view.contents(4).blobs.len();
    let holds_it = |node: &usize| view.contents(*node).blobs.len() == chunks;
    assert!(chunks > 0 && (0..4).filter(holds_it).count() >= 3, "three hold all {chunks} chunks");
}

#[test]
fn a_node_that_does_not_come_back_is_written_off() {
    let mut run = Run::new(47, 4);
    run.until_linked();
    let crash = Fault::Crash { node: 3 };
    run.begin(&crash);
    run.until("it can be written off", |run| run.run(0, OpKind::Forget { member: 3 }) == OpResult::Forgotten);
    assert!(run.tier.view().is_gone(3));
    assert!(matches!(run.run(0, put(1, 1, FILE_LEN)), OpResult::Put(_)));
}
