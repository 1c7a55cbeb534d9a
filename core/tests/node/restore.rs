//! Restores: what is brought back from whom, and what is said of what is missing.

use std::time::Duration;

use crate::harness::{World, address, content, name};
use bytes::Bytes;
use forever_core::command::Command;
use forever_core::config::Config;
use forever_core::event::{FileInfo, RestoreReport, What};
use forever_core::frame::{Frame, HeldRecord};
use forever_core::ids::NodeId;
use forever_core::placement::{self, Candidate, Group, Replicas};
use forever_core::record::{RecordBody, Retention, SignedRecord};
use forever_core::secrets::OwnerSecret;

const SECOND: Duration = Duration::from_secs(1);

/// The owner whose device, host 2, is lost.
const OWNER: u8 = 3;

/// Two peers and a device that puts so many files of three chunks, is given time for a checkpoint, and is lost.
fn lost_device(files: u8) -> World {
    let mut world = World::new(3);
    for number in 0..files {
        world.put(2, &format!("file {number:02}"), &content(3_000, number)).unwrap();
    }
    world.run_for(3 * SECOND);
    world.crash(2);
    world
}

/// The same, of files that the two peers are to hold, and no other device; with their names, in order.
fn lost_device_that_held_nothing(files: u8) -> (World, Vec<String>) {
    let kept_on_two = |_, config: Config| {
        let retention = Retention { replicas: Replicas::new(2).unwrap(), ..config.retention };
        Config { retention, ..config }
    };
    let mut world = World::with(3, kept_on_two);
    // The new device will be host 3.
    let hosts: Vec<NodeId> = (0..4).map(|host| NodeId([0xa0 + host; 32])).collect();
    assert_eq!(hosts[2], world.id(2));
    let candidate = |node: &NodeId| Candidate { node: *node, weight: 1, zone: String::new() };
    let candidates: Vec<Candidate> = hosts.iter().map(candidate).collect();
    let is_of_peers = |file: &String| {
        let ranked = placement::rank(Group::of(world.keys(2).name_id(&name(file))), &candidates);
        ranked[..2].iter().all(|node| hosts[..2].contains(node))
    };
    let all = (0..1_000).map(|number| format!("file {number:03}"));
    let names: Vec<String> = all.filter(is_of_peers).take(usize::from(files)).collect();
    for (file, salt) in names.iter().zip(0..) {
        world.put(2, file, &content(3_000, salt)).unwrap();
    }
    world.run_for(3 * SECOND);
    world.crash(2);
    (world, names)
}

/// A new device of the owner, which knows these hosts.
fn new_device(world: &mut World, peers: &[usize]) -> usize {
    let config = Config {
        bootstrap: peers.iter().copied().map(address).collect(),
        listen: vec![address(3)],
        chunk_size: 1_000,
        ..Config::default()
    };
    world.add(OwnerSecret::new([OWNER; 32]), config)
}

/// Restores, and what a dry run found.
fn restore(world: &mut World, host: usize, dry_run: bool) -> (RestoreReport, Vec<FileInfo>) {
    let request = world.command(host, Command::Restore { dry_run });
    let mut found = Vec::new();
    loop {
        match world.wait(host, request) {
            What::RestoreProgress(_) => {}
            What::RestoreFound(file) => found.push(file),
            What::Restored(report) => return (report, found),
            other => panic!("a restore was told {other:?}"),
        }
    }
}

/// A host leaves out of its answers the records that a test picks.
fn withhold(world: &mut World, liar: usize, is_withheld: impl Fn(&SignedRecord) -> bool + 'static) {
    let keeps = move |held: &HeldRecord| !is_withheld(&SignedRecord::verify(held.record.clone()).unwrap());
    world.meddle = Some(Box::new(move |from, _, frame| {
        if from != liar {
            return true;
        }
        if let Frame::Records { records, .. } = frame {
            records.retain(&keeps);
        }
        !matches!(frame, Frame::Synced { .. } | Frame::Tell { .. })
    }));
}

fn files_of(world: &mut World, host: usize) -> Vec<String> {
    let list = Command::List { prefix: String::new(), after: None, limit: 1_000 };
    let What::Listed { files, .. } = world.ask(host, list) else { panic!() };
    files.into_iter().map(|file| file.name.to_string()).collect()
}

