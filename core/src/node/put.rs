//! Storing a file: seal each chunk, make it durable here, offer it to every target, then seal the manifest and publish the
//! record.
//!
//! No target holds the others up for long: each has a cursor of its own over the chunks (`fanout.rs`), and one that
//! lags is left to catch up from the disk.

use alloc::string::ToString;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::bulk::PlainChunk;
use crate::command::{CommandError, PutMeta};
use crate::config::Config;
use crate::disk::{DiskError, DiskOp, Write};
use crate::event::{FileInfo, PutReport, RequestError, What, WriteReport};
use crate::ids::{BlobKey, NodeId, RequestId};
use crate::manifest::{ChunkRef, FileMeta};
use crate::name::Name;
use crate::node::collect::ChunkLease;
use crate::node::context::Context;
use crate::node::fanout::Fanout;
use crate::node::pages::{PageBuilder, PageProgress};
use crate::node::pending::{Completion, Pending};
use crate::node::signal::OfferReply;
use crate::node::targets::Targets;
use crate::node::task::{Flow, Task, TaskStep};
use crate::node::timers::Timer;
use crate::node::{answers, publish, space};
use crate::placement::Replicas;
use crate::record::{RecordBody, SignedRecord};
use crate::seal::SealedChunk;
use crate::secrets::ChunkKey;
use crate::work::{WorkOp, WorkResult};
use crate::{buggify, planted, sometimes};

/// What a put waits for.
#[derive(Debug)]
pub(crate) enum PutStep {
    Sealed(usize),
    Written(BlobKey, u32),
}

#[derive(Debug)]
enum Stage {
    /// Too few peers are connected to acknowledge anything.
    Gathering,
    /// Chunks come in, are stored and offered.
    Streaming,
    /// The manifest is sealed and stored, page by page.
    Paging(PageBuilder),
    /// The record is published. The manifest is kept, in case it must be stamped anew.
    Publishing(PageBuilder, FileInfo),
}

/// A put.
#[derive(Debug)]
pub(crate) struct Put {
    id: RequestId,
    name: Name,
    meta: PutMeta,
    replicas: Replicas,
    stage: Stage,
    /// Chunks in order; `None` while being sealed.
    chunks: Vec<Option<(ChunkRef, ChunkKey)>>,
    /// How many of the first chunks are sealed.
    sealed: usize,
    /// Chunks being written here.
    writing: Vec<BlobKey>,
    /// How many chunks are durable here.
    durable: usize,
    granted: u32,
    bytes: u64,
    ended: bool,
    new_bytes: u64,
    stamps: u32,
    fanout: Fanout,
    /// On its chunks here, so that nothing drops them before its manifest is stored.
    lease: ChunkLease,
    /// Its number among what relies on leases.
    activity: u64,
}

impl Put {
    pub(crate) fn new(cx: &mut Context, id: RequestId, name: Name, meta: PutMeta) -> Self {
        let name_id = cx.keys.name_id(&name);
        let wanted = meta.replicas.unwrap_or(cx.config.retention.replicas);
        let replicas = cx.names.replicas(name_id).map_or(wanted, |older| older.max(wanted));
        let fanout = Fanout::new(cx, id, Targets::new(name_id, replicas), meta.len);
        let (lease, activity) = (ChunkLease::new(cx), cx.begin_activity());
        Self {
            id,
            name,
            meta,
            replicas,
            stage: Stage::Gathering,
            chunks: Vec::new(),
            sealed: 0,
            writing: Vec::new(),
            durable: 0,
            granted: 0,
            bytes: 0,
            ended: false,
            new_bytes: 0,
            stamps: 0,
            fanout,
            lease,
            activity,
        }
    }

    fn fail(cx: &mut Context, id: RequestId, error: RequestError) -> Flow {
        cx.fail(id, error);
        Flow::Done
    }

    fn fail_disk(&self, cx: &mut Context, error: &DiskError) -> Flow {
        answers::note_disk_error(cx, error);
        let full = *error == DiskError::Full;
        if full {
            space::measure(cx);
        }
        Self::fail(cx, self.id, if full { RequestError::DiskFull } else { RequestError::Disk(error.to_string()) })
    }

    fn not_enough(&self, cx: &mut Context) -> Flow {
        let needed = cx.write_quorum();
        let have = 1 + if self.chunks.is_empty() { cx.links.ready_count() } else { self.having(self.sealed) };
        let mut why = self.fanout.refusals();
        why.push_str(&cx.dials.troubles());
        Self::fail(cx, self.id, RequestError::NotEnoughPeers { needed, have, why })
    }

