use super::super::testing::*;
use super::*;
use crate::store::DiskLoss;

fn run() -> Run<Sessions> {
    let mut run = Run::new(Sessions::default());
    run.put(0, 1, 100, &[0, 1, 2]).unwrap();
    run.put(0, 1, 200, &[0, 2]).unwrap();
    run
}

#[test]
fn a_node_sees_its_writes_and_newer_ones() {
    let mut run = run();
    let got = run.got(1, 200, 0);
    run.get(0, 1, got).unwrap();
    let newer = run.got(1, 300, 1);
    run.get(0, 1, newer).unwrap();
    // Another node may know less.
    let older = run.got(1, 100, 0);
    run.get(1, 1, older).unwrap();
}

#[test]
fn a_node_that_does_not_see_its_own_write_is_a_violation() {
    let mut run = run();
    let older = run.got(1, 100, 0);
    assert!(run.get(0, 1, older).unwrap_err().contains("written or read there before"));
    run.get(0, 1, not_found()).unwrap_err();
    let list = run.start(0, OpKind::List);
    run.end(list, OpResult::Listed(Vec::new())).unwrap_err();
}

#[test]
fn what_was_under_way_need_not_see_what_ended_meanwhile() {
    let mut run = Run::new(Sessions::default());
    let early = run.start(0, get_of(1));
    run.put(0, 1, 100, &[0, 1]).unwrap();
    run.end(early, not_found()).unwrap();
}

#[test]
fn reads_that_go_back_are_a_violation_if_the_newer_one_is_on_the_disk() {
    let mut run = run();
    let (older, newer) = (run.got(1, 100, 0), run.got(1, 200, 0));
    // Read from a peer and not kept.
    run.get(1, 1, newer.clone()).unwrap();
    run.get(1, 1, older.clone()).unwrap();
    let version = run.version(200, 0);
    run.store(1, 0, 1, version, false);
    run.get(1, 1, newer).unwrap();
    run.get(1, 1, older).unwrap_err();
}

#[test]
fn a_deleted_file_may_be_absent_and_must_be() {
    let mut run = run();
    let older = run.got(1, 200, 0);
    run.delete(0, 1, 300, &[0, 1]).unwrap();
    run.get(0, 1, not_found()).unwrap();
    assert!(run.get(0, 1, older).unwrap_err().contains("deleted"));
}

#[test]
fn a_delete_elsewhere_explains_an_absent_file_and_an_older_one_does_not() {
    let mut newer = run();
    newer.delete(1, 1, 300, &[0, 1]).unwrap();
    newer.get(0, 1, not_found()).unwrap();
    let mut older = run();
    older.delete(1, 1, 150, &[0, 1]).unwrap();
    older.get(0, 1, not_found()).unwrap_err();
}

#[test]
fn stamps_that_go_back_are_a_violation_on_one_node() {
    let mut run = run();
    run.put(1, 2, 50, &[0, 1]).unwrap();
    assert!(run.put(0, 2, 150, &[0, 1]).unwrap_err().contains("stamped"));
}

#[test]
fn a_node_that_lost_its_disk_starts_anew() {
    let mut run = run();
    run.lose(0, DiskLoss::All);
    run.get(0, 1, not_found()).unwrap();
    run.put(0, 2, 150, &[0, 1]).unwrap();
}
