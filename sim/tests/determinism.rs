//! One seed, one run.
#![allow(clippy::unwrap_used, reason = "clippy takes only functions marked as tests for tests")]

mod harness;

use std::time::Duration;

use forever_sim::store::{DiskPart, Fault, OpKind};
use forever_sim::system::System;
use harness::{Run, get, put};

/// A run with a bit of everything; the hash of its trace and how many events that has.
fn run(seed: u64) -> (String, u64) {
    let mut run = Run::new(seed, 3);
    // The same content whatever the seed, so that it is not this that makes runs differ.
    let op = run.start(0, put(1, 1, 600_000));
    run.advance(Duration::from_millis(40));
    let faults = [
        Fault::Partition { these: vec![1], those: vec![2] },
        Fault::PowerLoss { node: 2 },
        Fault::ReorderBytes { a: 0, b: 1, per_mille: 10 },
        Fault::Drift { node: 1, ppm: 500 },
        Fault::WriteErrors { node: 1, per_mille: 50, part: DiskPart::All },
    ];
    let ids: Vec<usize> = faults.iter().map(|fault| run.begin(fault)).collect();
    run.finish(op);
    for (id, fault) in ids.iter().zip(&faults) {
        run.end(*id, fault);
    }
    run.until_linked();
    run.run(0, OpKind::Evict { file: 1 });
    run.begin(&Fault::Crash { node: 1 });
    run.run(0, get(1));
    (run.tier.trace().hash().to_string(), run.tier.trace().events())
}

#[test]
fn a_seed_gives_the_same_trace_again_and_in_another_thread() {
    let first = run(1);
    assert!(first.1 > 500, "{} events", first.1);
    assert_eq!(run(1), first);
    // Other seeds before it leave nothing behind in the thread.
    let elsewhere = std::thread::spawn(|| {
        run(2);
        run(1)
    });
    assert_eq!(elsewhere.join().unwrap(), first);
}

#[test]
fn another_seed_gives_another_trace() {
    assert_ne!(run(1), run(2));
}
