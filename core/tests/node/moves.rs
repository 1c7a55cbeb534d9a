//! What becomes of copies that are out of place: they go once those that are to hold the file have confirmed that they do.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::harness::disk::MemoryDisk;
use crate::harness::{self, World, content};
use bytes::Bytes;
use forever_core::checkpoint::Checkpoint;
use forever_core::command::Command;
use forever_core::config::{CheckpointPace, Config};
use forever_core::event::{StatusInfo, What};
use forever_core::frame::Frame;
use forever_core::ids::{Fingerprint, NameId, NodeId, OwnerId};
use forever_core::placement::{Candidate, Group, Replicas, rank};
use forever_core::record::{Record, RecordBody, Retention, SignedRecord};
use forever_core::secrets::{OwnerKeys, OwnerSecret};
use forever_core::version::Version;

const MINUTE: Duration = Duration::from_secs(60);

const NEVER: Duration = Duration::from_secs(1 << 30);

/// Files on two nodes, and no checkpoints.
fn on_two(config: Config) -> Config {
    let replicas = Replicas::new(2).unwrap();
    let checkpoints = CheckpointPace { quiet: NEVER, wait_max: NEVER, ..config.checkpoints };
    let retention = Retention { replicas, ..config.retention };
    Config { retention, checkpoints, repair_after: Duration::from_secs(20), ..config }
}

fn world(count: usize) -> World {
    let mut world = World::with(count, |_, config| on_two(config));
    world.run_for(MINUTE);
    world
}

fn join(world: &mut World, host: usize) -> usize {
    let config = Config { chunk_size: 1_000, ..Config::default() };
    let config = Config { bootstrap: vec![harness::address(0)], listen: vec![harness::address(host)], ..config };
    world.add(OwnerSecret::new([u8::try_from(host).unwrap() + 1; 32]), on_two(config))
}

