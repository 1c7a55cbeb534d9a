//! A deleted file is put back as long as it is kept.

use std::time::Duration;

use crate::harness::{self, World, content, name};
use forever_core::command::Command;
use forever_core::config::Config;
use forever_core::event::{FileInfo, RequestError, VersionInfo, What, WriteReport};
use forever_core::record::Retention;

/// A day of these worlds.
const DAY: Duration = Duration::from_secs(20);

fn keeping(config: Config) -> Config {
    Config { retention: Retention { keep_versions: 10, keep_days: 2, ..config.retention }, day: DAY, ..config }
}

fn world(hosts: usize) -> World {
    World::with(hosts, |_, config| keeping(config))
}

fn undelete(world: &mut World, host: usize, file: &str) -> Result<(FileInfo, WriteReport), RequestError> {
    match world.ask(host, Command::Undelete { name: name(file) }) {
        What::Undeleted { file, write } => Ok((file, write)),
        What::Failed(error) => Err(error),
        other => panic!("{other:?}"),
    }
}

fn delete(world: &mut World, host: usize, file: &str) {
    let what = world.ask(host, Command::Delete { name: name(file) });
    assert!(matches!(what, What::Deleted(_)), "{what:?}");
}

fn versions(world: &mut World, host: usize, file: &str) -> Vec<VersionInfo> {
    match world.ask(host, Command::Versions { name: name(file) }) {
        What::Versions(versions) => versions,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_version_before_the_deletion_comes_back_as_a_new_one() {
    let mut world = world(3);
    world.put(2, "file", &content(3_000, 1)).unwrap();
    let old = world.put(2, "file", &content(5_500, 2)).unwrap().file;
    delete(&mut world, 2, "file");
    let blobs = world.disk(2).blobs.len();
    let (file, write) = undelete(&mut world, 2, "file").unwrap();
    assert_eq!((file.size, file.mtime_ms, write.replicas, write.pending), (5_500, old.mtime_ms, 3, 0));
    assert_eq!(world.get(2, "file").unwrap(), content(5_500, 2));
    assert_eq!(world.disk(2).blobs.len(), blobs, "no chunk is written again");
    let history: Vec<(bool, bool)> =
        versions(&mut world, 2, "file").iter().map(|version| (version.deleted, version.current)).collect();
    assert_eq!(history, [(false, true), (true, false), (false, false), (false, false)]);
    // It is kept like any other once the deletion is old.
    world.run_for(4 * DAY);
    assert_eq!(world.get(2, "file").unwrap(), content(5_500, 2));
}

#[test]
fn a_file_whose_manifest_has_several_pages_comes_back() {
    let mut world = World::with(3, |_, config| Config { chunk_size: 1, ..keeping(config) });
    let bytes = content(9_000, 3);
    world.put(2, "file", &bytes).unwrap();
    delete(&mut world, 2, "file");
    undelete(&mut world, 2, "file").unwrap();
    assert_eq!(world.get(2, "file").unwrap(), bytes);
}

#[test]
fn what_was_evicted_here_before_it_was_deleted_is_brought_back() {
    let mut world = world(3);
    let bytes = content(5_000, 4);
    world.put(2, "file", &bytes).unwrap();
    let what = world.ask(2, Command::Evict { name: name("file") });
    assert!(matches!(what, What::Evicted { .. }), "{what:?}");
    delete(&mut world, 2, "file");
    undelete(&mut world, 2, "file").unwrap();
    world.cut(0, 2, true);
    world.cut(1, 2, true);
    assert_eq!(world.get(2, "file").unwrap(), bytes, "it is whole here");
}

#[test]
fn what_is_kept_no_longer_does_not_come_back() {
    let mut world = world(3);
    world.put(2, "file", &content(5_000, 5)).unwrap();
    delete(&mut world, 2, "file");
    // A day for clocks that differ.
    world.run_for(3 * DAY + DAY / 2);
    assert_eq!(undelete(&mut world, 2, "file"), Err(RequestError::NotKept));
    assert_eq!(world.get(2, "file"), Err(RequestError::NotFound));
}

#[test]
fn only_what_was_deleted_comes_back() {
    let mut world = world(3);
    world.put(2, "file", &content(1_000, 6)).unwrap();
    assert_eq!(undelete(&mut world, 2, "file"), Err(RequestError::NotDeleted));
    assert_eq!(undelete(&mut world, 2, "other"), Err(RequestError::NotFound));
}

#[test]
fn a_device_that_lost_its_disk_puts_back_what_others_keep() {
    let mut world = world(3);
    let bytes = content(5_000, 7);
    world.put(2, "file", &bytes).unwrap();
    delete(&mut world, 2, "file");
    world.crash(2);
    *world.disk(2) = harness::disk::MemoryDisk::default();
    world.start(2);
    world.settle();
    undelete(&mut world, 2, "file").unwrap();
    assert_eq!(world.get(2, "file").unwrap(), bytes);
}
