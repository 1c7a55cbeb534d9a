//! Reading a file: find its record, open its manifest, then bring its chunks, from the disk or from several peers at
//! once, verify each and deliver them in order under the caller's credit.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::ToString;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::bulk::Bulk;
use crate::command::RangeRequest;
use crate::config::Config;
use crate::disk::{DiskError, DiskOp};
use crate::event::{Plain, RequestError, What};
use crate::ids::{BlobKey, ChunkId, NodeId, ObjectId, ObjectKey, OwnerId, RequestId};
use crate::manifest::{Children, ChunkRef, IV_LEN_U32, PAGE_ENTRIES_MAX, PageContext, PageRef, PageSecrets};
use crate::node::collect::ChunkLease;
use crate::node::context::Context;
use crate::node::keep::Keep;
use crate::node::locate::{self, Located, Scope};
use crate::node::page_loader::{self, LoadedPage, Opening, PageClient, PageFailure, PageOrder};
use crate::node::pages::file_info;
use crate::node::pending::{Completion, Pending};
use crate::node::signal::{FetchClient, FetchResult};
use crate::node::source::Source;
use crate::node::task::{Flow, Task, TaskStep};
use crate::node::timers::Timer;
use crate::node::window::Window;
use crate::node::{answers, asks, cache, cluster, fetch, neighbours, space, sync};
use crate::range::{chunk_count, chunk_len};
use crate::record::{RecordBody, SignedRecord};
use crate::seal::SealError;
use crate::secrets::{ChunkKey, PageKey};
use crate::work::{WorkOp, WorkResult};
use crate::{buggify, planted, sometimes};

/// What a get waits for.
#[derive(Debug)]
pub(crate) enum GetStep {
    /// The ticket's signature is verified.
    Ticket,
    /// A blob of this disk.
    Read(u64),
    /// A cached chunk.
    ReadCached(u64),
    /// The plaintext of a blob, and where that came from.
    Opened(u64, Origin),
    /// A blob that was fetched is kept on this disk; this is its length.
    Kept(ChunkId, u32),
}

/// Where a blob came from.
#[derive(Debug)]
pub(crate) enum Origin {
    /// It is kept on this disk.
    Disk,
    Cache(Bulk),
    Peer(NodeId, Bulk),
}

/// The root page's number among the pages of a get; the pages below it start at 1.
const ROOT: u64 = 0;

/// The file, once its root page is open.
#[derive(Debug)]
struct Open {
    context: PageContext,
    /// The pages below the root, with their keys.
    page_refs: Vec<(PageRef, PageKey)>,
    /// The lists of chunks at hand, by number of page: the root's own, or those of pages below it.
    lists: BTreeMap<u64, Vec<(ChunkRef, ChunkKey)>>,
    /// The file's length in bytes.
    len: u64,
    /// Whether the caller asked for all of it.
    is_whole: bool,
    window: Window,
    delivered_all: bool,
}

impl Open {
    /// Whether a page below the root lists chunks of the right number and lengths. Its owner, who need not be this node's,
    /// signed it, and could have signed anything.
    fn fits(&self, number: u64, chunks: &[ChunkRef]) -> bool {
        let chunk_size = self.window.chunk_size();
        let first = (number - 1) * PAGE_ENTRIES_MAX as u64;
        let left = chunk_count(self.len, chunk_size).saturating_sub(first);
        let lens = (first..).map(|index| chunk_len(self.len, chunk_size, index));
        chunks.len() as u64 == left.min(PAGE_ENTRIES_MAX as u64)
            && chunks.iter().zip(lens).all(|(chunk, len)| chunk.len == len + IV_LEN_U32)
    }
}

