use super::super::testing::*;
use super::*;
use crate::store::{DiskLoss, Length, Reader};
use bytes::Bytes;

fn of(range: Range) -> OpKind {
    OpKind::Get { file: 1, range: Some(range), old: None, reader: Reader::default() }
}

/// A put of a file whose content is another than [`content`] says.
fn other_put(file: u32) -> OpKind {
    OpKind::put(file, Content { salt: 77, ..content(file) })
}

fn piece(run: &Run<Integrity>, op: usize, wall_ms: u64, first: usize, bytes: &[u8]) -> Event {
    let version = run.version(wall_ms, 0);
    Event::Delivered { op, piece: Piece { version, first: first as u64, bytes: Bytes::copy_from_slice(bytes) } }
}

fn run() -> Run<Integrity> {
    Run::new(Integrity::default())
}

#[test]
fn the_bytes_that_were_put_are_right_whole_and_in_part() {
    let mut run = run();
    run.put(0, 1, 100, &[0, 1]).unwrap();
    let got = run.got(1, 100, 0);
    run.get(1, 1, got).unwrap();
    let op = run.start(0, of(Range::Slice { first: 10, len: 500 }));
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
    let op = run.start(0, of(Range::Slice { first: 10, len: 5 }));
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
    run.end(list, OpResult::Listed { files: vec![file.clone()], more: false }).unwrap();
    file.size = 201;
    let list = run.start(0, OpKind::List);
    run.end(list, OpResult::Listed { files: vec![file], more: false }).unwrap_err();
    let versions = run.start(0, OpKind::Versions { file: 1 });
    let version = run.version(100, 0);
    let info = forever_core::event::VersionInfo { version, deleted: true, size: None, current: true };
    run.end(versions, OpResult::Versions(vec![info])).unwrap_err();
}

#[test]
fn nonsense_and_lengths_out_of_nowhere_are_violations() {
    let mut run = run();
    run.put(0, 1, 100, &[0, 1]).unwrap();
    let outside = |len| OpResult::Failed(OpError::Failed(RequestError::Range { len }));
    let asked = of(Range::From { from: 200 });
    let op = run.start(0, asked.clone());
    run.end(op, outside(200)).unwrap();
    let op = run.start(0, asked);
    run.end(op, outside(199)).unwrap_err();
    run.get(0, 1, OpResult::Failed(OpError::Nonsense("?".into()))).unwrap_err();
}

#[test]
fn a_range_is_outside_only_if_the_file_has_none_of_it() {
    let mut run = run();
    run.put(0, 1, 100, &[0, 1]).unwrap();
    let outside = || OpResult::Failed(OpError::Failed(RequestError::Range { len: 200 }));
    for (range, right) in [
        (Range::From { from: 199 }, false),
        (Range::From { from: 200 }, true),
        (Range::Last { last: 1 }, false),
        (Range::Last { last: 0 }, true),
        (Range::Slice { first: 199, len: 9 }, false),
        (Range::Slice { first: 300, len: 9 }, true),
    ] {
        let op = run.start(0, of(range));
        assert_eq!(run.end(op, outside()).is_ok(), right, "{range:?}");
    }
    let op = run.start(0, of(Range::From { from: 200 }));
    let file = info(1, run.version(100, 0));
    run.end(op, OpResult::Got(Got { file, first: 200, bytes: Vec::new() })).unwrap_err();
    let op = run.start(0, of(Range::Last { last: 30 }));
    let file = info(1, run.version(100, 0));
    run.end(op, OpResult::Got(Got { file, first: 170, bytes: content(1).bytes()[170..].to_vec() })).unwrap();
}

#[test]
fn another_version_than_asked_for_is_a_violation() {
    let mut run = run();
    run.put(0, 1, 100, &[0, 1]).unwrap();
    run.put(0, 1, 200, &[0, 1]).unwrap();
    let (older, newer) = (run.got(1, 100, 0), run.got(1, 200, 0));
    let op = run.start_old(0, 1, 100);
    run.end(op, older).unwrap();
    let op = run.start_old(0, 1, 100);
    let error = run.end(op, newer).unwrap_err();
    assert!(error.contains("was asked for"), "{error}");
    let op = run.start_old(0, 1, 100);
    let bytes = content(1).bytes();
    let piece = piece(&run, op, 200, 0, &bytes[..9]);
    run.see(piece).unwrap_err();
}

#[test]
fn an_old_version_that_lies_whole_on_the_disk_exists() {
    let mut run = run();
    run.put(0, 1, 100, &[0, 1]).unwrap();
    let no_such = || OpResult::Failed(OpError::Failed(RequestError::NoSuchVersion));
    let op = run.start_old(0, 1, 100);
    let error = run.end(op, no_such()).unwrap_err();
    assert!(error.contains("lies whole on its disk"), "{error}");
    let op = run.start_old(0, 1, 100);
    run.end(op, not_found()).unwrap_err();
    // It came only after the question.
    let op = run.start_old(2, 1, 100);
    let version = run.version(100, 0);
    run.store(2, 0, 1, version, false);
    run.end(op, no_such()).unwrap();
    let op = run.start_old(0, 1, 100);
    run.lose(0, DiskLoss::All);
    run.end(op, no_such()).unwrap();
}

#[test]
fn what_a_get_delivers_before_it_fails_must_be_right() {
    let mut run = run();
    run.put(0, 1, 100, &[0, 1]).unwrap();
    let bytes = content(1).bytes();
    let op = run.start(1, get_of(1));
    let right = piece(&run, op, 100, 0, &bytes[..64]);
    run.see(right).unwrap();
    let misplaced = piece(&run, op, 100, 64, &bytes[..64]);
    let error = run.see(misplaced).unwrap_err();
    assert!(error.contains("not those that were put"), "{error}");
    let op = run.start(1, of(Range::Slice { first: 10, len: 20 }));
    let beyond = piece(&run, op, 100, 10, &bytes[10..31]);
    run.see(beyond).unwrap_err();
}

