//! Rule: when the healed core has come to rest, every disk holds exactly what is needed there, as far as its files and its
//! database say it themselves.
//!
//! Nothing is left over: no record is there that its name does not keep, but one that another node relies on (a promise), one that
//! the node would give up only for a whole copy (what replaces it was evicted or is light there), or a deletion that is still owed; every page is one that a record needs, or
//! has a lease that is not over; every reference is of such a page, to a chunk that it lists; every blob has a reference or a lease
//! that is not over; marks, promises and debts are about records that are there; and no page is doomed any more.
//! So the chunks of a deleted file are gone once its keep is over.
//!
//! Nothing is out of place, either, that could go: no record of another owner's file or checkpoint is on a disk that is not of its
//! holders (the first in rank of all nodes), nobody relies on that one, and all of them have it, whole; or do not keep it any
//! more. The time that the cluster has for it is that of its rest: what was out of place when the core was healed has to have gone by
//! the end of that. It takes comparisons, so this is not looked at where nodes compare too rarely.
//!
//! And nothing is missing: every record has its pages, and, unless it was evicted or is light there, every page of it has a reference to each of
//! its chunks, and each of those is there, unless the plan destroyed it.
//!
//! Not looked at: what is cached, which needs no reason but room; disks that lie, or of which nobody knows what they lost; a core that has not come to rest in time, since
//! that is the convergence oracle's business.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use forever_core::disk::CACHE_OWNER;
use forever_core::ids::{BlobKey, ChunkId, OwnerId, PageId, RecordId};
use forever_core::manifest::{Children, check_page};
use forever_core::merge::Age;
use forever_core::record::{Record, RecordBody, SignedRecord};

use super::super::{Contents, Event, Holding, View};
use super::Rule;
use super::history::History;
use super::{keeping, placed};

/// The rule in a sentence.
pub const RULE: &str = "at rest, every disk holds what its records, leases and promises need, and nothing else";

/// What a lease may be over for before it must be gone, in milliseconds, beside a quarter of it: the pauses of the collector, and
/// what a node that ended has not noted of its life.
const LEASE_SLACK_MS: u64 = 10_000;

/// The oracle.
#[derive(Default)]
pub(crate) struct Collection {
    history: History,
    has_looked: bool,
}

/// A record that is on a disk where it is out of place, although nothing keeps it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OutOfPlace {
    node: usize,
    record: SignedRecord,
}

impl std::fmt::Display for OutOfPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let record = &self.record.record;
        let version = super::history::show(&record.version);
        write!(f, "node {} has version {version} of name {}, which all its holders have", self.node, record.name_id)
    }
}

/// All that is out of place on disks of the core and could have gone. `is_trusted` says whose disks count.
pub(crate) fn out_of_place(view: &mut dyn View, is_trusted: impl Fn(&dyn View, usize) -> bool) -> Vec<OutOfPlace> {
    if !view.scenario().compares_at_rest() {
        return Vec::new();
    }
    let disks = placed::disks(view, is_trusted);
    let view: &dyn View = view;
    let age = keeping::undated(view);
    let mut found = Vec::new();
    for (node, contents) in &disks {
        let of_others = contents.records.iter().map(|held| &held.record);
        let of_others = of_others.filter(|record| record.record.owner != view.keys(*node).owner_id());
        for record in of_others.filter(|record| record.record.body != RecordBody::Tombstone) {
            let limit = record.record.retention.replicas.limit();
            let holders = super::history::holders(view, record.record.name_id, limit);
            if holders.len() < limit || holders.contains(node) {
                continue;
            }
            let has = |holder: &usize| disks.get(holder).is_some_and(|contents| has_or_outlived(contents, record, age));
            let promise = [&b"K"[..], &record.record.owner.0, &record.id.0].concat();
            let is_promised = || contents.rows.iter().any(|(key, _)| key.starts_with(&promise));
            if holders.iter().all(has) && !is_promised() {
                found.push(OutOfPlace { node: *node, record: record.clone() });
            }
        }
    }
    found
}

