//! How many deliveries are owed (`outbox`): kept as debts are made and struck off. A commit that failed may have been made all the
//! same, so after one they are counted anew on the disk: a node that leaves must not believe that it owes less, or more, than it does.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::disk::{DiskError, DiskOp};
use crate::node::context::Context;
use crate::node::outbox::OutboxStep;
use crate::node::pending::Pending;
use crate::node::schema;
use crate::node::timers::Timer;
use crate::sometimes;

/// Rows counted at a time.
const BATCH: u32 = 1_024;

/// Operations that may be under way: a read.
pub(crate) const OPERATIONS_MAX: u64 = 1;

/// How long it takes until debts are counted again of which the number is in doubt.
const AGAIN: Duration = Duration::from_secs(5);

/// What is known of how many there are.
#[derive(Debug, Default)]
pub(crate) struct Debts {
    owed: u64,
    is_doubtful: bool,
    counting: Option<Counting>,
}

/// A count that goes on.
#[derive(Debug)]
struct Counting {
    owed: u64,
    /// Debts were made or struck off meanwhile: whether they are among those counted is not known.
    has_changed: bool,
}

impl Debts {
    /// How many there are, as far as it is known.
    pub(crate) fn owed(&self) -> u64 {
        self.owed
    }

    fn change(&mut self, change: impl Fn(u64) -> u64) {
        self.owed = change(self.owed);
        if let Some(counting) = &mut self.counting {
            counting.has_changed = true;
        }
    }
}

/// So many were made, durably.
pub(crate) fn made(cx: &mut Context, debts: u64) {
    cx.debts.change(|owed| owed + debts);
}

/// So many are gone from the disk.
pub(crate) fn struck(cx: &mut Context, debts: u64) {
    cx.debts.change(|owed| owed.saturating_sub(debts));
}

/// A commit that was to make debts or to strike them off failed, or what there is could not be read.
pub(crate) fn doubt(cx: &mut Context) {
    cx.debts.is_doubtful = true;
    cx.debts.change(|owed| owed);
    again(cx);
}

/// Whether somebody may be owed something.
pub(crate) fn may_be_any(cx: &Context) -> bool {
    cx.debts.is_doubtful || cx.debts.owed > 0
}

/// How many there are, as far as it is known; none only if that is certain. If it is not, they are counted.
pub(crate) fn to_be_paid(cx: &mut Context) -> u64 {
    if !cx.debts.is_doubtful {
        return cx.debts.owed;
    }
    count(cx);
    cx.debts.owed.max(1)
}

/// The node has started: what it owes from an earlier life is counted.
pub(crate) fn start(cx: &mut Context) {
    cx.debts.is_doubtful = true;
    count(cx);
}

/// Time to count again.
pub(crate) fn on_timer(cx: &mut Context) {
    if cx.debts.is_doubtful {
        count(cx);
    }
}

fn again(cx: &mut Context) {
    let again = cx.now.mono + AGAIN;
    cx.timers.set_if_sooner(Timer::Debts, again);
}

fn count(cx: &mut Context) {
    if cx.debts.counting.is_some() {
        return;
    }
    if is_changing(cx) {
        return again(cx);
    }
    cx.debts.counting = Some(Counting { owed: 0, has_changed: false });
    read(cx, Bytes::from_static(schema::OUTBOX));
}

/// Whether a commit is under way that makes debts or strikes them off.
fn is_changing(cx: &Context) -> bool {
    let strikes = |pending: &Pending| {
        matches!(pending, Pending::Outbox(OutboxStep::Settled(..) | OutboxStep::Struck(..)) | Pending::Nobody)
    };
    cx.records.is_busy() || cx.pending.values().any(strikes)
}

fn read(cx: &mut Context, from: Bytes) {
    let scan = DiskOp::Scan { from, to: schema::end_of(schema::OUTBOX), limit: BATCH, reverse: false };
    cx.disk(scan, Pending::Debts);
}

/// Some are counted.
pub(crate) fn on_counted(cx: &mut Context, entries: Result<(Vec<(Bytes, Bytes)>, bool), DiskError>) {
    let is_changing = is_changing(cx);
    let Some(mut counting) = cx.debts.counting.take() else { return };
    let Ok((entries, more)) = entries else { return again(cx) };
    counting.owed += entries.len() as u64;
    if counting.has_changed || is_changing {
        return again(cx);
    }
    if let (true, Some((last, _))) = (more, entries.last()) {
        cx.debts.counting = Some(counting);
        return read(cx, schema::after(last));
    }
    sometimes!(cx.simulation, "debts.counted-anew");
    cx.debts.owed = counting.owed;
    cx.debts.is_doubtful = false;
}
