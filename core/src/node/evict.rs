//! Evicting a name: its local blobs are dropped once enough other nodes have durably promised to keep them.
//!
//! Page by page: a commit marks the record, takes the page's references away and drops the chunks that nothing else needs.
//! Record and pages stay.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bytes::Bytes;

use crate::disk::{DiskError, DiskOp, Write};
use crate::event::{RequestError, What};
use crate::frame::{Frame, PromiseOutcome};
use crate::ids::{BlobKey, ChunkId, NodeId, PageId, RecordId, RequestId};
use crate::manifest::{Children, ChunkRef, PAGE_ENTRIES_MAX, PageRef};
use crate::name::Name;
use crate::node::collect::ChunkLease;
use crate::node::context::Context;
use crate::node::locate::{self, Located, Scope};
use crate::node::page_loader::{self, LoadedPage, Opening, PageClient, PageFailure, PageOrder};
use crate::node::pending::{Completion, Pending};
use crate::node::signal::{Answer, AskClient};
use crate::node::task::{Flow, Task, TaskStep};
use crate::node::{age, answers, asks, choose, cluster, collect, mend, neighbours, pull, schema, space};
use crate::record::{RecordBody, SignedRecord};
use crate::{buggify, planted, sometimes};

/// Blobs dropped in one commit: those of a page.
const DROPS_MAX: usize = PAGE_ENTRIES_MAX;

/// What an evict waits for.
#[derive(Debug)]
pub(crate) enum EvictStep {
    /// Promises that others rely on.
    Promised(RecordId),
    /// Which of a page's chunks are here before it is evicted.
    Before,
    Dropped,
    /// And which are here afterwards.
    After,
}