/// A get.
#[derive(Debug)]
pub(crate) struct Get {
    id: RequestId,
    source: Source,
    range: Option<RangeRequest>,
    asked_everywhere: bool,
    record: Option<SignedRecord>,
    open: Option<Open>,
    /// Peers that said that they have all of it, or are to hold it if none did; and those that gave some of it.
    likely: BTreeSet<NodeId>,
    /// Peers that gave wrong bytes.
    liars: BTreeSet<NodeId>,
    damaged: bool,
    keep: Keep,
    /// How many deletions there had been when it began.
    deletions: u64,
}

impl Get {
    pub(crate) fn new(id: RequestId, source: Source, range: Option<RangeRequest>) -> Self {
        Self {
            id,
            source,
            range,
            asked_everywhere: false,
            record: None,
            open: None,
            likely: BTreeSet::new(),
            liars: BTreeSet::new(),
            damaged: false,
            keep: Keep::default(),
            deletions: 0,
        }
    }

    fn fail(&self, cx: &mut Context, error: RequestError) -> Flow {
        cx.fail(self.id, error);
        Flow::Done
    }

    /// Whose file it is: this node's owner's until a ticket's record says otherwise.
    fn owner(&self, cx: &Context) -> OwnerId {
        self.record.as_ref().map_or(cx.owner, |record| record.record.owner)
    }

    fn load_page(&self, cx: &mut Context, number: u64, page: PageRef, opening: Opening) {
        let order = PageOrder {
            client: PageClient::Request(self.id, number),
            owner: self.owner(cx),
            page,
            opening,
            holders: self.likely.clone(),
        };
        page_loader::load(cx, order);
    }

    fn open_root(&mut self, cx: &mut Context, page: LoadedPage) -> Flow {
        let Some(record) = &self.record else { return Flow::Continue };
        let context = PageContext::of(&record.record);
        let (meta, page_refs, list) = match (page.secrets, page.public.children) {
            (Some(PageSecrets::RootOfChunks { meta, keys }), Children::Chunks(chunks)) => {
                (meta, Vec::new(), Some(chunks.into_iter().zip(keys).collect::<Vec<_>>()))
            }
            (Some(PageSecrets::RootOfPages { meta, keys }), Children::Pages(pages)) => {
                (meta, pages.into_iter().zip(keys).collect(), None)
            }
            (_, Children::Chunks(_) | Children::Pages(_)) => {
                return self.fail(cx, RequestError::Integrity("the manifest's root is not a root".to_string()));
            }
        };
        let info = file_info(&meta, context.version, page.id);
        let range = if planted!(cx.simulation, RangeOffByOne) { self.range.map(exclusive) } else { self.range };
        let Some((first, end)) = resolve_range(range, info.size) else {
            return self.fail(cx, RequestError::Range { len: info.size });
        };
        let start = What::GetStart { file: info.clone(), first, len: end - first };
        let open = Open {
            context,
            page_refs,
            lists: list.map(|list| (ROOT, list)).into_iter().collect(),
            len: info.size,
            is_whole: end - first == info.size,
            window: Window::new(info.size, meta.chunk_size.max(1), first, end),
            delivered_all: false,
        };
        self.open = Some(open);
        cx.event(self.id, start);
        self.pump(cx)
    }

    /// Starts as many chunks as window and credit allow.
    fn pump(&mut self, cx: &mut Context) -> Flow {
        while let Some(open) = &mut self.open {
            let chunk_size = u64::from(open.window.chunk_size());
            let share = Config::share(cx.config.fetch_window_chunks, chunk_size, cx.gets) as u64;
            let chunks = if buggify!(cx.simulation, "get.window-of-one") { 1 } else { share };
            let Some(index) = open.window.begin(chunks, self.keep.under_way()) else { break };
            self.begin_chunk(cx, index);
        }
        self.deliver(cx)
    }

    fn page_of(&self, index: u64) -> u64 {
        let paged = self.open.as_ref().is_some_and(|open| !open.page_refs.is_empty());
        if paged { 1 + index / PAGE_ENTRIES_MAX as u64 } else { ROOT }
    }

