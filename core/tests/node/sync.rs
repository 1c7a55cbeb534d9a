//! Nodes that compare what they have, and repair what one of them lacks.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use crate::harness::disk::MemoryDisk;
use crate::harness::{self, World, content, name};
use bytes::Bytes;
use forever_core::checkpoint::Checkpoint;
use forever_core::codec::{Bincode, Codec};
use forever_core::command::Command;
use forever_core::config::Config;
use forever_core::frame::{Frame, SyncOutcome};
use forever_core::ids::{Fingerprint, NameId, NodeId, OwnerId};
use forever_core::placement::{Candidate, Group, Replicas, rank};
use forever_core::record::{Record, RecordBody, Retention, SignedRecord};
use forever_core::secrets::{OwnerKeys, OwnerSecret};
use forever_core::version::Version;

/// The frames by which nodes compare what they have.
const OF_COMPARISONS: [&str; 8] = ["Sync", "Synced", "Compare", "Compared", "FindItems", "Found", "Tell", "Told"];

const MINUTE: Duration = Duration::from_secs(60);

/// Nodes that keep everything everywhere.
fn world(count: usize) -> World {
    World::with(count, |_, config| everywhere(config))
}

fn everywhere(config: Config) -> Config {
    Config { retention: Retention { replicas: Replicas::ALL, ..config.retention }, ..config }
}

/// The records on a host's disk.
fn records(world: &mut World, host: usize) -> Vec<Bytes> {
    world.disk(host).index.keys().filter(|key| key.starts_with(b"R")).cloned().collect()
}

fn lose_disk(world: &mut World, host: usize) {
    world.crash(host);
    *world.disk(host) = MemoryDisk::default();
    world.start(host);
}

/// Notes how long each frame is that goes over the wire, by kind; data that files consist of is left out.
fn listen(world: &mut World) -> Rc<RefCell<Vec<(String, usize)>>> {
    let heard = Rc::new(RefCell::new(Vec::new()));
    let hear = Rc::clone(&heard);
    world.meddle = Some(Box::new(move |_, _, frame| {
        let mut header = Vec::new();
        Bincode.encode(frame, &mut header);
        let shown = format!("{frame:?}");
        let kind = shown.split([' ', '(']).next().unwrap_or_default().to_owned();
        hear.borrow_mut().push((kind, header.len()));
        true
    }));
    heard
}

/// A record of an owner who has no node here.
fn stranger(keys: &OwnerKeys, number: u64) -> SignedRecord {
    let record = Record {
        owner: keys.owner_id(),
        name_id: NameId(*blake3::hash(&number.to_le_bytes()).as_bytes()),
        version: Version { wall_ms: number + 1, counter: 0, node: NodeId([7; 32]) },
        retention: Retention { keep_versions: 1, keep_days: 1, replicas: Replicas::ALL },
        body: RecordBody::Tombstone,
    };
    SignedRecord::sign(keys, record)
}

/// One that is kept on so many nodes. It is a checkpoint, which needs no pages.
fn kept_on(keys: &OwnerKeys, number: u64, replicas: u8) -> SignedRecord {
    let checkpoint = Checkpoint { sequence: 1, wall_ms: 1, names: 0, fingerprint: Fingerprint([0; 32]) };
    let retention = Retention { keep_versions: 1, keep_days: 1, replicas: Replicas::new(replicas).unwrap() };
    let body = RecordBody::Checkpoint(checkpoint);
    SignedRecord::sign(keys, Record { retention, body, ..stranger(keys, number).record })
}

/// The hosts that are to hold a record.
fn holders(world: &World, hosts: &[usize], record: &SignedRecord) -> Vec<usize> {
    let candidate = |host: &usize| Candidate { node: world.id(*host), weight: 100, zone: String::new() };
    let candidates: Vec<Candidate> = hosts.iter().map(candidate).collect();
    let ranked = rank(Group::of(record.record.name_id), &candidates);
    let first = ranked.into_iter().take(record.record.retention.replicas.limit());
    first.map(|node| *hosts.iter().find(|host| world.id(**host) == node).unwrap()).collect()
}

