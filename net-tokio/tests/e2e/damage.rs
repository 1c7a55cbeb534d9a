//! Blobs that go bad on a disk.

use std::fs::{self, File};
use std::path::Path;

use crate::harness::{CHUNK, Cluster, content};

fn flip_a_byte(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn truncate(path: &Path) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
}

#[test]
fn a_get_finds_good_copies_of_what_one_peer_has_corrupted_and_truncated() {
    let cluster = Cluster::start(3);
    let bytes = content("one bad peer", 32 * CHUNK);
    cluster[2].put("photo.raw", &bytes);
    cluster[2].forever(&["evict", "photo.raw"]).exits(0);
    let blobs = cluster[0].blob_files();
    assert_eq!(blobs.len(), 32);
    for (place, path) in blobs.iter().enumerate() {
        if place % 2 == 0 { flip_a_byte(path) } else { truncate(path) }
    }
    assert!(cluster[2].get("photo.raw") == bytes);
    let damaged = cluster[0].count("damaged_blobs");
    assert!((1..=32).contains(&damaged), "{damaged}");
    assert_eq!(cluster[1].count("damaged_blobs"), 0);
    assert_eq!(cluster[2].count("protocol_errors"), 0, "a peer that finds its own damage breaks no rule");
}

#[test]
fn a_get_is_right_when_each_peer_has_another_chunk_damaged() {
    let cluster = Cluster::start(3);
    let bytes = content("two bad peers", 8 * CHUNK);
    cluster[2].put("photo.raw", &bytes);
    cluster[2].forever(&["evict", "photo.raw"]).exits(0);
    let (left, right) = (cluster[0].blob_files(), cluster[1].blob_files());
    for (mine, theirs) in left.iter().zip(&right) {
        assert_eq!(mine.file_name(), theirs.file_name(), "blobs lie at the same place on all peers");
    }
    left[..4].iter().for_each(|path| flip_a_byte(path));
    right[4..].iter().for_each(|path| truncate(path));
    assert!(cluster[2].get("photo.raw") == bytes);
    let damaged = cluster[0].count("damaged_blobs") + cluster[1].count("damaged_blobs");
    assert!((1..=8).contains(&damaged), "{damaged}");
}

#[test]
fn a_damaged_blob_on_the_own_disk_is_replaced_from_the_peers() {
    let cluster = Cluster::start(2);
    let bytes = content("own disk", 4 * CHUNK);
    cluster[1].put("photo.raw", &bytes);
    for path in cluster[1].blob_files() {
        flip_a_byte(&path);
    }
    assert!(cluster[1].get("photo.raw") == bytes);
    assert_eq!(cluster[1].count("damaged_blobs"), 4);
    assert!(cluster[1].get("photo.raw") == bytes);
    assert_eq!(cluster[1].count("damaged_blobs"), 4, "what was replaced is whole");
}

#[test]
fn damage_without_another_copy_is_an_integrity_error_and_never_wrong_bytes() {
    let cluster = Cluster::start(1);
    let bytes = content("no copy", 4 * CHUNK);
    cluster[0].put("photo.raw", &bytes);
    flip_a_byte(&cluster[0].blob_files()[0]);
    let target = cluster.path("photo.raw");
    let got = cluster[0].forever(&["get", "photo.raw", "-o", target.to_str().unwrap()]);
    got.fails(5, "integrity", &["damaged"]);
    assert!(!target.exists());
}
