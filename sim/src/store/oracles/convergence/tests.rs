use super::super::testing::*;
use super::*;
use crate::store::{DiskLoss, Fault, Lie, Op};

fn run() -> Run<Convergence> {
    let mut run = Run::new(Convergence::default());
    run.meet();
    run
}

#[test]
fn a_core_in_which_all_hold_all_has_converged() {
    let mut run = run();
    run.put(0, 1, 100, &[0, 1, 2]).unwrap();
    run.delete(1, 1, 200, &[0, 1, 2]).unwrap();
    run.heal().unwrap();
    run.judge().unwrap();
}

#[test]
fn an_operation_without_an_end_is_a_violation() {
    let mut run = run();
    run.start(0, get_of(1));
    assert!(run.judge().unwrap_err().contains("no end"));
}

#[test]
fn a_record_that_its_writer_could_bring_and_did_not_is_a_violation() {
    let mut run = run();
    run.put(0, 1, 100, &[0, 1]).unwrap();
    assert!(run.judge().unwrap_err().contains("node 2 lacks"));
}

#[test]
fn nothing_is_demanded_of_who_was_unknown_lies_or_lost_its_disk() {
    let mut fresh = Run::new(Convergence::default());
    fresh.put(0, 1, 100, &[0, 1]).unwrap();
    fresh.judge().unwrap();

    let mut liar = run();
    plan_fault(&mut liar.view, Fault::Liar { node: 2, lie: Lie::AcknowledgesOnly });
    liar.put(0, 1, 100, &[0, 1]).unwrap();
    liar.judge().unwrap();

    let mut lost = run();
    lost.put(0, 1, 100, &[0, 1, 2]).unwrap();
    lost.lose(2, DiskLoss::All);
    lost.judge().unwrap();
}

#[test]
fn a_node_of_the_core_that_stays_down_is_a_violation() {
    let mut run = run();
    run.view.up[1] = false;
    assert!(run.judge().unwrap_err().contains("down"));
    run.view.scenario.core = vec![0, 2];
    run.judge().unwrap();
}

#[test]
fn what_is_intact_on_any_disk_is_demanded_of_all_who_are_to_have_it() {
    let mut run = run();
    run.put(0, 1, 100, &[0, 1]).unwrap();
    let chunk = chunk_of(&run.view, 0, run.version(100, 0));
    run.lose(0, DiskLoss::Blobs(vec![chunk]));
    run.judge().unwrap_err();
}

fn failed(error: RequestError) -> OpResult {
    OpResult::Failed(OpError::Failed(error))
}

fn too_few() -> OpResult {
    failed(RequestError::NotEnoughPeers { needed: 2, have: 1, why: String::new() })
}

#[test]
fn a_healed_core_that_does_not_do_what_the_judge_asks_is_a_violation() {
    let mut run = run();
    let before = run.start(0, put_of(1));
    run.end(before, too_few()).unwrap();
    run.heal().unwrap();
    for what in [put_of(7), OpKind::Evict { file: 7 }, OpKind::Delete { file: 7 }] {
        let op = run.start(0, what.clone());
        assert!(run.end(op, too_few()).unwrap_err().contains("after the core has settled"), "{what:?}");
    }
    let read = run.start(0, get_of(7));
    run.end(read, unavailable()).unwrap();
}

#[test]
fn what_no_healed_core_could_do_is_not_asked_of_it() {
    let mut run = run();
    run.heal().unwrap();
    let put = run.start(0, put_of(7));
    run.end(put, failed(RequestError::ClockBehind)).unwrap();
    let delete = run.start(0, OpKind::Delete { file: 7 });
    run.end(delete, failed(RequestError::NotFound)).unwrap();
    // Two nodes are too few for an evict, and one for a put.
    run.view.scenario.core = vec![0, 1];
    let evict = run.start(0, OpKind::Evict { file: 7 });
    run.end(evict, too_few()).unwrap();
    let put = run.start(0, put_of(7));
    run.end(put, too_few()).unwrap_err();
    run.view.scenario.core = vec![0];
    let put = run.start(0, put_of(7));
    run.end(put, too_few()).unwrap();
}

#[test]
fn records_are_demanded_when_the_core_has_come_to_rest_not_after_the_judge_has_moved_them() {
    let mut run = run();
    run.put(0, 1, 100, &[0, 1]).unwrap();
    run.heal().unwrap();
    let question = Event::Started { op: 90, asked: None, what: Op { node: 0, what: get_of(1) } };
    assert!(run.see(question).unwrap_err().contains("node 2 lacks"));
}