/// The rows of the records on a host's disk.
fn rows(world: &mut World, host: usize) -> Vec<(Bytes, Bytes)> {
    let rows = world.disk(host).index.iter().filter(|(key, _)| key.starts_with(b"R"));
    rows.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// The hosts that are to hold a record.
fn holders(world: &World, hosts: &[usize], record: &SignedRecord) -> BTreeSet<usize> {
    let candidate = |host: &usize| Candidate { node: world.id(*host), weight: 100, zone: String::new() };
    let candidates: Vec<Candidate> = hosts.iter().map(candidate).collect();
    let ranked = rank(Group::of(record.record.name_id), &candidates);
    let first = ranked.into_iter().take(record.record.retention.replicas.limit());
    first.map(|node| *hosts.iter().find(|host| world.id(**host) == node).unwrap()).collect()
}

fn holding(world: &mut World, hosts: &[usize], key: &Bytes) -> BTreeSet<usize> {
    hosts.iter().copied().filter(|host| world.disk(*host).index.contains_key(key)).collect()
}

/// Every record that the owner's host has lies on its holders among some hosts and with the owner, and nowhere else.
fn assert_in_place(world: &mut World, owner: usize, hosts: &[usize]) {
    for (key, bytes) in rows(world, owner) {
        let record = SignedRecord::verify(bytes).unwrap();
        let mut expected = holders(world, hosts, &record);
        expected.insert(owner);
        assert_eq!(holding(world, hosts, &key), expected);
    }
}

/// Bytes of blobs of an owner that is not the host's own.
fn bytes_of_others(world: &mut World, host: usize) -> usize {
    let own = world.keys(host).owner_id();
    world.disk(host).blobs.iter().filter(|(blob, _)| blob.owner != own).map(|(_, bytes)| bytes.len()).sum()
}

/// Rows of the index of a kind.
fn of_kind(world: &mut World, host: usize, kind: u8) -> usize {
    world.disk(host).index.keys().filter(|key| key.first() == Some(&kind)).count()
}

fn status(world: &mut World, host: usize) -> StatusInfo {
    let What::Status(status) = world.ask(host, Command::Status) else { panic!() };
    status
}

fn put_files(world: &mut World, host: usize, count: u8) {
    for number in 0..count {
        world.put(host, &format!("file {number}"), &content(3_000, number)).unwrap();
    }
}

#[test]
fn what_a_node_that_joins_takes_over_leaves_the_old_holders() {
    let mut world = world(4);
    put_files(&mut world, 3, 20);
    world.run_for(MINUTE);
    assert_in_place(&mut world, 3, &[0, 1, 2, 3]);
    let before: usize = (0..3).map(|host| bytes_of_others(&mut world, host)).sum();
    let joined = join(&mut world, 4);
    world.run_for(Duration::from_secs(25));
    let waiting: u64 = (0..3).map(|host| status(&mut world, host).out_of_place).sum();
    assert!(waiting > 0, "what has moved is kept for a while");
    world.run_for(MINUTE * 5);
    assert_in_place(&mut world, 3, &[0, 1, 2, 3, joined]);
    let after: usize = (0..3).map(|host| bytes_of_others(&mut world, host)).sum();
    let moved = bytes_of_others(&mut world, joined);
    assert!(moved > 0 && after < before, "{after} bytes of {before}, and {moved} moved");
    for host in 0..5 {
        assert_eq!(of_kind(&mut world, host, b'K'), 0, "promises are given back");
        assert_eq!(of_kind(&mut world, host, b'D'), 0, "nothing is still to be collected");
        let status = status(&mut world, host);
        assert_eq!(status.out_of_place, 0);
        let disk = world.disk(host);
        let there: usize = disk.blobs.values().map(Bytes::len).sum();
        assert_eq!(status.disk.unwrap().blob_bytes, there as u64);
    }
    for number in 0..20 {
        assert_eq!(world.get(3, &format!("file {number}")).unwrap(), content(3_000, number));
    }
}

#[test]
fn a_copy_stays_until_the_new_holder_has_confirmed_that_it_has_it() {
    let mut world = world(4);
    put_files(&mut world, 3, 20);
    world.run_for(MINUTE);
    world.meddle = Some(Box::new(|from, _, frame| !(from == 4 && matches!(frame, Frame::Promise { .. }))));
    let joined = join(&mut world, 4);
    world.run_for(MINUTE * 5);
    assert!(bytes_of_others(&mut world, joined) > 0, "it has what it is to hold");
    let holds_still = |world: &mut World| {
        for (key, bytes) in rows(world, 3) {
            let record = SignedRecord::verify(bytes).unwrap();
            let before = holders(world, &[0, 1, 2, 3], &record);
            assert!(holding(world, &[0, 1, 2, 3], &key).is_superset(&before), "nothing has gone");
        }
    };
    holds_still(&mut world);
    // It loses all before it has said so.
    world.crash(joined);
    *world.disk(joined) = MemoryDisk::default();
    world.meddle = None;
    world.run_for(MINUTE * 5);
    holds_still(&mut world);
    world.start(joined);
    world.run_for(MINUTE * 5);
    assert_in_place(&mut world, 3, &[0, 1, 2, 3, joined]);
}

#[test]
fn what_a_node_held_that_is_forgotten_moves_to_those_next_in_rank() {
    let mut world = world(5);
    put_files(&mut world, 4, 20);
    world.run_for(MINUTE);
    world.crash(1);
    world.run_for(Duration::from_secs(15));
    // It is owed some of what is written now. That debt ends with its membership, and comparisons bring the rest to its place.
    for number in 0..10 {
        world.put(4, &format!("later file {number}"), &content(3_000, number)).unwrap();
    }
    assert!(status(&mut world, 4).pending > 0);
    let node = world.id(1);
    let what = world.ask(0, Command::Forget { node });
    assert!(matches!(what, What::Forgotten), "{what:?}");
    world.run_for(MINUTE * 5);
    assert_in_place(&mut world, 4, &[0, 2, 3, 4]);
    assert_eq!(status(&mut world, 4).pending, 0);
    // It was not gone for good: what it has is in its place again, and those who stood in for it drop theirs.
    world.start(1);
    world.run_for(MINUTE * 5);
    assert_in_place(&mut world, 4, &[0, 1, 2, 3, 4]);
}

#[test]
fn neither_side_of_a_partition_drops_what_is_in_its_place() {
    let mut world = world(6);
    put_files(&mut world, 5, 30);
    world.run_for(MINUTE);
    let (left, right) = ([0, 1, 2], [3, 4, 5]);
    for (a, b) in left.iter().flat_map(|a| right.map(|b| (*a, b))) {
        world.cut(a, b, true);
    }
    world.run_for(MINUTE * 10);
    for (key, bytes) in rows(&mut world, 5) {
        let record = SignedRecord::verify(bytes).unwrap();
        let all = [0, 1, 2, 3, 4, 5];
        let there = holding(&mut world, &all, &key);
        assert!(there.is_superset(&holders(&world, &all, &record)), "who holds it holds it still");
        assert!(there.is_superset(&holders(&world, &right, &record)), "and so do those who stand in");
    }
    for (a, b) in left.iter().flat_map(|a| right.map(|b| (*a, b))) {
        world.cut(a, b, false);
    }
    world.run_for(MINUTE * 10);
    assert_in_place(&mut world, 5, &[0, 1, 2, 3, 4, 5]);
}

#[test]
fn what_was_promised_to_another_stays() {
    let mut world = world(5);
    put_files(&mut world, 4, 10);
    for number in 0..10 {
        let what = world.ask(4, Command::Evict { name: harness::name(&format!("file {number}")) });
        assert!(matches!(what, What::Evicted { .. }), "{what:?}");
    }
    let relied_on: Vec<usize> = (0..4).map(|host| of_kind(&mut world, host, b'K')).collect();
    assert!(relied_on.iter().sum::<usize>() >= 20);
    join(&mut world, 5);
    world.run_for(MINUTE * 5);
    for (host, before) in relied_on.into_iter().enumerate() {
        assert!(of_kind(&mut world, host, b'K') >= before);
        assert!(of_kind(&mut world, host, b'R') >= before);
    }
    for number in 0..10 {
        assert_eq!(world.get(4, &format!("file {number}")).unwrap(), content(3_000, number));
    }
    // Nobody relies on the promises any more.
    world.run_for(MINUTE * 5);
    assert_in_place(&mut world, 4, &[0, 1, 2, 3, 4, 5]);
}

/// A record that is out of place, of which its holders have a newer version in its place.
#[test]
fn an_old_version_goes_whose_name_is_kept_no_more_where_it_is_to_lie() {
    let mut world = world(5);
    let keys = OwnerKeys::derive(&OwnerSecret::new([9; 32]));
    let version = |wall_ms, sequence| {
        let checkpoint = Checkpoint { sequence, wall_ms: 1, names: 0, fingerprint: Fingerprint([0; 32]) };
        let retention = Retention { keep_versions: 1, keep_days: 0, replicas: Replicas::new(2).unwrap() };
        let record = Record {
            owner: keys.owner_id(),
            name_id: NameId([7; 32]),
            version: Version { wall_ms, counter: 0, node: NodeId([7; 32]) },
            retention,
            body: RecordBody::Checkpoint(checkpoint),
        };
        SignedRecord::sign(&keys, record)
    };
    let row = |record: &SignedRecord| -> (Bytes, Bytes) {
        let Record { owner: OwnerId(owner), name_id, version, .. } = record.record;
        let key = [&b"R"[..], &owner, &name_id.0, &version.to_bytes(), &record.id.0].concat();
        (key.into(), record.bytes.clone())
    };
    let (old, new) = (version(1, 1), version(2, 2));
    let hosts = [0, 1, 2, 3, 4];
    let to_hold = holders(&world, &hosts, &old);
    let astray = hosts.into_iter().find(|host| !to_hold.contains(host)).unwrap();
    for host in hosts {
        world.crash(host);
        let held = if host == astray { Some(&old) } else { to_hold.contains(&host).then_some(&new) };
        world.disk(host).index.extend(held.map(row));
    }
    for host in hosts {
        world.start(host);
    }
    world.run_for(MINUTE * 5);
    assert_eq!(holding(&mut world, &hosts, &row(&old).0), BTreeSet::new());
    assert_eq!(holding(&mut world, &hosts, &row(&new).0), to_hold);
}