    /// How many targets have all of the first `chunks` chunks.
    fn having(&self, chunks: usize) -> u32 {
        u32::try_from(self.fanout.having(chunks).len()).unwrap_or(u32::MAX)
    }

    /// Starts to stream once enough peers are connected, and the first dials have come to something.
    fn gather(&mut self, cx: &mut Context, settled: bool) -> Flow {
        let enough = 1 + cx.links.ready_count() >= cx.write_quorum();
        if matches!(self.stage, Stage::Gathering) && enough && settled {
            self.stage = Stage::Streaming;
            self.fanout.recruit(cx, false);
            cx.expect_progress(self.id);
            let look = cx.now.mono + cx.config.straggler_timeout;
            cx.timers.set(Timer::Straggler(self.id), look);
            return self.advance(cx);
        }
        Flow::Continue
    }

    /// Lets the caller give as many chunks as fit between acceptance and durability everywhere.
    fn grant(&mut self, cx: &mut Context) {
        if self.ended || !matches!(self.stage, Stage::Streaming) {
            return;
        }
        let window = Config::share(cx.config.put_window_chunks, u64::from(cx.config.chunk_size), cx.puts);
        let completed = self.durable.min(self.fanout.completed());
        let room = (completed + window).saturating_sub(self.chunks.len() + self.granted as usize);
        let room = if buggify!(cx.simulation, "put.one-chunk-at-a-time") { room.min(1) } else { room };
        if let Ok(chunks @ 1..) = u32::try_from(room) {
            self.granted += chunks;
            cx.event(self.id, What::PutReady { chunks });
        }
    }

    fn on_sealed(&mut self, cx: &mut Context, index: usize, sealed: SealedChunk) -> Flow {
        let SealedChunk { id, key, blob } = sealed;
        let len = u32::try_from(blob.len()).expect("a chunk's size is checked when it is accepted");
        let address = BlobKey { owner: cx.owner, chunk: id };
        let bytes = blob.clone().into_bytes();
        if self.fanout.has_targets() {
            cx.hot.insert(address, bytes.clone());
        }
        cx.hot.begin_write(address, bytes);
        self.writing.push(address);
        let entry = Some(self.lease.entry(cx, cx.owner, id));
        cx.disk(
            DiskOp::WriteBlob { blob: address, data: blob, known: true, entry },
            Pending::Task(self.id, TaskStep::Put(PutStep::Written(address, len))),
        );
        self.chunks[index] = Some((ChunkRef { id, len }, key));
        while self.chunks.get(self.sealed).is_some_and(Option::is_some) {
            self.sealed += 1;
        }
        self.advance(cx)
    }

    fn on_written(&mut self, cx: &mut Context, blob: BlobKey, len: u32, written: Result<bool, DiskError>) -> Flow {
        if let Some(index) = self.writing.iter().position(|writing| *writing == blob) {
            self.writing.swap_remove(index);
            cx.hot.end_write(&blob);
        }
        match written {
            Ok(new) => {
                self.durable += 1;
                if new {
                    self.new_bytes += u64::from(len);
                    space::grew(cx, cx.owner, len.into());
                }
                self.advance(cx)
            }
            Err(error) => self.fail_disk(cx, &error),
        }
    }

    /// Goes on after any progress: offers, grants, and the manifest once all chunks are where they must be.
    fn advance(&mut self, cx: &mut Context) -> Flow {
        if !matches!(self.stage, Stage::Streaming) {
            return Flow::Continue;
        }
        cx.expect_progress(self.id);
        self.fanout.offer(cx, &self.chunks[..self.sealed]);
        let here = self.ended && self.durable == self.chunks.len();
        if !here {
            self.grant(cx);
            return Flow::Continue;
        }
        let enough = 1 + self.having(self.chunks.len()) >= cx.write_quorum();
        if enough && self.fanout.completed() >= self.chunks.len() {
            return self.seal_manifest(cx);
        }
        if !enough && self.fanout.hopeless() {
            return self.not_enough(cx);
        }
        Flow::Continue
    }

    fn seal_manifest(&mut self, cx: &mut Context) -> Flow {
        if let Some(announced) = self.meta.len.filter(|len| *len != self.bytes) {
            return Self::fail(cx, self.id, RequestError::Length { announced, got: self.bytes });
        }
        self.stamps += 1;
        let version = match publish::stamp(cx, self.stamps) {
            Ok(version) => version,
            Err(error) => return Self::fail(cx, self.id, error),
        };
        let file = FileMeta {
            name: self.name.clone(),
            len: self.bytes,
            chunk_size: cx.config.chunk_size,
            mtime_ms: self.meta.mtime_ms,
            mode: self.meta.mode,
            content_type: self.meta.content_type.clone(),
        };
        let chunks = core::mem::take(&mut self.chunks).into_iter().flatten().collect();
        let mut builder = PageBuilder::new(cx, self.id, file, version, chunks, self.lease);
        builder.next(cx);
        self.stage = Stage::Paging(builder);
        Flow::Continue
    }

