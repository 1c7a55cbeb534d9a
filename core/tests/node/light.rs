//! Devices of one owner: what each knows of the others' files, and how it brings what it does not hold.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::harness::{self, World, address, content, name};
use bytes::Bytes;
use forever_core::command::{Command, VersionSelector};
use forever_core::config::Config;
use forever_core::event::{FileStat, RestoreReport, VersionInfo, What};
use forever_core::ids::{BlobKey, NodeId};
use forever_core::placement::{self, Candidate, Group, Replicas};
use forever_core::record::{RecordBody, Retention, SignedRecord};
use forever_core::secrets::OwnerSecret;

const SECOND: Duration = Duration::from_secs(1);

/// Nodes of other owners come first; then two devices of one owner.
const ONE: usize = 3;
const TWO: usize = 4;

fn config(host: usize, replicas: u8) -> Config {
    let bootstrap = (0..host).map(address).collect();
    let retention = Retention { keep_versions: 10, keep_days: 30, replicas: Replicas::new(replicas).unwrap() };
    Config { bootstrap, listen: vec![address(host)], chunk_size: 1_000, retention, ..Config::default() }
}

fn world() -> World {
    let mut world = World::new(0);
    for host in 0..3 {
        world.add(OwnerSecret::new([u8::try_from(host).unwrap() + 1; 32]), config(host, 2));
    }
    for host in [ONE, TWO] {
        world.add(OwnerSecret::new([9; 32]), config(host, 2));
    }
    world.settle();
    world
}

/// The hosts that are to hold a name of the owner, among so many.
fn holders(world: &World, hosts: usize, file: &str) -> BTreeSet<usize> {
    let ids: Vec<NodeId> = (0..hosts).map(|host| world.id(host)).collect();
    let candidate = |node: &NodeId| Candidate { node: *node, weight: 1, zone: String::new() };
    let candidates: Vec<Candidate> = ids.iter().map(candidate).collect();
    let ranked = placement::rank(Group::of(world.keys(ONE).name_id(&name(file))), &candidates);
    ranked.iter().take(2).map(|node| ids.iter().position(|id| id == node).unwrap()).collect()
}

/// Names that neither device is to hold, and ones that the second is.
fn names(world: &World, of_second: bool) -> impl Iterator<Item = String> {
    let fits = |file: &String| {
        let holders = holders(world, 5, file);
        !holders.contains(&ONE) && holders.contains(&TWO) == of_second
    };
    (0..200).map(|number| format!("file {number}")).filter(fits).collect::<Vec<_>>().into_iter()
}

fn files_of(world: &mut World, host: usize) -> Vec<String> {
    let list = Command::List { prefix: String::new(), after: None, limit: 1_000 };
    let What::Listed { files, .. } = world.ask(host, list) else { panic!() };
    files.into_iter().map(|file| file.name.to_string()).collect()
}

fn stat(world: &mut World, host: usize, file: &str) -> FileStat {
    let what = world.ask(host, Command::Stat { name: name(file), version: None, holders: true });
    let What::Stat(stat) = what else { panic!("{what:?}") };
    stat
}

fn versions(world: &mut World, host: usize, file: &str) -> Vec<VersionInfo> {
    let What::Versions(versions) = world.ask(host, Command::Versions { name: name(file) }) else { panic!() };
    versions
}

fn restore(world: &mut World, host: usize) -> RestoreReport {
    let what = world.ask(host, Command::Restore { dry_run: false });
    let What::Restored(report) = what else { panic!("{what:?}") };
    report
}

/// The blobs of the owner on a host.
fn blobs(world: &mut World, host: usize) -> Vec<BlobKey> {
    let owner = world.keys(ONE).owner_id();
    world.disk(host).blobs.keys().filter(|blob| blob.owner == owner).copied().collect()
}

/// How many records of a host are marked.
fn marks(world: &mut World, host: usize) -> usize {
    world.disk(host).index.keys().filter(|key| key.starts_with(b"E")).count()
}

/// The sequence and names of the checkpoint of a device, on a host.
fn checkpoint(world: &mut World, host: usize, device: usize) -> Option<(u64, u64)> {
    let id = world.id(device);
    let rows: Vec<Bytes> =
        world.disk(host).index.iter().filter(|(key, _)| key.starts_with(b"R")).map(|(_, row)| row.clone()).collect();
    let records = rows.into_iter().map(|row| SignedRecord::verify(row).unwrap().record);
    let of_device = records.filter(|record| record.version.node == id).filter_map(|record| match record.body {
        RecordBody::Checkpoint(checkpoint) => Some((checkpoint.sequence, checkpoint.names)),
        RecordBody::File { .. } | RecordBody::Tombstone => None,
    });
    of_device.max()
}

