//! Another language recovers files from a real data folder and the phrase: `core/tests/recover/recover.py`, which reads the
//! store's index by itself, run on folders that a node has written.
//!
//! Needs `python3` (or `$PYTHON`) with the packages `cryptography` and `blake3`. Without them the tests say so and pass, unless
//! `REQUIRE_PYTHON` is set.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Output};

use forever_core::bulk::PlainChunk;
use forever_core::command::{Command, PutMeta};
use forever_core::event::What;
use forever_core::key_hash::KeyHash;
use forever_core::phrase::to_phrase;
use forever_core::secrets::OwnerSecret;
use forever_net_tokio::folder::{self, OpenFolder, Owner};
use forever_net_tokio::handle::{Handle, Request};
use forever_net_tokio::server::{StartedNode, start_node};
use forever_net_tokio::settings::Settings;
use tokio::task::JoinHandle;

const SECRET: [u8; 32] = [7; 32];

fn python() -> Option<PathBuf> {
    let program = PathBuf::from(std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into()));
    let probe = Process::new(&program).args(["-c", "import blake3, cryptography"]).output();
    if probe.is_ok_and(|output| output.status.success()) {
        return Some(program);
    }
    let missing = "python3 with the packages `cryptography` and `blake3` is missing: recovery by script is not tested";
    assert!(std::env::var_os("REQUIRE_PYTHON").is_none(), "{missing}");
    eprintln!("{missing}");
    None
}

/// Bytes that do not repeat and differ by `seed`.
fn pattern(seed: &str, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(seed.as_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// A node without peers.
struct Node {
    handle: Handle,
    driver: JoinHandle<bool>,
    chunk_size: usize,
    _folder: OpenFolder,
}

impl Node {
    async fn start(data: &Path, settings: Settings) -> Self {
        let owner = Owner::Recovered(OwnerSecret::new(SECRET));
        let folder = folder::create(data, owner, None).unwrap().open().unwrap();
        let settings = Settings { listen: "127.0.0.1:0".to_owned(), reserve_mib: 0, ..settings };
        let StartedNode { handle, driver, .. } = start_node(&folder, &settings).await.unwrap();
        Self { handle, driver: tokio::spawn(driver), chunk_size: settings.chunk_size() as usize, _folder: folder }
    }

    async fn put(&self, name: &str, content: &[u8]) {
        let name = name.parse().unwrap();
        let meta = PutMeta {
            len: Some(content.len() as u64),
            mode: Some(0o644),
            content_type: Some("text/plain".to_owned()),
            ..PutMeta::default()
        };
        let mut put = self.handle.request(Command::Put { name, meta }).await.unwrap();
        let request = put.id;
        let mut ready = credit(&mut put).await;
        for bytes in content.chunks(self.chunk_size) {
            if ready == 0 {
                ready = credit(&mut put).await;
            }
            ready -= 1;
            let mut plain = PlainChunk::with_capacity(self.chunk_size);
            plain.extend(bytes);
            put.send(Command::PutChunk { request, plain }).await.unwrap();
        }
        put.send(Command::PutEnd { request }).await.unwrap();
        let mut event = put.next().await;
        while let Some(What::PutReady { .. }) = event {
            event = put.next().await;
        }
        assert!(matches!(event, Some(What::PutDone(_))), "{event:?}");
    }

    async fn delete(&self, name: &str) {
        let name = name.parse().unwrap();
        let mut delete = self.handle.request(Command::Delete { name }).await.unwrap();
        assert!(matches!(delete.next().await.unwrap(), What::Deleted(_)));
    }

    async fn stop(self) {
        self.handle.stop().await;
        self.driver.await.unwrap();
    }
}

/// How many more chunks a put may be given.
async fn credit(put: &mut Request) -> u32 {
    let event = put.next().await;
    let Some(What::PutReady { chunks }) = event else { panic!("{event:?}") };
    chunks
}

/// A data folder, and where the script leaves what it recovers.
struct Scene {
    python: PathBuf,
    folder: tempfile::TempDir,
}

impl Scene {
    fn new(python: PathBuf) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("phrase"), to_phrase(&OwnerSecret::new(SECRET))).unwrap();
        Self { python, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn data(&self) -> PathBuf {
        self.path("data")
    }

    fn index(&self) -> PathBuf {
        self.path("data/store/index.redb")
    }

    async fn node(&self) -> Node {
        // Chunks of 256 KiB, so that a few MiB are a good many files.
        let settings = Settings { chunk_size_kib: 256, ..Settings::default() };
        Node::start(&self.data(), settings).await
    }

    fn script(&self, args: &[&dyn AsRef<OsStr>]) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/tests/recover/recover.py");
        Process::new(&self.python)
            .arg(script)
            .arg("--phrase-file")
            .arg(self.path("phrase"))
            .args(args.iter().map(AsRef::as_ref))
            .output()
            .unwrap()
    }

    fn recover(&self, data: &Path, name: &str, more: &[&dyn AsRef<OsStr>]) -> Result<Vec<u8>, String> {
        let target = self.path("recovered");
        let output =
            self.script(&[&[&"--data" as &dyn AsRef<OsStr>, &data, &"--name", &name, &"-o", &target], more].concat());
        if output.status.success() {
            let content = fs::read(&target).unwrap();
            fs::remove_file(&target).unwrap();
            return Ok(content);
        }
        assert!(!target.exists(), "nothing half is left under the real name");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.starts_with("recover: "), "an error, and not a bug of the script: {said}");
        Err(said)
    }

    #[track_caller]
    fn recovers(&self, name: &str, content: &[u8]) {
        let recovered = self.recover(&self.data(), name, &[]).unwrap();
        assert!(recovered == content, "{name}");
    }

    #[track_caller]
    fn refuses(&self, name: &str, why: &str) {
        let said = self.recover(&self.data(), name, &[]).unwrap_err();
        assert!(said.contains(why), "{said}");
    }
}

