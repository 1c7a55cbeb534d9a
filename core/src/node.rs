//! The node: a state machine from inputs to outputs. This file only dispatches; each part says what it does at its top.
//!
//! ```text
//!   handle_input ─┐                                    ┌─ poll_output: frames, disk, work, events
//!   handle_command ├─> parts ──signals──> parts ──...──┤
//!   handle_timeout ┘                                    └─ poll_timeout: the next deadline and why
//! ```
//!
//! - Peers: `links`, `dials`, `asks`. The cluster: `members`, `exchange`, `swim`, `service`.
//! - Transfers: `fetch` (wants of this node), `serve` (wants of peers), `upload` (offers of peers), `hot`.
//! - Records: `announce`, `answers`, `judge`, `locate`, `page_loader`, `page_store`, `pull`, `publish`, `outbox`, `records` (with
//!   `summary`), `names`, `checkpoints`, `disk_audit`, `fill`, `schema`.
//! - What other nodes have: `sync` compares, `repair` fetches, `rebalance` drops what lies out of place.
//! - This disk: `presence` (what records need), `scrub` (what blobs hold), `mend` (what comes back), `space` (room for more),
//!   `cache` (what gets brought), `collect` (what goes, with `age`, `in_use` and `fresh`).
//! - Requests of callers: `put` (with `fanout`, `pages`), `get` (with `source`, `window` and `keep`), `share`, `remove`, `undelete`, `query`,
//!   `status`, `leave`, `evict`, `restore`, `scrub_now`; what they share is in `task` and `choose`.

mod age;
mod announce;
mod answers;
mod asks;
mod boot;
mod cache;
mod checkpoints;
mod choose;
mod cluster;
mod collect;
mod context;
mod debts;
mod dials;
mod disk_audit;
mod evict;
mod evicted;
mod exchange;
mod fanout;
mod fetch;
mod fill;
mod fresh;
mod gauges;
mod get;
mod hot;
mod idle;
mod in_use;
mod judge;
mod keep;
mod leave;
mod links;
mod locate;
mod members;
mod mend;
mod names;
mod neighbours;
mod outbox;
mod page_loader;
mod page_store;
mod pages;
mod pending;
mod presence;
mod publish;
mod pull;
mod put;
mod query;
mod rebalance;
mod records;
mod remove;
mod repair;
mod restore;
mod schema;
mod scrub;
mod scrub_now;
mod serve;
mod service;
mod share;
mod signal;
mod source;
mod space;
mod status;
mod summary;
mod swim;
mod sync;
mod targets;
mod task;
mod timers;
mod undelete;
mod upload;
mod window;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::command::{Command, CommandError};
use crate::config::Config;
use crate::disk::DiskError;
use crate::event::RequestError;
use crate::frame::{Frame, Goodbye};
use crate::ids::{LinkId, NodeId, ObjectKey, OpId, RequestId};
use crate::input::Input;
use crate::manifest::CONTENT_TYPE_LEN_MAX;
use crate::output::Output;
use crate::reconcile::Sum;
use crate::secrets::OwnerKeys;
use crate::time::{Monotonic, Time};
use crate::{buggify, planted};
use boot::Boot;
use context::Context;
pub use fetch::FetchId;
use pending::{Completion, Pending};
use pull::PullClient;
use signal::{Answer, AskClient, FetchClient, OfferReply, Signal};
use source::Source;
use summary::Summary;
use task::{Flow, Task};
pub use timers::Timer;

/// The most entries of a list.
const LIST_MAX: u32 = 10_000;

/// A node. It acts only through [`Node::poll_output`] and learns only through its `handle_*` functions.
///
/// The functions fall into four classes: `handle_input`, `handle_command` and `handle_timeout` tell it something;
/// `poll_output` must be called until it is empty after each of them; `poll_timeout` then says when to call
/// `handle_timeout`; the rest only look.
#[derive(Debug)]
pub struct Node {
    cx: Context,
    boot: Boot,
    requests: BTreeMap<RequestId, Box<dyn Task>>,
    /// Requests that came before the disk was read.
    early: Vec<RequestId>,
    stopping: bool,
}

