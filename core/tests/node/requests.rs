//! What callers get from a node, with peers that behave.

use crate::harness::{self, World, address, content, name};
use forever_core::command::{Command, PutMeta, RangeRequest, VersionSelector};
use forever_core::config::Config;
use forever_core::event::{RequestError, What};
use forever_core::secrets::OwnerSecret;

fn range(file: &str, range: RangeRequest) -> Command {
    Command::Get { name: name(file), version: None, range: Some(range) }
}

#[test]
fn a_lone_node_stores_and_returns_a_file() {
    let mut world = World::new(1);
    let bytes = content(3_500, 1);
    let report = world.put(0, "a/b", &bytes).unwrap();
    assert_eq!((report.file.size, report.file.chunks, report.write.replicas, report.write.pending), (3_500, 4, 1, 0));
    assert_eq!(report.new_bytes, 3_500 + 4 * 16);
    assert_eq!(world.get(0, "a/b").unwrap(), bytes);
}

#[test]
fn a_file_without_bytes_is_a_file() {
    let mut world = World::new(3);
    world.put(0, "empty", b"").unwrap();
    assert_eq!(world.get(0, "empty").unwrap(), b"");
}

#[test]
fn a_put_may_end_before_its_node_has_met_its_peers() {
    let mut world = World::new(1);
    let config = Config { bootstrap: vec![address(0)], ..harness::on_all_nodes() };
    let host = world.add(OwnerSecret::new([9; 32]), config);
    let request = world.command(host, Command::Put { name: name("empty"), meta: PutMeta::default() });
    world.command(host, Command::PutEnd { request });
    let What::PutDone(report) = world.wait(host, request) else { panic!() };
    assert_eq!((report.file.size, report.write.replicas), (0, 2));
}

#[test]
fn a_put_is_on_every_connected_peer_when_it_is_acknowledged() {
    let mut world = World::new(3);
    let bytes = content(40_500, 2);
    let report = world.put(1, "file", &bytes).unwrap();
    assert_eq!((report.write.replicas, report.write.pending), (3, 0));
    assert_eq!(report.sent_bytes, 2 * (40_500 + 41 * 16));
    for host in 0..3 {
        assert_eq!(world.disk(host).blobs.len(), 41, "host {host}");
    }
}

#[test]
fn what_is_held_already_is_not_sent_again() {
    let mut world = World::new(3);
    let bytes = content(20_000, 3);
    world.put(0, "one", &bytes).unwrap();
    let sent = world.sent.clone();
    let report = world.put(0, "two", &bytes).unwrap();
    assert_eq!((report.new_bytes, report.sent_bytes), (0, 0));
    // Each peer fetches the new manifest's page and no chunk.
    assert!(world.sent[0] - sent[0] < 4_000, "{} bytes were sent", world.sent[0] - sent[0]);
}

#[test]
fn a_file_that_repeats_itself_is_sent_once() {
    let mut world = World::new(2);
    let report = world.put(0, "zeros", &[0; 10_000]).unwrap();
    assert_eq!(report.file.chunks, 10);
    assert_eq!(report.sent_bytes, 1_016);
    assert_eq!(world.get(0, "zeros").unwrap(), [0; 10_000]);
}

#[test]
fn an_evicted_file_comes_back_from_the_peers_and_stays() {
    let mut world = World::new(3);
    let bytes = content(30_000, 4);
    world.put(2, "file", &bytes).unwrap();
    let What::Evicted { freed_bytes, promised_by } = world.ask(2, Command::Evict { name: name("file") }) else {
        panic!("not evicted")
    };
    assert_eq!(freed_bytes, 30_000 + 30 * 16);
    assert_eq!(promised_by.len(), 2);
    assert_eq!(world.disk(2).blobs.len(), 0);
    assert_eq!(world.get(2, "file").unwrap(), bytes);
    world.run_for(std::time::Duration::from_secs(1));
    assert_eq!(world.disk(2).blobs.len(), 30, "what was fetched is kept");
    let sent = world.sent.clone();
    assert_eq!(world.get(2, "file").unwrap(), bytes);
    assert_eq!(world.sent, sent, "the second get needs no peer");
}

#[test]
fn an_evict_needs_the_promises_of_two_others() {
    let mut world = World::new(2);
    world.put(1, "file", &content(5_000, 5)).unwrap();
    let what = world.ask(1, Command::Evict { name: name("file") });
    assert!(matches!(what, What::Failed(RequestError::NotEnoughPeers { needed: 2, have: 1, .. })), "{what:?}");
    assert_eq!(world.disk(1).blobs.len(), 5);
}

#[test]
fn an_evict_keeps_chunks_that_another_file_shares() {
    let mut world = World::new(3);
    let bytes = content(8_000, 6);
    world.put(0, "one", &bytes).unwrap();
    world.put(0, "two", &bytes[..3_000]).unwrap();
    let What::Evicted { .. } = world.ask(0, Command::Evict { name: name("one") }) else { panic!("not evicted") };
    assert_eq!(world.disk(0).blobs.len(), 3);
}

