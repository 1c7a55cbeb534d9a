use super::super::testing::*;
use super::*;
use crate::store::{DiskLoss, Fault, Lie};

fn run() -> Run<Durability> {
    let mut run = Run::new(Durability::new(SharedFindings::default()));
    run.meet();
    run
}

fn tally(run: &Run<Durability>) -> super::super::Tally {
    run.rule.findings.borrow().tally
}

#[test]
fn what_lies_on_as_many_disks_as_reported_and_can_be_read_is_durable() {
    let mut run = run();
    run.put(0, 1, 100, &[0, 2]).unwrap();
    run.heal().unwrap();
    let got = run.got(1, 100, 0);
    run.get(0, 1, got).unwrap();
    run.judge().unwrap();
    assert_eq!((tally(&run).reads, tally(&run).excused), (1, 0));
}

#[test]
fn an_acknowledgement_before_the_disk_has_it_is_a_violation() {
    let mut run = run();
    let op = run.start(0, put_of(1));
    let version = run.version(100, 0);
    run.store(0, 0, 1, version, false);
    let error = run.end(op, put_done(1, version, 2)).unwrap_err();
    assert!(error.contains("only the disks of nodes [0] hold it"), "{error}");
}

#[test]
fn a_copy_with_a_missing_chunk_does_not_count() {
    let mut run = run();
    let op = run.start(0, put_of(1));
    let version = run.version(100, 0);
    run.store(0, 0, 1, version, false);
    run.store(2, 0, 1, version, false);
    let chunk = chunk_of(&run.view, 0, version);
    run.view.disks[2].blobs.insert(chunk, false);
    run.end(op, put_done(1, version, 2)).unwrap_err();
}

#[test]
fn an_acknowledgement_by_one_node_that_knows_others_is_a_violation() {
    let mut run = run();
    assert!(run.put(0, 1, 100, &[0]).unwrap_err().contains("on 1 node"));
}

#[test]
fn the_acknowledgement_of_a_liar_and_of_a_disk_lost_meanwhile_are_excused() {
    let mut run = run();
    plan_fault(&mut run.view, Fault::Liar { node: 2, lie: Lie::AcknowledgesOnly });
    let op = run.start(0, put_of(1));
    let version = run.version(100, 0);
    run.store(0, 0, 1, version, false);
    run.end(op, put_done(1, version, 2)).unwrap();
    let op = run.start(0, put_of(1));
    let version = run.version(200, 0);
    run.store(0, 0, 1, version, false);
    run.lose(1, DiskLoss::All);
    run.end(op, put_done(1, version, 2)).unwrap();
    let op = run.start(0, put_of(1));
    let version = run.version(300, 0);
    run.store(0, 0, 1, version, false);
    run.end(op, put_done(1, version, 3)).unwrap_err();
}

#[test]
fn what_a_liar_acknowledges_to_its_own_callers_is_not_held_against_the_others() {
    let mut run = run();
    plan_fault(&mut run.view, Fault::Liar { node: 0, lie: Lie::OldRecords });
    let op = run.start(0, put_of(1));
    let version = run.version(100, 0);
    run.end(op, put_done(1, version, 3)).unwrap();
    run.heal().unwrap();
    run.get(0, 1, not_found()).unwrap();
    assert_eq!(tally(&run).reads, 0);
}

#[test]
fn a_failed_read_of_what_lies_in_reach_is_a_violation() {
    let mut run = run();
    run.put(0, 1, 100, &[0, 2]).unwrap();
    run.heal().unwrap();
    let error = run.get(0, 1, unavailable()).unwrap_err();
    assert!(error.contains("hold all of version"), "{error}");
    run.get(0, 1, not_found()).unwrap_err();
}

#[test]
fn a_failed_read_is_excused_only_if_the_plan_destroyed_every_copy() {
    let mut run = run();
    run.put(0, 1, 100, &[0, 2]).unwrap();
    run.lose(0, DiskLoss::All);
    let version = run.version(100, 0);
    run.remove(2, version);
    run.heal().unwrap();
    let error = run.get(0, 1, not_found()).unwrap_err();
    assert!(error.contains("node 2 held it"), "{error}");
    assert!(run.judge().unwrap_err().contains("is gone"));
    run.lose(2, DiskLoss::All);
    run.get(0, 1, not_found()).unwrap();
    run.judge().unwrap();
    assert_eq!(tally(&run).excused, 1);
}

#[test]
fn chunks_that_lie_on_different_disks_are_all_there() {
    let mut run = run();
    run.put(0, 1, 100, &[0, 2]).unwrap();
    let version = run.version(100, 0);
    let chunk = chunk_of(&run.view, 0, version);
    run.lose(0, DiskLoss::Blobs(vec![chunk]));
    run.heal().unwrap();
    run.get(0, 1, unavailable()).unwrap_err();
    run.lose(2, DiskLoss::Blobs(vec![chunk]));
    run.get(0, 1, unavailable()).unwrap();
}

