//! The storage engine on the machine's file system and in memory, with and without threads: the disk's contract, damage on
//! the disk, and operations that race.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use forever_core::disk::{DiskDone, DiskError, DiskOp, DiskResult, Write};
use forever_core::ids::{BlobKey, OpId};
use forever_core::path::PathTransform;
use forever_net_tokio::disk::{Completion, Disk};
use forever_net_tokio::store::conformance::{SUITE, commit_op, put, sample_blob, write_op};
use forever_net_tokio::store::memory_fs::MemoryFs;
use forever_net_tokio::store::{RealFs, Store, StoreConfig, StoreDisk};
use tokio::sync::mpsc;

const LARGE: usize = 40_000;
const SMALL: usize = 300;
const WRITTEN: DiskResult = Ok(DiskDone::Written { new: true });

fn config(root: impl Into<PathBuf>) -> StoreConfig {
    let mut config = StoreConfig::new(root);
    config.reserve_bytes = 0;
    config
}

fn open_real(root: &Path) -> Store {
    Store::open(Arc::new(RealFs), &config(root)).unwrap()
}

fn open_memory(fs: &MemoryFs) -> Store {
    Store::open(Arc::new(fs.clone()), &config("/data")).unwrap()
}

fn threads(store: Store) -> StoreDisk {
    StoreDisk::new(store, &config("unused")).unwrap()
}

/// Submits operations and waits for their completions, which come in any order: the results in the order submitted.
fn submit_all(disk: &StoreDisk, ops: Vec<DiskOp>) -> Vec<DiskResult> {
    let (to, mut completions) = mpsc::unbounded_channel();
    let count = ops.len();
    for (number, what) in (0..).zip(ops) {
        disk.submit(what, Completion::new(OpId(number), to.clone()));
    }
    drop(to);
    let mut results: Vec<(OpId, DiskResult)> = std::iter::from_fn(|| completions.blocking_recv()).collect();
    assert_eq!(results.len(), count, "each operation has exactly one completion");
    results.sort_by_key(|(op, _)| *op);
    results.into_iter().map(|(_, result)| result).collect()
}

fn submit(disk: &StoreDisk, what: DiskOp) -> DiskResult {
    submit_all(disk, vec![what]).remove(0)
}

fn read_op(blob: BlobKey) -> DiskOp {
    DiskOp::ReadBlob { blob }
}

fn drop_op(blob: BlobKey) -> DiskOp {
    commit_op(vec![Write::drop_blob(blob)])
}

fn has(store: &Store, blob: BlobKey) -> bool {
    match store.perform(DiskOp::HasBlobs { blobs: vec![blob] }) {
        Ok(DiskDone::Has(has)) => has == [true],
        other => panic!("{other:?}"),
    }
}

fn paths_below(root: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            paths.extend(paths_below(&path));
        } else {
            paths.push(path);
        }
    }
    paths
}

/// The only blob's file.
fn blob_file(fs: &MemoryFs) -> PathBuf {
    let mut files = fs.files().into_keys().filter(|path| path.starts_with("/data/blobs"));
    let file = files.next().expect("a blob's file");
    assert_eq!(files.next(), None, "only one");
    file
}

#[test]
fn the_store_keeps_the_contract_on_a_real_disk() {
    for (name, case) in SUITE {
        println!("{name}");
        let root = tempfile::tempdir().unwrap();
        let store = open_real(root.path());
        case(&|what| store.perform(what));
    }
}

#[test]
fn the_store_on_threads_keeps_the_contract_on_a_real_disk() {
    for (name, case) in SUITE {
        println!("{name}");
        let root = tempfile::tempdir().unwrap();
        let disk = threads(open_real(root.path()));
        case(&|what| submit(&disk, what));
    }
}

#[test]
fn the_store_keeps_the_contract_in_memory() {
    for (name, case) in SUITE {
        println!("{name}");
        let store = open_memory(&MemoryFs::new());
        case(&|what| store.perform(what));
    }
}