#[test]
fn a_restore_is_complete_as_of_the_newest_checkpoint() {
    let mut world = lost_device(3);
    let device = new_device(&mut world, &[0, 1]);
    let (report, _) = restore(&mut world, device, false);
    assert!(report.is_complete(), "{report:?}");
    let [checkpoint] = report.checkpoints[..] else { panic!("{report:?}") };
    assert_eq!((checkpoint.device, checkpoint.names, checkpoint.names_found), (world.id(2), 3, 3));
    assert_eq!((report.records, report.files, report.missing), (3, 3, 0));
}

#[test]
fn a_restore_that_finds_no_checkpoint_is_never_complete() {
    let mut world = World::new(3);
    world.put(2, "file", &content(3_000, 1)).unwrap();
    world.crash(2);
    let device = new_device(&mut world, &[0, 1]);
    let (report, _) = restore(&mut world, device, false);
    assert_eq!((report.records, report.missing, report.is_complete()), (1, 0, false));
    assert_eq!(report.checkpoints, []);
}

#[test]
fn what_was_put_after_the_checkpoint_is_brought_back_too() {
    let mut world = World::new(3);
    world.put(2, "file", &content(3_000, 1)).unwrap();
    world.run_for(3 * SECOND);
    world.put(2, "file", &content(3_000, 2)).unwrap();
    world.put(2, "later", &content(3_000, 3)).unwrap();
    world.crash(2);
    let device = new_device(&mut world, &[0, 1]);
    let (report, _) = restore(&mut world, device, false);
    assert!(report.is_complete(), "{report:?}");
    assert_eq!((report.checkpoints[0].names, report.records), (1, 3));
    assert_eq!(world.get(device, "file").unwrap(), content(3_000, 2));
}

#[test]
fn withheld_records_are_noticed() {
    let mut world = lost_device(5);
    world.crash(1);
    let withheld = world.keys(2).name_id(&name("file 03"));
    withhold(&mut world, 0, move |record| record.record.name_id == withheld);
    let device = new_device(&mut world, &[0]);
    let (report, _) = restore(&mut world, device, false);
    assert!(!report.is_complete());
    assert_eq!((report.missing, report.checkpoints[0].names, report.checkpoints[0].names_found), (0, 5, 4));
}

#[test]
fn old_records_in_the_place_of_new_ones_are_noticed() {
    let mut world = World::new(3);
    world.put(2, "file", &content(3_000, 1)).unwrap();
    let newest = world.put(2, "file", &content(3_000, 2)).unwrap().file.version;
    world.run_for(3 * SECOND);
    world.crash(2);
    world.crash(1);
    withhold(&mut world, 0, move |record| record.record.version == newest);
    let device = new_device(&mut world, &[0]);
    let (report, _) = restore(&mut world, device, false);
    assert_eq!((report.checkpoints[0].names, report.checkpoints[0].names_found), (1, 1));
    assert!(!report.is_complete());
}

#[test]
fn what_one_peer_withholds_another_gives() {
    let mut world = lost_device(5);
    withhold(&mut world, 0, |record| record.record.body.is_file());
    let device = new_device(&mut world, &[0, 1]);
    let (report, _) = restore(&mut world, device, false);
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(files_of(&mut world, device).len(), 5);
}

#[test]
fn a_peer_that_withholds_the_newest_checkpoint_shows_by_the_time_that_is_told() {
    let mut world = World::new(2);
    world.put(1, "one", &content(3_000, 1)).unwrap();
    world.run_for(3 * SECOND);
    let old = Bytes::from([&b"R"[..], world.keys(1).owner_id().as_bytes()].concat());
    let before: Vec<(Bytes, Bytes)> = world
        .disk(0)
        .index
        .iter()
        .filter(|(key, _)| key.starts_with(&old))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    world.put(1, "two", &content(3_000, 2)).unwrap();
    world.run_for(10 * SECOND);
    world.crash(1);
    world.disk(0).index.retain(|key, _| !key.starts_with(&old));
    world.disk(0).index.extend(before);
    let config = Config { bootstrap: vec![address(0)], chunk_size: 1_000, ..Config::default() };
    let device = world.add(OwnerSecret::new([2; 32]), config);
    let (report, _) = restore(&mut world, device, false);
    assert!(report.is_complete());
    assert_eq!((report.checkpoints[0].sequence, report.checkpoints[0].names), (1, 1));
}