    fn on_page_progress(&mut self, cx: &mut Context, progress: Result<PageProgress, DiskError>) -> Flow {
        cx.expect_progress(self.id);
        match progress {
            Ok(PageProgress::More) => Flow::Continue,
            Ok(PageProgress::Root { root, root_len, pages, info }) => {
                let body = RecordBody::File { root, root_len };
                let record = publish::sign(cx, &self.name, info.version, self.replicas, body);
                // Should it be stamped anew, its chunks are still needed here.
                cx.in_use.hold(self.id, &record);
                let gone = core::mem::replace(&mut self.stage, Stage::Streaming);
                if let Stage::Paging(builder) = gone {
                    self.stage = Stage::Publishing(builder, info);
                }
                publish::start(cx, self.id, record, &pages, self.fanout.having(self.sealed));
                Flow::Continue
            }
            Ok(PageProgress::Vanished) => {
                let why = "a chunk was evicted or found damaged while the file was being stored; put it again";
                Self::fail(cx, self.id, RequestError::Unavailable(why.to_string()))
            }
            Err(error) => self.fail_disk(cx, &error),
        }
    }
}

impl Task for Put {
    fn start(&mut self, cx: &mut Context) -> Flow {
        let patience = cx.now.mono + cx.config.answer_timeout;
        cx.timers.set(Timer::Request(self.id), patience);
        if planted!(cx.simulation, NameInJournal) {
            let key = Bytes::from([b"J", self.id.0.to_be_bytes().as_slice()].concat());
            let value = Bytes::copy_from_slice(self.name.as_str().as_bytes());
            answers::commit_quietly(cx, alloc::vec![Write::Put { key, value }]);
        }
        self.gather(cx, cx.dials.settled())
    }

    fn on_completion(&mut self, cx: &mut Context, step: TaskStep, completion: Completion) -> Flow {
        match (step, &mut self.stage) {
            (TaskStep::Put(PutStep::Sealed(index)), _) => {
                let result = completion.work();
                let WorkResult::Sealed(sealed) = result else { panic!("sealing was completed by {result:?}") };
                self.on_sealed(cx, index, sealed)
            }
            (TaskStep::Put(PutStep::Written(blob, len)), _) => self.on_written(cx, blob, len, completion.written()),
            (TaskStep::Pages(step), Stage::Paging(builder)) => {
                let progress = builder.on_completion(cx, step, completion);
                self.on_page_progress(cx, progress)
            }
            (_, Stage::Gathering | Stage::Streaming | Stage::Paging(_) | Stage::Publishing(..)) => Flow::Continue,
        }
    }

    fn on_chunk(&mut self, cx: &mut Context, plain: PlainChunk) -> Result<Flow, CommandError> {
        let size = u64::from(cx.config.chunk_size);
        let short_before = !self.bytes.is_multiple_of(size);
        let len = plain.len() as u64;
        if self.granted == 0 || self.ended {
            return Err(CommandError::NoCredit);
        }
        if len == 0 || len > size || short_before {
            return Err(CommandError::ChunkLength { len, expected: cx.config.chunk_size });
        }
        self.granted -= 1;
        self.bytes += len;
        let index = self.chunks.len();
        self.chunks.push(None);
        cx.work(WorkOp::Seal { plain }, Pending::Task(self.id, TaskStep::Put(PutStep::Sealed(index))));
        cx.expect_progress(self.id);
        Ok(Flow::Continue)
    }

    fn on_end(&mut self, cx: &mut Context) -> Result<Flow, CommandError> {
        if self.ended {
            return Err(CommandError::NoCredit);
        }
        self.ended = true;
        Ok(self.advance(cx))
    }

    fn on_offer_reply(&mut self, cx: &mut Context, node: NodeId, reply: OfferReply) -> Flow {
        if self.fanout.on_reply(cx, node, reply) { self.advance(cx) } else { self.advance_without_progress(cx) }
    }

    fn on_peer_ready(&mut self, cx: &mut Context, node: NodeId) -> Flow {
        match self.stage {
            Stage::Gathering => self.gather(cx, cx.dials.settled()),
            Stage::Streaming => {
                self.fanout.on_peer_ready(cx, node);
                self.advance_without_progress(cx)
            }
            Stage::Paging(_) | Stage::Publishing(..) => Flow::Continue,
        }
    }