    fn chunk(&self, index: u64) -> Option<&(ChunkRef, ChunkKey)> {
        let list = self.open.as_ref()?.lists.get(&self.page_of(index))?;
        let offset = if self.page_of(index) == ROOT { index } else { index % PAGE_ENTRIES_MAX as u64 };
        list.get(usize::try_from(offset).ok()?)
    }

    /// Reads a chunk, or loads its page first. (The first chunk of a page to come by loads it.)
    fn begin_chunk(&mut self, cx: &mut Context, index: u64) {
        if let Some((chunk, _)) = self.chunk(index) {
            let blob = BlobKey { owner: self.owner(cx), chunk: chunk.id };
            if let Some(cached) = cache::find(cx, self.id, chunk.id) {
                return cx.disk(DiskOp::ReadBlob { blob: cached }, self.pending(GetStep::ReadCached(index)));
            }
            return cx.disk(DiskOp::ReadBlob { blob }, self.pending(GetStep::Read(index)));
        }
        let number = self.page_of(index);
        let Some(open) = &mut self.open else { return };
        let first_of_page = index == open.window.first_index() || index.is_multiple_of(PAGE_ENTRIES_MAX as u64);
        if !first_of_page {
            return;
        }
        open.lists.retain(|page, _| page + 1 >= number);
        let page = usize::try_from(number - 1).ok().and_then(|place| open.page_refs.get(place)).cloned();
        if let Some((page, key)) = page {
            let context = open.context;
            self.load_page(cx, number, page, Opening::Keyed(context, key));
        }
    }

    fn pending(&self, step: GetStep) -> Pending {
        Pending::Task(self.id, TaskStep::Get(step))
    }

    fn on_list(&mut self, cx: &mut Context, number: u64, page: LoadedPage) -> Flow {
        let (Some(PageSecrets::Page { keys }), Children::Chunks(chunks)) = (page.secrets, page.public.children) else {
            return self.fail(cx, RequestError::Integrity("a page of the manifest is not one of chunks".to_string()));
        };
        let Some(open) = &mut self.open else { return Flow::Continue };
        if !open.fits(number, &chunks) {
            let wrong = "a page of the manifest does not fit the file's length";
            return self.fail(cx, RequestError::Integrity(wrong.to_string()));
        }
        open.lists.insert(number, chunks.into_iter().zip(keys).collect());
        for index in open.window.begun() {
            if self.page_of(index) == number {
                self.begin_chunk(cx, index);
            }
        }
        Flow::Continue
    }

    fn on_read(&mut self, cx: &mut Context, index: u64, read: Result<Bytes, DiskError>) -> Flow {
        match read {
            Ok(blob) => self.decrypt(cx, index, blob.into(), Origin::Disk),
            Err(error) => {
                answers::note_disk_error(cx, &error);
                let chunk = self.chunk(index).map(|(chunk, _)| chunk.id);
                if let (DiskError::Corrupt, Some(chunk)) = (&error, chunk) {
                    self.damaged = true;
                    answers::note_damage(cx, BlobKey { owner: self.owner(cx), chunk });
                }
                if self.damaged && planted!(cx.simulation, RepairTrustsIndex) {
                    return self.unavailable(cx);
                }
                self.fetch(cx, index);
            }
        }
        Flow::Continue
    }

    fn on_read_cached(&mut self, cx: &mut Context, index: u64, read: Result<Bytes, DiskError>) -> Flow {
        let Some((chunk, _)) = self.chunk(index) else { return Flow::Continue };
        match read {
            Ok(blob) => {
                sometimes!(cx.simulation, "cache.hit");
                let blob = Bulk::from(blob);
                self.decrypt(cx, index, blob.clone(), Origin::Cache(blob));
            }
            Err(error) => {
                answers::note_disk_error(cx, &error);
                cache::on_unreadable(cx, chunk.id);
                self.begin_chunk(cx, index);
            }
        }
        Flow::Continue
    }

