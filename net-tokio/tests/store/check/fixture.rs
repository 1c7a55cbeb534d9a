//! A store with whole files in it, made as a node makes them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use forever_core::bulk::PlainChunk;
use forever_core::disk::{DiskDone, DiskOp, Write};
use forever_core::ids::{BlobKey, NodeId, PageId};
use forever_core::manifest::{
    Children, ChunkRef, FileMeta, PAGE_ENTRIES_MAX, PageContext, PagePublic, PageRef, PageSecrets, SealedPage,
    seal_page,
};
use forever_core::placement::Replicas;
use forever_core::record::{Record, RecordBody, Retention, SignedRecord};
use forever_core::seal::{SealedChunk, seal_chunk};
use forever_core::secrets::{OwnerKeys, OwnerSecret};
use forever_core::version::Version;
use forever_net_tokio::store::check::{Check, Report, check, repair};
use forever_net_tokio::store::conformance::{commit_op, write_op};
use forever_net_tokio::store::fs::Fs;
use forever_net_tokio::store::{RealFs, Store, StoreConfig};
use redb::ReadableTable;

/// Plain bytes of a chunk. The last one is short, so that its blob lies in the index.
pub(crate) const CHUNK: usize = 40_000;
const LAST: usize = 1_000;

pub(crate) struct Fixture {
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) root: PathBuf,
    pub(crate) keys: OwnerKeys,
    _folder: Option<tempfile::TempDir>,
}

/// A file that was put.
pub(crate) struct Put {
    pub(crate) record: SignedRecord,
    pub(crate) root: PageId,
    pub(crate) chunks: Vec<BlobKey>,
}

impl Put {
    pub(crate) fn record_key(&self) -> Vec<u8> {
        let what = &self.record.record;
        [&b"R"[..], &what.owner.0, &what.name_id.0, &what.version.to_bytes(), &self.record.id.0].concat()
    }

    pub(crate) fn page_key(&self) -> Vec<u8> {
        [&b"P"[..], &self.record.record.owner.0, &self.root.0].concat()
    }

    pub(crate) fn reference_key(&self, chunk: usize) -> Vec<u8> {
        let blob = self.chunks[chunk];
        [&b"F"[..], &blob.owner.0, &blob.chunk.0, &self.root.0].concat()
    }

    pub(crate) fn evicted_key(&self) -> Vec<u8> {
        [&b"E"[..], &self.record.record.owner.0, &self.record.id.0].concat()
    }
}

