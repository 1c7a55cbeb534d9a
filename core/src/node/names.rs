//! The names of this node's owner, in memory: on the disk they are sealed in their manifests, so they are read at start.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bytes::Bytes;

use crate::checkpoint::Census;
use crate::disk::DiskOp;
use crate::event::FileInfo;
use crate::ids::NameId;
use crate::manifest::{PageContext, PageRef, PageSecrets};
use crate::node::boot::{self, BootStep};
use crate::node::context::Context;
use crate::node::page_loader::{self, LoadedPage, Opening, PageClient, PageFailure, PageOrder};
use crate::node::pages::file_info;
use crate::node::pending::Pending;
use crate::node::signal::Signal;
use crate::node::{cache, checkpoints, collect, schema};
use crate::placement::Replicas;
use crate::record::{Rank, RecordBody, SignedRecord};
use crate::work::{WorkOp, WorkResult};
use crate::{buggify, planted, sometimes};

/// Records read at a time at start.
const BATCH: u32 = 256;

/// The newest record known of a name.
#[derive(Debug)]
struct Winner {
    rank: Rank,
    /// Whether it is one of those that checkpoints cover.
    counts: bool,
    /// The real name, once its manifest has been opened.
    name: Option<String>,
    /// The most nodes that any version is kept on since the name was deleted last, as far as known.
    replicas: Option<Replicas>,
}

/// All names of the owner.
#[derive(Debug, Default)]
pub(crate) struct Names {
    files: BTreeMap<String, FileInfo>,
    winners: BTreeMap<NameId, Winner>,
    /// Of the winners, but for checkpoints.
    census: Census,
    /// Manifests being opened.
    opening: BTreeMap<u64, SignedRecord>,
    /// Newest records whose manifests could not be read, to be read again.
    unread: Vec<SignedRecord>,
    reading: Reading,
    bytes: u64,
}

/// How far the disk has been read.
#[derive(Debug, Default)]
enum Reading {
    #[default]
    NotStarted,
    /// A batch is being read or verified.
    UnderWay,
    /// The next batch starts here, once this one is accounted for.
    Next(Bytes),
    Done,
}

impl Names {
    /// Whether all records that were on the disk at the start have been read.
    pub(crate) fn are_read(&self) -> bool {
        matches!(self.reading, Reading::Done)
    }

    /// The newest records of all names, but for checkpoints.
    pub(crate) fn census(&self) -> Census {
        self.census
    }

    /// The most nodes that any version of a name is kept on since it was deleted last; `None` if no version is known.
    pub(crate) fn replicas(&self, name: NameId) -> Option<Replicas> {
        self.winners.get(&name)?.replicas
    }

    /// How many files there are.
    pub(crate) fn count(&self) -> u64 {
        self.files.len() as u64
    }

    /// Their bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Names that start with `prefix`, after `after`, in order; and whether there are more than `limit`.
    pub(crate) fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> (Vec<FileInfo>, bool) {
        let start = after.filter(|after| *after >= prefix).unwrap_or(prefix).to_string();
        let beyond = |name: &String| after.is_none_or(|after| name.as_str() > after);
        let mut matching = self
            .files
            .range(start..)
            .take_while(|(name, _)| name.starts_with(prefix))
            .filter(|(name, _)| beyond(name))
            .map(|(_, info)| info);
        let files: Vec<FileInfo> = matching.by_ref().take(limit).cloned().collect();
        (files, matching.next().is_some())
    }

    fn insert(&mut self, info: FileInfo) {
        self.bytes += info.size;
        if let Some(old) = self.files.insert(info.name.as_str().to_string(), info) {
            self.bytes -= old.size;
        }
    }

    fn remove(&mut self, name: &str) {
        if let Some(old) = self.files.remove(name) {
            self.bytes -= old.size;
        }
    }
}

