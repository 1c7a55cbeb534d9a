//! The first pass: rows of blobs against their files.

use std::path::{Component, Path};

use forever_core::ids::BlobKey;
use forever_core::seal::BLOB_LEN_MAX;

use super::{
    BlobFault, Check, Fingerprint, Place, Problem, Progress, Seen, Step, Watcher, blob_fingerprint, fingerprint,
};
use crate::store::OpenError;
use crate::store::check::view::View;
use crate::store::files::{BLOBS, blob_file, blob_path};
use crate::store::fs::{Fs, Kind};
use crate::store::row::Row;

pub(super) fn check(
    fs: &dyn Fs,
    what: &Check<'_>,
    view: &View<'_>,
    seen: &mut Seen,
    watch: Watcher<'_>,
) -> Result<(), OpenError> {
    let counted = view.counters();
    let (step, total) = if what.deep { (Step::BlobBytes, counted.blob_bytes) } else { (Step::Blobs, counted.blobs) };
    view.each_row(|blob, row| {
        check_row(fs, what, view, &blob, row, seen);
        let summary = &seen.report.summary;
        let done = if what.deep { summary.blob_bytes } else { summary.blobs };
        watch(Progress { step, done, total: Some(total) });
        Ok(())
    })?;
    seen.blobs.sort_unstable();
    seen.claimed.sort_unstable();
    Ok(())
}

fn check_row(fs: &dyn Fs, what: &Check<'_>, view: &View<'_>, blob: &BlobKey, mut row: Option<Row>, seen: &mut Seen) {
    let mut looked = look(fs, what, blob, row.as_ref());
    if let Some(store) = view.live().filter(|_| looked.fault.is_some()) {
        // It may have been dropped or written anew since its row was read; nothing changes while the lock is held.
        let _guard = store.locks.lock(*blob);
        match store.index.raw_row(blob) {
            Ok(None) => return,
            Ok(Some(now)) => {
                row = Row::decode(&now);
                looked = look(fs, what, blob, row.as_ref());
            }
            // The index fails: the next look at it says so.
            Err(_) => {}
        }
    }
    let len = row.as_ref().map_or(0, Row::len);
    seen.blobs.push((blob_fingerprint(blob), u32::try_from(len).unwrap_or(u32::MAX)));
    seen.report.summary.blobs += 1;
    seen.report.summary.blob_bytes += len;
    let of_owner = seen.owners.entry(blob.owner).or_default();
    of_owner.blobs += 1;
    of_owner.blob_bytes += len;
    seen.report.summary.hashed_bytes += looked.hashed_bytes;
    seen.claimed.extend(looked.claimed.map(|path| claimed(blob, &path)));
    if let Some(fault) = looked.fault {
        seen.report.summary.damaged_blobs += 1;
        let finding = seen.report.add(Problem::Blob { blob: *blob, place: looked.place, fault });
        if looked.is_lost {
            seen.damaged_blobs.insert(*blob, finding);
        }
    }
}

/// What a look at a blob showed.
struct Looked {
    place: Place,
    fault: Option<BlobFault>,
    /// Whether its bytes are nowhere else.
    is_lost: bool,
    hashed_bytes: u64,
    /// The file that its row points to.
    claimed: Option<String>,
}

fn look(fs: &dyn Fs, what: &Check<'_>, blob: &BlobKey, row: Option<&Row>) -> Looked {
    match row {
        Some(Row::Inline(bytes)) => Looked {
            place: Place::Index,
            fault: (blake3::hash(bytes) != blob.chunk.0).then_some(BlobFault::WrongHash),
            is_lost: true,
            hashed_bytes: bytes.len() as u64,
            claimed: None,
        },
        Some(Row::File { len, path }) if is_below(path) => {
            let file = blob_file(what.root, &blob.owner, path);
            let checked = check_length(fs, &file, *len);
            let is_read = what.deep && checked.is_ok();
            let checked = if is_read { check_bytes(fs, &file, *len, blob) } else { checked };
            let hashed_bytes = if is_read { *len } else { 0 };
            let claimed = Some(path.clone());
            Looked { place: Place::File(file), fault: checked.err(), is_lost: true, hashed_bytes, claimed }
        }
        Some(Row::File { .. }) | None => {
            // A file where this blob's would be is not an orphan; the repair gives it a new row if it is right.
            let path = blob_path(what.path, &blob.chunk);
            let file = blob_file(what.root, &blob.owner, &path);
            let is_lost = check_bytes(fs, &file, u64::from(BLOB_LEN_MAX), blob).is_err();
            let fault = Some(BlobFault::BadRow);
            Looked { place: Place::Index, fault, is_lost, hashed_bytes: 0, claimed: Some(path) }
        }
    }
}

fn claimed(blob: &BlobKey, path: &str) -> Fingerprint {
    path_fingerprint(&Path::new(&blob.owner.to_string()).join(path))
}

/// What stands for a path below the folder of all blobs.
pub(super) fn path_fingerprint(below: &Path) -> Fingerprint {
    fingerprint(&[BLOBS.as_bytes(), below.as_os_str().as_encoded_bytes()])
}

/// Whether a path stays below the folder that it is relative to.
fn is_below(path: &str) -> bool {
    let is_name = |part| matches!(part, Component::Normal(_));
    !path.is_empty() && Path::new(path).components().all(is_name)
}

fn check_length(fs: &dyn Fs, file: &Path, expected: u64) -> Result<(), BlobFault> {
    match fs.kind(file) {
        Ok(Some(Kind::File { len })) if len == expected => Ok(()),
        Ok(Some(Kind::File { len: found })) => Err(BlobFault::WrongLength { expected, found }),
        Ok(Some(Kind::Folder | Kind::Other) | None) => Err(BlobFault::Missing),
        Err(error) => Err(BlobFault::Unreadable(error.to_string())),
    }
}

fn check_bytes(fs: &dyn Fs, file: &Path, len: u64, blob: &BlobKey) -> Result<(), BlobFault> {
    let bytes = fs.read(file, len.saturating_add(1)).map_err(|error| BlobFault::Unreadable(error.to_string()))?;
    if blake3::hash(&bytes) == blob.chunk.0 { Ok(()) } else { Err(BlobFault::WrongHash) }
}