/// Whether a disk has a record whole, or what replaces it.
fn has_or_outlived(contents: &Contents, record: &SignedRecord, age: Age) -> bool {
    let SignedRecord { record: Record { owner, name_id, version, .. }, .. } = record;
    let is_marked = |record: &SignedRecord| contents.mark(record).is_some();
    let of_name = contents.of_name(*owner, *name_id);
    let newest = of_name.clone().max_by_key(|other| other.rank());
    let is_replaced = newest.is_some_and(|newest| !is_marked(newest))
        && keeping::is_obsolete(contents, (*owner, *name_id), version, age);
    let mut same = of_name.filter(|other| other.id == record.id);
    match contents.holding(*owner, *name_id, version) {
        Holding::Whole(_) => same.any(|same| !is_marked(same)),
        Holding::Absent => is_replaced,
        // A checkpoint has no chunks.
        Holding::Broken(_) => !record.record.body.is_file() && same.next().is_some(),
        Holding::Light(_) => false,
    }
}

/// A disk, by what its rows mean (see `core/FORMAT.md`).
struct Disk {
    pages: BTreeMap<(OwnerId, PageId), Option<Children>>,
    references: BTreeSet<(OwnerId, ChunkId, PageId)>,
    evicted: BTreeSet<(OwnerId, RecordId)>,
    promises: BTreeSet<(OwnerId, RecordId)>,
    /// The keys of records that are owed.
    debts: BTreeSet<Bytes>,
    /// Leases with the time of life at which each began.
    leases: BTreeMap<(OwnerId, ChunkId), u64>,
    page_leases: BTreeMap<(OwnerId, PageId), u64>,
    doomed: BTreeSet<(OwnerId, PageId)>,
    /// How long the node has lived, as far as it has noted.
    lived_ms: u64,
}

/// The bytes of a key from a place on, as an identifier.
fn id(key: &[u8], from: usize) -> Option<[u8; 32]> {
    key.get(from..from + 32)?.try_into().ok()
}

/// A whole number at the start of a value, as bincode writes it.
fn number(value: &[u8]) -> Option<u64> {
    let (first, rest) = value.split_first()?;
    match first {
        0xfb => rest.first_chunk().map(|bytes| u64::from(u16::from_le_bytes(*bytes))),
        0xfc => rest.first_chunk().map(|bytes| u64::from(u32::from_le_bytes(*bytes))),
        0xfd => rest.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)),
        small => Some(u64::from(*small)),
    }
}

impl Disk {
    fn read(rows: &[(Bytes, Bytes)]) -> Result<Self, String> {
        let mut disk = Self {
            pages: BTreeMap::new(),
            references: BTreeSet::new(),
            evicted: BTreeSet::new(),
            promises: BTreeSet::new(),
            debts: BTreeSet::new(),
            leases: BTreeMap::new(),
            page_leases: BTreeMap::new(),
            doomed: BTreeSet::new(),
            lived_ms: 0,
        };
        for (key, value) in rows {
            disk.note(key, value).ok_or_else(|| format!("a row that nothing explains: {key:?}"))?;
        }
        Ok(disk)
    }

    fn note(&mut self, key: &Bytes, value: &Bytes) -> Option<()> {
        let kind = *key.first()?;
        if kind == b'A' {
            self.lived_ms = number(value)?;
            return Some(());
        }
        if matches!(kind, b'R' | b'N' | b'C' | b'J' | b'S' | b'B' | b'V') {
            return Some(());
        }
        if kind == b'O' {
            self.debts.insert(key.slice(33.min(key.len())..));
            return Some(());
        }
        let (owner, second) = (OwnerId(id(key, 1)?), id(key, 33)?);
        match kind {
            b'P' => {
                let page = PageId(second);
                let children = check_page(page, value).ok().map(|public| public.children);
                self.pages.insert((owner, page), children);
            }
            b'F' => drop(self.references.insert((owner, ChunkId(second), PageId(id(key, 65)?)))),
            b'E' => drop(self.evicted.insert((owner, RecordId(second)))),
            b'K' => drop(self.promises.insert((owner, RecordId(second)))),
            b'D' => drop(self.doomed.insert((owner, PageId(second)))),
            b'M' => drop(self.page_leases.insert((owner, PageId(second)), number(value)?)),
            b'L' => {
                let since_ms = number(value)?;
                let newest = self.leases.entry((owner, ChunkId(second))).or_default();
                *newest = since_ms.max(*newest);
            }
            _ => return None,
        }
        Some(())
    }

