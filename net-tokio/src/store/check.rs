//! Checking a store, at rest or in use: the index against the files, and both against the signed records.
//!
//! A check reads and changes nothing: it opens the index over a backend whose writes stay in memory, and the files only to
//! read them. It works in four passes, each in a file of its own:
//!
//! 1. `blobs`: every row of a blob against its file; with `deep`, every byte against its content address.
//! 2. `pages`: every manifest page against its address.
//! 3. `records`: every record against its signature and the key it lies under, then everything that it needs, and the references
//!    that say so. One that was evicted here, or has never been here, needs its pages alone.
//! 4. `files`: every file below the blobs against the rows; what is in quarantine.
//!
//! Beside a running node ([`check_open`]) the index is read in small steps, each as it is then, and whatever looks wrong is looked
//! at once more, under the lock of its blob, before it is told. The index's own count of blobs is compared at rest only.
//!
//! [`repair()`] then puts in order what a check found, through the engine's own operations.
//!
//! Memory: about 64 bytes a blob and 32 bytes a chunk that a record names, so some 100 MiB for a tebibyte.

mod blobs;
mod files;
mod mended;
mod pages;
mod problem;
mod records;
mod repair;
mod report;
mod text;
mod told;
mod view;

use std::collections::BTreeMap;
use std::path::Path;

use forever_core::ids::{BlobKey, OwnerId, PageId};
use forever_core::path::PathTransform;
use forever_core::secrets::OwnerKeys;

pub use mended::after_mending;
pub use problem::{BlobFault, Place, Problem, RecordPlace, Severity};
pub use repair::{repair, repair_open};
pub use report::{Affected, Finding, Outcome, Report, Summary};
pub use told::{FileView, FindingView, Totals};

use super::fs::Fs;
use super::index::Counters;
use super::open::{INDEX_DOUBTFUL, UNCLEAN};
use super::{OpenError, Store};
use view::View;

/// What to check, and how.
#[derive(Clone, Copy, Debug)]
pub struct Check<'a> {
    /// The store's folder.
    pub root: &'a Path,
    /// Where blobs lie, to tell what a file is that no row points to.
    pub path: PathTransform,
    /// Whether every blob is read and hashed.
    pub deep: bool,
    /// The keys of the node's owner: without them its files are told by their ids alone.
    pub keys: Option<&'a OwnerKeys>,
}

/// What a check is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What it looks at.
    pub step: Step,
    /// How many of them, or of their bytes, have been looked at.
    pub done: u64,
    /// How many there are, if known.
    pub total: Option<u64>,
}

/// A part of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Blobs, without reading them; counted.
    Blobs,
    /// Blobs, read; their bytes are counted.
    BlobBytes,
    /// Manifest pages.
    Pages,
    /// Records.
    Records,
    /// Files.
    Files,
}

impl Step {
    /// Its name, for programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Blobs => "blobs",
            Self::BlobBytes => "blob_bytes",
            Self::Pages => "pages",
            Self::Records => "records",
            Self::Files => "files",
        }
    }
}

/// Told about every step of a check.
pub type Watcher<'a> = &'a mut dyn FnMut(Progress);

/// 128 bits that stand for a blob, a page or a path, so that all of them fit into memory.
type Fingerprint = u128;

/// What the passes leave to those after them.
#[derive(Debug, Default)]
struct Seen {
    report: Report,
    /// All blobs with a row, sorted once the pass over them is over, and their lengths in bytes.
    blobs: Vec<(Fingerprint, u32)>,
    /// How many blobs each owner has.
    owners: BTreeMap<OwnerId, Counters>,
    /// The files that rows point to, sorted likewise.
    claimed: Vec<Fingerprint>,
    /// Damaged blobs, and which finding tells of each, unless there are too many.
    damaged_blobs: BTreeMap<BlobKey, Option<usize>>,
    /// Damaged pages, likewise.
    damaged_pages: BTreeMap<(OwnerId, PageId), Option<usize>>,
    /// Chunks and pages that records name.
    needed_chunks: Vec<Fingerprint>,
    needed_pages: Vec<Fingerprint>,
}

