//! A file of 256 MiB between real nodes: TCP over loopback, real disks, everything durable and verified.

#![allow(missing_docs, reason = "criterion's macros generate public functions")]

use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use forever_benches::cluster::Cluster;

const FILE_LEN: u64 = 256 << 20;

fn stream(c: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("the system has threads to give");
    let mut group = c.benchmark_group("stream");
    group
        .throughput(Throughput::Bytes(FILE_LEN))
        .sampling_mode(SamplingMode::Flat)
        .sample_size(10)
        .warm_up_time(Duration::from_millis(1))
        .measurement_time(Duration::from_secs(10));

    // New nodes and new content each time, so that nothing is held already; the old nodes' folders go with them.
    group.bench_function("put_to_two_peers", |b| {
        b.iter_custom(|rounds| {
            runtime.block_on(async {
                let mut spent = Duration::ZERO;
                for round in 0..rounds {
                    let cluster = Cluster::start(3).await;
                    let start = Instant::now();
                    cluster.put("file", round, FILE_LEN).await;
                    spent += start.elapsed();
                    cluster.stop().await;
                }
                spent
            })
        });
    });

    let cluster = runtime.block_on(async {
        let cluster = Cluster::start(3).await;
        cluster.put("file", 0, FILE_LEN).await;
        cluster
    });
    group.bench_function("get_from_the_own_disk", |b| {
        b.iter_custom(|rounds| {
            runtime.block_on(async {
                let start = Instant::now();
                for _ in 0..rounds {
                    assert_eq!(cluster.get("file").await, FILE_LEN);
                }
                start.elapsed()
            })
        });
    });

    // What a get brought is evicted again each time, so that all bytes come from the two peers.
    group.bench_function("get_from_two_peers", |b| {
        b.iter_custom(|rounds| {
            runtime.block_on(async {
                let mut spent = Duration::ZERO;
                for _ in 0..rounds {
                    cluster.evict("file").await;
                    let start = Instant::now();
                    assert_eq!(cluster.get("file").await, FILE_LEN);
                    spent += start.elapsed();
                }
                spent
            })
        });
    });
    runtime.block_on(cluster.stop());
    group.finish();
}

criterion_group!(benches, stream);
criterion_main!(benches);
