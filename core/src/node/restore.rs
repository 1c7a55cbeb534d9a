//! Restoring a namespace: every connected peer is asked for all its records of this owner, and what is not here is pulled.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::string::ToString;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::disk::DiskOp;
use crate::event::{RequestError, RestoreReport, What};
use crate::frame::Frame;
use crate::ids::{NodeId, RecordId, RequestId};
use crate::node::context::Context;
use crate::node::pending::{Completion, Pending};
use crate::node::pull::{self, PullClient, PullOutcome};
use crate::node::signal::{Answer, AskClient};
use crate::node::task::{Flow, Task, TaskStep};
use crate::node::{asks, cluster, schema};
use crate::record::{RecordBody, SignedRecord};
use crate::work::{WorkOp, WorkResult};
use crate::{planted, sometimes};

/// What a restore waits for.
#[derive(Debug)]
pub(crate) enum RestoreStep {
    Verified(NodeId),
    /// Which of the records are here already.
    Held(Vec<SignedRecord>),
}

/// A restore.
#[derive(Debug)]
pub(crate) struct Restore {
    id: RequestId,
    started: bool,
    /// Peers still to be asked; the first is being asked.
    peers: VecDeque<NodeId>,
    /// Where the first peer's next answer starts.
    next: Bytes,
    pulling: u32,
    seen: BTreeSet<RecordId>,
    missing: BTreeSet<RecordId>,
    report: RestoreReport,
}

impl Restore {
    pub(crate) fn new(id: RequestId) -> Self {
        Self {
            id,
            started: false,
            peers: VecDeque::new(),
            next: Bytes::new(),
            pulling: 0,
            seen: BTreeSet::new(),
            missing: BTreeSet::new(),
            report: RestoreReport::default(),
        }
    }

    fn begin(&mut self, cx: &mut Context) -> Flow {
        if self.started || !cx.dials.settled() {
            return Flow::Continue;
        }
        self.peers = cx.links.ready_nodes().into_iter().collect();
        if self.peers.is_empty() {
            return Flow::Continue;
        }
        self.started = true;
        self.report.peers = u32::try_from(self.peers.len()).unwrap_or(u32::MAX);
        self.ask(cx)
    }

    /// Asks the first peer for its next records; ends when there is none left.
    fn ask(&mut self, cx: &mut Context) -> Flow {
        cx.expect_progress(self.id);
        let Some(node) = self.peers.front().copied() else { return self.finish(cx) };
        let (owner, after) = (cx.owner, self.next.clone());
        asks::ask(cx, AskClient::Request(self.id), node, |request| Frame::Scan { request, owner, after });
        Flow::Continue
    }

    fn next_peer(&mut self, cx: &mut Context) -> Flow {
        self.peers.pop_front();
        self.next = Bytes::new();
        self.ask(cx)
    }

    fn finish(&mut self, cx: &mut Context) -> Flow {
        if self.report.peers_done == 0 {
            cx.fail(self.id, RequestError::Unavailable("no peer told all it holds; try again".to_string()));
            return Flow::Done;
        }
        let report = self.progress();
        cx.event(self.id, What::Restored(report));
        Flow::Done
    }

    fn progress(&mut self) -> RestoreReport {
        self.report.records = self.seen.len() as u64;
        self.report.missing = self.missing.len() as u64;
        self.report.clone()
    }

    fn batch_done(&mut self, cx: &mut Context) -> Flow {
        if self.pulling > 0 {
            return Flow::Continue;
        }
        let progress = self.progress();
        cx.event(self.id, What::RestoreProgress(progress));
        if !self.next.is_empty() {
            return self.ask(cx);
        }
        self.report.peers_done += 1;
        self.next_peer(cx)
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
        let new: Vec<SignedRecord> = records.into_iter().filter(|record| self.seen.insert(record.id)).collect();
        let keys = new.iter().map(schema::record_key).collect();
        cx.disk(DiskOp::Lookup { keys }, Pending::Task(self.id, TaskStep::Restore(RestoreStep::Held(new))));
        Flow::Continue
    }

    fn on_held(&mut self, cx: &mut Context, records: Vec<SignedRecord>, held: Vec<Option<Bytes>>) -> Flow {
        for (record, held) in records.into_iter().zip(held) {
            if held.is_some() {
                self.report.files += u64::from(record.record.body != RecordBody::Tombstone);
                continue;
            }
            self.pulling += 1;
            let holders = cluster::likely_of(cx, &record.record);
            pull::start(cx, record, PullClient::Restore(self.id), holders);
        }
        self.batch_done(cx)
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
        if self.started {
            self.peers.push_back(node);
            self.report.peers += 1;
            return Flow::Continue;
        }
        self.begin(cx)
    }

    fn on_answered(&mut self, cx: &mut Context, node: NodeId, answer: Option<Answer>) -> Flow {
        match answer {
            Some(Answer::Records { records, next }) => {
                cx.expect_progress(self.id);
                self.next = if planted!(cx.simulation, RestoreFirstPage) { Bytes::new() } else { next };
                if !self.next.is_empty() {
                    sometimes!(cx.simulation, "restore.several-pages");
                }
                let records: Vec<Bytes> = records.into_iter().map(|held| held.record).collect();
                if planted!(cx.simulation, RestoreUnsigned) {
                    let records = records.into_iter().map(SignedRecord::decode).collect();
                    return self.on_verified(cx, node, WorkResult::RecordsVerified(records));
                }
                let step = TaskStep::Restore(RestoreStep::Verified(node));
                cx.work(WorkOp::VerifyRecords { records }, Pending::Task(self.id, step));
                Flow::Continue
            }
            Some(Answer::Announced(_) | Answer::Promised(_) | Answer::Members { .. }) => {
                asks::on_lie(cx, node);
                self.next_peer(cx)
            }
            None => self.next_peer(cx),
        }
    }

    fn on_completion(&mut self, cx: &mut Context, step: TaskStep, completion: Completion) -> Flow {
        let TaskStep::Restore(step) = step else { return Flow::Continue };
        match step {
            RestoreStep::Verified(node) => self.on_verified(cx, node, completion.work()),
            RestoreStep::Held(records) => match completion.values() {
                Ok(held) => self.on_held(cx, records, held),
                Err(error) => {
                    cx.fail(self.id, RequestError::Disk(error.to_string()));
                    Flow::Done
                }
            },
        }
    }

    fn on_pulled(&mut self, cx: &mut Context, record: &SignedRecord, outcome: PullOutcome) -> Flow {
        cx.expect_progress(self.id);
        self.pulling -= 1;
        match outcome {
            PullOutcome::Stored { fetched_bytes } => {
                sometimes!(cx.simulation, "restore.file-restored");
                self.report.files += u64::from(record.record.body != RecordBody::Tombstone);
                self.report.fetched_bytes += fetched_bytes;
            }
            PullOutcome::Refused(_) => {
                self.missing.insert(record.id);
            }
        }
        self.batch_done(cx)
    }

    fn on_timeout(&mut self, cx: &mut Context) -> Flow {
        let error = if self.started {
            RequestError::Deadline(cx.config.request_timeout.as_secs())
        } else {
            RequestError::Unavailable(alloc::format!("no peer is connected. {}", cx.dials.troubles()))
        };
        cx.fail(self.id, error);
        Flow::Done
    }

    fn on_end_of_task(&mut self, cx: &mut Context) {
        cx.restoring = false;
        pull::cancel(cx, self.id);
    }
}