/// All files below a folder.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

fn copy_folder(from: &Path, to: &Path) {
    for file in files_below(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(file, target).unwrap();
    }
}

fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 1;
    fs::write(file, bytes).unwrap();
}

#[tokio::test]
async fn script_recovers_what_a_node_has_stored() {
    let Some(python) = python() else { return };
    let scene = Scene::new(python);
    let large = pattern("large", 3 * 1024 * 1024 + 17);
    let node = scene.node().await;
    node.put("empty", b"").await;
    node.put("notes/small.txt", b"a few words").await;
    node.put("large.bin", &large).await;
    node.put("twice", b"the first content").await;
    node.put("twice", b"the second content").await;
    node.put("gone", b"to be deleted").await;
    node.delete("gone").await;
    node.stop().await;

    scene.recovers("empty", b"");
    scene.recovers("notes/small.txt", b"a few words");
    scene.recovers("large.bin", &large);
    scene.recovers("twice", b"the second content");
    scene.refuses("gone", "deleted");
    scene.refuses("never there", "no record of the name");
    let listed = scene.script(&[&"--data", &scene.data(), &"--list"]);
    let expected = format!("0\tempty\n{}\tlarge.bin\n11\tnotes/small.txt\n18\ttwice\n", large.len());
    assert_eq!(String::from_utf8(listed.stdout).unwrap(), expected);
}

/// With chunks of 1 KiB, the blobs are rows of a deep tree, and the manifest is pages of the largest size below a root.
#[tokio::test]
async fn script_reads_a_large_index() {
    let Some(python) = python() else { return };
    let scene = Scene::new(python);
    let content = pattern("many chunks", 4200 * 1024 + 5);
    let settings = Settings { chunk_size_kib: 1, ..Settings::default() };
    let node = Node::start(&scene.data(), settings).await;
    node.put("many", &content).await;
    node.stop().await;
    assert!(!scene.path("data/store/blobs").exists(), "all blobs are in the index");
    scene.recovers("many", &content);
}

#[tokio::test]
async fn script_finds_names_hashed_with_md5() {
    let Some(python) = python() else { return };
    let scene = Scene::new(python);
    let settings = Settings { key_hash: KeyHash::Md5, ..Settings::default() };
    let node = Node::start(&scene.data(), settings).await;
    node.put("foo_167", b"content").await;
    node.stop().await;
    let recovered = scene.recover(&scene.data(), "foo_167", &[&"--key-hash", &"md5"]);
    assert_eq!(recovered.unwrap(), b"content");
    scene.refuses("foo_167", "try --key-hash");
}