/// Whether every record on the disk is accounted for.
pub(crate) fn are_complete(cx: &Context) -> bool {
    let Names { reading, opening, unread, .. } = &cx.names;
    matches!(reading, Reading::Done) && opening.is_empty() && unread.is_empty() && !cx.records.may_lack(cx.owner)
}

/// Starts to read all names.
pub(crate) fn start(cx: &mut Context) {
    read_on(cx, schema::owner_records(cx.owner));
}

pub(crate) fn read_on(cx: &mut Context, from: Bytes) {
    let to = schema::end_of(&schema::owner_records(cx.owner));
    cx.names.reading = Reading::UnderWay;
    let step = BootStep::Names(from.clone());
    let limit = if buggify!(cx.simulation, "names.batch-of-one", for a run) { 1 } else { BATCH };
    cx.disk(DiskOp::Scan { from, to, limit, reverse: false }, Pending::Boot(step));
}

/// A batch of records is read.
pub(crate) fn on_read(cx: &mut Context, entries: Vec<(Bytes, Bytes)>, more: bool) {
    let next = entries.last().filter(|_| more).map(|(key, _)| schema::after(key));
    let records: Vec<Bytes> = entries.into_iter().map(|(_, record)| record).collect();
    cx.work(WorkOp::VerifyRecords { records }, Pending::Boot(BootStep::NamesVerified(next)));
}

/// A batch of records is verified.
pub(crate) fn on_verified(cx: &mut Context, next: Option<Bytes>, result: WorkResult) {
    let WorkResult::RecordsVerified(records) = result else { return };
    let was_last = next.is_none();
    for record in records.into_iter().flatten() {
        on_record(cx, record);
    }
    cx.names.reading = next.map_or(Reading::Done, Reading::Next);
    if was_last {
        checkpoints::on_names_read(cx);
    }
    go_on(cx);
}

/// A record of the owner is on the disk: read before, or stored just now.
pub(crate) fn on_record(cx: &mut Context, record: SignedRecord) {
    let rank = record.rank();
    if !planted!(cx.simulation, ClockForgotten) {
        cx.clock.observe(&record.record.version);
    }
    let name_id = record.record.name_id;
    let kept_on = Some(record.record.retention.replicas).filter(|_| record.record.body.is_file());
    if let Some(winner) = cx.names.winners.get_mut(&name_id).filter(|winner| winner.rank >= rank) {
        // An older version of a file that is there; what a deletion is above does not count.
        winner.replicas = winner.replicas.map(|most| kept_on.map_or(most, |replicas| most.max(replicas)));
        return;
    }
    let (name, older) = count_out(cx, &record);
    checkpoints::on_record(cx, &record);
    match record.record.body {
        RecordBody::Tombstone | RecordBody::Checkpoint(_) => {
            if let Some(name) = name {
                cx.names.remove(&name);
            }
            let counts = record.record.body == RecordBody::Tombstone;
            cx.names.winners.insert(name_id, Winner { rank, counts, name: None, replicas: None });
        }
        RecordBody::File { root, root_len } => {
            let replicas = older.max(kept_on);
            cx.names.winners.insert(name_id, Winner { rank, counts: true, name, replicas });
            open(cx, record, PageRef { id: root, len: root_len });
        }
    }
}

/// A name gets a new winner: it counts in the place of the old one. Returns what was known of the name.
fn count_out(cx: &mut Context, newer: &SignedRecord) -> (Option<String>, Option<Replicas>) {
    let old = cx.names.winners.remove(&newer.record.name_id);
    if let Some(Winner { rank: (_, old), counts: true, .. }) = old {
        cx.names.census.remove(&cx.keys, old);
    }
    if !matches!(newer.record.body, RecordBody::Checkpoint(_)) {
        cx.names.census.add(&cx.keys, newer.id);
    }
    old.map(|winner| (winner.name, winner.replicas)).unwrap_or_default()
}

