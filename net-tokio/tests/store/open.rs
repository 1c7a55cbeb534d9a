//! Folders that cannot be opened: each gets an error that says what is wrong and what to do, and loses nothing.

use std::io;
use std::path::Path;
use std::sync::Arc;

use forever_core::disk::DiskDone;
use forever_net_tokio::store::conformance::{commit_op, put, sample_blob, write_op};
use forever_net_tokio::store::memory_fs::MemoryFs;
use forever_net_tokio::store::{FORMAT, OpenError, RealFs, Store, StoreConfig, clear};
use redb::{Database, TableDefinition};

fn open(root: &Path) -> Result<Store, OpenError> {
    Store::open(Arc::new(RealFs), &StoreConfig::new(root))
}

/// A store with something in it, closed.
fn filled() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path()).unwrap();
    let (blob, bytes) = sample_blob(0, 50_000);
    assert_eq!(store.perform(write_op(blob, &bytes)), Ok(DiskDone::Written { new: true }));
    assert_eq!(store.perform(commit_op(vec![put("key", "value")])), Ok(DiskDone::Committed));
    root
}

#[test]
fn a_file_in_place_of_the_folder_is_told() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    assert!(matches!(open(&file), Err(OpenError::NotAFolder { path }) if path == file));
    assert!(matches!(open(&file.join("below")), Err(OpenError::NotAFolder { .. })));
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
}

#[test]
fn an_unwritable_folder_is_told() {
    for kind in [io::ErrorKind::PermissionDenied, io::ErrorKind::ReadOnlyFilesystem] {
        let fs = MemoryFs::new();
        fs.deny_changes(kind);
        let error = Store::open(Arc::new(fs), &StoreConfig::new("/data")).unwrap_err();
        assert!(matches!(error, OpenError::Unwritable { .. }), "{error}");
        assert!(error.to_string().contains("/data"), "{error}");
    }
}

#[test]
fn a_foreign_file_as_index_is_told_and_kept() {
    let root = filled();
    let index = root.path().join("index.redb");
    for content in [&b""[..], b"x", b"this is somebody's diary", &[0; 100_000]] {
        std::fs::write(&index, content).unwrap();
        let error = open(root.path()).unwrap_err();
        assert!(matches!(error, OpenError::IndexDamaged { .. }), "{error}");
        assert!(error.to_string().contains("index.redb") && error.to_string().contains("restore"), "{error}");
        assert_eq!(std::fs::read(&index).unwrap(), content);
    }
}

#[test]
fn a_truncated_index_is_told() {
    let root = filled();
    let index = root.path().join("index.redb");
    let whole = std::fs::read(&index).unwrap();
    for part in [1, 2, 3, 5, 8, 13] {
        std::fs::write(&index, &whole[..whole.len() * part / 14]).unwrap();
        let error = open(root.path()).unwrap_err();
        assert!(matches!(error, OpenError::IndexDamaged { .. }), "{part}: {error}");
    }
}

#[test]
fn an_index_with_damaged_pages_is_never_trusted() {
    let root = filled();
    let index = root.path().join("index.redb");
    let whole = std::fs::read(&index).unwrap();
    let value = whole.windows(8).position(|window| window == b"keyvalue").expect("the entry is in a page");
    let mut damaged = whole.clone();
    damaged[value + 4] ^= 1;
    std::fs::write(&index, &damaged).unwrap();
    let error = open(root.path()).unwrap_err();
    assert!(matches!(error, OpenError::IndexDamaged { .. }), "{error}");
}

#[test]
fn a_missing_index_is_never_replaced_by_an_empty_one() {
    let root = filled();
    std::fs::rename(root.path().join("index.redb"), root.path().join("aside")).unwrap();
    let error = open(root.path()).unwrap_err();
    assert!(matches!(error, OpenError::IndexMissing { .. }), "{error}");
    std::fs::rename(root.path().join("aside"), root.path().join("index.redb")).unwrap();
    drop(open(root.path()).unwrap());
}

#[test]
fn another_programs_database_is_told() {
    let root = tempfile::tempdir().unwrap();
    drop(Database::create(root.path().join("index.redb")).unwrap());
    let error = open(root.path()).unwrap_err();
    assert!(matches!(error, OpenError::IndexForeign { .. }), "{error}");
}

#[test]
fn a_newer_format_is_told_with_both_numbers() {
    const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
    let root = filled();
    let database = Database::create(root.path().join("index.redb")).unwrap();
    let txn = database.begin_write().unwrap();
    txn.open_table(META).unwrap().insert("format", 7).unwrap();
    txn.commit().unwrap();
    drop(database);
    let error = open(root.path()).unwrap_err();
    assert!(matches!(error, OpenError::NewerFormat { found: 7, supported: FORMAT, .. }), "{error}");
    assert!(error.to_string().contains("format 7") && error.to_string().contains("up to 1"), "{error}");
}

#[test]
fn an_index_in_use_is_told() {
    let root = filled();
    let store = open(root.path()).unwrap();
    let error = open(root.path()).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    drop(store);
    drop(open(root.path()).unwrap());
}

#[test]
fn clearing_wipes_the_store_and_nothing_else() {
    let root = filled();
    std::fs::write(root.path().join("config.toml"), "mine").unwrap();
    clear(&RealFs, root.path()).unwrap();
    let left: Vec<_> = std::fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["config.toml"]);
    clear(&RealFs, root.path()).unwrap();
    drop(open(root.path()).unwrap());
}