#[test]
fn everything_is_there_after_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().join("made/on/the/way");
    let blobs = [sample_blob(0, LARGE), sample_blob(1, SMALL)];
    let disk = threads(open_real(&root));
    let mut ops: Vec<_> = blobs.iter().map(|(blob, bytes)| write_op(*blob, bytes)).collect();
    ops.push(commit_op(vec![put("key", "value")]));
    assert_eq!(submit_all(&disk, ops), [WRITTEN, WRITTEN, Ok(DiskDone::Committed)]);
    drop(disk);
    assert!(!root.join("unclean").exists(), "a clean end leaves nothing to sweep");
    let store = open_real(&root);
    for (blob, bytes) in blobs {
        assert_eq!(store.perform(read_op(blob)), Ok(DiskDone::Blob(bytes)));
    }
    let keys = vec![Bytes::from_static(b"key")];
    let values = vec![Some(Bytes::from_static(b"value"))];
    assert_eq!(store.perform(DiskOp::Lookup { keys }), Ok(DiskDone::Values(values)));
}

#[test]
fn commits_that_wait_share_one_sync() {
    let fs = MemoryFs::new();
    let disk = threads(open_memory(&fs));
    assert_eq!(submit(&disk, commit_op(vec![put("first", "")])), Ok(DiskDone::Committed));
    let before = fs.index_syncs();
    fs.hold_index_syncs(true);
    let (to, mut completions) = mpsc::unbounded_channel();
    let commit = |number: u64| {
        disk.submit(commit_op(vec![put("key", &number.to_string())]), Completion::new(OpId(number), to.clone()))
    };
    commit(0);
    // The first commit runs as soon as it is submitted; the others wait for it, and then share one.
    fs.await_held_sync();
    (1..=200).for_each(commit);
    fs.hold_index_syncs(false);
    for _ in 0..=200 {
        assert_eq!(completions.blocking_recv().unwrap().1, Ok(DiskDone::Committed));
    }
    assert_eq!(fs.index_syncs() - before, 2);
    let keys = vec![Bytes::from_static(b"key")];
    let last = vec![Some(Bytes::from_static(b"200"))];
    assert_eq!(submit(&disk, DiskOp::Lookup { keys }), Ok(DiskDone::Values(last)), "applied in the order submitted");
}

#[test]
fn a_commit_in_a_batch_sees_those_before_it() {
    let fs = MemoryFs::new();
    let disk = threads(open_memory(&fs));
    let key = Bytes::from_static(b"key");
    let needs = |writes| DiskOp::Commit { require_blobs: Vec::new(), require_keys: vec![key.clone()], writes };
    let missing = DiskDone::Missing { blobs: Vec::new(), keys: vec![key.clone()] };
    let ops = vec![
        needs(vec![put("a", "")]),
        commit_op(vec![put("key", "")]),
        needs(vec![put("b", "")]),
        commit_op(vec![Write::Delete { key: key.clone() }]),
        needs(vec![put("c", "")]),
    ];
    let results = submit_all(&disk, ops);
    assert_eq!(
        results,
        [missing.clone(), DiskDone::Committed, DiskDone::Committed, DiskDone::Committed, missing].map(Ok)
    );
    let keys = [b"a", b"b", b"c"].map(|key| Bytes::from_static(key)).to_vec();
    let values = vec![None, Some(Bytes::new()), None];
    assert_eq!(submit(&disk, DiskOp::Lookup { keys }), Ok(DiskDone::Values(values)));
}

#[test]
fn many_writers_of_one_blob_store_it_once() {
    let root = tempfile::tempdir().unwrap();
    let disk = threads(open_real(root.path()));
    for (blob, bytes) in [sample_blob(0, LARGE), sample_blob(1, SMALL)] {
        let results = submit_all(&disk, vec![write_op(blob, &bytes); 32]);
        let new = results.iter().filter(|result| **result == WRITTEN).count();
        let old = results.iter().filter(|result| **result == Ok(DiskDone::Written { new: false })).count();
        assert_eq!((new, old), (1, 31));
        assert_eq!(submit(&disk, read_op(blob)), Ok(DiskDone::Blob(bytes)));
    }
    drop(disk);
    assert_eq!(paths_below(&root.path().join("blobs")).len(), 1);
}

