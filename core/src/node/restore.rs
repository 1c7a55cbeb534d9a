//! Restoring a namespace: every peer that can be reached is asked for all its records of this owner, and what is not here is
//! pulled. What one peer cannot give is tried with the others, and again when further peers come. At the end the records are
//! audited against the checkpoints of the owner's devices: only they tell whether something is withheld.
//!
//! A restore keeps no state of its own on the disk: records, pages and chunks that are here are not fetched again, so one that
//! was cut off goes on where it stopped.
//!
//! A dry run goes the same way, stores nothing, and opens the manifests that it finds instead of pulling them. A fill (see `fill`)
//! goes the same way and takes records light; then it makes those whole that this node is to hold.

mod audit;
mod complete;
mod tellers;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::ToString;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::disk::{DiskError, DiskOp};
use crate::event::{FileInfo, Incomplete, RequestError, RestoreReport, What};
use crate::frame::{Frame, HeldRecord};
use crate::ids::{NameId, NodeId, RecordId, RequestId};
use crate::node::cluster::{Part, Reach};
use crate::node::context::Context;
use crate::node::disk_audit::{self, DiskAudit, Found};
use crate::node::page_loader::{LoadedPage, PageFailure};
use crate::node::pending::{Completion, Pending};
use crate::node::pull::{self, PullClient, PullOutcome};
use crate::node::signal::{Answer, AskClient};
use crate::node::task::{Flow, Task, TaskStep};
use crate::node::timers::Timer;
use crate::node::{answers, asks, checkpoints, cluster, fill, neighbours, query, schema};
use crate::record::{RecordBody, SignedRecord};
use crate::work::{WorkOp, WorkResult};
use crate::{planted, sometimes};
use tellers::Tellers;

/// Records that are pulled, or whose manifests are opened, at once.
const BATCH: usize = 64;

/// Records that could not be brought back and are tried again; of further ones it is only known how many there are.
const FAILED_MAX: usize = 16_384;

/// What it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aim {
    /// All files are to be here.
    Bring,
    /// It is to be told which are not.
    List,
    /// The names are to be known.
    Fill,
}

/// What a restore waits for.
#[derive(Debug)]
pub(crate) enum RestoreStep {
    Verified(NodeId),
    /// Which of the records are here already.
    Held(Vec<SignedRecord>),
    /// A batch of this disk's records, for the audit.
    Audit,
    /// The marks of records that this node is to hold.
    Marks(Vec<SignedRecord>),
}

/// How far a restore has come.
#[derive(Debug)]
enum Stage {
    /// The first dials have not come to anything yet.
    Gathering,
    /// Peers tell what they have, and it is brought here.
    Asking,
    /// All of this disk's records are read.
    Auditing(DiskAudit),
    /// Light records are made whole.
    Completing,
    /// Something is missing, and members that may have it cannot be reached: they are given a little time.
    Patience,
    /// The names of what is missing are looked for.
    Naming,
}

/// A restore.
#[derive(Debug)]
pub(crate) struct Restore {
    id: RequestId,
    aim: Aim,
    stage: Stage,
    tellers: Tellers,
    /// Members that are being connected to.
    coming: BTreeSet<NodeId>,
    /// Records being pulled, and those whose manifests are being opened, by number.
    pulling: u32,
    opening: BTreeMap<u64, SignedRecord>,
    seen: BTreeSet<RecordId>,
    /// The newest checkpoint of each device that was found in a dry run, and all records with it.
    newest: BTreeMap<NameId, SignedRecord>,
    found: Found,
    /// What a peer could not give, and what of it is tried again.
    failed: BTreeMap<RecordId, SignedRecord>,
    failed_more: u64,
    again: VecDeque<SignedRecord>,
    /// Whether peers have come that might have what failed.
    is_worth_a_try: bool,
    was_patient: bool,
    /// Light records that are to be made whole, and reads of marks under way.
    to_complete: VecDeque<SignedRecord>,
    reading_marks: u32,
    /// Whether there are more than are remembered at once, and whether any of those was made whole.
    is_cut: bool,
    /// Whether a light record could not be made whole.
    is_any_left_light: bool,
    has_completed: bool,
    report: RestoreReport,
}

impl Restore {
    pub(crate) fn new(id: RequestId, aim: Aim) -> Self {
        Self {
            id,
            aim,
            stage: Stage::Gathering,
            tellers: Tellers::default(),
            coming: BTreeSet::new(),
            pulling: 0,
            opening: BTreeMap::new(),
            seen: BTreeSet::new(),
            newest: BTreeMap::new(),
            found: Found::new(),
            failed: BTreeMap::new(),
            failed_more: 0,
            again: VecDeque::new(),
            is_worth_a_try: true,
            was_patient: false,
            to_complete: VecDeque::new(),
            reading_marks: 0,
            is_cut: false,
            is_any_left_light: false,
            has_completed: false,
            report: RestoreReport::default(),
        }
    }