/// Checks a store that nobody has open, and changes nothing.
///
/// # Errors
///
/// When the index cannot be read; [`OpenError`] says what to do about it. Blobs that cannot be read are findings.
pub fn check(fs: &dyn Fs, what: &Check<'_>, watch: Watcher<'_>) -> Result<Report, OpenError> {
    let mut seen = Seen::default();
    note_state(fs, what.root, &[(UNCLEAN, Problem::Unclean), (INDEX_DOUBTFUL, Problem::Doubtful)], &mut seen.report)?;
    if let Some(view) = View::open(fs, what.root)? {
        check_index(fs, what, &view, &mut seen, watch)?;
        let (blobs, blob_bytes) = (seen.report.summary.blobs, seen.report.summary.blob_bytes);
        let counted = view.counters();
        let is_wrong = (counted.blobs, counted.blob_bytes) != (blobs, blob_bytes)
            || !view.owners().is_empty() && *view.owners() != seen.owners;
        if is_wrong && !seen.report.has_damaged_rows() {
            let problem = Problem::WrongCounters { blobs: counted.blobs, blob_bytes: counted.blob_bytes };
            seen.report.add(problem);
        }
    }
    files::check(fs, what, None, &mut seen, watch);
    Ok(seen.report)
}

/// Checks a store that is open, beside all other work, and changes nothing. It ends when `stops` says so.
///
/// # Errors
///
/// When the index cannot be read, or the check was told to end.
pub fn check_open(
    store: &Store,
    what: &Check<'_>,
    stops: &dyn Fn() -> bool,
    watch: Watcher<'_>,
) -> Result<Report, OpenError> {
    let mut seen = Seen::default();
    note_state(&*store.fs, what.root, &[(INDEX_DOUBTFUL, Problem::Doubtful)], &mut seen.report)?;
    let view = View::of(store, stops)?;
    check_index(&*store.fs, what, &view, &mut seen, watch)?;
    files::check(&*store.fs, what, Some(store), &mut seen, watch);
    Ok(seen.report)
}

fn check_index(
    fs: &dyn Fs,
    what: &Check<'_>,
    view: &View<'_>,
    seen: &mut Seen,
    watch: Watcher<'_>,
) -> Result<(), OpenError> {
    blobs::check(fs, what, view, seen, watch)?;
    pages::check(view, seen, watch)?;
    records::check(what, view, seen, watch)?;
    count_unreferenced(seen);
    Ok(())
}

/// What the last run has left for the next to do.
fn note_state(fs: &dyn Fs, root: &Path, marks: &[(&str, Problem)], report: &mut Report) -> Result<(), OpenError> {
    for (name, problem) in marks {
        let path = root.join(name);
        if fs.kind(&path).map_err(|error| OpenError::io(&path, error))?.is_some() {
            report.add(problem.clone());
        }
    }
    Ok(())
}

/// Blobs and pages that no record names: of uploads that are not finished, of evicted files, of versions that are gone.
fn count_unreferenced(seen: &mut Seen) {
    seen.needed_chunks.sort_unstable();
    seen.needed_chunks.dedup();
    seen.needed_pages.sort_unstable();
    seen.needed_pages.dedup();
    let summary = &mut seen.report.summary;
    for (blob, len) in &seen.blobs {
        if seen.needed_chunks.binary_search(blob).is_err() {
            summary.unreferenced_blobs += 1;
            summary.unreferenced_bytes += u64::from(*len);
        }
    }
    summary.unreferenced_pages = summary.pages.saturating_sub(seen.needed_pages.len() as u64);
}

fn fingerprint(parts: &[&[u8]]) -> Fingerprint {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    let mut bytes = [0; 16];
    hasher.finalize_xof().fill(&mut bytes);
    Fingerprint::from_be_bytes(bytes)
}

fn blob_fingerprint(blob: &BlobKey) -> Fingerprint {
    fingerprint(&[&blob.owner.0, &blob.chunk.0])
}
