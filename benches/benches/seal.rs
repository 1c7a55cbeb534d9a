//! Sealing and opening of chunks, beside the ciphers and hashes they consist of. One thread; a chunk is 1 MiB.

#![allow(missing_docs, reason = "criterion's macros generate public functions")]

use std::hint::black_box;

use aes::Aes256;
use aes::cipher::{KeyIvInit, StreamCipher};
use bytes::{Bytes, BytesMut};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use forever_benches::{CHUNK_LEN, keys, noise, plain_chunk};
use forever_core::bulk::Bulk;
use forever_core::seal::{open_chunk, seal_chunk};

/// What a peer's frames carry of a blob each.
const FRAME_PAYLOAD_LEN: usize = 60 * 1024;

fn seal(c: &mut Criterion) {
    let mut group = c.benchmark_group("seal");
    group.throughput(Throughput::Bytes(CHUNK_LEN as u64));
    let plain = noise(1, CHUNK_LEN);

    group.bench_function("aes_256_ctr_alone", |b| {
        let mut text = plain.clone();
        let mut cipher = ctr::Ctr64BE::<Aes256>::new(&[7; 32].into(), &[0; 16].into());
        b.iter(|| cipher.apply_keystream(black_box(&mut text)));
    });
    group.bench_function("blake3_alone", |b| b.iter(|| blake3::hash(black_box(&plain))));

    let keys = keys();
    group.bench_function("seal_chunk", |b| {
        b.iter_batched(|| plain_chunk(&plain), |chunk| seal_chunk(&keys, chunk), BatchSize::LargeInput);
    });

    let sealed = seal_chunk(&keys, plain_chunk(&plain));
    let blob = sealed.blob.into_bytes();
    let open = |data| open_chunk(sealed.id, &sealed.key, data).expect("it was just sealed");
    group.bench_function("open_chunk_from_disk", |b| {
        // A buffer that nobody else holds, so that it is opened in place.
        let read = || Bulk::from(BytesMut::from(&blob[..]).freeze());
        b.iter_batched(read, open, BatchSize::LargeInput);
    });
    group.bench_function("open_chunk_from_frames", |b| {
        b.iter_batched(|| in_frames(&blob), open, BatchSize::LargeInput);
    });
    group.finish();
}

fn in_frames(blob: &Bytes) -> Bulk {
    let mut data = Bulk::default();
    for start in (0..blob.len()).step_by(FRAME_PAYLOAD_LEN) {
        data.push(blob.slice(start..blob.len().min(start + FRAME_PAYLOAD_LEN)));
    }
    data
}

criterion_group!(benches, seal);
criterion_main!(benches);
