//! What a device does by itself to know its owner's names: it asks all members for the owner's records and takes them light, as a
//! restore does that nobody asked for. So a new device lists what others put, and one that lost its disk meets its own checkpoint.
//!
//! It is done until all members known have told all they have, once in the life of a disk. From then on announcements, debts and
//! the sync with other devices keep it up; it is done again when a checkpoint says that something is missing all the same.

use alloc::collections::BTreeSet;
use core::time::Duration;

use crate::event::UNCOUNTED;
use crate::ids::{NodeId, RequestId};
use crate::node::context::Context;
use crate::node::timers::Timer;
use crate::node::{answers, checkpoints, schema};
use crate::sometimes;

/// How often the wait before the next try is doubled at most.
const DOUBLINGS_MAX: u32 = 6;

/// How far it has come.
#[derive(Debug, Default)]
pub(crate) struct Fill {
    /// All members known at some time have told all.
    has_filled: bool,
    /// Who has told all in this life of the node.
    told: BTreeSet<NodeId>,
    running: Option<RequestId>,
    /// Whether members have come or gone, or there was no room for one, since all light records were last made whole that are this
    /// node's to hold.
    is_placement_new: bool,
    /// Whether the one that runs has made them whole.
    has_completed: bool,
    /// How many it is still to make whole; many, as long as they have not been counted.
    left: u64,
    /// Tries in a row that did not find everything.
    tries: u32,
}

impl Fill {
    /// Whether anybody has ever told what he has to its end.
    pub(crate) fn has_asked(&self) -> bool {
        self.has_filled || !self.told.is_empty()
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// The request that does it, if one does.
    pub(crate) fn running(&self) -> Option<RequestId> {
        self.running
    }

    /// Whether a member need not be asked again.
    pub(crate) fn has_told(&self, node: NodeId) -> bool {
        self.told.contains(&node)
    }

    /// Whether all members known at some time have told all.
    pub(crate) fn has_filled(&self) -> bool {
        self.has_filled
    }
}

/// What the disk says.
pub(crate) fn recover(cx: &mut Context, has_filled: bool) {
    cx.fill.has_filled = has_filled;
}

/// The first dials have come to something, or a peer can be asked.
pub(crate) fn on_peers(cx: &mut Context) {
    if !cx.fill.has_filled && cx.dials.settled() && cx.links.ready_count() > 0 {
        set(cx, Duration::ZERO);
    }
}

/// A checkpoint came that may cover what is not here. What it covers is mostly on its way.
pub(crate) fn on_checkpoint(cx: &mut Context) {
    if checkpoints::is_any_open(cx) {
        let pause = cx.config.checkpoints.wait_max;
        set(cx, pause);
    }
}

/// Who is to hold what has changed: light records may be this node's to hold now.
pub(crate) fn on_membership(cx: &mut Context) {
    cx.fill.is_placement_new = true;
    cx.fill.left = UNCOUNTED;
    let pause = cx.config.checkpoints.wait_max;
    set(cx, pause);
}

/// A record that is this node's to hold is here light, since there was no room for all of it.
pub(crate) fn on_light(cx: &mut Context) {
    cx.fill.is_placement_new = true;
    cx.fill.left = cx.fill.left.max(1);
    again(cx);
}

/// Tries it again, ever more rarely.
fn again(cx: &mut Context) {
    let factor = 1 << cx.fill.tries.min(DOUBLINGS_MAX);
    let pause = cx.config.checkpoints.wait_max.saturating_mul(factor);
    set(cx, pause);
}

/// How many light records may still be this node's to hold, if that is not known to be none. It is looked at without delay.
pub(crate) fn hasten_placement(cx: &mut Context) -> Option<u64> {
    if cx.fill.is_placement_new && cx.fill.tries == 0 {
        set(cx, Duration::ZERO);
    }
    (cx.fill.is_placement_new || cx.fill.is_running()).then_some(cx.fill.left)
}

fn set(cx: &mut Context, pause: Duration) {
    let due = cx.now.mono + pause;
    cx.timers.set_if_sooner(Timer::Fill, due);
}

/// Time to look whether it is needed. If so, the caller starts it.
pub(crate) fn begin(cx: &mut Context, request: RequestId) -> bool {
    let is_needed = !cx.fill.has_filled || cx.fill.is_placement_new || checkpoints::is_any_open(cx);
    let is_possible = cx.names.are_read() && cx.links.ready_count() > 0;
    if cx.fill.is_running() || !is_needed {
        return false;
    }
    if cx.restoring || !is_possible {
        let pause = cx.config.checkpoints.wait_max;
        set(cx, pause);
        return false;
    }
    sometimes!(cx.simulation, "fill.started");
    cx.fill.running = Some(request);
    cx.fill.is_placement_new = false;
    cx.fill.has_completed = false;
    cx.fill.left = UNCOUNTED;
    true
}

/// So many light records are still to be made whole.
pub(crate) fn on_left(cx: &mut Context, left: usize) {
    cx.fill.left = left as u64;
}

/// All light records that were this node's to hold when it began are whole.
pub(crate) fn on_completed(cx: &mut Context) {
    cx.fill.has_completed = true;
}

/// Peers have been asked, by this or by a restore: these have told all, and perhaps that was everybody.
pub(crate) fn on_told(cx: &mut Context, told: impl Iterator<Item = NodeId>, is_everybody: bool) {
    cx.fill.told.extend(told);
    if is_everybody && !core::mem::replace(&mut cx.fill.has_filled, true) {
        let key = bytes::Bytes::from_static(schema::FILLED);
        answers::commit_quietly(cx, alloc::vec![crate::disk::Write::Put { key, value: bytes::Bytes::new() }]);
    }
    checkpoints::on_standing(cx);
}

/// It has ended, or was cut off. If it did not find everything, it is done again, ever more rarely.
pub(crate) fn on_end(cx: &mut Context, request: RequestId) {
    if cx.fill.running != Some(request) {
        return;
    }
    cx.fill.running = None;
    cx.fill.is_placement_new |= !cx.fill.has_completed;
    let is_done = cx.fill.has_filled && cx.fill.has_completed && !checkpoints::is_any_open(cx);
    if is_done {
        cx.fill.tries = 0;
    }
    if !is_done || cx.fill.is_placement_new {
        again(cx);
    }
    if !is_done {
        cx.fill.tries += 1;
    }
    checkpoints::on_standing(cx);
}
