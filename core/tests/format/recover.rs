//! Another language recovers files from raw pieces by `FORMAT.md` alone: `recover/recover.py`, run on folders built here.
//!
//! Needs `python3` (or `$PYTHON`) with the packages `cryptography` and `blake3`. Without them the tests say so and pass, unless
//! `REQUIRE_PYTHON` is set.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::common;
use forever_core::ids::{ChunkId, NameId, NodeId, PageId};
use forever_core::manifest::{
    Children, ChunkRef, FileMeta, PAGE_ENTRIES_MAX, PagePublic, PageRef, PageSecrets, SealedPage, seal_page,
};
use forever_core::path::PathTransform;
use forever_core::phrase::to_phrase;
use forever_core::record::{RecordBody, SignedRecord};
use forever_core::secrets::ChunkKey;

/// Blobs up to here lie in the index, larger ones in files.
const INDEXED_LEN_MAX: usize = 16 * 1024;

fn script(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recover").join(file)
}

fn python() -> Option<Command> {
    let program = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
    let probe = Command::new(&program).args(["-c", "import blake3, cryptography"]).output();
    if probe.is_ok_and(|output| output.status.success()) {
        return Some(Command::new(program));
    }
    let missing = "python3 with the packages `cryptography` and `blake3` is missing: recovery by script is not tested";
    assert!(std::env::var_os("REQUIRE_PYTHON").is_none(), "{missing}");
    eprintln!("{missing}");
    None
}

/// A folder of raw pieces.
struct Pieces {
    folder: tempfile::TempDir,
    index: String,
}

impl Pieces {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("phrase"), to_phrase(&common::secret())).unwrap();
        Self { folder, index: String::new() }
    }

    fn row(&mut self, kind: &[u8], id: &[&[u8]], value: &[u8]) {
        let owner = common::keys().owner_id();
        let key = [&[kind, owner.as_bytes()], id].concat().concat();
        let row = serde_json::json!({ "key": hex::encode(key), "value": hex::encode(value) });
        self.index += &format!("{row}\n");
    }

    fn blob_file(&self, id: ChunkId) -> PathBuf {
        let path = PathTransform::Git.path(&id.to_string()).unwrap();
        let owner = common::keys().owner_id().to_string();
        self.folder.path().join("blobs").join(owner).join(path)
    }

    fn chunk(&mut self, plain: &[u8]) -> (ChunkRef, ChunkKey) {
        let sealed = common::chunk(plain);
        let blob = sealed.blob.into_bytes();
        if blob.len() <= INDEXED_LEN_MAX {
            self.row(b"B", &[sealed.id.as_bytes()], &blob);
        } else {
            let file = self.blob_file(sealed.id);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, &blob).unwrap();
        }
        let len = u32::try_from(blob.len()).unwrap();
        (ChunkRef { id: sealed.id, len }, sealed.key)
    }

    fn page(&mut self, public: &PagePublic, secrets: &PageSecrets) -> SealedPage {
        let page = seal_page(&common::keys(), &common::context(), public, secrets);
        self.row(b"P", &[page.id.as_bytes()], &page.data);
        page
    }

    fn record(&mut self, record: &SignedRecord) {
        let place = [record.record.name_id.as_bytes(), &record.record.version.to_bytes()[..], record.id.as_bytes()];
        self.row(b"R", &place, &record.bytes);
    }

    /// Adds a file with all its pieces.
    fn file(&mut self, content: &[u8], chunk_size: usize) {
        let chunks = content.chunks(chunk_size).map(|plain| self.chunk(plain));
        let (refs, keys): (Vec<_>, Vec<_>) = chunks.collect();
        let meta =
            FileMeta { len: content.len() as u64, chunk_size: u32::try_from(chunk_size).unwrap(), ..common::meta() };
        let root = if refs.len() <= PAGE_ENTRIES_MAX {
            let public = PagePublic { index: 0, count: 1, children: Children::Chunks(refs) };
            self.page(&public, &PageSecrets::RootOfChunks { meta, keys })
        } else {
            self.two_levels(meta, &refs, &keys)
        };
        self.record(&common::record(RecordBody::File { root: root.id, root_len: page_ref(&root).len }));
    }

    fn two_levels(&mut self, meta: FileMeta, refs: &[ChunkRef], keys: &[ChunkKey]) -> SealedPage {
        let pages = refs.chunks(PAGE_ENTRIES_MAX).zip(keys.chunks(PAGE_ENTRIES_MAX));
        let count = u32::try_from(pages.len() + 1).unwrap();
        let sealed: Vec<SealedPage> = (1..)
            .zip(pages)
            .map(|(index, (refs, keys))| {
                let public = PagePublic { index, count, children: Children::Chunks(refs.to_vec()) };
                self.page(&public, &PageSecrets::Page { keys: keys.to_vec() })
            })
            .collect();
        let public = PagePublic { index: 0, count, children: Children::Pages(sealed.iter().map(page_ref).collect()) };
        let keys = sealed.iter().map(|page| page.key.clone()).collect();
        self.page(&public, &PageSecrets::RootOfPages { meta, keys })
    }

    fn output(&self) -> PathBuf {
        self.folder.path().join("recovered")
    }

    fn run(&self, python: Command) -> Output {
        let output = self.output();
        self.run_with(python, &["--name", "hello.txt", "-o", output.to_str().unwrap()])
    }

    fn run_with(&self, mut python: Command, arguments: &[&str]) -> Output {
        let path = |file: &str| self.folder.path().join(file);
        fs::write(path("index.jsonl"), &self.index).unwrap();
        fs::create_dir_all(path("blobs")).unwrap();
        python
            .arg(script("recover.py"))
            .args(arguments)
            .arg("--phrase-file")
            .arg(path("phrase"))
            .arg("--index")
            .arg(path("index.jsonl"))
            .arg("--blobs")
            .arg(path("blobs"))
            .output()
            .unwrap()
    }

    /// Lists the files, and checks what is said of a checkpoint that covers `hello.txt`.
    #[track_caller]
    fn lists(&self, python: Command, is_complete: bool) {
        let output = self.run_with(python, &["--list"]);
        let (listed, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{said}");
        assert_eq!(listed, "11\thello.txt\n");
        let complete = if is_complete { "complete" } else { "NOT complete" };
        let of = "as of 2026-01-01 00:00:02 UTC, device 22222222, checkpoint 1 of 1 names";
        assert_eq!(said, format!("recover: {complete} {of}\n"));
    }

    #[track_caller]
    fn recovers(&self, python: Command, content: &[u8]) {
        let output = self.run(python);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(fs::read(self.output()).unwrap() == content);
    }

    #[track_caller]
    fn refuses(&self, python: Command, why: &str) {
        let output = self.run(python);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(said.contains(why), "{said}");
        assert!(!self.output().exists(), "nothing half is left under the real name");
    }
}

