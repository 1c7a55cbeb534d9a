//! How much a node owes the others, as it says itself: by that it may leave.

use std::time::Duration;

use forever_core::command::Command;
use forever_core::event::{RequestError, What};

use crate::harness::{World, content};

fn owed(world: &mut World, host: usize) -> u64 {
    let What::Status(status) = world.ask(host, Command::Status) else { panic!() };
    status.pending
}

/// Four nodes, one of which missed a file and has come back.
fn world_with_a_debt() -> World {
    let mut world = World::new(4);
    (0..3).for_each(|host| world.cut(host, 3, true));
    world.run_for(Duration::from_secs(20));
    let report = world.put(0, "file", &content(2_000, 1)).unwrap();
    assert_eq!(report.write.pending, 1, "{report:?}");
    assert_eq!(owed(&mut world, 0), 1);
    world
}

#[test]
fn what_was_struck_off_although_its_commit_failed_is_owed_no_more() {
    let mut world = world_with_a_debt();
    world.disk(0).strikes_in_doubt = true;
    (0..3).for_each(|host| world.cut(host, 3, false));
    world.run_for(Duration::from_secs(20));
    world.disk(0).strikes_in_doubt = false;
    world.run_for(Duration::from_secs(60));
    assert!(!world.disk(0).index.keys().any(|key| key.starts_with(b"O")), "it is off the disk");
    assert_eq!(owed(&mut world, 0), 0);
    assert_eq!(world.ask(0, Command::Leave), What::Left);
}

#[test]
fn who_is_owed_something_and_away_keeps_a_node_from_leaving() {
    let mut world = world_with_a_debt();
    let outcome = world.ask(0, Command::Leave);
    assert!(matches!(outcome, What::Failed(RequestError::StillOwed { owed: 1 })), "{outcome:?}");
}
