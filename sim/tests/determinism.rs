//! One seed, one run.
#![allow(clippy::unwrap_used, reason = "clippy takes only functions marked as tests for tests")]

use forever_sim::content::content;
use forever_sim::turmoil_tier::{Cluster, Setup};

/// A run with a bit of everything; the hash of its trace and how many events that has.
fn run(seed: u64) -> (String, u64) {
    let mut cluster = Cluster::new(Setup::new(seed, 3));
    // The same content whatever the seed, so that it is not this that makes runs differ.
    let file = content(0, 600_000);
    cluster
        .run(0, |client| async move { client.status_when(|status| status.peers_connected == 2).await })
        .unwrap()
        .unwrap();
    let put = cluster.start(0, |client| async move { client.put("a", &file).await });
    cluster.run_until(|| put.progress() > 200_000).unwrap();
    cluster.partition(1, &[2]);
    cluster.lose_power(2);
    cluster.finish(put).unwrap().unwrap();
    cluster.restart(2).unwrap();
    cluster.repair(1, &[2]);
    cluster.run(0, |client| async move { client.status_when(|status| status.pending == 0).await }).unwrap().unwrap();
    cluster.run(0, |client| async move { client.evict("a").await }).unwrap().unwrap();
    cluster.kill(1);
    cluster.run(0, |client| async move { client.get("a").await }).unwrap().unwrap();
    (cluster.trace().hash().to_string(), cluster.trace().events())
}

#[test]
fn a_seed_gives_the_same_trace_again_and_in_another_thread() {
    let first = run(1);
    assert!(first.1 > 500, "{} events", first.1);
    assert_eq!(run(1), first);
    // Other seeds before it leave nothing behind in the thread.
    let elsewhere = std::thread::spawn(|| {
        run(2);
        run(1)
    });
    assert_eq!(elsewhere.join().unwrap(), first);
}

#[test]
fn another_seed_gives_another_trace() {
    assert_ne!(run(1), run(2));
}
