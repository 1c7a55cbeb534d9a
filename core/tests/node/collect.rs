//! What nothing needs any more goes, and nothing else.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::harness::{World, address, content, name};
use bytes::Bytes;
use forever_core::command::{Command, VersionSelector};
use forever_core::config::Config;
use forever_core::event::{RequestError, What};
use forever_core::frame::{AnnounceOutcome, Frame};
use forever_core::placement::Replicas;
use forever_core::record::{RecordBody, Retention, SignedRecord};
use forever_core::secrets::OwnerSecret;

/// A day of these worlds.
const DAY: Duration = Duration::from_secs(20);

/// A lease of these worlds.
const LEASE: Duration = Duration::from_secs(40);

fn keeping(keep_versions: u32, keep_days: u32) -> impl Fn(usize, Config) -> Config {
    move |_, config| Config {
        retention: Retention { keep_versions, keep_days, replicas: Replicas::ALL },
        lease: LEASE,
        day: DAY,
        ..config
    }
}

/// How many rows of each kind a host's index has: those that come and go with files. Checkpoints come by themselves.
fn rows(world: &mut World, host: usize) -> String {
    let index = &world.disk(host).index;
    let is_checkpoint = |value: &Bytes| {
        let record = SignedRecord::verify(value.clone());
        record.is_ok_and(|signed| matches!(signed.record.body, RecordBody::Checkpoint(_)))
    };
    let counts = |key: &Bytes, value: &Bytes| key.first() != Some(&b'R') || !is_checkpoint(value);
    let counted: Vec<&Bytes> = index.iter().filter(|(key, value)| counts(key, value)).map(|(key, _)| key).collect();
    let count = |kind: u8| counted.iter().filter(|key| key.first() == Some(&kind)).count();
    let kinds = b"RPFLMDEKO".iter().map(|kind| (*kind, count(*kind))).filter(|(_, count)| *count > 0);
    kinds.map(|(kind, count)| format!("{}{count} ", kind as char)).collect::<String>().trim_end().to_string()
}

fn blobs(world: &mut World, host: usize) -> usize {
    world.disk(host).blobs.len()
}

fn delete(world: &mut World, host: usize, file: &str) {
    let what = world.ask(host, Command::Delete { name: name(file) });
    assert!(matches!(what, What::Deleted(_)), "{what:?}");
}

fn evict(world: &mut World, host: usize, file: &str) {
    let what = world.ask(host, Command::Evict { name: name(file) });
    assert!(matches!(what, What::Evicted { .. }), "{what:?}");
}

/// A caller of host 1 gives 16 chunks of a file, and goes away.
fn give_up_a_put(world: &mut World, file: &str, bytes: &[u8]) {
    let mut run = world.start_put(1, file, bytes);
    assert!(world.go_on(1, &mut run).is_none());
    world.run_for(Duration::from_millis(40));
    world.command(1, Command::Cancel { request: run.request });
}

fn soon(world: &mut World) {
    world.run_for(Duration::from_secs(1));
}

#[test]
fn a_version_that_is_no_longer_kept_goes_everywhere_with_all_that_only_it_needs() {
    let mut world = World::with(3, keeping(2, 0));
    for salt in 0..4 {
        world.put(2, "file", &content(5_000, salt)).unwrap();
    }
    soon(&mut world);
    for host in 0..3 {
        assert_eq!(rows(&mut world, host), "R2 P2 F10", "host {host}");
        assert_eq!(blobs(&mut world, host), 10, "host {host}");
    }
    assert_eq!(world.get(2, "file").unwrap(), content(5_000, 3));
}

