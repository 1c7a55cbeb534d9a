use forever_core::placement::Replicas;

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
    answer(run, op, 1, holders, Replicas::ALL)
}

/// What a stat of a file of node 0 hears.
fn answer(run: &mut Run<Holders>, op: usize, file: u32, holders: &[usize], replicas: Replicas) -> Result<(), String> {
    let peers = holders.iter().filter(|node| **node != 0).map(|node| run.view.node_id(*node)).collect();
    let file = info(file, run.version(100, 0));
    let stat = FileStat {
        file,
        replicas,
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

#[test]
fn a_copy_out_of_place_may_go_while_others_are_asked_and_not_before() {
    let two = Replicas::new(2).unwrap();
    let mut run = Run::new(Holders::default());
    let file = (1..100).find(|file| history::is_out_of_place(&run.view, 2, (0, *file), 2)).unwrap();
    run.put(0, file, 100, &[0, 1, 2]).unwrap();
    run.heal().unwrap();
    let version = run.version(100, 0);
    let op = run.start(0, OpKind::Stat { file });
    run.remove(2, version);
    run.see(Event::Probe { name: MOVED }).unwrap();
    answer(&mut run, op, file, &[1, 2], two).unwrap();
    let op = run.start(0, OpKind::Stat { file });
    assert!(answer(&mut run, op, file, &[1, 2], two).unwrap_err().contains("node 2 holds all"));
}