    fn pending(&self, step: RestoreStep) -> Pending {
        Pending::Task(self.id, TaskStep::Restore(step))
    }

    fn begin(&mut self, cx: &mut Context) -> Flow {
        let peers = neighbours::reachable(cx);
        if !matches!(self.stage, Stage::Gathering) || !cx.dials.settled() || cx.links.ready_count() == 0 {
            return Flow::Continue;
        }
        // A fill asks those again who have told all only if something is missing all the same.
        let is_first = self.aim == Aim::Fill && !cx.fill.has_filled();
        for node in peers {
            if !is_first || !cx.fill.has_told(node) {
                self.tellers.add(node);
            }
        }
        // The others are connected to when it is their turn to be asked.
        let members: Vec<NodeId> = cx.members.nodes().filter(|node| !neighbours::is_on_demand(cx, *node)).collect();
        self.coming = members.into_iter().filter(|node| cluster::reach(cx, *node) == Reach::Coming).collect();
        if self.aim == Aim::Fill && cx.fill.has_filled() {
            // Perhaps what was missing has come meanwhile.
            return self.audit(cx);
        }
        self.stage = Stage::Asking;
        self.ask(cx)
    }

    /// Tells the caller, if there is one.
    fn tell(&self, cx: &mut Context, what: What) {
        if !self.is_silent() {
            cx.event(self.id, what);
        }
    }

    fn end_with(&self, cx: &mut Context, error: RequestError) -> Flow {
        self.tell(cx, What::Failed(error));
        Flow::Done
    }

    /// Asks the next peer for its next page. When all have told all, what failed is tried again; then comes the audit.
    fn ask(&mut self, cx: &mut Context) -> Flow {
        cx.expect_progress(self.id);
        if let Some((node, after)) = self.tellers.current() {
            let owner = cx.owner;
            asks::ask(cx, AskClient::Request(self.id), node, |request| Frame::Scan { request, owner, after });
            return Flow::Continue;
        }
        if self.again.is_empty() && !self.failed.is_empty() && core::mem::take(&mut self.is_worth_a_try) {
            self.again = core::mem::take(&mut self.failed).into_values().collect();
        }
        if !self.again.is_empty() {
            sometimes!(cx.simulation, "restore.tried-again");
            let batch: Vec<SignedRecord> = self.again.drain(..BATCH.min(self.again.len())).collect();
            for record in batch {
                self.bring(cx, record);
            }
            return Flow::Continue;
        }
        if self.coming.is_empty() || self.was_patient { self.audit(cx) } else { self.be_patient(cx) }
    }

    /// Gives members that may have something a little time to come.
    fn be_patient(&mut self, cx: &mut Context) -> Flow {
        self.was_patient = true;
        self.stage = Stage::Patience;
        let enough = cx.now.mono + cx.config.answer_timeout;
        cx.timers.set(Timer::Straggler(self.id), enough);
        cx.expect_progress(self.id);
        Flow::Continue
    }

    /// Patience is over: nobody comes any more, or not in time.
    fn end_patience(&mut self, cx: &mut Context) -> Flow {
        cx.timers.cancel(&Timer::Straggler(self.id));
        cx.expect_progress(self.id);
        self.audit(cx)
    }

    /// Brings a record here or, in a dry run, finds out what it is.
    fn bring(&mut self, cx: &mut Context, record: SignedRecord) {
        if self.aim == Aim::List {
            let number = cx.number();
            query::load_root(cx, self.id, number, &record);
            self.opening.insert(number, record);
            return;
        }
        let is_whole = self.aim == Aim::Bring || matches!(self.stage, Stage::Completing);
        let part = if is_whole { Part::Whole } else { Part::Light };
        self.pulling += 1;
        let holders = cluster::likely_of(cx, &record.record);
        pull::start(cx, record, part, PullClient::Request(self.id), holders);
    }

    fn is_busy(&self) -> bool {
        self.pulling > 0 || !self.opening.is_empty()
    }

    fn progress(&mut self) -> RestoreReport {
        self.report.peers = self.tellers.asked();
        self.report.peers_done = self.tellers.done();
        self.report.missing = (self.failed.len() + self.again.len()) as u64 + self.failed_more;
        self.report.clone()
    }

    /// A page is done with, or a batch of what is tried again.
    fn batch_done(&mut self, cx: &mut Context) -> Flow {
        if self.is_busy() {
            return Flow::Continue;
        }
        match self.stage {
            Stage::Naming => return self.finish(cx),
            Stage::Completing => return self.complete(cx),
            Stage::Gathering | Stage::Asking | Stage::Auditing(_) | Stage::Patience => {}
        }
        let progress = self.progress();
        self.tell(cx, What::RestoreProgress(progress));
        self.ask(cx)
    }

