//! A cluster with more members than a node keeps links to.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::harness::{self, World, address, content};
use forever_core::command::Command;
use forever_core::config::Config;
use forever_core::event::{PeerInfo, PeerState, StatusInfo, What};
use forever_core::placement::Replicas;
use forever_core::record::Retention;

const NODES: usize = 20;

const CAP: u32 = 4;

/// Twenty nodes that keep four links each and files on three nodes; one address is enough for each.
fn world() -> World {
    let mut world = World::with(NODES, |host, config| Config {
        bootstrap: (host > 0).then(|| address(0)).into_iter().collect(),
        max_peers: CAP,
        retention: Retention { replicas: Replicas::default(), ..config.retention },
        ..config
    });
    world.run_for(Duration::from_secs(20));
    world
}

fn peers(world: &mut World, host: usize) -> Vec<PeerInfo> {
    let What::Peers(peers) = world.ask(host, Command::Peers) else { panic!() };
    peers
}

fn status(world: &mut World, host: usize) -> StatusInfo {
    let What::Status(status) = world.ask(host, Command::Status) else { panic!() };
    status
}

fn assert_all_known_alive(world: &mut World, hosts: &[usize]) {
    for host in hosts {
        let peers = peers(world, *host);
        let alive = peers.iter().filter(|peer| peer.state == PeerState::Alive).count();
        assert_eq!(alive, hosts.len() - 1, "{host} sees {peers:?}");
    }
}

#[test]
fn everybody_knows_everybody_over_few_links() {
    let mut world = world();
    let all: Vec<usize> = (0..NODES).collect();
    assert_all_known_alive(&mut world, &all);
    world.run_for(Duration::from_secs(300));
    assert_all_known_alive(&mut world, &all);
    for host in all {
        let (mine, links) = world.links(host);
        assert!(mine <= CAP as usize, "node {host} has made {mine} links");
        assert!(links <= 2 * CAP as usize, "node {host} has {links} links");
    }
}

#[test]
fn what_one_puts_its_holders_have_and_everybody_of_the_cluster_can_read() {
    let mut world = world();
    let bytes = content(5_000, 1);
    let report = world.put(3, "file", &bytes).unwrap();
    assert_eq!((report.write.replicas >= 3, report.write.pending), (true, 0), "{report:?}");
    world.run_for(Duration::from_secs(200));
    let ticket = match world.ask(3, Command::Share { name: harness::name("file"), version: None, valid_ms: 3_600_000 })
    {
        What::Shared(shared) => shared.ticket,
        other => panic!("{other:?}"),
    };
    for host in 0..NODES {
        let got = world.get_with(host, Command::GetShared { ticket: ticket.clone(), range: None }).unwrap();
        assert!(got == bytes, "{host} reads something else");
    }
}

#[test]
fn a_deletion_reaches_everybody_and_its_debts_are_paid() {
    let mut world = world();
    world.put(7, "file", &content(3_000, 2)).unwrap();
    world.ask(7, Command::Delete { name: harness::name("file") });
    world.run_for(Duration::from_secs(60));
    assert_eq!(status(&mut world, 7).pending, 0);
    let owner = world.keys(7).owner_id();
    for host in 0..NODES {
        let prefix = [b"R", owner.as_bytes().as_slice(), &world.keys(7).name_id(&harness::name("file")).0].concat();
        assert!(world.disk(host).index.keys().any(|key| key.starts_with(&prefix)), "{host} has not heard of it");
    }
}

#[test]
fn a_node_that_goes_is_down_for_all_and_alive_again_when_it_is_back() {
    let mut world = world();
    world.crash(11);
    // Its two neighbours probe it once in twenty periods.
    world.run_for(Duration::from_secs(180));
    for host in (0..NODES).filter(|host| *host != 11) {
        assert_eq!(status(&mut world, host).members_down, 1, "as {host} sees it");
    }
    world.start(11);
    world.run_for(Duration::from_secs(60));
    assert_all_known_alive(&mut world, &(0..NODES).collect::<Vec<_>>());
}

#[test]
fn two_halves_that_were_cut_apart_find_each_other() {
    let mut world = world();
    let (one, other): (Vec<usize>, Vec<usize>) = (0..NODES).partition(|host| *host < NODES / 2);
    let cut = |world: &mut World, is_cut| {
        for a in &one {
            other.iter().for_each(|b| world.cut(*a, *b, is_cut));
        }
    };
    cut(&mut world, true);
    world.run_for(Duration::from_secs(400));
    for host in 0..NODES {
        assert_eq!(status(&mut world, host).members_down as usize, NODES / 2, "as {host} sees it");
    }
    cut(&mut world, false);
    world.run_for(Duration::from_secs(120));
    assert_all_known_alive(&mut world, &(0..NODES).collect::<Vec<_>>());
}

#[test]
fn a_node_that_leaves_hands_over_to_members_without_a_link() {
    let mut world = world();
    let bytes: Vec<Vec<u8>> = (0..6).map(|salt| content(2_000, salt)).collect();
    for (number, bytes) in bytes.iter().enumerate() {
        world.put(0, &format!("file {number}"), bytes).unwrap();
    }
    for host in [5, 12] {
        assert_eq!(world.ask(host, Command::Leave), What::Left);
    }
    world.run_for(Duration::from_secs(30));
    for (number, bytes) in bytes.iter().enumerate() {
        let having = having(&mut world, 0, &format!("file {number}"));
        let staying: BTreeSet<usize> = having.into_iter().filter(|host| ![5, 12].contains(host)).collect();
        assert!(staying.len() >= 3, "file {number} is on {staying:?}");
        assert!(world.get(0, &format!("file {number}")).unwrap() == *bytes);
    }
}

/// The hosts that have a record of a file of a host.
fn having(world: &mut World, owner: usize, file: &str) -> BTreeSet<usize> {
    let keys = world.keys(owner);
    let prefix = [b"R", keys.owner_id().as_bytes().as_slice(), &keys.name_id(&harness::name(file)).0].concat();
    (0..NODES).filter(|host| world.disk(*host).index.keys().any(|key| key.starts_with(&prefix))).collect()
}
