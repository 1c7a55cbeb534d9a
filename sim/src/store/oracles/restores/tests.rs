use forever_core::checkpoint::Checkpoint;
use forever_core::ids::Fingerprint;
use forever_core::record::{Record, SignedRecord};

use super::super::super::{DiskLoss, Held, Op};
use super::super::testing::{Run, chunk_of};
use super::*;
use crate::system::Timed;

/// A run whose plan has a restore, so that acknowledgements are looked at.
fn run() -> Run<Restores> {
    let mut run = Run::new(Restores::default());
    let what = Op { node: 0, what: OpKind::Restore };
    run.view.scenario.plan.ops.push(Timed { id: 0, at_us: 0, what });
    run
}

/// A checkpoint of node 1 comes to lie on its disk.
fn sign(run: &mut Run<Restores>, sequence: u64) {
    let keys = run.view.keys(1).clone();
    let version = run.version(50 + sequence, 1);
    let checkpoint = Checkpoint { sequence, wall_ms: 0, names: 1, fingerprint: Fingerprint([0; 32]) };
    let template = run.view.disks[1].records.first().map(|held| held.record.record);
    let Some(template) = template else { panic!("a record to take the retention of") };
    let record = Record {
        name_id: keys.checkpoint_name(version.node),
        version,
        body: RecordBody::Checkpoint(checkpoint),
        ..template
    };
    run.view.disks[1].records.push(Held { record: SignedRecord::sign(&keys, record), chunks: Some(Vec::new()) });
}

/// A restore at node 0 ends, and says that such a checkpoint of node 1 is covered, or is not.
fn restore(run: &mut Run<Restores>, sequence: u64, is_covered: bool) -> Result<(), String> {
    let op = run.start(0, OpKind::Restore);
    let device = run.view.node_id(1);
    let checkpoint = CheckpointInfo { device, sequence, time_ms: 0, names: 1, names_found: 1, is_covered };
    let report = RestoreReport { checkpoints: vec![checkpoint], ..RestoreReport::default() };
    run.end(op, OpResult::Restored(report))
}

#[test]
fn a_restore_that_claims_a_checkpoint_knows_what_was_acknowledged_before_it() {
    let mut run = run();
    run.put(1, 1, 100, &[1]).unwrap();
    // It may have been under way when the put was acknowledged.
    restore(&mut run, 1, true).unwrap();
    restore(&mut run, 2, false).unwrap();
    let error = restore(&mut run, 2, true).unwrap_err();
    assert!(error.contains("without version"), "{error}");
    let version = run.version(100, 1);
    run.store(0, 1, 1, version, false);
    restore(&mut run, 2, true).unwrap();
}

#[test]
fn what_was_acknowledged_after_a_checkpoint_is_no_part_of_it() {
    let mut run = run();
    run.put(1, 1, 100, &[0, 1]).unwrap();
    sign(&mut run, 5);
    run.put(1, 2, 110, &[1]).unwrap();
    restore(&mut run, 6, true).unwrap();
    restore(&mut run, 7, true).unwrap_err();
}

#[test]
fn something_newer_stands_for_what_was_acknowledged() {
    let mut run = run();
    run.put(1, 1, 100, &[1]).unwrap();
    run.delete(0, 1, 200, &[0]).unwrap();
    restore(&mut run, 2, true).unwrap();
}

#[test]
fn what_a_device_wrote_before_it_lost_its_disk_is_not_demanded() {
    let mut run = run();
    run.put(1, 1, 100, &[1]).unwrap();
    run.lose(1, DiskLoss::All);
    restore(&mut run, 9, true).unwrap();
}

/// Node 1 announces its checkpoint of this number, signed when its clock was at 0.
fn announce(run: &mut Run<Restores>, sequence: u64) {
    let version = run.version(50 + sequence, 1);
    let held = run.view.disks[1].records.iter().find(|held| held.record.record.version == version);
    let record = held.expect("it was signed").record.bytes.clone();
    let frame = Frame::Announce { request: 1, record, whole: true };
    let bytes = bincode::serde::encode_to_vec(&frame, bincode::config::standard()).unwrap();
    assert_eq!(bytes[0], ANNOUNCE);
    run.see(Event::Frame { from: 1, to: 2, link: 1, bytes: bytes.into() }).unwrap();
}

#[test]
fn a_checkpoint_of_before_a_disk_was_lost_is_held_to_what_was_written_before_it() {
    let mut run = run();
    let fault = Fault::LostDisk { node: 1 };
    crate::store::oracles::testing::plan_fault(&mut run.view, fault);
    run.put(1, 1, 100, &[1]).unwrap();
    sign(&mut run, 2);
    announce(&mut run, 2);
    run.lose(1, DiskLoss::All);
    let error = restore(&mut run, 2, true).unwrap_err();
    assert!(error.contains("without version"), "{error}");
    // One that nobody had seen before may be of the new disk.
    restore(&mut run, 3, true).unwrap();
}

#[test]
fn what_all_members_have_told_is_here_or_counted_as_missing() {
    let mut run = run();
    run.put(1, 1, 100, &[1]).unwrap();
    let ended = |run: &mut Run<Restores>, unasked: u32, missing: u64| {
        let op = run.start(0, OpKind::Restore);
        run.end(op, OpResult::Restored(RestoreReport { unasked, missing, ..RestoreReport::default() }))
    };
    // Node 0 knows no members.
    ended(&mut run, 0, 0).unwrap();
    run.meet();
    let error = ended(&mut run, 0, 0).unwrap_err();
    assert!(error.contains("told node 0"), "{error}");
    ended(&mut run, 1, 0).unwrap();
    ended(&mut run, 0, 1).unwrap();
    let version = run.version(100, 1);
    run.store(0, 1, 1, version, false);
    ended(&mut run, 0, 0).unwrap();
}

#[test]
fn a_complete_restore_leaves_no_file_without_its_chunks_but_those_evicted() {
    let mut run = run();
    run.put(1, 1, 100, &[0, 1]).unwrap();
    let chunk = chunk_of(&run.view, 1, run.version(100, 1));
    run.view.disks[0].blobs.remove(&chunk);
    let error = restore(&mut run, 2, true).unwrap_err();
    assert!(error.contains("not whole there"), "{error}");
    let evict = run.start(0, OpKind::Evict { file: 1 });
    run.end(evict, OpResult::Evicted { freed_bytes: 1, promised_by: Vec::new() }).unwrap();
    restore(&mut run, 2, true).unwrap();
}
