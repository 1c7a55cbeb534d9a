//! Races and limits: what happens when things cross, come late, or are larger than anybody meant.

use std::time::Duration;

use crate::harness::{self, World, address, content, name};
use forever_core::command::{Command, CommandError, PutMeta};
use forever_core::config::Config;
use forever_core::event::{RequestError, What};
use forever_core::frame::Frame;
use forever_core::secrets::OwnerSecret;

const HOUR_MS: u64 = 3_600_000;

/// Two peers (0, 1) both know a newer record; the device whose clock is behind (3) deletes: both supersede at once.
#[test]
fn two_peers_supersede_a_delete_at_once() {
    let mut world = World::new(2);
    for host in 2..4 {
        let config = Config { bootstrap: vec![address(0), address(1)], listen: vec![], ..harness::on_all_nodes() };
        world.add(OwnerSecret::new([9; 32]), config);
        world.set_back(host, if host == 3 { HOUR_MS } else { 0 });
    }
    world.cut(2, 3, true);
    world.settle();
    world.put(3, "file", b"old").unwrap();
    world.put(2, "file", b"new").unwrap();
    let what = world.ask(3, Command::Delete { name: name("file") });
    assert!(matches!(what, What::Deleted(_)), "{what:?}");
    let What::Status(status) = world.ask(3, Command::Status) else { panic!() };
    assert_eq!(status.protocol_errors, 0, "no honest peer is taken for a liar");
}

/// A peer's promise comes after the evict has stopped to wait for it.
#[test]
fn a_promise_that_comes_late_does_no_harm() {
    let mut world = World::new(4);
    let bytes = content(9_000, 1);
    world.put(3, "file", &bytes).unwrap();
    world.run_for(Duration::from_secs(1));
    // Node 0 keeps its promise to itself, until its link is cut.
    world.meddle = Some(Box::new(|from, _, frame| !(from == 0 && matches!(frame, Frame::Promise { .. }))));
    let what = world.ask(3, Command::Evict { name: name("file") });
    assert!(matches!(what, What::Evicted { .. }), "{what:?}");
}

/// The same, and the link goes just after the wait is over.
#[test]
fn a_link_that_goes_after_an_evict_gave_up_waiting_does_no_harm() {
    let mut world = World::new(4);
    let bytes = content(900_000, 1);
    world.put(3, "file", &bytes).unwrap();
    world.run_for(Duration::from_secs(1));
    world.meddle = Some(Box::new(move |from, _, frame| !(from == 0 && matches!(frame, Frame::Promise { .. }))));
    let request = world.command(3, Command::Evict { name: name("file") });
    world.run_for(Duration::from_secs(29));
    world.take_trace(3);
    for _ in 0..40_000 {
        world.run_for(Duration::from_micros(100));
        let outputs = world.take_trace(3);
        if outputs.iter().any(|output| format!("{output:?}").contains("Lookup")) {
            break;
        }
    }
    world.crash(0);
    let what = world.wait(3, request);
    assert!(matches!(what, What::Evicted { .. }), "{what:?}");
}

/// Both are stamped before either is acknowledged: the later wins, and the earlier is not stamped again.
#[test]
fn two_puts_of_one_name_at_once_are_two_versions() {
    let mut world = World::new(2);
    let mut runs = [world.start_put(1, "f", b"left"), world.start_put(1, "f", b"right")];
    // The later's announcement overtakes the earlier's.
    let mut held = None;
    world.meddle = Some(Box::new(move |from, _, frame| {
        let Frame::Announce { record, .. } = frame else { return true };
        if from == 1 && held.is_none() {
            held = Some(record.clone());
            return false;
        }
        true
    }));
    let mut done = 0;
    while done == 0 {
        for run in &mut runs {
            if let Some(result) = world.go_on_if_any(1, run) {
                result.unwrap();
                done += 1;
            }
        }
    }
    // The earlier is told again when the link is made anew, and the peer then knows the later.
    world.meddle = None;
    world.cut(0, 1, true);
    world.cut(0, 1, false);
    while done < 2 {
        for run in &mut runs {
            if let Some(result) = world.go_on_if_any(1, run) {
                result.unwrap();
                done += 1;
            }
        }
    }
    let What::Versions(versions) = world.ask(1, Command::Versions { name: name("f") }) else { panic!() };
    assert_eq!(versions.len(), 2, "{versions:?}");
}

