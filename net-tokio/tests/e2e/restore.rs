//! The house burned down: everything comes back from the phrase.

use std::fs;

use serde_json::json;

use crate::harness::{CHUNK, Cluster, content};

#[test]
fn a_lost_node_is_restored_from_its_phrase_with_old_versions_and_without_what_was_deleted() {
    let mut cluster = Cluster::start(3);
    let (old, new) = (content("old", 3 * CHUNK), content("new", 5 * CHUNK + 1));
    let version = cluster[2].put("note", &old)["version"].as_str().unwrap().to_owned();
    cluster[2].put("note", &new);
    cluster[2].put("album/one.png", b"small");
    cluster[2].put("empty", b"");
    cluster[2].put("deleted", &content("deleted", 10));
    cluster[2].forever(&["rm", "deleted"]).exits(0);
    cluster[2].wait_for_checkpoint();
    let lost = cluster.nodes.pop().unwrap();
    let (phrase, owner) = (lost.phrase.clone(), lost.owner.clone());
    let data = lost.data.clone();
    drop(lost);
    fs::remove_dir_all(&data).unwrap();

    let mut found = cluster.init("found", Some(&phrase));
    assert_eq!((found.owner.as_str(), found.phrase.as_str()), (owner.as_str(), ""));
    found.start(&[&cluster[0].listen, &cluster[1].listen]);
    found.wait_for_peers(2);
    let dry = found.forever(&["restore", "--dry-run"]).exits(0).lines();
    let listed: Vec<&str> = dry.iter().filter_map(|line| line["name"].as_str()).collect();
    assert_eq!(dry.last().unwrap()["complete"], true);
    // What it is to hold it may have fetched by itself already.
    assert!(listed.iter().all(|name| ["album/one.png", "empty", "note", "deleted"].contains(name)), "{listed:?}");
    let lines = found.forever(&["restore"]).exits(0).lines();
    let end = lines.last().unwrap();
    assert_eq!((&end["done"], &end["complete"], &end["missing"]), (&json!(true), &json!(true), &json!(0)), "{end}");
    assert_eq!(
        (&end["checkpoints"][0]["covered"], &end["checkpoints"][0]["names"]),
        (&json!(true), &json!(4)),
        "{end}"
    );
    assert_eq!((&end["peers"], &end["peers_done"]), (&json!(2), &json!(2)), "{end}");
    // The node fetches what it is to hold by itself, too: how much of it the restore fetched is not known.
    assert!(end["fetched_bytes"].as_u64().is_some(), "{end}");
    assert_eq!(found.names(), ["album/one.png", "empty", "note"]);
    found.try_get(&["deleted"]).fails(3, "not_found", &[]);
    // All of it is on this disk: no peer is needed any more.
    for peer in &mut cluster.nodes {
        peer.kill9();
    }
    found.wait_for_peers(0);
    assert!(found.get("note") == new);
    assert_eq!(found.get("album/one.png"), b"small");
    assert_eq!(found.get("empty"), b"");
    let target = cluster.path("old");
    found.forever(&["get", "note", "--version", &version, "-o", target.to_str().unwrap()]).exits(0);
    assert!(fs::read(&target).unwrap() == old);
}

#[test]
fn a_restore_that_misses_something_says_so_and_a_later_one_completes_it() {
    let mut cluster = Cluster::start(3);
    let bytes = content("file", 4 * CHUNK);
    cluster[2].put("file", &bytes);
    cluster[2].wait_for_checkpoint();
    let phrase = cluster[2].phrase.clone();
    cluster[2].kill9();
    for path in cluster[0].blob_files() {
        fs::remove_file(path).unwrap();
    }
    cluster[1].kill9();
    let mut found = cluster.init("found", Some(&phrase));
    found.start(&[&cluster[0].listen]);
    found.wait_for_peers(1);
    let lines = found.forever(&["restore"]).exits(4).lines();
    let end = lines.last().unwrap();
    assert_eq!((&end["done"], &end["missing"]), (&json!(true), &json!(1)), "{end}");
    assert_eq!((&end["complete"], &end["incomplete"][0]["name"]), (&json!(false), &json!("file")), "{end}");
    let listen = cluster[1].listen.clone();
    cluster[1].restart();
    found.terminate();
    found.start(&[&listen]);
    found.wait_for_peers(2);
    found.forever(&["restore"]).exits(0);
    assert!(found.get("file") == bytes);
}

#[test]
fn a_restore_without_peers_says_why() {
    let cluster = Cluster::start(1);
    cluster[0].forever(&["restore"]).fails(4, "unavailable", &["no peer is connected"]);
}

#[test]
fn a_cleared_node_keeps_its_keys_and_gets_everything_back() {
    let mut cluster = Cluster::start(3);
    let bytes = content("cleared", 4 * CHUNK);
    cluster[2].put("file", &bytes);
    cluster[2].wait_for_checkpoint();
    cluster[2].forever(&["clear"]).fails(2, "usage", &["--yes", "is lost"]);
    cluster[2].forever(&["clear", "--yes"]).fails(1, "data_folder", &["in use by another process"]);
    cluster[2].terminate();
    cluster[2].forever(&["clear", "--yes"]).exits(0);
    assert_eq!(cluster[2].blob_files(), Vec::<std::path::PathBuf>::new());
    let (one, two) = (cluster[0].listen.clone(), cluster[1].listen.clone());
    cluster[2].start(&[&one, &two]);
    cluster[2].wait_for_peers(2);
    assert_eq!(cluster[2].count("blobs"), 0);
    cluster[2].forever(&["restore"]).exits(0);
    assert!(cluster[2].get("file") == bytes);
    assert_eq!(cluster[2].names(), ["file"]);
}
