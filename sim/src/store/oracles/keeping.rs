//! What names keep on a disk: the core's own rule (`forever_core::merge`), applied to the records that lie there.

use std::time::Duration;

use forever_core::merge::{Age, Keeper};
use forever_core::record::{Record, RecordBody, Retention};
use forever_core::version::Version;

use super::super::machine::EPOCH_MS;
use super::super::{Contents, Family, View};
use super::history::Address;

/// How long a pass over all records may take.
const PASS: Duration = Duration::from_secs(5);

/// The time by which a node may have judged: none lies beyond it. Where clocks go wrong, any may.
pub(crate) fn latest(view: &dyn View, at: Duration) -> Age {
    let now_ms = if view.scenario().families.contains(&Family::Clock) { u64::MAX } else { now_ms(at) };
    Age { now_ms, day_ms: day_ms(view) }
}

/// A time by which every node has judged after some rest. A node that was down, or whose clock was wrong, may not believe that
/// it has come; of those only that is certain which follows from the records.
pub(crate) fn earliest(view: &dyn View, at: Duration) -> Age {
    let doubtful = |family: &Family| matches!(family, Family::Clock | Family::Process);
    let is_certain = !view.scenario().families.iter().any(doubtful);
    let judged_ms = now_ms(at).saturating_sub(pass_ms(view));
    if is_certain { Age { now_ms: judged_ms, day_ms: day_ms(view) } } else { undated(view) }
}

/// No time at all: of what a name keeps only that is certain then which follows from its records.
pub(crate) fn undated(view: &dyn View) -> Age {
    Age { now_ms: 0, day_ms: day_ms(view) }
}

/// After how long at most a node goes through all its records again: its rest between passes, and some time for a pass.
fn pass_ms(view: &dyn View) -> u64 {
    let config = &view.scenario().config;
    let rest = (config.lease / 8).min(config.day / 24).clamp(Duration::from_secs(1), Duration::from_secs(3_600));
    u64::try_from((rest + PASS).as_millis()).unwrap_or(u64::MAX)
}

fn now_ms(at: Duration) -> u64 {
    EPOCH_MS + u64::try_from(at.as_millis()).unwrap_or(u64::MAX - EPOCH_MS)
}

fn day_ms(view: &dyn View) -> u64 {
    u64::try_from(view.scenario().config.day.as_millis()).unwrap_or(u64::MAX)
}

/// Whether a disk holds a deletion of a name that stands above a version.
pub(crate) fn is_deleted_above(contents: &Contents, (owner, name): Address, version: &Version) -> bool {
    let mut records = contents.of_name(owner, name).map(|signed| &signed.record);
    records.any(|record| record.body == RecordBody::Tombstone && record.version > *version)
}

/// Whether a name, by its records on a disk, does not keep a version, whether that is there or not.
pub(crate) fn is_obsolete(contents: &Contents, address: Address, version: &Version, age: Age) -> bool {
    is_obsolete_by([contents], address, version, age)
}

/// Whether a name, by its records on some disks together, does not keep a version. What it keeps instead need not lie on each of
/// them: the holders of two versions differ where they are to be kept on different numbers of nodes.
pub(crate) fn is_obsolete_by<'c>(
    disks: impl IntoIterator<Item = &'c Contents>,
    (owner, name): Address,
    version: &Version,
    age: Age,
) -> bool {
    let of_name = disks.into_iter().flat_map(|contents| contents.of_name(owner, name)).map(|signed| &signed.record);
    let mut above: Vec<&Record> = of_name.filter(|record| record.version > *version).collect();
    above.sort_by_key(|record| std::cmp::Reverse(record.version));
    above.dedup_by_key(|record| record.version);
    let Some(newest) = above.first() else { return false };
    // What it says does not matter for itself.
    let retention = Retention { keep_versions: 1, ..newest.retention };
    let judged = Record { owner, name_id: name, version: *version, retention, body: RecordBody::Tombstone };
    let mut keeper = Keeper::new(age);
    for record in above {
        keeper.keeps(record);
    }
    !keeper.keeps(&judged)
}
