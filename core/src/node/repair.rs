//! Repair: records that this node is to hold and lacks are fetched from whoever has them, without their owners and without keys;
//! those first of whose holders the fewest live, and no faster than the configured rate.
//!
//! Nothing of this is remembered across a restart: the next comparison finds again what is still missing, and chunks that came stay.

use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;

use crate::disk::DiskOp;
use crate::ids::{NodeId, RecordId};
use crate::node::context::Context;
use crate::node::gauges::Gauge;
use crate::node::pending::{Completion, Pending};
use crate::node::pull::{self, PullClient, PullOutcome};
use crate::node::timers::Timer;
use crate::node::{answers, cluster, mend, schema, sync};
use crate::record::SignedRecord;
use crate::time::Monotonic;
use crate::{planted, sometimes};

/// Records repaired at once: few, because callers' own transfers go first.
const ACTIVE_MAX: usize = 4;

/// Records that wait for their turn. Comparisons wait while there are half as many.
const WAITING_MAX: usize = 4_096;

/// The first and the longest wait before a record is fetched again that could not be had; each is twice the last.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Records remembered that could not be had.
const REFUSED_MAX: usize = 4_096;

/// For how long the rate may be saved up.
const BURST: Duration = Duration::from_secs(1);

/// Place in the queue: how many of a record's holders live, then the order of coming.
type Place = (usize, u64);

#[derive(Debug)]
struct Want {
    record: SignedRecord,
    /// Peers that said that they have it.
    sources: BTreeSet<NodeId>,
}

/// A record that is not fetched for a while.
#[derive(Clone, Copy, Debug)]
struct Refused {
    /// When it may be fetched again, and the wait that was.
    again: Monotonic,
    wait: Duration,
    /// Its name would not keep it, as far as newer records here say.
    is_obsolete: bool,
}

/// What is being repaired, and what waits.
#[derive(Debug, Default)]
pub(crate) struct Repairs {
    queue: BTreeMap<Place, Want>,
    places: BTreeMap<RecordId, Place>,
    active: BTreeMap<RecordId, Want>,
    /// Records that could not be had, or that their names would not keep.
    refused: BTreeMap<RecordId, Refused>,
    /// Bytes that may be fetched now; below nothing after one that was longer.
    tokens: i64,
    counted_at: Monotonic,
}

/// Operations that may be under way, besides those of pulls.
pub(crate) const OPERATIONS_MAX: u64 = ACTIVE_MAX as u64;

/// What of its limits is used.
pub(crate) fn gauges(cx: &Context) -> [Gauge; 3] {
    [
        ("repairs", cx.repairs.active.len() as u64, ACTIVE_MAX as u64),
        ("repairs waiting", cx.repairs.queue.len() as u64, WAITING_MAX as u64),
        ("repairs refused", cx.repairs.refused.len() as u64, REFUSED_MAX as u64),
    ]
}

/// Whether more may be asked for.
pub(crate) fn has_room(cx: &Context) -> bool {
    cx.repairs.queue.len() < WAITING_MAX / 2
}

/// A record that is to be here and seems not to be; a peer has it.
pub(crate) fn want(cx: &mut Context, record: SignedRecord, from: NodeId) {
    let id = record.id;
    if let Some(want) = cx.repairs.active.get_mut(&id) {
        want.sources.insert(from);
        return;
    }
    if let Some(want) = cx.repairs.places.get(&id).and_then(|place| cx.repairs.queue.get_mut(place)) {
        want.sources.insert(from);
        return;
    }
    let waits = cx.repairs.refused.get(&id).filter(|refused| cx.now.mono < refused.again).copied();
    if waits.is_some_and(|refused| refused.is_obsolete) {
        return;
    }
    if waits.is_some() || cx.repairs.queue.len() >= WAITING_MAX || cx.evicting.contains(&id) {
        return sync::mark_later(cx, from);
    }
    // The fewer of its holders live, the more is it in danger.
    let alive = cluster::alive_holders(cx, record.record.name_id, record.record.retention.replicas);
    let place = (alive, cx.number());
    cx.repairs.places.insert(id, place);
    cx.repairs.queue.insert(place, Want { record, sources: [from].into() });
    pump(cx);
}

fn pump(cx: &mut Context) {
    while cx.repairs.active.len() < ACTIVE_MAX && has_tokens(cx) {
        let Some((_, want)) = cx.repairs.queue.pop_first() else { return };
        let id = want.record.id;
        cx.repairs.places.remove(&id);
        let keys = alloc::vec![schema::record_key(&want.record)];
        cx.repairs.active.insert(id, want);
        cx.disk(DiskOp::Lookup { keys }, Pending::Repair(id));
    }
}

/// The disk has told whether it has the record.
pub(crate) fn on_completion(cx: &mut Context, id: RecordId, completion: Completion) {
    let Some(Want { record, sources }) = cx.repairs.active.get(&id) else { return };
    let (record, mut sources) = (record.clone(), sources.clone());
    let is_here = match completion.values() {
        Ok(values) => values.iter().any(Option::is_some),
        Err(error) => {
            answers::note_disk_error(cx, &error);
            return put_off(cx, id);
        }
    };
    let part = cluster::part_here(cx, &record.record).filter(|_| !is_here);
    let Some(part) = part.filter(|_| !cx.evicting.contains(&id)) else {
        cx.repairs.active.remove(&id);
        return pump(cx);
    };
    // The others that are to hold it, too.
    sources.extend(cluster::holders(cx, record.record.name_id, record.record.retention.replicas));
    sources.extend(cluster::owner_devices(cx, record.record.owner));
    sources.remove(&cx.me);
    pull::start(cx, record, part, PullClient::Repair, sources);
}