/// How many of the frames heard are about differences.
fn about_differences(heard: &RefCell<Vec<(String, usize)>>) -> usize {
    heard.borrow().iter().filter(|(kind, _)| OF_COMPARISONS[2..].contains(&kind.as_str())).count()
}

fn row(record: &SignedRecord) -> (Bytes, Bytes) {
    let Record { owner: OwnerId(owner), name_id, version, .. } = record.record;
    let key = [&b"R"[..], &owner, &name_id.0, &version.to_bytes(), &record.id.0].concat();
    (key.into(), record.bytes.clone())
}

#[test]
fn a_disk_that_was_lost_is_filled_again_without_the_writer() {
    let mut world = world(3);
    for number in 0..5 {
        world.put(2, &format!("file {number}"), &content(5_000, number)).unwrap();
    }
    world.ask(2, Command::Delete { name: name("file 0") });
    world.crash(2);
    lose_disk(&mut world, 1);
    assert!(records(&mut world, 1).is_empty());
    world.run_for(MINUTE);
    let there = records(&mut world, 0);
    assert_eq!(there.len(), 6);
    assert_eq!(records(&mut world, 1), there);
    let blobs = world.disk(0).blobs.clone();
    assert!(!blobs.is_empty());
    assert!(world.disk(1).blobs == blobs);
}

#[test]
fn a_device_learns_of_its_owners_files_from_others() {
    let mut world = World::with(2, |_, config| everywhere(config));
    let bootstrap = (0..2).map(harness::address).collect();
    let listen = vec![harness::address(2)];
    let config = everywhere(Config { bootstrap, listen, chunk_size: 1_000, ..Config::default() });
    // A second device of the owner of host 1.
    let device = world.add(OwnerSecret::new([2; 32]), config);
    world.settle();
    world.crash(device);
    world.put(1, "file", &content(3_000, 1)).unwrap();
    world.crash(1);
    world.start(device);
    world.run_for(MINUTE);
    assert_eq!(world.get(device, "file").unwrap(), content(3_000, 1));
    assert_eq!(records(&mut world, device), records(&mut world, 0));
}

#[test]
fn what_only_the_asker_has_is_told() {
    let mut world = world(2);
    let keys = OwnerKeys::derive(&OwnerSecret::new([9; 32]));
    for host in 0..2 {
        world.crash(host);
    }
    let rows: Vec<_> = (0..200).map(|number| row(&stranger(&keys, number))).collect();
    world.disk(0).index.extend(rows[..150].iter().cloned());
    world.disk(1).index.extend(rows[100..].iter().cloned());
    world.start(0);
    world.start(1);
    world.run_for(MINUTE);
    assert_eq!(records(&mut world, 0).len(), 200);
    assert_eq!(records(&mut world, 1).len(), 200);
}

#[test]
fn nodes_that_have_the_same_exchange_a_small_frame_each_way() {
    let mut world = world(2);
    world.put(1, "file", &content(5_000, 1)).unwrap();
    world.run_for(MINUTE);
    let heard = listen(&mut world);
    world.run_for(MINUTE * 10);
    let heard = heard.borrow();
    let of_sync: Vec<usize> = heard.iter().filter(|(kind, _)| kind == "Sync").map(|(_, len)| *len).collect();
    let answers: Vec<usize> = heard.iter().filter(|(kind, _)| kind == "Synced").map(|(_, len)| *len).collect();
    let others = heard.iter().filter(|(kind, _)| OF_COMPARISONS.contains(&kind.as_str())).count();
    assert_eq!(others, of_sync.len() + answers.len(), "nothing else is said");
    // Both ask, each every 5 to 10 seconds.
    assert!((120..=240).contains(&of_sync.len()), "{}", of_sync.len());
    assert_eq!(of_sync.len(), answers.len());
    assert!(of_sync.iter().all(|len| *len < 64) && answers.iter().all(|len| *len < 16), "{of_sync:?} {answers:?}");
}

