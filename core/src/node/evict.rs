//! Evicting a name: its local blobs are dropped once enough other nodes have durably promised to keep them.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bytes::Bytes;

use crate::disk::{DiskError, DiskOp, Write};
use crate::event::{RequestError, What};
use crate::frame::Frame;
use crate::ids::{BlobKey, ChunkId, NodeId, PageId, RecordId, RequestId};
use crate::manifest::{Children, PageRef};
use crate::name::Name;
use crate::node::context::Context;
use crate::node::locate::{self, Located, Scope};
use crate::node::page_loader::{self, LoadedPage, Opening, PageClient, PageFailure, PageOrder};
use crate::node::pending::{Completion, Pending};
use crate::node::signal::{Answer, AskClient};
use crate::node::task::{Flow, Task, TaskStep};
use crate::node::{answers, asks, choose, cluster, mend, pull, schema};
use crate::record::{RecordBody, SignedRecord};
use crate::{buggify, planted, sometimes};

/// References of chunks looked up at a time.
const LOOKUPS_MAX: usize = 64;

/// Blobs dropped in one commit.
const DROPS_MAX: usize = 4_096;

/// What an evict waits for.
#[derive(Debug)]
pub(crate) enum EvictStep {
    /// Marks of records that were evicted before, and promises that others rely on.
    References(ChunkId),
    Promised(RecordId),
    Dropped,
}

/// An evict.
#[derive(Debug)]
pub(crate) struct Evict {
    id: RequestId,
    name: Name,
    /// The versions to evict, and who has promised to keep each.
    records: BTreeMap<RecordId, SignedRecord>,
    promises: BTreeMap<NodeId, u32>,
    /// Whether promises are being asked for; answers that come later are for nobody.
    asking: bool,
    /// Nodes that have been asked for promises, and how many answers each of them owes.
    asked: BTreeSet<NodeId>,
    waiting: BTreeMap<NodeId, u32>,
    /// Promises that this node has given to others, still to be looked up.
    own_promises: u32,
    /// Pages being loaded, and those that belong to the versions.
    loading: u32,
    pages: BTreeSet<PageId>,
    /// Chunks whose references are to be looked up, and those that may go.
    queue: VecDeque<(ChunkId, u32)>,
    looking_up: BTreeMap<ChunkId, u32>,
    droppable: VecDeque<(ChunkId, u32)>,
    freed_bytes: u64,
}

impl Evict {
    pub(crate) fn new(id: RequestId, name: Name) -> Self {
        Self {
            id,
            name,
            records: BTreeMap::new(),
            promises: BTreeMap::new(),
            asking: false,
            asked: BTreeSet::new(),
            waiting: BTreeMap::new(),
            own_promises: 0,
            loading: 0,
            pages: BTreeSet::new(),
            queue: VecDeque::new(),
            looking_up: BTreeMap::new(),
            droppable: VecDeque::new(),
            freed_bytes: 0,
        }
    }

    fn fail(&self, cx: &mut Context, error: RequestError) -> Flow {
        cx.fail(self.id, error);
        Flow::Done
    }

    fn fail_disk(&self, cx: &mut Context, error: &DiskError) -> Flow {
        answers::note_disk_error(cx, error);
        self.fail(cx, RequestError::Disk(error.to_string()))
    }

    fn pending(&self, step: EvictStep) -> Pending {
        Pending::Task(self.id, TaskStep::Evict(step))
    }

    /// Asks the holders for promises; what they lack of it they fetch.
    fn ask_promises(&mut self, cx: &mut Context) -> Flow {
        self.asking = true;
        let newest = self.records.values().max_by_key(|record| record.rank());
        let holders = match newest.map(|record| record.record) {
            Some(newest) => cluster::holders(cx, newest.name_id, newest.retention.replicas),
            None => Vec::new(),
        };
        let others = holders.iter().filter(|node| **node != cx.me).count();
        self.ask_next(cx, others.max(cx.write_quorum() as usize));
        self.check_promises(cx)
    }

    /// Asks the next so many in rank.
    fn ask_next(&mut self, cx: &mut Context, count: usize) {
        let Some(name) = self.records.values().next().map(|record| record.record.name_id) else { return };
        let ranked = cluster::rank(cx, name);
        let can_be_asked = |node: &&NodeId| cx.links.of(**node).is_some() && !self.asked.contains(*node);
        let peers: Vec<NodeId> = ranked.iter().filter(can_be_asked).take(count).copied().collect();
        for node in peers {
            self.asked.insert(node);
            self.waiting.insert(node, u32::try_from(self.records.len()).unwrap_or(u32::MAX));
            for record in self.records.values() {
                let frame = |request| Frame::AskPromise { request, record: record.bytes.clone() };
                asks::ask(cx, AskClient::Request(self.id), node, frame);
            }
        }
    }

    /// The nodes that promised to keep every version.
    fn promisers(&self) -> Vec<NodeId> {
        let all = self.records.len();
        self.promises.iter().filter(|(_, count)| **count as usize == all).map(|(node, _)| *node).collect()
    }