/// It cannot be had now: whoever has it is compared with again.
fn put_off(cx: &mut Context, id: RecordId) {
    sometimes!(cx.simulation, "repair.put-off");
    let Some(want) = cx.repairs.active.remove(&id) else { return };
    refuse(cx, id, false);
    for node in want.sources {
        if !planted!(cx.simulation, RepairNotRearmed) {
            sync::mark_later(cx, node);
        }
    }
    if planted!(cx.simulation, RepairStops) {
        cx.repairs.queue.clear();
        cx.repairs.places.clear();
    }
    pump(cx);
}

/// A record could not be had: the next try is later than the last was. Or its name would not keep it: then it is not looked at
/// again for the longest wait.
fn refuse(cx: &mut Context, id: RecordId, is_obsolete: bool) {
    let (first, longest) = AGAIN;
    let before = cx.repairs.refused.remove(&id);
    let next = before.map_or(first, |refused| (refused.wait * 2).min(longest));
    let wait = if is_obsolete { longest } else { next };
    if cx.repairs.refused.len() >= REFUSED_MAX {
        cx.repairs.refused.pop_first();
    }
    let again = cx.now.mono + cx.jitter(wait);
    cx.repairs.refused.insert(id, Refused { again, wait, is_obsolete });
}

/// Whether a record's name was found not to keep it, a moment ago: who lacks it lacks nothing.
pub(crate) fn is_obsolete(cx: &Context, id: RecordId) -> bool {
    cx.repairs.refused.get(&id).is_some_and(|refused| refused.is_obsolete && cx.now.mono < refused.again)
}

/// Somebody has come who may have what could not be had, or others are to hold it.
pub(crate) fn try_all_again(cx: &mut Context) {
    cx.repairs.refused.clear();
}

/// A record has been fetched, or cannot be now.
pub(crate) fn on_pulled(cx: &mut Context, record: &SignedRecord, outcome: PullOutcome) {
    match outcome {
        PullOutcome::Refused(_) => put_off(cx, record.id),
        // Newer records that are here keep it away: who has it still prunes it, too, once it has those.
        PullOutcome::Obsolete(_) => {
            sometimes!(cx.simulation, "repair.obsolete");
            cx.repairs.active.remove(&record.id);
            refuse(cx, record.id, true);
            pump(cx);
        }
        PullOutcome::Stored { .. } => {
            let Some(want) = cx.repairs.active.remove(&record.id) else { return };
            cx.repairs.refused.remove(&record.id);
            sometimes!(cx.simulation, "repair.done");
            if record.record.owner != cx.owner && !want.sources.iter().any(|node| is_device(cx, *node, record)) {
                sometimes!(cx.simulation, "repair.without-the-owner");
            }
            pump(cx);
        }
    }
}

fn is_device(cx: &Context, node: NodeId, record: &SignedRecord) -> bool {
    cx.members.devices(record.record.owner).any(|device| device == node)
}

/// Counts what the rate has allowed since it was counted last.
fn count(cx: &mut Context) {
    let rate = i64::try_from(cx.config.repair_bytes_s).unwrap_or(i64::MAX);
    let since = (cx.now.mono - cx.repairs.counted_at).min(BURST);
    let micros = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
    let gained = i64::try_from(i128::from(rate) * i128::from(micros) / 1_000_000).unwrap_or(i64::MAX);
    if gained > 0 {
        cx.repairs.tokens = cx.repairs.tokens.saturating_add(gained).min(rate);
        cx.repairs.counted_at = cx.now.mono;
    }
}

/// Whether something may be fetched now. If not, it is looked again when it may.
pub(crate) fn has_tokens(cx: &mut Context) -> bool {
    count(cx);
    if cx.repairs.tokens > 0 {
        return true;
    }
    let rate = cx.config.repair_bytes_s.max(1);
    let micros = cx.repairs.tokens.unsigned_abs().saturating_add(1).saturating_mul(1_000_000).div_ceil(rate);
    let due = cx.now.mono + Duration::from_micros(micros.max(1_000));
    cx.timers.set(Timer::Repair, due);
    false
}

/// Takes the bytes of a chunk from what the rate allows. False if it has to wait.
pub(crate) fn take(cx: &mut Context, bytes: u32) -> bool {
    let may = has_tokens(cx);
    if may {
        cx.repairs.tokens -= i64::from(bytes);
    }
    may
}

/// Notes bytes that are fetched whether or not the rate allows them: what follows waits the longer.
pub(crate) fn spend(cx: &mut Context, bytes: u32) {
    cx.repairs.tokens -= i64::from(bytes);
}

/// The rate allows more.
pub(crate) fn on_timer(cx: &mut Context) {
    pull::pump_repairs(cx);
    mend::pump(cx);
    pump(cx);
}
