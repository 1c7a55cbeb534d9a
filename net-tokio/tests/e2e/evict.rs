//! Evicting: only on promises, and then the bytes are gone from this disk.

use serde_json::json;

use crate::harness::{CHUNK, Cluster, content, eventually, sealed_len};

#[test]
fn an_evict_is_refused_when_too_few_would_keep_the_file() {
    let cluster = Cluster::start(2);
    let bytes = content("only two", 4 * CHUNK);
    cluster[1].put("file", &bytes);
    let refused = cluster[1].forever(&["evict", "file"]);
    refused.fails(4, "not_enough_peers", &["1 of the 2 nodes needed", "must promise to keep the file"]);
    assert_eq!(cluster[1].count("blob_bytes"), sealed_len(bytes.len()));
    assert_eq!(cluster[1].forever(&["stat", "file"]).json()["local"], true);
    assert!(cluster[1].get("file") == bytes);
}

#[test]
fn an_evicted_file_frees_its_bytes_and_comes_back_on_a_get() {
    let cluster = Cluster::start(3);
    let bytes = content("evicted", 10 * CHUNK + 5);
    let sealed = sealed_len(bytes.len());
    cluster[2].put("file", &bytes);
    assert_eq!(cluster[2].count("blob_bytes"), sealed);
    let evicted = cluster[2].forever(&["evict", "file"]).json();
    assert_eq!(evicted["freed_bytes"], sealed);
    let mut promised: Vec<&str> =
        evicted["promised_by"].as_array().unwrap().iter().map(|node| node.as_str().unwrap()).collect();
    promised.sort_unstable();
    let mut peers = [cluster[0].id.as_str(), &cluster[1].id];
    peers.sort_unstable();
    assert_eq!(promised, peers);
    assert_eq!(cluster[2].count("blob_bytes"), 0);
    eventually("the files to go", || cluster[2].blob_files().is_empty().then_some(()));
    let stat = cluster[2].forever(&["stat", "file"]).json();
    assert_eq!((&stat["local"], &stat["size"]), (&json!(false), &json!(bytes.len())));
    assert_eq!(cluster[2].names(), ["file"]);
    assert!(cluster[2].get("file") == bytes);
    cluster[2].wait_for("blob_bytes", |stored| stored == sealed);
}

#[test]
fn what_another_file_shares_stays() {
    let cluster = Cluster::start(3);
    let whole = content("shared", 8 * CHUNK);
    let half = &whole[..4 * CHUNK];
    cluster[2].put("half", half);
    let put = cluster[2].put("whole", &whole);
    assert_eq!(put["new_bytes"], sealed_len(4 * CHUNK), "the first half is there already");
    let evicted = cluster[2].forever(&["evict", "whole"]).json();
    assert_eq!(evicted["freed_bytes"], sealed_len(4 * CHUNK));
    assert_eq!(cluster[2].forever(&["stat", "half"]).json()["local"], true);
    assert!(cluster[2].get("half") == half);
    assert!(cluster[2].get("whole") == whole);
}

#[test]
fn a_peer_that_came_too_late_for_the_file_does_no_harm() {
    let mut cluster = Cluster::start(3);
    let bytes = content("before", 16 * CHUNK);
    cluster[2].put("file", &bytes);
    let mut late = cluster.init("late", None);
    late.start(&[&cluster[2].listen]);
    cluster[2].wait_for_peers(3);
    let stat = cluster[2].forever(&["stat", "file"]).json();
    let holders: Vec<&str> = stat["holders"].as_array().unwrap().iter().map(|node| node.as_str().unwrap()).collect();
    assert_eq!(holders.len(), 2, "{stat}");
    assert!(!holders.contains(&late.id.as_str()), "{stat}");
    let evicted = cluster[2].forever(&["evict", "file"]).json();
    assert_eq!(evicted["promised_by"].as_array().unwrap().len(), 2, "the late one cannot promise: {evicted}");
    assert!(cluster[2].get("file") == bytes);
    cluster[2].forever(&["evict", "file"]).exits(0);
    // With one holder and one that lacks it, the holder is found.
    cluster[0].kill9();
    assert!(cluster[2].get("file") == bytes);
    cluster[2].try_get(&["no-such-file"]).fails(3, "not_found", &["no such file"]);
}
