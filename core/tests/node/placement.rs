//! Where files come to lie when there are more nodes than replicas, and what stands in for holders that cannot take them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use crate::harness::{self, World, content, name};
use forever_core::command::{Command, PutMeta};
use forever_core::config::{CheckpointPace, Config};
use forever_core::event::{RequestError, StatusInfo, What};
use forever_core::frame::Frame;
use forever_core::ids::NodeId;
use forever_core::placement::{self, Candidate, Group, Replicas};
use forever_core::record::Retention;

const NODES: usize = 7;

const NEVER: Duration = Duration::from_secs(1 << 30);

fn kept_on(replicas: u8, config: Config) -> Config {
    let replicas = Replicas::new(replicas).unwrap();
    // No checkpoints: only files are looked at here.
    let checkpoints = CheckpointPace { quiet: NEVER, wait_max: NEVER, ..config.checkpoints };
    Config { retention: Retention { replicas, ..config.retention }, checkpoints, ..config }
}

/// Seven nodes of one owner each that keep files on three.
fn world() -> World {
    World::with(NODES, |_, config| kept_on(3, config))
}

/// All hosts in the order in which they are to hold a file of a host.
fn ranked(world: &World, owner: usize, file: &str) -> Vec<usize> {
    let hosts: Vec<NodeId> = (0..NODES).map(|host| world.id(host)).collect();
    let candidate = |node: &NodeId| Candidate { node: *node, weight: 1, zone: String::new() };
    let candidates: Vec<Candidate> = hosts.iter().map(candidate).collect();
    let group = Group::of(world.keys(owner).name_id(&name(file)));
    let place = |node: &NodeId| hosts.iter().position(|host| host == node).unwrap();
    placement::rank(group, &candidates).iter().map(place).collect()
}

/// The hosts that have the records of a file of a host: so many of them, with all blobs that its owner has anywhere.
fn having(world: &mut World, owner: usize, file: &str, records: usize) -> BTreeSet<usize> {
    let keys = world.keys(owner);
    let (id, name_id) = (keys.owner_id(), keys.name_id(&name(file)));
    let prefix = [b"R", id.as_bytes().as_slice(), &name_id.0].concat();
    let blobs: BTreeSet<_> =
        (0..NODES).flat_map(|host| world.disk(host).blobs.keys().copied().collect::<Vec<_>>()).collect();
    let blobs: Vec<_> = blobs.into_iter().filter(|blob| blob.owner == id).collect();
    let has = |host: &usize| {
        let disk = world.disk(*host);
        let found = disk.index.keys().filter(|key| key.starts_with(&prefix)).count();
        found == records && blobs.iter().all(|blob| disk.blobs.contains_key(blob))
    };
    (0..NODES).filter(has).collect()
}

/// The hosts that have anything of an owner.
fn touched(world: &mut World, owner: usize) -> BTreeSet<usize> {
    let id = world.keys(owner).owner_id();
    let has = |host: &usize| {
        let disk = world.disk(*host);
        let is_of_owner =
            |key: &[u8]| matches!(key.first(), Some(b'R' | b'P' | b'F')) && key[1..].starts_with(id.as_bytes());
        disk.blobs.keys().any(|blob| blob.owner == id) || disk.index.keys().any(|key| is_of_owner(key))
    };
    (0..NODES).filter(has).collect()
}

fn status(world: &mut World, host: usize) -> StatusInfo {
    let What::Status(status) = world.ask(host, Command::Status) else { panic!() };
    status
}

/// A file of this host such that the host is, or is not, among the first so many.
fn file_of(world: &World, owner: usize, is_holder: bool) -> String {
    let is_wanted = |file: &String| ranked(world, owner, file)[..3].contains(&owner) == is_holder;
    (0..100).map(|number| format!("file {number}")).find(is_wanted).unwrap()
}

fn set(hosts: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
    hosts.into_iter().collect()
}

