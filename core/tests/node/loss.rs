//! How soon nodes do their part when others come or go.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use crate::harness::{self, World, content, name};
use bytes::Bytes;
use forever_core::config::{CheckpointPace, Config};
use forever_core::frame::Frame;
use forever_core::ids::NodeId;
use forever_core::placement::{Candidate, Group, Replicas, rank};
use forever_core::record::Retention;
use forever_core::secrets::OwnerSecret;

const NODES: usize = 20;
const FILES: usize = 10;
const REPAIR_AFTER: Duration = Duration::from_secs(60);

/// In which SWIM finds that a member does not answer.
const NOTICED: Duration = Duration::from_secs(6);

/// In which those that share something new have compared.
const COMPARED: Duration = Duration::from_secs(3);

/// Files on three nodes, and no checkpoints.
fn on_three(config: Config) -> Config {
    let never = Duration::from_secs(1 << 30);
    let checkpoints = CheckpointPace { quiet: never, wait_max: never, ..config.checkpoints };
    let retention = Retention { replicas: Replicas::default(), ..config.retention };
    Config { retention, checkpoints, repair_after: REPAIR_AFTER, ..config }
}

fn file(number: usize) -> String {
    format!("file {number}")
}

/// A cluster in which each node has put some files.
fn filled(configure: impl Fn(usize, Config) -> Config) -> World {
    let mut world = World::with(NODES, |host, config| configure(host, on_three(config)));
    world.run_for(Duration::from_secs(10));
    for owner in 0..NODES {
        for number in 0..FILES {
            world.put(owner, &file(number), &content(100, 1)).unwrap();
        }
    }
    world.run_for(Duration::from_secs(60));
    world
}

/// How many files a host is to hold if another is no member.
fn share(world: &World, host: usize, dead: usize) -> Vec<(usize, usize)> {
    let candidate = |host| Candidate { node: world.id(host), weight: 100, zone: String::new() };
    let candidates: Vec<Candidate> = (0..NODES).filter(|host| *host != dead).map(candidate).collect();
    let files = (0..NODES).flat_map(|owner| (0..FILES).map(move |number| (owner, number)));
    let is_its = |(owner, number): &(usize, usize)| {
        let group = Group::of(world.keys(*owner).name_id(&name(&file(*number))));
        rank(group, &candidates).into_iter().take(3).any(|node| node == world.id(host))
    };
    files.filter(is_its).collect()
}

/// Of its share, what a host has no record of.
fn lacking(world: &mut World, host: usize, dead: usize) -> usize {
    let share = share(world, host, dead);
    let held: BTreeSet<Bytes> = world.disk(host).index.keys().cloned().collect();
    let lacks = |(owner, number): &&(usize, usize)| {
        let keys = world.keys(*owner);
        let prefix = [&b"R"[..], &keys.owner_id().0, &keys.name_id(&name(&file(*number))).0].concat();
        let range = Bytes::copy_from_slice(&prefix)..;
        !held.range(range).next().is_some_and(|key| key.starts_with(&prefix))
    };
    share.iter().filter(lacks).count()
}

/// The host that lacks most once another is no member.
fn heir(world: &mut World, dead: usize) -> usize {
    let others = (0..NODES).filter(|host| *host != dead);
    others.max_by_key(|host| lacking(world, *host, dead)).unwrap()
}

#[test]
fn what_a_node_held_that_died_is_soon_with_those_that_take_its_place() {
    let mut world = filled(|_, config| config);
    let dead = 7;
    let lost: usize = (0..NODES).filter(|host| *host != dead).map(|host| lacking(&mut world, host, dead)).sum();
    assert!(lost > NODES, "there is something to be replaced: {lost}");
    world.crash(dead);
    // The time in which it is found that it does not answer is part of that in which it may come back.
    world.run_for(REPAIR_AFTER - Duration::from_secs(1));
    let early: usize = (0..NODES).filter(|host| *host != dead).map(|host| lacking(&mut world, host, dead)).sum();
    assert_eq!(early, lost, "nothing moves while it may come back");
    world.run_for(Duration::from_secs(1) + NOTICED + COMPARED);
    let rest: usize = (0..NODES).filter(|host| *host != dead).map(|host| lacking(&mut world, host, dead)).sum();
    assert_eq!(rest, 0, "of {lost}");
}

#[test]
fn a_node_that_counts_a_dead_one_for_longer_has_its_share_as_soon_as_it_does_not() {
    let dead = 7;
    let mut world = filled(|_, config| config);
    let heir = heir(&mut world, dead);
    let longer = Duration::from_secs(20);
    drop(world);
    let mut world = filled(|host, config| {
        let more = if host == heir { longer } else { Duration::ZERO };
        Config { repair_after: REPAIR_AFTER + more, ..config }
    });
    let lost = lacking(&mut world, heir, dead);
    assert!(lost > 1, "{lost}");
    world.crash(dead);
    world.run_for(REPAIR_AFTER + longer - Duration::from_secs(1));
    assert_eq!(lacking(&mut world, heir, dead), lost, "the others tell of what it does not take for its own");
    world.run_for(Duration::from_secs(1) + NOTICED + COMPARED);
    assert_eq!(lacking(&mut world, heir, dead), 0);
}

#[test]
fn a_node_that_shares_something_new_with_many_compares_with_one_right_after_the_other() {
    let mut world = filled(|_, config| config);
    let asked: Rc<RefCell<BTreeSet<NodeId>>> = Rc::default();
    let (noted, ids): (_, Vec<NodeId>) = (
        Rc::clone(&asked),
        (0..=NODES).map(|host| NodeId([u8::try_from(host).unwrap().wrapping_add(0xa0); 32])).collect(),
    );
    world.meddle = Some(Box::new(move |from, to, frame: &mut Frame| {
        if from == NODES && matches!(frame, Frame::Sync { .. }) {
            noted.borrow_mut().insert(ids[to]);
        }
        true
    }));
    let config =
        Config { chunk_size: 1_000, bootstrap: (0..NODES).map(harness::address).collect(), ..Config::default() };
    let config = on_three(Config { listen: vec![harness::address(NODES)], ..config });
    world.add(OwnerSecret::new([u8::try_from(NODES).unwrap() + 1; 32]), config);
    world.run_for(COMPARED);
    assert_eq!(asked.borrow().len(), NODES);
}
