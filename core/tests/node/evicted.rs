//! What was evicted somewhere, when nodes that have promised to keep it go.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::harness::disk::MemoryDisk;
use crate::harness::{World, content, name};
use forever_core::command::Command;
use forever_core::config::Config;
use forever_core::event::What;
use forever_core::ids::BlobKey;
use forever_core::placement::Replicas;
use forever_core::record::Retention;

const REPAIR_AFTER: Duration = Duration::from_secs(60);
const SCRUB_PERIOD: Duration = Duration::from_secs(300);
const FILES: usize = 12;
const LEN: usize = 3_000;

fn file(number: usize) -> String {
    format!("file {number}")
}

/// A cluster of which host 0 has put files that lie on two nodes, and evicted them all; and the chunks of each.
fn evicted(nodes: usize) -> (World, Vec<Vec<BlobKey>>) {
    let configure = |_, config: Config| {
        let retention = Retention { replicas: Replicas::new(2).unwrap(), ..config.retention };
        Config { retention, repair_after: REPAIR_AFTER, scrub_period: SCRUB_PERIOD, ..config }
    };
    let mut world = World::with(nodes, configure);
    world.run_for(Duration::from_secs(10));
    let mut files = Vec::new();
    for number in 0..FILES {
        let before: BTreeSet<BlobKey> = world.disk(0).blobs.keys().copied().collect();
        world.put(0, &file(number), &content(LEN, u8::try_from(number).unwrap())).unwrap();
        files.push(world.disk(0).blobs.keys().filter(|blob| !before.contains(blob)).copied().collect());
        world.run_for(Duration::from_secs(5));
        match world.ask(0, Command::Evict { name: name(&file(number)) }) {
            What::Evicted { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    (world, files)
}

/// Those of some hosts that hold all chunks of a file.
fn keepers(world: &mut World, hosts: &BTreeSet<usize>, chunks: &[BlobKey]) -> BTreeSet<usize> {
    let mut holds = |host: &usize| chunks.iter().all(|chunk| world.disk(*host).blobs.contains_key(chunk));
    hosts.iter().filter(|host| holds(host)).copied().collect()
}

#[test]
fn when_nodes_that_keep_an_evicted_file_go_one_by_one_others_promise_to_keep_it() {
    let (mut world, files) = evicted(6);
    let mut up: BTreeSet<usize> = (0..6).collect();
    for dead in [1, 2, 3] {
        world.crash(dead);
        up.remove(&dead);
        world.run_for(REPAIR_AFTER + Duration::from_secs(60));
        for (number, chunks) in files.iter().enumerate() {
            let keepers = keepers(&mut world, &up, chunks);
            assert!(keepers.len() >= 2, "file {number} lies on {keepers:?} when {dead} has gone");
            assert!(!keepers.contains(&0), "file {number} has come back to 0, when {dead} has gone");
        }
    }
}

#[test]
fn when_too_few_are_left_to_keep_an_evicted_file_it_comes_back() {
    let (mut world, files) = evicted(3);
    world.crash(1);
    world.run_for(REPAIR_AFTER + Duration::from_secs(180));
    let up = [0, 2].into();
    for (number, chunks) in files.iter().enumerate() {
        assert_eq!(keepers(&mut world, &up, chunks), up, "file {number}");
    }
}

#[test]
fn when_a_node_that_keeps_an_evicted_file_loses_its_disk_it_is_kept_again_within_a_scrub() {
    let (mut world, files) = evicted(6);
    let all: BTreeSet<usize> = (0..6).collect();
    for host in 1..6 {
        world.crash(host);
        *world.disk(host) = MemoryDisk::default();
        world.start(host);
        world.run_for(SCRUB_PERIOD + Duration::from_secs(60));
        for (number, chunks) in files.iter().enumerate() {
            let keepers = keepers(&mut world, &all, chunks);
            assert!(keepers.len() >= 2, "file {number} lies on {keepers:?} since {host} has lost its disk");
        }
    }
}
