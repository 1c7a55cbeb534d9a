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

/// Files are kept on two nodes; one whose holders node 2 is not among. Its owner has nodes 0 and 1.
fn kept_on_two() -> (Run<Copies>, u32) {
    let mut run = run();
    run.view.scenario.config.retention.replicas = forever_core::placement::Replicas::new(2).unwrap();
    let file = (1..100).find(|file| history::is_out_of_place(&run.view, 2, (0, *file), 2)).unwrap();
    (run, file)
}

#[test]
fn a_copy_out_of_place_may_go_while_as_many_others_hold_it_as_are_to() {
    let (mut run, file) = kept_on_two();
    run.put(0, file, 100, &[0, 1, 2]).unwrap();
    let version = run.version(100, 0);
    run.remove(2, version);
    run.see(Event::Probe { name: MOVED }).unwrap();
    run.judge().unwrap();
}

#[test]
fn a_copy_out_of_place_that_goes_while_too_few_hold_it_is_a_violation() {
    let (mut run, file) = kept_on_two();
    run.put(0, file, 100, &[0, 2]).unwrap();
    let version = run.version(100, 0);
    run.remove(2, version);
    let error = run.see(Event::Probe { name: MOVED }).unwrap_err();
    assert!(error.contains("while only 1 others"), "{error}");
}

#[test]
fn a_copy_in_its_place_that_goes_is_a_violation() {
    let (mut run, file) = kept_on_two();
    run.put(0, file, 100, &[0, 1, 2]).unwrap();
    let version = run.version(100, 0);
    run.remove(1, version);
    run.see(Event::Probe { name: MOVED }).unwrap();
    let error = run.judge().unwrap_err();
    assert!(error.contains("node 1 no longer holds"), "{error}");
}
