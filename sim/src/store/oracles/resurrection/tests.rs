use super::super::testing::*;
use super::*;

fn run() -> Run<Resurrection> {
    let mut run = Run::new(Resurrection::default());
    run.meet();
    run.put(0, 1, 100, &[0, 1, 2]).unwrap();
    run.delete(0, 1, 200, &[0, 2]).unwrap();
    run
}

#[test]
fn what_is_deleted_may_be_absent_or_put_again() {
    let mut run = run();
    run.put(1, 1, 300, &[0, 1]).unwrap();
    run.heal().unwrap();
    let got = run.got(1, 300, 1);
    run.get(0, 1, got).unwrap();
    run.get(0, 1, not_found()).unwrap();
}

#[test]
fn serving_or_listing_what_was_deleted_is_a_violation_once_healed() {
    let mut run = run();
    let got = run.got(1, 100, 0);
    run.get(1, 1, got.clone()).unwrap();
    run.heal().unwrap();
    assert!(run.get(1, 1, got).unwrap_err().contains("deleted"));
    let list = run.start(1, OpKind::List);
    let file = info(1, run.version(100, 0));
    run.end(list, OpResult::Listed { files: vec![file], more: false }).unwrap_err();
}

#[test]
fn a_device_that_the_deleter_could_not_tell_may_not_know() {
    let mut run = run();
    run.view.scenario.core = vec![1, 2];
    run.heal().unwrap();
    let got = run.got(1, 100, 0);
    run.get(1, 1, got).unwrap();
}
