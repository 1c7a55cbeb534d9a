//! What the tasks that carry out callers' requests have in common.

use core::fmt::Debug;

use crate::bulk::PlainChunk;
use crate::command::CommandError;
use crate::event::{RequestError, WriteReport};
use crate::ids::NodeId;
use crate::node::context::Context;
use crate::node::evict::EvictStep;
use crate::node::get::GetStep;
use crate::node::locate::Located;
use crate::node::page_loader::{LoadedPage, PageFailure};
use crate::node::pages::PagesStep;
use crate::node::pending::Completion;
use crate::node::pull::PullOutcome;
use crate::node::put::PutStep;
use crate::node::restore::RestoreStep;
use crate::node::scrub_now::ScrubNowStep;
use crate::node::signal::{Answer, FetchResult, OfferReply};
use crate::record::SignedRecord;

/// Whether a task goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Flow {
    /// It waits for something.
    Continue,
    /// It has told its caller how it ended.
    Done,
}

/// What a task waits for.
#[derive(Debug)]
pub(crate) enum TaskStep {
    Put(PutStep),
    Pages(PagesStep),
    Get(GetStep),
    Stat,
    StatMark,
    Evict(EvictStep),
    Restore(RestoreStep),
    ScrubNow(ScrubNowStep),
    Status,
    /// What this node says of itself, or of one that is forgotten, is on its way to the disk.
    Membership,
}

/// A request being carried out. A task is told only what it has asked for, so most have few of these.
pub(crate) trait Task: Debug + Send {
    /// Starts.
    fn start(&mut self, cx: &mut Context) -> Flow;

    /// An operation is complete.
    fn on_completion(&mut self, _cx: &mut Context, _step: TaskStep, _completion: Completion) -> Flow {
        Flow::Continue
    }

    /// The records of the name are known.
    fn on_located(&mut self, _cx: &mut Context, _located: Located) -> Flow {
        Flow::Continue
    }

    /// A page is loaded or cannot be.
    fn on_page(&mut self, _cx: &mut Context, _number: u64, _result: Result<LoadedPage, PageFailure>) -> Flow {
        Flow::Continue
    }

    /// A chunk came, or will not come.
    fn on_fetched(&mut self, _cx: &mut Context, _index: u64, _result: FetchResult) -> Flow {
        Flow::Continue
    }

    /// A peer answered, or did not.
    fn on_answered(&mut self, _cx: &mut Context, _node: NodeId, _answer: Option<Answer>) -> Flow {
        Flow::Continue
    }

    /// A record is published.
    fn on_published(&mut self, _cx: &mut Context, _result: Result<WriteReport, RequestError>) -> Flow {
        Flow::Continue
    }

    /// A record that was published must be stamped anew: one of a higher version was known elsewhere.
    fn on_superseded(&mut self, _cx: &mut Context, _by: &SignedRecord) -> Flow {
        Flow::Continue
    }

    /// A pull is over.
    fn on_pulled(&mut self, _cx: &mut Context, _record: &SignedRecord, _outcome: PullOutcome) -> Flow {
        Flow::Continue
    }

    /// A peer says what became of offered chunks.
    fn on_offer_reply(&mut self, _cx: &mut Context, _node: NodeId, _reply: OfferReply) -> Flow {
        Flow::Continue
    }

    /// A peer can be talked to.
    fn on_peer_ready(&mut self, _cx: &mut Context, _node: NodeId) -> Flow {
        Flow::Continue
    }

    /// A peer can no longer be talked to.
    fn on_peer_gone(&mut self, _cx: &mut Context, _node: NodeId) -> Flow {
        Flow::Continue
    }

    /// A peer that was to be talked to cannot be.
    fn on_unreachable(&mut self, _cx: &mut Context, _node: NodeId) -> Flow {
        Flow::Continue
    }

    /// The first dials have come to something.
    fn on_settled(&mut self, _cx: &mut Context) -> Flow {
        Flow::Continue
    }

    /// The names of the owner are all known.
    fn on_names(&mut self, _cx: &mut Context) -> Flow {
        Flow::Continue
    }

    /// Nothing that could be had is still to be mended.
    fn on_mends_idle(&mut self, _cx: &mut Context) -> Flow {
        Flow::Continue
    }

    /// Some more records have been checked for what they need, or all.
    fn on_presence_checked(&mut self, _cx: &mut Context, _done: bool) -> Flow {
        Flow::Continue
    }

    /// Time to see whether a peer lags.
    fn on_straggler(&mut self, _cx: &mut Context) -> Flow {
        Flow::Continue
    }

    /// The caller gives a chunk.
    fn on_chunk(&mut self, _cx: &mut Context, _plain: PlainChunk) -> Result<Flow, CommandError> {
        Err(CommandError::NoCredit)
    }

    /// The caller has given all chunks.
    fn on_end(&mut self, _cx: &mut Context) -> Result<Flow, CommandError> {
        Err(CommandError::NoCredit)
    }

    /// The caller has consumed bytes.
    fn on_credit(&mut self, _cx: &mut Context, _bytes: u64) -> Flow {
        Flow::Continue
    }

    /// No progress was made for too long.
    fn on_timeout(&mut self, cx: &mut Context) -> Flow;

    /// Whether nobody waits for it: it tells nothing.
    fn is_silent(&self) -> bool {
        false
    }

    /// The task ends: undo what would outlive it.
    fn on_end_of_task(&mut self, _cx: &mut Context) {}
}
