//! `forever scrub`: a node reads all that it holds.

use std::fs;

use crate::harness::{CHUNK, Cluster, content, on_a_terminal};

#[test]
fn a_scrub_tells_how_far_it_is_and_that_all_is_in_order() {
    let cluster = Cluster::start(2);
    cluster[1].put("photo.raw", &content("in order", 64 * CHUNK));
    let (code, shown) = on_a_terminal(&cluster[1].data, &["scrub"]);
    assert_eq!(code, Some(0), "{shown}");
    for told in ["blobs ", "iB/", "read      64 blobs", "result    all in order"] {
        assert!(shown.contains(told), "{told}: {shown}");
    }
    let scrub = cluster[1].forever(&["scrub"]).exits(0);
    let reports = scrub.lines();
    let bytes: Vec<u64> = reports.iter().map(|report| report["bytes"].as_u64().unwrap()).collect();
    assert!(bytes.is_sorted(), "{bytes:?}");
    let end = reports.last().unwrap();
    assert_eq!((&end["done"], &end["blobs"], &end["damaged"]), (&true.into(), &64.into(), &0.into()), "{end}");
    assert_eq!(end["bytes"], end["bytes_total"]);
}

#[test]
fn a_scrub_finds_what_has_rotted_and_has_a_peer_give_it_back() {
    let cluster = Cluster::start(2);
    let bytes = content("rotten", 8 * CHUNK);
    cluster[1].put("photo.raw", &bytes);
    let files = cluster[1].blob_files();
    for path in &files[..3] {
        let mut blob = fs::read(path).unwrap();
        blob[0] ^= 1;
        fs::write(path, blob).unwrap();
    }
    fs::remove_file(&files[3]).unwrap();
    let scrub = cluster[1].forever(&["scrub"]).exits(0);
    let end = scrub.lines().pop().unwrap();
    assert_eq!((&end["damaged"], &end["mended"], &end["unmended"]), (&4.into(), &4.into(), &0.into()), "{end}");
    let again = cluster[1].forever(&["scrub"]).exits(0).lines().pop().unwrap();
    assert_eq!(
        (&again["damaged"], &again["incomplete"], &again["blobs"]),
        (&0.into(), &0.into(), &8.into()),
        "{again}"
    );
    assert!(cluster[1].get("photo.raw") == bytes);
}

#[test]
fn a_scrub_without_a_peer_that_could_help_is_an_integrity_error() {
    let mut cluster = Cluster::start(2);
    cluster[1].put("photo.raw", &content("alone", 4 * CHUNK));
    cluster[0].terminate();
    let path = &cluster[1].blob_files()[0];
    fs::write(path, b"nonsense").unwrap();
    let end = cluster[1].forever(&["scrub"]).exits(5).lines().pop().unwrap();
    assert_eq!((&end["damaged"], &end["unmended"]), (&1.into(), &1.into()), "{end}");
    // What a scrub found is asked for again, without another scrub.
    cluster[0].restart();
    cluster[1].wait_for_peers(1);
    crate::harness::eventually("the blob to be whole again", || {
        let end = cluster[1].forever(&["scrub", "--restart"]).lines().pop()?;
        (end["damaged"] == 0 && end["unmended"] == 0).then_some(())
    });
}
