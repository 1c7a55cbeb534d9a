use super::super::testing::*;
use super::*;
use crate::store::DiskLoss;

/// Two nodes hold a file, and one has lost its chunk.
fn run() -> (Run<Mended>, BlobKey) {
    let mut run = Run::new(Mended::default());
    run.meet();
    run.view.scenario.config.scrub_period = Duration::from_secs(1);
    run.view.scenario.config.presence_period = Duration::from_secs(1);
    run.put(0, 1, 100, &[0, 1]).unwrap();
    let chunk = chunk_of(&run.view, 0, run.version(100, 0));
    run.lose(1, DiskLoss::Blobs(vec![chunk]));
    run.heal().unwrap();
    (run, chunk)
}

/// The judge begins after the core has rested for so long.
fn judged_after(run: &mut Run<Mended>, rest: Duration) -> Result<(), String> {
    run.now += rest;
    run.start(0, get_of(1));
    run.judge()
}

const LONG: Duration = Duration::from_secs(60);

#[test]
#[should_panic(expected = "has not found out")]
fn damage_that_stays_is_a_violation() {
    let (mut run, _) = run();
    let _ = judged_after(&mut run, LONG);
}

#[test]
#[should_panic(expected = "which node 0 has")]
fn what_another_could_have_given_is_a_violation() {
    let (mut run, chunk) = run();
    run.view.disks[1].blobs.remove(&chunk);
    let _ = judged_after(&mut run, LONG);
}

#[test]
fn what_is_mended_is_none_nor_is_what_nobody_has() {
    let (mut run, chunk) = run();
    run.view.disks[1].blobs.insert(chunk, true);
    judged_after(&mut run, LONG).unwrap();
    let (mut run, chunk) = self::run();
    for disk in &mut run.view.disks {
        disk.blobs.remove(&chunk);
    }
    judged_after(&mut run, LONG).unwrap();
}

#[test]
fn nothing_is_demanded_before_the_time_or_where_nothing_is_read() {
    let (mut run, _) = run();
    judged_after(&mut run, Duration::from_secs(5)).unwrap();
    let (mut run, _) = self::run();
    run.view.scenario.config.scrub_period = Duration::ZERO;
    judged_after(&mut run, LONG).unwrap();
}

#[test]
fn what_was_evicted_is_not_missed() {
    let (mut run, chunk) = run();
    run.view.disks[1].blobs.remove(&chunk);
    let record = run.view.disks[1].records[0].record.clone();
    let mark = [&b"E"[..], &record.record.owner.0, &record.id.0].concat();
    run.view.disks[1].rows.push((mark.into(), Bytes::new()));
    judged_after(&mut run, LONG).unwrap();
}
