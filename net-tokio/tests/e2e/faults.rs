//! Processes that are killed or frozen in the middle of a transfer.

use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{CHUNK, Cluster, Node, content, eventually, sealed_len};

/// More than the sockets between a node and a caller that does not read can hold.
const LARGE: usize = 24 << 20;

/// How long a write or a read may take while a peer is frozen: twice its patience, and some more.
const STALLED_MAX: Duration = Duration::from_secs(15);

/// Payload bytes that a node has received from a peer over the link that stands.
fn received_from(node: &Node, peer: &Node) -> u64 {
    let peers = node.http().json("/v1/peers");
    let peers = peers["peers"].as_array().unwrap();
    let found = peers.iter().find(|other| other["node"] == peer.id.as_str());
    found.map_or(0, |found| found["received_bytes"].as_u64().unwrap())
}

#[test]
fn a_get_goes_on_when_a_peer_is_killed_in_the_middle_of_it() {
    let mut cluster = Cluster::start(3);
    let bytes = content("mid-get", LARGE);
    cluster[2].put("film.mkv", &bytes);
    let evicted = cluster[2].forever(&["evict", "film.mkv"]).json();
    assert_eq!(evicted["freed_bytes"], sealed_len(LARGE));
    let mut download = cluster[2].http().open("GET", "/v1/files/film.mkv", &[]);
    let mut got = download.read(1 << 20).unwrap();
    let served = eventually("both peers to serve", || {
        let served = [0, 1].map(|peer| received_from(&cluster[2], &cluster[peer]));
        served.iter().all(|bytes| *bytes > 0).then_some(served)
    });
    assert!(served.iter().sum::<u64>() < LARGE as u64, "the get is over already: {served:?}");
    cluster[0].kill9();
    got.extend(download.finish().unwrap().body);
    assert!(got == bytes, "other bytes came back");
    assert_eq!(cluster[2].get("film.mkv"), bytes);
}

#[test]
fn a_get_that_loses_all_holders_is_cut_off_and_no_part_is_ever_served_as_the_whole() {
    let mut cluster = Cluster::start(3);
    let bytes = content("all lost", LARGE);
    cluster[2].put("film.mkv", &bytes);
    cluster[2].forever(&["evict", "film.mkv"]).exits(0);
    let http = cluster[2].http();
    let mut download = http.open("GET", "/v1/files/film.mkv", &[]);
    let request = download.head.header("x-forever-request").unwrap().to_owned();
    download.read(1 << 20).unwrap();
    cluster[0].kill9();
    cluster[1].kill9();
    assert!(download.finish().is_err(), "a part must not pass for the whole");
    let reason = http.json(&format!("/v1/failures/{request}"));
    assert_eq!(reason["error"], "unavailable", "{reason}");
    cluster[0].restart();
    cluster[1].restart();
    cluster[2].wait_for_peers(2);
    assert!(cluster[2].get("film.mkv") == bytes);
}

#[test]
fn questions_are_answered_while_bulk_data_stream() {
    let cluster = Cluster::start(3);
    let bytes = content("bulk", LARGE);
    cluster[2].put("small", b"small");
    let http = cluster[2].http();
    let answered = thread::scope(|scope| {
        let put = scope.spawn(|| cluster[2].put("bulk", &bytes));
        let mut answered = 0;
        while !put.is_finished() {
            let stat = http.json("/v1/stat/small?holders=true");
            assert_eq!(stat["holders"].as_array().unwrap().len(), 2, "{stat}");
            assert_eq!(stat["silent"], serde_json::json!([]));
            answered += 1;
        }
        assert_eq!(put.join().unwrap()["replicas"], 3);
        answered
    });
    assert!(answered > 2, "{answered} questions were answered while 24 MiB went to two peers");
}

#[test]
fn a_put_that_the_owner_does_not_survive_is_invisible_and_resumes() {
    let mut cluster = Cluster::start(3);
    let bytes = content("mid-put", 8 << 20);
    let sealed = sealed_len(bytes.len());
    let mut upload = cluster[2].http().start_put("/v1/files/backup.tar", bytes.len());
    upload.write(&bytes[..bytes.len() / 2]).unwrap();
    let half = sealed_len(bytes.len() / 2) - sealed_len(CHUNK);
    for node in &cluster.nodes {
        node.wait_for("blob_bytes", |stored| stored >= half);
    }
    cluster[2].kill9();
    cluster[2].restart();
    cluster[2].wait_for_peers(2);
    assert_eq!(cluster[2].names(), Vec::<String>::new());
    cluster[2].try_get(&["backup.tar"]).fails(3, "not_found", &["no such file"]);
    let there: u64 = (0..2).map(|peer| cluster[peer].count("blob_bytes")).sum();
    let here = cluster[2].count("blob_bytes");
    assert!((half..sealed).contains(&here), "what was durable before the kill still is: {here}");
    let put = cluster[2].put("backup.tar", &bytes);
    assert_eq!(put["new_bytes"], sealed - here, "only what this disk lacks is written");
    assert_eq!(put["sent_bytes"], 2 * sealed - there, "only what the peers lack is sent");
    assert_eq!(put["replicas"], 3);
    assert!(cluster[2].get("backup.tar") == bytes);
}