#[test]
fn a_file_lies_on_its_holders_and_where_it_was_put() {
    for (owner, is_holder) in [(0, true), (0, false), (6, true), (6, false)] {
        let mut world = world();
        let file = file_of(&world, owner, is_holder);
        let report = world.put(owner, &file, &content(5_500, 1)).unwrap();
        world.run_for(Duration::from_secs(5));
        let holders = ranked(&world, owner, &file)[..3].to_vec();
        let expected = set(holders.into_iter().chain([owner]));
        assert_eq!(having(&mut world, owner, &file, 1), expected);
        assert_eq!(touched(&mut world, owner), expected, "nobody else has anything of it");
        assert_eq!((report.write.replicas as usize, report.write.pending), (expected.len(), 0));
        assert_eq!(status(&mut world, owner).pending, 0);
        let what = world.ask(owner, Command::Delete { name: name(&file) });
        let What::Deleted(deleted) = what else { panic!("{what:?}") };
        assert_eq!((deleted.replicas as usize, deleted.pending), (NODES, 0), "everybody is told of a deletion");
        assert_eq!(having(&mut world, owner, &file, 2), expected);
    }
}

#[test]
fn the_next_in_rank_stands_in_for_a_full_holder_until_that_has_room() {
    let mut world = world();
    let file = file_of(&world, 0, false);
    let ranks = ranked(&world, 0, &file);
    let next = ranks[3..].iter().copied().find(|host| *host != 0).unwrap();
    world.disk(ranks[0]).full = true;
    let report = world.put(0, &file, &content(5_500, 1)).unwrap();
    assert_eq!((report.write.replicas, report.write.pending), (4, 1));
    assert_eq!(having(&mut world, 0, &file, 1), set([0, ranks[1], ranks[2], next]));
    assert_eq!(status(&mut world, 0).pending, 1, "it is owed to the holder, whoever stands in");
    world.disk(ranks[0]).full = false;
    world.run_for(Duration::from_secs(60));
    assert_eq!(having(&mut world, 0, &file, 1), set([0, ranks[0], ranks[1], ranks[2]]), "who stood in has dropped it");
    assert_eq!(status(&mut world, 0).pending, 0);
}

#[test]
fn holders_that_are_away_are_stood_in_for_and_told_when_they_are_back() {
    let mut world = world();
    let file = file_of(&world, 0, false);
    let ranks = ranked(&world, 0, &file);
    for holder in &ranks[..3] {
        world.crash(*holder);
    }
    world.run_for(Duration::from_secs(1));
    let report = world.put(0, &file, &content(5_500, 1)).unwrap();
    assert_eq!((report.write.replicas, report.write.pending), (4, 3));
    let others = set(ranks[3..].iter().copied());
    assert_eq!(having(&mut world, 0, &file, 1), others);
    assert_eq!(status(&mut world, 0).pending, 3);
    // What is owed outlives a restart of who owes it.
    world.crash(0);
    world.start(0);
    for holder in &ranks[..3] {
        world.start(*holder);
    }
    world.run_for(Duration::from_secs(20));
    assert_eq!(having(&mut world, 0, &file, 1), set(0..NODES));
    assert_eq!(status(&mut world, 0).pending, 0);
    world.run_for(Duration::from_secs(60));
    let holders = set(ranks[..3].iter().copied().chain([0]));
    assert_eq!(having(&mut world, 0, &file, 1), holders, "who stood in has dropped it");
}

#[test]
fn a_holder_that_stalls_does_not_hold_up_a_put_to_two_nodes() {
    let mut world = World::with(NODES, |_, config| kept_on(2, config));
    let owner = 0;
    let is_first = |file: &String| ranked(&world, owner, file)[..2].contains(&owner);
    let file = (0..100).map(|number| format!("file {number}")).find(is_first).unwrap();
    let ranks = ranked(&world, owner, &file);
    let holder = ranks[..2].iter().copied().find(|host| *host != owner).unwrap();
    world.meddle = Some(Box::new(move |from, _, frame| {
        from != holder || !matches!(frame, Frame::Want { .. } | Frame::Stored { .. } | Frame::Announced { .. })
    }));
    let report = world.put(owner, &file, &content(5_500, 1)).unwrap();
    assert_eq!((report.write.replicas, report.write.pending), (2, 1));
    assert_eq!(having(&mut world, owner, &file, 1), set([owner, ranks[2]]));
    world.meddle = None;
    world.cut(owner, holder, true);
    world.cut(owner, holder, false);
    world.run_for(Duration::from_secs(20));
    assert_eq!(having(&mut world, owner, &file, 1), set([owner, holder, ranks[2]]));
    world.run_for(Duration::from_secs(60));
    assert_eq!(having(&mut world, owner, &file, 1), set([owner, holder]), "who stood in has dropped it");
}

