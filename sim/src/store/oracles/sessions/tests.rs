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
    run.end(list, OpResult::Listed { files: Vec::new(), more: false }).unwrap_err();
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

#[test]
fn a_part_of_a_list_is_in_order_keeps_to_what_was_asked_for_and_lacks_nothing_before_its_end() {
    let mut run = Run::new(Sessions::default());
    for (file, wall_ms) in [(1, 10), (5, 20), (9, 30), (2, 40)] {
        run.put(0, file, wall_ms, &[0, 1]).unwrap();
    }
    let files = |run: &Run<Sessions>, all: &[(u32, u64)]| {
        all.iter().map(|(file, wall_ms)| info(*file, run.version(*wall_ms, 0))).collect::<Vec<_>>()
    };
    // Files 1, 5 and 9 share a folder.
    for (after, limit, listed, more, right) in [
        (None, 2, &[(1, 10), (5, 20)][..], true, true),
        (Some(5), 2, &[(9, 30)], false, true),
        (None, 3, &[(1, 10), (5, 20), (9, 30)], false, true),
        (None, 2, &[(5, 20), (1, 10)], true, false),
        (None, 2, &[(1, 10), (1, 10)], true, false),
        (None, 2, &[(1, 10), (9, 30)], true, false),
        (None, 3, &[(1, 10), (5, 20)], false, false),
        (None, 3, &[(1, 10), (5, 20)], true, false),
        (None, 2, &[(1, 10), (5, 20), (9, 30)], false, false),
        (Some(1), 2, &[(1, 10), (5, 20)], true, false),
        (None, 9, &[(1, 10), (5, 20), (9, 30), (2, 40)], false, false),
    ] {
        let list = run.start(0, OpKind::ListPart(Part { folder: Some(1), after, limit }));
        let files = files(&run, listed);
        let checked = run.end(list, OpResult::Listed { files, more });
        assert_eq!(checked.is_ok(), right, "after {after:?}, at most {limit}: {listed:?}, {more}: {checked:?}");
    }
}

#[test]
fn a_history_is_in_order_has_one_current_version_and_lacks_none_of_the_disk() {
    let mut run = run();
    let (older, newer) = (run.version(100, 0), run.version(200, 0));
    let told = |version, current| VersionInfo { version, deleted: false, size: Some(200), current };
    for (versions, right) in [
        (vec![told(newer, true), told(older, false)], true),
        (vec![told(newer, true)], false),
        (vec![told(older, false), told(newer, true)], false),
        (vec![told(newer, true), told(older, true)], false),
        (vec![told(newer, false), told(older, false)], false),
        (Vec::new(), false),
    ] {
        let op = run.start(0, OpKind::Versions { file: 1 });
        let checked = run.end(op, OpResult::Versions(versions.clone()));
        assert_eq!(checked.is_ok(), right, "{versions:?}: {checked:?}");
    }
    // What is not on the disk need not be known.
    let op = run.start(1, OpKind::Versions { file: 1 });
    run.end(op, OpResult::Versions(vec![told(older, true)])).unwrap();
}

#[test]
fn a_deleted_file_is_not_found_to_be_there_when_it_is_wanted_back() {
    let not_deleted = || OpResult::Failed(OpError::Failed(RequestError::NotDeleted));
    let mut run = run();
    let early = run.start(0, OpKind::Undelete { file: 1 });
    run.end(early, not_deleted()).unwrap();
    run.delete(0, 1, 300, &[0, 1]).unwrap();
    let op = run.start(0, OpKind::Undelete { file: 1 });
    let error = run.end(op, not_deleted()).unwrap_err();
    assert!(error.contains("not to be deleted"), "{error}");
    // Another device may have put it again.
    let put = run.start(1, put_of(1));
    let op = run.start(0, OpKind::Undelete { file: 1 });
    run.end(op, not_deleted()).unwrap();
    run.end(put, gone()).unwrap();
}

#[test]
fn a_list_lacks_no_file_that_lies_on_the_disk() {
    let mut run = Run::new(Sessions::default());
    let listed = |run: &mut Run<Sessions>, files: Vec<FileInfo>| {
        let list = run.start(1, OpKind::List);
        run.end(list, OpResult::Listed { files, more: false })
    };
    // Node 1 has neither written nor read it.
    run.put(0, 1, 100, &[0, 1]).unwrap();
    let error = listed(&mut run, Vec::new()).unwrap_err();
    assert!(error.contains("lies on its disk"), "{error}");
    let info = info(1, run.version(100, 0));
    listed(&mut run, vec![info]).unwrap();
    run.delete(0, 1, 200, &[0, 1]).unwrap();
    listed(&mut run, Vec::new()).unwrap();
    // What comes while the list is made may be missing.
    let list = run.start(1, OpKind::List);
    run.put(0, 1, 300, &[0, 1]).unwrap();
    run.end(list, OpResult::Listed { files: Vec::new(), more: false }).unwrap();
}