#[test]
fn what_a_peer_cannot_give_comes_from_one_that_comes_later() {
    let mut world = lost_device(3);
    world.disk(0).blobs.clear();
    world.crash(1);
    let device = new_device(&mut world, &[0, 1]);
    let request = world.command(device, Command::Restore { dry_run: false });
    world.run_for(2 * SECOND);
    world.start(1);
    let report = loop {
        match world.wait(device, request) {
            What::RestoreProgress(_) => {}
            What::Restored(report) => break report,
            other => panic!("{other:?}"),
        }
    };
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(world.get(device, "file 01").unwrap(), content(3_000, 1));
}

#[test]
fn versions_that_nobody_has_whole_are_named() {
    let mut world = lost_device(3);
    let root = world.disk(0).blobs.keys().next().copied().unwrap();
    for host in 0..2 {
        world.disk(host).blobs.remove(&root);
    }
    let device = new_device(&mut world, &[0, 1]);
    let (report, _) = restore(&mut world, device, false);
    assert_eq!((report.files, report.missing, report.incomplete.len()), (2, 1, 1));
    assert!(report.incomplete[0].name.as_ref().unwrap().as_str().starts_with("file 0"));
    assert!(!report.is_complete());
}

#[test]
fn a_restore_that_was_cut_off_fetches_only_what_is_missing() {
    let (mut world, _) = lost_device_that_held_nothing(40);
    let device = new_device(&mut world, &[0, 1]);
    world.settle();
    world.command(device, Command::Restore { dry_run: false });
    while world.disk(device).blobs.len() < 60 {
        world.run_for(Duration::from_millis(1));
    }
    world.crash(device);
    let here = world.disk(device).blobs.len() as u64;
    world.start(device);
    world.settle();
    let (report, _) = restore(&mut world, device, false);
    assert!(report.is_complete(), "{report:?}");
    assert_eq!((report.files, report.fetched_bytes), (40, (120 - here) * 1_016));
}

#[test]
fn a_dry_run_lists_versions_and_brings_nothing() {
    let (mut world, names) = lost_device_that_held_nothing(3);
    let device = new_device(&mut world, &[0, 1]);
    world.settle();
    let (rows, blobs) = (world.disk(device).index.len(), world.disk(device).blobs.len());
    let (report, mut found) = restore(&mut world, device, true);
    found.sort_by(|one, other| one.name.cmp(&other.name));
    let found: Vec<(&str, u64)> = found.iter().map(|file| (file.name.as_str(), file.size)).collect();
    let expected: Vec<(&str, u64)> = names.iter().map(|file| (file.as_str(), 3_000)).collect();
    assert_eq!(found, expected);
    assert!(report.is_complete(), "{report:?}");
    assert_eq!((report.files, report.fetched_bytes), (3, 0));
    assert_eq!((world.disk(device).index.len(), world.disk(device).blobs.len()), (rows, blobs));
    restore(&mut world, device, false);
    let (report, found) = restore(&mut world, device, true);
    assert_eq!((report.files, found.len(), report.is_complete()), (0, 0, true));
}

#[test]
fn a_peer_that_leads_a_restore_in_circles_does_not_hold_it() {
    let mut world = lost_device(3);
    let somewhere = Bytes::from([&b"R"[..], world.keys(2).owner_id().as_bytes()].concat());
    world.meddle = Some(Box::new(move |from, _, frame| {
        if let (0, Frame::Records { next, .. }) = (from, frame) {
            *next = somewhere.clone();
        }
        true
    }));
    let device = new_device(&mut world, &[0, 1]);
    let (report, _) = restore(&mut world, device, false);
    assert!(report.is_complete(), "{report:?}");
    assert_eq!((report.peers, report.peers_done), (2, 1));
}

#[test]
fn only_newest_checkpoints_count() {
    let mut world = lost_device(1);
    let device = new_device(&mut world, &[0, 1]);
    restore(&mut world, device, false);
    let rows = world.disk(device).index.iter().filter(|(key, _)| key.starts_with(b"R"));
    let records: Vec<SignedRecord> = rows.map(|(_, record)| SignedRecord::verify(record.clone()).unwrap()).collect();
    let checkpoints = records.iter().filter(|record| matches!(record.record.body, RecordBody::Checkpoint(_)));
    assert_eq!(checkpoints.count(), 1);
}
