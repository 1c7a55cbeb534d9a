use super::super::testing::*;
use super::*;

fn run() -> Run<Integrity> {
    Run::new(Integrity::default())
}

#[test]
fn the_bytes_that_were_put_are_right_whole_and_in_part() {
    let mut run = run();
    run.put(0, 1, 100, &[0, 1]).unwrap();
    let got = run.got(1, 100, 0);
    run.get(1, 1, got).unwrap();
    let op = run.start(0, OpKind::Get { file: 1, range: Some(Range { first: 10, len: 500 }), old: None });
    let bytes = content(1).bytes()[10..].to_vec();
    let file = info(1, run.version(100, 0));
    run.end(op, OpResult::Got(Got { file, first: 10, bytes })).unwrap();
}

#[test]
fn other_bytes_are_a_violation() {
    let mut run = run();
    run.put(0, 1, 100, &[0, 1]).unwrap();
    let mut bytes = content(1).bytes();
    bytes[77] ^= 1;
    let file = info(1, run.version(100, 0));
    let error = run.get(0, 1, OpResult::Got(Got { file, first: 0, bytes })).unwrap_err();
    assert!(error.contains("not those that were put"), "{error}");
}

#[test]
fn bytes_of_another_file_are_a_violation() {
    let mut run = run();
    run.put(0, 1, 100, &[0, 1]).unwrap();
    run.put(0, 2, 200, &[0, 1]).unwrap();
    let other = run.got(2, 200, 0);
    run.get(0, 1, other).unwrap_err();
}

#[test]
fn another_range_than_asked_for_is_a_violation() {
    let mut run = run();
    run.put(0, 1, 100, &[0, 1]).unwrap();
    let op = run.start(0, OpKind::Get { file: 1, range: Some(Range { first: 10, len: 5 }), old: None });
    let bytes = content(1).bytes()[10..16].to_vec();
    let file = info(1, run.version(100, 0));
    run.end(op, OpResult::Got(Got { file, first: 10, bytes })).unwrap_err();
}

#[test]
fn a_version_that_nobody_was_told_of_is_right_if_some_put_may_have_made_it() {
    let mut run = run();
    let got = run.got(1, 100, 0);
    assert!(run.get(0, 1, got.clone()).unwrap_err().contains("nobody put"));
    let put = run.start(0, put_of(1));
    run.get(0, 1, got.clone()).unwrap();
    run.end(put, gone()).unwrap();
    run.get(0, 1, got).unwrap();
    // The version names the device: another's operation cannot have made it.
    let other = run.got(1, 100, 1);
    run.get(0, 1, other).unwrap_err();
}

#[test]
fn a_wrong_length_or_kind_is_a_violation() {
    let mut run = run();
    run.put(0, 1, 100, &[0, 1]).unwrap();
    let mut file = info(1, run.version(100, 0));
    let list = run.start(0, OpKind::List);
    run.end(list, OpResult::Listed(vec![file.clone()])).unwrap();
    file.size = 201;
    let list = run.start(0, OpKind::List);
    run.end(list, OpResult::Listed(vec![file])).unwrap_err();
    let versions = run.start(0, OpKind::Versions { file: 1 });
    let version = run.version(100, 0);
    let info = forever_core::event::VersionInfo { version, deleted: true, size: None, current: true };
    run.end(versions, OpResult::Versions(vec![info])).unwrap_err();
}

#[test]
fn nonsense_and_lengths_out_of_nowhere_are_violations() {
    let mut run = run();
    run.put(0, 1, 100, &[0, 1]).unwrap();
    let range = |len| OpResult::Failed(OpError::Failed(RequestError::Range { len }));
    run.get(0, 1, range(200)).unwrap();
    run.get(0, 1, range(199)).unwrap_err();
    run.get(0, 1, OpResult::Failed(OpError::Nonsense("?".into()))).unwrap_err();
}