impl Fixture {
    /// A store in a real folder.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("store");
        Self { fs: Arc::new(RealFs), root, keys: owner(7), _folder: Some(folder) }
    }

    pub(crate) fn on(fs: Arc<dyn Fs>) -> Self {
        Self { fs, root: PathBuf::from("/store"), keys: owner(7), _folder: None }
    }

    pub(crate) fn config(&self) -> StoreConfig {
        StoreConfig { reserve_bytes: 0, ..StoreConfig::new(&self.root) }
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(Arc::clone(&self.fs), &self.config()).unwrap()
    }

    pub(crate) fn perform(&self, what: DiskOp) {
        self.store().perform(what).unwrap();
    }

    /// Stores a file of two chunks, one in a file and one in the index.
    pub(crate) fn put(&self, name: &str) -> Put {
        self.put_as(&self.keys, name)
    }

    pub(crate) fn put_as(&self, keys: &OwnerKeys, name: &str) -> Put {
        let chunks: Vec<SealedChunk> =
            [CHUNK, LAST].into_iter().map(|len| seal_chunk(keys, plain(name, len))).collect();
        let refs: Vec<ChunkRef> = chunks
            .iter()
            .map(|chunk| ChunkRef { id: chunk.id, len: u32::try_from(chunk.blob.len()).unwrap() })
            .collect();
        let meta = FileMeta {
            name: name.parse().unwrap(),
            len: (CHUNK + LAST) as u64,
            chunk_size: u32::try_from(CHUNK).unwrap(),
            mtime_ms: None,
            mode: None,
            content_type: None,
        };
        let version = Version { wall_ms: 1_800_000_000_000, counter: 0, node: NodeId([3; 32]) };
        let name_id = keys.name_id(&meta.name);
        let context = PageContext { owner: keys.owner_id(), name_id, version };
        let public = PagePublic { index: 0, count: 1, children: Children::Chunks(refs.clone()) };
        let secrets = PageSecrets::RootOfChunks { meta, keys: chunks.iter().map(|chunk| chunk.key.clone()).collect() };
        let page = seal_page(keys, &context, &public, &secrets);
        let put = Put { record: sign(keys, &context, &page), root: page.id, chunks: blobs(keys, &refs) };
        let store = self.store();
        for chunk in chunks {
            let blob = BlobKey { owner: keys.owner_id(), chunk: chunk.id };
            let written = store.perform(write_op(blob, &chunk.blob.into_bytes()));
            assert_eq!(written, Ok(DiskDone::Written { new: true }));
        }
        let references = (0..refs.len()).map(|chunk| (put.reference_key(chunk), Bytes::new()));
        let rows = [(put.page_key(), page.data), (put.record_key(), put.record.bytes.clone())];
        let writes = rows.into_iter().chain(references).map(|(key, value)| Write::Put { key: key.into(), value });
        assert_eq!(store.perform(commit_op(writes.collect())), Ok(DiskDone::Committed));
        put
    }

    /// Stores the record and the pages of a file of 4,097 chunks, which are not there. Its pages: the root, a full one, and one
    /// of one chunk.
    pub(crate) fn put_pages(&self) -> (SignedRecord, [PageId; 3]) {
        let count = PAGE_ENTRIES_MAX + 1;
        let (name, chunk_size) = ("long", 1_000);
        let meta = FileMeta {
            name: name.parse().unwrap(),
            len: (count * chunk_size) as u64,
            chunk_size: u32::try_from(chunk_size).unwrap(),
            mtime_ms: None,
            mode: None,
            content_type: None,
        };
        let version = Version { wall_ms: 1_800_000_000_000, counter: 0, node: NodeId([3; 32]) };
        let name_id = self.keys.name_id(&meta.name);
        let context = PageContext { owner: self.keys.owner_id(), name_id, version };
        let chunks: Vec<SealedChunk> =
            (0..count).map(|chunk| seal_chunk(&self.keys, plain(&chunk.to_string(), chunk_size))).collect();
        let below = chunks.chunks(PAGE_ENTRIES_MAX).zip(1..).map(|(chunks, index)| {
            let refs =
                chunks.iter().map(|chunk| ChunkRef { id: chunk.id, len: u32::try_from(chunk.blob.len()).unwrap() });
            let public = PagePublic { index, count: 3, children: Children::Chunks(refs.collect()) };
            let keys = chunks.iter().map(|chunk| chunk.key.clone()).collect();
            (seal_page(&self.keys, &context, &public, &PageSecrets::Page { keys }), public)
        });
        let below: Vec<(SealedPage, PagePublic)> = below.collect();
        let refs = below.iter().map(|(page, _)| PageRef { id: page.id, len: u32::try_from(page.data.len()).unwrap() });
        let public = PagePublic { index: 0, count: 3, children: Children::Pages(refs.collect()) };
        let secrets = PageSecrets::RootOfPages { meta, keys: below.iter().map(|(page, _)| page.key.clone()).collect() };
        let root = seal_page(&self.keys, &context, &public, &secrets);
        let owner = context.owner;
        let mut rows = vec![([&b"P"[..], &owner.0, &root.id.0].concat(), root.data.clone())];
        for (page, public) in &below {
            rows.push(([&b"P"[..], &owner.0, &page.id.0].concat(), page.data.clone()));
            let Children::Chunks(chunks) = &public.children else { unreachable!("made above") };
            let key = |chunk: &ChunkRef| [&b"F"[..], &owner.0, &chunk.id.0, &page.id.0].concat();
            rows.extend(chunks.iter().map(|chunk| (key(chunk), Bytes::new())));
        }
        let record = sign(&self.keys, &context, &root);
        let key = [&b"R"[..], &owner.0, &name_id.0, &version.to_bytes(), &record.id.0].concat();
        rows.push((key, record.bytes.clone()));
        let writes = rows.into_iter().map(|(key, value)| Write::Put { key: key.into(), value });
        self.perform(commit_op(writes.collect()));
        (record, [root.id, below[0].0.id, below[1].0.id])
    }

    /// Where a blob's file is, if it has one.
    pub(crate) fn file_of(&self, blob: &BlobKey) -> PathBuf {
        let (owner, chunk) = (blob.owner.to_string(), blob.chunk.to_string());
        self.root.join("blobs").join(owner).join(&chunk[..2]).join(&chunk[2..4]).join(&chunk[4..])
    }

    pub(crate) fn check(&self, deep: bool) -> Report {
        let config = self.config();
        let what = Check { root: &self.root, path: config.path, deep, keys: Some(&self.keys) };
        check(&*self.fs, &what, &mut |_| {}).unwrap()
    }

    pub(crate) fn repair(&self, report: &mut Report) {
        repair(Arc::clone(&self.fs), &self.config(), report).unwrap();
    }

    /// All bytes of a real folder.
    pub(crate) fn bytes(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.insert(path.clone(), fs::read(&path).unwrap());
                }
            }
        }
        files
    }

    /// Changes a row of a table of the index in a real folder, behind the engine's back, checksums and all.
    pub(crate) fn change_blob_row(&self, blob: &BlobKey, change: impl FnOnce(&mut Vec<u8>)) {
        let table = redb::TableDefinition::<&[u8; 64], &[u8]>::new("blobs");
        let mut key = [0; 64];
        key[..32].copy_from_slice(&blob.owner.0);
        key[32..].copy_from_slice(&blob.chunk.0);
        let database = redb::Database::open(self.index()).unwrap();
        let txn = database.begin_write().unwrap();
        let mut row = txn.open_table(table).unwrap().get(&key).unwrap().unwrap().value().to_vec();
        change(&mut row);
        txn.open_table(table).unwrap().insert(&key, row.as_slice()).unwrap();
        txn.commit().unwrap();
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.root.join("index.redb")
    }
}

