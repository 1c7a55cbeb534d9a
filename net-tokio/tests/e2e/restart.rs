//! Nodes that stop and start again.

use crate::harness::{CHUNK, Cluster, content};

#[test]
fn after_a_restart_of_every_node_files_versions_and_peers_are_back() {
    let mut cluster = Cluster::start(3);
    let (old, new) = (content("old", 3 * CHUNK), content("new", 5 * CHUNK));
    let version = cluster[2].put("note", &old)["version"].as_str().unwrap().to_owned();
    cluster[2].put("note", &new);
    cluster[2].put("small", b"in the index");
    cluster[2].put("empty", b"");
    cluster[0].put("note", b"another owner's");
    let ids: Vec<String> = cluster.nodes.iter().map(|node| node.id.clone()).collect();
    for node in &mut cluster.nodes {
        node.terminate();
    }
    // Nobody is told of anybody: they remember each other.
    for node in &mut cluster.nodes {
        node.restart();
    }
    cluster.wait_until_connected();
    for (node, id) in cluster.nodes.iter().zip(&ids) {
        assert_eq!(node.status()["node"], id.as_str());
    }
    assert_eq!(cluster[2].names(), ["empty", "note", "small"]);
    assert!(cluster[2].get("note") == new);
    assert_eq!(cluster[2].get("small"), b"in the index");
    assert_eq!(cluster[2].get("empty"), b"");
    assert_eq!(cluster[0].get("note"), b"another owner's");
    let target = cluster.path("old");
    cluster[2].forever(&["get", "note", "--version", &version, "-o", target.to_str().unwrap()]).exits(0);
    assert!(std::fs::read(&target).unwrap() == old);
    cluster[2].forever(&["evict", "note"]).exits(0);
    assert!(cluster[2].get("note") == new);
}

#[test]
fn what_was_acknowledged_survives_the_kill_of_every_node() {
    let mut cluster = Cluster::start(3);
    let bytes = content("acknowledged", 10 * CHUNK);
    cluster[2].put("file", &bytes);
    for node in &mut cluster.nodes {
        node.kill9();
    }
    for node in &mut cluster.nodes {
        node.restart();
    }
    cluster.wait_until_connected();
    assert_eq!(cluster[2].names(), ["file"]);
    assert!(cluster[2].get("file") == bytes);
    for node in &cluster.nodes {
        assert_eq!((node.count("blobs"), node.count("damaged_blobs")), (10, 0));
    }
    cluster[2].forever(&["evict", "file"]).exits(0);
    assert!(cluster[2].get("file") == bytes);
}

#[test]
fn a_node_stops_at_once_when_nothing_is_under_way() {
    let mut cluster = Cluster::start(2);
    cluster[0].terminate();
    cluster[1].wait_for_peers(0);
    assert!(!cluster[0].data.join("api.addr").exists());
    cluster[0].restart();
    cluster.wait_until_connected();
}

/// Files and sockets that a process has open.
#[cfg(target_os = "linux")]
fn open_files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

#[test]
#[cfg(target_os = "linux")]
fn a_node_leaks_no_files_and_no_sockets() {
    let cluster = Cluster::start(3);
    let bytes = content("leaks", 4 * CHUNK);
    let http = cluster[2].http();
    let round = |number: usize| {
        let name = format!("file-{number}");
        cluster[2].put(&name, &bytes);
        http.ask("POST", &format!("/v1/evict/{name}"), &[]);
        http.ask("GET", &format!("/v1/files/{name}"), &[]);
        // A caller that goes away in the middle.
        drop(http.open("GET", &format!("/v1/files/{name}"), &[]));
        http.ask("GET", "/v1/files/no-such-file", &[]);
    };
    let settled = || {
        cluster[2].wait_for("requests", |requests| requests == 0);
        cluster.nodes.iter().map(|node| open_files(node.pid())).collect::<Vec<_>>()
    };
    round(0);
    let before = settled();
    (1..20).for_each(round);
    let after = settled();
    for (before, after) in before.iter().zip(&after) {
        // The connection that asks for the status may or may not be gone when it is counted.
        assert!(*after <= before + 3, "{before} files were open before, {after} after 19 rounds");
    }
}
