//! The real node on a simulated network, through what happens to clusters.
#![allow(clippy::unwrap_used, reason = "clippy takes only functions marked as tests for tests")]

use forever_core::event::RequestError;
use forever_sim::content::content;
use forever_sim::turmoil_tier::{Cluster, Failure, Setup};

/// The node that owns the files.
const OWNER: usize = 2;

/// A file of 40 chunks.
const FILE_LEN: usize = 40 * (64 << 10) - 7;

/// Three nodes that have met.
fn cluster(seed: u64) -> Cluster {
    let mut cluster = Cluster::new(Setup::new(seed, 3));
    for node in 0..3 {
        cluster
            .run(node, |client| async move { client.status_when(|status| status.peers_connected == 2).await })
            .unwrap()
            .unwrap();
    }
    cluster
}

/// Stores a file on all three nodes.
fn put(cluster: &mut Cluster, name: &'static str, content: &[u8]) {
    let content = content.to_vec();
    let report = cluster.run(OWNER, |client| async move { client.put(name, &content).await }).unwrap().unwrap();
    assert_eq!((report.write.replicas, report.write.pending), (3, 0));
}

#[test]
fn a_file_comes_back_after_an_evict_and_is_gone_after_a_delete() {
    let mut cluster = cluster(1);
    let file = content(1, FILE_LEN);
    put(&mut cluster, "a", &file);
    put(&mut cluster, "b", b"other");
    let freed = cluster.run(OWNER, |client| async move { client.evict("a").await }).unwrap().unwrap();
    assert!(freed >= FILE_LEN as u64);
    let stat = cluster.run(OWNER, |client| async move { client.stat("a").await }).unwrap().unwrap();
    assert!(!stat.local, "what comes back comes from the peers");
    let got = cluster.run(OWNER, |client| async move { client.get("a").await }).unwrap().unwrap();
    assert!(got == file);

    cluster.run(OWNER, |client| async move { client.delete("a").await }).unwrap().unwrap();
    let gone = cluster.run(OWNER, |client| async move { client.get("a").await }).unwrap();
    assert_eq!(gone, Err(Failure::Failed(RequestError::NotFound)));
    let files = cluster.run(OWNER, |client| async move { client.list().await }).unwrap().unwrap();
    let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["b"]);
}

#[test]
fn a_put_ends_without_a_peer_that_is_cut_off_and_the_peer_catches_up() {
    let mut cluster = cluster(2);
    let file = content(2, FILE_LEN);
    let copy = file.clone();
    let put = cluster.start(OWNER, |client| async move { client.put("a", &copy).await });
    cluster.run_until(|| put.progress() > FILE_LEN as u64 / 4).unwrap();
    cluster.partition(0, &[1, OWNER]);
    assert!(!put.is_done());
    let report = cluster.finish(put).unwrap().unwrap();
    assert_eq!((report.write.replicas, report.write.pending), (2, 1));

    cluster.repair(0, &[1, OWNER]);
    cluster
        .run(OWNER, |client| async move { client.status_when(|status| status.pending == 0).await })
        .unwrap()
        .unwrap();
    cluster.run(OWNER, |client| async move { client.evict("a").await }).unwrap().unwrap();
    cluster.kill(1);
    let got = cluster.run(OWNER, |client| async move { client.get("a").await }).unwrap().unwrap();
    assert!(got == file, "the peer that was cut off has all of it");
}

#[test]
fn a_get_goes_on_when_a_peer_is_killed_and_the_peer_comes_back_with_its_disk() {
    let mut cluster = cluster(3);
    let file = content(3, FILE_LEN);
    put(&mut cluster, "a", &file);
    cluster.run(OWNER, |client| async move { client.evict("a").await }).unwrap().unwrap();
    let get = cluster.start(OWNER, |client| async move { client.get("a").await });
    cluster.run_until(|| get.progress() > FILE_LEN as u64 / 4).unwrap();
    cluster.kill(0);
    assert!(!get.is_done());
    assert!(cluster.finish(get).unwrap().unwrap() == file);

    cluster.restart(0).unwrap();
    cluster
        .run(OWNER, |client| async move { client.status_when(|status| status.peers_connected == 2).await })
        .unwrap()
        .unwrap();
    cluster.run(OWNER, |client| async move { client.evict("a").await }).unwrap().unwrap();
    cluster.kill(1);
    let got = cluster.run(OWNER, |client| async move { client.get("a").await }).unwrap().unwrap();
    assert!(got == file, "the peer that was killed still has all of it");
}

#[test]
fn a_put_resumes_after_a_power_loss_and_sends_less() {
    let mut cluster = cluster(4);
    let file = content(4, FILE_LEN);
    let copy = file.clone();
    let put = cluster.start(OWNER, |client| async move { client.put("a", &copy).await });
    cluster.run_until(|| put.progress() > FILE_LEN as u64 * 3 / 4).unwrap();
    cluster.lose_power(OWNER);
    assert_eq!(cluster.finish(put).unwrap(), Err(Failure::Gone));
    let down = cluster.run(OWNER, |client| async move { client.list().await }).unwrap();
    assert_eq!(down, Err(Failure::Down));

    cluster.restart(OWNER).unwrap();
    let files = cluster.run(OWNER, |client| async move { client.list().await }).unwrap().unwrap();
    assert_eq!(files, [], "what was not acknowledged is not there");
    let copy = file.clone();
    let report = cluster.run(OWNER, |client| async move { client.put("a", &copy).await }).unwrap().unwrap();
    let all = FILE_LEN as u64;
    assert!(report.sent_bytes > 0 && report.sent_bytes < 2 * all * 3 / 4, "{} bytes were sent", report.sent_bytes);
    assert!(report.new_bytes > 0 && report.new_bytes < all * 3 / 4, "{} bytes were new here", report.new_bytes);
    let got = cluster.run(OWNER, |client| async move { client.get("a").await }).unwrap().unwrap();
    assert!(got == file);
}

#[test]
fn a_node_that_lost_its_disk_gets_its_files_back() {
    let mut cluster = cluster(5);
    let file = content(5, FILE_LEN);
    put(&mut cluster, "a", &file);
    cluster.lose_disk(OWNER);
    cluster.restart(OWNER).unwrap();
    let files = cluster.run(OWNER, |client| async move { client.list().await }).unwrap().unwrap();
    assert_eq!(files, [], "the disk is empty");
    let report = cluster.run(OWNER, |client| async move { client.restore().await }).unwrap().unwrap();
    assert_eq!((report.files, report.missing), (1, 0));
    let got = cluster.run(OWNER, |client| async move { client.get("a").await }).unwrap().unwrap();
    assert!(got == file);
}