#[test]
fn all_pieces_of_a_get_are_of_one_put() {
    let mut run = run();
    run.start(0, put_of(1));
    run.start(0, other_put(1));
    let (one, other) = (content(1).bytes(), Content { salt: 77, ..content(1) }.bytes());
    let op = run.start(1, get_of(1));
    let first = piece(&run, op, 100, 0, &one[..64]);
    run.see(first).unwrap();
    let second = piece(&run, op, 100, 64, &other[64..128]);
    run.see(second).unwrap_err();
}

#[test]
fn a_put_that_was_acknowledged_explains_only_lower_versions() {
    let mut run = run();
    run.put(0, 1, 100, &[0, 1]).unwrap();
    let stamped_before = run.got(1, 90, 0);
    run.get(0, 1, stamped_before).unwrap();
    let later = run.got(1, 110, 0);
    assert!(run.get(0, 1, later).unwrap_err().contains("nobody put"));
}

#[test]
fn a_put_of_another_length_than_announced_makes_no_version() {
    let mut run = run();
    let said = Said { length: Length::Wrong(7), details: None };
    let put = || OpKind::Put { file: 1, content: content(1), abandon_after: None, said, slow_ms: 0 };
    let length = |announced, got| OpResult::Failed(OpError::Failed(RequestError::Length { announced, got }));
    let op = run.start(0, put());
    run.end(op, length(7, 200)).unwrap();
    let op = run.start(0, put());
    run.end(op, length(8, 200)).unwrap_err();
    let op = run.start(0, put_of(1));
    run.end(op, length(200, 200)).unwrap_err();
    let op = run.start(0, put());
    let version = run.version(100, 0);
    let error = run.end(op, put_done(1, version, 2)).unwrap_err();
    assert!(error.contains("nobody put"), "{error}");
}

#[test]
fn time_mode_and_content_type_come_back_as_they_were_said() {
    let mut run = run();
    let said = Said { length: Length::Unknown, details: Some(31) };
    let meta = said.meta(200);
    assert!(meta.len.is_none() && meta.mtime_ms.is_some() && meta.mode.is_some() && meta.content_type.is_some());
    let op = run.start(0, OpKind::Put { file: 1, content: content(1), abandon_after: None, said, slow_ms: 0 });
    let version = run.version(100, 0);
    let (mtime_ms, mode, content_type) = (meta.mtime_ms, meta.mode, meta.content_type);
    let file = FileInfo { mtime_ms, mode, content_type, ..info(1, version) };
    let OpResult::Put(report) = put_done(1, version, 2) else { panic!() };
    run.end(op, OpResult::Put(forever_core::event::PutReport { file: file.clone(), ..report })).unwrap();
    let bytes = content(1).bytes();
    run.get(0, 1, OpResult::Got(Got { file: file.clone(), first: 0, bytes: bytes.clone() })).unwrap();
    let other = FileInfo { mode: None, ..file };
    let error = run.get(0, 1, OpResult::Got(Got { file: other, first: 0, bytes })).unwrap_err();
    assert!(error.contains("another time, mode"), "{error}");
}

/// An undelete of file 1 on node 0, answered with a file of this length and a version of this wall time.
fn undelete(run: &mut Run<Integrity>, wall_ms: u64, len: u32) -> Result<(), String> {
    let op = run.start(0, OpKind::Undelete { file: 1 });
    let version = run.version(wall_ms, 0);
    let OpResult::Put(mut report) = put_done(1, version, 2) else { unreachable!("it is a put's") };
    report.file.size = u64::from(len);
    run.end(op, OpResult::Put(report))
}

/// A file was put with 200 bytes, then with 150, and deleted.
fn deleted_after_two_puts() -> Run<Integrity> {
    let mut run = run();
    run.put(0, 1, 100, &[0, 1]).unwrap();
    let op = run.start(0, OpKind::put(1, Content { len: 150, ..content(1) }));
    let version = run.version(200, 0);
    run.store(0, 0, 1, version, false);
    let OpResult::Put(mut report) = put_done(1, version, 2) else { unreachable!("it is a put's") };
    report.file.size = 150;
    run.end(op, OpResult::Put(report)).unwrap();
    run.delete(0, 1, 300, &[0, 1]).unwrap();
    run
}

#[test]
fn what_was_deleted_last_comes_back_and_is_read_as_it_was() {
    let mut run = deleted_after_two_puts();
    undelete(&mut run, 400, 150).unwrap();
    let mut file = info(1, run.version(400, 0));
    file.size = 150;
    let bytes = content(1).bytes()[..150].to_vec();
    run.get(0, 1, OpResult::Got(Got { file, first: 0, bytes })).unwrap();
}

#[test]
fn an_older_version_than_the_one_before_the_deletion_is_a_violation() {
    let mut run = deleted_after_two_puts();
    let error = undelete(&mut run, 400, 200).unwrap_err();
    assert!(error.contains("the one before the deletion"), "{error}");
}

#[test]
fn an_older_version_may_come_back_where_a_write_was_under_way() {
    let mut run = deleted_after_two_puts();
    let put = run.start(1, other_put(1));
    undelete(&mut run, 400, 200).unwrap();
    run.end(put, gone()).unwrap();
}

#[test]
fn what_comes_back_was_put_once() {
    let mut run = deleted_after_two_puts();
    undelete(&mut run, 400, 170).unwrap_err();
}