/// Whoever stores a page says that it is no longer doomed. If that comes between the look at the page and the commit that would take
/// it away, that changes nothing.
#[test]
fn a_page_that_is_stored_again_just_before_it_would_have_gone_stays() {
    let mut world = World::with(2, keeping(1, 0));
    world.put(1, "file", &content(3_000, 1)).unwrap();
    soon(&mut world);
    world.put(1, "file", &content(2_000, 2)).unwrap();
    let doomed = |world: &mut World| world.disk(0).index.keys().find(|key| key.starts_with(b"D")).cloned();
    let mut is_looked_at = false;
    for _ in 0..200_000 {
        world.run_for(Duration::from_micros(10));
        let outputs = format!("{:?}", world.take_trace(0));
        if let (true, Some(key)) = (outputs.contains("CheckPage"), doomed(&mut world)) {
            world.disk(0).index.remove(&key);
            is_looked_at = true;
            break;
        }
    }
    assert!(is_looked_at);
    soon(&mut world);
    assert_eq!(rows(&mut world, 0), "R1 P2 F5", "the page and its references are there");
    assert_eq!(blobs(&mut world, 0), 5, "and its chunks");
    assert_eq!(rows(&mut world, 1), "R1 P1 F2");
}

#[test]
fn an_old_version_that_is_kept_can_be_read() {
    let mut world = World::with(2, keeping(2, 0));
    let first = world.put(1, "file", &content(3_000, 1)).unwrap().file.version;
    let old =
        |version| Command::Get { name: name("file"), version: Some(VersionSelector::from(&version)), range: None };
    world.put(1, "file", &content(3_000, 2)).unwrap();
    soon(&mut world);
    assert_eq!(world.get_with(1, old(first)).unwrap(), content(3_000, 1));
    world.put(1, "file", &content(3_000, 3)).unwrap();
    soon(&mut world);
    assert_eq!(world.get_with(1, old(first)), Err(RequestError::NoSuchVersion));
}

#[test]
fn chunks_that_another_file_or_version_shares_stay() {
    let mut world = World::with(2, keeping(1, 0));
    let shared = content(4_000, 1);
    let changed = [&shared[..3_000], &content(1_000, 2)].concat();
    world.put(1, "one", &shared).unwrap();
    world.put(1, "two", &shared).unwrap();
    world.put(1, "one", &changed).unwrap();
    soon(&mut world);
    for host in 0..2 {
        assert_eq!((rows(&mut world, host).as_str(), blobs(&mut world, host)), ("R2 P2 F8", 5), "host {host}");
    }
    delete(&mut world, 1, "two");
    soon(&mut world);
    for host in 0..2 {
        assert_eq!((rows(&mut world, host).as_str(), blobs(&mut world, host)), ("R2 P1 F4", 4), "host {host}");
    }
    assert_eq!(world.get(1, "one").unwrap(), changed);
}

#[test]
fn a_deleted_file_goes_at_once_if_nothing_is_to_be_kept() {
    let mut world = World::with(3, keeping(10, 0));
    world.put(2, "file", &content(5_000, 1)).unwrap();
    world.put(2, "file", &content(5_000, 2)).unwrap();
    delete(&mut world, 2, "file");
    soon(&mut world);
    for host in 0..3 {
        assert_eq!((rows(&mut world, host).as_str(), blobs(&mut world, host)), ("R1", 0), "host {host}");
    }
    assert_eq!(world.get(2, "file"), Err(RequestError::NotFound));
}

#[test]
fn a_deleted_file_goes_when_the_deletion_has_aged() {
    let mut world = World::with(3, keeping(10, 2));
    world.put(2, "file", &content(5_000, 1)).unwrap();
    delete(&mut world, 2, "file");
    world.run_for(2 * DAY);
    for host in 0..3 {
        assert_eq!(rows(&mut world, host), "R2 P1 F5", "host {host}");
    }
    // A day for clocks that differ.
    world.run_for(DAY + DAY / 4);
    for host in 0..3 {
        assert_eq!((rows(&mut world, host).as_str(), blobs(&mut world, host)), ("R1", 0), "host {host}");
    }
}