#[test]
fn drops_that_race_writes_never_take_a_present_blobs_file() {
    let root = tempfile::tempdir().unwrap();
    let disk = threads(open_real(root.path()));
    let (blob, bytes) = sample_blob(0, LARGE);
    for round in 0..50 {
        let ops = vec![
            write_op(blob, &bytes),
            drop_op(blob),
            write_op(blob, &bytes),
            read_op(blob),
            drop_op(blob),
            read_op(blob),
            write_op(blob, &bytes),
        ];
        for result in submit_all(&disk, ops) {
            assert!(!matches!(result, Err(DiskError::Corrupt | DiskError::Io(_))), "round {round}: {result:?}");
        }
        let is_present = has(disk.store(), blob);
        let expected = if is_present { Ok(DiskDone::Blob(bytes.clone())) } else { Err(DiskError::NotFound) };
        assert_eq!(submit(&disk, read_op(blob)), expected, "round {round}");
    }
    assert_eq!(submit(&disk, drop_op(blob)), Ok(DiskDone::Committed));
    drop(disk);
    assert_eq!(paths_below(&root.path().join("blobs")), [] as [PathBuf; 0]);
}

#[test]
fn a_damaged_blob_is_told_then_absent_then_stored_anew() {
    type Damage = fn(&MemoryFs, &Path, &[u8]);
    let damages: [(&str, Damage); 4] = [
        ("a flipped bit", |fs, path, bytes| {
            let mut bytes = bytes.to_vec();
            bytes[17] ^= 1;
            fs.overwrite(path, &bytes);
        }),
        ("truncated", |fs, path, bytes| fs.overwrite(path, &bytes[..bytes.len() - 1])),
        ("grown", |fs, path, bytes| fs.overwrite(path, &[bytes, b"x"].concat())),
        ("missing", |fs, path, _| fs.delete(path)),
    ];
    for (name, damage) in damages {
        let fs = MemoryFs::new();
        let store = open_memory(&fs);
        let (blob, bytes) = sample_blob(0, LARGE);
        assert_eq!(store.perform(write_op(blob, &bytes)), WRITTEN);
        damage(&fs, &blob_file(&fs), &bytes);
        assert_eq!(store.perform(read_op(blob)), Err(DiskError::Corrupt), "{name}");
        assert!(!has(&store, blob), "{name}");
        assert_eq!(store.perform(read_op(blob)), Err(DiskError::NotFound), "{name}");
        let requires = DiskOp::Commit { require_blobs: vec![blob], require_keys: Vec::new(), writes: Vec::new() };
        let missing = DiskDone::Missing { blobs: vec![blob], keys: Vec::new() };
        assert_eq!(store.perform(requires), Ok(missing), "{name}");
        let quarantined = fs.files().into_keys().filter(|path| path.starts_with("/data/quarantine")).count();
        assert_eq!(quarantined, usize::from(name != "missing"), "{name}");
        assert_eq!(store.perform(write_op(blob, &bytes)), WRITTEN, "{name}");
        assert_eq!(store.perform(read_op(blob)), Ok(DiskDone::Blob(bytes)), "{name}");
    }
}

#[test]
fn a_dying_disk_does_not_fill_itself_with_quarantined_files() {
    let fs = MemoryFs::new();
    let store = open_memory(&fs);
    for seed in 0..70 {
        let (blob, bytes) = sample_blob(seed, LARGE);
        assert_eq!(store.perform(write_op(blob, &bytes)), WRITTEN);
        fs.overwrite(&blob_file(&fs), b"damaged");
        assert_eq!(store.perform(read_op(blob)), Err(DiskError::Corrupt));
    }
    let files = fs.files();
    let count = |folder: &str| files.keys().filter(|path| path.starts_with(folder)).count();
    assert_eq!((count("/data/quarantine"), count("/data/blobs")), (64, 0));
}

