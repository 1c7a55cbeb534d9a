//! How nodes find each other, from as little as one address, and notice when one is gone.

use std::time::Duration;

use crate::harness::{World, address, content};
use forever_core::command::Command;
use forever_core::config::Config;
use forever_core::event::{PeerInfo, PeerState, RequestError, StatusInfo, What};
use forever_core::output::Output;
use forever_core::placement::Replicas;
use forever_core::record::Retention;
use forever_core::secrets::OwnerSecret;

fn peers(world: &mut World, host: usize) -> Vec<PeerInfo> {
    match world.ask(host, Command::Peers) {
        What::Peers(peers) => peers,
        other => panic!("{other:?}"),
    }
}

fn status(world: &mut World, host: usize) -> StatusInfo {
    match world.ask(host, Command::Status) {
        What::Status(status) => status,
        other => panic!("{other:?}"),
    }
}

/// Nodes that each dial those that `dials` tells.
fn cluster(count: usize, dials: impl Fn(usize) -> Vec<usize>) -> World {
    World::with(count, |host, config| Config { bootstrap: dials(host).into_iter().map(address).collect(), ..config })
}

fn assert_all_connected(world: &mut World, hosts: &[usize]) {
    for host in hosts {
        let peers = peers(world, *host);
        for other in hosts.iter().filter(|other| *other != host) {
            let id = world.id(*other);
            let peer = peers.iter().find(|peer| peer.node == Some(id));
            let peer = peer.unwrap_or_else(|| panic!("{host} does not know {other}: {peers:?}"));
            assert!(peer.connected && peer.state == PeerState::Alive, "{host} sees of {other} {peer:?}");
        }
    }
}

#[test]
fn in_a_chain_everybody_finds_everybody() {
    let mut world = cluster(6, |host| host.checked_sub(1).into_iter().collect());
    world.run_for(Duration::from_secs(3));
    assert_all_connected(&mut world, &[0, 1, 2, 3, 4, 5]);
    assert_eq!(status(&mut world, 5).members, 6);
}

#[test]
fn in_a_star_everybody_finds_everybody() {
    let mut world = cluster(6, |host| if host == 0 { vec![] } else { vec![0] });
    world.run_for(Duration::from_secs(3));
    assert_all_connected(&mut world, &[0, 1, 2, 3, 4, 5]);
}

#[test]
fn in_a_ring_everybody_finds_everybody() {
    let mut world = cluster(6, |host| vec![(host + 1) % 6]);
    world.run_for(Duration::from_secs(3));
    assert_all_connected(&mut world, &[0, 1, 2, 3, 4, 5]);
}

