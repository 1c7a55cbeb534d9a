use super::super::super::DiskLoss;
use super::super::testing::*;
use super::*;

/// A file that node 0 wrote, on all nodes, which are all to hold it.
fn stored() -> (Run<Placed>, forever_core::version::Version) {
    let mut run = Run::new(Placed::default());
    run.put(0, 1, 100, &[0, 1, 2]).unwrap();
    let version = run.version(100, 0);
    (run, version)
}

#[test]
fn what_lies_with_all_its_holders_is_in_its_place() {
    let (mut run, _) = stored();
    run.heal().unwrap();
    run.judge().unwrap();
}

#[test]
fn a_holder_without_the_record_is_found_out_whoever_wrote_it() {
    let (mut run, version) = stored();
    run.remove(2, version);
    run.heal().unwrap();
    assert!(run.judge().unwrap_err().starts_with("node 2 is to hold version"));
}

#[test]
fn what_the_core_has_nowhere_whole_is_demanded_of_nobody() {
    let (mut run, version) = stored();
    run.remove(2, version);
    let chunk = chunk_of(&run.view, 0, version);
    for disk in &mut run.view.disks {
        disk.blobs.insert(chunk, false);
    }
    run.heal().unwrap();
    run.judge().unwrap();
}

#[test]
fn chunks_that_are_missing_are_found_out_unless_they_were_destroyed_or_evicted() {
    let (mut run, version) = stored();
    let chunk = chunk_of(&run.view, 0, version);
    run.view.disks[1].blobs.remove(&chunk);
    run.heal().unwrap();
    assert!(run.judge().unwrap_err().contains("lacks 1 of its chunks"));

    let (mut run, version) = stored();
    run.view.disks[1].blobs.remove(&chunk);
    let record = &run.view.disks[1].records[0].record;
    let mark = [&b"E"[..], &record.record.owner.0, &record.id.0].concat();
    run.view.disks[1].rows.push((mark.into(), bytes::Bytes::new()));
    run.heal().unwrap();
    run.judge().unwrap();

    let (mut run, _) = stored();
    run.lose(1, DiskLoss::Blobs(vec![chunk_of(&run.view, 0, version)]));
    run.heal().unwrap();
    run.judge().unwrap();
}

#[test]
fn a_deletion_is_everybodys() {
    let (mut run, _) = stored();
    run.delete(0, 1, 200, &[0, 1]).unwrap();
    run.heal().unwrap();
    assert!(run.judge().unwrap_err().starts_with("node 2 is to hold the record"));
}

#[test]
fn a_disk_that_lied_is_asked_for_nothing() {
    let (mut run, version) = stored();
    run.remove(2, version);
    run.lose(2, DiskLoss::Unknown);
    run.heal().unwrap();
    run.judge().unwrap();
}
