//! A disk is read through at a pace or at once, and what is damaged or missing on it comes back from peers.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::harness::{World, content, name};
use bytes::Bytes;
use forever_core::command::{Command, CommandError};
use forever_core::config::Config;
use forever_core::disk::DiskOp;
use forever_core::event::{ScrubReport, What};
use forever_core::ids::BlobKey;
use forever_core::output::Output;

const SECOND: Duration = Duration::from_secs(1);

/// Nodes that read everything in twenty seconds, and look for what is missing every ten.
fn world(count: usize) -> World {
    World::with(count, |_, config| Config { scrub_period: SECOND * 20, presence_period: SECOND * 10, ..config })
}

fn blobs(world: &mut World, host: usize) -> BTreeMap<BlobKey, Bytes> {
    world.disk(host).blobs.clone()
}

fn damage_all(world: &mut World, host: usize) {
    let damaged: Vec<BlobKey> = blobs(world, host).into_keys().collect();
    world.disk(host).damaged.extend(damaged);
}

/// The blobs that a host has read since this was last asked.
fn reads(world: &mut World, host: usize) -> Vec<BlobKey> {
    let read = |output: Output| match output {
        Output::Disk { what: DiskOp::ReadBlob { blob }, .. } => Some(blob),
        _ => None,
    };
    world.take_trace(host).into_iter().filter_map(read).collect()
}

fn scrub(world: &mut World, host: usize) -> ScrubReport {
    let What::Scrubbed(report) = world.ask(host, Command::Scrub { from_start: false }) else { panic!() };
    report
}

#[test]
fn rot_on_an_idle_node_is_found_and_mended_within_the_period() {
    let mut world = world(2);
    world.put(1, "file", &content(10_000, 1)).unwrap();
    let before = blobs(&mut world, 0);
    damage_all(&mut world, 0);
    world.run_for(SECOND * 30);
    assert_eq!(blobs(&mut world, 0), before);
    assert!(world.disk(0).damaged.is_empty());
    let What::Status(status) = world.ask(0, Command::Status) else { panic!() };
    assert_eq!((status.damaged_blobs, status.mended, status.unmended), (10, 10, 0));
}

#[test]
fn each_blob_is_read_once_in_a_period_and_evenly() {
    let mut world = world(1);
    world.put(0, "file", &content(100_000, 1)).unwrap();
    world.run_for(SECOND);
    reads(&mut world, 0);
    for _ in 0..4 {
        world.run_for(SECOND * 5);
        let read = reads(&mut world, 0).len();
        assert!((20..=30).contains(&read), "{read} of 100 blobs were read in a quarter of the period");
    }
}

#[test]
fn a_restart_goes_on_where_the_last_run_ended() {
    let mut world = world(1);
    world.put(0, "file", &content(100_000, 1)).unwrap();
    let mut read = Vec::new();
    for _ in 0..6 {
        world.run_for(SECOND * 4);
        read.extend(reads(&mut world, 0));
        world.crash(0);
        world.start(0);
    }
    let all: Vec<BlobKey> = blobs(&mut world, 0).into_keys().collect();
    let seen = all.iter().filter(|blob| read.contains(blob)).count();
    assert_eq!(seen, 100, "the last blobs are read, too");
    assert!(read.len() < 150, "{} reads", read.len());
}

#[test]
fn a_scrub_that_is_switched_off_reads_nothing() {
    let off = |_, config| Config { scrub_period: Duration::ZERO, presence_period: Duration::ZERO, ..config };
    let mut world = World::with(1, off);
    world.put(0, "file", &content(10_000, 1)).unwrap();
    // A checkpoint follows.
    world.run_for(SECOND * 5);
    world.take_trace(0);
    world.run_for(SECOND * 100_000);
    // The room on the disk is measured, and the collector looks through it.
    assert_eq!(reads(&mut world, 0), []);
}

#[test]
fn a_scrub_at_once_reads_all_and_waits_for_what_it_mends() {
    let mut world = world(2);
    world.put(1, "file", &content(10_000, 1)).unwrap();
    world.put(1, "other", &content(2_000, 2)).unwrap();
    let before = blobs(&mut world, 1);
    damage_all(&mut world, 1);
    let report = scrub(&mut world, 1);
    let expected = ScrubReport {
        records: 2,
        pages: 2,
        blobs: 12,
        blobs_total: 12,
        bytes: report.bytes_total,
        bytes_total: report.bytes_total,
        damaged: 12,
        mended: 12,
        ..ScrubReport::default()
    };
    assert_eq!(report, expected);
    assert_eq!(blobs(&mut world, 1), before);
    assert_eq!(scrub(&mut world, 1).damaged, 0);
}

