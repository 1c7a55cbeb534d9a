//! The contract of [`forever_core::disk`] as tests, for anything that performs operations: this engine, with and without
//! threads, and the simulator's disk in memory are held to the same suite.

use bytes::Bytes;
use forever_core::bulk::Bulk;
use forever_core::disk::{DiskDone, DiskError, DiskOp, DiskResult, OwnerUsage, Usage, Write};
use forever_core::ids::{BlobKey, ChunkId, OwnerId};

pub mod crash;
pub mod trouble;

/// Performs an operation on the disk under test and waits for its completion.
pub type Perform<'a> = dyn Fn(DiskOp) -> DiskResult + 'a;

/// A test: its name, and what it does to an empty disk.
pub type Case = (&'static str, fn(&Perform<'_>));

/// All tests. Each wants an empty disk of its own with room for a few MiB.
pub const SUITE: &[Case] = &[
    ("a written blob is read back", written_blob_is_read_back),
    ("a blob is written once", blob_is_written_once),
    ("wrong bytes are refused", wrong_bytes_are_refused),
    ("wrong bytes that were said to be known are found out when they are read", known_wrong_bytes_are_found_out),
    ("an absent blob is not found", absent_blob_is_not_found),
    ("owners hold their blobs apart", owners_hold_their_blobs_apart),
    ("a dropped blob is absent and alone", dropped_blob_is_absent_and_alone),
    ("writes of a commit apply in order", writes_apply_in_order),
    ("blobs are listed in order, from a place on", blobs_are_listed_in_order),
    ("the use is told of each owner", use_is_told_of_each_owner),
    ("a blob is dropped unless the index has a key from a prefix", blob_is_dropped_unless_a_key_is_there),
    ("an entry is set with a blob, new or not", entry_is_set_with_a_blob),
    ("values are looked up in the order asked", values_in_order_asked),
    ("a scan is ordered, bounded and half-open", scan_is_ordered_bounded_half_open),
    ("a commit that misses something changes nothing", commit_that_misses_changes_nothing),
    ("the longest key and value fit", longest_key_and_value_fit),
    ("usage counts blobs", usage_counts_blobs),
];

/// Some bytes of a length, other ones for another seed; their blob; and the blob's address.
#[must_use]
pub fn sample_blob(seed: u8, len: usize) -> (BlobKey, Bytes) {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(b"forever conformance").update(&[seed]).finalize_xof().fill(&mut bytes);
    let blob = BlobKey { owner: OwnerId([7; 32]), chunk: ChunkId(*blake3::hash(&bytes).as_bytes()) };
    (blob, bytes.into())
}

/// A blob's write.
#[must_use]
pub fn write_op(blob: BlobKey, bytes: &Bytes) -> DiskOp {
    DiskOp::WriteBlob { blob, data: bytes.clone().into(), known: false, entry: None }
}

/// A commit without requirements.
#[must_use]
pub fn commit_op(writes: Vec<Write>) -> DiskOp {
    DiskOp::Commit { require_blobs: Vec::new(), require_keys: Vec::new(), writes }
}