pub(crate) fn owner(seed: u8) -> OwnerKeys {
    OwnerKeys::derive(&OwnerSecret::new([seed; 32]))
}

pub(crate) fn flip_a_bit(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// The kinds of all findings, in order of their names.
pub(crate) fn kinds(report: &Report) -> Vec<&'static str> {
    let mut kinds: Vec<_> = report.findings.iter().map(|finding| finding.problem.kind()).collect();
    kinds.sort_unstable();
    kinds
}

fn plain(seed: &str, len: usize) -> PlainChunk {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(seed.as_bytes()).finalize_xof().fill(&mut bytes);
    let mut plain = PlainChunk::with_capacity(len);
    plain.extend(&bytes);
    plain
}

fn blobs(keys: &OwnerKeys, refs: &[ChunkRef]) -> Vec<BlobKey> {
    refs.iter().map(|chunk| BlobKey { owner: keys.owner_id(), chunk: chunk.id }).collect()
}

fn sign(keys: &OwnerKeys, context: &PageContext, page: &SealedPage) -> SignedRecord {
    let PageRef { id: root, len: root_len } = PageRef { id: page.id, len: u32::try_from(page.data.len()).unwrap() };
    let record = Record {
        owner: context.owner,
        name_id: context.name_id,
        version: context.version,
        retention: Retention { keep_versions: 10, keep_days: 30, replicas: Replicas::default() },
        body: RecordBody::File { root, root_len },
    };
    SignedRecord::sign(keys, record)
}
