//! A node's memory does not grow with the files that go through it.

use std::fs;

use crate::harness::{Cluster, content, eventually};

/// What a node may use of memory at its peak, in KiB.
const PEAK_KIB_MAX: u64 = 96 << 10;

/// Longer than that, so that a node that kept a file in memory would be found out.
const LEN: usize = 160 << 20;

/// The most memory that a process has ever used, in KiB.
fn peak_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

#[test]
fn no_node_needs_more_than_96_mib_for_a_file_of_any_size() {
    let cluster = Cluster::start_with(3, &[("FOREVER_CHUNK_SIZE_KIB", "1024")]);
    let bytes = content("memory", LEN);
    let path = cluster.file("film", &bytes);
    let path = path.to_str().unwrap();
    cluster[2].forever(&["put", path, "--as", "film"]).exits(0);
    cluster[2].forever(&["evict", "film"]).exits(0);
    let target = cluster.path("film.again");
    cluster[2].forever(&["get", "film", "-o", target.to_str().unwrap()]).exits(0);
    assert!(fs::read(&target).unwrap() == bytes);
    eventually("the peers to be done", || (cluster[0].count("pending") == 0).then_some(()));
    for node in 0..3 {
        let peak = peak_kib(cluster[node].pid());
        assert!(peak < PEAK_KIB_MAX, "node {node} needed {peak} KiB");
    }
}