#[test]
fn the_other_device_lists_a_file_at_once_and_has_none_of_its_chunks() {
    let mut world = world();
    let file = names(&world, false).next().unwrap();
    let report = world.put(ONE, &file, &content(5_500, 1)).unwrap();
    assert_eq!((report.write.replicas, report.write.pending), (3, 0), "the other device is no replica");
    world.run_for(SECOND);
    assert_eq!(files_of(&mut world, TWO), std::slice::from_ref(&file));
    assert_eq!((blobs(&mut world, TWO).len(), marks(&mut world, TWO)), (0, 1));
    let seen = stat(&mut world, TWO, &file);
    assert!(!seen.local && !seen.holders.unwrap().contains(&world.id(TWO)));
    let seen = stat(&mut world, ONE, &file);
    assert!(seen.local && !seen.holders.unwrap().contains(&world.id(TWO)));
}

#[test]
fn a_light_file_is_read_from_its_holders_and_is_whole_then() {
    let mut world = world();
    let file = names(&world, false).next().unwrap();
    world.put(ONE, &file, &content(5_500, 1)).unwrap();
    world.run_for(SECOND);
    assert_eq!(world.get(TWO, &file).unwrap(), content(5_500, 1));
    world.run_for(SECOND);
    assert_eq!((blobs(&mut world, TWO).len(), marks(&mut world, TWO)), (6, 0));
    assert!(stat(&mut world, TWO, &file).local);
}

#[test]
fn a_file_that_the_other_device_is_to_hold_is_whole_there() {
    let mut world = world();
    let file = names(&world, true).next().unwrap();
    world.put(ONE, &file, &content(5_500, 1)).unwrap();
    world.run_for(SECOND);
    assert_eq!((blobs(&mut world, TWO).len(), marks(&mut world, TWO)), (6, 0));
}

#[test]
fn a_device_without_room_knows_what_it_is_to_hold_and_holds_it_once_there_is_room() {
    let mut world = World::new(0);
    for host in 0..3 {
        world.add(OwnerSecret::new([u8::try_from(host).unwrap() + 1; 32]), config(host, 2));
    }
    for host in [ONE, TWO] {
        let store_max_bytes = if host == TWO { 8_000 } else { 0 };
        world.add(OwnerSecret::new([9; 32]), Config { store_max_bytes, ..config(host, 2) });
    }
    world.disk(TWO).max_bytes = Some(8_000);
    world.settle();
    let [first, second] = names(&world, true).take(2).collect::<Vec<_>>().try_into().unwrap();
    world.put(ONE, &first, &content(5_500, 1)).unwrap();
    world.put(ONE, &second, &content(5_500, 2)).unwrap();
    world.run_for(SECOND * 5);
    assert_eq!(files_of(&mut world, TWO).len(), 2);
    assert_eq!(marks(&mut world, TWO), 1);
    assert!(!stat(&mut world, ONE, &second).holders.unwrap().contains(&world.id(TWO)), "it has but the record");
    assert_eq!(world.get(TWO, &second).unwrap(), content(5_500, 2));

    // Nobody owes it anything any more, and it has tried in vain. What is lost is not written off yet.
    world.crash(ONE);
    world.run_for(SECOND * 100);
    let evicted = world.ask(TWO, Command::Evict { name: name(&first) });
    assert!(matches!(evicted, What::Evicted { .. }), "{evicted:?}");
    assert!(!stat(&mut world, TWO, &second).local);
    world.run_for(SECOND * 150);
    assert!(stat(&mut world, TWO, &second).local);
    assert_eq!((blobs(&mut world, TWO).len(), marks(&mut world, TWO)), (6, 1), "now the first is marked");
}

#[test]
fn concurrent_writes_of_one_name_leave_one_winner_and_both_versions_on_both_devices() {
    let mut world = world();
    let file = names(&world, false).next().unwrap();
    world.cut(ONE, TWO, true);
    for host in 0..3 {
        world.cut(host, TWO, true);
    }
    world.put(ONE, &file, &content(3_500, 1)).unwrap();
    world.run_for(SECOND);
    for host in 0..3 {
        world.cut(host, ONE, true);
        world.cut(host, TWO, false);
    }
    world.run_for(40 * SECOND);
    world.put(TWO, &file, &content(3_500, 2)).unwrap();
    for host in 0..3 {
        world.cut(host, ONE, false);
    }
    world.cut(ONE, TWO, false);
    world.run_for(90 * SECOND);
    let told: Vec<_> = [ONE, TWO].map(|host| versions(&mut world, host, &file)).to_vec();
    assert_eq!(told[0], told[1]);
    assert_eq!((told[0].len(), told[0][0].current), (2, true));
    assert_eq!(told[0][0].version.node, world.id(TWO));
    for host in [ONE, TWO] {
        assert_eq!(world.get(host, &file).unwrap(), content(3_500, 2));
        let version = Some(VersionSelector::from(&told[0][1].version));
        let get = Command::Get { name: name(&file), version, range: None };
        assert_eq!(world.get_with(host, get).unwrap(), content(3_500, 1));
    }
}