#[test]
fn what_lies_where_it_is_not_to_be_is_brought_to_its_holders_and_then_there_is_quiet() {
    let mut world = World::new(6);
    let keys = OwnerKeys::derive(&OwnerSecret::new([9; 32]));
    world.run_for(MINUTE);
    world.crash(0);
    let records: Vec<_> = (0..100).map(|number| kept_on(&keys, number, 2)).collect();
    world.disk(0).index.extend(records.iter().map(row));
    world.start(0);
    world.run_for(MINUTE * 5);
    let hosts: Vec<usize> = (0..6).collect();
    for record in &records {
        let (key, _) = row(record);
        for host in holders(&world, &hosts, record) {
            assert!(world.disk(host).index.contains_key(&key), "host {host}");
        }
        let copies = hosts.iter().filter(|host| world.disk(**host).index.contains_key(&key)).count();
        assert_eq!(copies, 2, "nowhere else, not even where it lay");
    }
    let heard = listen(&mut world);
    world.run_for(MINUTE * 10);
    assert_eq!(about_differences(&heard), 0);
}

#[test]
fn who_becomes_a_holder_gets_what_it_is_to_hold() {
    let config = |_, config| Config { repair_after: Duration::from_secs(20), ..config };
    let mut world = World::with(6, config);
    world.run_for(MINUTE);
    for number in 0..20 {
        world.put(5, &format!("file {number}"), &content(3_000, number)).unwrap();
    }
    world.run_for(MINUTE);
    world.crash(2);
    world.run_for(MINUTE * 5);
    let hosts = [0, 1, 3, 4, 5];
    let rows: Vec<_> = world.disk(5).index.clone().into_iter().filter(|(key, _)| key.starts_with(b"R")).collect();
    assert!(rows.len() >= 20);
    for (key, bytes) in rows {
        let record = SignedRecord::verify(bytes).unwrap();
        for host in holders(&world, &hosts, &record) {
            assert!(world.disk(host).index.contains_key(&key), "host {host}");
        }
    }
}

#[test]
fn a_node_that_is_new_to_the_cluster_gets_its_share() {
    let mut world = World::new(4);
    world.run_for(MINUTE);
    for number in 0..20 {
        world.put(3, &format!("file {number}"), &content(3_000, number)).unwrap();
    }
    world.run_for(MINUTE);
    let config =
        Config { bootstrap: vec![harness::address(0)], listen: vec![harness::address(4)], ..Config::default() };
    let joined = world.add(OwnerSecret::new([8; 32]), config);
    world.run_for(MINUTE * 5);
    let rows: Vec<_> = world.disk(3).index.clone().into_iter().filter(|(key, _)| key.starts_with(b"R")).collect();
    let mut shares = 0;
    for (key, bytes) in rows {
        let record = SignedRecord::verify(bytes).unwrap();
        if holders(&world, &[0, 1, 2, 3, joined], &record).contains(&joined) {
            assert!(world.disk(joined).index.contains_key(&key));
            shares += 1;
        }
    }
    assert!(shares > 0);
}