#[test]
fn ranges_are_cut_to_the_byte() {
    let mut world = World::new(2);
    let bytes = content(4_321, 7);
    world.put(0, "f", &bytes).unwrap();
    for (first, last) in
        [(0, 0), (0, 4_320), (999, 1_000), (1_000, 1_999), (4_320, 4_320), (500, 3_500), (4_000, 9_999)]
    {
        let asked = RangeRequest::From { first, last: Some(last) };
        let expected = &bytes[first as usize..=(last as usize).min(4_320)];
        assert_eq!(world.get_with(0, range("f", asked)).unwrap(), expected, "{first}-{last}");
    }
    assert_eq!(world.get_with(0, range("f", RangeRequest::Suffix { len: 10 })).unwrap(), &bytes[4_311..]);
    assert_eq!(world.get_with(0, range("f", RangeRequest::Suffix { len: 9_999 })).unwrap(), bytes);
    for outside in [RangeRequest::From { first: 4_321, last: None }, RangeRequest::Suffix { len: 0 }] {
        assert_eq!(world.get_with(0, range("f", outside)), Err(RequestError::Range { len: 4_321 }));
    }
}

#[test]
fn versions_are_kept_and_the_newest_wins() {
    let mut world = World::new(3);
    world.put(0, "f", b"first").unwrap();
    let second = world.put(0, "f", b"second").unwrap().file.version;
    world.put(0, "f", b"third").unwrap();
    assert_eq!(world.get(0, "f").unwrap(), b"third");
    let version = Some(VersionSelector::from(&second));
    assert_eq!(world.get_with(0, Command::Get { name: name("f"), version, range: None }).unwrap(), b"second");
    let What::Versions(versions) = world.ask(0, Command::Versions { name: name("f") }) else { panic!() };
    let sizes: Vec<_> = versions.iter().map(|version| (version.size, version.current)).collect();
    assert_eq!(sizes, [(Some(5), true), (Some(6), false), (Some(5), false)]);
}

#[test]
fn a_delete_reaches_every_peer_and_what_never_was_cannot_be_deleted() {
    let mut world = World::new(3);
    world.put(0, "f", b"bytes").unwrap();
    let What::Deleted(report) = world.ask(0, Command::Delete { name: name("f") }) else { panic!() };
    assert_eq!((report.replicas, report.pending), (3, 0));
    assert_eq!(world.get(0, "f"), Err(RequestError::NotFound));
    for gone in ["f", "never"] {
        let what = world.ask(0, Command::Delete { name: name(gone) });
        assert_eq!(what, What::Failed(RequestError::NotFound), "{gone}");
    }
    let What::Versions(versions) = world.ask(0, Command::Versions { name: name("f") }) else { panic!() };
    assert!(versions[0].deleted && versions[0].current);
}

#[test]
fn names_are_listed_in_order_and_in_pages() {
    let mut world = World::new(1);
    for file in ["b", "a/2", "a/1", "c", "a/3"] {
        world.put(0, file, file.as_bytes()).unwrap();
    }
    world.ask(0, Command::Delete { name: name("c") });
    let mut list = |prefix: &str, after: Option<&str>, limit| {
        let command = Command::List { prefix: prefix.into(), after: after.map(Into::into), limit };
        let What::Listed { files, more } = world.ask(0, command) else { panic!() };
        (files.iter().map(|file| file.name.as_str().to_owned()).collect::<Vec<_>>().join(" "), more)
    };
    assert_eq!(list("", None, 10), ("a/1 a/2 a/3 b".into(), false));
    assert_eq!(list("a/", None, 2), ("a/1 a/2".into(), true));
    assert_eq!(list("a/", Some("a/2"), 2), ("a/3".into(), false));
    assert_eq!(list("z", None, 2), (String::new(), false));
}

#[test]
fn names_are_known_again_after_a_restart() {
    let mut world = World::new(1);
    world.put(0, "kept", b"1").unwrap();
    world.put(0, "gone", b"2").unwrap();
    world.ask(0, Command::Delete { name: name("gone") });
    world.crash(0);
    world.start(0);
    let command = Command::List { prefix: String::new(), after: None, limit: 10 };
    let What::Listed { files, .. } = world.ask(0, command) else { panic!() };
    assert_eq!(files.len(), 1);
    assert_eq!(files[0].name.as_str(), "kept");
}

#[test]
fn stat_tells_who_holds_a_file() {
    let mut world = World::new(3);
    world.put(0, "f", &content(5_000, 8)).unwrap();
    let stat = Command::Stat { name: name("f"), version: None, holders: true };
    let What::Stat(stat) = world.ask(0, stat) else { panic!() };
    assert!(stat.local);
    assert_eq!(stat.holders, Some(vec![world.id(1), world.id(2)]));
}

#[test]
fn a_length_that_was_announced_wrongly_stores_nothing() {
    let mut world = World::new(1);
    let meta = PutMeta { len: Some(7), ..PutMeta::default() };
    let request = world.command(0, Command::Put { name: name("f"), meta });
    assert!(matches!(world.wait(0, request), What::PutReady { .. }));
    world.command(0, Command::PutEnd { request });
    assert_eq!(world.wait(0, request), What::Failed(RequestError::Length { announced: 7, got: 0 }));
    assert_eq!(world.get(0, "f"), Err(RequestError::NotFound));
}
