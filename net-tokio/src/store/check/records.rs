//! The third pass: records against their signatures and keys, and everything that they need against what is there.

use bytes::Bytes;
use forever_core::ids::{BlobKey, NameId, NodeId, OwnerId, PageId, RecordId};
use forever_core::manifest::{Children, ChunkRef, PageContext, PageSecrets, check_page, open_root_page};
use forever_core::name::Name;
use forever_core::record::{RECORD_LEN_MAX, RecordBody, RecordError, SignedRecord};
use forever_core::secrets::OwnerKeys;
use forever_core::version::Version;

use super::pages::{page_key, reference_key};
use super::{Affected, Check, Problem, Progress, RecordPlace, Seen, Step, Watcher, blob_fingerprint, fingerprint};
use crate::api::view::version_text;
use crate::store::OpenError;
use crate::store::check::view::View;

/// Length of an ed25519 signature in bytes.
const SIGNATURE_LEN: usize = 64;

pub(super) fn check(what: &Check<'_>, view: &View<'_>, seen: &mut Seen, watch: Watcher<'_>) -> Result<(), OpenError> {
    let mut done = 0;
    view.each_entry(b'R', |key, value| {
        done += 1;
        watch(Progress { step: Step::Records, done, total: None });
        let place = RecordKey::parse(key);
        match verify(key, place.as_ref(), value) {
            Ok(record) => check_record(what, view, &record, seen),
            Err(Fault::Unknown) => {
                seen.report.add(Problem::Unknown { key: key.to_vec() });
                Ok(())
            }
            Err(Fault::Damaged(_)) if view.get(key)?.is_none_or(|now| now != value) => Ok(()),
            Err(Fault::Damaged(why)) => {
                let concerned = place.as_ref().map(RecordKey::place);
                let finding = seen.report.add(Problem::Record { key: key.to_vec(), place: concerned.clone(), why });
                if let Some(place) = concerned {
                    let name = name_of(what.keys, view, &place, None)?;
                    seen.report.affects(finding, &Affected { place, name });
                }
                Ok(())
            }
        }
    })
}

/// What the key of a record says (see `core/FORMAT.md`, Index).
struct RecordKey {
    owner: OwnerId,
    name_id: NameId,
    version: Version,
    record: RecordId,
}

impl RecordKey {
    fn parse(key: &[u8]) -> Option<Self> {
        let (owner, rest) = key.strip_prefix(b"R")?.split_first_chunk()?;
        let (name_id, rest) = rest.split_first_chunk()?;
        let (wall_ms, rest) = rest.split_first_chunk()?;
        let (counter, rest) = rest.split_first_chunk()?;
        let (node, rest) = rest.split_first_chunk()?;
        let version = Version {
            wall_ms: u64::from_be_bytes(*wall_ms),
            counter: u32::from_be_bytes(*counter),
            node: NodeId(*node),
        };
        let record = RecordId(rest.try_into().ok()?);
        Some(Self { owner: OwnerId(*owner), name_id: NameId(*name_id), version, record })
    }

    fn of(record: &SignedRecord) -> Self {
        let what = &record.record;
        Self { owner: what.owner, name_id: what.name_id, version: what.version, record: record.id }
    }

    fn encode(&self) -> Vec<u8> {
        [&b"R"[..], &self.owner.0, &self.name_id.0, &self.version.to_bytes(), &self.record.0].concat()
    }

    fn place(&self) -> RecordPlace {
        let Self { owner, name_id, version, record } = self;
        RecordPlace { owner: *owner, name_id: *name_id, version: version_text(version), record: *record }
    }
}

enum Fault {
    Damaged(String),
    /// It is what its key says, and this program does not know its format.
    Unknown,
}

fn verify(key: &[u8], place: Option<&RecordKey>, value: &[u8]) -> Result<SignedRecord, Fault> {
    match SignedRecord::verify(Bytes::copy_from_slice(value)) {
        Ok(record) if RecordKey::of(&record).encode() == key => Ok(record),
        Ok(_) => Err(Fault::Damaged("the record lies under the key of another".to_owned())),
        Err(RecordError::UnknownFormat) if place.is_some_and(|place| is_whole(place, value)) => Err(Fault::Unknown),
        Err(error) => Err(Fault::Damaged(error.to_string())),
    }
}

