//! The contract under power loss: while a workload runs, the power goes at its first operation, then at its second, and so on;
//! whatever was acknowledged is there afterwards and intact, and nothing is there by half. This engine and the simulator's
//! disk in memory are held to it alike; what an operation is, is the disk's business (for this engine, one of its file system).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use forever_core::disk::{DiskDone, DiskError, DiskOp, DiskResult, Write};
use forever_core::ids::BlobKey;

use super::{Perform, commit_op, put, sample_blob, usage, write_op};

/// The lengths of the workload's blobs: this engine keeps small ones in its index, and large ones in files.
const LARGE: usize = 20_000;
const SMALL: usize = 300;

/// A disk whose power can go.
pub trait Rig: Sized {
    /// An empty disk, whose power goes at its so many-th operation.
    fn failing_at(operation: u64) -> Self;

    /// Starts the disk and lets `session` use it. Nothing happens if the power is gone.
    fn run(&self, session: &mut dyn FnMut(&Perform<'_>));

    /// Whether the power has gone.
    fn has_failed(&self) -> bool;

    /// The disk with power again, as the loss may have left it: another state for each seed.
    fn after_power_loss(&self, seed: u64) -> Self;

    /// Checks what only this disk has, given what it shows.
    fn check(&self, _content: &Content) {}
}

/// Lets the power go at every operation of the workload.
///
/// # Panics
///
/// If a disk loses what it acknowledged, shows something by half, or if fewer than `at_least` operations were met.
pub fn survives_power_loss_at_every_operation<R: Rig>(at_least: u64) {
    let mut at = 1;
    loop {
        let rig = R::failing_at(at);
        let model = run_until_failure(&rig);
        for seed in 1..=3 {
            let context = format!("power loss at operation {at}, seed {seed}");
            model.check(&rig.after_power_loss(at * 31 + seed), &context);
        }
        if !rig.has_failed() {
            break;
        }
        at += 1;
    }
    assert!(at > at_least, "only {at} operations met the fault");
}

/// Runs the workload until the power goes.
fn run_until_failure<R: Rig>(rig: &R) -> Model {
    let mut model = Model::new();
    for ops in workload() {
        rig.run(&mut |perform| {
            for what in &ops {
                let result = perform(what.clone());
                model.note(what, &result);
                if result.is_err() {
                    break;
                }
            }
        });
        if rig.has_failed() {
            break;
        }
    }
    model
}

/// All of a disk that an operation can show.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Content {
    /// The index.
    pub keys: BTreeMap<Bytes, Bytes>,
    /// The blobs that are present.
    pub blobs: BTreeSet<BlobKey>,
}

impl Content {
    fn apply(&mut self, what: &DiskOp) {
        match what {
            DiskOp::WriteBlob { blob, entry, .. } => {
                self.blobs.insert(*blob);
                self.keys.extend(entry.clone());
            }
            DiskOp::Commit { writes, .. } => writes.iter().for_each(|write| self.write(write)),
            DiskOp::ReadBlob { .. }
            | DiskOp::HasBlobs { .. }
            | DiskOp::Lookup { .. }
            | DiskOp::Scan { .. }
            | DiskOp::Usage
            | DiskOp::ListBlobs { .. } => {}
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
            Write::DropBlob { blob, unless } => {
                let has = |prefix: &Bytes| self.keys.keys().any(|key| key.starts_with(prefix));
                if !unless.iter().any(has) {
                    self.blobs.remove(blob);
                }
            }
        }
    }
}

/// What the disk may hold, by what it answered: an operation that failed may have been done, or not.
#[derive(Clone, Debug)]
pub struct Model {
    /// Any of these.
    pub possible: BTreeSet<Content>,
}

impl Model {
    /// That of an empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self { possible: BTreeSet::from([Content::default()]) }
    }

    /// Notes an operation and its answer.
    pub fn note(&mut self, what: &DiskOp, result: &DiskResult) {
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

    fn check<R: Rig>(&self, rig: &R, context: &str) {
        let mut was_seen = false;
        rig.run(&mut |perform| {
            was_seen = true;
            let content = observe(perform);
            assert!(self.possible.contains(&content), "{context}: {content:?} is none of {:?}", self.possible);
            rig.check(&content);
        });
        assert!(was_seen, "{context}: the disk does not start");
    }
}

impl Default for Model {
    fn default() -> Self {
        Self::new()
    }
}

/// Reads everything back. Blobs that are present must be intact, and the counters must count them.
///
/// # Panics
///
/// If they are not.
#[must_use]
pub fn observe(perform: &Perform<'_>) -> Content {
    let mut content = Content::default();
    let scan = DiskOp::Scan { from: Bytes::new(), to: Bytes::from_static(&[0xff]), limit: 100, reverse: false };
    let Ok(DiskDone::Entries { entries, more: false }) = perform(scan) else {
        panic!("the index cannot be scanned");
    };
    content.keys.extend(entries);
    let mut len = 0;
    for (blob, bytes) in blobs() {
        match perform(DiskOp::ReadBlob { blob }) {
            Ok(DiskDone::Blob(read)) => {
                assert_eq!(read, bytes);
                len += bytes.len() as u64;
                content.blobs.insert(blob);
            }
            Err(DiskError::NotFound) => {}
            other => panic!("reading a blob answered {other:?}"),
        }
        let has = DiskDone::Has(vec![content.blobs.contains(&blob)]);
        assert_eq!(perform(DiskOp::HasBlobs { blobs: vec![blob] }), Ok(has));
    }
    let usage = usage(perform);
    assert_eq!((usage.blobs, usage.blob_bytes), (content.blobs.len() as u64, len));
    content
}

/// The blobs of the workload. The second is a small one.
#[must_use]
pub fn blobs() -> [(BlobKey, Bytes); 4] {
    [(0, LARGE), (1, SMALL), (2, LARGE), (3, LARGE)].map(|(seed, len)| sample_blob(seed, len))
}

/// Two runs of a node, each with writes, commits and drops.
#[must_use]
pub fn workload() -> [Vec<DiskOp>; 2] {
    let [(a, a_bytes), (b, b_bytes), (c, c_bytes), (d, d_bytes)] = blobs();
    let commit = |blob, writes| DiskOp::Commit { require_blobs: vec![blob], require_keys: Vec::new(), writes };
    let leased = |blob, bytes: &Bytes, key: &'static str| DiskOp::WriteBlob {
        blob,
        data: bytes.clone().into(),
        known: true,
        entry: Some((Bytes::from_static(key.as_bytes()), Bytes::from_static(b"leased"))),
    };
    let release = |blob, key: &'static str| Write::DropBlob { blob, unless: vec![Bytes::from_static(key.as_bytes())] };
    [
        vec![
            write_op(a, &a_bytes),
            write_op(b, &b_bytes),
            commit(a, vec![put("one", "1"), put("two", "2")]),
            leased(c, &c_bytes, "lease of c"),
            commit_op(vec![Write::drop_blob(a), put("one", "dropped"), release(c, "lease")]),
            leased(c, &c_bytes, "another"),
        ],
        vec![
            write_op(a, &a_bytes),
            write_op(d, &d_bytes),
            commit(d, vec![put("two", "22"), put("three", "3"), Write::drop_blob(b)]),
            commit_op(vec![Write::Delete { key: Bytes::from_static(b"lease of c") }, release(c, "lease of c")]),
            write_op(b, &b_bytes),
        ],
    ]
}