    fn on_page_of_records(&mut self, cx: &mut Context, node: NodeId, records: Vec<HeldRecord>, next: Bytes) -> Flow {
        cx.expect_progress(self.id);
        if !next.is_empty() {
            sometimes!(cx.simulation, "restore.several-pages");
        }
        let next = if planted!(cx.simulation, RestoreFirstPage) { Bytes::new() } else { next };
        let is_of_owner = next.is_empty() || next.starts_with(&schema::owner_records(cx.owner));
        if !is_of_owner || !self.tellers.on_page(next) {
            self.tellers.on_lie();
            asks::on_lie(cx, node);
        }
        let records: Vec<Bytes> = records.into_iter().map(|held| held.record).collect();
        if planted!(cx.simulation, RestoreUnsigned) {
            let records = records.into_iter().map(SignedRecord::decode).collect();
            return self.on_verified(cx, node, WorkResult::RecordsVerified(records));
        }
        cx.work(WorkOp::VerifyRecords { records }, self.pending(RestoreStep::Verified(node)));
        Flow::Continue
    }

    fn on_verified(&mut self, cx: &mut Context, node: NodeId, result: WorkResult) -> Flow {
        let WorkResult::RecordsVerified(records) = result else { return Flow::Continue };
        let owner = cx.owner;
        let all = records.len();
        let ours = records.into_iter().flatten().filter(|record| record.record.owner == owner);
        let records: Vec<SignedRecord> = ours.collect();
        if records.len() < all {
            asks::on_lie(cx, node);
        }
        let mut new = Vec::new();
        for record in records {
            if self.seen.insert(record.id) {
                let is_checkpoint = matches!(record.record.body, RecordBody::Checkpoint(_));
                self.report.records += u64::from(!is_checkpoint);
                new.push(record);
            }
        }
        let mut keys: Vec<Bytes> = new.iter().map(schema::record_key).collect();
        keys.extend(new.iter().map(|record| schema::evicted_key(owner, record.id)));
        cx.disk(DiskOp::Lookup { keys }, self.pending(RestoreStep::Held(new)));
        Flow::Continue
    }

    /// `values` are the records that are here, then their marks.
    fn on_held(&mut self, cx: &mut Context, records: Vec<SignedRecord>, mut values: Vec<Option<Bytes>>) -> Flow {
        let marks = values.split_off(records.len());
        for (record, (held, mark)) in records.into_iter().zip(values.into_iter().zip(marks)) {
            if self.aim == Aim::List {
                self.note(cx, &record);
            }
            let is_file = record.record.body.is_file();
            let is_light = mark.as_ref().is_some_and(|mark| mark == schema::LIGHT);
            match self.aim {
                // What was evicted is wanted elsewhere.
                _ if held.is_some() && !is_light => {
                    self.report.files += u64::from(is_file && mark.is_none() && self.aim == Aim::Bring);
                }
                Aim::Fill if held.is_some() => {}
                Aim::List if !is_file => {}
                Aim::Bring | Aim::List | Aim::Fill => self.bring(cx, record),
            }
        }
        self.batch_done(cx)
    }

    /// What is found in a dry run is remembered for the audit.
    fn note(&mut self, cx: &Context, record: &SignedRecord) {
        disk_audit::note(&mut self.found, record);
        let name = record.record.name_id;
        let is_newer = self.newest.get(&name).is_none_or(|newest| newest.rank() < record.rank());
        if is_newer && name == cx.keys.checkpoint_name(record.record.version.node) {
            self.newest.insert(name, record.clone());
        }
    }

    fn fail(&mut self, record: SignedRecord) {
        if self.failed.len() < FAILED_MAX {
            self.failed.insert(record.id, record);
        } else {
            self.failed_more += 1;
        }
    }

    fn finish(&mut self, cx: &mut Context) -> Flow {
        let report = self.progress();
        self.tell(cx, What::Restored(report));
        Flow::Done
    }

    fn fail_disk(&self, cx: &mut Context, error: &DiskError) -> Flow {
        answers::note_disk_error(cx, error);
        self.end_with(cx, RequestError::Disk(error.to_string()))
    }

    /// A manifest that a dry run found.
    fn on_opened(&mut self, cx: &mut Context, record: SignedRecord, info: Option<FileInfo>) {
        match info {
            Some(info) => {
                self.report.files += 1;
                self.tell(cx, What::RestoreFound(info));
            }
            None => self.fail(record),
        }
    }
}

impl Task for Restore {
    fn start(&mut self, cx: &mut Context) -> Flow {
        cx.expect_progress(self.id);
        self.begin(cx)
    }

    fn on_settled(&mut self, cx: &mut Context) -> Flow {
        self.begin(cx)
    }

