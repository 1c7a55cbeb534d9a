//! Room: how many bytes of blobs this disk holds for each owner, and whether it takes more of them.
//!
//! The disk counts; here is what it said last and what has come since, so that an offer is answered without asking it. Bytes that
//! are let in count as taken before they come. What is known errs on the side of too much: writes during a measurement are counted
//! twice, and what was dropped is counted until the next one. So no limit is exceeded, and a refusal asks the disk anew.

use alloc::collections::BTreeMap;
use core::time::Duration;

use crate::disk::{DiskDone, DiskError, DiskOp, DiskResult, Usage};
use crate::frame::Refusal;
use crate::ids::{OpId, OwnerId};
use crate::node::context::Context;
use crate::node::gauges::Gauge;
use crate::node::pending::Pending;
use crate::node::timers::Timer;
use crate::node::{cache, mend};
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
    /// How many measurements have begun.
    begun: u64,
    /// Writes of blobs under way, and their bytes.
    writing: BTreeMap<OpId, u64>,
}

impl Space {
    fn coming(&self) -> u64 {
        self.coming.values().sum()
    }
}

/// What of its limits is used: bytes let in and not written yet end with what lets them in.
pub(crate) fn gauge(cx: &Context) -> Gauge {
    ("bytes let in", cx.space.coming(), u64::MAX)
}

/// Measures the disk, as soon as it is not being measured already. The number of the measurement that sees what is so now.
pub(crate) fn measure(cx: &mut Context) -> u64 {
    if cx.space.measuring.is_some() {
        cx.space.again = true;
        return cx.space.begun + 1;
    }
    cx.space.measuring = Some(BTreeMap::new());
    cx.space.begun += 1;
    cx.disk(DiskOp::Usage, Pending::Space);
    cx.space.begun
}

/// The number of the last measurement that has begun.
pub(crate) fn measurement(cx: &Context) -> u64 {
    cx.space.begun
}

/// A blob is about to be written.
pub(crate) fn begin_write(cx: &mut Context, op: OpId, bytes: u64) {
    cx.space.writing.insert(op, bytes);
}

/// An operation is complete, a write or another.
pub(crate) fn end_write(cx: &mut Context, op: OpId) {
    cx.space.writing.remove(&op);
}

/// Bytes of blobs being written.
pub(crate) fn writing(cx: &Context) -> u64 {
    cx.space.writing.values().sum()
}

/// Bytes that will be taken of what is free, as far as is known.
pub(crate) fn promised(cx: &Context) -> u64 {
    cx.space.coming() + writing(cx)
}

/// How much of so many bytes does not fit into what is free, as far as is known.
pub(crate) fn lacking(cx: &Context, bytes: u64) -> u64 {
    cx.space.free.map_or(0, |free| bytes.saturating_sub(free))
}

/// Time to measure it again.
pub(crate) fn on_timer(cx: &mut Context) {
    measure(cx);
}

/// The disk has been measured.
pub(crate) fn on_measured(cx: &mut Context, result: DiskResult) {
    let since = cx.space.measuring.take().unwrap_or_default();
    let usage = if let Ok(DiskDone::Usage(usage)) = result { Some(usage) } else { None };
    if let Some(usage) = &usage {
        note(cx, usage, &since);
    }
    cache::on_measured(cx, usage.as_ref());
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
        let coming = *cx.space.coming.get(&owner).unwrap_or(&0);
        let counted = if planted!(cx.simulation, QuotaIgnoresComing) { 0 } else { coming };
        let of_owner = taken.get(&owner).unwrap_or(&0) + counted;
        if of_owner + bytes > quota {
            sometimes!(cx.simulation, "space.quota-used-up");
            measure(cx);
            return Err(Refusal::Full);
        }
    }
    if lacking(cx, cx.space.coming() + bytes) > cx.cache.reclaimable() {
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

/// Bytes that were let in have been written, or have not: what is `Ok(true)` the disk did not have before. A write that failed may have
/// left them there all the same; they count as taken until the disk has been measured.
pub(crate) fn arrived(cx: &mut Context, owner: OwnerId, bytes: u64, written: &Result<bool, DiskError>) {
    withdrawn(cx, owner, bytes);
    match written {
        Ok(true) => grew(cx, owner, bytes),
        Err(DiskError::Io(_) | DiskError::Degraded(_)) => {
            grew(cx, owner, bytes);
            measure(cx);
        }
        Ok(false) | Err(DiskError::NotFound | DiskError::Corrupt | DiskError::Mismatch | DiskError::Full) => {}
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
    let room = usage.free_bytes.map(|free| free + cx.cache.reclaimable());
    room.is_some_and(|room| room < u64::from(cx.config.chunk_size))
}
