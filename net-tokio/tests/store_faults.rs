//! Faults at every single operation of the file system while a workload runs: whatever was acknowledged is there
//! afterwards and intact, and nothing is there by half.
#![allow(clippy::unwrap_used, reason = "clippy takes only functions marked as tests for tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use forever_core::disk::{DiskDone, DiskError, DiskOp, DiskResult, Write};
use forever_core::ids::BlobKey;
use forever_net_tokio::store::conformance::{commit_op, put, sample_blob, usage, write_op};
use forever_net_tokio::store::memory_fs::{Fault, MemoryFs};
use forever_net_tokio::store::{OpenError, Store, StoreConfig, clear};

const LARGE: usize = 20_000;
const SMALL: usize = 300;

fn open(fs: &MemoryFs) -> Result<Store, OpenError> {
    let mut config = StoreConfig::new("/data/store");
    config.reserve_bytes = 0;
    config.cache_bytes = 1 << 20;
    Store::open(Arc::new(fs.clone()), &config)
}

/// All of a disk that an operation can show.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Content {
    keys: BTreeMap<Bytes, Bytes>,
    blobs: BTreeSet<BlobKey>,
}

impl Content {
    fn apply(&mut self, what: &DiskOp) {
        match what {
            DiskOp::WriteBlob { blob, .. } => {
                self.blobs.insert(*blob);
            }
            DiskOp::Commit { writes, .. } => writes.iter().for_each(|write| self.write(write)),
            DiskOp::ReadBlob { .. }
            | DiskOp::HasBlobs { .. }
            | DiskOp::Lookup { .. }
            | DiskOp::Scan { .. }
            | DiskOp::Usage => {}
        }
    }

    fn write(&mut self, write: &Write) {
        match write {
            Write::Put { key, value } => {
                self.keys.insert(key.clone(), value.clone());
            }
            Write::Delete { key } => {
                self.keys.remove(key);
            }
            Write::DropBlob { blob } => {
                self.blobs.remove(blob);
            }
        }
    }
}

/// What the disk may hold, by what it answered: an operation that failed may have been done, or not.
#[derive(Clone, Debug)]
struct Model {
    possible: BTreeSet<Content>,
}

impl Model {
    fn new() -> Self {
        Self { possible: BTreeSet::from([Content::default()]) }
    }

    fn note(&mut self, what: &DiskOp, result: &DiskResult) {
        let after = self.possible.iter().cloned().map(|mut content| {
            content.apply(what);
            content
        });
        match result {
            Ok(DiskDone::Missing { .. }) => {}
            Ok(_) => self.possible = after.collect(),
            Err(_) => {
                let after: Vec<_> = after.collect();
                self.possible.extend(after);
            }
        }
    }
}

/// Reads everything back. Blobs that are present must be intact, and the counters must count them.
fn observe(store: &Store) -> Content {
    let mut content = Content::default();
    let scan = DiskOp::Scan { from: Bytes::new(), to: Bytes::from_static(&[0xff]), limit: 100, reverse: false };
    let Ok(DiskDone::Entries { entries, more: false }) = store.perform(scan) else {
        panic!("the index cannot be scanned");
    };
    content.keys.extend(entries);
    let mut len = 0;
    for (blob, bytes) in blobs() {
        match store.perform(DiskOp::ReadBlob { blob }) {
            Ok(DiskDone::Blob(read)) => {
                assert_eq!(read, bytes);
                len += bytes.len() as u64;
                content.blobs.insert(blob);
            }
            Err(DiskError::NotFound) => {}
            other => panic!("reading a blob answered {other:?}"),
        }
        let has = DiskDone::Has(vec![content.blobs.contains(&blob)]);
        assert_eq!(store.perform(DiskOp::HasBlobs { blobs: vec![blob] }), Ok(has));
    }
    let usage = usage(&|what| store.perform(what));
    assert_eq!((usage.blobs, usage.blob_bytes), (content.blobs.len() as u64, len));
    content
}

fn blobs() -> [(BlobKey, Bytes); 4] {
    [(0, LARGE), (1, SMALL), (2, LARGE), (3, LARGE)].map(|(seed, len)| sample_blob(seed, len))
}

