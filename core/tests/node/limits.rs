//! What a node takes of others, and of its own owner, up to its limits.

use std::time::Duration;

use crate::harness::{World, content, name};
use forever_core::command::Command;
use forever_core::config::Config;
use forever_core::event::{RequestError, StatusInfo, What};
use forever_core::ids::OwnerId;

const SECOND: Duration = Duration::from_secs(1);

/// Three nodes of three owners; the first gives each other owner so many bytes.
fn with_quota(quota_bytes: u64) -> World {
    World::with(3, |host, config| Config { quota_bytes: if host == 0 { quota_bytes } else { 0 }, ..config })
}

fn bytes_of(world: &mut World, host: usize, owner: usize) -> u64 {
    let owner = world.keys(owner).owner_id();
    world.disk(host).bytes_of(Some(owner))
}

fn status(world: &mut World, host: usize) -> StatusInfo {
    let What::Status(status) = world.ask(host, Command::Status) else { panic!() };
    status
}

#[test]
fn a_node_takes_no_more_of_an_owner_than_its_quota_and_nobody_else_suffers() {
    let mut world = with_quota(10_000);
    world.sent = vec![0; 3];
    let report = world.put(2, "large", &content(50_000, 1)).unwrap();
    assert_eq!((report.write.replicas, report.write.pending), (2, 1), "the other two have it");
    let taken = bytes_of(&mut world, 0, 2);
    assert!((9_000..=10_000).contains(&taken), "{taken}");
    // The chunks once, those that fitted once more, and a page of some 4,000 bytes twice.
    assert!(world.sent[2] < 50_800 + 10_000 + 8_000, "what was refused was not sent: {} bytes", world.sent[2]);
    // The quota is each owner's.
    let report = world.put(1, "other", &content(5_000, 2)).unwrap();
    assert_eq!(report.write.replicas, 3);
    // Its own owner has none.
    let report = world.put(0, "own", &content(50_000, 3)).unwrap();
    assert_eq!(report.write.replicas, 3);
    world.run_for(SECOND * 120);
    assert!(bytes_of(&mut world, 0, 2) <= 10_000);
}

#[test]
fn what_is_held_already_is_never_refused() {
    let mut world = with_quota(10_000);
    let bytes = content(9_000, 1);
    assert_eq!(world.put(2, "file", &bytes).unwrap().write.replicas, 3);
    assert_eq!(world.put(2, "the same", &bytes).unwrap().write.replicas, 3);
    assert_eq!(world.put(2, "more", &content(5_000, 2)).unwrap().write.replicas, 2);
}

#[test]
fn a_record_that_comes_later_is_refused_before_its_chunks_are_fetched() {
    let mut world = with_quota(10_000);
    world.crash(0);
    world.put(2, "file", &content(50_000, 1)).unwrap();
    world.start(0);
    world.sent = vec![0; 3];
    world.run_for(SECOND * 10);
    assert_eq!(bytes_of(&mut world, 0, 2), 0);
    assert!(world.sent[1] + world.sent[2] < 50_000, "only its page: {:?}", world.sent);
    world.run_for(SECOND * 110);
    world.sent = vec![0; 3];
    world.run_for(SECOND * 60);
    assert!(world.sent[1] + world.sent[2] < 15_000, "and that more and more seldom: {:?}", world.sent);
    // A deletion needs no room.
    let what = world.ask(2, Command::Delete { name: name("file") });
    assert!(matches!(what, What::Deleted(_)), "{what:?}");
    let What::Status(status) = world.ask(2, Command::Status) else { panic!() };
    assert_eq!(status.pending, 1, "the file's record is still owed, its deletion is not");
}

#[test]
fn room_that_is_made_is_used_again() {
    let mut world =
        World::with(4, |host, config| Config { store_max_bytes: if host == 0 { 20_000 } else { 0 }, ..config });
    world.disk(0).max_bytes = Some(20_000);
    world.put(0, "own", &content(15_000, 1)).unwrap();
    assert_eq!(world.put(2, "other", &content(10_000, 2)).unwrap().write.replicas, 3, "node 0 has no room");
    let what = world.ask(0, Command::Evict { name: name("own") });
    assert!(matches!(what, What::Evicted { .. }), "{what:?}");
    assert_eq!(world.put(2, "another", &content(10_000, 3)).unwrap().write.replicas, 4);
}

#[test]
fn an_own_put_that_finds_no_room_says_so_and_status_shows_it() {
    let mut world =
        World::with(2, |host, config| Config { store_max_bytes: if host == 1 { 20_000 } else { 0 }, ..config });
    world.disk(1).max_bytes = Some(20_000);
    world.run_for(SECOND * 61);
    assert!(!status(&mut world, 1).is_full);
    world.put(1, "file", &content(19_000, 1)).unwrap();
    assert_eq!(world.put(1, "more", &content(5_000, 2)), Err(RequestError::DiskFull));
    let status = status(&mut world, 1);
    assert!(status.is_full);
    assert_eq!((status.store_max_bytes, status.quota_bytes), (20_000, 0));
    let usage = status.disk.unwrap();
    assert!(usage.free_bytes.unwrap() < 1_000);
    assert_eq!(usage.owners.len(), 1);
    assert_eq!(usage.owners[0].bytes, usage.blob_bytes);
    // Others are refused politely: they have their two.
    let report = world.put(0, "theirs", &content(3_000, 3));
    assert!(matches!(report, Err(RequestError::NotEnoughPeers { .. })), "{report:?}");
}

#[test]
fn a_quota_holds_across_a_restart_and_for_damage_that_is_mended() {
    let mut world = with_quota(10_000);
    world.put(2, "file", &content(9_000, 1)).unwrap();
    world.crash(0);
    world.start(0);
    world.settle();
    assert_eq!(world.put(2, "more", &content(5_000, 2)).unwrap().write.replicas, 2);
    let owner: OwnerId = world.keys(2).owner_id();
    let blobs: Vec<_> = world.disk(0).blobs.keys().filter(|blob| blob.owner == owner).copied().collect();
    world.disk(0).damaged.extend(blobs);
    let What::Scrubbed(report) = world.ask(0, Command::Scrub { from_start: true }) else { panic!() };
    assert_eq!((report.unmended, report.mended), (0, report.damaged));
    assert!(bytes_of(&mut world, 0, 2) <= 10_000);
}