    /// The pages of a record, as far as they are there, each with its chunks; whether all are there.
    fn pages_of(&self, owner: OwnerId, root: PageId) -> (Vec<(PageId, Vec<ChunkId>)>, bool) {
        let mut found = Vec::new();
        let mut waiting = vec![root];
        let mut is_whole = true;
        while let Some(page) = waiting.pop() {
            match self.pages.get(&(owner, page)) {
                Some(Some(Children::Chunks(chunks))) => {
                    found.push((page, chunks.iter().map(|chunk| chunk.id).collect()));
                }
                Some(Some(Children::Pages(pages))) => {
                    waiting.extend(pages.iter().map(|page| page.id));
                    found.push((page, Vec::new()));
                }
                Some(None) | None => is_whole = false,
            }
        }
        (found, is_whole)
    }
}

impl Collection {
    fn check(&self, node: usize, view: &mut dyn View) -> Result<(), String> {
        if self.history.is_untrusted(view, node) || !view.is_core(node) {
            return Ok(());
        }
        let contents = view.contents(node);
        let disk = Disk::read(&contents.rows)?;
        self.check_records(view, &contents, &disk)?;
        self.check_pages(node, &contents, &disk)?;
        let lease_ms = u64::try_from(view.scenario().config.lease.as_millis()).unwrap_or(u64::MAX);
        let is_over = |since_ms: u64| disk.lived_ms.saturating_sub(since_ms) > lease_ms + lease_ms / 4 + LEASE_SLACK_MS;
        for blob in contents.blobs.keys().filter(|blob| blob.owner != CACHE_OWNER) {
            let from = (blob.owner, blob.chunk, PageId([0; 32]));
            let has_reference = disk
                .references
                .range(from..)
                .next()
                .is_some_and(|(owner, chunk, _)| (*owner, *chunk) == (blob.owner, blob.chunk));
            let lease = disk.leases.get(&(blob.owner, blob.chunk));
            if !has_reference && lease.is_none_or(|since_ms| is_over(*since_ms)) {
                return Err(format!("chunk {}, which nothing needs", blob.chunk));
            }
        }
        if let Some(((_, page), _)) = disk.page_leases.iter().find(|(_, since_ms)| is_over(**since_ms)) {
            return Err(format!("a lease of page {page} that has long been over"));
        }
        match disk.doomed.first() {
            Some((_, page)) => Err(format!("page {page}, which is doomed and has not gone")),
            None => Ok(()),
        }
    }

    /// No record is left over, and what is said about records is about such as are there.
    fn check_records(&self, view: &dyn View, contents: &Contents, disk: &Disk) -> Result<(), String> {
        let age = keeping::earliest(view, self.history.at);
        if let Some(record) = left_over(contents, disk, age) {
            let version = super::history::show(&record.record.version);
            return Err(format!("version {version} of a file, which its name no longer keeps"));
        }
        let records = || contents.records.iter().map(|held| &held.record);
        let ids: BTreeSet<_> = records().map(|record| (record.record.owner, record.id)).collect();
        let keys: BTreeSet<_> = records().map(record_key).collect();
        let stray = disk.evicted.iter().chain(&disk.promises).find(|about| !ids.contains(about));
        if let Some((_, record)) = stray {
            return Err(format!("a mark or a promise about record {record}, which is not there"));
        }
        match disk.debts.iter().find(|key| !keys.contains(*key)) {
            Some(_) => Err("a debt of a record that is not there".into()),
            None => Ok(()),
        }
    }