    fn fetch(&mut self, cx: &mut Context, index: u64) {
        let Some((chunk, _)) = self.chunk(index) else { return };
        let order = fetch::Order {
            client: FetchClient::Get(self.id, index),
            object: ObjectKey { owner: self.owner(cx), id: ObjectId::Chunk(chunk.id) },
            len: chunk.len,
            lane: self.id.0,
            holders: self.likely.clone(),
            wide: true,
            liars: self.liars.clone(),
        };
        fetch::start(cx, order);
    }

    fn decrypt(&self, cx: &mut Context, index: u64, data: Bulk, origin: Origin) {
        let Some((chunk, key)) = self.chunk(index) else { return };
        let address = if planted!(cx.simulation, SkipHashCheck) { ChunkId(data.hash()) } else { chunk.id };
        let work = WorkOp::Open { chunk: address, key: key.clone(), data };
        cx.work(work, self.pending(GetStep::Opened(index, origin)));
    }

    fn on_opened(&mut self, cx: &mut Context, index: u64, origin: Origin, opened: Result<Bytes, SealError>) -> Flow {
        match (opened, origin) {
            (Ok(plain), origin) => {
                self.keep_blob(cx, index, origin);
                if let Some(open) = &mut self.open {
                    open.window.fill(index, plain);
                }
                cx.expect_progress(self.id);
                self.deliver(cx)
            }
            (Err(SealError::WrongHash), origin) => {
                self.damaged = true;
                if let Origin::Peer(node, _) = origin {
                    sometimes!(cx.simulation, "get.wrong-bytes-refused");
                    self.liars.insert(node);
                    asks::on_lie(cx, node);
                }
                self.fetch(cx, index);
                Flow::Continue
            }
            // The address is right, so these are the bytes that the manifest names, and nobody has better ones.
            (Err(error @ (SealError::TooShort | SealError::WrongIv)), _) => {
                self.fail(cx, RequestError::Integrity(error.to_string()))
            }
        }
    }

    /// Stores a blob of an own file that comes to be whole here by this. Of other files it goes to the cache: of what a ticket
    /// opens another decides who holds it, and a part of an own file does not make it whole.
    fn keep_blob(&mut self, cx: &mut Context, index: u64, origin: Origin) {
        let Some((chunk, _)) = self.chunk(index) else { return };
        let (blob, len) = (BlobKey { owner: self.owner(cx), chunk: chunk.id }, chunk.len);
        let is_cached = matches!(origin, Origin::Cache(_));
        let data = match origin {
            Origin::Disk => return,
            Origin::Cache(data) | Origin::Peer(_, data) => data,
        };
        if self.damaged {
            sometimes!(cx.simulation, "get.damaged-chunk-fetched");
        }
        let is_whole = self.open.as_ref().is_some_and(|open| open.is_whole);
        if blob.owner == cx.owner && (is_whole || self.damaged || cx.config.cache_bytes == 0) {
            self.keep.begin();
            let entry = Some(ChunkLease::PEERS.entry(cx, blob.owner, blob.chunk));
            let kept = self.pending(GetStep::Kept(blob.chunk, len));
            cx.disk(DiskOp::WriteBlob { blob, data, known: true, entry }, kept);
        } else if !is_cached {
            cache::keep(cx, self.id, blob.chunk, data);
        }
    }

    fn deliver(&mut self, cx: &mut Context) -> Flow {
        let Some(open) = &mut self.open else { return Flow::Continue };
        while let Some(part) = open.window.deliver() {
            cx.event(self.id, What::GetData(Plain(part)));
        }
        if open.window.is_over() && !open.delivered_all {
            open.delivered_all = true;
            cx.event(self.id, What::GetDone);
            self.keep.delivered(open.is_whole);
        }
        self.finish_if_kept(cx)
    }

