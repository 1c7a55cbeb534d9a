//! `node --record`: what a real node was told and did, had again.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use forever_core::recording::{Report, replay};

use crate::harness::{CHUNK, Cluster, content, eventually};

/// Three nodes that have met, the second of which is recorded.
fn recorded() -> (Cluster, PathBuf) {
    let mut cluster = Cluster::empty();
    let path = cluster.path("recording");
    for name in ["node-0", "node-1", "node-2"] {
        let mut node = cluster.init(name, None);
        node.record = (name == "node-1").then(|| path.clone());
        let peers: Vec<&str> = cluster.nodes.iter().map(|peer| peer.listen.as_str()).collect();
        node.start(&peers);
        cluster.nodes.push(node);
    }
    cluster.wait_until_connected();
    (cluster, path)
}

fn replayed(path: &Path) -> Report {
    replay(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_node_on_real_tcp_replays_to_the_same_outputs() {
    let (mut cluster, path) = recorded();
    let bytes = content("recorded", 8 * CHUNK + 5);
    cluster[1].put("film", &bytes);
    cluster[1].forever(&["evict", "film"]).exits(0);
    assert!(cluster[1].get("film") == bytes);
    cluster[1].terminate();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "it holds secrets");
    let report = replayed(&path);
    assert_eq!(report.node.to_string(), cluster[1].id);
    assert!(report.left_bytes == 0 && report.entries > 50 && report.outputs > 50, "{report:?}");
}

#[test]
fn what_a_killed_node_leaves_replays_as_far_as_it_goes() {
    let (mut cluster, path) = recorded();
    cluster[1].put("film", &content("killed", 8 * CHUNK));
    // Its heartbeats write what is left of the put.
    eventually("the put to be recorded", || (replayed(&path).entries > 50).then_some(()));
    cluster[1].kill9();
    assert!(replayed(&path).outputs > 50);
}

#[test]
fn a_recording_is_not_written_over_another_file() {
    let cluster = Cluster::empty();
    let node = cluster.init("node", None);
    let path = cluster.file("there-already", b"precious");
    let started = node.forever(&["node", "--record", path.to_str().unwrap()]);
    started.fails(1, "io", &["record into", "there-already"]);
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}