#[test]
fn a_node_that_is_stopped_twice_does_no_harm() {
    let mut world = World::new(2);
    let request = world.command(1, Command::Put { name: name("f"), meta: PutMeta::default() });
    world.command(1, Command::Stop);
    world.command(1, Command::Stop);
    assert_eq!(world.wait(1, request), What::PutReady { chunks: 16 });
    assert_eq!(world.wait(1, request), What::Failed(RequestError::Stopping));
    world.run_for(Duration::from_secs(60));
    assert_eq!(world.refused(1, Command::Status), CommandError::Stopping);
    let What::Status(status) = world.ask(0, Command::Status) else { panic!() };
    assert_eq!(status.peers_connected, 0);
}

#[test]
fn a_put_that_announces_a_huge_length_does_no_harm() {
    let mut world = World::new(2);
    let meta = PutMeta { len: Some(u64::MAX - 2), ..PutMeta::default() };
    let request = world.command(1, Command::Put { name: name("file"), meta });
    world.command_quietly(1, Command::Cancel { request });
}

/// A media type that no manifest has room for is refused at once.
#[test]
fn a_content_type_that_is_too_long_is_refused() {
    let mut world = World::new(1);
    let meta = |len: usize| PutMeta { content_type: Some("x".repeat(len)), ..PutMeta::default() };
    let refused = world.refused(0, Command::Put { name: name("f"), meta: meta(256) });
    assert_eq!(refused, CommandError::ContentType { len: 256, max: 255 });
    let request = world.command(0, Command::Put { name: name("f"), meta: meta(255) });
    world.command(0, Command::PutEnd { request });
    loop {
        match world.wait(0, request) {
            What::PutReady { .. } => {}
            What::PutDone(_) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(world.get(0, "f").unwrap(), b"");
}

/// What a node stops with comes to an end: a link that is made while it stops is closed.
#[test]
fn a_link_that_comes_while_a_node_stops_is_closed() {
    let mut world = World::new(2);
    world.cut(0, 1, true);
    world.run_for(Duration::from_secs(60));
    world.take_trace(0);
    world.command(0, Command::Stop);
    world.cut(0, 1, false);
    world.run_for(Duration::from_secs(60));
    let outputs = world.take_trace(0);
    let text = format!("{outputs:?}");
    assert!(!text.contains("Hello"), "a stopping node greets nobody: {text}");
}

/// Deliveries that a peer cannot take yet do not hold up those that it can.
#[test]
fn deliveries_that_cannot_be_made_do_not_hold_up_the_others() {
    let mut world = World::new(4);
    world.cut(0, 3, true);
    world.cut(0, 1, true);
    world.cut(0, 2, true);
    // Node 0 is away. Node 3 stores and evicts, then stores more.
    for number in 0..20 {
        let file = format!("evicted_{number}");
        world.put(3, &file, &content(3_000, number)).unwrap();
        let what = world.ask(3, Command::Evict { name: name(&file) });
        assert!(matches!(what, What::Evicted { .. }), "{what:?}");
    }
    for number in 0..20 {
        world.put(3, &format!("kept_{number}"), &content(3_000, 100 + number)).unwrap();
    }
    // Node 0 is back.
    for other in 1..4 {
        world.cut(0, other, false);
    }
    world.run_for(Duration::from_secs(600));
    let What::Status(status) = world.ask(3, Command::Status) else { panic!() };
    assert!(status.pending <= 20, "what this node still holds is delivered: {}", status.pending);
    assert_eq!(status.pending, 0, "what others hold is fetched from them");
}

/// A link that moves a chunk in 1.7 ms, steadily, and a patience of 12 ms: as 2.4 MiB/s is to 3 s.
fn slow(_: usize, config: Config) -> Config {
    Config { chunk_size: 1_000_000, link_window_bytes: 1, fetch_timeout: Duration::from_millis(12), ..config }
}

#[test]
fn a_put_over_a_slow_link_that_never_stalls_succeeds() {
    let mut world = World::with(2, slow);
    let bytes = content(60_000_000, 1);
    let report = world.put(1, "file", &bytes).unwrap();
    assert_eq!(report.write.replicas, 2);
}

#[test]
fn a_get_over_a_slow_link_that_never_stalls_succeeds() {
    let mut world = World::with(3, |host, config| Config {
        // Of the eight chunks of a window, the last waits 7 * 1.7 ms behind the others.
        fetch_timeout: Duration::from_millis(if host == 2 { 7 } else { 1_000 }),
        ..slow(host, config)
    });
    let bytes = content(40_000_000, 1);
    world.put(2, "file", &bytes).unwrap();
    let what = world.ask(2, Command::Evict { name: name("file") });
    assert!(matches!(what, What::Evicted { .. }), "{what:?}");
    world.cut(0, 2, true);
    assert_eq!(world.get(2, "file").map(|got| got.len()), Ok(bytes.len()));
}

/// Whoever has dropped blobs says so, and is covered by promises.
#[test]
fn a_get_that_ends_during_an_evict_gives_no_promise_back() {
    for delay in 0..120 {
        let mut world = World::new(3);
        world.put(2, "file", &content(20_000, 1)).unwrap();
        world.ask(2, Command::Evict { name: name("file") });
        let owner = world.keys(2).owner_id();
        let get = world.command(2, Command::Get { name: name("file"), version: None, range: None });
        let mut got = 0;
        let mut evict = None;
        let mut evicted = false;
        let mut steps = 0;
        while got >= 0 || !evicted {
            world.run_for(Duration::from_micros(100));
            steps += 1;
            if steps == delay {
                evict = Some(world.command(2, Command::Evict { name: name("file") }));
            }
            if let Some(what) = world.event(2, get) {
                match what {
                    What::GetData(plain) => {
                        let bytes = plain.0.len() as u64;
                        world.command_quietly(2, Command::GetCredit { request: get, bytes });
                    }
                    What::GetDone | What::Failed(_) => got = -1,
                    _ => {}
                }
            }
            if let Some(request) = evict
                && world.event(2, request).is_some()
            {
                evicted = true;
            }
            if steps > 1_000 && evict.is_none() {
                break;
            }
            assert!(steps < 700_000);
        }
        world.run_for(Duration::from_secs(1));
        let blobs = world.disk(2).blobs.keys().filter(|blob| blob.owner == owner).count();
        let rows = |world: &mut World, host, kind: u8| {
            let prefix = [&[kind], owner.as_bytes().as_slice()].concat();
            world.disk(host).index.keys().filter(|key| key.starts_with(&prefix)).count()
        };
        let marks = rows(&mut world, 2, b'E');
        let promises = rows(&mut world, 0, b'K') + rows(&mut world, 1, b'K');
        assert!(
            blobs == 20 || (marks == 1 && promises == 2),
            "delay {delay}: {blobs} blobs, {marks} marks, {promises} promises"
        );
    }
}

/// What a put has acknowledged is on its own disk, whatever is evicted meanwhile.
#[test]
fn an_evict_drops_nothing_that_a_put_has_just_made_use_of() {
    for delay in 0..150 {
        let mut world = World::new(3);
        let bytes = content(5_000, 1);
        world.put(2, "one", &bytes).unwrap();
        let owner = world.keys(2).owner_id();
        let evict = world.command(2, Command::Evict { name: name("one") });
        world.run_for(Duration::from_micros(100 * delay));
        let done = world.put(2, "two", &bytes);
        world.wait(2, evict);
        world.run_for(Duration::from_secs(1));
        let blobs = world.disk(2).blobs.keys().filter(|blob| blob.owner == owner).count();
        assert!(done.is_err() || blobs == 5, "delay {delay}: {blobs} of 5 blobs, {done:?}");
    }
}

#[test]
fn a_large_file_that_was_evicted_is_not_said_to_be_here() {
    let mut world = World::with(3, |_, config| Config { chunk_size: 1, ..config });
    let bytes = content(4_097, 1);
    world.put(2, "file", &bytes).unwrap();
    let what = world.ask(2, Command::Evict { name: name("file") });
    assert!(matches!(what, What::Evicted { .. }), "{what:?}");
    let what = world.ask(2, Command::Stat { name: name("file"), version: None, holders: false });
    let What::Stat(stat) = what else { panic!("{what:?}") };
    assert!(!stat.local);
}