    /// The caller is served; the task ends once what it fetched is kept.
    fn finish_if_kept(&mut self, cx: &mut Context) -> Flow {
        match &self.record {
            Some(record) if self.keep.is_over() => {
                self.keep.settle(cx, record);
                Flow::Done
            }
            Some(_) | None => Flow::Continue,
        }
    }

    fn retry_stuck(&mut self, cx: &mut Context) {
        let Some(open) = &mut self.open else { return };
        for index in open.window.unstick() {
            self.fetch(cx, index);
        }
    }

    fn unavailable(&self, cx: &mut Context) -> Flow {
        let troubles = cx.dials.troubles();
        let error = if self.damaged {
            RequestError::Integrity("the only copies that could be reached do not match their addresses".to_string())
        } else {
            RequestError::Unavailable(alloc::format!("no connected peer holds all of the file. {troubles}"))
        };
        self.fail(cx, error)
    }
}

/// A range that takes its last byte for its end: the bug `range-off-by-one`.
fn exclusive(range: RangeRequest) -> RangeRequest {
    match range {
        RangeRequest::From { first, last } => {
            RangeRequest::From { first, last: last.map(|last| first.max(last.saturating_sub(1))) }
        }
        RangeRequest::Suffix { len } => RangeRequest::Suffix { len },
    }
}

/// First byte and end (exclusive) of a range in a file of `len` bytes; `None` if it lies outside.
fn resolve_range(range: Option<RangeRequest>, len: u64) -> Option<(u64, u64)> {
    match range {
        None => Some((0, len)),
        Some(RangeRequest::From { first, last }) => {
            let end = last.map_or(len, |last| len.min(last.saturating_add(1)));
            (first < end).then_some((first, end))
        }
        Some(RangeRequest::Suffix { len: suffix }) => {
            (suffix > 0 && len > 0).then(|| (len.saturating_sub(suffix), len))
        }
    }
}

impl Task for Get {
    fn start(&mut self, cx: &mut Context) -> Flow {
        self.deletions = cx.cache.deletions();
        self.source.start(cx, self.id);
        cx.expect_progress(self.id);
        Flow::Continue
    }

    fn on_located(&mut self, cx: &mut Context, located: Located) -> Flow {
        let record = match self.source.choose(cx, &located) {
            Ok(record) => record,
            Err(RequestError::NoSuchVersion) if !self.asked_everywhere => {
                self.asked_everywhere = true;
                self.source.locate(cx, self.id, Scope::Everybody);
                return Flow::Continue;
            }
            Err(RequestError::NoSuchVersion) if self.source.is_ticket() => {
                return self.fail(cx, RequestError::TicketGone);
            }
            Err(error) => return self.fail(cx, error),
        };
        let RecordBody::File { root, root_len } = record.record.body else {
            return self.fail(cx, RequestError::NotFound);
        };
        let opening = self.source.opening(PageContext::of(&record.record));
        sync::tell_holders(cx, &record, &located.without(record.id));
        let said = located.holders.get(&record.id).cloned();
        self.likely = said.unwrap_or_else(|| cluster::likely_of(cx, &record.record));
        if self.likely.iter().all(|node| cx.links.of(*node).is_none()) {
            // Only so many links stand at once: what is not here is fetched when one of these has come.
            for node in self.likely.clone() {
                cluster::reach(cx, node);
            }
        }
        // A version below a deletion is deleted even if the name has been written again.
        let is_deletion = |other: &SignedRecord| other.record.body == RecordBody::Tombstone;
        let is_deleted = located.records.iter().any(|other| is_deletion(other) && other.rank() > record.rank());
        if !is_deleted && cx.cache.deletions() == self.deletions {
            cache::begin(cx, self.id, (record.record.owner, record.record.name_id));
        }
        // Its chunks stay while they are read, even if newer versions come.
        cx.in_use.hold(self.id, &record);
        self.record = Some(record);
        self.load_page(cx, ROOT, PageRef { id: root, len: root_len }, opening);
        Flow::Continue
    }