#[test]
fn a_manifest_of_several_pages_goes_page_by_page() {
    let mut world = World::with(2, |host, config| Config { chunk_size: 1, ..keeping(1, 0)(host, config) });
    let bytes = content(9_000, 1);
    world.put(1, "file", &bytes).unwrap();
    assert_eq!(world.get(1, "file").unwrap(), bytes);
    soon(&mut world);
    let pages = |world: &mut World, host| rows(world, host).split(' ').nth(1).map(str::to_string);
    assert_eq!(pages(&mut world, 0).unwrap(), "P4", "a root and three pages");
    delete(&mut world, 1, "file");
    soon(&mut world);
    for host in 0..2 {
        assert_eq!((rows(&mut world, host).as_str(), blobs(&mut world, host)), ("R1", 0), "host {host}");
    }
}

/// Power goes again and again while things are being removed: the rest goes later, and nothing else with it.
#[test]
fn a_crash_between_two_steps_only_delays_what_is_to_go() {
    for delay in 0..60 {
        let mut world = World::with(2, keeping(1, 0));
        let (shared, own) = (content(3_000, 1), content(3_000, 2));
        world.put(1, "kept", &shared).unwrap();
        world.put(1, "gone", &[shared.clone(), own].concat()).unwrap();
        soon(&mut world);
        delete(&mut world, 1, "gone");
        for _ in 0..3 {
            world.run_for(Duration::from_micros(700 * delay));
            world.crash(0);
            world.start(0);
        }
        world.run_for(Duration::from_secs(10));
        for host in 0..2 {
            let found = (rows(&mut world, host), blobs(&mut world, host));
            assert_eq!((found.0.as_str(), found.1), ("R2 P1 F3", 3), "delay {delay}, host {host}");
        }
        assert_eq!(world.get(1, "kept").unwrap(), shared);
    }
}

#[test]
fn a_late_put_that_a_deletion_beats_is_not_stored_and_is_stamped_anew() {
    let mut world = World::new(0);
    for host in 0..3 {
        let bootstrap = if host == 0 { vec![] } else { vec![address(0)] };
        let config = Config { bootstrap, listen: vec![address(host)], chunk_size: 1_000, ..Config::default() };
        let secret = OwnerSecret::new([if host == 0 { 1 } else { 9 }; 32]);
        world.add(secret, keeping(1, 0)(host, config));
    }
    world.cut(1, 2, true);
    world.settle();
    // The second device's clock is an hour behind: what it writes is older than the deletion.
    world.set_back(2, 3_600_000);
    world.put(1, "file", &content(2_000, 1)).unwrap();
    delete(&mut world, 1, "file");
    world.put(2, "file", &content(2_000, 2)).unwrap();
    soon(&mut world);
    assert_eq!(world.get(2, "file").unwrap(), content(2_000, 2), "it is acknowledged, so it has won");
    world.run_for(Duration::from_secs(120));
    // The second device cannot reach the first, and owes it what it wrote.
    for (host, expected) in [(0, "R1 P1 F2"), (2, "R1 P1 F2 O1")] {
        assert_eq!((rows(&mut world, host).as_str(), blobs(&mut world, host)), (expected, 2), "host {host}");
    }
}