#[test]
fn two_clusters_that_meet_are_one() {
    let mut world = cluster(6, |host| match host {
        0 | 3 => vec![],
        host => vec![host - 1],
    });
    world.run_for(Duration::from_secs(3));
    let bridge = Config { bootstrap: vec![address(1), address(4)], listen: vec![address(6)], ..Config::default() };
    world.add(OwnerSecret::new([9; 32]), bridge);
    world.run_for(Duration::from_secs(5));
    assert_all_connected(&mut world, &[0, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_node_that_goes_is_down_for_all_and_alive_again_when_it_is_back() {
    let mut world = cluster(5, |host| if host == 0 { vec![] } else { vec![0] });
    world.run_for(Duration::from_secs(3));
    world.crash(2);
    world.run_for(Duration::from_secs(40));
    let gone = world.id(2);
    for host in [0, 1, 3, 4] {
        let peers = peers(&mut world, host);
        let peer = peers.iter().find(|peer| peer.node == Some(gone)).unwrap();
        assert!(matches!(peer.state, PeerState::Down { .. }), "{host} sees {peer:?}");
        let status = status(&mut world, host);
        assert_eq!((status.members, status.members_alive, status.members_down), (5, 4, 1));
    }
    world.start(2);
    world.run_for(Duration::from_secs(35));
    assert_all_connected(&mut world, &[0, 1, 2, 3, 4]);
}

#[test]
fn a_node_that_was_cut_off_until_all_took_it_for_down_comes_back() {
    let mut world = cluster(4, |host| if host == 0 { vec![] } else { vec![0] });
    world.run_for(Duration::from_secs(3));
    for other in [0, 1, 2] {
        world.cut(3, other, true);
    }
    world.run_for(Duration::from_secs(60));
    let status_of_cut = status(&mut world, 3);
    assert_eq!((status_of_cut.members_alive, status_of_cut.members_down), (1, 3));
    for other in [0, 1, 2] {
        world.cut(3, other, false);
    }
    world.run_for(Duration::from_secs(40));
    assert_all_connected(&mut world, &[0, 1, 2, 3]);
}

/// Everything is remembered: nobody has a configured address any more, and one node listens elsewhere than before.
#[test]
fn after_a_restart_of_all_the_addresses_remembered_are_enough() {
    let mut world = cluster(5, |host| if host == 0 { vec![] } else { vec![0] });
    world.run_for(Duration::from_secs(3));
    for host in 0..5 {
        world.crash(host);
        world.config(host).bootstrap.clear();
    }
    for host in [4, 2, 0, 1, 3] {
        world.start(host);
    }
    world.run_for(Duration::from_secs(5));
    assert_all_connected(&mut world, &[0, 1, 2, 3, 4]);
}

#[test]
fn after_a_restart_of_all_at_other_addresses_one_that_is_known_is_enough() {
    let mut world = cluster(5, |host| if host == 0 { vec![] } else { vec![0] });
    world.run_for(Duration::from_secs(3));
    for host in 0..5 {
        world.crash(host);
    }
    for host in 1..5 {
        world.move_to(host, host + 20);
        world.config(host).bootstrap.clear();
    }
    for host in [4, 2, 0, 1, 3] {
        world.start(host);
    }
    world.run_for(Duration::from_secs(10));
    assert_all_connected(&mut world, &[0, 1, 2, 3, 4]);
}

/// It does not know its addresses: it is told where it is seen, and tells the others.
#[test]
fn a_node_that_listens_everywhere_learns_where_it_is() {
    let mut world = World::with(4, |host, config| Config {
        bootstrap: if host == 0 { vec![] } else { vec![address(0)] },
        listen: vec![":7000".into()],
        ..config
    });
    world.run_for(Duration::from_secs(10));
    assert_all_connected(&mut world, &[0, 1, 2, 3]);
    for host in 0..4 {
        world.crash(host);
        world.config(host).bootstrap.clear();
    }
    for host in 0..4 {
        world.start(host);
    }
    world.run_for(Duration::from_secs(10));
    assert_all_connected(&mut world, &[0, 1, 2, 3]);
}

/// Its stamps begin anew, and the others believe the old ones: it hears of them and goes beyond.
#[test]
fn a_node_that_lost_its_disk_is_believed_again() {
    let mut world = cluster(4, |host| if host == 0 { vec![] } else { vec![0] });
    world.run_for(Duration::from_secs(3));
    for _ in 0..3 {
        world.crash(2);
        world.start(2);
        world.run_for(Duration::from_secs(2));
    }
    world.crash(2);
    world.disk(2).blobs.clear();
    world.disk(2).index.clear();
    world.move_to(2, 22);
    world.start(2);
    world.run_for(Duration::from_secs(30));
    assert_all_connected(&mut world, &[0, 1, 2, 3]);
    // The new address was believed: the others find it there.
    world.crash(0);
    world.start(0);
    world.run_for(Duration::from_secs(5));
    assert_all_connected(&mut world, &[0, 1, 2, 3]);
}

#[test]
fn a_put_reaches_nodes_that_were_not_configured() {
    let mut world = cluster(4, |host| host.checked_sub(1).into_iter().collect());
    world.run_for(Duration::from_secs(3));
    let report = world.put(3, "file", &content(1_500, 1)).unwrap();
    assert_eq!(report.write.replicas, 4);
    world.crash(3);
    world.crash(2);
    assert_eq!(world.put(1, "other", &content(100, 2)).unwrap().write.replicas, 2);
}

fn leave(world: &mut World, host: usize) -> What {
    let request = world.command(host, Command::Leave);
    world.wait(host, request)
}

#[test]
fn a_node_that_leaves_counts_no_longer_and_is_not_dialled() {
    let mut world = cluster(2, |host| host.checked_sub(1).into_iter().collect());
    world.run_for(Duration::from_secs(2));
    assert_eq!(status(&mut world, 0).write_quorum, 2);
    assert_eq!(leave(&mut world, 1), What::Left);
    world.run_for(Duration::from_secs(1));
    world.crash(1);
    world.run_for(Duration::from_secs(60));
    let seen = peers(&mut world, 0);
    assert_eq!(seen.iter().map(|peer| peer.state).collect::<Vec<_>>(), [PeerState::Left]);
    let status_of_rest = status(&mut world, 0);
    assert_eq!((status_of_rest.members, status_of_rest.write_quorum, status_of_rest.members_down), (1, 1, 0));
    let report = world.put(0, "file", b"bytes").unwrap();
    assert_eq!((report.write.replicas, report.write.pending), (1, 0));
    let dials = world.take_trace(0);
    assert!(dials.iter().rev().take(20).all(|output| !matches!(output, Output::Connect { .. })));
    // A start is a new word of the node: it is a member again.
    world.start(1);
    world.run_for(Duration::from_secs(2));
    assert_all_connected(&mut world, &[0, 1]);
    assert_eq!(status(&mut world, 0).write_quorum, 2);
}

/// Five nodes that keep twelve files of the first on two nodes each, and the one of the others that holds the most.
fn five_with_files() -> (World, usize) {
    let replicas = Replicas::new(2).unwrap();
    let mut world =
        World::with(5, |_, config| Config { retention: Retention { replicas, ..config.retention }, ..config });
    for salt in 0..12 {
        world.put(0, &format!("file {salt}"), &content(5_000, salt)).unwrap();
    }
    world.run_for(Duration::from_secs(5));
    let held_by =
        |world: &mut World, host: usize| world.disk(host).index.keys().filter(|key| key.starts_with(b"R")).count();
    let leaving = (1..5).max_by_key(|host| held_by(&mut world, *host)).unwrap();
    assert!(held_by(&mut world, leaving) > 0);
    (world, leaving)
}

/// One node has just left: with its disk and the writer's gone, all of the twelve files is there.
fn assert_handed_over(mut world: World, left: usize) {
    world.crash(left);
    world.crash(0);
    let owner = world.keys(0).owner_id();
    let mut chunks = std::collections::BTreeSet::new();
    for host in (1..5).filter(|host| *host != left) {
        chunks.extend(world.disk(host).blobs.keys().filter(|blob| blob.owner == owner).map(|blob| blob.chunk));
    }
    assert_eq!(chunks.len(), 12 * 5, "each file's chunks are its own");
}

#[test]
fn a_node_that_leaves_hands_over_what_it_holds() {
    let (mut world, leaving) = five_with_files();
    assert_eq!(leave(&mut world, leaving), What::Left);
    assert_handed_over(world, leaving);
}

#[test]
fn a_node_does_not_leave_while_those_who_are_to_have_what_it_holds_are_out_of_reach() {
    let (mut world, leaving) = five_with_files();
    let away: Vec<usize> = (1..5).filter(|host| *host != leaving).take(2).collect();
    for host in &away {
        world.crash(*host);
    }
    let outcome = leave(&mut world, leaving);
    assert!(matches!(outcome, What::Failed(RequestError::StillOwed { .. })), "{outcome:?}");
    for host in &away {
        world.start(*host);
    }
    world.run_for(Duration::from_secs(10));
    assert_eq!(leave(&mut world, leaving), What::Left);
    assert_handed_over(world, leaving);
}

#[test]
fn a_node_that_owes_a_write_does_not_leave_and_stays_a_member() {
    let mut world = cluster(3, |host| host.checked_sub(1).into_iter().collect());
    world.run_for(Duration::from_secs(2));
    world.crash(0);
    world.put(2, "file", b"bytes").unwrap();
    assert_eq!(leave(&mut world, 2), What::Failed(RequestError::StillOwed { owed: 1 }));
    world.run_for(Duration::from_millis(100));
    assert_eq!(status(&mut world, 1).members, 3);
    world.start(0);
    world.run_for(Duration::from_secs(40));
    assert_eq!(leave(&mut world, 2), What::Left);
    world.run_for(Duration::from_secs(5));
    assert_eq!((status(&mut world, 0).members, status(&mut world, 1).members), (2, 2));
}

#[test]
fn a_node_that_is_forgotten_counts_no_longer_and_nothing_is_owed_to_it() {
    let mut world = cluster(4, |host| host.checked_sub(1).into_iter().collect());
    world.run_for(Duration::from_secs(2));
    let gone = world.id(3);
    let forget = Command::Forget { node: gone };
    assert_eq!(world.ask(0, forget.clone()), What::Failed(RequestError::MemberAlive));
    world.crash(3);
    world.put(1, "file", b"bytes").unwrap();
    world.run_for(Duration::from_secs(40));
    assert_eq!(status(&mut world, 1).pending, 1);
    assert_eq!(world.ask(0, forget.clone()), What::Forgotten);
    assert_eq!(world.ask(0, forget), What::Failed(RequestError::NoSuchMember));
    world.run_for(Duration::from_secs(5));
    for host in 0..3 {
        let status = status(&mut world, host);
        assert_eq!((status.members, status.pending), (3, 0), "{host}");
        assert!(peers(&mut world, host).iter().all(|peer| peer.node != Some(gone)));
    }
    // It was not gone for good: its own word holds.
    world.start(3);
    world.run_for(Duration::from_secs(5));
    assert_all_connected(&mut world, &[0, 1, 2, 3]);
}

#[test]
fn a_node_that_is_cut_off_and_forgotten_contradicts_when_it_hears_of_it() {
    let mut world = cluster(3, |host| host.checked_sub(1).into_iter().collect());
    world.run_for(Duration::from_secs(2));
    world.cut(2, 0, true);
    world.cut(2, 1, true);
    world.run_for(Duration::from_secs(40));
    let cut_off = world.id(2);
    assert_eq!(world.ask(0, Command::Forget { node: cut_off }), What::Forgotten);
    world.run_for(Duration::from_secs(5));
    assert_eq!(status(&mut world, 1).members, 2);
    world.cut(2, 0, false);
    world.cut(2, 1, false);
    world.run_for(Duration::from_secs(60));
    assert_all_connected(&mut world, &[0, 1, 2]);
}

#[test]
fn an_address_at_which_a_node_was_found_is_dialled() {
    let mut world = cluster(2, |_| vec![]);
    assert_eq!(status(&mut world, 0).members, 1);
    world.command_quietly(0, Command::Discovered { address: address(1) });
    world.command_quietly(0, Command::Discovered { address: address(7) });
    world.run_for(Duration::from_secs(60));
    assert_all_connected(&mut world, &[0, 1]);
    world.take_trace(0);
    world.run_for(Duration::from_secs(60));
    let trace = world.take_trace(0);
    assert!(!trace.iter().any(|output| matches!(output, Output::Connect { .. })), "what leads nowhere is given up");
}