/// A page that is being evicted.
#[derive(Debug)]
struct Leaving {
    record: RecordId,
    page: PageId,
    chunks: Vec<ChunkRef>,
    /// Which of them were here before.
    here: Vec<bool>,
    /// How many of them have been gone through.
    done: usize,
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
    /// Pages to go through, with the record that each is of; the first is being loaded, unless one is being evicted.
    pages: VecDeque<(RecordId, PageRef)>,
    leaving: Option<Leaving>,
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
            pages: VecDeque::new(),
            leaving: None,
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
        for node in neighbours::next_in_rank(cx, name, &self.asked, count) {
            self.asked.insert(node);
            self.waiting.insert(node, u32::try_from(self.records.len()).unwrap_or(u32::MAX));
            for record in self.records.values() {
                let frame = |request| Frame::AskPromise { request, record: record.bytes.clone(), fetch: true };
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
        let roots = self.records.values().filter_map(|record| match record.record.body {
            RecordBody::File { root, root_len } => Some((record.id, PageRef { id: root, len: root_len })),
            RecordBody::Tombstone | RecordBody::Checkpoint(_) => None,
        });
        self.pages = roots.collect();
        self.next_page(cx)
    }

    /// Loads the next page; ends after the last.
    fn next_page(&mut self, cx: &mut Context) -> Flow {
        let Some((_, page)) = self.pages.front().copied() else {
            cx.hot.clear();
            space::measure(cx);
            let promised_by = self.promisers();
            cx.event(self.id, What::Evicted { freed_bytes: self.freed_bytes, promised_by });
            return Flow::Done;
        };
        let order = PageOrder {
            client: PageClient::Request(self.id, 0),
            owner: cx.owner,
            page,
            opening: Opening::No,
            holders: BTreeSet::new(),
        };
        page_loader::load(cx, order);
        Flow::Continue
    }

    /// Asks which of the page's chunks are here, before they go or after.
    fn look(&self, cx: &mut Context, step: EvictStep) -> Flow {
        let Some(leaving) = &self.leaving else { return Flow::Continue };
        let blobs = leaving.chunks.iter().map(|chunk| BlobKey { owner: cx.owner, chunk: chunk.id }).collect();
        cx.disk(DiskOp::HasBlobs { blobs }, self.pending(step));
        Flow::Continue
    }

    fn on_present(&mut self, cx: &mut Context, has: Vec<bool>) -> Flow {
        if let Some(leaving) = &mut self.leaving {
            leaving.here = has;
        }
        self.drop_blobs(cx)
    }

    /// Drops what nothing else needs. A lease of a put that is under way keeps a chunk; those on chunks that came from peers
    /// do not, since whoever needs one fetches it again.
    fn drop_blobs(&mut self, cx: &mut Context) -> Flow {
        let owner = cx.owner;
        let Some(leaving) = &mut self.leaving else { return Flow::Continue };
        let Some(record) = self.records.get(&leaving.record) else { return Flow::Continue };
        let most = if buggify!(cx.simulation, "evict.one-blob-a-commit") { 1 } else { DROPS_MAX };
        let chunks = leaving.chunks.iter().skip(leaving.done).take(most).map(|chunk| chunk.id);
        let chunks: Vec<ChunkId> = chunks.collect();
        leaving.done += chunks.len();
        let mark = schema::evicted_key(owner, leaving.record);
        let mut writes = alloc::vec![Write::Put { key: mark, value: Bytes::new() }];
        writes.extend(collect::unreference(owner, leaving.page, &chunks));
        writes.extend(chunks.iter().map(|chunk| Write::Delete { key: ChunkLease::PEERS.key(owner, *chunk) }));
        let ignored = planted!(cx.simulation, EvictIgnoresReferences);
        writes.extend(chunks.iter().map(|chunk| {
            let blob = BlobKey { owner, chunk: *chunk };
            if ignored { Write::drop_blob(blob) } else { collect::release(owner, *chunk) }
        }));
        // The name may have pruned the record meanwhile.
        let require_keys = alloc::vec![schema::record_key(record)];
        for chunk in chunks {
            mend::forget_chunk(cx, &BlobKey { owner, chunk });
        }
        cx.disk(DiskOp::Commit { require_blobs: Vec::new(), require_keys, writes }, self.pending(EvictStep::Dropped));
        Flow::Continue
    }

    fn on_dropped(&mut self, cx: &mut Context) -> Flow {
        if self.leaving.as_ref().is_some_and(|leaving| leaving.done < leaving.chunks.len()) {
            return self.drop_blobs(cx);
        }
        self.look(cx, EvictStep::After)
    }

    fn on_left(&mut self, cx: &mut Context, has: &[bool]) -> Flow {
        let Some(Leaving { chunks, here, .. }) = self.leaving.take() else { return Flow::Continue };
        let were_here = chunks.into_iter().zip(here).zip(has).filter(|((_, was_here), _)| *was_here);
        for ((chunk, _), is_here) in were_here {
            if *is_here {
                sometimes!(cx.simulation, "evict.shared-chunk-kept");
            } else {
                self.freed_bytes += u64::from(chunk.len);
            }
        }
        self.next_page(cx)
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
        // What the name no longer keeps is about to go, and nobody would promise to keep it.
        let kept = located.records.kept(age::of_versions(cx));
        let here = |record: &&SignedRecord| located.local.contains(&record.id) && record.record.body.is_file();
        for record in kept.iter().filter(here) {
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
        match answer.map(Answer::promised) {
            Some(Some(PromiseOutcome::Given)) => *self.promises.entry(node).or_default() += 1,
            Some(Some(PromiseOutcome::Refused)) if planted!(cx.simulation, EvictCountsRefusals) => {
                *self.promises.entry(node).or_default() += 1;
            }
            Some(Some(PromiseOutcome::Refused | PromiseOutcome::Obsolete)) | None => {}
            Some(None) => asks::on_lie(cx, node),
        }
        self.check_promises(cx)
    }

    fn on_page(&mut self, cx: &mut Context, _number: u64, result: Result<LoadedPage, PageFailure>) -> Flow {
        let Ok(page) = result else {
            return self.fail(cx, RequestError::Unavailable("its manifest cannot be read here".to_string()));
        };
        let Some((record, _)) = self.pages.pop_front() else { return Flow::Continue };
        cx.expect_progress(self.id);
        match page.public.children {
            Children::Chunks(chunks) => {
                let unique: BTreeMap<ChunkId, ChunkRef> = chunks.into_iter().map(|chunk| (chunk.id, chunk)).collect();
                let chunks = unique.into_values().collect();
                self.leaving = Some(Leaving { record, page: page.id, chunks, here: Vec::new(), done: 0 });
                self.look(cx, EvictStep::Before)
            }
            Children::Pages(pages) => {
                self.pages.extend(pages.into_iter().map(|page| (record, page)));
                self.next_page(cx)
            }
        }
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
                Ok((entries, _)) => {
                    sometimes!(cx.simulation, "evict.relied-on-by-another");
                    let nodes = entries.iter().filter_map(|(key, _)| schema::node_at_end(key));
                    for (node, kept) in nodes.filter_map(|node| Some((node, self.records.get(&record)?))) {
                        collect::ask_whether_relied_on(cx, kept, node);
                    }
                    let why = alloc::format!("another device relies on this node's copy of record {record}");
                    self.fail(cx, RequestError::Unavailable(why))
                }
                Err(error) => self.fail_disk(cx, &error),
            },
            EvictStep::Before => match completion.has() {
                Ok(has) => self.on_present(cx, has),
                Err(error) => self.fail_disk(cx, &error),
            },
            EvictStep::Dropped => match completion.committed() {
                Ok(_) => self.on_dropped(cx),
                Err(error) => self.fail_disk(cx, &error),
            },
            EvictStep::After => match completion.has() {
                Ok(has) => self.on_left(cx, &has),
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
        for record in self.records.values() {
            cx.evicting.remove(&record.id);
            collect::look_at(cx, record.record.owner, record.record.name_id);
        }
        locate::cancel(cx, self.id);
        let id = self.id;
        page_loader::cancel(cx, |client| matches!(client, PageClient::Request(other, _) if *other == id));
    }
}