/// Two runs of a node, each with writes, commits and drops.
fn workload() -> [Vec<DiskOp>; 2] {
    let [(a, a_bytes), (b, b_bytes), (c, c_bytes), (d, d_bytes)] = blobs();
    let commit = |blob, writes| DiskOp::Commit { require_blobs: vec![blob], require_keys: Vec::new(), writes };
    [
        vec![
            write_op(a, &a_bytes),
            write_op(b, &b_bytes),
            commit(a, vec![put("one", "1"), put("two", "2")]),
            write_op(c, &c_bytes),
            commit_op(vec![Write::DropBlob { blob: a }, put("one", "dropped")]),
        ],
        vec![
            write_op(a, &a_bytes),
            write_op(d, &d_bytes),
            commit(d, vec![put("two", "22"), put("three", "3"), Write::DropBlob { blob: b }]),
            commit_op(vec![Write::Delete { key: Bytes::from_static(b"one") }, Write::DropBlob { blob: c }]),
            write_op(b, &b_bytes),
        ],
    ]
}

/// Runs the workload as far as it goes. Stops at the first failure if told so, as after a power loss.
fn run(fs: &MemoryFs, stops_at_failure: bool) -> Model {
    let mut model = Model::new();
    for ops in workload() {
        let Ok(store) = open(fs) else {
            if stops_at_failure {
                return model;
            }
            continue;
        };
        while store.sweep_step() {}
        for what in ops {
            let result = store.perform(what.clone());
            model.note(&what, &result);
            if result.is_err() && stops_at_failure {
                return model;
            }
        }
    }
    model
}

/// The files that no row needs, after a sweep.
fn assert_no_orphans(fs: &MemoryFs, content: &Content) {
    let files = fs.files();
    let of_blobs = files.keys().filter(|path| path.starts_with("/data/store/blobs"));
    let large = content.blobs.iter().filter(|blob| **blob != blobs()[1].0);
    assert_eq!(of_blobs.count(), large.count(), "{:?}", files.keys());
}

fn assert_sound(fs: &MemoryFs, model: &Model, context: &str) {
    let store = open(fs).unwrap_or_else(|error| panic!("{context}: {error}"));
    while store.sweep_step() {}
    let content = observe(&store);
    assert!(model.possible.contains(&content), "{context}: {content:?} is none of {:?}", model.possible);
    assert_no_orphans(fs, &content);
}

/// Calls `each` with 1, 2, 3, ... until it says that its fault was never met, and checks that it was met often.
fn at_every_operation(at_least: u64, mut each: impl FnMut(u64) -> bool) {
    let mut at = 1;
    while each(at) {
        at += 1;
    }
    assert!(at > at_least, "only {at} operations met the fault");
}

#[test]
fn the_workload_ends_in_one_state_without_faults() {
    let fs = MemoryFs::new();
    let model = run(&fs, true);
    assert_eq!(model.possible.len(), 1);
    assert_sound(&fs, &model, "no fault");
    assert_sound(&fs.after_power_loss(1), &model, "power loss after the end");
}

#[test]
fn power_loss_at_every_operation_loses_nothing_acknowledged() {
    at_every_operation(150, |at| {
        let fs = MemoryFs::new();
        fs.fail(at, Fault::Crash);
        let model = run(&fs, true);
        for seed in 1..=3 {
            let context = format!("power loss at operation {at}, seed {seed}");
            assert_sound(&fs.after_power_loss(at * 31 + seed), &model, &context);
        }
        !fs.is_armed()
    });
}

#[test]
fn power_loss_during_recovery_loses_nothing_either() {
    at_every_operation(150, |at| {
        let fs = MemoryFs::new();
        fs.fail(at, Fault::Crash);
        let model = run(&fs, true);
        let again = fs.after_power_loss(at);
        again.fail(1 + at * 7 % 41, Fault::Crash);
        if let Ok(store) = open(&again) {
            while store.sweep_step() {}
        }
        assert_sound(&again.after_power_loss(at + 5), &model, &format!("power losses, the first at {at}"));
        !fs.is_armed()
    });
}