#[test]
fn a_record_that_was_pruned_elsewhere_is_owed_no_longer_when_it_is_offered_by_who_was_away() {
    let mut world = World::new(0);
    for host in 0..3 {
        let bootstrap = (0..host).map(address).collect();
        let config = Config { bootstrap, listen: vec![address(host)], chunk_size: 1_000, ..Config::default() };
        let secret = OwnerSecret::new([if host == 0 { 1 } else { 9 }; 32]);
        world.add(secret, keeping(1, 0)(host, config));
    }
    world.settle();
    // Device 1 writes and reaches only node 0, which is then cut off, and forgets it by a crash of its disk's peer.
    world.cut(1, 2, true);
    world.put(1, "file", &content(2_000, 1)).unwrap();
    world.crash(1);
    world.put(2, "file", &content(2_000, 2)).unwrap();
    delete(&mut world, 2, "file");
    soon(&mut world);
    let outcomes = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let seen = outcomes.clone();
    world.meddle = Some(Box::new(move |from, to, frame| {
        if let Frame::Announced { outcome, .. } = frame
            && (from, to) == (2, 1)
        {
            seen.borrow_mut().push(outcome.clone());
        }
        true
    }));
    world.cut(1, 2, false);
    world.start(1);
    world.run_for(Duration::from_secs(60));
    let outcomes = outcomes.borrow();
    // The other is of a checkpoint.
    assert!(matches!(outcomes[..], [AnnounceOutcome::Obsolete { .. }, AnnounceOutcome::Stored]), "{outcomes:?}");
    for host in 0..3 {
        assert_eq!((rows(&mut world, host).as_str(), blobs(&mut world, host)), ("R1", 0), "host {host}");
        assert_eq!(world.get(host.max(1), "file"), Err(RequestError::NotFound));
    }
}

/// A node is owed the file, whatever versions of it come and go.
#[test]
fn who_is_owed_a_version_that_goes_is_owed_the_one_that_replaced_it() {
    let mut world = World::new(0);
    for host in 0..3 {
        // The devices 1 and 2 know each other, and only 1 knows node 0.
        let bootstrap = if host == 0 { vec![] } else { vec![address(host - 1)] };
        let config = Config { bootstrap, listen: vec![address(host)], chunk_size: 1_000, ..Config::default() };
        let secret = OwnerSecret::new([if host == 0 { 1 } else { 9 }; 32]);
        world.add(secret, keeping(1, 0)(host, config));
    }
    world.cut(0, 2, true);
    world.settle();
    world.put(1, "first", &content(1_000, 1)).unwrap();
    world.cut(0, 1, true);
    world.put(1, "file", &content(2_000, 2)).unwrap();
    world.put(2, "file", &content(3_000, 3)).unwrap();
    soon(&mut world);
    assert_eq!(rows(&mut world, 1), "R2 P2 F4 O1");
    world.cut(0, 1, false);
    world.run_for(Duration::from_secs(60));
    assert_eq!(rows(&mut world, 1), "R2 P2 F4");
    assert_eq!((rows(&mut world, 0).as_str(), blobs(&mut world, 0)), ("R2 P2 F4", 4));
    let What::Status(status) = world.ask(1, Command::Status) else { panic!() };
    assert_eq!(status.pending, 0);
}

/// A deletion that stayed because somebody had not been told of it does not wait for a pass over everything, which may be an hour away.
#[test]
fn a_deletion_that_was_owed_goes_when_it_has_been_told() {
    let mut world = World::with(5, |_, config| Config {
        retention: Retention { keep_versions: 1, keep_days: 0, replicas: Replicas::new(2).unwrap() },
        ..config
    });
    world.put(0, "file", &content(2_000, 1)).unwrap();
    soon(&mut world);
    let away = (1..5).find(|host| blobs(&mut world, *host) == 0).unwrap();
    world.crash(away);
    delete(&mut world, 0, "file");
    world.put(0, "file", &content(2_000, 2)).unwrap();
    soon(&mut world);
    assert!(rows(&mut world, 0).starts_with("R2 "), "{}", rows(&mut world, 0));
    world.start(away);
    world.run_for(Duration::from_secs(90));
    assert!(rows(&mut world, 0).starts_with("R1 "), "{}", rows(&mut world, 0));
    assert!(!rows(&mut world, 0).contains('O'), "nothing is owed");
}

