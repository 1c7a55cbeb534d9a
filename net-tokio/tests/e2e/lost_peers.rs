//! Peers that are gone while something is written.

use std::time::{Duration, Instant};

use crate::harness::{CHUNK, Cluster, content};

/// How long a write may look for peers before it says that there are too few.
const REFUSED_MAX: Duration = Duration::from_secs(15);

#[test]
fn one_dead_peer_fails_no_put_and_gets_the_file_when_it_is_back() {
    let mut cluster = Cluster::start(3);
    cluster[0].kill9();
    cluster[2].wait_for_peers(1);
    let bytes = content("one dead", 8 * CHUNK);
    let put = cluster[2].put("file", &bytes);
    assert_eq!((&put["replicas"], &put["pending"]), (&2.into(), &1.into()));
    cluster[2].wait_for("pending", |pending| pending == 1);
    cluster[0].restart();
    cluster[2].wait_for("pending", |pending| pending == 0);
    assert_eq!(cluster[0].count("blobs"), 8);
    cluster[1].kill9();
    cluster[2].wait_for_peers(1);
    let stat = cluster[2].forever(&["stat", "file"]).json();
    assert_eq!(stat["holders"], serde_json::json!([cluster[0].id]));
}

#[test]
fn without_any_peer_a_put_fails_in_time_and_succeeds_when_one_is_back() {
    let mut cluster = Cluster::start(3);
    cluster[2].put("before", b"before");
    cluster[0].kill9();
    cluster[1].kill9();
    cluster[2].wait_for_peers(0);
    let path = cluster.file("file", &content("all dead", 8 * CHUNK));
    let start = Instant::now();
    let put = cluster[2].forever(&["put", path.to_str().unwrap()]);
    let told = ["1 of the 2 nodes needed", cluster[0].listen.as_str(), "cannot connect"];
    put.fails(4, "not_enough_peers", &told);
    assert!(start.elapsed() < REFUSED_MAX, "{:?}", start.elapsed());
    assert_eq!(cluster[2].names(), ["before"]);
    cluster[2].forever(&["stat", "file"]).fails(4, "unavailable", &["no peer is connected"]);
    let health = cluster[2].http().ask("GET", "/healthz", &[]);
    assert_eq!((health.status, &health.json()["status"]), (503, &"degraded".into()));
    cluster[0].restart();
    cluster[2].wait_for_peers(1);
    let put = cluster[2].forever(&["put", path.to_str().unwrap()]).json();
    assert_eq!((&put["replicas"], &put["pending"]), (&2.into(), &1.into()));
    assert_eq!(cluster[2].names(), ["before", "file"]);
}

#[test]
fn a_get_of_what_only_lost_peers_have_says_so() {
    let mut cluster = Cluster::start(3);
    cluster[2].put("file", &content("lost", 4 * CHUNK));
    cluster[2].forever(&["evict", "file"]).exits(0);
    cluster[0].kill9();
    cluster[1].kill9();
    cluster[2].wait_for_peers(0);
    let got = cluster[2].try_get(&["file"]);
    got.fails(4, "unavailable", &["no connected peer holds all of the file", cluster[0].listen.as_str()]);
}

#[test]
fn commands_without_a_node_say_how_to_start_one() {
    let mut cluster = Cluster::start(1);
    cluster[0].put("file", b"x");
    cluster[0].terminate();
    cluster[0].forever(&["ls"]).fails(4, "no_node", &["no node is running", "forever node --data"]);
    cluster[0].restart();
    cluster[0].kill9();
    // The address of a node that was killed is still written down.
    cluster[0].forever(&["ls"]).fails(4, "no_node", &["no node is running", "forever node --data"]);
}
