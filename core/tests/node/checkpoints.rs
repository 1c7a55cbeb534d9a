//! Checkpoints: when they are signed, what they cover, and who is told.

use std::time::Duration;

use crate::harness::{World, address, content, name};
use bytes::Bytes;
use forever_core::checkpoint::{Audit, Checkpoint, Verdict};
use forever_core::command::Command;
use forever_core::config::Config;
use forever_core::event::What;
use forever_core::record::{RecordBody, SignedRecord};
use forever_core::secrets::OwnerSecret;

const SECOND: Duration = Duration::from_secs(1);

/// All records on a host's disk, in order.
fn records(world: &mut World, host: usize) -> Vec<SignedRecord> {
    let rows = world.disk(host).index.iter().filter(|(key, _)| key.starts_with(b"R"));
    let rows: Vec<Bytes> = rows.map(|(_, record)| record.clone()).collect();
    rows.into_iter().map(|record| SignedRecord::verify(record).unwrap()).collect()
}

/// The checkpoints on a host's disk.
fn checkpoints(world: &mut World, host: usize) -> Vec<(SignedRecord, Checkpoint)> {
    let checkpoint = |record: SignedRecord| match record.record.body {
        RecordBody::Checkpoint(checkpoint) => Some((record, checkpoint)),
        RecordBody::File { .. } | RecordBody::Tombstone => None,
    };
    records(world, host).into_iter().filter_map(checkpoint).collect()
}

/// The newest checkpoint on a host's disk; all there are of one device.
#[track_caller]
fn checkpoint(world: &mut World, host: usize) -> Checkpoint {
    let found = checkpoints(world, host);
    assert!(found.iter().all(|(record, _)| record.record.name_id == found[0].0.record.name_id), "{found:?}");
    found.into_iter().map(|(_, checkpoint)| checkpoint).max_by_key(|checkpoint| checkpoint.sequence).unwrap()
}

/// What the records of a host say of the checkpoints there.
fn audit(world: &mut World, host: usize) -> Vec<Verdict> {
    let records = records(world, host);
    let keys = world.keys(host).clone();
    let mut audit = Audit::new(&records);
    for record in &records {
        audit.add(&keys, record);
    }
    audit.finish(&keys)
}

/// Two devices of one owner, 0 and 1, that know each other, and a node of another owner.
fn two_devices() -> World {
    let mut world = World::new(0);
    for (host, owner) in [9, 9, 5].into_iter().enumerate() {
        let bootstrap = (0..host).map(address).collect();
        world
            .add(OwnerSecret::new([owner; 32]), Config { bootstrap, listen: vec![address(host)], ..Config::default() });
    }
    world.settle();
    world
}

#[test]
fn a_checkpoint_follows_a_put_after_a_while_and_lies_with_the_peers() {
    let mut world = World::new(3);
    world.put(2, "file", &content(3_000, 1)).unwrap();
    world.run_for(SECOND);
    assert_eq!(checkpoints(&mut world, 2), []);
    world.run_for(2 * SECOND);
    let signed = checkpoint(&mut world, 2);
    assert_eq!((signed.sequence, signed.names), (1, 1));
    for host in 0..3 {
        assert_eq!(checkpoint(&mut world, host), signed);
        assert!(records(&mut world, host).len() == 2);
    }
    assert!(audit(&mut world, 2)[0].is_covered);
}

#[test]
fn nothing_is_signed_when_nothing_changes_not_even_after_a_restart() {
    let mut world = World::new(2);
    world.run_for(10 * SECOND);
    assert_eq!(checkpoints(&mut world, 1), []);
    world.put(1, "file", &content(3_000, 1)).unwrap();
    world.run_for(3 * SECOND);
    let signed = checkpoint(&mut world, 1);
    world.crash(1);
    world.start(1);
    world.run_for(200 * SECOND);
    assert_eq!(checkpoint(&mut world, 1), signed);
}

#[test]
fn what_was_put_just_before_a_crash_is_covered_after_the_restart() {
    let mut world = World::new(2);
    world.put(1, "file", &content(3_000, 1)).unwrap();
    world.crash(1);
    world.start(1);
    world.run_for(5 * SECOND);
    let signed = checkpoint(&mut world, 1);
    assert_eq!((signed.sequence, signed.names), (1, 1));
}

#[test]
fn a_deleted_name_counts_and_the_number_of_checkpoints_goes_on() {
    let mut world = World::new(2);
    world.put(1, "one", &content(3_000, 1)).unwrap();
    world.put(1, "two", &content(3_000, 2)).unwrap();
    world.run_for(3 * SECOND);
    let before = checkpoint(&mut world, 1);
    world.ask(1, Command::Delete { name: name("one") });
    world.run_for(3 * SECOND);
    let after = checkpoint(&mut world, 1);
    assert_eq!((before.names, after.names), (2, 2));
    assert_eq!((before.sequence, after.sequence), (1, 2));
    assert_ne!(before.fingerprint, after.fingerprint);
    assert!(audit(&mut world, 1)[0].is_covered);
}

#[test]
fn many_changes_are_covered_before_there_is_quiet() {
    let mut world = World::new(2);
    for number in 0..70_u8 {
        world.put(1, &format!("file {number}"), &content(10, number)).unwrap();
    }
    let early = checkpoint(&mut world, 1);
    assert_eq!((early.sequence, early.names), (1, 64));
}

#[test]
fn changes_that_never_cease_are_covered_once_a_minute() {
    let mut world = World::new(2);
    for number in 0..61_u8 {
        world.put(1, "the same", &content(10, number)).unwrap();
        world.run_for(SECOND);
    }
    assert_eq!(checkpoint(&mut world, 1).sequence, 1);
}

#[test]
fn two_devices_that_know_the_same_sign_the_same() {
    let mut world = two_devices();
    world.put(0, "of the first", &content(3_000, 1)).unwrap();
    world.put(1, "of the second", &content(3_000, 2)).unwrap();
    world.run_for(4 * SECOND);
    for host in 0..2 {
        let signed = checkpoints(&mut world, host);
        assert_eq!(signed.len(), 2);
        assert_eq!((signed[0].1.names, signed[0].1.fingerprint), (2, signed[1].1.fingerprint));
        assert!(audit(&mut world, host).iter().all(|verdict| verdict.is_covered));
    }
}

#[test]
fn no_checkpoint_shows_among_the_files() {
    let mut world = World::new(2);
    world.put(1, "file", &content(3_000, 1)).unwrap();
    world.run_for(3 * SECOND);
    let list = Command::List { prefix: String::new(), after: None, limit: 10 };
    let What::Listed { files, .. } = world.ask(1, list) else { panic!() };
    assert_eq!(files.len(), 1);
    let What::Status(status) = world.ask(1, Command::Status) else { panic!() };
    assert_eq!(status.files, Some(1));
}

#[test]
fn a_peer_that_was_away_is_told_of_the_newest_one() {
    let mut world = World::new(3);
    world.crash(0);
    world.put(2, "one", &content(3_000, 1)).unwrap();
    world.run_for(5 * SECOND);
    world.put(2, "two", &content(3_000, 2)).unwrap();
    world.run_for(5 * SECOND);
    world.start(0);
    world.run_for(60 * SECOND);
    assert_eq!(checkpoint(&mut world, 0).sequence, 2);
}