#[test]
fn a_put_that_was_given_up_leaves_its_chunks_for_a_lease() {
    let mut world = World::with(2, keeping(1, 0));
    let bytes = content(40_000, 1);
    give_up_a_put(&mut world, "file", &bytes);
    world.run_for(LEASE / 2);
    for host in 0..2 {
        assert_eq!((rows(&mut world, host).as_str(), blobs(&mut world, host)), ("L16", 16), "host {host}");
    }
    let sent = world.sent[1];
    world.put(1, "file", &bytes).unwrap();
    assert!(world.sent[1] - sent < 30_000, "what is there is not sent again");
    soon(&mut world);
    for host in 0..2 {
        assert_eq!(blobs(&mut world, host), 40, "host {host}");
    }
    world.run_for(2 * LEASE);
    for host in 0..2 {
        assert_eq!((rows(&mut world, host).as_str(), blobs(&mut world, host)), ("R1 P1 F40", 40), "host {host}");
    }
}

#[test]
fn what_no_record_ever_came_for_goes_when_its_lease_is_over() {
    let mut world = World::with(2, keeping(1, 0));
    give_up_a_put(&mut world, "file", &content(40_000, 1));
    world.run_for(LEASE / 2);
    // Time that a node is down does not count.
    world.crash(0);
    world.run_for(LEASE / 4);
    world.start(0);
    world.run_for(LEASE / 2 - Duration::from_secs(2));
    assert_eq!((blobs(&mut world, 0), blobs(&mut world, 1)), (16, 0));
    world.run_for(Duration::from_secs(20));
    for host in 0..2 {
        assert_eq!((rows(&mut world, host).as_str(), blobs(&mut world, host)), ("", 0), "host {host}");
    }
}

/// A wall clock that jumps ends no lease and prunes nothing early.
#[test]
fn a_clock_that_jumps_ahead_hurries_nothing() {
    let mut world = World::with(2, keeping(1, 30));
    world.put(1, "file", &content(2_000, 1)).unwrap();
    delete(&mut world, 1, "file");
    give_up_a_put(&mut world, "other", &content(40_000, 2));
    for host in 0..2 {
        world.set_ahead(host, 365 * 24 * 3_600_000);
    }
    world.run_for(LEASE / 2);
    assert_eq!((blobs(&mut world, 0), blobs(&mut world, 1)), (18, 18));
}

/// Nothing of a put that is slower than a lease goes before it is done.
#[test]
fn a_put_that_takes_longer_than_a_lease_succeeds() {
    let mut world = World::with(1, |host, config| Config { put_window_chunks: 2, ..keeping(1, 0)(host, config) });
    let bytes = content(10_000, 1);
    let mut run = world.start_put(0, "file", &bytes);
    let result = loop {
        if let Some(result) = world.go_on(0, &mut run) {
            break result;
        }
        world.run_for(LEASE / 3);
    };
    result.unwrap();
    assert_eq!(world.get(0, "file").unwrap(), bytes);
    world.run_for(3 * LEASE);
    assert_eq!((rows(&mut world, 0).as_str(), blobs(&mut world, 0)), ("R1 P1 F10", 10));
}

/// A file is put again and again while an older version of the same content goes.
#[test]
fn a_put_loses_no_chunk_to_the_collector() {
    for delay in 0..150 {
        let mut world = World::with(2, keeping(1, 0));
        let bytes = content(5_000, 1);
        world.put(1, "one", &bytes).unwrap();
        let deleting = world.command(1, Command::Delete { name: name("one") });
        world.run_for(Duration::from_micros(150 * delay));
        world.put(1, "two", &bytes).unwrap();
        world.wait(1, deleting);
        soon(&mut world);
        for host in 0..2 {
            let found = (rows(&mut world, host), blobs(&mut world, host));
            assert_eq!((found.0.as_str(), found.1), ("R2 P1 F5", 5), "delay {delay}, host {host}");
        }
    }
}

