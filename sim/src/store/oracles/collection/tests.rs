use std::collections::BTreeSet;

use forever_core::bulk::PlainChunk;
use forever_core::manifest::{
    ChunkRef, FileMeta, PageContext, PagePublic, PageRef, PageSecrets, SealedPage, seal_page,
};
use forever_core::placement::Replicas;
use forever_core::record::{Record, Retention};
use forever_core::seal::seal_chunk;
use forever_core::secrets::OwnerKeys;
use forever_core::version::Version;

use super::super::testing::Run;
use super::*;
use crate::store::{DiskLoss, OpKind, names};

/// A disk that holds files as a node would have stored them.
struct Made {
    run: Run<Collection>,
}

/// The rows and the blob of a file of one chunk.
struct Stored {
    record: SignedRecord,
    page: (Bytes, Bytes),
    reference: Bytes,
    blob: BlobKey,
}

fn key(kind: u8, parts: &[&[u8]]) -> Bytes {
    [&[kind][..], &parts.concat()].concat().into()
}

impl Made {
    fn new() -> Self {
        let mut made = Self { run: Run::new(Collection::default()) };
        made.run.view.scenario.config.lease = Duration::from_secs(60);
        made
    }

    fn keys(&self) -> OwnerKeys {
        crate::store::View::keys(&self.run.view, 0).clone()
    }

    /// A version of a file; node 0 keeps one version.
    fn version(&self, file: u32, wall_ms: u64) -> Stored {
        let keys = self.keys();
        let (owner, name_id) = (keys.owner_id(), keys.name_id(&names::of(file)));
        let version = Version { wall_ms, counter: 0, node: crate::store::View::node_id(&self.run.view, 0) };
        let blob = BlobKey { owner, chunk: ChunkId(*blake3::hash(&version.to_bytes()).as_bytes()) };
        let mut plain = PlainChunk::with_capacity(10);
        plain.extend(b"some bytes");
        let chunk = seal_chunk(&keys, plain);
        let meta = FileMeta {
            name: names::of(file),
            len: 10,
            chunk_size: 256,
            mtime_ms: None,
            mode: None,
            content_type: None,
        };
        let chunks = vec![ChunkRef { id: blob.chunk, len: 26 }];
        let public = PagePublic { index: 0, count: 1, children: Children::Chunks(chunks) };
        let secrets = PageSecrets::RootOfChunks { meta, keys: vec![chunk.key] };
        let context = PageContext { owner, name_id, version };
        let SealedPage { id, data, .. } = seal_page(&keys, &context, &public, &secrets);
        let PageRef { id: root, len: root_len } = PageRef { id, len: u32::try_from(data.len()).unwrap() };
        let retention = Retention { keep_versions: 1, keep_days: 0, replicas: Replicas::default() };
        let body = RecordBody::File { root, root_len };
        let record = SignedRecord::sign(&keys, Record { owner, name_id, version, retention, body });
        Stored {
            record,
            page: (key(b'P', &[&owner.0, &id.0]), data),
            reference: key(b'F', &[&owner.0, &blob.chunk.0, &id.0]),
            blob,
        }
    }

    fn store(&mut self, file: u32, wall_ms: u64) -> Stored {
        let stored = self.version(file, wall_ms);
        let disk = &mut self.run.view.disks[0];
        disk.rows.push((record_key(&stored.record), stored.record.bytes.clone()));
        disk.rows.push(stored.page.clone());
        disk.rows.push((stored.reference.clone(), Bytes::new()));
        disk.blobs.insert(stored.blob, true);
        let record = stored.record.clone();
        disk.records.push(super::super::super::Held { record, chunks: Some(vec![stored.blob]) });
        stored
    }

    fn put(&mut self, key: Bytes, value: &[u8]) {
        self.run.view.disks[0].rows.push((key, Bytes::copy_from_slice(value)));
    }

    fn forget(&mut self, key: &Bytes) {
        self.run.view.disks[0].rows.retain(|(other, _)| other != key);
    }

    /// What the oracle says when the judge begins.
    fn says(&mut self) -> Result<(), String> {
        self.run.heal()?;
        self.run.see(Event::Started { op: 900, what: crate::store::Op { node: 0, what: OpKind::List }, asked: None })
    }

    fn complains_of(mut self, what: &str) {
        let said = self.says().unwrap_err();
        assert!(said.contains(what), "{said}");
    }
}

#[test]
fn a_file_with_all_that_it_needs_is_right() {
    let mut made = Made::new();
    made.store(1, 100);
    made.store(2, 100);
    made.says().unwrap();
}

#[test]
fn each_row_that_is_missing_is_missed() {
    let mut made = Made::new();
    let stored = made.store(1, 100);
    made.forget(&stored.page.0);
    made.complains_of("without all of its pages");
    let mut made = Made::new();
    let stored = made.store(1, 100);
    made.forget(&stored.reference);
    made.complains_of("without a reference");
    let mut made = Made::new();
    let stored = made.store(1, 100);
    made.run.view.disks[0].blobs.remove(&stored.blob);
    made.complains_of("without its chunk");
}

