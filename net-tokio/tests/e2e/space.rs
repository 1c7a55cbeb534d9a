//! A full disk.

use std::process::Command;

use crate::harness::{CHUNK, Cluster, content};

/// A small file system of its own, as long as the test lasts.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    /// `None` if this user may not mount.
    fn mount(path: &std::path::Path, mib: u32) -> Option<Self> {
        std::fs::create_dir_all(path).unwrap();
        let size = format!("size={mib}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(path).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(path.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn space_that_is_to_be_left_free_is_not_written_to() {
    let mut cluster = Cluster::start(2);
    let before = content("before", 4 * CHUNK);
    cluster[1].put("before", &before);
    cluster[1].terminate();
    // More than any disk has.
    cluster[1].set("FOREVER_RESERVE_MIB", &(1_u64 << 40).to_string());
    cluster[1].restart();
    cluster[1].wait_for_peers(1);
    let after = content("after", 4 * CHUNK);
    cluster[1].http().put("/v1/files/after", &after).fails(507, "disk_full", "make room");
    let path = cluster.file("after", &after);
    cluster[1].forever(&["put", path.to_str().unwrap()]).fails(1, "disk_full", &["disk is full", "make room"]);
    assert_eq!(cluster[1].names(), ["before"]);
    assert!(cluster[1].get("before") == before);
    cluster[1].terminate();
    cluster[1].set("FOREVER_RESERVE_MIB", "0");
    cluster[1].restart();
    cluster[1].wait_for_peers(1);
    cluster[1].put("after", &after);
    assert!(cluster[1].get("after") == after);
}

#[test]
fn a_disk_that_fills_up_during_a_put_loses_nothing_that_was_there() {
    let mut cluster = Cluster::empty();
    let Some(_disk) = SmallDisk::mount(&cluster.path("full"), 16) else {
        eprintln!("skipped: this user may not mount a small file system");
        return;
    };
    let mut full = cluster.init("full/node", None);
    let key = full.data.join("cluster.key");
    full.set("FOREVER_RESERVE_MIB", "4");
    full.start(&[]);
    let mut peer = cluster.init_with_key("peer", Some(&key), None);
    peer.start(&[&full.listen]);
    cluster.nodes.extend([full, peer]);
    cluster.wait_until_connected();
    let before = content("before", 20 * CHUNK);
    cluster[0].put("before", &before);
    cluster[0].http().put("/v1/files/large", &content("large", 32 << 20)).fails(507, "disk_full", "make room");
    assert_eq!(cluster[0].names(), ["before"]);
    assert!(cluster[0].get("before") == before);
    cluster[0].forever(&["rm", "before"]).exits(0);
    assert_eq!(cluster[0].names(), Vec::<String>::new());
    // A peer whose disk is full refuses; the owner's own copy is not enough then.
    let put = cluster[1].http().put("/v1/files/large", &content("peer's", 32 << 20));
    put.fails(503, "not_enough_peers", "its disk is full");
    assert_eq!(cluster[1].names(), Vec::<String>::new());
    cluster[0].terminate();
    cluster[0].restart();
    assert_eq!(cluster[0].names(), Vec::<String>::new());
}
