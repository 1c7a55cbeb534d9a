//! The contract when the disk is in trouble: damaged, full, or unable to sync. This engine and the simulator's disk in memory
//! are held to it alike.

use bytes::Bytes;
use forever_core::disk::{DiskDone, DiskError, DiskOp, DiskResult, Write};
use forever_core::ids::BlobKey;

use super::{commit_op, put, sample_blob, write_op};

/// The lengths of blobs: this engine keeps small ones in its index, and large ones in files.
const LENGTHS: [usize; 2] = [300, 40_000];

const WRITTEN: DiskResult = Ok(DiskDone::Written { new: true });

/// A disk that can be brought into trouble.
pub trait Rig: Sized {
    /// An empty disk with room.
    fn new() -> Self;

    /// Performs operations that are all submitted before the first completes.
    fn perform_all(&self, ops: Vec<DiskOp>) -> Vec<DiskResult>;

    /// Flips a bit of a blob where it lies.
    fn damage(&self, blob: &BlobKey);

    /// No blob fits any more, but commits do.
    fn fill(&self);

    /// Nothing can be written any more.
    fn exhaust(&self);

    /// There is room again.
    fn make_room(&self);

    /// The next operation that has to be durable is the first whose sync fails.
    fn fail_sync(&self);

    /// The disk after its process was killed and started again.
    fn restarted(self) -> Self;
}

/// Brings disks into every trouble.
///
/// # Panics
///
/// When one does not keep the contract.
pub fn keeps_the_contract_in_trouble<R: Rig>() {
    for len in LENGTHS {
        damaged_blob_is_told_once_and_then_absent::<R>(len);
        write_replaces_a_damaged_blob::<R>(len);
        full_disk_takes_no_blob::<R>(len);
        degraded_disk_acknowledges_nothing::<R>(len);
    }
    exhausted_disk_takes_no_commit::<R>();
    commits_apply_in_order_of_issue::<R>();
}

fn perform(rig: &impl Rig, what: DiskOp) -> DiskResult {
    rig.perform_all(vec![what]).pop().expect("an operation has a completion")
}

fn value(rig: &impl Rig, key: &'static str) -> Option<Bytes> {
    match perform(rig, DiskOp::Lookup { keys: vec![Bytes::from_static(key.as_bytes())] }) {
        Ok(DiskDone::Values(mut values)) => values.pop().expect("a key has an answer"),
        other => panic!("a lookup answered {other:?}"),
    }
}

fn has(rig: &impl Rig, blob: BlobKey) -> bool {
    match perform(rig, DiskOp::HasBlobs { blobs: vec![blob] }) {
        Ok(DiskDone::Has(has)) => has == [true],
        other => panic!("presence answered {other:?}"),
    }
}

fn damaged_blob_is_told_once_and_then_absent<R: Rig>(len: usize) {
    let rig = R::new();
    let (blob, bytes) = sample_blob(0, len);
    assert_eq!(perform(&rig, write_op(blob, &bytes)), WRITTEN);
    rig.damage(&blob);
    assert!(has(&rig, blob), "nobody has read it");
    assert_eq!(perform(&rig, DiskOp::ReadBlob { blob }), Err(DiskError::Corrupt));
    assert_eq!(perform(&rig, DiskOp::ReadBlob { blob }), Err(DiskError::NotFound));
    assert!(!has(&rig, blob));
    let requires = DiskOp::Commit { require_blobs: vec![blob], require_keys: Vec::new(), writes: vec![put("a", "1")] };
    assert_eq!(perform(&rig, requires), Ok(DiskDone::Missing { blobs: vec![blob], keys: Vec::new() }));
    assert_eq!(perform(&rig, write_op(blob, &bytes)), WRITTEN);
    assert_eq!(perform(&rig, DiskOp::ReadBlob { blob }), Ok(DiskDone::Blob(bytes)));
}

fn write_replaces_a_damaged_blob<R: Rig>(len: usize) {
    let rig = R::new();
    let (blob, bytes) = sample_blob(0, len);
    assert_eq!(perform(&rig, write_op(blob, &bytes)), WRITTEN);
    rig.damage(&blob);
    assert_eq!(perform(&rig, write_op(blob, &bytes)), WRITTEN, "what was there counts for nothing");
    assert_eq!(perform(&rig, write_op(blob, &bytes)), Ok(DiskDone::Written { new: false }));
    assert_eq!(perform(&rig, DiskOp::ReadBlob { blob }), Ok(DiskDone::Blob(bytes)));
}

