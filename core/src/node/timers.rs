//! Deadlines, each with its reason.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;

use crate::ids::{LinkId, NodeId, RequestId};
use crate::node::fetch::FetchId;
use crate::time::Monotonic;

/// Why the node wants to be woken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// An address is due to be dialled.
    Dial(String),
    /// A link is due a look: ping it, or give it up.
    Link(LinkId),
    /// A wanted object should have made progress.
    Fetch(FetchId),
    /// A question to a peer should have been answered.
    Question(LinkId, u64),
    /// Nodes that a search waits for should have come.
    Locate(RequestId),
    /// A request should have made progress.
    Request(RequestId),
    /// A write that enough nodes have no longer waits for the others.
    Straggler(RequestId),
    /// Deliveries that a peer refused are tried again.
    Outbox(NodeId),
    /// How many are owed is counted again.
    Debts,
    /// The collector goes on.
    Collect,
    /// How long the node has lived is made durable.
    Age,
    /// What could not be read at the start is read again.
    Boot,
    /// Which records are on the disk is asked again.
    Records,
    /// Records are compared with a peer.
    Sync,
    /// The rate of repair allows more.
    Repair,
    /// Records that lie out of place are looked for, or go.
    Rebalance,
    /// What was evicted here is gone through, or answers about it are late.
    Evicted,
    /// The first dials should have come to something.
    Settle,
    /// A node for which questions wait should have been connected to.
    Call(NodeId),
    /// A member that is not known to live is dialled.
    Search,
    /// A checkpoint is due, or peers are to be told of it again.
    Checkpoint,
    /// Peers are to be asked for what is not known of the owner's names.
    Fill,
    /// What nobody had is asked for again.
    Mend,
    /// Records are checked for what they need.
    Presence,
    /// The disk is measured again.
    Space,
    /// The next blob is read to see whether it is in order.
    Scrub,
    /// SWIM has something to do.
    Swim,
    /// A member has been down for so long that it is no longer in service.
    Service,
}

/// At most one deadline for each reason.
#[derive(Default, Debug)]
pub(crate) struct Timers {
    deadlines: BTreeMap<Timer, Monotonic>,
    queue: BTreeSet<(Monotonic, Timer)>,
}

impl Timers {
    /// Sets the deadline, replacing an earlier one.
    pub(crate) fn set(&mut self, timer: Timer, deadline: Monotonic) {
        if let Some(set) = self.deadlines.get_mut(&timer) {
            let mut queued = (core::mem::replace(set, deadline), timer);
            self.queue.remove(&queued);
            queued.0 = deadline;
            self.queue.insert(queued);
        } else {
            self.deadlines.insert(timer.clone(), deadline);
            self.queue.insert((deadline, timer));
        }
    }

    /// Sets the deadline, unless it is set to an earlier one.
    pub(crate) fn set_if_sooner(&mut self, timer: Timer, deadline: Monotonic) {
        if self.deadline(&timer).is_none_or(|set| deadline < set) {
            self.set(timer, deadline);
        }
    }

    /// Removes the deadline, if there is one.
    pub(crate) fn cancel(&mut self, timer: &Timer) {
        if let Some((timer, deadline)) = self.deadlines.remove_entry(timer) {
            self.queue.remove(&(deadline, timer));
        }
    }

    /// Removes all deadlines.
    pub(crate) fn clear(&mut self) {
        self.deadlines.clear();
        self.queue.clear();
    }

    /// When a timer is due, if it is set.
    pub(crate) fn deadline(&self, timer: &Timer) -> Option<Monotonic> {
        self.deadlines.get(timer).copied()
    }

    /// How many are set.
    pub(crate) fn len(&self) -> usize {
        self.deadlines.len()
    }

    /// The next deadline.
    pub(crate) fn next(&self) -> Option<(Monotonic, &Timer)> {
        self.queue.first().map(|(deadline, timer)| (*deadline, timer))
    }

    /// Takes a deadline that is due.
    pub(crate) fn pop_due(&mut self, now: Monotonic) -> Option<Timer> {
        if self.queue.first()?.0 > now {
            return None;
        }
        let (_, timer) = self.queue.pop_first()?;
        self.deadlines.remove(&timer);
        Some(timer)
    }
}
