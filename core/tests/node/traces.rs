//! The whole of what nodes do in each scenario, output by output: a change of the protocol shows here, and nowhere else.

use std::time::Duration;

use crate::harness::render::render;
use crate::harness::{World, content, name};
use forever_core::command::Command;
use forever_core::frame::Frame;

/// Lets what a scenario set off come to its end, short of the next heartbeat, and returns what a host did.
fn trace(world: &mut World, host: usize) -> String {
    world.run_for(Duration::from_millis(100));
    render(&world.take_trace(host))
}

fn fresh(count: usize) -> World {
    let mut world = World::new(count);
    for host in 0..count {
        world.take_trace(host);
    }
    world
}

#[test]
fn start_and_greeting() {
    let mut world = World::new(2);
    insta::assert_snapshot!("start_of_the_dialled", render(&world.take_trace(0)));
    insta::assert_snapshot!("start_of_the_dialler", render(&world.take_trace(1)));
}

#[test]
fn put_to_one_peer() {
    let mut world = fresh(2);
    world.put(1, "file", &content(1_500, 1)).unwrap();
    insta::assert_snapshot!("put_at_the_owner", trace(&mut world, 1));
    insta::assert_snapshot!("put_at_the_peer", trace(&mut world, 0));
}

#[test]
fn put_of_what_is_held_already() {
    let mut world = fresh(2);
    world.put(1, "file", &content(1_500, 1)).unwrap();
    trace(&mut world, 1);
    world.put(1, "file", &content(1_500, 1)).unwrap();
    insta::assert_snapshot!("second_put_at_the_owner", trace(&mut world, 1));
}

#[test]
fn get_of_what_is_here() {
    let mut world = fresh(1);
    world.put(0, "file", &content(1_500, 1)).unwrap();
    trace(&mut world, 0);
    world.get(0, "file").unwrap();
    insta::assert_snapshot!("get_of_what_is_here", trace(&mut world, 0));
}

#[test]
fn evict_and_get_from_two_holders() {
    let mut world = fresh(3);
    world.put(2, "file", &content(1_500, 1)).unwrap();
    for host in 0..3 {
        trace(&mut world, host);
    }
    world.ask(2, Command::Evict { name: name("file") });
    insta::assert_snapshot!("evict_at_the_owner", trace(&mut world, 2));
    insta::assert_snapshot!("evict_at_a_peer", trace(&mut world, 0));
    world.get(2, "file").unwrap();
    insta::assert_snapshot!("get_from_two_holders", trace(&mut world, 2));
    insta::assert_snapshot!("get_at_a_holder", trace(&mut world, 0));
}

#[test]
fn get_of_what_nobody_has() {
    let mut world = fresh(3);
    world.get(2, "never").unwrap_err();
    insta::assert_snapshot!("get_of_what_nobody_has", trace(&mut world, 2));
}

#[test]
fn delete() {
    let mut world = fresh(2);
    world.put(1, "file", b"bytes").unwrap();
    for host in 0..2 {
        trace(&mut world, host);
    }
    world.ask(1, Command::Delete { name: name("file") });
    insta::assert_snapshot!("delete_at_the_owner", trace(&mut world, 1));
    insta::assert_snapshot!("delete_at_the_peer", trace(&mut world, 0));
}

#[test]
fn restore() {
    let mut world = fresh(2);
    world.put(1, "file", &content(1_500, 1)).unwrap();
    world.disk(1).blobs.clear();
    world.disk(1).index.clear();
    world.crash(1);
    world.start(1);
    world.settle();
    trace(&mut world, 1);
    world.ask(1, Command::Restore { dry_run: false });
    insta::assert_snapshot!("restore", trace(&mut world, 1));
}

#[test]
fn queries() {
    let mut world = fresh(2);
    world.put(1, "file", b"bytes").unwrap();
    trace(&mut world, 1);
    world.ask(1, Command::Stat { name: name("file"), version: None, holders: true });
    world.ask(1, Command::Versions { name: name("file") });
    world.ask(1, Command::List { prefix: String::new(), after: None, limit: 10 });
    world.ask(1, Command::Status);
    world.ask(1, Command::Peers);
    insta::assert_snapshot!("queries", trace(&mut world, 1));
}

#[test]
fn delivery_to_a_peer_that_was_away() {
    let mut world = fresh(3);
    world.crash(0);
    world.put(2, "file", &content(1_500, 1)).unwrap();
    trace(&mut world, 2);
    world.start(0);
    world.run_for(Duration::from_secs(3));
    insta::assert_snapshot!("delivery_at_the_owner", trace(&mut world, 2));
}

#[test]
fn broken_protocol() {
    let mut world = fresh(2);
    world.meddle = Some(Box::new(|from, _, frame| {
        if let (0, Frame::Find { request, owner, .. }) = (from, &*frame) {
            *frame = Frame::Scan { request: *request, owner: *owner, after: vec![1].into() };
        }
        true
    }));
    world.get(0, "never").unwrap_err();
    insta::assert_snapshot!("broken_protocol_at_the_offended", trace(&mut world, 1));
}
