//! Two devices of one owner.

use std::time::Duration;

use crate::harness::{self, World, address, name};
use forever_core::command::Command;
use forever_core::config::Config;
use forever_core::event::What;
use forever_core::secrets::OwnerSecret;

const HOUR_MS: u64 = 3_600_000;

/// A peer (0) and two devices of one owner (1, 2) that cannot reach each other; the second's clock is an hour behind.
fn two_devices() -> World {
    let mut world = World::new(1);
    for host in 1..3 {
        let config = Config { bootstrap: vec![address(0)], listen: vec![], ..harness::on_all_nodes() };
        world.add(OwnerSecret::new([9; 32]), config);
        world.set_back(host, if host == 2 { HOUR_MS } else { 0 });
    }
    world.cut(1, 2, true);
    world.settle();
    world
}

#[test]
fn a_put_of_a_device_whose_clock_is_behind_wins_when_it_is_acknowledged() {
    let mut world = two_devices();
    let first = world.put(1, "file", b"first").unwrap().file.version;
    let second = world.put(2, "file", b"second").unwrap().file.version;
    assert!(second > first, "the owner stamped again: {second:?}");
    assert_eq!(world.get(2, "file").unwrap(), b"second");
    world.run_for(Duration::from_secs(1));
    let What::Versions(versions) = world.ask(2, Command::Versions { name: name("file") }) else { panic!() };
    assert!(versions.iter().any(|version| version.version == first), "the loser stays as a version: {versions:?}");
}

#[test]
fn a_delete_of_a_device_whose_clock_is_behind_wins_when_it_is_acknowledged() {
    let mut world = two_devices();
    world.put(2, "file", b"old").unwrap();
    world.put(1, "file", b"new").unwrap();
    let What::Deleted(_) = world.ask(2, Command::Delete { name: name("file") }) else { panic!() };
    world.run_for(Duration::from_secs(1));
    assert!(world.get(2, "file").is_err());
    let What::Versions(versions) = world.ask(2, Command::Versions { name: name("file") }) else { panic!() };
    assert!(versions[0].deleted, "{versions:?}");
}