    /// No page or reference is left over, and none is missing, nor a chunk.
    fn check_pages(&self, node: usize, contents: &Contents, disk: &Disk) -> Result<(), String> {
        let mut needed = BTreeSet::new();
        for held in &contents.records {
            let SignedRecord { record, id, .. } = &held.record;
            let RecordBody::File { root, .. } = record.body else { continue };
            let version = super::history::show(&record.version);
            let (pages, is_whole) = disk.pages_of(record.owner, root);
            if !is_whole {
                return Err(format!("version {version} of a file, without all of its pages"));
            }
            let is_evicted = disk.evicted.contains(&(record.owner, *id));
            for (page, chunks) in pages {
                needed.insert((record.owner, page));
                for chunk in chunks.into_iter().filter(|_| !is_evicted) {
                    if !disk.references.contains(&(record.owner, chunk, page)) {
                        return Err(format!("version {version} of a file, without a reference to its chunk {chunk}"));
                    }
                    let blob = BlobKey { owner: record.owner, chunk };
                    let is_destroyed = self.history.is_destroyed(node, 0, &[blob]);
                    if !contents.blobs.contains_key(&blob) && !is_destroyed {
                        return Err(format!("version {version} of a file, without its chunk {chunk}"));
                    }
                }
            }
        }
        let is_needed = |page: &(OwnerId, PageId)| needed.contains(page) || disk.page_leases.contains_key(page);
        if let Some((_, page)) = disk.pages.keys().find(|page| !is_needed(page)) {
            return Err(format!("page {page}, which no record needs"));
        }
        let lists = |(owner, chunk, page): &(OwnerId, ChunkId, PageId)| match disk.pages.get(&(*owner, *page)) {
            Some(Some(Children::Chunks(chunks))) => chunks.iter().any(|listed| listed.id == *chunk),
            Some(Some(Children::Pages(_)) | None) | None => false,
        };
        match disk.references.iter().find(|reference| !lists(reference)) {
            Some((_, chunk, page)) => {
                Err(format!("a reference to chunk {chunk} of page {page}, which does not list it"))
            }
            None => Ok(()),
        }
    }
}

/// Whether a disk of the core has a record that its name does not keep any more, as far as that follows from its records.
pub(crate) fn is_any_left_over(view: &mut dyn View, is_trusted: impl Fn(&dyn View, usize) -> bool) -> bool {
    let disks = placed::disks(view, is_trusted);
    let age = keeping::undated(view);
    disks
        .values()
        .any(|contents| Disk::read(&contents.rows).is_ok_and(|disk| left_over(contents, &disk, age).is_some()))
}

/// A record that its name does not keep any more and that nothing needs.
fn left_over<'c>(contents: &'c Contents, disk: &Disk, age: Age) -> Option<&'c SignedRecord> {
    let is_left_over = |signed: &&SignedRecord| {
        let SignedRecord { record, id, .. } = signed;
        let is_promised = disk.promises.contains(&(record.owner, *id));
        let is_owed = record.body == RecordBody::Tombstone && disk.debts.contains(&record_key(signed));
        keeping::is_obsolete(contents, (record.owner, record.name_id), &record.version, age)
            && !(is_promised || is_owed || waits_for_a_whole_copy(contents, disk, signed))
    };
    contents.records.iter().map(|held| &held.record).find(is_left_over)
}

/// Whether a record is whole where what replaces it was evicted or is light, and nothing has deleted it.
fn waits_for_a_whole_copy(contents: &Contents, disk: &Disk, record: &SignedRecord) -> bool {
    let same = contents.of_name(record.record.owner, record.record.name_id);
    let above: Vec<&SignedRecord> = same.filter(|other| other.rank() > record.rank()).collect();
    let Some(newest) = above.iter().max_by_key(|other| other.rank()) else { return false };
    let is_deleted = above.iter().any(|other| other.record.body == RecordBody::Tombstone);
    let is_marked = |record: &SignedRecord| disk.evicted.contains(&(record.record.owner, record.id));
    !is_deleted && is_marked(newest) && !is_marked(record)
}

fn record_key(record: &SignedRecord) -> Bytes {
    let what = &record.record;
    [&b"R"[..], &what.owner.0, &what.name_id.0, &what.version.to_bytes(), &record.id.0].concat().into()
}

impl Rule for Collection {
    fn name(&self) -> &'static str {
        "collection"
    }

    fn observe(&mut self, at: Duration, event: &Event, view: &mut dyn View) -> Result<(), String> {
        self.history.note(at, event, view);
        let begins = matches!(event, Event::Started { .. }) && self.history.healed.is_some();
        if !begins || std::mem::replace(&mut self.has_looked, true) {
            return Ok(());
        }
        let out_of_place = out_of_place(view, |view, node| !self.history.is_untrusted(view, node));
        if let Some(one) = out_of_place.first() {
            return Err(format!("at rest, {one}"));
        }
        (0..view.scenario().nodes.len()).try_for_each(|node| {
            self.check(node, view).map_err(|what| format!("at rest, the disk of node {node} has {what}"))
        })
    }

    fn judge(&mut self, _view: &mut dyn View) -> Result<(), String> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
