//! How soon nodes find what differs, and what that costs them, in clusters of many sizes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::harness::{self, World, content, name};
use forever_core::codec::{Bincode, Codec};
use forever_core::config::{CheckpointPace, Config};
use forever_core::frame::Frame;
use forever_core::ids::NodeId;
use forever_core::placement::{Candidate, Group, Replicas, rank};
use forever_core::record::Retention;
use forever_core::secrets::OwnerSecret;

const MINUTE: Duration = Duration::from_secs(60);

const NEVER: Duration = Duration::from_secs(1 << 30);

/// Files on three nodes, and no checkpoints. Heartbeats are few: they are not what is looked at here.
fn on_three(config: Config) -> Config {
    let checkpoints = CheckpointPace { quiet: NEVER, wait_max: NEVER, ..config.checkpoints };
    let retention = Retention { replicas: Replicas::default(), ..config.retention };
    Config { retention, checkpoints, heartbeat: MINUTE, link_timeout: MINUTE * 4, ..config }
}

fn world(count: usize) -> World {
    let mut world = World::with(count, |_, config| on_three(config));
    world.run_for(MINUTE);
    world
}

/// The hosts that are to hold a file of a host.
fn holders(world: &World, count: usize, owner: usize, file: &str) -> Vec<usize> {
    let candidate = |host| Candidate { node: world.id(host), weight: 100, zone: String::new() };
    let candidates: Vec<Candidate> = (0..count).map(candidate).collect();
    let ranked = rank(Group::of(world.keys(owner).name_id(&name(file))), &candidates);
    let place = |node: NodeId| (0..count).find(|host| world.id(*host) == node).unwrap();
    ranked.into_iter().take(3).map(place).collect()
}

fn records(world: &mut World, host: usize) -> usize {
    world.disk(host).index.keys().filter(|key| key.starts_with(b"R")).count()
}

/// Counts frames and their bytes, by kind, data left out.
fn listen(world: &mut World) -> Rc<RefCell<BTreeMap<String, (usize, usize)>>> {
    let heard = Rc::new(RefCell::new(BTreeMap::new()));
    let hear = Rc::clone(&heard);
    world.meddle = Some(Box::new(move |_, _, frame: &mut Frame| {
        let mut header = Vec::new();
        Bincode.encode(frame, &mut header);
        let shown = format!("{frame:?}");
        let kind = shown.split([' ', '(']).next().unwrap_or_default().to_owned();
        let mut heard = hear.borrow_mut();
        let (frames, bytes) = heard.entry(kind).or_insert((0, 0));
        *frames += 1;
        *bytes += header.len();
        true
    }));
    heard
}

/// Frames and bytes of comparisons.
fn of_comparisons(heard: &RefCell<BTreeMap<String, (usize, usize)>>) -> (usize, usize) {
    let kinds = ["Sync", "Synced", "Compare", "Compared", "FindItems", "Found", "Tell", "Told"];
    let heard = heard.borrow();
    let of_kinds = kinds.iter().filter_map(|kind| heard.get(*kind));
    of_kinds.fold((0, 0), |(frames, bytes), (more, longer)| (frames + more, bytes + longer))
}

/// A holder that the writer cannot reach gets the file from the others: how long does that take?
fn time_to_find(count: usize) -> Duration {
    let mut world = world(count);
    let file = |number: usize| format!("file {number}");
    let writer = 0;
    let number = (0..).find(|number| !holders(&world, count, writer, &file(*number)).contains(&writer)).unwrap();
    let holder = holders(&world, count, writer, &file(number))[0];
    world.run_for(MINUTE);
    let before = records(&mut world, holder);
    world.meddle = Some(Box::new(move |from, to, _| (from, to) != (writer, holder)));
    world.put(writer, &file(number), &content(3_000, 1)).unwrap();
    let mut waited = Duration::ZERO;
    while records(&mut world, holder) == before {
        world.run_for(Duration::from_secs(1));
        waited += Duration::from_secs(1);
        assert!(waited < MINUTE * 10, "it is never found");
    }
    waited
}

#[test]
fn a_difference_is_found_in_a_time_that_does_not_grow_with_the_cluster() {
    for count in [5, 40] {
        let waited = time_to_find(count);
        println!("{count} nodes: {waited:?}");
        assert!(waited <= Duration::from_secs(30), "{count} nodes: {waited:?}");
    }
}

/// Frames and bytes of comparisons that a node sends in a minute of rest, with some files to be compared.
fn at_rest(count: usize) -> (f64, f64) {
    let mut world = world(count);
    for number in 0..count * 2 {
        world.put(number % count, &format!("file {number}"), &content(100, 1)).unwrap();
    }
    world.run_for(MINUTE * 3);
    let heard = listen(&mut world);
    let minutes = 5;
    world.run_for(MINUTE * minutes);
    let (frames, bytes) = of_comparisons(&heard);
    let per = f64::from(minutes) * count as f64;
    println!("{count} nodes: {:.1} frames, {:.0} bytes a node and minute", frames as f64 / per, bytes as f64 / per);
    println!("{:?}", heard.borrow());
    (frames as f64 / per, bytes as f64 / per)
}

#[test]
fn what_a_node_at_rest_sends_to_compare_does_not_grow_with_the_cluster() {
    let (few, few_bytes) = at_rest(10);
    let (many, many_bytes) = at_rest(40);
    assert!(few > 10.0, "all compare");
    assert!(many < few * 1.2 && many_bytes < few_bytes * 1.2, "{few} {many}, {few_bytes} {many_bytes}");
}

/// For the figures in the README.
#[test]
#[ignore = "takes a minute"]
fn what_nodes_at_rest_send_to_compare() {
    for count in [10, 50, 100] {
        at_rest(count);
    }
}

#[test]
fn only_those_are_compared_with_at_once_with_whom_a_node_shares_something_new() {
    let count = 30;
    let mut world = world(count);
    let file = "file";
    world.put(0, file, &content(3_000, 1)).unwrap();
    world.run_for(MINUTE * 3);
    let heard = listen(&mut world);
    let config = Config { chunk_size: 1_000, bootstrap: vec![harness::address(0)], ..Config::default() };
    let config = on_three(Config { listen: vec![harness::address(count)], ..config });
    let joined = world.add(OwnerSecret::new([u8::try_from(count).unwrap() + 1; 32]), config);
    world.run_for(Duration::from_secs(20));
    let sync = heard.borrow().get("Sync").map_or(0, |(frames, _)| *frames);
    // The one that joins compares with all, and all with it; besides, each has one turn an interval.
    let turns = 20 / 5 * (count + 1);
    assert!(sync <= 2 * count + turns + 10, "{sync} comparisons when {joined} joined");
}