#[test]
fn a_name_that_is_to_be_on_one_node_is_on_two_and_stays_there() {
    let config = |_, config: Config| {
        let replicas = Replicas::new(1).unwrap();
        Config { retention: Retention { replicas, ..config.retention }, ..config }
    };
    let mut world = World::with(5, config);
    world.run_for(MINUTE);
    for number in 0..10 {
        world.put(4, &format!("file {number}"), &content(3_000, number)).unwrap();
    }
    world.run_for(MINUTE * 2);
    let heard = listen(&mut world);
    world.run_for(MINUTE * 10);
    assert_eq!(about_differences(&heard), 0);
    let rows: Vec<_> = world.disk(4).index.clone().into_iter().filter(|(key, _)| key.starts_with(b"R")).collect();
    for (key, bytes) in rows {
        let record = SignedRecord::verify(bytes).unwrap();
        let to_hold = holders(&world, &[0, 1, 2, 3, 4], &record);
        assert_eq!(to_hold.len(), 2);
        let holding: Vec<usize> = (0..5).filter(|host| world.disk(*host).index.contains_key(&key)).collect();
        assert!(to_hold.iter().all(|host| holding.contains(host)) && holding.len() <= 3, "{holding:?}");
    }
}

#[test]
fn a_group_of_more_records_than_are_compared_at_once_is_compared_in_parts() {
    let mut world = world(2);
    let keys = OwnerKeys::derive(&OwnerSecret::new([9; 32]));
    for host in 0..2 {
        world.crash(host);
    }
    let in_one_group = |number| {
        let mut record = stranger(&keys, number).record;
        record.name_id.0[..2].copy_from_slice(&[0x12, 0x34]);
        row(&SignedRecord::sign(&keys, record))
    };
    let rows: Vec<_> = (0..40_000).map(in_one_group).collect();
    world.disk(0).index.extend(rows[1..].iter().cloned());
    world.disk(1).index.extend(rows[..39_999].iter().cloned());
    world.start(0);
    world.start(1);
    let heard = listen(&mut world);
    world.run_for(MINUTE);
    assert_eq!((records(&mut world, 0).len(), records(&mut world, 1).len()), (40_000, 40_000));
    let heard = heard.borrow();
    let of_comparisons = heard.iter().filter(|(kind, _)| OF_COMPARISONS.contains(&kind.as_str()));
    let bytes: usize = of_comparisons.map(|(_, len)| *len).sum();
    assert!(bytes < 64 << 10, "{bytes} bytes");
}

#[test]
fn one_difference_in_100_000_records_costs_less_than_64_kib() {
    let mut world = world(2);
    let keys = OwnerKeys::derive(&OwnerSecret::new([9; 32]));
    for host in 0..2 {
        world.crash(host);
    }
    let rows: Vec<_> = (0..100_000).map(|number| row(&stranger(&keys, number))).collect();
    world.disk(0).index.extend(rows.iter().cloned());
    world.disk(1).index.extend(rows[1..].iter().cloned());
    world.start(0);
    world.start(1);
    let heard = listen(&mut world);
    for _ in 0..60 {
        world.run_for(Duration::from_secs(1));
    }
    assert_eq!(records(&mut world, 1).len(), 100_000);
    let heard = heard.borrow();
    // All that comparisons cost in a minute, in both directions, those included that find that all is the same.
    let of_comparisons = heard.iter().filter(|(kind, _)| OF_COMPARISONS.contains(&kind.as_str()));
    let bytes: usize = of_comparisons.map(|(_, len)| *len).sum();
    let comparisons = heard.iter().filter(|(kind, _)| kind == "Compare").count();
    println!("{bytes} bytes in a minute, {comparisons} messages");
    assert!(comparisons > 0 && bytes < 64 << 10, "{bytes} bytes: {heard:?}");
}

#[test]
fn repair_keeps_to_its_rate_and_goes_on_where_it_was_cut_short() {
    let rate = 20_000;
    let mut world = World::with(2, |_, config| Config { repair_bytes_s: rate, ..everywhere(config) });
    world.put(1, "file", &content(400_000, 1)).unwrap();
    lose_disk(&mut world, 0);
    world.sent = vec![0; 2];
    world.run_for(Duration::from_secs(10));
    let half = world.sent[1];
    // What may be saved up comes on top, and a tenth for all that is said besides.
    assert!((60_000..=11 * rate * 11 / 10).contains(&half), "{half} bytes in 10 seconds");
    world.crash(0);
    world.start(0);
    world.run_for(MINUTE);
    assert_eq!(world.disk(0).blobs.len(), world.disk(1).blobs.len());
    assert!(world.sent[1] < 500_000, "{} bytes, though some were here already", world.sent[1]);
}

