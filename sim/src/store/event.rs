//! What oracles see of the store, whatever the tier: what happened, and what there is to look at.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use forever_core::command::{CommandError, VersionSelector};
use forever_core::event::{
    FileInfo, FileStat, PutReport, RequestError, RestoreReport, ScrubReport, Share, VersionInfo, WriteReport,
};
use forever_core::ids::{BlobKey, NameId, NodeId, OwnerId};
use forever_core::reconcile::Sum;
use forever_core::record::SignedRecord;
use forever_core::secrets::OwnerKeys;
use forever_core::version::Version;

use super::{Op, Scenario};

/// What the gauge of a node's requests is called.
pub(crate) const REQUESTS: &str = "requests";

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A caller began. Operations that the judge adds after the plan are numbered on from the plan's.
    Started {
        /// Its number.
        op: usize,
        /// What.
        what: Op,
        /// The version that it asks for, if it is an old one, or that its ticket opens.
        asked: Option<VersionSelector>,
    },
    /// A get delivered bytes to its caller, whatever becomes of it later.
    Delivered {
        /// Its number.
        op: usize,
        /// The bytes.
        piece: Piece,
    },
    /// A caller has its answer.
    Ended {
        /// Its number.
        op: usize,
        /// The answer.
        result: OpResult,
    },
    /// A node runs from now on.
    Up {
        /// Which.
        node: usize,
    },
    /// A node no longer runs. Its callers' operations have ended before.
    Down {
        /// Which.
        node: usize,
    },
    /// A fault took effect: something would have gone otherwise without it.
    Bit {
        /// Its number in the plan.
        fault: usize,
    },
    /// Stored bytes were destroyed by the plan.
    Lost {
        /// On which node's disk.
        node: usize,
        /// Which of them.
        what: DiskLoss,
    },
    /// A frame went to the channel, in the clear: header and payload as they are encoded.
    Frame {
        /// From which node.
        from: usize,
        /// To which.
        to: usize,
        /// On which of the sender's links; no two have one number.
        link: u64,
        /// Its bytes.
        bytes: Bytes,
    },
    /// A frame came out of the channel, in the clear: header and payload as they are encoded. Only of a tier whose channel is the
    /// real one.
    Heard {
        /// At which node.
        node: usize,
        /// From which, as the channel says.
        from: usize,
        /// On which of the hearer's links; no two have one number.
        link: u64,
        /// Its bytes.
        bytes: Bytes,
    },
    /// A stranger, who does not know the cluster key, was sent something by a node that it had dialled.
    Told {
        /// Which node.
        node: usize,
        /// What.
        bytes: Bytes,
    },
    /// An interesting state was reached.
    Probe {
        /// Its name.
        name: &'static str,
    },
    /// The plan is over, faults have ended, and only the core of the cluster is healed: see [`View::is_core`].
    Healed,
}

/// Bytes that a get delivered.
#[derive(Clone, PartialEq, Eq)]
pub struct Piece {
    /// The version that they are of, as the get said.
    pub version: Version,
    /// Their place in the file.
    pub first: u64,
    /// They.
    pub bytes: Bytes,
}

impl std::fmt::Debug for Piece {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes from byte {}", self.bytes.len(), self.first)
    }
}

/// Which stored bytes were destroyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskLoss {
    /// All.
    All,
    /// These blobs.
    Blobs(Vec<BlobKey>),
    /// What was acknowledged since the disk began to lie, or nobody knows what: from now on nothing of this disk counts.
    Unknown,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq)]
pub enum OpResult {
    /// A put was acknowledged.
    Put(PutReport),
    /// A get delivered all it had announced.
    Got(Got),
    /// A delete was acknowledged.
    Deleted(WriteReport),
    /// Files.
    Listed {
        /// In order of names.
        files: Vec<FileInfo>,
        /// Whether there are more.
        more: bool,
    },
    /// All of a file.
    Stat(FileStat),
    /// The history of a file.
    Versions(Vec<VersionInfo>),
    /// An evict freed so many bytes, on promises of these.
    Evicted {
        /// Bytes.
        freed_bytes: u64,
        /// Who promised.
        promised_by: Vec<NodeId>,
    },
    /// A restore is done.
    Restored(RestoreReport),
    /// A scrub is done.
    Scrubbed(ScrubReport),
    /// The disk was checked: chunks that its records need, and that are not there or not intact.
    Checked(Vec<BlobKey>),
    /// The node has left the cluster.
    Left,
    /// A node was written off.
    Forgotten,
    /// A ticket.
    Shared(Share),
    /// The caller went away on purpose.
    Abandoned,
    /// It failed.
    Failed(OpError),
}

/// What a get delivered.
#[derive(Clone, Debug, PartialEq)]
pub struct Got {
    /// The file.
    pub file: FileInfo,
    /// First byte delivered.
    pub first: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Why an operation came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpError {
    /// The node was down.
    #[error("the node was down")]
    Down,
    /// The node went down in the middle.
    #[error("the node went down in the middle")]
    Gone,
    /// There is no such ticket: whoever was to make it has not.
    #[error("nobody has made the ticket")]
    NoTicket,
    /// The node refused a command.
    #[error("refused: {0}")]
    Refused(CommandError),
    /// The request failed.
    #[error("{0}")]
    Failed(RequestError),
    /// The node's answer was not one that the request can have: a bug whatever it is.
    #[error("nonsense: {0}")]
    Nonsense(String),
}

/// What an honest reader of a node's disk finds, without asking the node.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// Records.
    pub records: Vec<Held>,
    /// Blobs that are present, and whether their bytes are what their address says.
    pub blobs: BTreeMap<BlobKey, bool>,
    /// All rows of the index.
    pub rows: Vec<(Bytes, Bytes)>,
}