fn full_disk_takes_no_blob<R: Rig>(len: usize) {
    let rig = R::new();
    let ((old, old_bytes), (new, new_bytes)) = (sample_blob(0, len), sample_blob(1, len));
    assert_eq!(perform(&rig, write_op(old, &old_bytes)), WRITTEN);
    rig.fill();
    assert_eq!(perform(&rig, write_op(new, &new_bytes)), Err(DiskError::Full));
    assert!(!has(&rig, new));
    let known = DiskDone::Written { new: false };
    assert_eq!(perform(&rig, write_op(old, &old_bytes)), Ok(known), "what is there needs no room");
    assert_eq!(perform(&rig, DiskOp::ReadBlob { blob: old }), Ok(DiskDone::Blob(old_bytes)));
    let tidy = commit_op(vec![put("a", "1"), Write::drop_blob(old)]);
    assert_eq!(perform(&rig, tidy), Ok(DiskDone::Committed), "the reserve is for that");
    rig.make_room();
    assert_eq!(perform(&rig, write_op(new, &new_bytes)), WRITTEN);
}

fn exhausted_disk_takes_no_commit<R: Rig>() {
    let rig = R::new();
    assert_eq!(perform(&rig, commit_op(vec![put("old", "1")])), Ok(DiskDone::Committed));
    rig.exhaust();
    let commit = || commit_op(vec![put("old", "2"), put("new", "1")]);
    assert_eq!(perform(&rig, commit()), Err(DiskError::Full));
    assert_eq!((value(&rig, "old"), value(&rig, "new")), (Some(Bytes::from_static(b"1")), None));
    rig.make_room();
    assert_eq!(perform(&rig, commit()), Ok(DiskDone::Committed));
    assert_eq!(value(&rig, "old"), Some(Bytes::from_static(b"2")));
}

fn degraded_disk_acknowledges_nothing<R: Rig>(len: usize) {
    let rig = R::new();
    let ((old, old_bytes), (new, new_bytes)) = (sample_blob(0, len), sample_blob(1, len));
    assert_eq!(perform(&rig, write_op(old, &old_bytes)), WRITTEN);
    assert_eq!(perform(&rig, commit_op(vec![put("old", "1")])), Ok(DiskDone::Committed));
    rig.fail_sync();
    for what in [commit_op(vec![put("new", "1")]), commit_op(vec![put("new", "2")]), write_op(new, &new_bytes)] {
        let result = perform(&rig, what);
        assert!(matches!(result, Err(DiskError::Degraded(_))), "{result:?}");
    }
    let read = |rig: &R| perform(rig, DiskOp::ReadBlob { blob: old });
    assert_eq!(read(&rig), Ok(DiskDone::Blob(old_bytes.clone())), "what was acknowledged is still read");
    assert_eq!((value(&rig, "old"), value(&rig, "new")), (Some(Bytes::from_static(b"1")), None));
    let rig = rig.restarted();
    assert_eq!(read(&rig), Ok(DiskDone::Blob(old_bytes)));
    assert_eq!(value(&rig, "old"), Some(Bytes::from_static(b"1")));
    assert_ne!(value(&rig, "new"), Some(Bytes::from_static(b"2")), "it was refused without being tried");
    assert_eq!(perform(&rig, write_op(new, &new_bytes)), WRITTEN);
    assert_eq!(perform(&rig, commit_op(vec![put("new", "3")])), Ok(DiskDone::Committed));
}

fn commits_apply_in_order_of_issue<R: Rig>() {
    let rig = R::new();
    let key = Bytes::from_static(b"key");
    let require = |writes| DiskOp::Commit { require_blobs: Vec::new(), require_keys: vec![key.clone()], writes };
    let missing = || Ok(DiskDone::Missing { blobs: Vec::new(), keys: vec![key.clone()] });
    let ops = vec![
        require(vec![put("early", "1")]),
        commit_op(vec![put("key", "1")]),
        require(vec![put("key", "2"), put("late", "1")]),
        commit_op(vec![Write::Delete { key: key.clone() }]),
        require(vec![put("key", "3")]),
    ];
    let committed = || Ok(DiskDone::Committed);
    assert_eq!(rig.perform_all(ops), [missing(), committed(), committed(), committed(), missing()]);
    assert_eq!((value(&rig, "early"), value(&rig, "key")), (None, None));
    assert_eq!(value(&rig, "late"), Some(Bytes::from_static(b"1")));
}