#[test]
fn a_search_that_meets_a_holder_without_the_record_repairs_it() {
    let mut world =
        World::with(3, |_, config| Config { sync_interval: Duration::from_secs(86_400), ..everywhere(config) });
    world.run_for(MINUTE);
    world.put(2, "file", &content(3_000, 1)).unwrap();
    // One has lost it and does not know; the reader has lost all, and asks.
    let lost: Vec<Bytes> = records(&mut world, 1);
    for key in &lost {
        world.disk(1).index.remove(key);
    }
    for key in records(&mut world, 2) {
        world.disk(2).index.remove(&key);
    }
    assert_eq!(world.get(2, "file").unwrap(), content(3_000, 1));
    world.run_for(Duration::from_secs(5));
    let there = records(&mut world, 1);
    assert!(!lost.is_empty() && lost.iter().all(|key| there.contains(key)));
}

#[test]
fn a_peer_that_says_it_has_records_and_gives_none_is_left() {
    let mut world = world(2);
    world.put(1, "file", &content(3_000, 1)).unwrap();
    world.crash(0);
    *world.disk(0) = MemoryDisk::default();
    world.meddle = Some(Box::new(|from, _, frame| {
        if let (1, Frame::Found { records, .. }) = (from, &mut *frame) {
            records.clear();
        }
        true
    }));
    world.start(0);
    let heard = Rc::new(RefCell::new(0));
    world.run_for(MINUTE);
    world.meddle = None;
    assert_eq!(*heard.borrow(), 0);
    world.run_for(MINUTE);
    assert_eq!(records(&mut world, 0), records(&mut world, 1), "an honest answer heals it");
}

#[test]
fn digests_of_a_wrong_number_are_a_lie() {
    let mut world = world(2);
    world.meddle = Some(Box::new(|from, _, frame| {
        if let (1, Frame::Synced { outcome, .. }) = (from, &mut *frame) {
            *outcome =
                SyncOutcome::Differ { shared: vec![forever_core::reconcile::Digest([1; 8]); 3], own: Vec::new() };
        }
        true
    }));
    world.run_for(MINUTE);
    let forever_core::event::What::Status(status) = world.ask(0, Command::Status) else { panic!() };
    assert!(status.protocol_errors > 0);
}

#[test]
fn what_one_node_has_pruned_and_another_keeps_a_while_longer_does_not_come_back() {
    let day = Duration::from_secs(20);
    let retention = Retention { keep_versions: 1, keep_days: 1, replicas: Replicas::ALL };
    let mut world = World::with(3, |_, config| Config { retention, day, sync_interval: day / 10, ..config });
    // The first believes that it is five minutes ago.
    world.set_back(0, 300_000);
    let counts = |world: &mut World| [0, 1, 2].map(|host| (records(world, host).len(), world.disk(host).blobs.len()));
    world.put(1, "file", &content(5_000, 1)).unwrap();
    world.put(1, "file", &content(5_000, 2)).unwrap();
    world.run_for(day * 4);
    // A checkpoint is among them.
    assert_eq!(counts(&mut world), [(3, 10), (2, 5), (2, 5)]);
    let heard = listen(&mut world);
    world.run_for(day * 3);
    let kinds: BTreeSet<String> = heard.borrow().iter().map(|(kind, _)| kind.clone()).collect();
    assert_eq!(Vec::from_iter(kinds), ["Swim", "Sync", "Synced"], "nothing is told again and again");
    assert_eq!(counts(&mut world), [(3, 10), (2, 5), (2, 5)]);
    world.run_for(day * 20);
    assert_eq!(counts(&mut world), [(2, 5), (2, 5), (2, 5)]);
}
