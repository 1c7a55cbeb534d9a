//! The cache of chunks that were read and are not kept here by a record.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::harness::{World, content, name};
use forever_core::command::{Command, RangeRequest};
use forever_core::config::Config;
use forever_core::disk::CACHE_OWNER;
use forever_core::event::{StatusInfo, What};
use forever_core::frame::Frame;
use forever_core::ids::{BlobKey, ObjectId};
use forever_core::placement::{Replicas, WEIGHT_MAX};
use forever_core::record::Retention;
use forever_core::ticket::SignedTicket;

const SECOND: Duration = Duration::from_secs(1);

/// Who shares, a peer that stores, and who was given the ticket: a node that holds nothing of the files.
const OWNER: usize = 0;
const PEER: usize = 1;
const READER: usize = 2;

/// A chunk of the tests, as it is stored.
const CHUNK: u64 = 1_016;

/// Files on owner and peer, each with its ticket.
fn stored_with(files: &[(&str, usize)], configure: impl Fn(Config) -> Config) -> (World, Vec<SignedTicket>) {
    // Every name belongs on owner and peer; the reader stands in at most.
    let mut world = World::with(3, |host, config| {
        let retention = Retention { replicas: Replicas::new(2).unwrap(), ..config.retention };
        let weight = if host == READER { 1 } else { WEIGHT_MAX };
        let config = Config { retention, weight, ..config };
        if host == READER { configure(config) } else { config }
    });
    for (salt, (file, len)) in files.iter().enumerate() {
        world.put(OWNER, file, &content(*len, salt as u8 + 1)).unwrap();
    }
    world.run_for(SECOND * 120);
    let tickets = files.iter().map(|(file, _)| share(&mut world, file)).collect();
    world.sent = vec![0; 3];
    (world, tickets)
}

fn stored(files: &[(&str, usize)], cache_bytes: u64) -> (World, Vec<SignedTicket>) {
    stored_with(files, |config| Config { cache_bytes, ..config })
}

fn share(world: &mut World, file: &str) -> SignedTicket {
    let command = Command::Share { name: name(file), version: None, valid_ms: 7 * 86_400_000 };
    match world.ask(OWNER, command) {
        What::Shared(share) => share.ticket,
        other => panic!("a share was told {other:?}"),
    }
}

/// Reads by a ticket; how many bytes others sent for it.
fn read(world: &mut World, ticket: &SignedTicket) -> (Vec<u8>, u64) {
    world.sent = vec![0; 3];
    let bytes = world.get_with(READER, Command::GetShared { ticket: ticket.clone(), range: None }).unwrap();
    let sent = world.sent[OWNER] + world.sent[PEER];
    world.settle();
    (bytes, sent)
}

fn cached(world: &mut World) -> u64 {
    world.disk(READER).bytes_of(Some(CACHE_OWNER))
}

fn status(world: &mut World) -> StatusInfo {
    let What::Status(status) = world.ask(READER, Command::Status) else { panic!() };
    status
}

#[test]
fn what_was_read_by_a_ticket_is_read_again_without_a_peer() {
    let (mut world, tickets) = stored(&[("file", 20_500)], 1 << 20);
    let (bytes, sent) = read(&mut world, &tickets[0]);
    assert_eq!(bytes, content(20_500, 1));
    assert!(sent >= 20_500);
    assert_eq!(cached(&mut world), 20 * CHUNK + 516);
    let (bytes, sent) = read(&mut world, &tickets[0]);
    assert_eq!(bytes, content(20_500, 1));
    assert!(sent < 5_000, "no more than its page came: {sent}");
    let status = status(&mut world);
    let usage = status.disk.unwrap().owners[0];
    assert_eq!((usage.owner, usage.bytes, status.cache_max_bytes), (CACHE_OWNER, 20 * CHUNK + 516, 1 << 20));
}

#[test]
fn nothing_is_cached_where_there_is_no_cache() {
    let (mut world, tickets) = stored(&[("file", 20_500)], 0);
    read(&mut world, &tickets[0]);
    assert_eq!(world.disk(READER).bytes_of(None), 0);
}