    fn on_peer_gone(&mut self, cx: &mut Context, node: NodeId) -> Flow {
        match self.stage {
            Stage::Gathering => return Flow::Continue,
            Stage::Streaming => self.fanout.on_peer_gone(cx, node),
            Stage::Paging(_) | Stage::Publishing(..) => self.fanout.forget(cx, node),
        }
        self.advance_without_progress(cx)
    }

    fn on_unreachable(&mut self, cx: &mut Context, node: NodeId) -> Flow {
        if matches!(self.stage, Stage::Streaming) {
            self.fanout.on_unreachable(cx, node);
        }
        self.advance_without_progress(cx)
    }

    fn on_settled(&mut self, cx: &mut Context) -> Flow {
        self.gather(cx, cx.dials.settled())
    }

    fn on_straggler(&mut self, cx: &mut Context) -> Flow {
        if matches!(self.stage, Stage::Streaming) {
            let patience = cx.config.straggler_timeout;
            self.fanout.lose_patience(cx, patience);
        }
        let look = cx.now.mono + cx.config.straggler_timeout;
        cx.timers.set(Timer::Straggler(self.id), look);
        let granted = self.granted;
        let flow = self.advance_without_progress(cx);
        if self.granted > granted {
            cx.expect_progress(self.id);
        }
        flow
    }

    fn on_published(&mut self, cx: &mut Context, result: Result<WriteReport, RequestError>) -> Flow {
        let Stage::Publishing(_, file) = &self.stage else { return Flow::Continue };
        let what = match result {
            Ok(write) => What::PutDone(PutReport {
                file: file.clone(),
                new_bytes: self.new_bytes,
                sent_bytes: self.fanout.sent_bytes(),
                write,
            }),
            Err(error) => What::Failed(error),
        };
        cx.event(self.id, what);
        Flow::Done
    }

    fn on_superseded(&mut self, cx: &mut Context, by: &SignedRecord) -> Flow {
        sometimes!(cx.simulation, "put.manifest-sealed-anew");
        if by.record.body != RecordBody::Tombstone {
            self.replicas = self.replicas.max(by.record.retention.replicas);
        }
        self.stamps += 1;
        let version = match publish::stamp(cx, self.stamps) {
            Ok(version) => version,
            Err(error) => return Self::fail(cx, self.id, error),
        };
        if let Stage::Publishing(mut builder, _) = core::mem::replace(&mut self.stage, Stage::Streaming) {
            builder.restart(cx, version);
            self.stage = Stage::Paging(builder);
        }
        Flow::Continue
    }

    fn on_timeout(&mut self, cx: &mut Context) -> Flow {
        let waits_for_caller = matches!(self.stage, Stage::Streaming) && !self.ended && self.granted > 0;
        if waits_for_caller {
            cx.expect_progress(self.id);
            return Flow::Continue;
        }
        if matches!(self.stage, Stage::Gathering) {
            // Some peer is still being dialled; it can catch up later.
            let flow = self.gather(cx, true);
            if !matches!(self.stage, Stage::Gathering) {
                return flow;
            }
        }
        match self.stage {
            Stage::Gathering | Stage::Streaming => self.not_enough(cx),
            Stage::Paging(_) | Stage::Publishing(..) => {
                let silence = RequestError::Deadline(cx.config.request_timeout.as_secs());
                let error = publish::on_timeout(cx, self.id).unwrap_or(silence);
                Self::fail(cx, self.id, error)
            }
        }
    }

    fn on_end_of_task(&mut self, cx: &mut Context) {
        self.fanout.close(cx);
        self.writing.iter().for_each(|blob| cx.hot.end_write(blob));
        cx.activities.end(self.activity);
        cx.puts -= 1;
        if cx.puts == 0 {
            cx.hot.clear();
        }
        publish::cancel(cx, self.id);
    }
}

impl Put {
    /// Like [`Put::advance`], but while chunks are streamed the request's deadline stays where it is: peers that come and go,
    /// refuse, or say again what they have, must not keep a put waiting for ever.
    fn advance_without_progress(&mut self, cx: &mut Context) -> Flow {
        let deadline = cx.timers.deadline(&Timer::Request(self.id));
        let flow = self.advance(cx);
        if let (Flow::Continue, Stage::Streaming, Some(deadline)) = (flow, &self.stage, deadline) {
            cx.timers.set(Timer::Request(self.id), deadline);
        }
        flow
    }
}
