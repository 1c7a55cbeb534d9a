//! Small things that happen often: frames through a secure channel, and verification of records.

#![allow(missing_docs, reason = "criterion's macros generate public functions")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use forever_benches::{keys, noise};
use forever_core::ids::{NameId, NodeId, PageId};
use forever_core::placement::Replicas;
use forever_core::record::{Record, RecordBody, Retention, SignedRecord};
use forever_core::version::Version;
use forever_net_tokio::channel::{Identity, initiate, respond};

/// Frames of one write.
const BATCH: usize = 4;
/// Payload bytes of a frame.
const PAYLOAD_LEN: usize = 60 * 1024;
/// Bytes that the pipe between the two ends holds: more than a batch, so that one thread can play both.
const PIPE_LEN: usize = 1 << 20;

/// Sealed by one end, copied through a pipe in memory, opened by the other, all on one thread.
fn channel(c: &mut Criterion) {
    let mut group = c.benchmark_group("channel");
    group.throughput(Throughput::Bytes((BATCH * PAYLOAD_LEN) as u64));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without IO");
    let (near, far) = tokio::io::duplex(PIPE_LEN);
    let (one, other) = (Identity::new([1; 32], [42; 32]), Identity::new([2; 32], [42; 32]));
    let (near, far) =
        runtime.block_on(async { tokio::join!(initiate(near, &one, [1; 32]), respond(far, &other, [2; 32])) });
    let (_near_reader, mut writer) = near.expect("both know the cluster key").split();
    let (mut reader, _far_writer) = far.expect("both know the cluster key").split();
    let (header, payload) = (noise(1, 48), noise(2, PAYLOAD_LEN));
    group.bench_function("frames_of_60_kib", |b| {
        b.iter(|| {
            runtime.block_on(async {
                for _ in 0..BATCH {
                    writer.push_raw(&header, black_box(&payload)).expect("it fits a frame");
                }
                writer.flush().await.expect("the pipe has room");
                for _ in 0..BATCH {
                    let frame = reader.read_raw().await.expect("nobody altered it");
                    black_box(frame.expect("the writer lives"));
                }
            });
        });
    });
    group.finish();
}

fn record(c: &mut Criterion) {
    let keys = keys();
    let record = Record {
        owner: keys.owner_id(),
        name_id: NameId([1; 32]),
        version: Version { wall_ms: 1_767_225_600_000, counter: 1, node: NodeId([2; 32]) },
        retention: Retention { keep_versions: 10, keep_days: 30, replicas: Replicas::default() },
        body: RecordBody::File { root: PageId([3; 32]), root_len: 512 },
    };
    let signed = SignedRecord::sign(&keys, record);
    let mut group = c.benchmark_group("record");
    group.throughput(Throughput::Elements(1));
    group.bench_function("sign", |b| b.iter(|| SignedRecord::sign(&keys, black_box(record))));
    group.bench_function("verify", |b| {
        b.iter(|| SignedRecord::verify(black_box(signed.bytes.clone())).expect("it was just signed"));
    });
    group.finish();
}

criterion_group!(benches, channel, record);
criterion_main!(benches);