/// Sets a key.
#[must_use]
pub fn put(key: &str, value: &str) -> Write {
    Write::Put { key: Bytes::copy_from_slice(key.as_bytes()), value: Bytes::copy_from_slice(value.as_bytes()) }
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn scan(perform: &Perform<'_>, from: &'static str, to: &'static str, limit: u32) -> (Vec<(Bytes, Bytes)>, bool) {
    scan_from(perform, false, from, to, limit)
}

fn scan_from(
    perform: &Perform<'_>,
    reverse: bool,
    from: &'static str,
    to: &'static str,
    limit: u32,
) -> (Vec<(Bytes, Bytes)>, bool) {
    let (from, to) = (bytes(from), bytes(to));
    match perform(DiskOp::Scan { from, to, limit, reverse }) {
        Ok(DiskDone::Entries { entries, more }) => (entries, more),
        other => panic!("a scan answered {other:?}"),
    }
}

/// The disk's use.
///
/// # Panics
///
/// If the disk cannot tell.
pub fn usage(perform: &Perform<'_>) -> Usage {
    match perform(DiskOp::Usage) {
        Ok(DiskDone::Usage(usage)) => usage,
        other => panic!("usage answered {other:?}"),
    }
}

fn has(perform: &Perform<'_>, blobs: &[BlobKey]) -> Vec<bool> {
    match perform(DiskOp::HasBlobs { blobs: blobs.to_vec() }) {
        Ok(DiskDone::Has(has)) => has,
        other => panic!("presence answered {other:?}"),
    }
}

fn written_blob_is_read_back(perform: &Perform<'_>) {
    for (seed, len) in [(0, 0), (1, 1), (2, 16 << 10), (3, (16 << 10) + 1), (4, (1 << 20) + 16)] {
        let (blob, whole) = sample_blob(seed, len);
        let mut data = Bulk::default();
        for part in whole.chunks(60_000) {
            data.push(whole.slice_ref(part));
        }
        let write = DiskOp::WriteBlob { blob, data, known: len % 2 == 0, entry: None };
        assert_eq!(perform(write), Ok(DiskDone::Written { new: true }));
        assert_eq!(has(perform, &[blob]), [true]);
        assert_eq!(perform(DiskOp::ReadBlob { blob }), Ok(DiskDone::Blob(whole)), "{len} bytes");
    }
}

fn blob_is_written_once(perform: &Perform<'_>) {
    for (seed, len) in [(0, 100), (1, 100_000)] {
        let (blob, whole) = sample_blob(seed, len);
        assert_eq!(perform(write_op(blob, &whole)), Ok(DiskDone::Written { new: true }));
        assert_eq!(perform(write_op(blob, &whole)), Ok(DiskDone::Written { new: false }));
    }
    assert_eq!(usage(perform).blobs, 2);
}

fn wrong_bytes_are_refused(perform: &Perform<'_>) {
    let (blob, whole) = sample_blob(0, 100_000);
    let short = whole.slice(..99_999);
    assert_eq!(perform(write_op(blob, &short)), Err(DiskError::Mismatch));
    assert_eq!(has(perform, &[blob]), [false]);
    assert_eq!(perform(write_op(blob, &whole)), Ok(DiskDone::Written { new: true }));
    assert_eq!(perform(write_op(blob, &short)), Err(DiskError::Mismatch), "also when the blob is present");
    assert_eq!(perform(DiskOp::ReadBlob { blob }), Ok(DiskDone::Blob(whole)));
}

fn known_wrong_bytes_are_found_out(perform: &Perform<'_>) {
    for (seed, len) in [(0, 100), (1, 100_000)] {
        let (blob, whole) = sample_blob(seed, len);
        let wrong = DiskOp::WriteBlob { blob, data: whole.slice(1..).into(), known: true, entry: None };
        assert_eq!(perform(wrong), Ok(DiskDone::Written { new: true }), "nobody looks");
        assert_eq!(perform(DiskOp::ReadBlob { blob }), Err(DiskError::Corrupt));
        assert_eq!(perform(DiskOp::ReadBlob { blob }), Err(DiskError::NotFound));
        assert_eq!(perform(write_op(blob, &whole)), Ok(DiskDone::Written { new: true }));
        assert_eq!(perform(DiskOp::ReadBlob { blob }), Ok(DiskDone::Blob(whole)));
    }
}

fn absent_blob_is_not_found(perform: &Perform<'_>) {
    let (blob, _) = sample_blob(0, 10);
    assert_eq!(perform(DiskOp::ReadBlob { blob }), Err(DiskError::NotFound));
    assert_eq!(has(perform, &[]), [] as [bool; 0]);
}

fn owners_hold_their_blobs_apart(perform: &Perform<'_>) {
    let (mine, whole) = sample_blob(0, 50_000);
    let theirs = BlobKey { owner: OwnerId([8; 32]), ..mine };
    assert_eq!(perform(write_op(mine, &whole)), Ok(DiskDone::Written { new: true }));
    assert_eq!(has(perform, &[theirs, mine]), [false, true]);
    assert_eq!(perform(write_op(theirs, &whole)), Ok(DiskDone::Written { new: true }));
    assert_eq!(perform(commit_op(vec![Write::drop_blob(mine)])), Ok(DiskDone::Committed));
    assert_eq!(has(perform, &[theirs, mine]), [true, false]);
    assert_eq!(perform(DiskOp::ReadBlob { blob: theirs }), Ok(DiskDone::Blob(whole)));
}

fn use_is_told_of_each_owner(perform: &Perform<'_>) {
    let (mine, bytes) = sample_blob(0, 100);
    let theirs = BlobKey { owner: OwnerId([0xee; 32]), ..mine };
    let (large, large_bytes) = sample_blob(1, 50_000);
    for (blob, bytes) in [(mine, &bytes), (theirs, &bytes), (large, &large_bytes)] {
        assert_eq!(perform(write_op(blob, bytes)), Ok(DiskDone::Written { new: true }));
        assert_eq!(perform(write_op(blob, bytes)), Ok(DiskDone::Written { new: false }));
    }
    let of = |owner, blobs, bytes| OwnerUsage { owner, blobs, bytes };
    let mut expected = vec![of(mine.owner, 2, 50_100), of(theirs.owner, 1, 100)];
    expected.sort_unstable_by_key(|usage| usage.owner);
    assert_eq!(usage(perform).owners, expected);
    let drops = vec![Write::drop_blob(theirs), Write::drop_blob(large)];
    assert_eq!(perform(commit_op(drops)), Ok(DiskDone::Committed));
    assert_eq!(usage(perform).owners, [of(mine.owner, 1, 100)]);
}

fn blobs_are_listed_in_order(perform: &Perform<'_>) {
    let list = |after, limit| match perform(DiskOp::ListBlobs { after, limit }) {
        Ok(DiskDone::Blobs { blobs, more }) => (blobs, more),
        other => panic!("{other:?}"),
    };
    assert_eq!(list(None, 10), (vec![], false));
    let lens = [1, 100, 16_385, 50_000];
    let mut all: Vec<(BlobKey, u64)> = Vec::new();
    for (seed, len) in (0..).zip(lens) {
        let (blob, bytes) = sample_blob(seed, len);
        assert_eq!(perform(write_op(blob, &bytes)), Ok(DiskDone::Written { new: true }));
        all.push((blob, len as u64));
    }
    all.sort_unstable();
    assert_eq!(list(None, 4), (all.clone(), false), "as many as there are");
    assert_eq!(list(None, 3), (all[..3].to_vec(), true));
    assert_eq!(list(Some(all[2].0), 3), (all[3..].to_vec(), false));
    assert_eq!(list(Some(all[3].0), 3), (vec![], false));
    let (absent, _) = sample_blob(9, 10);
    let later = all.iter().filter(|(blob, _)| *blob > absent).copied().collect();
    assert_eq!(list(Some(absent), 10), (later, false), "a blob that is not there is a place, too");
    assert_eq!(perform(commit_op(vec![Write::drop_blob(all[1].0)])), Ok(DiskDone::Committed));
    all.remove(1);
    assert_eq!(list(None, 10), (all, false));
}

fn dropped_blob_is_absent_and_alone(perform: &Perform<'_>) {
    for len in [100, 100_000] {
        let ((gone, gone_bytes), (stays, stays_bytes)) = (sample_blob(0, len), sample_blob(1, len));
        assert_eq!(perform(write_op(gone, &gone_bytes)), Ok(DiskDone::Written { new: true }));
        assert_eq!(perform(write_op(stays, &stays_bytes)), Ok(DiskDone::Written { new: true }));
        let drop_twice = vec![Write::drop_blob(gone), Write::drop_blob(gone)];
        assert_eq!(perform(commit_op(drop_twice)), Ok(DiskDone::Committed), "absent is no error");
        assert_eq!(perform(DiskOp::ReadBlob { blob: gone }), Err(DiskError::NotFound));
        assert_eq!(perform(DiskOp::ReadBlob { blob: stays }), Ok(DiskDone::Blob(stays_bytes)));
        assert_eq!(perform(write_op(gone, &gone_bytes)), Ok(DiskDone::Written { new: true }));
        assert_eq!(perform(DiskOp::ReadBlob { blob: gone }), Ok(DiskDone::Blob(gone_bytes)));
    }
}

fn writes_apply_in_order(perform: &Perform<'_>) {
    let delete = |key| Write::Delete { key: bytes(key) };
    let writes = vec![delete("a"), put("a", "1"), put("a", "2"), put("b", "1"), delete("b"), delete("c")];
    assert_eq!(perform(commit_op(writes)), Ok(DiskDone::Committed));
    assert_eq!(scan(perform, "", "z", 10), (vec![(bytes("a"), bytes("2"))], false));
    assert_eq!(perform(commit_op(Vec::new())), Ok(DiskDone::Committed), "nothing is a commit as well");
}

fn blob_is_dropped_unless_a_key_is_there(perform: &Perform<'_>) {
    for len in [100, 100_000] {
        let (blob, whole) = sample_blob(0, len);
        assert_eq!(perform(write_op(blob, &whole)), Ok(DiskDone::Written { new: true }));
        let drop_unless = |prefixes: &[&'static str]| Write::DropBlob {
            blob,
            unless: prefixes.iter().map(|prefix| bytes(prefix)).collect(),
        };
        let commit = |writes| assert_eq!(perform(commit_op(writes)), Ok(DiskDone::Committed));
        commit(vec![put("kept by a", ""), put("kept by b", ""), put("kf", "")]);
        commit(vec![drop_unless(&["ke"])]);
        assert_eq!(has(perform, &[blob]), [true], "a longer key than the prefix");
        commit(vec![Write::Delete { key: bytes("kept by a") }, drop_unless(&["none", "kept by "])]);
        assert_eq!(has(perform, &[blob]), [true], "one of two keys is left, and one of two prefixes");
        commit(vec![Write::Delete { key: bytes("kept by b") }, put("new", ""), drop_unless(&["new"])]);
        assert_eq!(has(perform, &[blob]), [true], "what an earlier write of the commit has set");
        commit(vec![Write::Delete { key: bytes("new") }, drop_unless(&["kept", "new"]), put("kept", "")]);
        assert_eq!(has(perform, &[blob]), [false], "what an earlier write has removed, or a later one sets");
        commit(vec![Write::Delete { key: bytes("kept") }, Write::Delete { key: bytes("kf") }]);
    }
}

fn entry_is_set_with_a_blob(perform: &Perform<'_>) {
    for (seed, len) in [(0, 100), (1, 100_000)] {
        let (blob, whole) = sample_blob(seed, len);
        let write = |key: &'static str, value: &'static str| DiskOp::WriteBlob {
            blob,
            data: whole.clone().into(),
            known: true,
            entry: Some((bytes(key), bytes(value))),
        };
        let entries = |perform: &Perform<'_>| scan(perform, "e", "f", 10).0;
        assert_eq!(perform(write("entry", "1")), Ok(DiskDone::Written { new: true }));
        assert_eq!(entries(perform), [(bytes("entry"), bytes("1"))]);
        assert_eq!(perform(write("entry", "2")), Ok(DiskDone::Written { new: false }));
        assert_eq!(entries(perform), [(bytes("entry"), bytes("2"))]);
        assert_eq!(perform(DiskOp::ReadBlob { blob }), Ok(DiskDone::Blob(whole.clone())));
        let wrong = DiskOp::WriteBlob {
            blob,
            data: whole.slice(1..).into(),
            known: false,
            entry: Some((bytes("entry"), bytes("3"))),
        };
        assert_eq!(perform(wrong), Err(DiskError::Mismatch));
        assert_eq!(entries(perform), [(bytes("entry"), bytes("2"))], "nothing is set with what is refused");
        assert_eq!(usage(perform).blobs, u64::from(seed) + 1);
        assert_eq!(perform(commit_op(vec![Write::Delete { key: bytes("entry") }])), Ok(DiskDone::Committed));
    }
}

fn values_in_order_asked(perform: &Perform<'_>) {
    assert_eq!(perform(commit_op(vec![put("a", "1"), put("b", "")])), Ok(DiskDone::Committed));
    let keys = ["b", "none", "a", "b"].map(bytes).to_vec();
    let values = vec![Some(bytes("")), None, Some(bytes("1")), Some(bytes(""))];
    assert_eq!(perform(DiskOp::Lookup { keys }), Ok(DiskDone::Values(values)));
}

fn scan_is_ordered_bounded_half_open(perform: &Perform<'_>) {
    let writes = vec![put("c", "3"), put("a", "1"), put("b", "2"), put("d", "4")];
    assert_eq!(perform(commit_op(writes)), Ok(DiskDone::Committed));
    let (blob, whole) = sample_blob(0, 100);
    assert_eq!(perform(write_op(blob, &whole)), Ok(DiskDone::Written { new: true }));
    let all = [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")].map(|(key, value)| (bytes(key), bytes(value)));
    assert_eq!(scan(perform, "", "\u{10ffff}", 100), (all.to_vec(), false), "rows of blobs do not show");
    assert_eq!(scan(perform, "b", "d", 100), (all[1..3].to_vec(), false));
    assert_eq!(scan(perform, "a", "d", 2), (all[..2].to_vec(), true));
    assert_eq!(scan(perform, "a", "c", 2), (all[..2].to_vec(), false), "the limit is met, not exceeded");
    assert_eq!(scan(perform, "a", "c", 0), (Vec::new(), true));
    assert_eq!(scan(perform, "c", "c", 10), (Vec::new(), false));
    assert_eq!(scan(perform, "d", "a", 10), (Vec::new(), false));
    let backwards: Vec<_> = all.iter().rev().cloned().collect();
    assert_eq!(scan_from(perform, true, "a", "e", 100), (backwards.clone(), false));
    assert_eq!(scan_from(perform, true, "a", "e", 1), (backwards[..1].to_vec(), true));
    assert_eq!(scan_from(perform, true, "a", "d", 2), (backwards[1..3].to_vec(), true), "the end stays exclusive");
}

fn commit_that_misses_changes_nothing(perform: &Perform<'_>) {
    let ((here, here_bytes), (away, _)) = (sample_blob(0, 100), sample_blob(1, 100));
    assert_eq!(perform(write_op(here, &here_bytes)), Ok(DiskDone::Written { new: true }));
    assert_eq!(perform(commit_op(vec![put("key", "old")])), Ok(DiskDone::Committed));
    let commit = |require_blobs: &[BlobKey], require_keys: &[&'static str]| {
        perform(DiskOp::Commit {
            require_blobs: require_blobs.to_vec(),
            require_keys: require_keys.iter().map(|key| bytes(key)).collect(),
            writes: vec![put("key", "new"), Write::drop_blob(here)],
        })
    };
    let (blobs, keys) = (vec![away], vec![bytes("none")]);
    let missing = DiskDone::Missing { blobs, keys };
    assert_eq!(commit(&[here, away], &["key", "none"]), Ok(missing));
    let value = DiskDone::Values(vec![Some(bytes("old"))]);
    assert_eq!(perform(DiskOp::Lookup { keys: vec![bytes("key")] }), Ok(value));
    assert_eq!(has(perform, &[here]), [true]);
    assert_eq!(commit(&[here], &["key"]), Ok(DiskDone::Committed));
    assert_eq!(has(perform, &[here]), [false]);
}

fn longest_key_and_value_fit(perform: &Perform<'_>) {
    let (key, value) = (Bytes::from(vec![1; 512]), Bytes::from(vec![2; forever_core::disk::VALUE_LEN_MAX]));
    let write = Write::Put { key: key.clone(), value: value.clone() };
    assert_eq!(perform(commit_op(vec![write])), Ok(DiskDone::Committed));
    assert_eq!(perform(DiskOp::Lookup { keys: vec![key] }), Ok(DiskDone::Values(vec![Some(value)])));
}

fn usage_counts_blobs(perform: &Perform<'_>) {
    assert_eq!((usage(perform).blobs, usage(perform).blob_bytes), (0, 0));
    let ((small, small_bytes), (large, large_bytes)) = (sample_blob(0, 100), sample_blob(1, 100_000));
    assert_eq!(perform(write_op(small, &small_bytes)), Ok(DiskDone::Written { new: true }));
    assert_eq!(perform(write_op(large, &large_bytes)), Ok(DiskDone::Written { new: true }));
    assert_eq!((usage(perform).blobs, usage(perform).blob_bytes), (2, 100_100));
    assert_eq!(perform(commit_op(vec![Write::drop_blob(large)])), Ok(DiskDone::Committed));
    assert_eq!((usage(perform).blobs, usage(perform).blob_bytes), (1, 100));
}
