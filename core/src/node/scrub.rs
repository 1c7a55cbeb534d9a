//! The scrub: every blob of this disk is read and checked over a period of running time. What turns out to be damaged is
//! absent from then on (the disk sees to that), and is fetched again (`mend`).
//!
//! Blobs are read one at a time in order of their keys, at a pace at which all of them take the period. How far it has come
//! is kept on the disk, so a restart goes on there. `scrub_now` reads all of them at once, with a place of its own; this
//! scrub rests meanwhile.

use alloc::collections::VecDeque;
use core::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::disk::{DiskDone, DiskError, DiskOp, Write};
use crate::ids::BlobKey;
use crate::node::context::Context;
use crate::node::pending::{Completion, Pending};
use crate::node::timers::Timer;
use crate::node::{answers, schema};
use crate::time::Monotonic;
use crate::{planted, sometimes};

/// Blobs listed at a time. After so many the place is kept.
pub(crate) const BATCH: u32 = 64;

/// The longest time between two keepings of the place.
const KEEP_MAX: Duration = Duration::from_secs(60);

/// Parts of a period after which the place is kept, if that is sooner; and after which an empty disk is looked at again.
const PARTS_OF_PERIOD: u32 = 32;

/// When the disk is asked again that failed to answer.
const AGAIN: Duration = Duration::from_secs(10);

/// How far scrubs have come: the blob read last by each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Places {
    /// The scrub that takes its time.
    pub(crate) paced: Option<BlobKey>,
    /// One that was asked for and cut short.
    pub(crate) asked: Option<BlobKey>,
}

/// What the scrub waits for.
#[derive(Debug)]
pub(crate) enum ScrubStep {
    /// Where it was before the start.
    Place,
    Usage,
    List,
    Read(BlobKey, u64),
}

/// The scrub.
#[derive(Debug, Default)]
pub(crate) struct Scrub {
    pub(crate) places: Places,
    /// Blobs to read next, and their lengths in bytes.
    batch: VecDeque<(BlobKey, u64)>,
    /// Whether blobs follow after the batch.
    more: bool,
    /// Bytes of all blobs, as measured for the batch.
    total_bytes: u64,
    /// Whether something is under way, after which the next deadline is set.
    busy: bool,
    /// Whether all is read at once now, by a request.
    pub(crate) asked: bool,
    kept_at: Monotonic,
}

/// Reads from the disk how far it had come, and starts.
pub(crate) fn start(cx: &mut Context) {
    let keys = alloc::vec![Bytes::from_static(schema::SCRUB)];
    cx.disk(DiskOp::Lookup { keys }, Pending::Scrub(ScrubStep::Place));
}

/// Keeps how far scrubs have come.
pub(crate) fn keep_places(cx: &mut Context) {
    cx.scrub.kept_at = cx.now.mono;
    let value = schema::encode(&cx.scrub.places);
    answers::commit_quietly(cx, alloc::vec![Write::Put { key: Bytes::from_static(schema::SCRUB), value }]);
}

/// All has been read by a request: the next round starts from the first blob.
pub(crate) fn begin_anew(cx: &mut Context) {
    cx.scrub.places = Places::default();
    cx.scrub.batch.clear();
    keep_places(cx);
}

/// Goes on, after a request has read all blobs or was cut short.
pub(crate) fn resume(cx: &mut Context) {
    if !cx.scrub.busy {
        wait(cx, Duration::ZERO);
    }
}

fn wait(cx: &mut Context, time: Duration) {
    if !cx.config.scrub_period.is_zero() {
        let at = cx.now.mono + time;
        cx.timers.set(Timer::Scrub, at);
    }
}

/// Time to read the next blob.
pub(crate) fn on_timer(cx: &mut Context) {
    if cx.scrub.asked || cx.scrub.busy {
        return;
    }
    if !cx.mends.has_room() {
        return wait(cx, AGAIN);
    }
    let Some((blob, len)) = cx.scrub.batch.pop_front() else {
        cx.scrub.busy = true;
        return cx.disk(DiskOp::Usage, Pending::Scrub(ScrubStep::Usage));
    };
    cx.scrub.busy = true;
    cx.disk(DiskOp::ReadBlob { blob }, Pending::Scrub(ScrubStep::Read(blob, len)));
}

/// An operation is complete.
pub(crate) fn on_completion(cx: &mut Context, step: ScrubStep, completion: Completion) {
    let result = match step {
        ScrubStep::Place => {
            let value = completion.values().ok().and_then(|mut values| values.pop().flatten());
            let resumes = !planted!(cx.simulation, ScrubStartsOver);
            if let Some(places) = value.and_then(|value| schema::decode::<Places>(&value)).filter(|_| resumes) {
                cx.scrub.places = places;
            }
            return resume(cx);
        }
        ScrubStep::Read(blob, len) => {
            cx.scrub.busy = false;
            on_read(cx, blob, completion.blob());
            return next(cx, blob, len);
        }
        ScrubStep::Usage | ScrubStep::List => completion.disk(),
    };
    match result {
        Ok(DiskDone::Usage(usage)) => {
            cx.scrub.total_bytes = usage.blob_bytes;
            let list = DiskOp::ListBlobs { after: cx.scrub.places.paced, limit: BATCH };
            cx.disk(list, Pending::Scrub(ScrubStep::List));
        }
        Ok(DiskDone::Blobs { blobs, more }) => {
            cx.scrub.busy = false;
            on_listed(cx, blobs.into(), more);
        }
        Ok(_) | Err(_) => {
            cx.scrub.busy = false;
            wait(cx, AGAIN);
        }
    }
}

fn on_listed(cx: &mut Context, blobs: VecDeque<(BlobKey, u64)>, more: bool) {
    let is_empty = blobs.is_empty();
    cx.scrub.batch = blobs;
    cx.scrub.more = more;
    if is_empty {
        // Those that were left have been dropped, or there are none at all.
        cx.scrub.places.paced = None;
        return wait(cx, cx.config.scrub_period / PARTS_OF_PERIOD);
    }
    wait(cx, Duration::ZERO);
}

/// A blob was read, and was checked by that.
pub(crate) fn on_read(cx: &mut Context, blob: BlobKey, read: Result<Bytes, DiskError>) {
    match read {
        Err(DiskError::Corrupt) => {
            sometimes!(cx.simulation, "scrub.damage-found");
            answers::note_damage(cx, blob);
        }
        Err(error) => answers::note_disk_error(cx, &error),
        Ok(_) => {}
    }
}

fn next(cx: &mut Context, blob: BlobKey, len: u64) {
    let period = cx.config.scrub_period;
    cx.scrub.places.paced = Some(blob);
    if cx.scrub.batch.is_empty() && !cx.scrub.more {
        sometimes!(cx.simulation, "scrub.round-done");
        cx.scrub.places.paced = None;
    }
    let between = (period / PARTS_OF_PERIOD).min(KEEP_MAX);
    if cx.scrub.batch.is_empty() || cx.now.mono - cx.scrub.kept_at >= between {
        keep_places(cx);
    }
    wait(cx, share(period, len, cx.scrub.total_bytes));
}

/// The part of a period that is due to so many bytes of all.
fn share(period: Duration, len: u64, total: u64) -> Duration {
    let micros = period.as_micros() * u128::from(len.max(1)) / u128::from(total.max(len).max(1));
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

/// What of its limits is used: blobs listed and not read.
pub(crate) fn gauge(cx: &Context) -> (&'static str, u64, u64) {
    ("blobs to scrub next", cx.scrub.batch.len() as u64, u64::from(BATCH))
}