/// Opens the manifest of a newest record.
fn open(cx: &mut Context, record: SignedRecord, page: PageRef) {
    let number = cx.number();
    let context = PageContext::of(&record.record);
    cx.names.opening.insert(number, record);
    let order = PageOrder {
        client: PageClient::Names(number),
        owner: cx.owner,
        page,
        opening: Opening::Root(context),
        holders: BTreeSet::new(),
    };
    page_loader::load(cx, order);
}

/// A record is on the disk, whether or not somebody still waits for it.
pub(crate) fn on_stored(cx: &mut Context, record: SignedRecord) {
    if record.record.body == RecordBody::Tombstone {
        cache::on_deleted(cx, &record);
    }
    // Older ones of the name may have to go.
    collect::look_at(cx, record.record.owner, record.record.name_id);
    if record.record.owner == cx.owner {
        cx.signal(Signal::OwnRecordStored(record));
    }
}

/// The commit of a record had failed, and the disk has told whether it was made all the same.
pub(crate) fn on_doubt_over(cx: &mut Context, record: SignedRecord, is_there: bool) {
    if is_there {
        on_stored(cx, record);
    } else {
        go_on(cx);
    }
}

/// Time to read again what could not be read.
pub(crate) fn read_again(cx: &mut Context) {
    for record in core::mem::take(&mut cx.names.unread) {
        if let (true, RecordBody::File { root, root_len }) = (is_newest(cx, &record), record.record.body) {
            open(cx, record, PageRef { id: root, len: root_len });
        }
    }
    go_on(cx);
}

fn is_newest(cx: &Context, record: &SignedRecord) -> bool {
    cx.names.winners.get(&record.record.name_id).is_some_and(|winner| winner.rank == record.rank())
}

/// A manifest is open, or cannot be read.
pub(crate) fn on_page(cx: &mut Context, number: u64, result: Result<LoadedPage, PageFailure>) {
    let Some(record) = cx.names.opening.remove(&number) else { return };
    let still_newest = is_newest(cx, &record);
    if still_newest && matches!(result, Err(PageFailure::Nowhere)) {
        // A record is stored after its manifest, so the manifest is there, and the disk failed to read it.
        cx.names.unread.push(record);
        boot::read_again_soon(cx);
        return go_on(cx);
    }
    if !still_newest {
        sometimes!(cx.simulation, "names.superseded-while-opening");
    }
    let wanted = still_newest || planted!(cx.simulation, LateManifestListed);
    if let (true, Ok(page)) = (wanted, result)
        && let Some(PageSecrets::RootOfChunks { meta, .. } | PageSecrets::RootOfPages { meta, .. }) = &page.secrets
    {
        let info = file_info(meta, record.record.version, page.id);
        let name = info.name.as_str().to_string();
        if let Some(winner) = cx.names.winners.get_mut(&record.record.name_id) {
            winner.name = Some(name);
        }
        cx.names.insert(info);
    }
    go_on(cx);
}

/// A record of the owner that lacked something here is whole: its manifest can be read now, if it could not before.
pub(crate) fn on_mended(cx: &mut Context, record: SignedRecord) {
    let unread = |winner: &Winner| winner.rank == record.rank() && winner.name.is_none();
    let is_unread = cx.names.winners.get(&record.record.name_id).is_some_and(unread);
    if let (true, RecordBody::File { root, root_len }) = (is_unread, record.record.body) {
        open(cx, record, PageRef { id: root, len: root_len });
    }
}

/// Reads the next batch once this one is accounted for.
fn go_on(cx: &mut Context) {
    if !cx.names.opening.is_empty() {
        return;
    }
    match &cx.names.reading {
        Reading::Next(from) => {
            let from = from.clone();
            read_on(cx, from);
        }
        Reading::Done if are_complete(cx) => cx.signal(Signal::NamesLoaded),
        Reading::Done => {}
        Reading::NotStarted | Reading::UnderWay => {}
    }
}