impl Contents {
    /// What there is of a version of a name.
    #[must_use]
    pub fn holding(&self, owner: OwnerId, name: NameId, version: &Version) -> Holding {
        let is_it = |held: &&Held| held.is_of(owner, name) && held.record.record.version == *version;
        let Some(held) = self.records.iter().find(is_it) else { return Holding::Absent };
        let Some(chunks) = &held.chunks else { return Holding::Broken(Vec::new()) };
        let broken: Vec<BlobKey> =
            chunks.iter().filter(|chunk| self.blobs.get(chunk) != Some(&true)).copied().collect();
        Holding::of(chunks.clone(), broken, || self.mark(&held.record).is_some_and(|mark| is_light(mark)))
    }

    /// The records of a name, in no order.
    pub(crate) fn of_name(&self, owner: OwnerId, name: NameId) -> impl Iterator<Item = &SignedRecord> + Clone {
        self.records.iter().filter(move |held| held.is_of(owner, name)).map(|held| &held.record)
    }

    /// The mark of a record whose chunks may be absent: it is light, or was evicted.
    pub(crate) fn mark(&self, record: &SignedRecord) -> Option<&Bytes> {
        let mark = mark_key(record);
        self.rows.iter().find(|(key, _)| *key == mark).map(|(_, value)| value)
    }
}

/// The key of the mark of a record whose chunks may be absent.
pub(super) fn mark_key(record: &SignedRecord) -> Vec<u8> {
    [&b"E"[..], &record.record.owner.0, &record.id.0].concat()
}

/// Whether a mark says that the record is light: the file has never been here.
pub(super) fn is_light(mark: &[u8]) -> bool {
    mark == [1]
}

/// What a disk holds of a version of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holding {
    /// Not even its record.
    Absent,
    /// Its record, but not these chunks, or not intact; none are named if its manifest is not all there.
    Broken(Vec<BlobKey>),
    /// All of it; these are its chunks.
    Whole(Vec<BlobKey>),
    /// All of it, by chance: the node is a device of the owner that does not hold the file, and its record says so.
    Light(Vec<BlobKey>),
}

impl Holding {
    pub(super) fn of(chunks: Vec<BlobKey>, broken: Vec<BlobKey>, is_light: impl FnOnce() -> bool) -> Self {
        match broken.is_empty() {
            false => Self::Broken(broken),
            true if is_light() => Self::Light(chunks),
            true => Self::Whole(chunks),
        }
    }
}

/// A record on a disk, with the chunks it needs.
#[derive(Clone, Debug)]
pub struct Held {
    /// The record.
    pub record: SignedRecord,
    /// Its chunks, if all its manifest pages are there.
    pub chunks: Option<Vec<BlobKey>>,
}

impl Held {
    fn is_of(&self, owner: OwnerId, name: NameId) -> bool {
        (self.record.record.owner, self.record.record.name_id) == (owner, name)
    }
}

/// What oracles can look at between two events.
pub trait View {
    /// What is simulated.
    fn scenario(&self) -> &Scenario;

    /// A node's id.
    fn node_id(&self, node: usize) -> NodeId;

    /// The keys of a node's owner.
    fn keys(&self, node: usize) -> &OwnerKeys;

    /// Secrets that belong in no frame and on no disk, with what each is.
    fn secrets(&self) -> Vec<(String, Vec<u8>)>;

    /// Whether a node runs.
    fn is_up(&self, node: usize) -> bool;

    /// Whether a node belongs to the part of the cluster that was healed at the end.
    fn is_core(&self, node: usize) -> bool;

    /// Whether a node has left the cluster, or was written off.
    fn is_gone(&self, _node: usize) -> bool {
        false
    }

    /// What is on a node's disk, read from the disk itself: acknowledged writes, and whatever else is there.
    fn contents(&mut self, node: usize) -> Arc<Contents>;

    /// What a node's disk holds of a version of a name: [`Contents::holding`] of [`View::contents`], which a tier may know a
    /// cheaper way to.
    fn holding(&mut self, node: usize, owner: OwnerId, name: NameId, version: &Version) -> Holding {
        self.contents(node).holding(owner, name, version)
    }

    /// Shows every byte on a node's disk, with the place it was found at.
    fn each_stored(&mut self, node: usize, show: &mut dyn FnMut(&str, &[u8]));

    /// How full a running node's queues are, or were since this was asked last, if the tier cannot look at any time:
    /// `(name, used, limit)`.
    fn gauges(&self, node: usize) -> Vec<(&'static str, u64, u64)>;

    /// How many requests of callers a running node has under way.
    fn requests(&self, node: usize) -> u64 {
        self.gauges(node).into_iter().find(|(name, ..)| *name == REQUESTS).map_or(0, |(_, used, _)| used)
    }

    /// Bytes of blobs that each owner has on a node's disk. Empty if the tier cannot tell.
    fn usage(&self, _node: usize) -> BTreeMap<OwnerId, u64> {
        BTreeMap::new()
    }

    /// What a node of the core has had under way at all times since it came to rest, before the judge asks it anything:
    /// `(name, least)`. Empty if it did not come to rest.
    fn left_over(&self, node: usize) -> Vec<(&'static str, u64)>;

    /// Links that stand at a node, with the node at the other end. Empty if the tier cannot tell.
    fn links(&self, node: usize) -> Vec<usize>;

    /// The sum of the records on its disk as a running node knows it. `None` while it is not certain, or if the tier cannot tell.
    fn record_sum(&self, _node: usize) -> Option<Sum> {
        None
    }
}
