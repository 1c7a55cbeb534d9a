//! Leaving the cluster, and forgetting a node that will not come back.
//!
//! A node that leaves says so first, durably, so that placement passes it over. Then it hands over: it waits until it owes nobody
//! anything any more, until each live member that is to hold something now, and is reached, has fetched what this node has of it, and
//! until two holders of each record, or all if there are fewer, are among these (`sync`). Then it stops. Whoever breaks that off stays
//! a member.

use alloc::string::ToString;
use alloc::vec::Vec;
use core::time::Duration;

use crate::disk::DiskError;
use crate::event::{RequestError, What};
use crate::ids::{NodeId, RequestId};
use crate::member::Member;
use crate::node::context::Context;
use crate::node::members::{self, Heard};
use crate::node::pending::Completion;
use crate::node::swim::Liveness;
use crate::node::task::{Flow, Task, TaskStep};
use crate::node::timers::Timer;
use crate::node::{answers, debts, exchange, query, swim, sync};

/// How often it is looked whether all has been handed over.
const LOOK: Duration = Duration::from_millis(250);

/// After so many looks those that are known to lack something are asked again: each of them may be told of many records anew.
const HASTE_LOOKS: u32 = 8;

fn disk_failed(cx: &mut Context, request: RequestId, error: &DiskError) -> Flow {
    answers::note_disk_error(cx, error);
    cx.fail(request, RequestError::Disk(error.to_string()));
    Flow::Done
}

/// A leave.
#[derive(Debug)]
pub(crate) struct Leave {
    id: RequestId,
    /// What was owed or had to be handed over when it was looked last.
    owed: u64,
    /// How often it has been looked.
    looks: u32,
    is_done: bool,
}

impl Leave {
    pub(crate) const fn new(id: RequestId) -> Self {
        Self { id, owed: u64::MAX, looks: 0, is_done: false }
    }

    fn look(&mut self, cx: &mut Context) -> Flow {
        self.looks += 1;
        let in_haste = self.looks.is_multiple_of(HASTE_LOOKS);
        let mut owed = debts::to_be_paid(cx).saturating_add(sync::to_hand_over(cx, in_haste));
        if owed == 0 {
            owed = sync::on_too_few(cx);
        }
        if owed == 0 {
            self.is_done = true;
            swim::leave(cx);
            cx.event(self.id, What::Left);
            cx.has_left = true;
            return Flow::Done;
        }
        if owed < self.owed {
            cx.expect_progress(self.id);
        }
        self.owed = owed;
        let again = cx.now.mono + LOOK;
        cx.timers.set(Timer::Straggler(self.id), again);
        Flow::Continue
    }
}

impl Task for Leave {
    fn start(&mut self, cx: &mut Context) -> Flow {
        cx.expect_progress(self.id);
        members::begin_to_leave(cx, self.id);
        Flow::Continue
    }

    fn on_completion(&mut self, cx: &mut Context, _step: TaskStep, completion: Completion) -> Flow {
        match completion.committed() {
            Ok(_) => {
                exchange::tell_own(cx);
                sync::begin_to_hand_over(cx);
                self.look(cx)
            }
            Err(error) => disk_failed(cx, self.id, &error),
        }
    }

    fn on_straggler(&mut self, cx: &mut Context) -> Flow {
        self.look(cx)
    }

    fn on_timeout(&mut self, cx: &mut Context) -> Flow {
        cx.fail(self.id, RequestError::StillOwed { owed: self.owed });
        Flow::Done
    }

    fn on_end_of_task(&mut self, cx: &mut Context) {
        if !self.is_done {
            members::stay(cx);
        }
    }
}

/// A request to forget a node.
#[derive(Debug)]
pub(crate) struct Forget {
    id: RequestId,
    node: NodeId,
    /// The entry that says so, on its way to the disk.
    entry: Option<Member>,
}

impl Forget {
    pub(crate) const fn new(id: RequestId, node: NodeId) -> Self {
        Self { id, node, entry: None }
    }
}

impl Task for Forget {
    fn start(&mut self, cx: &mut Context) -> Flow {
        if !cx.members.is_in(self.node) {
            cx.fail(self.id, RequestError::NoSuchMember);
            return Flow::Done;
        }
        if cx.links.of(self.node).is_some() || cx.swim.liveness(self.node) == Liveness::Alive {
            cx.fail(self.id, RequestError::MemberAlive);
            return Flow::Done;
        }
        cx.expect_progress(self.id);
        self.entry = members::begin_to_forget(cx, self.id, self.node);
        Flow::Continue
    }

    fn on_completion(&mut self, cx: &mut Context, _step: TaskStep, completion: Completion) -> Flow {
        match completion.committed() {
            Ok(_) => {
                let entries: Vec<Member> = self.entry.take().into_iter().collect();
                exchange::tell_all(cx, &entries);
                members::apply(cx, entries, Heard::AsNews);
                cx.event(self.id, What::Forgotten);
                Flow::Done
            }
            Err(error) => disk_failed(cx, self.id, &error),
        }
    }

    fn on_timeout(&mut self, cx: &mut Context) -> Flow {
        query::timed_out(cx, self.id)
    }
}
