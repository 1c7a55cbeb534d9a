//! Words of names and contents, searched for on every disk.

use std::fs;
use std::path::Path;

use crate::harness::{CHUNK, Cluster, files_below};

const NAME: &str = "canary-name-6f1d/holiday-in-lisbon-6f1d.txt";
const WORDS: [&str; 5] =
    ["canary-name-6f1d", "holiday-in-lisbon-6f1d", "canary-content-6f1d", "canary-type-6f1d", "canary-small-6f1d"];

fn text(len: usize) -> Vec<u8> {
    b"canary-content-6f1d ".iter().copied().cycle().take(len).collect()
}

fn assert_no_word_below(folder: &Path) {
    let files = files_below(folder);
    assert!(files.len() > 5, "{files:?}");
    for path in files {
        let bytes = fs::read(&path).unwrap();
        for word in WORDS {
            let found = bytes.windows(word.len()).any(|window| window == word.as_bytes());
            assert!(!found, "{word} is in {}", path.display());
            assert!(!path.to_string_lossy().contains(word), "{word} is in a path: {}", path.display());
        }
    }
}

#[test]
fn neither_names_nor_contents_are_readable_on_any_disk() {
    let mut cluster = Cluster::start(3);
    let http = cluster[2].http();
    let bytes = text(6 * CHUNK + 100);
    cluster[2].put(NAME, &bytes);
    cluster[2].put("canary-small-6f1d", b"canary-content-6f1d, small enough for the index");
    cluster[2].put("gone/canary-name-6f1d", &bytes[..1000]);
    cluster[2].forever(&["rm", "gone/canary-name-6f1d"]).exits(0);
    cluster[2].forever(&["evict", NAME]).exits(0);
    assert!(http.ask("GET", &format!("/v1/files/{NAME}"), &[]).body == bytes);
    // A put that never ends leaves chunks behind, too.
    let mut upload = http.start_put("/v1/files/canary-name-6f1d-unfinished", 4 * CHUNK);
    upload.write(&text(3 * CHUNK)).unwrap();
    for node in &cluster.nodes {
        node.wait_for("blobs", |blobs| blobs >= 8);
    }
    for node in &mut cluster.nodes {
        node.kill9();
    }
    for node in &cluster.nodes {
        assert_no_word_below(&node.data);
    }
    // The peers' logs know nothing either.
    for peer in &cluster.nodes[..2] {
        let log = peer.log();
        assert!(WORDS.iter().all(|word| !log.contains(word)), "{log}");
    }
    cluster[2].restart();
    assert_eq!(cluster[2].names(), ["canary-name-6f1d/holiday-in-lisbon-6f1d.txt", "canary-small-6f1d"]);
}