/// Whether a record's bytes are those that its id names.
fn is_whole(place: &RecordKey, value: &[u8]) -> bool {
    let body = value.len().checked_sub(SIGNATURE_LEN).map(|len| &value[..len]);
    value.len() <= RECORD_LEN_MAX && body.is_some_and(|body| blake3::hash(body) == place.record.0)
}

/// What a record lacks.
#[derive(Default)]
struct Lacks {
    pages: u64,
    missing: u64,
    damaged: u64,
    chunks: u64,
    /// Pages whose chunks lack references to them, and how many.
    references: Vec<(PageId, u64)>,
    /// The findings that tell of what is damaged.
    findings: Vec<Option<usize>>,
    root: Option<Bytes>,
}

fn check_record(what: &Check<'_>, view: &View<'_>, record: &SignedRecord, seen: &mut Seen) -> Result<(), OpenError> {
    seen.report.summary.records += 1;
    let root = match record.record.body {
        RecordBody::File { root, .. } => root,
        RecordBody::Tombstone => {
            seen.report.summary.tombstones += 1;
            return Ok(());
        }
        RecordBody::Checkpoint(_) => {
            seen.report.summary.checkpoints += 1;
            return Ok(());
        }
    };
    let owner = record.record.owner;
    let evicted = view.has(&[&b"E"[..], &owner.0, &record.id.0].concat())?;
    let lacks = walk(view, owner, root, evicted, seen)?;
    let is_lacking = lacks.pages > 0 || lacks.missing > 0 || lacks.damaged > 0 || !lacks.references.is_empty();
    if is_lacking && view.live().is_some() && has_changed(view, record, evicted)? {
        return Ok(());
    }
    for (page, chunks) in &lacks.references {
        seen.report.add(Problem::References { owner, page: *page, chunks: *chunks });
    }
    // Its chunks are gone on purpose; its pages stay.
    let is_lost = lacks.pages > 0 || !evicted && (lacks.missing > 0 || lacks.damaged > 0);
    let summary = &mut seen.report.summary;
    let count = match (is_lost, evicted) {
        (true, _) => &mut summary.incomplete,
        (false, true) => &mut summary.evicted,
        (false, false) => &mut summary.whole,
    };
    *count += 1;
    if !is_lost && lacks.findings.is_empty() {
        return Ok(());
    }
    let place = RecordKey::of(record).place();
    let name = name_of(what.keys, view, &place, lacks.root.as_ref().map(|data| (record, data)))?;
    let affected = Affected { place, name };
    for finding in &lacks.findings {
        seen.report.affects(*finding, &affected);
    }
    if is_lost {
        let Lacks { pages, missing, damaged, chunks, .. } = lacks;
        let (missing, damaged) = if evicted { (0, 0) } else { (missing, damaged) };
        let finding = seen.report.add(Problem::Incomplete { pages, missing, damaged, chunks });
        seen.report.affects(finding, &affected);
    }
    Ok(())
}

/// Whether a record was evicted, brought back or removed while it was looked at: then what it lacks is no fault.
fn has_changed(view: &View<'_>, record: &SignedRecord, was_evicted: bool) -> Result<bool, OpenError> {
    let is_evicted = view.has(&[&b"E"[..], &record.record.owner.0, &record.id.0].concat())?;
    Ok(is_evicted != was_evicted || !view.has(&RecordKey::of(record).encode())?)
}

/// Looks for all that a manifest names, and for the references to its chunks if those are to be here.
fn walk(view: &View<'_>, owner: OwnerId, root: PageId, evicted: bool, seen: &mut Seen) -> Result<Lacks, OpenError> {
    let mut lacks = Lacks::default();
    let Some((data, children)) = page(view, owner, root, seen, &mut lacks)? else { return Ok(lacks) };
    lacks.root = Some(data);
    let look = |page: PageId, chunks: &[ChunkRef], seen: &mut Seen, lacks: &mut Lacks| {
        look_for(view, owner, chunks, seen, lacks)?;
        if evicted { Ok(()) } else { look_for_references(view, owner, page, chunks, lacks) }
    };
    match children {
        Children::Chunks(chunks) => look(root, &chunks, seen, &mut lacks)?,
        Children::Pages(below) => {
            for child in below {
                match page(view, owner, child.id, seen, &mut lacks)? {
                    Some((_, Children::Chunks(chunks))) => look(child.id, &chunks, seen, &mut lacks)?,
                    // The owner has signed nonsense: nothing on this disk is wrong.
                    Some((_, Children::Pages(_))) | None => {}
                }
            }
        }
    }
    Ok(lacks)
}

