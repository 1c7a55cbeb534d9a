use forever_core::ids::{ChunkId, NodeId};
use forever_core::manifest::{ChunkRef, FileMeta, PageContext, PagePublic, PageSecrets, SealedPage, seal_page};
use forever_core::name::Name;
use forever_core::placement::Replicas;
use forever_core::record::{Record, Retention};
use forever_core::secrets::{ChunkKey, OwnerKeys, OwnerSecret};
use forever_core::version::Version;

use super::*;

fn keys() -> OwnerKeys {
    OwnerKeys::derive(&OwnerSecret::new([7; 32]))
}

fn version() -> Version {
    Version { wall_ms: 5, counter: 0, node: NodeId([1; 32]) }
}

fn chunk() -> ChunkId {
    ChunkId([9; 32])
}

/// The root page of a file of one chunk.
fn root() -> SealedPage {
    let name = Name::new("a").unwrap();
    let context = PageContext { owner: keys().owner_id(), name_id: keys().name_id(&name), version: version() };
    let public = PagePublic { index: 0, count: 1, children: Children::Chunks(vec![ChunkRef { id: chunk(), len: 20 }]) };
    let meta = FileMeta { name, len: 4, chunk_size: 100, mtime_ms: None, mode: None, content_type: None };
    seal_page(&keys(), &context, &public, &PageSecrets::RootOfChunks { meta, keys: vec![ChunkKey::new([3; 32])] })
}

fn record(body: RecordBody) -> SignedRecord {
    let name_id = keys().name_id(&Name::new("a").unwrap());
    let retention = Retention { keep_versions: 1, keep_days: 1, replicas: Replicas::default() };
    SignedRecord::sign(&keys(), Record { owner: keys().owner_id(), name_id, version: version(), retention, body })
}

fn record_row(record: &SignedRecord) -> (Bytes, Bytes) {
    let what = &record.record;
    let parts = [&b"R"[..], &what.owner.0, &what.name_id.0, &what.version.to_bytes(), &record.id.0];
    (parts.concat().into(), record.bytes.clone())
}

fn page_row(page: &SealedPage) -> (Bytes, Bytes) {
    ([&b"P"[..], &keys().owner_id().0, &page.id.0].concat().into(), page.data.clone())
}

fn file_record() -> SignedRecord {
    let page = root();
    record(RecordBody::File { root: page.id, root_len: u32::try_from(page.data.len()).unwrap() })
}

fn held(rows: Vec<(Bytes, Bytes)>) -> Vec<Held> {
    Inspector::default().contents(rows, BTreeMap::new()).records
}

#[test]
fn a_record_names_the_chunks_of_its_pages() {
    let found = held(vec![page_row(&root()), record_row(&file_record())]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].chunks, Some(vec![BlobKey { owner: keys().owner_id(), chunk: chunk() }]));
}

#[test]
fn a_record_whose_page_is_missing_or_damaged_names_no_chunks() {
    assert_eq!(held(vec![record_row(&file_record())])[0].chunks, None);
    let (key, value) = page_row(&root());
    let mut damaged = value.to_vec();
    damaged[100] ^= 1;
    assert_eq!(held(vec![(key, damaged.into()), record_row(&file_record())])[0].chunks, None);
}

#[test]
fn a_deletion_needs_no_chunks() {
    assert_eq!(held(vec![record_row(&record(RecordBody::Tombstone))])[0].chunks, Some(Vec::new()));
}

#[test]
fn what_is_not_signed_or_lies_elsewhere_is_no_record() {
    let (key, value) = record_row(&file_record());
    let mut forged = value.to_vec();
    forged[80] ^= 1;
    assert!(held(vec![(key.clone(), forged.into())]).is_empty());
    let mut elsewhere = key.to_vec();
    elsewhere[40] ^= 1;
    assert!(held(vec![(elsewhere.into(), value)]).is_empty());
}

#[test]
fn a_version_is_absent_broken_or_whole() {
    let (page, record) = (root(), file_record());
    let row = |key: &[u8]| (key == page_row(&page).0).then(|| page_row(&page).1);
    let mut inspector = Inspector::default();
    let blob = BlobKey { owner: keys().owner_id(), chunk: chunk() };
    assert_eq!(inspector.holding(&[], &row, &|_| true), Holding::Absent);
    let rows = [record_row(&record)];
    assert_eq!(inspector.holding(&rows, &row, &|_| true), Holding::Whole(vec![blob]));
    assert_eq!(inspector.holding(&rows, &row, &|_| false), Holding::Broken(vec![blob]));
    assert_eq!(inspector.holding(&rows, &|_| None, &|_| true), Holding::Broken(Vec::new()));
}