#[test]
fn a_scrub_says_what_no_peer_has_and_brings_it_later() {
    let mut world = world(2);
    world.put(1, "file", &content(3_000, 1)).unwrap();
    let before = blobs(&mut world, 1);
    world.cut(0, 1, true);
    damage_all(&mut world, 1);
    let report = scrub(&mut world, 1);
    assert_eq!((report.damaged, report.mended, report.unmended), (3, 0, 3));
    world.cut(0, 1, false);
    world.run_for(SECOND * 30);
    assert_eq!(blobs(&mut world, 1), before);
}

#[test]
fn a_scrub_that_is_cut_short_is_gone_on_with_across_a_restart() {
    let mut world = world(1);
    world.put(0, "file", &content(300_000, 1)).unwrap();
    let request = world.command(0, Command::Scrub { from_start: false });
    assert_eq!(world.refused(0, Command::Scrub { from_start: false }), CommandError::Scrubbing);
    reads(&mut world, 0);
    world.run_for(Duration::from_millis(10));
    world.command(0, Command::Cancel { request });
    let first = reads(&mut world, 0).len();
    assert!((20..250).contains(&first), "{first}");
    world.run_for(SECOND / 4);
    world.crash(0);
    world.start(0);
    world.run_for(SECOND / 4);
    let report = scrub(&mut world, 0);
    assert!(report.resumed);
    assert!(report.blobs < 300 && report.blobs as usize + first >= 300, "{} after {first}", report.blobs);
    assert!(!scrub(&mut world, 0).resumed, "the next one reads everything");
    let request = world.command(0, Command::Scrub { from_start: false });
    world.run_for(Duration::from_millis(10));
    world.command(0, Command::Cancel { request });
    let What::Scrubbed(report) = world.ask(0, Command::Scrub { from_start: true }) else { panic!() };
    assert_eq!((report.resumed, report.blobs), (false, 300));
}

#[test]
fn chunks_that_are_gone_are_missed_and_brought_back_soon_after_a_start() {
    let mut world = world(2);
    world.put(1, "file", &content(10_000, 1)).unwrap();
    let before = blobs(&mut world, 0);
    world.crash(0);
    let gone: Vec<BlobKey> = before.keys().take(3).copied().collect();
    for blob in gone {
        world.disk(0).blobs.remove(&blob);
    }
    world.start(0);
    world.run_for(SECOND * 8);
    assert_eq!(blobs(&mut world, 0), before);
}

#[test]
fn pages_and_records_that_are_damaged_or_gone_come_back() {
    let mut world = world(2);
    // More chunks than one page lists.
    world.put(1, "file", &content(4_100_000, 1)).unwrap();
    world.put(1, "other", &content(500, 2)).unwrap();
    world.run_for(SECOND);
    let before = world.disk(0).index.clone();
    let is = |key: &Bytes, letter: u8| key.first() == Some(&letter);
    let pages: Vec<Bytes> = before.keys().filter(|key| is(key, b'P')).cloned().collect();
    assert_eq!(pages.len(), 4);
    let damaged = Bytes::from_static(b"not what it was");
    world.disk(0).index.insert(pages[0].clone(), damaged.clone());
    world.disk(0).index.remove(&pages[1]);
    world.disk(0).index.remove(&pages[2]);
    let mut wrong =
        before.iter().find(|(key, _)| is(key, b'R')).map(|(key, value)| (key.clone(), value.to_vec())).unwrap();
    let last = wrong.1.len() - 1;
    wrong.1[last] ^= 1;
    world.disk(0).index.insert(wrong.0, wrong.1.into());
    let report = scrub(&mut world, 0);
    assert_eq!(report.damaged_records, 1);
    assert!(report.incomplete > 0 && report.unmended == 0, "{report:?}");
    let after: BTreeMap<Bytes, Bytes> = world.disk(0).index.clone();
    let of = |index: &BTreeMap<Bytes, Bytes>, letter: u8| -> Vec<(Bytes, Bytes)> {
        index.iter().filter(|(key, _)| is(key, letter)).map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    for letter in [b'P', b'R', b'F'] {
        assert_eq!(of(&after, letter), of(&before, letter), "{}", letter as char);
    }
}

#[test]
fn what_was_evicted_is_not_missed() {
    let mut world = world(3);
    world.put(2, "file", &content(3_000, 1)).unwrap();
    let what = world.ask(2, Command::Evict { name: name("file") });
    assert!(matches!(what, What::Evicted { .. }), "{what:?}");
    world.run_for(SECOND * 60);
    assert!(blobs(&mut world, 2).is_empty());
    assert_eq!(scrub(&mut world, 2).incomplete, 0);
    assert!(blobs(&mut world, 2).is_empty());
}