#[test]
fn a_holder_that_goes_in_the_middle_of_a_put_is_replaced() {
    let mut world = world();
    let file = file_of(&world, 0, false);
    let ranks = ranked(&world, 0, &file);
    let next = ranks[3..].iter().copied().find(|host| *host != 0).unwrap();
    let bytes = content(200_000, 1);
    let mut run = world.start_put(0, &file, &bytes);
    world.go_on(0, &mut run);
    world.run_for(Duration::from_millis(6));
    world.crash(ranks[1]);
    let report = loop {
        if let Some(result) = world.go_on(0, &mut run) {
            break result.unwrap();
        }
    };
    assert!(report.write.replicas >= 3, "{report:?}");
    assert_eq!(report.write.pending, 1);
    world.run_for(Duration::from_secs(5));
    assert_eq!(having(&mut world, 0, &file, 1), set([0, ranks[0], ranks[2], next]));
}

/// Two devices of one owner on two sides of a cut both write a name; afterwards its holders have both versions.
#[test]
fn holders_on_both_sides_of_a_cut_have_what_either_side_wrote() {
    let mut world = World::with(NODES - 1, |_, config| kept_on(3, config));
    let secret = forever_core::secrets::OwnerSecret::new([1; 32]);
    let bootstrap = (0..NODES - 1).map(harness::address).collect();
    let config =
        Config { bootstrap, listen: vec![harness::address(NODES - 1)], chunk_size: 1_000, ..Config::default() };
    let other = world.add(secret, kept_on(3, config));
    world.settle();
    let file = file_of(&world, 0, false);
    let (left, right) = (set([0, 1, 2, 3]), set([4, 5, 6]));
    for a in &left {
        for b in &right {
            world.cut(*a, *b, true);
        }
    }
    world.put(0, &file, &content(5_500, 1)).unwrap();
    world.put(other, &file, &content(3_500, 2)).unwrap();
    for a in &left {
        for b in &right {
            world.cut(*a, *b, false);
        }
    }
    world.run_for(Duration::from_secs(120));
    let ranks = ranked(&world, 0, &file);
    let have = having(&mut world, 0, &file, 2);
    assert!(have.is_superset(&set(ranks[..3].iter().copied())), "{have:?} of {ranks:?}");
    assert_eq!(world.get(0, &file).unwrap(), content(3_500, 2));
    assert_eq!(world.get(other, &file).unwrap(), content(3_500, 2));
    for host in [0, other] {
        assert_eq!(status(&mut world, host).pending, 0);
    }
}

#[test]
fn a_deletion_reaches_all_who_hold_an_older_version() {
    let mut world = world();
    let file = file_of(&world, 0, false);
    let meta = PutMeta { replicas: Replicas::new(5), ..PutMeta::default() };
    world.put_with(0, &file, &content(5_500, 1), meta).unwrap();
    // Of what is written later there are not fewer, or the others would take the older version for the newest.
    let meta = PutMeta { replicas: Replicas::new(2), ..PutMeta::default() };
    world.put_with(0, &file, &content(3_500, 2), meta).unwrap();
    let expected = set(ranked(&world, 0, &file)[..5].iter().copied().chain([0]));
    assert_eq!(having(&mut world, 0, &file, 2), expected);
    let what = world.ask(0, Command::Delete { name: name(&file) });
    assert!(matches!(what, What::Deleted(_)), "{what:?}");
    assert_eq!(having(&mut world, 0, &file, 3), expected);
}