#[test]
fn a_copy_on_a_node_left_dead_is_no_copy() {
    let mut run = run();
    run.put(0, 1, 100, &[0, 2]).unwrap();
    run.view.scenario.core = vec![0, 1];
    run.lose(0, DiskLoss::All);
    run.heal().unwrap();
    run.get(0, 1, not_found()).unwrap();
}

#[test]
fn an_older_version_is_a_violation_unless_its_writer_could_not_bring_the_newer() {
    let mut run = run();
    run.put(0, 1, 100, &[0, 1, 2]).unwrap();
    run.put(0, 1, 200, &[0, 2]).unwrap();
    run.heal().unwrap();
    let old = run.got(1, 100, 0);
    let error = run.get(1, 1, old.clone()).unwrap_err();
    assert!(error.contains("only an older version"), "{error}");
    run.view.scenario.core = vec![1, 2];
    run.get(1, 1, old).unwrap();
    assert_eq!(tally(&run).unrepaired, 1);
}

#[test]
fn a_read_need_not_find_what_a_delete_of_unknown_outcome_has_deleted() {
    let deleted_at = |wall_ms: u64| {
        let mut run = run();
        run.put(0, 1, 100, &[0, 2]).unwrap();
        let delete = run.start(0, OpKind::Delete { file: 1 });
        let version = run.version(wall_ms, 0);
        run.store(2, 0, 1, version, true);
        run.end(delete, gone()).unwrap();
        run.heal().unwrap();
        run.get(0, 1, not_found())
    };
    deleted_at(110).unwrap();
    // A delete that had ended before the file was put again explains nothing.
    assert!(deleted_at(90).unwrap_err().contains("hold all of version"));
}

#[test]
fn a_node_that_has_met_others_needs_them_for_an_acknowledgement() {
    let mut run = Run::new(Durability::new(SharedFindings::default()));
    run.view.scenario.nodes[0].bootstrap.clear();
    run.see(Event::Up { node: 0 }).unwrap();
    run.put(0, 1, 100, &[0]).unwrap();
    run.meet();
    assert!(run.put(0, 1, 200, &[0]).unwrap_err().contains("on 1 node"));
    // It starts again: what it had met counts if its disk remembers.
    run.see(Event::Up { node: 0 }).unwrap();
    run.put(0, 1, 300, &[0]).unwrap();
    run.view.disks[0].rows.push((bytes::Bytes::from_static(b"N..."), bytes::Bytes::new()));
    run.see(Event::Up { node: 0 }).unwrap();
    assert!(run.put(0, 1, 400, &[0]).unwrap_err().contains("on 1 node"));
}

#[test]
fn a_newer_version_that_hides_the_acknowledged_one_must_have_been_lost_by_its_writer() {
    let mut run = run();
    run.put(0, 1, 100, &[0, 2]).unwrap();
    let newer = run.version(200, 0);
    let chunk = chunk_of(&run.view, 0, newer);
    for node in [0, 2] {
        run.store(node, 0, 1, newer, false);
        run.view.disks[node].blobs.remove(&chunk);
    }
    run.heal().unwrap();
    // Losses elsewhere do not explain it.
    run.lose(1, DiskLoss::All);
    let error = run.get(0, 1, unavailable()).unwrap_err();
    assert!(error.contains("has lost nothing of"), "{error}");
    run.lose(0, DiskLoss::Blobs(vec![chunk]));
    run.get(0, 1, unavailable()).unwrap();
    assert_eq!(tally(&run).excused, 1);
}

#[test]
fn an_evicted_copy_is_replaced_by_those_that_were_promised() {
    let mut run = run();
    run.put(0, 1, 100, &[0, 2]).unwrap();
    let version = run.version(100, 0);
    run.store(1, 0, 1, version, false);
    let evict = run.start(0, OpKind::Evict { file: 1 });
    let promised_by = vec![run.view.node_id(1), run.view.node_id(2)];
    let chunk = chunk_of(&run.view, 0, version);
    run.view.disks[0].blobs.remove(&chunk);
    run.end(evict, OpResult::Evicted { freed_bytes: 200, promised_by }).unwrap();
    run.lose(2, DiskLoss::All);
    run.heal().unwrap();
    let got = run.got(1, 100, 0);
    run.get(0, 1, got).unwrap();
    run.view.disks[1].blobs.remove(&chunk);
    let error = run.get(0, 1, unavailable()).unwrap_err();
    assert!(error.contains("node 1 held it"), "{error}");
}
