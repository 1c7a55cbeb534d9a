//! Each fault of disks, and each lie, bites; and the peers make up for it.

use std::time::Duration;

use crate::small_world::{Ran, fault, get, op, put, ran, scenario};
use forever_core::event::RequestError;
use forever_sim::store::{DiskLoss, DiskPart, Event, Fault, Lie, OpError, OpResult, names};
use forever_sim::system::System as _;

/// A put before a fault of node 0's disk, a get and another put during it, and a put after it.
fn under(what: Fault) -> Ran {
    let mut scenario = scenario(3, 30);
    op(&mut scenario, 1_000, 0, put(1, 7, 50_000));
    op(&mut scenario, 4_000, 0, get(1));
    op(&mut scenario, 6_000, 0, put(2, 8, 50_000));
    op(&mut scenario, 20_000, 0, put(3, 9, 50_000));
    fault(&mut scenario, 3_000, 12_000, what);
    let ran = ran(&scenario);
    assert!(ran.bit(0), "the fault had no effect");
    assert!(ran.is_ok(0));
    ran
}

fn failed(ran: &Ran, id: usize) -> RequestError {
    match ran.result(id) {
        OpResult::Failed(OpError::Failed(error)) => error,
        other => panic!("operation {id} ended with {other:?}"),
    }
}

/// How often node 0 was started.
fn ups(ran: &Ran) -> usize {
    ran.events.iter().filter(|(_, event)| matches!(event, Event::Up { node: 0 })).count()
}

fn lost_blobs(ran: &Ran) -> usize {
    let count = |event: &Event| match event {
        Event::Lost { node: 0, what: DiskLoss::Blobs(blobs) } => blobs.len(),
        _ => 0,
    };
    ran.events.iter().map(|(_, event)| count(event)).sum()
}

#[test]
fn who_cannot_read_its_index_says_so_until_it_can() {
    let ran = under(Fault::ReadErrors { node: 0, per_mille: 1_000, part: DiskPart::All });
    assert!(matches!(failed(&ran, 1), RequestError::Disk(_)), "what peers have may be older than what is here");
    assert!(ran.is_ok(3));
}

#[test]
fn writes_that_fail_are_not_acknowledged() {
    let ran = under(Fault::WriteErrors { node: 0, per_mille: 1_000, part: DiskPart::All });
    assert_eq!(ran.got(1), names::content(7, 50_000));
    assert!(matches!(failed(&ran, 2), RequestError::Disk(_)));
    assert!(ran.is_ok(3));
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_until_a_restart() {
    let ran = under(Fault::SyncErrors { node: 0, per_mille: 1_000, part: DiskPart::All });
    assert!(matches!(failed(&ran, 2), RequestError::Disk(_)));
    assert_eq!(ups(&ran), 2, "whoever mends the disk starts the node again");
    assert!(ran.is_ok(3));
}

#[test]
fn a_full_disk_says_so_and_works_again_with_space() {
    let ran = under(Fault::Full { node: 0, free_bytes: 10_000 });
    assert_eq!(failed(&ran, 2), RequestError::DiskFull);
    assert!(ran.is_ok(3));
}

#[test]
fn a_slow_disk_is_waited_for() {
    let slow = under(Fault::SlowDisk { node: 0, extra_ms: 200 });
    assert!(slow.took(2) > slow.took(3) + Duration::from_millis(200));
}

#[test]
fn a_stalled_disk_is_waited_for_until_it_goes_on() {
    let stalled = under(Fault::StalledDisk { node: 0 });
    assert!(stalled.took(2) > Duration::from_secs(5));
    assert!(stalled.is_ok(3));
}

#[test]
fn rotten_blobs_are_replaced_from_the_peers() {
    let ran = under(Fault::BitRot { node: 0, per_mille: 300 });
    assert!(lost_blobs(&ran) > 5);
    assert_eq!(ran.got(1), names::content(7, 50_000));
}

#[test]
fn a_misdirected_write_destroys_two_blobs_and_the_disk_shows_it() {
    let mut scenario = scenario(3, 10);
    op(&mut scenario, 1_000, 0, put(1, 7, 50_000));
    fault(&mut scenario, 500, 9_000, Fault::Misdirected { node: 0, per_mille: 100 });
    let mut ran = ran(&scenario);
    assert!(ran.bit(0));
    assert!(lost_blobs(&ran) >= 2);
    // The judge has read the file since, which replaced what it found damaged.
    let contents = ran.world.view().contents(0);
    assert!(contents.blobs.values().all(|intact| *intact));
    ran.assert_healed(&scenario);
}

#[test]
fn names_that_were_not_synced_go_with_the_power() {
    let ran = under(Fault::LostDirSyncs { node: 0 });
    assert!(lost_blobs(&ran) > 5);
    assert_eq!(ups(&ran), 2, "the power went for a moment");
}

/// Two versions of a file of node 0, whose disk is lost then; it reads the file while node 1 lies.
fn read_among_liars(lie: Lie) -> Ran {
    let mut scenario = scenario(3, 30);
    op(&mut scenario, 1_000, 0, put(1, 6, 20_000));
    op(&mut scenario, 2_000, 0, put(1, 7, 30_000));
    op(&mut scenario, 8_000, 0, get(1));
    fault(&mut scenario, 500, 25_000, Fault::Liar { node: 1, lie });
    fault(&mut scenario, 4_000, 5_000, Fault::LostDisk { node: 0 });
    // The liar is met first.
    fault(&mut scenario, 5_000, 7_000, Fault::Partition { these: vec![0], those: vec![2] });
    let ran = ran(&scenario);
    assert!(ran.bit(0), "{lie:?} had no effect");
    let told = |event: &Event| matches!(event, Event::Lost { node: 1, what: DiskLoss::Unknown });
    assert!(ran.events.iter().any(|(_, event)| told(event)));
    ran
}

#[test]
fn among_liars_an_honest_copy_is_found() {
    for lie in Lie::ALL {
        let ran = read_among_liars(lie);
        assert_eq!(ran.got(2), names::content(7, 30_000), "{lie:?}");
    }
}

#[test]
fn who_acknowledges_only_stores_nothing() {
    let mut ran = read_among_liars(Lie::AcknowledgesOnly);
    let OpResult::Put(report) = ran.result(0) else { panic!("{:?}", ran.result(0)) };
    assert_eq!(report.write.replicas, 3);
    let name = ran.world.view().keys(0).name_id(&names::of(1));
    let honest = ran.world.view().contents(2);
    let chunks: Vec<_> = honest
        .records
        .iter()
        .filter(|held| held.record.record.name_id == name)
        .flat_map(|held| held.chunks.clone().unwrap())
        .collect();
    assert!(!chunks.is_empty());
    // Records come again once it lies no more; the chunks it says it has.
    let liar = ran.world.view().contents(1);
    assert!(!chunks.iter().any(|chunk| liar.blobs.contains_key(chunk)));
}

#[test]
fn commits_fail_for_want_of_room_when_the_reserve_is_used_up() {
    let mut scenario = scenario(1, 30);
    let puts: Vec<usize> =
        (0..40).map(|file| op(&mut scenario, 3_500 + 100 * u64::from(file), 0, put(file, 7, 0))).collect();
    fault(&mut scenario, 3_000, 12_000, Fault::Full { node: 0, free_bytes: 0 });
    let ran = ran(&scenario);
    assert!(ran.bit(0) && ran.is_ok(puts[0]), "an empty file needs no room for blobs: {:?}", ran.result(puts[0]));
    assert_eq!(failed(&ran, puts[39]), RequestError::DiskFull);
}
