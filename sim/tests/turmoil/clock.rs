//! Wrong clocks.

use std::time::Duration;

use forever_sim::store::{Fault, OpResult};

use crate::harness::{Run, put};

/// By how many milliseconds the version of a put at node 0 is ahead of one at node 1 at the same time.
fn ahead(run: &mut Run) -> i64 {
    let ops = [run.start(0, put(1, 1, 5)), run.start(1, put(1, 1, 5))];
    let [first, second] = ops.map(|op| {
        let result = run.finish(op);
        let OpResult::Put(report) = &result else { panic!("{result:?}") };
        i64::try_from(report.file.version.wall_ms).unwrap()
    });
    first - second
}

#[test]
fn a_skewed_clock_stamps_ahead_and_never_behind_what_it_has_stamped() {
    let mut run = Run::new(50, 2);
    assert!(ahead(&mut run).abs() < 100);
    let skew = Fault::Skew { node: 0, ahead_ms: 60_000 };
    let id = run.begin(&skew);
    let now = ahead(&mut run);
    assert!(run.has_bitten(id) && (59_000..61_000).contains(&now), "{now}");
    run.end(id, &skew);
    run.advance(Duration::from_secs(1));
    let after = ahead(&mut run);
    assert!((57_000..60_000).contains(&after), "a version never falls behind an earlier one: {after}");
}

#[test]
fn a_jump_backwards_stamps_behind_and_ends() {
    let mut run = Run::new(51, 2);
    let jump = Fault::Jump { node: 0, ahead_ms: -60_000 };
    let id = run.begin(&jump);
    let now = ahead(&mut run);
    assert!(run.has_bitten(id) && (-61_000..-59_000).contains(&now), "{now}");
    run.end(id, &jump);
    let after = ahead(&mut run);
    assert!(after.abs() < 100, "{after}");
}

#[test]
fn a_drifting_clock_gets_ahead_as_time_passes() {
    let mut run = Run::new(51, 2);
    let drift = Fault::Drift { node: 0, ppm: 100_000 };
    let id = run.begin(&drift);
    run.advance(Duration::from_secs(10));
    let now = ahead(&mut run);
    assert!(run.has_bitten(id) && (850..1_100).contains(&now), "{now}");
    run.end(id, &drift);
    run.advance(Duration::from_secs(10));
    assert!((850..1_100).contains(&ahead(&mut run)), "it stays ahead and gets no further");
}