#[test]
fn an_error_at_every_operation_is_told_and_harms_nothing_else() {
    at_every_operation(150, |at| {
        let fs = MemoryFs::new();
        fs.fail(at, Fault::ErrorOnce);
        let model = run(&fs, false);
        let was_met = !fs.is_armed();
        fs.heal();
        assert_sound(&fs, &model, &format!("error at operation {at}"));
        assert_sound(&fs.after_power_loss(at), &model, &format!("error at operation {at}, then power loss"));
        was_met
    });
}

#[test]
fn a_disk_full_from_every_operation_on_is_told_and_works_again_with_space() {
    at_every_operation(150, |at| {
        let fs = MemoryFs::new();
        fs.fail(at, Fault::Full);
        let mut model = Model::new();
        for ops in workload() {
            let Ok(store) = open(&fs) else { continue };
            for what in ops {
                let result = store.perform(what.clone());
                assert!(matches!(result, Ok(_) | Err(DiskError::Full)), "full at {at}: {result:?}");
                model.note(&what, &result);
            }
        }
        let was_met = !fs.is_armed();
        fs.heal();
        assert_sound(&fs, &model, &format!("full from operation {at} on"));
        let (blob, bytes) = sample_blob(9, LARGE);
        let store = open(&fs).unwrap();
        assert_eq!(store.perform(write_op(blob, &bytes)), Ok(DiskDone::Written { new: true }));
        was_met
    });
}

#[test]
fn a_failed_sync_is_final_and_what_was_acknowledged_stays_readable() {
    at_every_operation(20, |at| {
        let fs = MemoryFs::new();
        let mut model = Model::new();
        let Ok(store) = open(&fs) else { panic!("no fault yet") };
        fs.fail_sync(at);
        for what in workload().concat() {
            let before = model.clone();
            let result = store.perform(what.clone());
            model.note(&what, &result);
            if result.is_ok() {
                continue;
            }
            assert!(matches!(result, Err(DiskError::Degraded(_))), "{result:?}");
            let content = observe(&store);
            assert!(before.possible.contains(&content), "sync {at}: shows what was not acknowledged: {content:?}");
            let (blob, bytes) = sample_blob(9, SMALL);
            for later in [write_op(blob, &bytes), commit_op(vec![put("k", "v")]), write_op(blobs()[1].0, &blobs()[1].1)]
            {
                assert!(matches!(store.perform(later), Err(DiskError::Degraded(_))));
            }
            break;
        }
        let was_met = store.is_degraded();
        drop(store);
        assert_sound(&fs.after_power_loss(at), &model, &format!("sync {at} failed"));
        was_met
    });
}

#[test]
fn clearing_wipes_everything_whenever_the_power_goes() {
    at_every_operation(10, |at| {
        let fs = MemoryFs::new();
        run(&fs, true);
        fs.fail(at, Fault::Crash);
        let cleared = clear(&fs, Path::new("/data/store"));
        let was_met = !fs.is_armed();
        let fs = fs.after_power_loss(at);
        let store = open(&fs).unwrap();
        let content = observe(&store);
        if cleared.is_ok() || content == Content::default() {
            assert_eq!(content, Content::default());
            assert_no_orphans(&fs, &content);
        } else {
            assert_eq!(content, run(&MemoryFs::new(), true).possible.into_iter().next().unwrap());
        }
        was_met
    });
}

#[test]
fn blobs_meet_a_full_disk_before_the_index_does() {
    let fs = MemoryFs::new();
    let store = Store::open(Arc::new(fs.clone()), &StoreConfig::new("/data")).unwrap();
    let (blob, bytes) = sample_blob(0, LARGE);
    fs.set_free((64 << 20) + LARGE as u64 - 1);
    assert_eq!(store.perform(write_op(blob, &bytes)), Err(DiskError::Full));
    assert_eq!(store.perform(commit_op(vec![put("key", "value")])), Ok(DiskDone::Committed));
    assert_eq!(usage(&|what| store.perform(what)).free_bytes, Some(LARGE as u64 - 1));
    fs.set_free((64 << 20) + LARGE as u64);
    assert_eq!(store.perform(write_op(blob, &bytes)), Ok(DiskDone::Written { new: true }));
}
