use forever_core::secrets::{OwnerKeys, OwnerSecret};

use super::super::testing::*;
use super::*;

fn run() -> Run<Authority> {
    let mut run = Run::new(Authority::default());
    run.put(0, 1, 100, &[0, 1, 2]).unwrap();
    run.delete(1, 1, 200, &[0, 2]).unwrap();
    run
}

#[test]
fn records_that_operations_made_are_right() {
    let mut run = run();
    run.heal().unwrap();
    run.judge().unwrap();
}

#[test]
fn a_record_of_a_file_or_device_without_such_an_operation_is_a_violation() {
    for (writer, file, deleted) in [(0, 2, false), (1, 1, false), (0, 1, true)] {
        let mut run = run();
        let version = run.version(300, writer);
        run.store(2, writer, file, version, deleted);
        assert!(run.heal().is_err(), "node {writer}, file {file}");
    }
}

#[test]
fn a_record_that_is_not_signed_by_its_owner_is_a_violation() {
    let mut run = run();
    run.view.disks[2].records.pop();
    assert!(run.judge().unwrap_err().contains("only 1 are signed"));
}

#[test]
fn a_record_that_says_another_thing_than_was_acknowledged_is_a_violation() {
    let mut run = run();
    let put = run.start(1, put_of(1));
    run.end(put, gone()).unwrap();
    run.remove(2, run.version(200, 1));
    run.view.disks[2].rows.pop();
    let version = run.version(200, 1);
    run.store(2, 1, 1, version, false);
    assert!(run.judge().unwrap_err().contains("another thing"));
}

#[test]
fn a_record_under_a_stranger_s_key_is_a_violation() {
    let mut run = run();
    let stranger = OwnerKeys::derive(&OwnerSecret::new([9; 32]));
    let mut record = run.view.disks[2].records[0].record.record;
    record.owner = stranger.owner_id();
    run.view.disks[2].records[0].record = SignedRecord::sign(&stranger, record);
    assert!(run.judge().unwrap_err().contains("not its owner's"));
}

#[test]
fn a_record_stamped_by_another_owner_s_node_is_a_violation() {
    let mut run = run();
    let version = run.version(300, 2);
    run.store(1, 0, 1, version, false);
    assert!(run.judge().unwrap_err().contains("not its owner's"));
}

#[test]
fn more_records_than_operations_can_have_stamped_are_a_violation() {
    let mut run = run();
    for wall_ms in [301, 302, 303] {
        let version = run.version(wall_ms, 0);
        run.store(2, 0, 1, version, false);
    }
    run.judge().unwrap();
    let version = run.version(304, 0);
    run.store(2, 0, 1, version, false);
    assert!(run.judge().unwrap_err().contains("made by 1 operations"));
}