#[test]
fn a_write_repairs_a_file_that_is_missing_short_or_damaged() {
    let fs = MemoryFs::new();
    let store = open_memory(&fs);
    let (blob, bytes) = sample_blob(0, LARGE);
    assert_eq!(store.perform(write_op(blob, &bytes)), WRITTEN);
    let damages: [fn(&MemoryFs, &Path); 3] = [
        |fs, path| fs.delete(path),
        |fs, path| fs.overwrite(path, b"half"),
        |fs, path| fs.overwrite(path, &vec![7; LARGE]),
    ];
    for damage in damages {
        damage(&fs, &blob_file(&fs));
        assert_eq!(store.perform(write_op(blob, &bytes)), WRITTEN);
        assert_eq!(store.perform(read_op(blob)), Ok(DiskDone::Blob(bytes.clone())));
    }
    match store.perform(DiskOp::Usage) {
        Ok(DiskDone::Usage(usage)) => assert_eq!((usage.blobs, usage.blob_bytes), (1, LARGE as u64)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn temp_files_and_orphans_are_swept_after_a_crash_and_nothing_else_is() {
    let fs = MemoryFs::new();
    let (blob, bytes) = sample_blob(0, LARGE);
    let (other, other_bytes) = sample_blob(1, LARGE);
    let store = open_memory(&fs);
    assert_eq!(store.perform(write_op(blob, &bytes)), WRITTEN);
    let file = blob_file(&fs);
    assert_eq!(store.perform(write_op(other, &other_bytes)), WRITTEN);
    assert_eq!(store.perform(drop_op(other)), Ok(DiskDone::Committed));
    std::mem::forget(store);
    let fs = fs.after_power_loss(3);
    let text = other.chunk.to_string();
    let orphan = owner_folder(&file).join(&text[..2]).join(&text[2..4]).join(&text[4..]);
    let temp = PathBuf::from(format!("{}.part", file.display()));
    let foreign = owner_folder(&file).join("notes.txt");
    put_file(&fs, &orphan, &other_bytes);
    put_file(&fs, &temp, b"half");
    put_file(&fs, &foreign, b"mine");
    let store = open_memory(&fs);
    assert_eq!(store.perform(read_op(blob)), Ok(DiskDone::Blob(bytes.clone())), "served before the sweep");
    while store.sweep_step() {}
    let files = fs.files();
    assert!(files.contains_key(&file) && files.contains_key(&foreign));
    assert!(!files.contains_key(&orphan) && !files.contains_key(&temp));
    assert_eq!(store.perform(read_op(blob)), Ok(DiskDone::Blob(bytes)));
}

fn owner_folder(file: &Path) -> PathBuf {
    file.iter().take(4).collect()
}

fn put_file(fs: &MemoryFs, path: &Path, bytes: &[u8]) {
    use forever_net_tokio::store::fs::Fs;
    for folder in path.ancestors().skip(1).collect::<Vec<_>>().into_iter().rev() {
        if fs.kind(folder).unwrap().is_none() {
            fs.create_dir(folder).unwrap();
        }
    }
    drop(fs.create_file(path).unwrap());
    fs.overwrite(path, bytes);
}

/// In the seed, deleting `foo_167` took `foo_315` along, because the first folder of their paths is the same.
#[test]
fn dropping_a_blob_leaves_others_in_the_same_folders() {
    let fs = MemoryFs::new();
    let mut config = config("/data");
    config.path = PathTransform::Flat;
    let store = Store::open(Arc::new(fs.clone()), &config).unwrap();
    let ((gone, gone_bytes), (stays, stays_bytes)) = (sample_blob(0, LARGE), sample_blob(1, LARGE));
    assert_eq!(store.perform(write_op(gone, &gone_bytes)), WRITTEN);
    assert_eq!(store.perform(write_op(stays, &stays_bytes)), WRITTEN);
    assert_eq!(store.perform(drop_op(gone)), Ok(DiskDone::Committed));
    assert_eq!(store.perform(read_op(stays)), Ok(DiskDone::Blob(stays_bytes)));
    assert_eq!(blob_file(&fs).file_name().unwrap().to_str().unwrap(), stays.chunk.to_string());
}

#[test]
fn blobs_stay_readable_when_the_path_transform_changes() {
    let fs = MemoryFs::new();
    let (blob, bytes) = sample_blob(0, LARGE);
    assert_eq!(open_memory(&fs).perform(write_op(blob, &bytes)), WRITTEN);
    let mut config = config("/data");
    config.path = PathTransform::Cas;
    let store = Store::open(Arc::new(fs.clone()), &config).unwrap();
    assert_eq!(store.perform(read_op(blob)), Ok(DiskDone::Blob(bytes.clone())));
    assert_eq!(store.perform(write_op(blob, &bytes)), Ok(DiskDone::Written { new: false }));
    assert_eq!(store.perform(drop_op(blob)), Ok(DiskDone::Committed));
    assert_eq!(fs.files().into_keys().filter(|path| path.starts_with("/data/blobs")).count(), 0);
}

#[test]
fn an_export_holds_every_entry_and_every_small_blob() {
    let fs = MemoryFs::new();
    let store = open_memory(&fs);
    let (small, small_bytes) = sample_blob(0, SMALL);
    let (large, large_bytes) = sample_blob(1, LARGE);
    assert_eq!(store.perform(write_op(small, &small_bytes)), WRITTEN);
    assert_eq!(store.perform(write_op(large, &large_bytes)), WRITTEN);
    let writes = (0..40).map(|number| put(&format!("key {number:02}"), "value")).collect();
    assert_eq!(store.perform(commit_op(writes)), Ok(DiskDone::Committed));
    let mut out = Vec::new();
    store.export(&mut out).unwrap();
    let lines: Vec<(Vec<u8>, Vec<u8>)> = String::from_utf8(out)
        .unwrap()
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let field = |name: &str| hex::decode(line[name].as_str().unwrap()).unwrap();
            (field("key"), field("value"))
        })
        .collect();
    let mut expected: Vec<(Vec<u8>, Vec<u8>)> =
        (0..40).map(|number| (format!("key {number:02}").into_bytes(), b"value".to_vec())).collect();
    expected.push(([b"B", &small.owner.0[..], &small.chunk.0[..]].concat(), small_bytes.to_vec()));
    assert_eq!(lines, expected);
}

#[cfg(target_os = "linux")]
#[test]
fn no_file_stays_open_after_its_operation() {
    let root = tempfile::tempdir().unwrap();
    let mine = || {
        let links = std::fs::read_dir("/proc/self/fd").unwrap();
        let open = links.filter_map(|link| std::fs::read_link(link.unwrap().path()).ok());
        open.filter(|path| path.starts_with(root.path())).count()
    };
    let disk = threads(open_real(root.path()));
    let before = mine();
    for seed in 0..20 {
        let (blob, bytes) = sample_blob(seed, LARGE);
        assert_eq!(submit(&disk, write_op(blob, &bytes)), WRITTEN);
        assert_eq!(submit(&disk, read_op(blob)), Ok(DiskDone::Blob(bytes)));
        assert_eq!(submit(&disk, drop_op(blob)), Ok(DiskDone::Committed));
        assert_eq!(submit(&disk, read_op(blob)), Err(DiskError::NotFound));
    }
    // A removal is no operation: let those under way end.
    let (last, bytes) = sample_blob(21, LARGE);
    assert_eq!(submit_all(&disk, vec![write_op(last, &bytes); 8]).len(), 8);
    assert_eq!(mine(), before);
    drop(disk);
    assert_eq!(mine(), 0);
}
