//! How soon data is where it belongs after the cluster has changed, against what the configured rate of repair permits.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use forever_core::config::Config;
use forever_core::ids::RecordId;
use forever_sim::store::Fault;

use crate::cluster::{Cluster, Records};

const NODES: usize = 100;
const FILES: usize = 100_000;
const LEN: u32 = 4 << 10;

/// How long a member may be down before others take its place: short, since it is waited for and not counted.
const REPAIR_AFTER: Duration = Duration::from_secs(60);

/// How often it is looked whether all is there.
const LOOK: Duration = Duration::from_millis(250);

/// After so much simulated time it is given up.
const LONGEST: Duration = Duration::from_secs(3_600);

/// Bytes a second that each node may repair.
const RATES: [u64; 2] = [16 << 10, 64 << 10];

fn config(repair_bytes_s: u64) -> Config {
    Config { chunk_size: LEN, repair_after: REPAIR_AFTER, repair_bytes_s, ..Config::default() }
}

/// A cluster of so many nodes, of which the last do not run yet, with all files.
fn filled(nodes: usize, absent: &[usize], rate: u64) -> Cluster {
    let started = Instant::now();
    let mut cluster = Cluster::new(nodes, config(rate));
    for node in absent {
        cluster.begin(*node, &Fault::SlowStart { node: *node });
    }
    cluster.pass(Duration::from_secs(30));
    cluster.fill(FILES, LEN, nodes - absent.len(), Duration::from_millis(2));
    println!("  {FILES} files of {LEN} bytes are on {} nodes (after {:.0?})", nodes - absent.len(), started.elapsed());
    cluster
}

/// A node joins: until it has all that placement gives it.
pub(crate) fn join() {
    println!("a node joins {NODES} others");
    for rate in RATES {
        let mut cluster = filled(NODES + 1, &[NODES], rate);
        let records = cluster.all();
        let nodes: Vec<usize> = (0..=NODES).collect();
        let mut wanted = cluster.placed(&records, &nodes);
        wanted.retain(|node, _| *node == NODES);
        cluster.end(NODES, &Fault::SlowStart { node: NODES });
        measure(&mut cluster, &records, wanted, rate);
    }
}

/// A node dies: from when it no longer counts until those that take its place have all that it had.
pub(crate) fn loss() {
    println!("one of {NODES} nodes dies");
    for rate in RATES {
        let mut cluster = filled(NODES, &[], rate);
        let dead = NODES / 2;
        let records = cluster.all();
        let others: Vec<usize> = (0..NODES).filter(|node| *node != dead).collect();
        let mut wanted = cluster.placed(&records, &others);
        for (node, wanted) in &mut wanted {
            let has = cluster.whole(*node);
            wanted.retain(|id| !has.contains_key(id));
        }
        cluster.begin(0, &Fault::Crash { node: dead });
        let down_at = cluster.now();
        cluster.pass(REPAIR_AFTER);
        println!("  no longer counted from {:?} on after it died, at the earliest", cluster.now() - down_at);
        measure(&mut cluster, &records, wanted, rate);
    }
}

/// Lets time pass until every node has what it wants. What the rate permits is the time of the node that wants most.
fn measure(cluster: &mut Cluster, records: &Records, mut wanted: BTreeMap<usize, BTreeSet<RecordId>>, rate: u64) {
    let bytes = |wanted: &BTreeSet<RecordId>| wanted.len() as u64 * u64::from(LEN);
    let most = wanted.values().map(bytes).max().unwrap_or(0);
    let files: usize = wanted.values().map(BTreeSet::len).sum();
    let permitted = Duration::from_secs_f64(most as f64 / rate as f64);
    let (began, started) = (cluster.now(), Instant::now());
    loop {
        wanted.retain(|node, wanted| {
            let has = cluster.whole(*node);
            wanted.retain(|id| !has.contains_key(id));
            !wanted.is_empty()
        });
        let took = cluster.now() - began;
        if wanted.is_empty() || took > LONGEST {
            let rest: usize = wanted.values().map(BTreeSet::len).sum();
            println!(
                "  {files} of {} files to fetch, {most} bytes at most by one node, at {rate} bytes/s: {took:.1?} simulated, {rest} left; \
                 the rate permits {permitted:.1?}: {:.2} times that (after {:.0?})",
                records.len(),
                took.as_secs_f64() / permitted.as_secs_f64(),
                started.elapsed()
            );
            return;
        }
        cluster.pass(LOOK);
    }
}