#[test]
fn a_chunk_that_the_plan_destroyed_is_not_missed() {
    let mut made = Made::new();
    let stored = made.store(1, 100);
    made.run.lose(0, DiskLoss::Blobs(vec![stored.blob]));
    made.run.view.disks[0].blobs.remove(&stored.blob);
    made.says().unwrap();
}

#[test]
fn a_version_that_is_not_kept_is_left_over_unless_somebody_relies_on_it() {
    let mut made = Made::new();
    made.store(1, 100);
    made.store(1, 200);
    made.complains_of("no longer keeps");
    let mut made = Made::new();
    let old = made.store(1, 100);
    made.store(1, 200);
    made.put(key(b'K', &[&old.blob.owner.0, &old.record.id.0, &[7; 32]]), b"");
    made.says().unwrap();
}

#[test]
fn what_no_record_needs_is_left_over() {
    let leftover = |forget: &dyn Fn(&mut Made, &Stored)| {
        let mut made = Made::new();
        let stored = made.store(1, 100);
        made.forget(&record_key(&stored.record));
        made.run.view.disks[0].records.clear();
        forget(&mut made, &stored);
        made
    };
    leftover(&|_, _| {}).complains_of("which no record needs");
    leftover(&|made, stored| made.forget(&stored.page.0)).complains_of("which does not list it");
    let without_page = |made: &mut Made, stored: &Stored| {
        made.forget(&stored.page.0);
        made.forget(&stored.reference);
    };
    leftover(&without_page).complains_of("which nothing needs");
    leftover(&|made, stored| {
        without_page(made, stored);
        made.put(key(b'E', &[&stored.blob.owner.0, &stored.record.id.0]), b"");
    })
    .complains_of("a mark or a promise");
    leftover(&|made, stored| {
        without_page(made, stored);
        made.put([&b"O"[..], &[7; 32], &record_key(&stored.record)].concat().into(), b"");
    })
    .complains_of("a debt");
}

#[test]
fn a_lease_keeps_what_no_record_needs_until_it_has_long_been_over() {
    let leased = |since_ms: u8, lived_ms: &[u8]| {
        let mut made = Made::new();
        let blob = made.version(1, 100).blob;
        made.run.view.disks[0].blobs.insert(blob, true);
        made.put(key(b'L', &[&blob.owner.0, &blob.chunk.0, &[0; 8]]), &[since_ms]);
        made.put(Bytes::from_static(b"A"), &[lived_ms, &[0]].concat());
        made
    };
    leased(5, &[100]).says().unwrap();
    // 86 s of life, in milliseconds: more than a minute's lease, a quarter of it, and ten seconds.
    leased(5, &[0xfc, 0xf0, 0x4f, 0x01, 0x00]).complains_of("which nothing needs");
}

#[test]
fn an_evicted_file_needs_its_pages_and_nothing_else() {
    let mut made = Made::new();
    let stored = made.store(1, 100);
    made.put(key(b'E', &[&stored.blob.owner.0, &stored.record.id.0]), b"");
    made.forget(&stored.reference);
    made.run.view.disks[0].blobs.clear();
    made.says().unwrap();
}

#[test]
fn a_doomed_page_must_be_gone() {
    let mut made = Made::new();
    made.put(key(b'D', &[&[1; 32], &[2; 32]]), b"");
    made.complains_of("doomed");
}

#[test]
fn every_row_is_explained() {
    let mut made = Made::new();
    made.put(Bytes::from_static(b"?what"), b"");
    made.complains_of("that nothing explains");
    assert_eq!(BTreeSet::from([number(&[250]), number(&[0xfb, 1, 1])]), BTreeSet::from([Some(250), Some(257)]));
}

#[test]
fn what_is_out_of_place_and_lies_with_all_its_holders_is_left_over() {
    use super::super::history;
    use forever_core::placement::Replicas;

    let mut run = Run::new(Collection::default());
    let two = Replicas::new(2).unwrap();
    run.view.scenario.config.retention.replicas = two;
    run.view.scenario.settle_us = 600_000_000;
    run.view.scenario.config.sync_interval = std::time::Duration::from_secs(10);
    let file = (1..100).find(|file| history::is_out_of_place(&run.view, 2, (0, *file), 2)).unwrap();
    let version = run.version(100, 0);
    for node in 0..3 {
        run.store(node, 0, file, version, false);
    }
    let keys = crate::store::View::keys(&run.view, 0).clone();
    for disk in &mut run.view.disks {
        let record = Record {
            retention: Retention { replicas: two, ..disk.records[0].record.record.retention },
            ..disk.records[0].record.record
        };
        disk.records[0].record = SignedRecord::sign(&keys, record);
    }
    assert_eq!(out_of_place(&mut run.view, |_, _| true).len(), 1);
    // Somebody relies on it; or a holder has it not.
    let promise = key(b'K', &[&keys.owner_id().0, &run.view.disks[2].records[0].record.id.0, &[0; 32]]);
    run.view.disks[2].rows.push((promise, Bytes::new()));
    assert!(out_of_place(&mut run.view, |_, _| true).is_empty());
    run.view.disks[2].rows.pop();
    run.remove(1, version);
    assert!(out_of_place(&mut run.view, |_, _| true).is_empty());
}