#[test]
fn a_version_that_is_being_read_goes_when_it_has_been_read() {
    let mut world = World::with(2, keeping(1, 0));
    let bytes = content(40_000, 1);
    world.put(1, "file", &bytes).unwrap();
    let get = world.command(1, Command::Get { name: name("file"), version: None, range: None });
    world.run_for(Duration::from_millis(5));
    world.put(1, "file", &content(1_000, 2)).unwrap();
    soon(&mut world);
    let mut got = Vec::new();
    loop {
        match world.wait(1, get) {
            What::GetData(plain) => {
                got.extend_from_slice(&plain.0);
                let bytes = plain.0.len() as u64;
                world.command_quietly(1, Command::GetCredit { request: get, bytes });
            }
            What::GetDone => break,
            What::GetStart { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(got, bytes);
    soon(&mut world);
    assert_eq!((rows(&mut world, 1).as_str(), blobs(&mut world, 1)), ("R1 P1 F1", 1));
}

#[test]
fn a_promise_keeps_an_old_version_until_it_is_given_back() {
    let mut world = World::with(3, keeping(1, 0));
    world.put(2, "file", &content(5_000, 1)).unwrap();
    evict(&mut world, 2, "file");
    soon(&mut world);
    assert_eq!(rows(&mut world, 2), "R1 P1 E1");
    assert_eq!(rows(&mut world, 0), "R1 P1 F5 K1");
    // Who relies on the promises writes anew, and gives them back as its own record goes.
    world.put(2, "file", &content(2_000, 2)).unwrap();
    world.run_for(Duration::from_secs(30));
    for host in 0..3 {
        assert_eq!((rows(&mut world, host).as_str(), blobs(&mut world, host)), ("R1 P1 F2", 2), "host {host}");
    }
}

#[test]
fn a_promise_that_outlives_its_record_is_found_out() {
    let mut world = World::with(3, keeping(1, 0));
    world.put(2, "file", &content(5_000, 1)).unwrap();
    evict(&mut world, 2, "file");
    // What gives the promises back is lost on its way.
    world.meddle = Some(Box::new(|_, _, frame| !matches!(frame, Frame::ReleasePromise { .. })));
    world.put(2, "file", &content(2_000, 2)).unwrap();
    world.run_for(Duration::from_secs(60));
    for host in 0..3 {
        assert_eq!((rows(&mut world, host).as_str(), blobs(&mut world, host)), ("R1 P1 F2", 2), "host {host}");
    }
}

#[test]
fn an_evicted_file_that_is_read_whole_has_its_references_again() {
    let mut world = World::with(3, keeping(1, 0));
    let bytes = content(5_000, 1);
    world.put(2, "file", &bytes).unwrap();
    evict(&mut world, 2, "file");
    assert_eq!((rows(&mut world, 2).as_str(), blobs(&mut world, 2)), ("R1 P1 E1", 0));
    assert_eq!(world.get(2, "file").unwrap(), bytes);
    world.run_for(3 * LEASE);
    assert_eq!((rows(&mut world, 2).as_str(), blobs(&mut world, 2)), ("R1 P1 F5", 5));
    assert_eq!(rows(&mut world, 0), "R1 P1 F5", "and nobody relies on a promise");
}

/// Whatever the moment at which a version is superseded while it is pulled, every host ends with the same.
#[test]
fn versions_that_chase_each_other_leave_only_the_last() {
    for delay in 0..60 {
        let mut world = World::with(3, keeping(1, 0));
        world.put(2, "file", &content(3_000, 1)).unwrap();
        world.cut(0, 2, true);
        world.put(2, "file", &content(3_000, 2)).unwrap();
        world.cut(0, 2, false);
        world.run_for(Duration::from_micros(250 * delay));
        world.put(2, "file", &[content(2_000, 2), content(2_000, 3)].concat()).unwrap();
        world.run_for(Duration::from_secs(100));
        let found: BTreeSet<(String, usize)> =
            (0..3).map(|host| (rows(&mut world, host), blobs(&mut world, host))).collect();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [("R1 P1 F4".to_string(), 4)], "delay {delay}");
    }
}
