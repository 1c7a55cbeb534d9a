//! Who waits for the completion of an operation.

use crate::disk::{DiskDone, DiskError, DiskResult};
use crate::ids::{LinkId, NameId, ObjectKey, OwnerId, RecordId, RequestId};
use crate::node::announce::{AnnounceStep, PromiseStep};
use crate::node::answers::AnswerStep;
use crate::node::boot::BootStep;
use crate::node::cache::CacheStep;
use crate::node::checkpoints::CheckpointStep;
use crate::node::collect::{CollectStep, RemoveStep};
use crate::node::evicted::EvictedStep;
use crate::node::locate::LocateStep;
use crate::node::mend::MendStep;
use crate::node::outbox::OutboxStep;
use crate::node::page_loader::PageStep;
use crate::node::presence::PresenceStep;
use crate::node::publish::PublishStep;
use crate::node::pull::{PullId, PullStep};
use crate::node::records::RecordsStep;
use crate::node::scrub::ScrubStep;
use crate::node::sync::SyncStep;
use crate::node::task::TaskStep;
use crate::node::upload::{UploadKey, UploadStep};
use crate::work::WorkResult;

/// Who waits, and for what.
#[derive(Debug)]
pub(crate) enum Pending {
    Boot(BootStep),
    Answer(AnswerStep),
    Serve {
        link: LinkId,
        want: u64,
        object: ObjectKey,
    },
    Upload(UploadKey, UploadStep),
    Announce(AnnounceStep),
    Promise(PromiseStep),
    Page(u64, PageStep),
    Pull(PullId, PullStep),
    Locate(RequestId, LocateStep),
    Publish(RequestId, PublishStep),
    Task(RequestId, TaskStep),
    Outbox(OutboxStep),
    /// Debts are being counted.
    Debts,
    Checkpoint(CheckpointStep),
    Records(RecordsStep),
    Sync(SyncStep),
    /// What is here of the name of a record that is to be repaired.
    Repair(RecordId),
    /// Records that lie out of place are being looked for.
    Rebalance,
    Evicted(EvictedStep),
    Mend(MendStep),
    Presence(PresenceStep),
    Scrub(ScrubStep),
    Collect(CollectStep),
    Remove(RecordId, RemoveStep),
    Cache(CacheStep),
    /// The disk is measured.
    Space,
    /// A promise about a record of this name has been given back.
    Release(LinkId, OwnerId, NameId),
    /// Housekeeping that is repeated anyway if it fails.
    Nobody,
}

/// What came of the operation.
#[derive(Debug)]
pub(crate) enum Completion {
    Disk(DiskResult),
    Work(WorkResult),
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "each accessor is about one kind of result; all others mean the same bug of the runtime"
)]
impl Completion {
    /// The result of a disk operation.
    ///
    /// # Panics
    /// If it is that of work: operation numbers are never reused, so that is a bug of the runtime.
    pub(crate) fn disk(self) -> DiskResult {
        match self {
            Self::Disk(result) => result,
            Self::Work(_) => panic!("a disk operation was completed by a result of work"),
        }
    }

    /// The result of work.
    ///
    /// # Panics
    /// If it is that of a disk operation.
    pub(crate) fn work(self) -> WorkResult {
        match self {
            Self::Work(result) => result,
            Self::Disk(_) => panic!("work was completed by the result of a disk operation"),
        }
    }

    /// The values of a lookup.
    pub(crate) fn values(self) -> Result<alloc::vec::Vec<Option<bytes::Bytes>>, DiskError> {
        match self.disk()? {
            DiskDone::Values(values) => Ok(values),
            other => mismatch(&other),
        }
    }

    /// The entries of a scan, and whether there are more.
    pub(crate) fn entries(self) -> Result<(alloc::vec::Vec<(bytes::Bytes, bytes::Bytes)>, bool), DiskError> {
        match self.disk()? {
            DiskDone::Entries { entries, more } => Ok((entries, more)),
            other => mismatch(&other),
        }
    }

    /// Presence of blobs.
    pub(crate) fn has(self) -> Result<alloc::vec::Vec<bool>, DiskError> {
        match self.disk()? {
            DiskDone::Has(has) => Ok(has),
            other => mismatch(&other),
        }
    }

    /// A blob.
    pub(crate) fn blob(self) -> Result<bytes::Bytes, DiskError> {
        match self.disk()? {
            DiskDone::Blob(blob) => Ok(blob),
            other => mismatch(&other),
        }
    }

    /// Whether a written blob was new.
    pub(crate) fn written(self) -> Result<bool, DiskError> {
        match self.disk()? {
            DiskDone::Written { new } => Ok(new),
            other => mismatch(&other),
        }
    }

    /// Whether a commit was applied.
    pub(crate) fn committed(self) -> Result<bool, DiskError> {
        match self.disk()? {
            DiskDone::Committed => Ok(true),
            DiskDone::Missing { .. } => Ok(false),
            other => mismatch(&other),
        }
    }
}

/// A disk that answers another question than it was asked breaks the contract; nothing can be trusted after that.
fn mismatch<T>(done: &DiskDone) -> T {
    panic!("a disk operation was completed by the result of another: {done:?}")
}