#[test]
fn the_same_file_again_sends_nothing() {
    let cluster = Cluster::start(3);
    let bytes = content("again", 20 * CHUNK + 1);
    let first = cluster[2].put("one", &bytes);
    assert_eq!(
        (&first["new_bytes"], &first["sent_bytes"]),
        (&sealed_len(bytes.len()).into(), &(2 * sealed_len(bytes.len())).into())
    );
    let second = cluster[2].put("two", &bytes);
    assert_eq!((&second["new_bytes"], &second["sent_bytes"]), (&0.into(), &0.into()));
}

#[test]
fn a_frozen_peer_holds_nobody_up_and_catches_up_later() {
    let cluster = Cluster::start(3);
    let before = content("before", 16 * CHUNK);
    let during = content("during", 16 * CHUNK);
    cluster[2].put("before", &before);
    cluster[2].forever(&["evict", "before"]).exits(0);
    cluster[0].sigstop();
    let start = Instant::now();
    thread::scope(|scope| {
        let put = scope.spawn(|| cluster[2].put("during", &during));
        assert!(cluster[2].get("before") == before);
        let put = put.join().unwrap();
        assert_eq!((&put["replicas"], &put["pending"]), (&2.into(), &1.into()));
    });
    assert!(start.elapsed() < STALLED_MAX, "it took {:?}", start.elapsed());
    cluster[2].wait_for("pending", |pending| pending == 1);
    cluster[0].sigcont();
    cluster[2].wait_for("pending", |pending| pending == 0);
    let stat = cluster[2].forever(&["stat", "during"]).json();
    let holders = stat["holders"].as_array().unwrap();
    assert!(holders.iter().any(|node| *node == cluster[0].id.as_str()), "{stat}");
}

#[test]
fn a_stop_in_the_middle_of_transfers_takes_under_five_seconds() {
    let mut cluster = Cluster::start(2);
    let bytes = content("stop", LARGE);
    cluster[1].put("film.mkv", &bytes);
    let http = cluster[1].http();
    let mut download = http.open("GET", "/v1/files/film.mkv", &[]);
    download.read(1 << 20).unwrap();
    let mut upload = http.start_put("/v1/files/other.mkv", LARGE);
    upload.write(&content("other", 1 << 20)).unwrap();
    cluster[1].terminate();
    assert!(download.finish().is_err(), "a part must not pass for the whole");
    cluster[1].restart();
    assert_eq!(cluster[1].names(), ["film.mkv"]);
    assert!(cluster[1].get("film.mkv") == bytes);
}

#[test]
fn puts_and_gets_at_the_same_time_do_not_disturb_each_other() {
    let cluster = Cluster::start(3);
    let old: Vec<Vec<u8>> = (0..2).map(|number| content(&format!("old {number}"), 40 * CHUNK + number)).collect();
    let new: Vec<Vec<u8>> = (0..2).map(|number| content(&format!("new {number}"), 40 * CHUNK + number)).collect();
    for (number, bytes) in old.iter().enumerate() {
        cluster[2].put(&format!("old-{number}"), bytes);
        cluster[2].forever(&["evict", &format!("old-{number}")]).exits(0);
    }
    thread::scope(|scope| {
        for number in 0..2 {
            let (cluster, old, new) = (&cluster, &old[number], &new[number]);
            scope.spawn(move || assert!(cluster[2].get(&format!("old-{number}")) == *old));
            scope.spawn(move || {
                let put = cluster[2].put(&format!("new-{number}"), new);
                assert_eq!(put["replicas"], 3);
            });
        }
    });
    for (number, bytes) in new.iter().enumerate() {
        assert!(cluster[2].get(&format!("new-{number}")) == *bytes);
    }
}

#[test]
fn two_writers_of_one_name_leave_two_whole_versions() {
    let cluster = Cluster::start(2);
    let texts = [content("left", 10 * CHUNK), content("right", 10 * CHUNK)];
    thread::scope(|scope| {
        for text in &texts {
            scope.spawn(|| cluster[1].put("note", text));
        }
    });
    let versions = cluster[1].forever(&["versions", "note"]).exits(0).lines();
    assert_eq!(versions.len(), 2, "{versions:?}");
    let newest = cluster[1].get("note");
    assert!(texts.contains(&newest), "the newest is one of the two, not a mixture");
}