/// What a page needs here is kept by a reference from each chunk to it.
fn look_for_references(
    view: &View<'_>,
    owner: OwnerId,
    page: PageId,
    chunks: &[ChunkRef],
    lacks: &mut Lacks,
) -> Result<(), OpenError> {
    let mut lacking = 0;
    for chunk in chunks {
        lacking += u64::from(!view.has(&reference_key(owner, &chunk.id.0, page))?);
    }
    if lacking > 0 {
        lacks.references.push((page, lacking));
    }
    Ok(())
}

/// A page that a record needs, if it is there and in order.
fn page(
    view: &View<'_>,
    owner: OwnerId,
    page: PageId,
    seen: &mut Seen,
    lacks: &mut Lacks,
) -> Result<Option<(Bytes, Children)>, OpenError> {
    let Some(data) = view.get(&page_key(owner, page))? else {
        lacks.pages += 1;
        return Ok(None);
    };
    seen.needed_pages.push(fingerprint(&[&owner.0, &page.0]));
    if let Some(finding) = seen.damaged_pages.get(&(owner, page)) {
        lacks.findings.push(*finding);
        lacks.pages += 1;
        return Ok(None);
    }
    Ok(check_page(page, &data).ok().map(|public| (data, public.children)))
}

fn look_for(
    view: &View<'_>,
    owner: OwnerId,
    chunks: &[ChunkRef],
    seen: &mut Seen,
    lacks: &mut Lacks,
) -> Result<(), OpenError> {
    lacks.chunks += chunks.len() as u64;
    for chunk in chunks {
        let blob = BlobKey { owner, chunk: chunk.id };
        let fingerprint = blob_fingerprint(&blob);
        seen.needed_chunks.push(fingerprint);
        if let Some(finding) = seen.damaged_blobs.get(&blob) {
            lacks.findings.push(*finding);
            lacks.damaged += 1;
        } else if seen.blobs.binary_search_by_key(&fingerprint, |(blob, _)| *blob).is_err() && !view.has_blob(&blob)? {
            lacks.missing += 1;
        }
    }
    Ok(())
}

/// The real name of a file: from its own root page, else from that of another version.
fn name_of(
    keys: Option<&OwnerKeys>,
    view: &View<'_>,
    place: &RecordPlace,
    at_hand: Option<(&SignedRecord, &Bytes)>,
) -> Result<Option<String>, OpenError> {
    let Some(keys) = keys.filter(|keys| keys.owner_id() == place.owner) else { return Ok(None) };
    if let Some(name) = at_hand.and_then(|(record, root)| open(keys, record, root)) {
        return Ok(Some(name.to_string()));
    }
    let mut name = None;
    view.each_below(&[&b"R"[..], &place.owner.0, &place.name_id.0].concat(), |_, value| {
        if let Ok(record) = SignedRecord::verify(Bytes::copy_from_slice(value))
            && let RecordBody::File { root, .. } = record.record.body
            && let Some(root) = view.get(&page_key(place.owner, root))?
        {
            name = open(keys, &record, &root);
        }
        Ok(name.is_none())
    })?;
    Ok(name.map(|name| name.to_string()))
}

fn open(keys: &OwnerKeys, record: &SignedRecord, root: &[u8]) -> Option<Name> {
    let of = &record.record;
    let context = PageContext { owner: of.owner, name_id: of.name_id, version: of.version };
    match open_root_page(keys, &context, root).ok()?.secrets {
        PageSecrets::RootOfChunks { meta, .. } | PageSecrets::RootOfPages { meta, .. } => Some(meta.name),
        PageSecrets::Page { .. } => None,
    }
}