    fn check_promises(&mut self, cx: &mut Context) -> Flow {
        let (have, needed) = (self.promisers().len(), cx.write_quorum() as usize);
        if have < needed && self.waiting.is_empty() {
            self.ask_next(cx, needed - have);
        }
        if have < needed && !self.waiting.is_empty() { Flow::Continue } else { self.count_promises(cx) }
    }

    /// Goes on if enough have promised; nobody else is asked.
    fn count_promises(&mut self, cx: &mut Context) -> Flow {
        let have = u32::try_from(self.promisers().len()).unwrap_or(u32::MAX);
        let needed = cx.write_quorum();
        self.asking = false;
        if have < needed {
            sometimes!(cx.simulation, "evict.too-few-promises");
            let why = alloc::format!(
                "so many other nodes must promise to keep the file before this node's copy may go. {}",
                cx.dials.troubles()
            );
            return self.fail(cx, RequestError::NotEnoughPeers { needed, have, why });
        }
        let roots: Vec<PageRef> = self
            .records
            .values()
            .filter_map(|record| match record.record.body {
                RecordBody::File { root, root_len } => Some(PageRef { id: root, len: root_len }),
                RecordBody::Tombstone | RecordBody::Checkpoint(_) => None,
            })
            .collect();
        for page in roots {
            self.load_page(cx, page);
        }
        Flow::Continue
    }

    fn load_page(&mut self, cx: &mut Context, page: PageRef) {
        self.loading += 1;
        let order = PageOrder {
            client: PageClient::Request(self.id, 0),
            owner: cx.owner,
            page,
            opening: Opening::No,
            holders: BTreeSet::new(),
        };
        page_loader::load(cx, order);
    }

    fn look_up(&mut self, cx: &mut Context) -> Flow {
        let most = if buggify!(cx.simulation, "evict.one-lookup-at-a-time") { 1 } else { LOOKUPS_MAX };
        while self.looking_up.len() < most {
            let Some((chunk, len)) = self.queue.pop_front() else { break };
            self.looking_up.insert(chunk, len);
            let from = schema::references(cx.owner, chunk);
            let limit = u32::try_from(self.pages.len() + 1).unwrap_or(u32::MAX);
            let scan = DiskOp::Scan { to: schema::end_of(&from), from, limit, reverse: false };
            cx.disk(scan, self.pending(EvictStep::References(chunk)));
        }
        if self.looking_up.is_empty() { self.drop_blobs(cx) } else { Flow::Continue }
    }

    /// A chunk may go if no page of another file lists it.
    fn on_references(&mut self, cx: &mut Context, chunk: ChunkId, entries: &[(Bytes, Bytes)]) -> Flow {
        let ours =
            |(key, _): &(Bytes, Bytes)| schema::page_of_reference(key).is_some_and(|page| self.pages.contains(&page));
        let shared = !entries.iter().all(ours) && !planted!(cx.simulation, EvictIgnoresReferences);
        if shared {
            sometimes!(cx.simulation, "evict.shared-chunk-kept");
        }
        if let (Some(len), false) = (self.looking_up.remove(&chunk), shared) {
            self.droppable.push_back((chunk, len));
        }
        self.look_up(cx)
    }

    fn drop_blobs(&mut self, cx: &mut Context) -> Flow {
        let owner = cx.owner;
        let marks = self.records.keys().map(|record| schema::evicted_key(owner, *record));
        let mut writes: Vec<Write> = marks.map(|key| Write::Put { key, value: Bytes::new() }).collect();
        let most = if buggify!(cx.simulation, "evict.one-blob-a-commit") { 1 } else { DROPS_MAX };
        for _ in 0..most {
            let Some((chunk, len)) = self.droppable.pop_front() else { break };
            if cx.fresh.is_new(self.id, chunk) {
                continue;
            }
            self.freed_bytes += u64::from(len);
            let blob = BlobKey { owner, chunk };
            mend::forget_chunk(cx, &blob);
            writes.push(Write::DropBlob { blob });
        }
        let commit = DiskOp::Commit { require_blobs: Vec::new(), require_keys: Vec::new(), writes };
        cx.disk(commit, self.pending(EvictStep::Dropped));
        Flow::Continue
    }

    fn on_dropped(&mut self, cx: &mut Context) -> Flow {
        if !self.droppable.is_empty() {
            return self.drop_blobs(cx);
        }
        cx.hot.clear();
        let promised_by = self.promisers();
        cx.event(self.id, What::Evicted { freed_bytes: self.freed_bytes, promised_by });
        Flow::Done
    }
}

impl Task for Evict {
    fn start(&mut self, cx: &mut Context) -> Flow {
        locate::start(cx, self.id, cx.keys.name_id(&self.name), Scope::LocalFirst);
        cx.expect_progress(self.id);
        Flow::Continue
    }