#[test]
fn what_was_read_longest_ago_goes_first_and_the_limit_holds() {
    let (mut world, tickets) = stored(&[("a", 4_000), ("b", 4_000), ("c", 4_000)], 9 * CHUNK);
    read(&mut world, &tickets[0]);
    read(&mut world, &tickets[1]);
    assert_eq!(cached(&mut world), 8 * CHUNK);
    // What is read again is the newest.
    assert!(read(&mut world, &tickets[0]).1 < 3_000);
    read(&mut world, &tickets[2]);
    assert!(cached(&mut world) <= 9 * CHUNK);
    assert!(read(&mut world, &tickets[2]).1 < 3_000, "what was read last is there");
    assert!(read(&mut world, &tickets[0]).1 < 3_000, "and what was read before it");
    assert!(read(&mut world, &tickets[1]).1 > 3_000);
    assert!(cached(&mut world) <= 9 * CHUNK);
}

#[test]
fn a_file_larger_than_the_cache_leaves_what_fits() {
    let (mut world, tickets) = stored(&[("file", 20_000)], 5 * CHUNK);
    read(&mut world, &tickets[0]);
    let left = cached(&mut world);
    assert!((4 * CHUNK..=5 * CHUNK).contains(&left), "{left}");
}

#[test]
fn a_deletion_drops_what_was_cached_at_once() {
    let (mut world, tickets) = stored(&[("file", 4_000), ("other", 3_000)], 1 << 20);
    read(&mut world, &tickets[0]);
    read(&mut world, &tickets[1]);
    assert_eq!(cached(&mut world), 7 * CHUNK);
    let what = world.ask(OWNER, Command::Delete { name: name("file") });
    assert!(matches!(what, What::Deleted(_)), "{what:?}");
    world.settle();
    assert_eq!(cached(&mut world), 3 * CHUNK, "only that of the other file is left");
    let command = Command::GetShared { ticket: tickets[0].clone(), range: None };
    assert!(world.get_with(READER, command).is_err());
    world.settle();
    assert_eq!(cached(&mut world), 3 * CHUNK);
}

#[test]
fn a_get_that_began_before_the_deletion_keeps_nothing_after_it() {
    let (mut world, tickets) = stored(&[("file", 40_000)], 1 << 20);
    let command = Command::GetShared { ticket: tickets[0].clone(), range: None };
    let request = world.command(READER, command);
    assert!(matches!(world.wait(READER, request), What::GetStart { .. }));
    assert!(matches!(world.wait(READER, request), What::GetData(_)));
    let what = world.ask(OWNER, Command::Delete { name: name("file") });
    assert!(matches!(what, What::Deleted(_)), "{what:?}");
    world.settle();
    world.command_quietly(READER, Command::GetCredit { request, bytes: 1 << 20 });
    world.settle();
    assert_eq!(cached(&mut world), 0);
}

#[test]
fn a_cached_chunk_is_no_copy_for_anybody() {
    let (mut world, tickets) = stored(&[("file", 4_000)], 1 << 20);
    read(&mut world, &tickets[0]);
    let cached: Vec<BlobKey> = world.disk(READER).blobs.keys().copied().collect();
    assert!(!cached.is_empty() && cached.iter().all(|blob| blob.owner == CACHE_OWNER));
    // The same content put again, with nobody else to hold it: the reader takes all of its chunks.
    world.crash(PEER);
    world.sent = vec![0; 3];
    let report = world.put(OWNER, "again", &content(4_000, 1)).unwrap();
    assert_eq!(report.write.replicas, 2);
    assert!(world.sent[OWNER] >= 4_000, "the reader took what it had in its cache");
    let owner = world.keys(OWNER).owner_id();
    assert!(world.disk(READER).bytes_of(Some(owner)) >= 4 * CHUNK);
}

#[test]
fn peers_are_not_told_what_was_read() {
    let (mut world, tickets) = stored(&[("file", 4_000)], 1 << 20);
    read(&mut world, &tickets[0]);
    let object = ObjectId::Chunk(world.disk(READER).blobs.keys().next().unwrap().chunk);
    let answers = Rc::new(RefCell::new(Vec::new()));
    let heard = Rc::clone(&answers);
    // A peer that asks for it under the cache's address, in place of what tells that it lives.
    world.meddle = Some(Box::new(move |from, to, frame| {
        if (from, to) == (PEER, READER) && matches!(frame, Frame::Ping { .. } | Frame::Swim { .. }) {
            *frame = Frame::Want { want: 1 << 60, lane: 0, owner: CACHE_OWNER, object, len: CHUNK as u32 };
        }
        let answer = match frame {
            Frame::Unavailable { want } => Some((*want, false)),
            Frame::Data { want, .. } => Some((*want, true)),
            _ => None,
        };
        heard.borrow_mut().extend(answer.filter(|(want, _)| *want == 1 << 60));
        true
    }));
    world.run_for(SECOND * 5);
    assert_eq!(answers.borrow().first(), Some(&(1 << 60, false)));
}

