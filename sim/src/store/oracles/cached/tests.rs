use forever_core::ids::BlobKey;

use super::super::testing::*;
use super::*;

/// Node 2 has read a file of node 0 and cached its chunk.
fn run() -> Run<Cached> {
    let mut run = Run::new(Cached::default());
    run.meet();
    run.put(0, 1, 100, &[0, 1]).unwrap();
    let chunk = chunk_of(&run.view, 0, run.version(100, 0)).chunk;
    run.view.disks[2].blobs.insert(BlobKey { owner: CACHE_OWNER, chunk }, true);
    run
}

#[test]
fn what_is_cached_of_a_file_that_lives_is_none() {
    let mut run = run();
    run.heal().unwrap();
    run.judge().unwrap();
}

#[test]
#[should_panic(expected = "node 2 still has chunk")]
fn what_is_cached_of_a_file_known_to_be_deleted_is_a_violation() {
    let mut run = run();
    run.delete(0, 1, 200, &[0, 1, 2]).unwrap();
    run.heal().unwrap();
    run.judge().unwrap();
}

#[test]
fn a_node_that_does_not_know_of_the_deletion_may_have_it() {
    let mut run = run();
    run.delete(0, 1, 200, &[0, 1]).unwrap();
    run.heal().unwrap();
    run.judge().unwrap();
}

#[test]
fn a_file_put_again_after_its_deletion_lives() {
    let mut run = run();
    run.delete(0, 1, 200, &[0, 1, 2]).unwrap();
    // The fake chunk of a version is its own: what matters is that this one has it and is newer, and that node 2 need not hold it.
    run.put(0, 1, 300, &[0, 1]).unwrap();
    let chunk = chunk_of(&run.view, 0, run.version(100, 0));
    run.view.disks[0].records.last_mut().unwrap().chunks = Some(vec![chunk]);
    run.heal().unwrap();
    run.judge().unwrap();
}
