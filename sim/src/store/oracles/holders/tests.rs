use super::super::testing::*;
use super::*;
use crate::store::{DiskLoss, Fault, Lie, OpKind};

/// A file of node 0, on nodes 0 and 2, once the cluster has settled.
fn run() -> Run<Holders> {
    let mut run = Run::new(Holders::default());
    run.put(0, 1, 100, &[0, 2]).unwrap();
    run
}

/// Node 0 is asked, and names these nodes as holders; itself, if it is among them.
fn say(run: &mut Run<Holders>, holders: &[usize]) -> Result<(), String> {
    let op = run.start(0, OpKind::Stat { file: 1 });
    let peers = holders.iter().filter(|node| **node != 0).map(|node| run.view.node_id(*node)).collect();
    let file = info(1, run.version(100, 0));
    let stat = FileStat {
        file,
        replicas: forever_core::placement::Replicas::ALL,
        placed: Vec::new(),
        local: holders.contains(&0),
        holders: Some(peers),
        silent: Vec::new(),
    };
    run.end(op, OpResult::Stat(stat))
}

#[test]
fn who_is_said_to_hold_a_file_holds_it() {
    let mut run = run();
    run.heal().unwrap();
    say(&mut run, &[0, 2]).unwrap();
    say(&mut run, &[]).unwrap();
    assert!(say(&mut run, &[1, 2]).unwrap_err().contains("node 1 holds all"));
    let version = run.version(100, 0);
    run.remove(0, version);
    assert!(say(&mut run, &[0]).unwrap_err().contains("node 0 holds all"));
}

#[test]
fn a_chunk_that_is_missing_is_no_copy_unless_it_rotted() {
    let mut run = run();
    let chunk = chunk_of(&run.view, 0, run.version(100, 0));
    run.view.disks[2].blobs.remove(&chunk);
    run.heal().unwrap();
    say(&mut run, &[2]).unwrap_err();
    run.lose(2, DiskLoss::Blobs(vec![chunk]));
    say(&mut run, &[2]).unwrap();
}

#[test]
fn what_is_said_before_the_cluster_has_settled_and_of_liars_is_not_judged() {
    let mut run = run();
    say(&mut run, &[1]).unwrap();
    run.heal().unwrap();
    plan_fault(&mut run.view, Fault::Liar { node: 1, lie: Lie::AcknowledgesOnly });
    say(&mut run, &[1]).unwrap();
    say(&mut run, &[2]).unwrap();
}