    fn on_located(&mut self, cx: &mut Context, located: Located) -> Flow {
        if let Err(error) = choose::choose(cx, &located, None) {
            return self.fail(cx, error);
        }
        let here = |record: &&SignedRecord| located.local.contains(&record.id) && record.record.body.is_file();
        for record in located.records.iter().filter(here) {
            if cx.fresh.is_promising(record.id) || !cx.evicting.insert(record.id) {
                return self.fail(
                    cx,
                    RequestError::Unavailable(
                        "the file is being evicted already, or promised to another device".to_string(),
                    ),
                );
            }
            pull::on_evict(cx, record.id);
            mend::forget_record(cx, record.id);
            self.records.insert(record.id, record.clone());
        }
        if self.records.is_empty() {
            let nothing: String = "this node holds no copy of the file".to_string();
            return self.fail(cx, RequestError::Unavailable(nothing));
        }
        let records: Vec<RecordId> = self.records.keys().copied().collect();
        for record in records {
            self.own_promises += 1;
            let from = schema::promises(cx.owner, record);
            let scan = DiskOp::Scan { to: schema::end_of(&from), from, limit: 1, reverse: false };
            cx.disk(scan, self.pending(EvictStep::Promised(record)));
        }
        Flow::Continue
    }

    fn on_answered(&mut self, cx: &mut Context, node: NodeId, answer: Option<Answer>) -> Flow {
        if !self.asking {
            // The others have been counted: it is too late.
            return Flow::Continue;
        }
        if let Some(owed) = self.waiting.get_mut(&node) {
            *owed -= 1;
            if *owed == 0 {
                self.waiting.remove(&node);
            }
        }
        cx.expect_progress(self.id);
        match answer {
            Some(Answer::Promised(true)) => *self.promises.entry(node).or_default() += 1,
            Some(Answer::Promised(false)) if planted!(cx.simulation, EvictCountsRefusals) => {
                *self.promises.entry(node).or_default() += 1;
            }
            Some(Answer::Promised(false)) | None => {}
            Some(Answer::Records { .. } | Answer::Announced(_) | Answer::Members { .. }) => asks::on_lie(cx, node),
        }
        self.check_promises(cx)
    }

    fn on_page(&mut self, cx: &mut Context, _number: u64, result: Result<LoadedPage, PageFailure>) -> Flow {
        self.loading -= 1;
        let Ok(page) = result else {
            return self.fail(cx, RequestError::Unavailable("its manifest cannot be read here".to_string()));
        };
        self.pages.insert(page.id);
        match page.public.children {
            Children::Chunks(chunks) => {
                let unique: BTreeMap<ChunkId, u32> = chunks.into_iter().map(|chunk| (chunk.id, chunk.len)).collect();
                self.queue.extend(unique);
            }
            Children::Pages(pages) => {
                for page in pages {
                    self.load_page(cx, page);
                }
            }
        }
        if self.loading > 0 {
            return Flow::Continue;
        }
        cx.fresh.watch(self.id);
        let unique: BTreeMap<ChunkId, u32> = self.queue.drain(..).collect();
        self.queue = unique.into_iter().collect();
        self.look_up(cx)
    }

    fn on_completion(&mut self, cx: &mut Context, step: TaskStep, completion: Completion) -> Flow {
        let TaskStep::Evict(step) = step else { return Flow::Continue };
        cx.expect_progress(self.id);
        match step {
            EvictStep::Promised(record) => match completion.entries() {
                Ok((entries, _)) if entries.is_empty() => {
                    self.own_promises -= 1;
                    if self.own_promises == 0 { self.ask_promises(cx) } else { Flow::Continue }
                }
                Ok(_) => {
                    sometimes!(cx.simulation, "evict.relied-on-by-another");
                    let why = alloc::format!("another device relies on this node's copy of record {record}");
                    self.fail(cx, RequestError::Unavailable(why))
                }
                Err(error) => self.fail_disk(cx, &error),
            },
            EvictStep::References(chunk) => match completion.entries() {
                Ok((entries, _)) => self.on_references(cx, chunk, &entries),
                Err(error) => self.fail_disk(cx, &error),
            },
            EvictStep::Dropped => match completion.committed() {
                Ok(_) => self.on_dropped(cx),
                Err(error) => self.fail_disk(cx, &error),
            },
        }
    }

    fn on_timeout(&mut self, cx: &mut Context) -> Flow {
        if self.asking {
            cx.expect_progress(self.id);
            return self.count_promises(cx);
        }
        self.fail(cx, RequestError::Deadline(cx.config.request_timeout.as_secs()))
    }

    fn on_end_of_task(&mut self, cx: &mut Context) {
        for record in self.records.keys() {
            cx.evicting.remove(record);
        }
        cx.fresh.unwatch(self.id);
        locate::cancel(cx, self.id);
        let id = self.id;
        page_loader::cancel(cx, |client| matches!(client, PageClient::Request(other, _) if *other == id));
    }
}
