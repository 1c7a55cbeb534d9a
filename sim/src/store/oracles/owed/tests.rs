use super::super::super::DiskLoss;
use super::super::testing::*;
use super::*;

/// A file that node 0 wrote, on all nodes, which are all to hold it; all know each other.
fn stored() -> (Run<Owed>, forever_core::version::Version) {
    let mut run = Run::new(Owed::default());
    run.meet();
    run.put(0, 1, 100, &[0, 1, 2]).unwrap();
    let version = run.version(100, 0);
    (run, version)
}

/// Notes on the disk of node 0 that node 2 is owed what it wrote.
fn owe(run: &mut Run<Owed>) {
    let record = &run.view.disks[0].records[0].record;
    let key = [&b"O"[..], &run.view.node_id(2).0, b"R", &record.id.0].concat();
    run.view.disks[0].rows.push((key.into(), bytes::Bytes::new()));
}

#[test]
fn what_a_holder_lacks_is_owed_to_it_unless_its_disk_was_destroyed() {
    let (mut run, _) = stored();
    run.heal().unwrap();

    let (mut run, version) = stored();
    run.remove(2, version);
    assert!(run.heal().unwrap_err().ends_with("and is not owed it"));

    let (mut run, version) = stored();
    run.remove(2, version);
    owe(&mut run);
    run.heal().unwrap();

    let (mut run, version) = stored();
    run.remove(2, version);
    run.lose(2, DiskLoss::All);
    run.heal().unwrap();
}

#[test]
fn a_debt_at_rest_is_found_out() {
    let (mut run, version) = stored();
    run.remove(2, version);
    owe(&mut run);
    run.heal().unwrap();
    assert!(run.judge().unwrap_err().starts_with("node 0 still owes node 2"));
}
