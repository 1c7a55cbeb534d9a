use super::super::testing::*;
use super::*;
use crate::store::DiskLoss;

fn run() -> Run<Copies> {
    Run::new(Copies::default())
}

/// Node `node` evicts file 1 on promises of others, and drops the chunk of the version of wall time 100.
fn evict(run: &mut Run<Copies>, node: usize, promised_by: &[usize]) -> Result<(), String> {
    let op = run.start(node, OpKind::Evict { file: 1 });
    let version = run.version(100, 0);
    let chunk = chunk_of(&run.view, 0, version);
    run.view.disks[node].blobs.remove(&chunk);
    let promised_by = promised_by.iter().map(|node| run.view.node_id(*node)).collect();
    run.end(op, OpResult::Evicted { freed_bytes: 200, promised_by })
}

fn damage(run: &mut Run<Copies>, node: usize) {
    let chunk = chunk_of(&run.view, 0, run.version(100, 0));
    run.view.disks[node].blobs.remove(&chunk);
}

#[test]
fn a_copy_that_stays_is_right_and_one_that_vanishes_is_a_violation() {
    let mut run = run();
    run.put(0, 1, 100, &[0, 1, 2]).unwrap();
    run.judge().unwrap();
    damage(&mut run, 2);
    let error = run.judge().unwrap_err();
    assert!(error.contains("node 2 no longer holds"), "{error}");
}

#[test]
fn a_copy_that_the_plan_destroyed_or_a_caller_evicted_is_not_missed() {
    let mut run = run();
    run.put(0, 1, 100, &[0, 1, 2]).unwrap();
    run.lose(1, DiskLoss::All);
    let chunk = chunk_of(&run.view, 0, run.version(100, 0));
    run.lose(2, DiskLoss::Blobs(vec![chunk]));
    evict(&mut run, 0, &[]).unwrap();
    run.judge().unwrap();
}

#[test]
fn an_evict_on_promises_that_are_kept_is_right() {
    let mut run = run();
    run.put(0, 1, 100, &[0, 1, 2]).unwrap();
    evict(&mut run, 0, &[1, 2]).unwrap();
    run.judge().unwrap();
}

#[test]
fn an_evict_on_the_promise_of_a_node_that_has_no_copy_is_a_violation() {
    let mut run = run();
    run.put(0, 1, 100, &[0, 2]).unwrap();
    let error = evict(&mut run, 0, &[1, 2]).unwrap_err();
    assert!(error.contains("on a promise of node 1"), "{error}");
}

#[test]
fn an_evict_of_a_copy_that_another_device_relies_on_is_a_violation() {
    let mut run = run();
    run.put(0, 1, 100, &[0, 1, 2]).unwrap();
    evict(&mut run, 0, &[1, 2]).unwrap();
    let error = evict(&mut run, 1, &[2]).unwrap_err();
    assert!(error.contains("had promised node 0"), "{error}");
}

#[test]
fn an_evict_after_the_other_device_has_the_file_again_is_right() {
    let mut run = run();
    run.put(0, 1, 100, &[0, 1, 2]).unwrap();
    evict(&mut run, 0, &[1, 2]).unwrap();
    let version = run.version(100, 0);
    run.store(0, 0, 1, version, false);
    evict(&mut run, 1, &[0, 2]).unwrap();
}

fn restore(run: &mut Run<Copies>, node: usize, missing: u64, peers_done: u32) -> Result<(), String> {
    let op = run.start(node, OpKind::Restore);
    run.end(op, OpResult::Restored(RestoreReport { peers: 2, peers_done, missing, ..RestoreReport::default() }))
}

#[test]
fn a_restore_that_misses_what_all_others_hold_must_say_so() {
    let mut run = run();
    run.put(0, 1, 100, &[0, 1, 2]).unwrap();
    run.lose(0, DiskLoss::All);
    restore(&mut run, 0, 1, 2).unwrap();
    restore(&mut run, 0, 0, 0).unwrap();
    let error = restore(&mut run, 0, 0, 2).unwrap_err();
    assert!(error.contains("with nothing missing"), "{error}");
    let version = run.version(100, 0);
    run.store(0, 0, 1, version, false);
    restore(&mut run, 0, 0, 2).unwrap();
}

#[test]
fn a_restore_need_not_find_what_some_peer_lacks() {
    let mut run = run();
    run.put(0, 1, 100, &[0, 2]).unwrap();
    run.lose(0, DiskLoss::All);
    restore(&mut run, 0, 0, 1).unwrap();
}

#[test]
fn bytes_that_are_not_their_address_are_a_violation_wherever_they_came_from() {
    for moment in [Event::Up { node: 2 }, Event::Healed] {
        let mut run = run();
        run.put(0, 1, 100, &[0, 1]).unwrap();
        let late = chunk_of(&run.view, 0, run.version(100, 0));
        run.view.disks[2].blobs.insert(late, false);
        let error = run.see(moment).unwrap_err();
        assert!(error.contains("bytes that are not its own"), "{error}");
        run.judge().unwrap_err();
        run.lose(2, DiskLoss::Blobs(vec![late]));
        run.judge().unwrap();
    }
}