#[test]
fn a_deleted_name_may_be_kept_on_fewer_nodes_than_before() {
    let mut world = world();
    let file = file_of(&world, 0, false);
    let ranks = ranked(&world, 0, &file);
    let on = |replicas| PutMeta { replicas: Some(replicas), ..PutMeta::default() };
    world.put_with(0, &file, &content(5_500, 1), on(Replicas::ALL)).unwrap();
    assert_eq!(having(&mut world, 0, &file, 1), set(0..NODES));
    world.ask(0, Command::Delete { name: name(&file) });
    assert_eq!(having(&mut world, 0, &file, 2), set(0..NODES));
    world.put_with(0, &file, &content(3_500, 2), on(Replicas::new(2).unwrap())).unwrap();
    assert_eq!(having(&mut world, 0, &file, 3), set([0, ranks[0], ranks[1]]));
}

#[test]
fn a_put_that_nobody_else_can_take_fails_and_shows_nothing() {
    let mut world = world();
    for host in 1..NODES {
        world.disk(host).full = true;
    }
    let failed = world.put(0, "file", &content(5_500, 1));
    assert!(matches!(failed, Err(RequestError::NotEnoughPeers { needed: 2, have: 1, .. })), "{failed:?}");
    assert_eq!(world.get(0, "file"), Err(RequestError::NotFound));
    for host in 1..NODES {
        world.disk(host).full = false;
    }
    let report = world.put(0, "file", &content(5_500, 1)).unwrap();
    assert_eq!((report.new_bytes, report.write.pending), (0, 0), "it resumes with what is here");
}

/// A node loses its disk and starts anew.
fn lose_disk(world: &mut World, host: usize) {
    world.crash(host);
    *world.disk(host) = harness::disk::MemoryDisk::default();
    world.start(host);
    world.settle();
}

/// Counts the frames that a host sends and that are so, by receiver.
fn count(world: &mut World, from: usize, is_wanted: fn(&Frame) -> bool) -> Rc<RefCell<BTreeMap<usize, u32>>> {
    let counted = Rc::new(RefCell::new(BTreeMap::new()));
    let counts = counted.clone();
    world.meddle = Some(Box::new(move |sender, to, frame| {
        if sender == from && is_wanted(frame) {
            *counts.borrow_mut().entry(to).or_default() += 1;
        }
        true
    }));
    counted
}

#[test]
fn who_holds_nothing_asks_those_who_are_likely_to() {
    let mut world = world();
    let bytes = content(5_500, 1);
    let file = file_of(&world, 0, false);
    world.put(0, &file, &bytes).unwrap();
    // Nobody hears it ask for its owner's names, nor compares with it, or it would know this one again.
    world.meddle = Some(Box::new(|from, to, frame| {
        from != 0 && to != 0 || !matches!(frame, Frame::Scan { .. } | Frame::Sync { .. })
    }));
    lose_disk(&mut world, 0);
    let asked = count(&mut world, 0, |frame| matches!(frame, Frame::Find { .. }));
    assert_eq!(world.get(0, &file).unwrap(), bytes);
    let likely = ranked(&world, 0, &file).into_iter().filter(|host| *host != 0).take(5).collect::<BTreeSet<_>>();
    assert_eq!(asked.borrow().keys().copied().collect::<BTreeSet<_>>(), likely);
}

#[test]
fn what_lies_with_none_of_those_is_found_with_anybody() {
    let mut world = World::with(NODES, |_, config| kept_on(2, config));
    let bytes = content(5_500, 1);
    let file = (0..100).map(|number| format!("file {number}")).find(|file| ranked(&world, 0, file)[6] == 0).unwrap();
    let ranks = ranked(&world, 0, &file);
    for host in &ranks[..4] {
        world.crash(*host);
    }
    world.run_for(Duration::from_secs(1));
    world.put(0, &file, &bytes).unwrap();
    assert_eq!(having(&mut world, 0, &file, 1), set([0, ranks[4], ranks[5]]));
    world.crash(0);
    for host in &ranks[..4] {
        world.start(*host);
    }
    lose_disk(&mut world, 0);
    world.run_for(Duration::from_secs(60));
    assert_eq!(world.get(0, &file).unwrap(), bytes);
    assert_eq!(world.get(0, "another file"), Err(RequestError::NotFound));
}