fn page_ref(page: &SealedPage) -> PageRef {
    PageRef { id: page.id, len: u32::try_from(page.data.len()).unwrap() }
}

/// Bytes that do not repeat, so that no two chunks are equal.
fn pattern(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

#[test]
fn word_list_is_bip39s() {
    let words = fs::read_to_string(script("english.txt")).unwrap();
    assert!(words.lines().eq(bip39::Language::English.word_list().iter().copied()));
}

#[test]
fn script_recovers_a_file_of_files_and_indexed_blobs() {
    let Some(python) = python() else { return };
    let content = pattern(3 * 20_000 + 5);
    let mut pieces = Pieces::new();
    pieces.file(&content, 20_000);
    pieces.recovers(python, &content);
}

#[test]
fn script_recovers_an_empty_file() {
    let Some(python) = python() else { return };
    let mut pieces = Pieces::new();
    pieces.file(&[], 20_000);
    pieces.recovers(python, &[]);
}

#[test]
fn script_recovers_a_file_of_two_levels_of_pages() {
    let Some(python) = python() else { return };
    let content = pattern(7 * (PAGE_ENTRIES_MAX + 2) - 3);
    let mut pieces = Pieces::new();
    pieces.file(&content, 7);
    pieces.recovers(python, &content);
}

#[test]
fn script_takes_the_newest_record() {
    let Some(python) = python() else { return };
    let content = pattern(50_000);
    let mut pieces = Pieces::new();
    pieces.file(&content, 20_000);
    let mut older = common::record(RecordBody::Tombstone).record;
    older.version.counter -= 1;
    pieces.record(&SignedRecord::sign(&common::keys(), older));
    pieces.recovers(python, &content);
}

#[test]
fn script_tells_a_deleted_file() {
    let Some(python) = python() else { return };
    let mut pieces = Pieces::new();
    pieces.file(&pattern(100), 20_000);
    let mut newer = common::record(RecordBody::Tombstone).record;
    newer.version.counter += 1;
    pieces.record(&SignedRecord::sign(&common::keys(), newer));
    pieces.refuses(python, "deleted");
}

#[test]
fn script_says_which_checkpoints_the_records_cover() {
    if python().is_none() {
        return;
    }
    let mut pieces = Pieces::new();
    pieces.file(b"Foo not bar", 1 << 20);
    pieces.record(&common::checkpoint());
    pieces.lists(python().unwrap(), true);
    // What another device deleted at the same time was not known.
    let deletion = |node: u8| {
        let mut record = common::record(RecordBody::Tombstone).record;
        record.name_id = NameId([9; 32]);
        record.version.node = NodeId([node; 32]);
        SignedRecord::sign(&common::keys(), record)
    };
    pieces.record(&deletion(0x33));
    pieces.lists(python().unwrap(), true);
    // And what the device itself had deleted was.
    pieces.record(&deletion(0x22));
    pieces.lists(python().unwrap(), false);
}

#[test]
fn script_refuses_a_damaged_blob() {
    let Some(python) = python() else { return };
    let content = pattern(40_000);
    let mut pieces = Pieces::new();
    pieces.file(&content, 20_000);
    let file = pieces.blob_file(common::chunk(&content[20_000..]).id);
    let mut blob = fs::read(&file).unwrap();
    blob[100] ^= 1;
    fs::write(&file, blob).unwrap();
    pieces.refuses(python, "damaged");
}

#[test]
fn script_refuses_a_page_that_is_not_what_its_address_says() {
    let Some(python) = python() else { return };
    let mut pieces = Pieces::new();
    pieces.file(&pattern(100), 20_000);
    // A later row of the same key takes the place of the first.
    let root = root_of(&pieces);
    pieces.row(b"P", &[root.as_bytes()], b"FSPG\x01 something else altogether");
    pieces.refuses(python, "damaged");
}

fn root_of(pieces: &Pieces) -> PageId {
    let owner = common::keys().owner_id();
    let prefix = format!("{{\"key\":\"{}{owner}", hex::encode(b"P"));
    let row = pieces.index.lines().find(|line| line.starts_with(&prefix)).unwrap();
    row[prefix.len()..prefix.len() + 64].parse().unwrap()
}

#[test]
fn script_refuses_a_forged_record() {
    let Some(python) = python() else { return };
    let mut pieces = Pieces::new();
    pieces.file(&pattern(100), 20_000);
    let mut forged = common::file_record();
    let mut bytes = forged.bytes.to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    forged.bytes = bytes.into();
    pieces.record(&forged);
    pieces.refuses(python, "signature");
}