#[test]
fn parts_of_evicted_files_are_cached_and_a_whole_read_brings_the_file_back() {
    let mut world = World::with(3, |_, config| Config { cache_bytes: 1 << 20, ..config });
    let bytes = content(10_000, 1);
    world.put(READER, "own", &bytes).unwrap();
    assert!(matches!(world.ask(READER, Command::Evict { name: name("own") }), What::Evicted { .. }));
    let part = |range| Command::Get { name: name("own"), version: None, range: Some(range) };
    let middle = RangeRequest::From { first: 2_000, last: Some(4_999) };
    assert_eq!(world.get_with(READER, part(middle)).unwrap(), bytes[2_000..5_000]);
    world.settle();
    let own = world.keys(READER).owner_id();
    assert_eq!((cached(&mut world), world.disk(READER).bytes_of(Some(own))), (3 * CHUNK, 0));
    world.sent = vec![0; 3];
    assert_eq!(world.get_with(READER, part(middle)).unwrap(), bytes[2_000..5_000]);
    assert_eq!(world.sent, [0; 3]);
    assert_eq!(world.get(READER, "own").unwrap(), bytes);
    world.settle();
    assert_eq!((cached(&mut world), world.disk(READER).bytes_of(Some(own))), (0, 10 * CHUNK));
    assert!(world.sent[OWNER] + world.sent[PEER] < 8_000, "three chunks came from the cache: {:?}", world.sent);
}

#[test]
fn the_cache_gives_way_before_anything_is_refused() {
    let limit = 20 * CHUNK;
    let (mut world, tickets) =
        stored_with(&[("file", 15_000)], |config| Config { cache_bytes: limit, store_max_bytes: limit, ..config });
    world.disk(READER).max_bytes = Some(limit);
    world.run_for(SECOND * 61);
    read(&mut world, &tickets[0]);
    assert_eq!(cached(&mut world), 15 * CHUNK);
    assert!(!status(&mut world).is_full);
    // Another's chunks, for which there is no other node.
    world.crash(OWNER);
    let report = world.put(PEER, "theirs", &content(10_000, 9)).unwrap();
    assert_eq!(report.write.replicas, 2);
    let peer = world.keys(PEER).owner_id();
    assert_eq!(world.disk(READER).bytes_of(Some(peer)), 10 * CHUNK);
    assert!(cached(&mut world) <= 10 * CHUNK);
    // And its own.
    world.put(READER, "own", &content(9_000, 8)).unwrap();
    assert!(world.disk(READER).bytes_of(None) <= limit);
}

#[test]
fn the_cache_makes_room_on_a_disk_that_is_full_all_of_a_sudden() {
    let (mut world, tickets) = stored(&[("file", 15_000)], 1 << 20);
    read(&mut world, &tickets[0]);
    world.disk(READER).max_bytes = Some(16 * CHUNK);
    // Nobody has measured the disk since.
    assert!(world.put(READER, "own", &content(9_000, 8)).is_err());
    world.settle();
    assert_eq!(cached(&mut world), 0);
    world.put(READER, "own", &content(9_000, 8)).unwrap();
}

#[test]
fn a_restart_empties_it() {
    let (mut world, tickets) = stored(&[("file", 15_000)], 1 << 20);
    read(&mut world, &tickets[0]);
    world.crash(READER);
    world.start(READER);
    world.settle();
    assert_eq!(cached(&mut world), 0);
    read(&mut world, &tickets[0]);
    assert_eq!(cached(&mut world), 15 * CHUNK, "it is used again");
}

#[test]
fn a_damaged_chunk_is_fetched_again_and_is_no_damage_to_a_file() {
    let (mut world, tickets) = stored(&[("file", 4_000)], 1 << 20);
    read(&mut world, &tickets[0]);
    let blobs: Vec<BlobKey> = world.disk(READER).blobs.keys().copied().collect();
    world.disk(READER).damaged.extend([blobs[0]]);
    assert_eq!(read(&mut world, &tickets[0]).0, content(4_000, 1));
    world.disk(READER).damaged.extend([blobs[1]]);
    let What::Scrubbed(report) = world.ask(READER, Command::Scrub { from_start: true }) else { panic!() };
    assert_eq!((report.damaged, report.unmended), (1, 0));
    assert_eq!(read(&mut world, &tickets[0]).0, content(4_000, 1));
    assert_eq!(status(&mut world).unmended, 0);
}