#[test]
fn a_file_is_not_said_to_be_absent_while_all_its_holders_are_away() {
    let mut world = world();
    let file = file_of(&world, 0, false);
    world.put(0, &file, &content(5_500, 1)).unwrap();
    let ranks = ranked(&world, 0, &file);
    lose_disk(&mut world, 0);
    for holder in &ranks[..3] {
        world.crash(*holder);
    }
    world.run_for(Duration::from_secs(1));
    let failed = world.get(0, &file);
    assert!(matches!(failed, Err(RequestError::Unavailable(_))), "{failed:?}");
    world.start(ranks[2]);
    world.run_for(Duration::from_secs(60));
    assert_eq!(world.get(0, &file).unwrap(), content(5_500, 1));
}

#[test]
fn an_evict_asks_the_holders_and_who_lacks_the_file_fetches_it() {
    let mut world = world();
    let bytes = content(5_500, 1);
    let file = file_of(&world, 0, true);
    let ranks = ranked(&world, 0, &file);
    let holders: Vec<usize> = ranks[..3].iter().copied().filter(|host| *host != 0).collect();
    world.disk(holders[0]).full = true;
    world.put(0, &file, &bytes).unwrap();
    assert!(!having(&mut world, 0, &file, 1).contains(&holders[0]));
    world.disk(holders[0]).full = false;
    let asked = count(&mut world, 0, |frame| matches!(frame, Frame::AskPromise { .. }));
    let What::Evicted { promised_by, .. } = world.ask(0, Command::Evict { name: name(&file) }) else { panic!() };
    let promisers: BTreeSet<NodeId> = promised_by.into_iter().collect();
    assert_eq!(promisers, holders.iter().map(|host| world.id(*host)).collect());
    assert_eq!(asked.borrow().keys().copied().collect::<BTreeSet<_>>(), set(holders.iter().copied()));
    assert_eq!(world.get(0, &file).unwrap(), bytes);
    let have = having(&mut world, 0, &file, 1);
    assert!(holders.iter().all(|holder| have.contains(holder)), "{have:?}");
}

#[test]
fn an_evict_asks_on_when_a_holder_refuses() {
    let mut world = world();
    let file = file_of(&world, 0, true);
    let ranks = ranked(&world, 0, &file);
    let holders: Vec<usize> = ranks[..3].iter().copied().filter(|host| *host != 0).collect();
    world.put(0, &file, &content(5_500, 1)).unwrap();
    world.crash(holders[0]);
    world.run_for(Duration::from_secs(1));
    let What::Evicted { promised_by, .. } = world.ask(0, Command::Evict { name: name(&file) }) else { panic!() };
    let promisers: BTreeSet<NodeId> = promised_by.into_iter().collect();
    assert_eq!(promisers, [holders[1], ranks[3]].map(|host| world.id(host)).into());
}

#[test]
fn a_stat_tells_who_is_to_hold_a_file_and_who_does() {
    let mut world = world();
    let file = file_of(&world, 0, false);
    let ranks = ranked(&world, 0, &file);
    world.disk(ranks[1]).full = true;
    world.put(0, &file, &content(5_500, 1)).unwrap();
    let command = Command::Stat { name: name(&file), version: None, holders: true };
    let What::Stat(stat) = world.ask(0, command) else { panic!() };
    assert_eq!(stat.replicas, Replicas::default());
    assert_eq!(stat.placed, ranks[..3].iter().map(|host| world.id(*host)).collect::<Vec<_>>());
    let holders: BTreeSet<NodeId> = stat.holders.unwrap().into_iter().collect();
    assert!(stat.local && holders.contains(&world.id(ranks[0])) && !holders.contains(&world.id(ranks[1])));
}