    fn on_peer_ready(&mut self, cx: &mut Context, node: NodeId) -> Flow {
        self.coming.remove(&node);
        match self.stage {
            Stage::Gathering => self.begin(cx),
            Stage::Asking | Stage::Auditing(_) | Stage::Patience => {
                self.tellers.add(node);
                self.is_worth_a_try |= cx.links.is_news(node);
                if !matches!(self.stage, Stage::Patience) || !cx.links.is_news(node) {
                    return Flow::Continue;
                }
                sometimes!(cx.simulation, "restore.late-peer");
                cx.timers.cancel(&Timer::Straggler(self.id));
                self.stage = Stage::Asking;
                self.ask(cx)
            }
            Stage::Completing | Stage::Naming => Flow::Continue,
        }
    }

    fn on_straggler(&mut self, cx: &mut Context) -> Flow {
        if matches!(self.stage, Stage::Patience) { self.end_patience(cx) } else { Flow::Continue }
    }

    fn on_unreachable(&mut self, cx: &mut Context, node: NodeId) -> Flow {
        let was_awaited = self.coming.remove(&node);
        let is_over = was_awaited && self.coming.is_empty() && matches!(self.stage, Stage::Patience);
        if is_over { self.end_patience(cx) } else { Flow::Continue }
    }

    fn on_answered(&mut self, cx: &mut Context, node: NodeId, answer: Option<Answer>) -> Flow {
        match answer.map(Answer::records) {
            Some(Some((records, next))) => self.on_page_of_records(cx, node, records, next),
            Some(None) => {
                asks::on_lie(cx, node);
                self.tellers.on_lie();
                self.ask(cx)
            }
            None => {
                self.tellers.on_silence();
                self.ask(cx)
            }
        }
    }

    fn on_completion(&mut self, cx: &mut Context, step: TaskStep, completion: Completion) -> Flow {
        let TaskStep::Restore(step) = step else { return Flow::Continue };
        match step {
            RestoreStep::Verified(node) => self.on_verified(cx, node, completion.work()),
            RestoreStep::Held(records) => match completion.values() {
                Ok(held) => self.on_held(cx, records, held),
                Err(error) => self.fail_disk(cx, &error),
            },
            RestoreStep::Marks(records) => match completion.values() {
                Ok(marks) => self.on_marks(cx, records, &marks),
                Err(error) => self.fail_disk(cx, &error),
            },
            RestoreStep::Audit => self.on_audit_read(cx, completion.entries()),
        }
    }

    fn on_pulled(&mut self, cx: &mut Context, record: &SignedRecord, outcome: PullOutcome) -> Flow {
        cx.expect_progress(self.id);
        self.pulling -= 1;
        match outcome {
            PullOutcome::Stored { fetched_bytes, .. } => {
                sometimes!(cx.simulation, "restore.file-restored");
                self.has_completed = true;
                self.report.files += u64::from(record.record.body.is_file());
                self.report.fetched_bytes += fetched_bytes;
            }
            // Newer records have come meanwhile, and nobody keeps it any more.
            PullOutcome::Obsolete(_) => {}
            // A light record that cannot be made whole now is tried again by the next fill.
            PullOutcome::Refused(_) if self.aim == Aim::Fill && matches!(self.stage, Stage::Completing) => {
                self.is_any_left_light = true;
            }
            PullOutcome::Refused(_) if planted!(cx.simulation, RestoreForgetsFailed) => {}
            PullOutcome::Refused(_) => self.fail(record.clone()),
        }
        self.batch_done(cx)
    }

    fn on_page(&mut self, cx: &mut Context, number: u64, result: Result<LoadedPage, PageFailure>) -> Flow {
        let Some(record) = self.opening.remove(&number) else { return Flow::Continue };
        cx.expect_progress(self.id);
        let info = result.ok().and_then(|page| query::info_of(&record, &page));
        if matches!(self.stage, Stage::Naming) {
            let name = info.map(|info| info.name);
            self.report.incomplete.push(Incomplete { name, version: record.record.version });
        } else {
            self.on_opened(cx, record, info);
        }
        self.batch_done(cx)
    }

    fn on_timeout(&mut self, cx: &mut Context) -> Flow {
        let error = if matches!(self.stage, Stage::Gathering) {
            RequestError::Unavailable(alloc::format!("no peer is connected. {}", cx.dials.troubles()))
        } else {
            RequestError::Deadline(cx.config.request_timeout.as_secs())
        };
        self.end_with(cx, error)
    }

    fn is_silent(&self) -> bool {
        self.aim == Aim::Fill
    }

    fn on_end_of_task(&mut self, cx: &mut Context) {
        if self.is_silent() {
            fill::on_end(cx, self.id);
        } else {
            cx.restoring = false;
            checkpoints::on_standing(cx);
        }
        pull::cancel(cx, self.id);
        query::end(cx, self.id);
    }
}
