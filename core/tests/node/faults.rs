//! What callers get from a node when peers are slow, gone, lying or corrupt.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::harness::{self, World, content, name};
use bytes::Bytes;
use forever_core::command::Command;
use forever_core::event::{RequestError, What};
use forever_core::frame::Frame;
use forever_core::secrets::OwnerSecret;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_get_uses_several_holders_at_once() {
    let bytes = content(64_000, 1);
    let mut world = World::evicted(&bytes);
    world.sent = vec![0; 3];
    assert_eq!(world.get(2, "file").unwrap(), bytes);
    assert!(world.sent[0] > 20_000 && world.sent[1] > 20_000, "{:?}", world.sent);
}

#[test]
fn a_holder_that_crashes_in_mid_get_is_replaced() {
    let bytes = content(200_000, 2);
    let mut world = World::evicted(&bytes);
    let request = world.command(2, Command::Get { name: name("file"), version: None, range: None });
    let mut got = Vec::new();
    loop {
        match world.wait(2, request) {
            What::GetStart { .. } => {}
            What::GetData(plain) => {
                got.extend_from_slice(&plain.0);
                if got.len() == 20_000 {
                    world.crash(0);
                }
                world.command_quietly(2, Command::GetCredit { request, bytes: plain.0.len() as u64 });
            }
            What::GetDone => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(got, bytes);
}

#[test]
fn a_corrupt_blob_on_one_peer_costs_nothing_but_time() {
    let bytes = content(30_000, 3);
    let mut world = World::evicted(&bytes);
    let blobs: Vec<_> = world.disk(0).blobs.keys().copied().collect();
    world.disk(0).damaged.extend(blobs);
    assert_eq!(world.get(2, "file").unwrap(), bytes);
}

#[test]
fn a_liar_is_found_out_and_another_holder_asked() {
    let bytes = content(30_000, 4);
    let mut world = World::evicted(&bytes);
    world.meddle = Some(Box::new(|from, _, frame| {
        if let (0, Frame::Data { payload, .. }) = (from, frame) {
            *payload = Bytes::from(vec![7; payload.len()]).into();
        }
        true
    }));
    assert_eq!(world.get(2, "file").unwrap(), bytes);
    let What::Status(status) = world.ask(2, Command::Status) else { panic!() };
    assert!(status.protocol_errors > 0, "the lie is counted");
}

#[test]
fn a_peer_that_stalls_is_asked_no_more() {
    let bytes = content(30_000, 5);
    let mut world = World::evicted(&bytes);
    world.meddle = Some(Box::new(|from, _, frame| !(from == 0 && matches!(frame, Frame::Data { .. }))));
    assert_eq!(world.get(2, "file").unwrap(), bytes);
}

#[test]
fn bytes_that_exist_nowhere_are_an_error_and_not_a_file() {
    let bytes = content(30_000, 6);
    let mut world = World::evicted(&bytes);
    for host in 0..2 {
        world.disk(host).blobs.clear();
    }
    let error = world.get(2, "file").unwrap_err();
    assert!(matches!(error, RequestError::Unavailable(_)), "{error:?}");
}

#[test]
fn nothing_is_found_as_soon_as_all_peers_have_said_so() {
    let mut world = World::new(3);
    assert_eq!(world.get(2, "never"), Err(RequestError::NotFound));
}

#[test]
fn a_silent_peer_delays_not_found_by_its_deadline_only() {
    let mut world = World::new(3);
    world.meddle = Some(Box::new(|from, _, frame| !(from == 0 && matches!(frame, Frame::Records { .. }))));
    let error = world.get(2, "never").unwrap_err();
    assert!(matches!(error, RequestError::Unavailable(_)), "{error:?}");
}

#[test]
fn a_put_does_not_wait_for_a_dead_peer() {
    let mut world = World::new(3);
    world.crash(0);
    let report = world.put(2, "file", &content(50_000, 7)).unwrap();
    assert_eq!((report.write.replicas, report.write.pending), (2, 1));
}

#[test]
fn a_put_does_not_wait_long_for_a_peer_that_stalls() {
    let mut world = World::new(3);
    world.meddle = Some(Box::new(|from, _, frame| {
        !(from == 0 && matches!(frame, Frame::Stored { .. } | Frame::Want { .. } | Frame::Announced { .. }))
    }));
    let bytes = content(50_000, 8);
    let report = world.put(2, "file", &bytes).unwrap();
    assert_eq!((report.write.replicas, report.write.pending), (2, 1));
}

#[test]
fn a_put_that_too_few_nodes_can_take_fails_and_shows_nothing() {
    let mut world = World::new(3);
    world.crash(0);
    world.crash(1);
    world.run_for(SECOND);
    let error = world.put(2, "file", &content(5_000, 9)).unwrap_err();
    assert!(matches!(error, RequestError::NotEnoughPeers { needed: 2, have: 1, .. }), "{error:?}");
    assert_eq!(world.get(2, "file").unwrap_err(), RequestError::Unavailable(unreachable(&error)));
    world.start(0);
    world.run_for(40 * SECOND);
    world.put(2, "file", &content(5_000, 9)).unwrap();
}

/// What a get adds to its error about the peers is what the put said of them.
fn unreachable(error: &RequestError) -> String {
    let RequestError::NotEnoughPeers { why, .. } = error else { panic!() };
    format!("no peer is connected that could be asked. {why}")
}

#[test]
fn a_peer_that_was_away_gets_the_put_and_the_delete_it_missed() {
    let mut world = World::new(3);
    world.put(2, "old", &content(3_000, 10)).unwrap();
    world.crash(0);
    world.put(2, "new", &content(9_000, 11)).unwrap();
    world.ask(2, Command::Delete { name: name("old") });
    world.start(0);
    world.run_for(60 * SECOND);
    assert_eq!(world.disk(0).blobs.len(), 12);
    let What::Status(status) = world.ask(2, Command::Status) else { panic!() };
    assert_eq!(status.pending, 0);
    let records = world.disk(0).index.keys().filter(|key| key.starts_with(b"R")).count();
    assert_eq!(records, 4, "and a checkpoint");
}

#[test]
fn deliveries_owed_survive_a_restart_of_the_owner() {
    let mut world = World::new(3);
    world.crash(0);
    world.put(2, "new", &content(9_000, 12)).unwrap();
    world.crash(2);
    world.start(2);
    world.run_for(SECOND);
    world.start(0);
    world.run_for(60 * SECOND);
    assert_eq!(world.disk(0).blobs.len(), 9);
}

#[test]
fn a_put_resumed_after_a_crash_sends_only_what_is_missing() {
    let mut world = World::new(3);
    let bytes = content(200_000, 13);
    let mut run = world.start_put(2, "file", &bytes);
    while world.disk(0).blobs.len() < 100 {
        assert!(world.go_on(2, &mut run).is_none(), "the put must not end before the crash");
    }
    world.crash(2);
    world.start(2);
    world.run_for(5 * SECOND);
    let here = world.disk(2).blobs.len() as u64;
    let there: u64 = (0..2).map(|host| world.disk(host).blobs.len() as u64).sum();
    let report = world.put(2, "file", &bytes).unwrap();
    assert_eq!(report.new_bytes, (200 - here) * 1_016);
    assert_eq!(report.sent_bytes, (400 - there) * 1_016);
    assert_eq!(world.get(2, "file").unwrap(), bytes);
}

#[test]
fn a_full_disk_fails_the_put_and_what_was_stored_stays() {
    let mut world = World::new(3);
    world.put(2, "before", &content(3_000, 14)).unwrap();
    world.disk(2).full = true;
    assert_eq!(world.put(2, "file", &content(9_000, 15)).unwrap_err(), RequestError::DiskFull);
    assert_eq!(world.get(2, "before").unwrap(), content(3_000, 14));
    assert_eq!(world.get(2, "file").unwrap_err(), RequestError::NotFound);
}

#[test]
fn a_full_disk_of_one_peer_fails_no_put() {
    let mut world = World::new(3);
    world.disk(0).full = true;
    let report = world.put(2, "file", &content(9_000, 16)).unwrap();
    assert_eq!((report.write.replicas, report.write.pending), (2, 1));
}

#[test]
fn a_namespace_is_restored_from_its_phrase_on_an_empty_node() {
    let mut world = World::new(3);
    let files: Vec<_> = (0..80u8).map(|n| (format!("dir/{n:02}"), content(usize::from(n) * 100, n))).collect();
    for (file, bytes) in &files {
        world.put(2, file, bytes).unwrap();
    }
    world.put(2, "dir/00", b"again").unwrap();
    world.ask(2, Command::Delete { name: name("dir/01") });
    world.crash(2);
    let config = forever_core::config::Config {
        bootstrap: vec![harness::address(0), harness::address(1)],
        listen: vec![harness::address(3)],
        chunk_size: 1_000,
        ..Default::default()
    };
    let fresh = world.add(OwnerSecret::new([3; 32]), config);
    let what = world.ask(fresh, Command::Restore { dry_run: false });
    let What::Restored(report) = what else { panic!("{what:?}") };
    assert_eq!((report.records, report.files, report.missing), (82, 81, 0));
    let list = Command::List { prefix: String::new(), after: None, limit: 1_000 };
    let What::Listed { files: listed, .. } = world.ask(fresh, list) else { panic!() };
    assert_eq!(listed.len(), 79);
    // Nobody is asked any more: all of it is here.
    world.crash(0);
    world.crash(1);
    for (file, bytes) in &files[2..] {
        assert_eq!(world.get(fresh, file).unwrap(), *bytes, "{file}");
    }
    assert_eq!(world.get(fresh, "dir/00").unwrap(), b"again");
}

#[test]
fn a_restore_without_peers_says_so() {
    let mut world = World::new(1);
    let what = world.ask(0, Command::Restore { dry_run: false });
    assert!(matches!(what, What::Failed(RequestError::Unavailable(_))), "{what:?}");
}

#[test]
fn a_peer_that_breaks_the_protocol_repeatedly_is_banned_for_a_while() {
    let mut world = World::new(2);
    let hellos = Rc::new(RefCell::new(0));
    let seen = Rc::clone(&hellos);
    world.meddle = Some(Box::new(move |from, _, frame| {
        if from == 1 && matches!(frame, Frame::Hello(_)) {
            *seen.borrow_mut() += 1;
            *frame = Frame::Pong { nonce: 0 };
        }
        true
    }));
    world.cut(0, 1, true);
    world.run_for(SECOND);
    world.cut(0, 1, false);
    world.run_for(120 * SECOND);
    let What::Status(status) = world.ask(0, Command::Status) else { panic!() };
    assert_eq!(status.protocol_errors, 3, "the third offence bans, and a banned peer cannot offend");
    world.meddle = None;
    world.run_for(400 * SECOND);
    let What::Status(status) = world.ask(0, Command::Status) else { panic!() };
    assert_eq!(status.peers_connected, 1, "a ban ends");
}

#[test]
fn nodes_that_dial_each_other_at_once_keep_one_link() {
    let mut world = World::with(2, |host, config| forever_core::config::Config {
        bootstrap: vec![harness::address(1 - host)],
        ..config
    });
    world.run_for(60 * SECOND);
    for host in 0..2 {
        let What::Peers(peers) = world.ask(host, Command::Peers) else { panic!() };
        assert_eq!(peers.len(), 1, "{peers:?}");
        assert!(peers[0].connected);
    }
}

#[test]
fn a_node_that_dials_itself_keeps_no_link_and_does_not_try_again() {
    let mut world = World::with(1, |host, config| forever_core::config::Config {
        bootstrap: vec![harness::address(host)],
        ..config
    });
    world.take_trace(0);
    world.run_for(600 * SECOND);
    let dials = world.take_trace(0).iter().filter(|output| format!("{output:?}").starts_with("Connect")).count();
    assert_eq!(dials, 0);
    world.put(0, "alone", b"1").unwrap();
}

#[test]
fn a_link_that_goes_silent_is_given_up_and_made_anew() {
    let mut world = World::new(2);
    world.meddle = Some(Box::new(|_, _, _| false));
    world.run_for(16 * SECOND);
    world.meddle = None;
    world.run_for(60 * SECOND);
    let What::Status(status) = world.ask(0, Command::Status) else { panic!() };
    assert_eq!(status.peers_connected, 1);
}

#[test]
fn a_small_question_is_answered_while_a_large_file_streams() {
    let mut world = World::new(3);
    let mut run = world.start_put(2, "large", &content(2_000_000, 17));
    for _ in 0..3 {
        assert!(world.go_on(2, &mut run).is_none());
    }
    let before = world.disk(0).blobs.len();
    assert_eq!(world.get(2, "never"), Err(RequestError::NotFound));
    assert!(world.disk(0).blobs.len() - before < 200, "the answer did not wait for the stream");
}

#[test]
fn concurrent_puts_and_gets_do_not_mix() {
    let mut world = World::new(3);
    let (one, two) = (content(90_000, 18), content(90_000, 19));
    let mut runs = [world.start_put(2, "one", &one), world.start_put(2, "two", &two)];
    let mut done = 0;
    while done < 2 {
        for run in &mut runs {
            if let Some(result) = world.go_on_if_any(2, run) {
                result.unwrap();
                done += 1;
            }
        }
    }
    assert_eq!(world.get(2, "one").unwrap(), one);
    assert_eq!(world.get(2, "two").unwrap(), two);
}