/// What lies on the disk while a node runs is what `kill -9` leaves.
#[tokio::test]
async fn script_recovers_after_a_kill_what_was_acknowledged() {
    let Some(python) = python() else { return };
    let scene = Scene::new(python);
    let node = scene.node().await;
    node.put("older", &pattern("older", 1_000_000)).await;
    node.put("newest", b"just acknowledged").await;
    scene.refuses("newest", "a node runs on");
    let killed = scene.path("killed");
    copy_folder(&scene.data(), &killed);
    node.stop().await;

    let content = scene.recover(&killed, "newest", &[]);
    assert_eq!(content.unwrap(), b"just acknowledged");
    // A power cut may tear the last commit slot too. Then the one before counts, as it does for the database itself.
    let index = killed.join("store/index.redb");
    let primary = usize::from(fs::read(&index).unwrap()[9] & 1);
    flip(&index, 64 + 128 * primary + 20);
    let content = scene.recover(&killed, "older", &[]);
    assert!(content.unwrap() == pattern("older", 1_000_000));
    flip(&index, 64 + 128 * (1 - primary) + 20);
    let said = scene.recover(&killed, "older", &[]).unwrap_err();
    assert!(said.contains("no commit in it is whole"), "{said}");
}

#[tokio::test]
async fn script_tells_a_wrong_phrase() {
    let Some(python) = python() else { return };
    let scene = Scene::new(python);
    let node = scene.node().await;
    node.put("name", b"content").await;
    node.stop().await;
    let phrase = to_phrase(&OwnerSecret::new(SECRET));
    let write = |phrase: &str| fs::write(scene.path("phrase"), phrase).unwrap();
    write(&to_phrase(&OwnerSecret::new([8; 32])));
    scene.refuses("name", "no file of this phrase's owner");
    write(&phrase.replacen(' ', " foreverstore ", 1));
    scene.refuses("name", "24 words");
    let (_, rest) = phrase.split_once(' ').unwrap();
    write(&format!("foreverstore {rest}"));
    scene.refuses("name", "word 1 of the phrase, `foreverstore`");
    write(&format!("zoo {rest}"));
    scene.refuses("name", "checksum");
}

#[tokio::test]
async fn script_tells_a_damaged_blob_and_a_lost_one() {
    let Some(python) = python() else { return };
    let scene = Scene::new(python);
    let node = scene.node().await;
    node.put("large", &pattern("large", 1_000_000)).await;
    node.stop().await;
    let blobs = files_below(&scene.path("data/store/blobs"));
    assert_eq!(blobs.len(), 4);
    flip(&blobs[0], 100_000);
    scene.refuses("large", "is damaged");
    fs::remove_file(&blobs[0]).unwrap();
    scene.refuses("large", "is missing");
}

/// Wherever the index is damaged, the script gives back the true content or an error.
#[tokio::test]
async fn script_never_takes_a_damaged_index_for_a_good_one() {
    let Some(python) = python() else { return };
    let scene = Scene::new(python);
    let content = pattern("inline", 8_000);
    let node = scene.node().await;
    node.put("name", &content).await;
    node.stop().await;
    let good = fs::read(scene.index()).unwrap();
    for at in [0, 9, 12, 16, 20].into_iter().chain((0..good.len()).step_by(good.len() / 8)) {
        flip(&scene.index(), at);
        if let Ok(recovered) = scene.recover(&scene.data(), "name", &[]) {
            assert!(recovered == content, "byte {at}");
        }
        fs::write(scene.index(), &good).unwrap();
    }
    scene.recovers("name", &content);
    // Every copy of the manifest, wherever the database has left one.
    let manifests: Vec<usize> =
        good.windows(5).enumerate().filter(|(_, bytes)| bytes == b"FSPG\x01").map(|(at, _)| at).collect();
    assert!(!manifests.is_empty());
    manifests.iter().for_each(|at| flip(&scene.index(), at + 100));
    scene.refuses("name", "the index cannot be read: a page is damaged");
}