impl Node {
    /// A node that starts: its first outputs read what the disk remembers. `node` is the device's id, `keys` the owner's,
    /// `seed` all the randomness it will ever use.
    #[must_use]
    pub fn new(config: Config, node: NodeId, keys: OwnerKeys, seed: [u8; 32], now: Time) -> Self {
        let mut cx = Context::new(config, node, keys, seed, now);
        boot::start(&mut cx);
        Self { cx, boot: Boot::Reading, requests: BTreeMap::new(), early: Vec::new(), stopping: false }
    }

    /// The next action, in order. Call until `None` after every `handle_*`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.cx.outputs.pop_front()
    }

    /// The next deadline, and why.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Monotonic, &Timer)> {
        self.cx.timers.next()
    }

    /// Whether the node has left the cluster, and stops by itself.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.cx.has_left
    }

    /// Whether the node has been told to stop, or stops by itself.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// How much of each of its limits the node uses: name, use, limit. Only looks.
    #[must_use]
    pub fn gauges(&self) -> Vec<(&'static str, u64, u64)> {
        let asked = self.requests.iter().filter(|(_, task)| !task.is_silent());
        let requests: Vec<RequestId> = asked.map(|(id, _)| *id).collect();
        gauges::of(&self.cx, &requests)
    }

    /// The sum of all records on the disk as the node knows it: what it compares with its peers. `None` while it is not certain.
    #[must_use]
    pub fn record_sum(&self) -> Option<Sum> {
        let summary = self.cx.records.summary().filter(|_| self.cx.records.is_certain());
        summary.map(Summary::total)
    }

    /// Whether another node can be asked something: over a link that stands or, if it is a member taken for alive that this node keeps no
    /// link to, over one that is made for it.
    #[must_use]
    pub fn can_ask(&self, node: NodeId) -> bool {
        neighbours::can_be_asked(&self.cx, node)
    }

    /// What is under way and ends by itself: name and number. Of a node at rest each number is 0, if not at every moment then again
    /// and again. Only looks.
    #[must_use]
    pub fn under_way(&self) -> Vec<(&'static str, u64)> {
        gauges::under_way(&self.cx)
    }

    /// The probes reached since this was last asked: see [`sometimes!`](crate::sometimes).
    #[cfg(feature = "simulation")]
    #[must_use]
    pub fn take_probes(&mut self) -> alloc::collections::BTreeSet<&'static str> {
        self.cx.simulation.take_probes()
    }

    /// Takes no rare paths on purpose any more: see [`buggify!`](crate::buggify).
    #[cfg(feature = "simulation")]
    pub fn calm(&mut self) {
        self.cx.simulation.calm();
    }

    /// Tells the node what happened.
    ///
    /// # Panics
    /// If the runtime breaks the contract of [`crate::disk`], since nothing could be trusted after that.
    pub fn handle_input(&mut self, now: Time, input: Input) {
        self.cx.now = now;
        if self.stopping {
            return self.decline(input);
        }
        match input {
            Input::Connected { link, node, dial, remote } => {
                links::on_connected(&mut self.cx, link, node, dial, remote);
                dials::check_settled(&mut self.cx);
            }
            Input::DialFailed { dial, error } => dials::on_failed(&mut self.cx, dial, &error),
            Input::Frame { link, frame } => self.on_frame(link, frame),
            Input::Sent { link, bytes } => serve::on_sent(&mut self.cx, link, bytes),
            Input::Closed { link, reason } => {
                links::on_closed(&mut self.cx, link, &reason);
                dials::check_settled(&mut self.cx);
            }
            Input::DiskDone { op, result } => self.on_completion(op, Completion::Disk(result)),
            Input::WorkDone { op, result } => self.on_completion(op, Completion::Work(result)),
        }
        self.handle_signals();
    }

    /// A node that stops takes no new links and starts nothing any more.
    fn decline(&mut self, input: Input) {
        match input {
            Input::Connected { link, .. } => self.cx.outputs.push_back(Output::Close { link }),
            Input::DialFailed { .. }
            | Input::Frame { .. }
            | Input::Sent { .. }
            | Input::Closed { .. }
            | Input::DiskDone { .. }
            | Input::WorkDone { .. } => {}
        }
    }

    /// Lets deadlines that are due take effect.
    pub fn handle_timeout(&mut self, now: Time) {
        self.cx.now = now;
        while let Some(timer) = self.cx.timers.pop_due(now.mono) {
            self.on_timer(timer);
            self.handle_signals();
        }
    }

    /// Carries out a caller's command. Returns the number of the request it starts or belongs to.
    ///
    /// # Errors
    /// When the caller broke the rules of [`Command`], or a limit is reached.
    pub fn handle_command(&mut self, now: Time, command: Command) -> Result<RequestId, CommandError> {
        self.cx.now = now;
        let result = self.on_command(command);
        self.handle_signals();
        result
    }

    fn on_command(&mut self, command: Command) -> Result<RequestId, CommandError> {
        match command {
            Command::PutChunk { request, plain } => {
                return self.with_task(request, |task, cx| task.on_chunk(cx, plain));
            }
            Command::PutEnd { request } => return self.with_task(request, |task, cx| task.on_end(cx)),
            Command::GetCredit { request, bytes } => {
                return self.with_task(request, |task, cx| Ok(task.on_credit(cx, bytes)));
            }
            Command::Cancel { request } => return self.cancel(request),
            Command::Stop => return Ok(self.stop()),
            Command::Discovered { address } => {
                dials::on_discovered(&mut self.cx, address);
                return Ok(RequestId(self.cx.number()));
            }
            Command::Put { .. }
            | Command::Get { .. }
            | Command::GetShared { .. }
            | Command::Delete { .. }
            | Command::Undelete { .. }
            | Command::List { .. }
            | Command::Stat { .. }
            | Command::Versions { .. }
            | Command::Share { .. }
            | Command::Evict { .. }
            | Command::Restore { .. }
            | Command::Leave
            | Command::Forget { .. }
            | Command::Scrub { .. }
            | Command::Status
            | Command::Peers => {}
        }
        if self.stopping {
            return Err(CommandError::Stopping);
        }
        let asked = self.requests.len() - usize::from(self.cx.fill.is_running());
        if asked >= self.cx.config.requests_max as usize {
            return Err(CommandError::Busy(self.cx.config.requests_max));
        }
        let id = RequestId(self.cx.number());
        let task = self.task_of(id, command)?;
        self.requests.insert(id, task);
        match self.boot {
            Boot::Reading => {
                self.cx.expect_progress(id);
                self.early.push(id);
            }
            Boot::Ready => self.run(id, |task, cx| task.start(cx)),
        }
        Ok(id)
    }

    fn task_of(&mut self, id: RequestId, command: Command) -> Result<Box<dyn Task>, CommandError> {
        Ok(match command {
            Command::Put { name, meta } => {
                let len = meta.content_type.as_ref().map_or(0, alloc::string::String::len);
                if len > CONTENT_TYPE_LEN_MAX {
                    let max = u32::try_from(CONTENT_TYPE_LEN_MAX).unwrap_or(u32::MAX);
                    return Err(CommandError::ContentType { len: len as u64, max });
                }
                self.cx.puts += 1;
                Box::new(put::Put::new(&mut self.cx, id, name, meta))
            }
            Command::Get { name, version, range } => {
                self.cx.gets += 1;
                Box::new(get::Get::new(id, Source::of_name(name, version), range))
            }
            Command::GetShared { ticket, range } => {
                self.cx.gets += 1;
                Box::new(get::Get::new(id, Source::of_ticket(ticket), range))
            }
            Command::Delete { name } => Box::new(remove::Delete::new(id, name, self.cx.config.retention.replicas)),
            Command::Undelete { name } => Box::new(undelete::Undelete::new(&mut self.cx, id, name)),
            Command::List { prefix, after, limit } => {
                if limit == 0 || limit > LIST_MAX {
                    return Err(CommandError::Limit);
                }
                Box::new(query::List { id, prefix, after, limit })
            }
            Command::Stat { name, version, holders } => Box::new(query::Stat::new(id, name, version, holders)),
            Command::Versions { name } => Box::new(query::Versions::new(id, name)),
            Command::Share { name, version, valid_ms } => {
                if !share::VALID_MS.contains(&valid_ms) {
                    return Err(CommandError::Validity);
                }
                Box::new(share::Share::new(id, name, version, valid_ms))
            }
            Command::Evict { name } => Box::new(evict::Evict::new(id, name)),
            Command::Restore { dry_run } => {
                if core::mem::replace(&mut self.cx.restoring, true) {
                    return Err(CommandError::Restoring);
                }
                // It does all that a fill would do.
                if let Some(fill) = self.cx.fill.running() {
                    self.end(fill);
                }
                let aim = if dry_run { restore::Aim::List } else { restore::Aim::Bring };
                Box::new(restore::Restore::new(id, aim))
            }
            Command::Leave => Box::new(leave::Leave::new(id)),
            Command::Forget { node } => Box::new(leave::Forget::new(id, node)),
            Command::Scrub { from_start } => {
                if core::mem::replace(&mut self.cx.scrub.asked, true) {
                    return Err(CommandError::Scrubbing);
                }
                Box::new(scrub_now::ScrubNow::new(id, from_start))
            }
            Command::Status => {
                let requests = u32::try_from(self.requests.len()).unwrap_or(u32::MAX);
                Box::new(status::Status { id, requests })
            }
            Command::Peers => Box::new(status::Peers { id }),
            Command::PutChunk { .. }
            | Command::PutEnd { .. }
            | Command::GetCredit { .. }
            | Command::Cancel { .. }
            | Command::Discovered { .. }
            | Command::Stop => return Err(CommandError::NoRequest),
        })
    }

    /// Lets a task handle a command that belongs to it.
    fn with_task(
        &mut self,
        id: RequestId,
        act: impl FnOnce(&mut dyn Task, &mut Context) -> Result<Flow, CommandError>,
    ) -> Result<RequestId, CommandError> {
        let task = self.requests.get_mut(&id).ok_or(CommandError::NoRequest)?;
        if act(task.as_mut(), &mut self.cx)? == Flow::Done {
            self.end(id);
        }
        Ok(id)
    }

    /// Lets a task act, if it still exists.
    fn run(&mut self, id: RequestId, act: impl FnOnce(&mut dyn Task, &mut Context) -> Flow) {
        if let Some(task) = self.requests.get_mut(&id)
            && act(task.as_mut(), &mut self.cx) == Flow::Done
        {
            self.end(id);
        }
        if self.cx.has_left && !self.stopping {
            self.stop();
        }
    }

    /// Lets every task act.
    fn run_all(&mut self, act: impl Fn(&mut dyn Task, &mut Context) -> Flow) {
        let ids: Vec<RequestId> = self.requests.keys().copied().collect();
        for id in ids {
            self.run(id, &act);
        }
    }

    fn end(&mut self, id: RequestId) {
        if let Some(mut task) = self.requests.remove(&id) {
            task.on_end_of_task(&mut self.cx);
            self.cx.timers.cancel(&Timer::Request(id));
            self.cx.timers.cancel(&Timer::Straggler(id));
            in_use::release(&mut self.cx, id);
        }
    }

    fn cancel(&mut self, id: RequestId) -> Result<RequestId, CommandError> {
        if !self.requests.contains_key(&id) {
            return Err(CommandError::NoRequest);
        }
        if planted!(self.cx.simulation, CancelForgotten) {
            return Ok(id);
        }
        self.end(id);
        Ok(id)
    }

    fn stop(&mut self) -> RequestId {
        self.stopping = true;
        let ids: Vec<RequestId> = self.requests.keys().copied().collect();
        for id in ids {
            if self.requests.get(&id).is_some_and(|task| !task.is_silent()) {
                self.cx.fail(id, RequestError::Stopping);
            }
            self.end(id);
        }
        let links: Vec<LinkId> = self.cx.links.iter().map(|(id, _)| *id).collect();
        for link in links {
            links::close(&mut self.cx, link, Goodbye::Stopping);
        }
        self.cx.signals.clear();
        self.cx.timers.clear();
        RequestId(self.cx.number())
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "before the hello, all other frames mean the same")]
    fn on_frame(&mut self, link: LinkId, frame: Frame) {
        let cx = &mut self.cx;
        if !links::hear(cx, link, &frame) {
            return match frame {
                Frame::Hello(hello) => links::on_hello(cx, link, hello),
                Frame::Goodbye { .. } => {}
                // A peer says hello before anything else.
                _ => links::offend(cx, link),
            };
        }
        match frame {
            question if question.is_question() && !links::begin_answer(cx, link) => links::offend(cx, link),
            Frame::Hello(_) => links::offend(cx, link),
            Frame::Ping { .. } if buggify!(cx.simulation, "links.polite-close") => {
                links::close(cx, link, Goodbye::Stopping);
            }
            Frame::Ping { nonce } => cx.send(link, Frame::Pong { nonce }),
            // That it was heard is all that matters of a pong; other goodbyes are followed by the end of the connection.
            Frame::Pong { .. } => {}
            Frame::Goodbye { reason: Goodbye::Crowded } => idle::on_parting(cx, link),
            Frame::Goodbye { .. } => {}
            Frame::OpenUpload { upload, intent } => upload::on_open(cx, link, upload, intent),
            Frame::Offer { upload, chunks } => upload::on_offer(cx, link, upload, chunks),
            Frame::CloseUpload { upload } => upload::on_close(cx, link, upload),
            Frame::Stored { upload, held, fetched } => {
                self.on_offer_reply(link, upload, OfferReply::Stored { held, fetched });
            }
            Frame::Refused { upload, chunks: _, reason } => {
                self.on_offer_reply(link, upload, OfferReply::Refused(reason));
            }
            Frame::Want { want, lane, owner, object, len } => {
                serve::on_want(cx, link, want, lane, ObjectKey { owner, id: object }, len);
            }
            Frame::Unwant { want } => serve::on_unwant(cx, link, want),
            Frame::Data { want, offset, payload } => fetch::on_data(cx, link, want, offset, payload),
            Frame::Unavailable { want } => fetch::on_unavailable(cx, link, want),
            Frame::Announce { request, record, whole } => announce::on_announce(cx, link, request, record, whole),
            Frame::Announced { request, outcome } => asks::on_answer(cx, link, request, Answer::Announced(outcome)),
            Frame::Find { request, owner, name_id } => answers::on_find(cx, link, request, owner, name_id),
            Frame::Scan { request, owner, after } => answers::on_scan(cx, link, request, owner, &after),
            Frame::Records { request, records, next } => {
                asks::on_answer(cx, link, request, Answer::Records { records, next });
            }
            Frame::AskPromise { request, record, fetch } => announce::on_ask_promise(cx, link, request, record, fetch),
            Frame::Promise { request, outcome } => asks::on_answer(cx, link, request, Answer::Promised(outcome)),
            Frame::ReleasePromise { owner, name_id, record } => answers::on_release(cx, link, owner, name_id, record),
            Frame::AskMembers { request, after } => exchange::on_ask(cx, link, request, after),
            Frame::Members { request, members, more } => {
                asks::on_answer(cx, link, request, Answer::Members { members, more });
            }
            Frame::News { members } => exchange::on_news(cx, link, members),
            Frame::Swim { table, packet } => swim::on_packet(cx, link, table, &packet),
            Frame::Sync { request, shared, owner, own } => sync::on_sync(cx, link, request, shared, (owner, own)),
            Frame::Synced { request, outcome } => asks::on_answer(cx, link, request, Answer::Synced(outcome)),
            Frame::Compare { request, range, message } => sync::on_compare(cx, link, request, range, message),
            Frame::Compared { request, outcome } => asks::on_answer(cx, link, request, Answer::Compared(outcome)),
            Frame::FindItems { request, items } => sync::on_find_items(cx, link, request, items),
            Frame::Found { request, records } => asks::on_answer(cx, link, request, Answer::Found(records)),
            Frame::Tell { request, records } => sync::on_tell(cx, link, request, records),
            Frame::Told { request, lacking } => asks::on_answer(cx, link, request, Answer::Told(lacking)),
        }
    }

    fn on_offer_reply(&mut self, link: LinkId, upload: u64, reply: OfferReply) {
        let Some(node) = self.cx.links.get(link).map(|link| link.node) else { return };
        if let Some(request) = self.cx.upload_owners.get(&(link, upload)).copied() {
            self.cx.signal(Signal::Offered { request, node, reply });
        }
    }

    fn on_completion(&mut self, op: OpId, completion: Completion) {
        // Each operation has exactly one completion; a second one is a bug of the runtime.
        let pending = self.cx.pending.remove(&op).expect("an operation was completed twice, or never started");
        space::end_write(&mut self.cx, op);
        if matches!(completion, Completion::Disk(Err(DiskError::Full))) {
            cache::on_full(&mut self.cx);
        }
        self.complete(pending, completion);
    }

    fn complete(&mut self, pending: Pending, completion: Completion) {
        let cx = &mut self.cx;
        match pending {
            Pending::Collect(step) => collect::on_completion(cx, step, completion),
            Pending::Remove(id, step) => collect::on_removal_completion(cx, id, step, completion),
            Pending::Release(link, owner, name) => {
                links::end_answer(cx, link);
                collect::look_at(cx, owner, name);
            }
            Pending::Cache(step) => cache::on_completion(cx, step, completion),
            Pending::Space => space::on_measured(cx, completion.disk()),
            Pending::Boot(step) => {
                if boot::on_completion(cx, step, completion) {
                    self.boot = Boot::Ready;
                    for id in core::mem::take(&mut self.early) {
                        self.run(id, |task, cx| task.start(cx));
                    }
                }
            }
            Pending::Answer(step) => answers::on_completion(cx, step, completion),
            Pending::Serve { link, want, object } => serve::on_loaded(cx, link, want, object, completion.disk()),
            Pending::Upload(key, step) => upload::on_completion(cx, key, step, completion),
            Pending::Announce(step) => announce::on_completion(cx, step, completion),
            Pending::Promise(step) => announce::on_promise_completion(cx, step, completion),
            Pending::Page(id, step) => page_loader::on_completion(cx, id, &step, completion),
            Pending::Pull(id, step) => pull::on_completion(cx, id, step, completion),
            Pending::Locate(id, step) => locate::on_completion(cx, id, step, completion),
            Pending::Publish(id, step) => publish::on_completion(cx, id, step, completion),
            Pending::Task(id, step) => self.run(id, |task, cx| task.on_completion(cx, step, completion)),
            Pending::Outbox(step) => outbox::on_completion(cx, step, completion),
            Pending::Debts => debts::on_counted(cx, completion.entries()),
            Pending::Checkpoint(step) => checkpoints::on_completion(cx, step, completion),
            Pending::Sync(step) => sync::on_completion(cx, step, completion),
            Pending::Repair(record) => repair::on_completion(cx, record, completion),
            Pending::Rebalance => rebalance::on_read(cx, completion),
            Pending::Evicted(step) => evicted::on_completion(cx, step, completion),
            Pending::Records(step) => {
                if let Some((then, completion)) = records::on_completion(cx, step, completion) {
                    self.complete(then, completion);
                }
            }
            Pending::Mend(step) => mend::on_completion(cx, step, completion),
            Pending::Presence(step) => presence::on_completion(cx, step, completion),
            Pending::Scrub(step) => scrub::on_completion(cx, step, completion),
            Pending::Nobody => {
                if let Err(error) = completion.committed() {
                    answers::note_disk_error(cx, &error);
                }
            }
        }
    }

    fn on_timer(&mut self, timer: Timer) {
        let cx = &mut self.cx;
        match timer {
            Timer::Dial(address) => dials::on_timer(cx, address),
            Timer::Call(node) => asks::on_unreachable(cx, node),
            Timer::Search => dials::search(cx),
            Timer::Link(link) => links::on_timer(cx, link),
            Timer::Fetch(id) => fetch::on_timeout(cx, id),
            Timer::Question(link, number) => asks::on_timeout(cx, link, number),
            Timer::Outbox(node) => outbox::on_timer(cx, node),
            Timer::Debts => debts::on_timer(cx),
            Timer::Collect => collect::on_timer(cx),
            Timer::Age => age::on_timer(cx),
            Timer::Boot => boot::on_timer(cx),
            Timer::Records => records::on_timer(cx),
            Timer::Sync => sync::on_timer(cx),
            Timer::Repair => repair::on_timer(cx),
            Timer::Rebalance => rebalance::on_timer(cx),
            Timer::Evicted => evicted::on_timer(cx),
            Timer::Settle => dials::settle(cx),
            Timer::Checkpoint => checkpoints::on_timer(cx),
            Timer::Fill => {
                let id = RequestId(cx.number());
                if fill::begin(cx, id) {
                    self.requests.insert(id, Box::new(restore::Restore::new(id, restore::Aim::Fill)));
                    self.run(id, |task, cx| task.start(cx));
                }
            }
            Timer::Mend => mend::on_timer(cx),
            Timer::Presence => presence::on_timer(cx),
            Timer::Scrub => scrub::on_timer(cx),
            Timer::Space => space::on_timer(cx),
            Timer::Swim => swim::on_timer(cx),
            Timer::Service => service::refresh(cx),
            Timer::Locate(id) => locate::on_timeout(cx, id),
            Timer::Request(id) => self.run(id, |task, cx| task.on_timeout(cx)),
            Timer::Straggler(id) => {
                publish::on_straggler(cx, id);
                self.run(id, |task, cx| task.on_straggler(cx));
            }
        }
    }

    fn handle_signals(&mut self) {
        while let Some(signal) = self.cx.signals.pop_front() {
            self.on_signal(signal);
        }
    }

    fn on_peer_ready(&mut self, node: NodeId) {
        let cx = &mut self.cx;
        dials::on_peer_ready(cx, node);
        asks::on_peer_ready(cx, node);
        fetch::on_come(cx, node);
        publish::on_peer_ready(cx, node);
        checkpoints::on_peer_ready(cx, node);
        fill::on_peers(cx);
        locate::on_peer_ready(cx, node);
        outbox::flush(cx, node);
        mend::on_peer_ready(cx, node);
        sync::on_peer_ready(cx, node);
        self.run_all(|task, cx| task.on_peer_ready(cx, node));
    }

    fn on_peer_gone(&mut self, node: NodeId) {
        let cx = &mut self.cx;
        dials::on_peer_gone(cx, node);
        sync::on_peer_gone(cx, node);
        publish::on_peer_gone(cx);
        self.run_all(|task, cx| task.on_peer_gone(cx, node));
    }

    /// A node that somebody waits for cannot be connected to.
    fn on_unreachable(&mut self, node: NodeId) {
        let cx = &mut self.cx;
        swim::on_unreachable(cx, node);
        asks::on_unreachable(cx, node);
        fetch::on_come(cx, node);
        publish::on_unreachable(cx, node);
        locate::on_unreachable(cx, node);
        self.run_all(|task, cx| task.on_unreachable(cx, node));
    }

    /// A peer answered, or did not.
    fn on_answered(&mut self, client: AskClient, node: NodeId, answer: Option<Answer>) {
        let cx = &mut self.cx;
        match client {
            AskClient::Locate(request) => locate::on_answered(cx, request, node, answer),
            AskClient::Outbox(record, part) => outbox::on_answered(cx, node, record, part, answer),
            AskClient::Checkpoint(record) => checkpoints::on_answered(cx, node, record, answer),
            AskClient::Sync(id) => sync::on_answered(cx, id, node, answer),
            AskClient::Nobody => {}
            AskClient::Members => exchange::on_answered(cx, node, answer),
            AskClient::Promise(record) => collect::on_answered(cx, record, node, answer),
            AskClient::Move(record) => rebalance::on_answered(cx, record, node, answer),
            AskClient::Evicted(record) => evicted::on_answered(cx, record, node, answer),
            AskClient::Request(request) => self.run(request, |task, cx| task.on_answered(cx, node, answer)),
        }
    }

    fn on_signal(&mut self, signal: Signal) {
        let cx = &mut self.cx;
        match signal {
            Signal::PeerReady(node) => self.on_peer_ready(node),
            Signal::PeerGone(node) => self.on_peer_gone(node),
            Signal::Unreachable(node) => self.on_unreachable(node),
            Signal::MembershipChanged => {
                fill::on_membership(cx);
                sync::on_membership(cx);
                rebalance::on_membership(cx);
                evicted::on_membership(cx);
            }
            Signal::Settled => {
                locate::on_settled(cx);
                fill::on_peers(cx);
                self.run_all(|task, cx| task.on_settled(cx));
            }
            Signal::Fetched { client, result } => match client {
                FetchClient::Upload(key, chunk) => upload::on_fetched(cx, key, chunk, result),
                FetchClient::PullChunk(id, chunk) => pull::on_fetched(cx, id, chunk, result),
                FetchClient::Page(id) => page_loader::on_fetched(cx, id, result),
                FetchClient::Mend(blob) => mend::on_fetched(cx, blob, result),
                FetchClient::Get(id, index) => self.run(id, |task, cx| task.on_fetched(cx, index, result)),
            },
            Signal::PageLoaded { client, result } => match client {
                page_loader::PageClient::Pull(id) => pull::on_page(cx, id, result),
                page_loader::PageClient::Names(number) => names::on_page(cx, number, result),
                page_loader::PageClient::Mend(blob) => mend::on_page(cx, blob, result),
                page_loader::PageClient::Presence => presence::on_page(cx, result),
                page_loader::PageClient::Request(id, number) => {
                    self.run(id, |task, cx| task.on_page(cx, number, result));
                }
            },
            Signal::Located { request, located } => {
                if let Some(located) = mend::on_located(cx, request, located) {
                    self.run(request, |task, cx| task.on_located(cx, located));
                }
            }
            Signal::Answered { client, node, answer } => self.on_answered(client, node, answer),
            Signal::Pulled { client, record, outcome } => match client {
                PullClient::Announce { link, request } => announce::on_pulled(cx, link, request, &record, outcome),
                PullClient::Promise { link, request, .. } => {
                    announce::on_promise_pulled(cx, link, request, &record, outcome);
                }
                PullClient::Mend => mend::on_pulled(cx, record, outcome),
                PullClient::Nobody => {}
                PullClient::Repair => repair::on_pulled(cx, &record, outcome),
                PullClient::Request(request) => self.run(request, |task, cx| task.on_pulled(cx, &record, outcome)),
            },
            Signal::Offered { request, node, reply } => {
                self.run(request, |task, cx| task.on_offer_reply(cx, node, reply));
            }
            Signal::Delivered { node, record, part, outcome } => {
                publish::on_delivered(cx, node, record, part, outcome);
            }
            Signal::Superseded { request, by } => self.run(request, |task, cx| task.on_superseded(cx, &by)),
            Signal::Published { request, result } => self.run(request, |task, cx| task.on_published(cx, result)),
            Signal::Removed { record, out_of_place: false, outcome } => collect::on_removed(cx, &record, outcome),
            Signal::Removed { record, out_of_place: true, outcome } => rebalance::on_removed(cx, &record, outcome),
            Signal::NamesLoaded => self.run_all(|task, cx| task.on_names(cx)),
            Signal::PresenceChecked { done } => self.run_all(|task, cx| task.on_presence_checked(cx, done)),
            Signal::MendsIdle => self.run_all(|task, cx| task.on_mends_idle(cx)),
            Signal::OwnRecordStored(record) => {
                names::on_record(cx, record);
                if names::are_complete(cx) {
                    cx.signal(Signal::NamesLoaded);
                }
            }
        }
    }
}
