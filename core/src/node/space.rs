//! Room: how many bytes of blobs this disk holds for each owner, and whether it takes more of them.
//!
//! The disk counts; here is what it said last and what has come since, so that an offer is answered without asking it. Bytes that
//! are let in count as taken before they come. What is known errs on the side of too much: writes during a measurement are counted
//! twice, and what was dropped is counted until the next one. So no limit is exceeded, and a refusal asks the disk anew.

use alloc::collections::BTreeMap;
use core::time::Duration;

use crate::disk::{DiskDone, DiskOp, DiskResult, Usage};
use crate::frame::Refusal;
use crate::ids::OwnerId;
use crate::node::context::Context;
use crate::node::mend;
use crate::node::pending::Pending;
use crate::node::timers::Timer;
use crate::{planted, sometimes};

/// How often the disk is measured when nothing else asks for it: others may use the same file system.
const MEASURE_EVERY: Duration = Duration::from_secs(60);

/// What is known of the room on this disk.
#[derive(Debug, Default)]
pub(crate) struct Space {
    /// Bytes of each owner's blobs; `None` before the first measurement.
    taken: Option<BTreeMap<OwnerId, u64>>,
    /// Bytes that may still be written, if known.
    free: Option<u64>,
    /// Bytes let in and not written yet, of each owner.
    coming: BTreeMap<OwnerId, u64>,
    /// Bytes written since the measurement under way began, which may not have seen them; `None` if there is none.
    measuring: Option<BTreeMap<OwnerId, u64>>,
    /// Whether to measure again after that.
    again: bool,
}

impl Space {
    fn coming(&self) -> u64 {
        self.coming.values().sum()
    }
}

/// Measures the disk, as soon as it is not being measured already.
pub(crate) fn measure(cx: &mut Context) {
    if cx.space.measuring.is_some() {
        cx.space.again = true;
        return;
    }
    cx.space.measuring = Some(BTreeMap::new());
    cx.disk(DiskOp::Usage, Pending::Space);
}

/// Time to measure it again.
pub(crate) fn on_timer(cx: &mut Context) {
    measure(cx);
}

/// The disk has been measured.
pub(crate) fn on_measured(cx: &mut Context, result: DiskResult) {
    let since = cx.space.measuring.take().unwrap_or_default();
    if let Ok(DiskDone::Usage(usage)) = result {
        note(cx, &usage, &since);
    }
    let next = cx.now.mono + MEASURE_EVERY;
    cx.timers.set(Timer::Space, next);
    if core::mem::take(&mut cx.space.again) {
        measure(cx);
    }
    mend::on_measured(cx);
}

fn note(cx: &mut Context, usage: &Usage, since: &BTreeMap<OwnerId, u64>) {
    let before = cx.space.taken.take().unwrap_or_default();
    let mut taken: BTreeMap<OwnerId, u64> = usage.owners.iter().map(|usage| (usage.owner, usage.bytes)).collect();
    for (owner, bytes) in since {
        *taken.entry(*owner).or_default() += bytes;
    }
    if planted!(cx.simulation, QuotaCountsDropped) {
        for (owner, bytes) in before {
            let now = taken.entry(owner).or_default();
            *now = bytes.max(*now);
        }
    }
    let came: u64 = since.values().sum();
    cx.space.free = usage.free_bytes.map(|free| free.saturating_sub(came));
    cx.space.taken = Some(taken);
}

/// Lets bytes of chunks in that an owner wants stored here, or says why not. What is let in must be told of later, by
/// [`arrived`] or [`withdrawn`].
///
/// # Errors
/// `Full` when they do not fit into what the owner or everybody may have here, `Busy` before that is known.
pub(crate) fn admit(cx: &mut Context, owner: OwnerId, bytes: u64) -> Result<(), Refusal> {
    let quota = cx.config.quota_bytes;
    if owner != cx.owner && quota > 0 {
        let Some(taken) = &cx.space.taken else { return Err(Refusal::Busy) };
        let of_owner = taken.get(&owner).unwrap_or(&0) + cx.space.coming.get(&owner).unwrap_or(&0);
        if of_owner + bytes > quota {
            sometimes!(cx.simulation, "space.quota-used-up");
            measure(cx);
            return Err(Refusal::Full);
        }
    }
    if cx.space.free.is_some_and(|free| cx.space.coming() + bytes > free) {
        sometimes!(cx.simulation, "space.no-room-left");
        measure(cx);
        return Err(Refusal::Full);
    }
    hold(cx, owner, bytes);
    Ok(())
}

/// Bytes that were let in before are to come again.
pub(crate) fn hold(cx: &mut Context, owner: OwnerId, bytes: u64) {
    *cx.space.coming.entry(owner).or_default() += bytes;
}

/// Bytes that were let in will not come.
pub(crate) fn withdrawn(cx: &mut Context, owner: OwnerId, bytes: u64) {
    let Some(coming) = cx.space.coming.get_mut(&owner) else { return };
    *coming = coming.saturating_sub(bytes);
    if *coming == 0 {
        cx.space.coming.remove(&owner);
    }
}

/// Bytes that were let in have been written; `new` if the disk did not have them.
pub(crate) fn arrived(cx: &mut Context, owner: OwnerId, bytes: u64, new: bool) {
    withdrawn(cx, owner, bytes);
    if new {
        grew(cx, owner, bytes);
    }
}

/// Bytes have been written that the disk did not have.
pub(crate) fn grew(cx: &mut Context, owner: OwnerId, bytes: u64) {
    if let Some(taken) = &mut cx.space.taken {
        *taken.entry(owner).or_default() += bytes;
    }
    if let Some(since) = &mut cx.space.measuring {
        *since.entry(owner).or_default() += bytes;
    }
    cx.space.free = cx.space.free.map(|free| free.saturating_sub(bytes));
}

/// Whether so little may still be written that not even one chunk fits.
pub(crate) fn is_full(cx: &Context, usage: &Usage) -> bool {
    usage.free_bytes.is_some_and(|free| free < u64::from(cx.config.chunk_size))
}