    fn on_page(&mut self, cx: &mut Context, number: u64, result: Result<LoadedPage, PageFailure>) -> Flow {
        cx.expect_progress(self.id);
        match result {
            Ok(page) if number == ROOT => self.open_root(cx, page),
            Ok(page) => self.on_list(cx, number, page),
            Err(PageFailure::Nowhere) => self.unavailable(cx),
            Err(failure @ PageFailure::Damaged) => self.fail(cx, failure.into()),
        }
    }

    fn on_completion(&mut self, cx: &mut Context, step: TaskStep, completion: Completion) -> Flow {
        let TaskStep::Get(step) = step else { return Flow::Continue };
        match step {
            GetStep::Ticket => match self.source.on_verified(cx, self.id, completion.work()) {
                Ok(()) => Flow::Continue,
                Err(error) => self.fail(cx, error),
            },
            GetStep::Read(index) => self.on_read(cx, index, completion.blob()),
            GetStep::ReadCached(index) => self.on_read_cached(cx, index, completion.blob()),
            GetStep::Opened(index, origin) => {
                let result = completion.work();
                let WorkResult::Opened(opened) = result else { panic!("opening was completed by {result:?}") };
                self.on_opened(cx, index, origin, opened)
            }
            GetStep::Kept(chunk, len) => {
                let written = completion.written();
                if written == Ok(true) {
                    space::grew(cx, cx.owner, len.into());
                }
                if written.is_ok() {
                    cache::on_kept(cx, chunk);
                }
                self.keep.end(written.is_ok());
                self.pump(cx)
            }
        }
    }

    fn on_fetched(&mut self, cx: &mut Context, index: u64, result: FetchResult) -> Flow {
        match result {
            FetchResult::Got { from, data } => {
                cx.expect_progress(self.id);
                self.likely.insert(from);
                self.decrypt(cx, index, data.clone(), Origin::Peer(from, data));
                Flow::Continue
            }
            FetchResult::Nowhere if neighbours::is_anybody_away(cx) && !self.damaged => {
                // A member is away that may have it: give it a little time to come back.
                let patience = cx.now.mono + cx.config.answer_timeout;
                cx.timers.set(Timer::Request(self.id), patience);
                sometimes!(cx.simulation, "get.waits-for-a-holder");
                if let Some(open) = &mut self.open {
                    open.window.stick(index);
                }
                Flow::Continue
            }
            FetchResult::Nowhere => self.unavailable(cx),
        }
    }

    fn on_peer_ready(&mut self, cx: &mut Context, node: NodeId) -> Flow {
        if cx.links.is_news(node) {
            self.retry_stuck(cx);
        }
        Flow::Continue
    }

    fn on_credit(&mut self, cx: &mut Context, bytes: u64) -> Flow {
        if let Some(open) = &mut self.open {
            open.window.consume(bytes);
        }
        cx.expect_progress(self.id);
        self.pump(cx)
    }

    fn on_timeout(&mut self, cx: &mut Context) -> Flow {
        match &self.open {
            Some(open) if open.delivered_all => Flow::Done,
            Some(open) if open.window.is_idle() => {
                // The caller takes its time.
                cx.expect_progress(self.id);
                Flow::Continue
            }
            Some(_) => self.unavailable(cx),
            None => self.fail(cx, RequestError::Deadline(cx.config.request_timeout.as_secs())),
        }
    }

    fn on_end_of_task(&mut self, cx: &mut Context) {
        let id = self.id;
        cx.gets -= 1;
        cache::end(cx, id);
        locate::cancel(cx, id);
        fetch::cancel(cx, |client| matches!(client, FetchClient::Get(other, _) if *other == id));
        page_loader::cancel(cx, |client| matches!(client, PageClient::Request(other, _) if *other == id));
    }
}