#[test]
fn a_device_that_joins_knows_all_names_by_itself_and_a_restore_brings_the_chunks() {
    let mut world = world();
    let wanted: Vec<String> = names(&world, false).take(5).collect();
    for (file, salt) in wanted.iter().zip(1..) {
        world.put(ONE, file, &content(3_000, salt)).unwrap();
    }
    world.run_for(3 * SECOND);
    let device = world.add(OwnerSecret::new([9; 32]), config(5, 2));
    world.run_for(2 * SECOND);
    let mut listed = wanted.clone();
    listed.sort();
    assert_eq!(files_of(&mut world, device), listed);
    let held = wanted.iter().filter(|file| holders(&world, 6, file).contains(&device)).count();
    assert_eq!((blobs(&mut world, device).len(), marks(&mut world, device)), (3 * held, 5 - held));
    let report = restore(&mut world, device);
    assert!(report.is_complete(), "{report:?}");
    assert_eq!((blobs(&mut world, device).len(), marks(&mut world, device)), (15, 0));
    assert_eq!((report.files, report.fetched_bytes), (5, (15 - 3 * held as u64) * 1_016));
}

#[test]
fn a_restore_is_not_complete_while_a_light_file_lacks_its_chunks_although_no_peer_lists_it() {
    let mut world = world();
    let file = names(&world, false).next().unwrap();
    world.put(ONE, &file, &content(3_000, 1)).unwrap();
    world.run_for(5 * SECOND);
    assert_eq!(marks(&mut world, TWO), 1);
    let holders = holders(&world, 5, &file);
    let stranger = (0..3).find(|host| !holders.contains(host)).unwrap();
    for host in (0..=ONE).filter(|host| *host != stranger) {
        world.crash(host);
    }
    world.run_for(SECOND);
    let report = restore(&mut world, TWO);
    assert_eq!((report.missing, report.is_complete()), (1, false), "{report:?}");
    assert_eq!(report.incomplete[0].name, Some(name(&file)));
    for host in holders {
        world.start(host);
    }
    world.run_for(40 * SECOND);
    assert!(restore(&mut world, TWO).is_complete());
    assert_eq!((blobs(&mut world, TWO).len(), marks(&mut world, TWO)), (3, 0));
}

#[test]
fn a_device_that_joins_is_told_once_and_asks_nobody_after_a_restart() {
    let mut world = world();
    let file = names(&world, false).next().unwrap();
    world.put(ONE, &file, &content(3_000, 1)).unwrap();
    world.run_for(10 * SECOND);
    world.crash(TWO);
    world.start(TWO);
    world.settle();
    world.take_trace(TWO);
    world.run_for(100 * SECOND);
    let asked = world.take_trace(TWO).into_iter().filter(|output| format!("{output:?}").contains("Scan { request"));
    assert_eq!(asked.count(), 0);
}

#[test]
fn a_device_that_lost_its_disk_signs_nothing_before_it_knows_what_it_knew() {
    let mut world = world();
    let wanted: Vec<String> = names(&world, false).take(4).collect();
    for (file, salt) in wanted.iter().zip(1..) {
        world.put(ONE, file, &content(3_000, salt)).unwrap();
    }
    world.run_for(5 * SECOND);
    let signed = checkpoint(&mut world, 0, ONE).or(checkpoint(&mut world, 1, ONE)).unwrap();
    assert_eq!(signed.1, 4);
    world.crash(ONE);
    *world.disk(ONE) = harness::disk::MemoryDisk::default();
    // Nobody can tell it.
    for host in [0, 1, 2, TWO] {
        world.cut(host, ONE, true);
    }
    world.start(ONE);
    world.run_for(100 * SECOND);
    assert_eq!(checkpoint(&mut world, ONE, ONE), None);
    for host in [0, 1, 2, TWO] {
        world.cut(host, ONE, false);
    }
    world.run_for(100 * SECOND);
    world.put(ONE, "another", &content(1_000, 9)).unwrap();
    world.run_for(10 * SECOND);
    assert_eq!(files_of(&mut world, ONE).len(), 5);
    let (sequence, names) = checkpoint(&mut world, ONE, ONE).unwrap();
    assert!(sequence > signed.0 && names == 5, "{sequence} {names}");
}

#[test]
fn a_device_evicts_on_promises_of_those_who_have_the_file() {
    let mut world = world();
    let file = names(&world, false).next().unwrap();
    world.put(ONE, &file, &content(3_000, 1)).unwrap();
    world.run_for(SECOND);
    let what = world.ask(ONE, Command::Evict { name: name(&file) });
    let What::Evicted { promised_by, .. } = what else { panic!("{what:?}") };
    let mut holders = holders(&world, 5, &file).into_iter();
    assert!(holders.all(|host| promised_by.contains(&world.id(host))), "{promised_by:?}");
    assert!(!promised_by.contains(&world.id(TWO)), "{promised_by:?}");
    assert_eq!(marks(&mut world, TWO), 1, "a light copy is not promised, and stays light");
    // What was evicted on purpose does not come back by itself, and a restore leaves it.
    restore(&mut world, ONE);
    assert_eq!(blobs(&mut world, ONE).len(), 0);
}
