//! What a node tells its callers.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::disk::Usage;
use crate::ids::{NodeId, OwnerId, RequestId};
use crate::name::Name;
use crate::placement::Replicas;
use crate::ticket::{SignedTicket, TicketError};
use crate::version::Version;

/// An event of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The request.
    pub request: RequestId,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub enum What {
    /// A put may be given so many more chunks.
    PutReady {
        /// How many more.
        chunks: u32,
    },
    /// A put is acknowledged: durable on enough nodes. Ends the request.
    PutDone(PutReport),
    /// A get has found its file; data follow.
    GetStart {
        /// The file.
        file: FileInfo,
        /// First byte delivered.
        first: u64,
        /// How many bytes will be delivered.
        len: u64,
    },
    /// The next bytes of a file, verified.
    GetData(Plain),
    /// All bytes were delivered. Ends the request.
    GetDone,
    /// A delete is acknowledged. Ends the request.
    Deleted(WriteReport),
    /// A deleted file is back, and acknowledged. Ends the request.
    Undeleted {
        /// The file as it is now.
        file: FileInfo,
        /// Who holds it.
        write: WriteReport,
    },
    /// Ends a list.
    Listed {
        /// In order of names.
        files: Vec<FileInfo>,
        /// Whether the limit cut the list short.
        more: bool,
    },
    /// Ends a stat.
    Stat(FileStat),
    /// Ends a request for the history: newest first.
    Versions(Vec<VersionInfo>),
    /// Ends a share.
    Shared(Share),
    /// Ends an evict.
    Evicted {
        /// Bytes freed.
        freed_bytes: u64,
        /// Who promised to keep the file.
        promised_by: Vec<NodeId>,
    },
    /// A version of a file that a restore would bring back, if it were not to be a dry run.
    RestoreFound(FileInfo),
    /// How a restore goes on.
    RestoreProgress(RestoreReport),
    /// Ends a restore.
    Restored(RestoreReport),
    /// Ends a leave: the node has left the cluster and stops.
    Left,
    /// Ends a request to forget a node.
    Forgotten,
    /// How a scrub goes on.
    ScrubProgress(ScrubReport),
    /// Ends a scrub.
    Scrubbed(ScrubReport),
    /// Ends a status request.
    Status(StatusInfo),
    /// Ends a request for the peers.
    Peers(Vec<PeerInfo>),
    /// Ends any request that failed.
    Failed(RequestError),
}

impl What {
    /// Whether no event of the request follows.
    #[must_use]
    pub fn is_last(&self) -> bool {
        match self {
            Self::PutReady { .. } | Self::GetStart { .. } | Self::GetData(_) => false,
            Self::RestoreFound(_) | Self::RestoreProgress(_) | Self::ScrubProgress(_) => false,
            Self::PutDone(_)
            | Self::GetDone
            | Self::Deleted(_)
            | Self::Undeleted { .. }
            | Self::Listed { .. }
            | Self::Stat(_)
            | Self::Versions(_)
            | Self::Shared(_)
            | Self::Evicted { .. }
            | Self::Restored(_)
            | Self::Left
            | Self::Forgotten
            | Self::Scrubbed(_)
            | Self::Status(_)
            | Self::Peers(_)
            | Self::Failed(_) => true,
        }
    }
}

/// Plaintext on its way to a caller; a trace shows only its length.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plain(pub Bytes);

impl core::fmt::Debug for Plain {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Plain({} B, ***)", self.0.len())
    }
}

/// What became of a put.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutReport {
    /// The file as stored.
    pub file: FileInfo,
    /// Bytes of blobs that this node did not hold before.
    pub new_bytes: u64,
    /// Bytes of blobs that peers asked for.
    pub sent_bytes: u64,
    /// Who holds it.
    pub write: WriteReport,
}

/// Where a write is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteReport {
    /// The version written.
    pub version: Version,
    /// How many nodes hold it durably, this one included.
    pub replicas: u32,
    /// How many of the nodes that are to hold it do not yet; they will get it when they can be reached.
    pub pending: u32,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileInfo {
    /// Its name.
    pub name: Name,
    /// Its version.
    pub version: Version,
    /// Its length in bytes.
    pub size: u64,
    /// How many chunks.
    pub chunks: u64,
    /// Time of last modification, milliseconds since the Unix epoch.
    pub mtime_ms: Option<u64>,
    /// Unix permission bits.
    pub mode: Option<u32>,
    /// Media type.
    pub content_type: Option<String>,
    /// The root page's id: equal only for the same version of the same file.
    pub etag: String,
}

/// All of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStat {
    /// The file.
    pub file: FileInfo,
    /// On how many nodes it is to be kept.
    pub replicas: Replicas,
    /// Which other nodes are among these, as far as this node knows, best first.
    pub placed: Vec<NodeId>,
    /// Whether this node holds all its blobs.
    pub local: bool,
    /// Which peers said that they hold all of it; `None` if they were not asked.
    pub holders: Option<Vec<NodeId>>,
    /// Which connected peers gave no answer in time.
    pub silent: Vec<NodeId>,
}

/// A version of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionInfo {
    /// The version.
    pub version: Version,
    /// Whether it is a deletion.
    pub deleted: bool,
    /// Its length in bytes; `None` for a deletion, or when its manifest is not here.
    pub size: Option<u64>,
    /// Whether it is the one that a get returns.
    pub current: bool,
}

/// A ticket that was made. Whoever has it can read the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// What it opens.
    pub file: FileInfo,
    /// Milliseconds since the Unix epoch after which it is void.
    pub expires_ms: u64,
    /// The ticket.
    pub ticket: SignedTicket,
}

/// What a restore has done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreReport {
    /// Peers that were asked.
    pub peers: u32,
    /// Peers that have told all they hold.
    pub peers_done: u32,
    /// Members that have not told all they hold.
    pub unasked: u32,
    /// Records found, but for checkpoints.
    pub records: u64,
    /// Files complete here, all versions counted; in a dry run, versions that are not and would be brought back.
    pub files: u64,
    /// Bytes of blobs fetched.
    pub fetched_bytes: u64,
    /// Records that could not be brought back: something of them is on no peer that answered.
    pub missing: u64,
    /// The first [`INCOMPLETE_MAX`] versions of files among these.
    pub incomplete: Vec<Incomplete>,
    /// What came of the newest checkpoint of each device, once that is known.
    pub checkpoints: Vec<CheckpointInfo>,
}

/// The most versions that a restore tells of one by one.
pub const INCOMPLETE_MAX: usize = 100;

impl RestoreReport {
    /// Whether all that the owner's devices had when they signed their newest checkpoints is here, or something newer. Nobody
    /// can say so without a checkpoint.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing == 0
            && !self.checkpoints.is_empty()
            && self.checkpoints.iter().all(|checkpoint| checkpoint.is_covered)
    }
}

/// A version of a file that is not whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incomplete {
    /// The file's name, if its manifest could be opened.
    pub name: Option<Name>,
    /// The version.
    pub version: Version,
}

/// A device's checkpoint, and whether what is known covers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointInfo {
    /// The device.
    pub device: NodeId,
    /// How many checkpoints it had signed, this one included.
    pub sequence: u64,
    /// When it signed this one, by its clock: milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// How many names it knew.
    pub names: u64,
    /// How many names of that time are known now.
    pub names_found: u64,
    /// Whether all that it knew is known, or something newer.
    pub is_covered: bool,
}

/// What a scrub has read and found so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubReport {
    /// Whether it goes on where an earlier one was cut short.
    pub resumed: bool,
    /// Records verified.
    pub records: u64,
    /// Of these, damaged ones.
    pub damaged_records: u64,
    /// Manifest pages verified.
    pub pages: u64,
    /// Records of which pages or chunks were missing.
    pub incomplete: u64,
    /// Blobs read.
    pub blobs: u64,
    /// Blobs on this disk when it began.
    pub blobs_total: u64,
    /// Bytes of blobs read.
    pub bytes: u64,
    /// Bytes of blobs on this disk when it began.
    pub bytes_total: u64,
    /// Blobs that were damaged.
    pub damaged: u64,
    /// Blobs that the disk failed to read; the next scrub reads them again.
    pub unreadable: u64,
    /// Chunks and records that peers gave back meanwhile.
    pub mended: u64,
    /// Chunks and records that are wanted here and that no peer had so far; they are asked for again.
    pub unmended: u64,
}

/// What a person wants to see first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusInfo {
    /// This node.
    pub node: NodeId,
    /// Its owner.
    pub owner: OwnerId,
    /// The owner's files; `None` while they are being counted after a start.
    pub files: Option<u64>,
    /// Their plain bytes.
    pub file_bytes: u64,
    /// The disk.
    pub disk: Option<Usage>,
    /// Whether the disk takes nothing more: not even a chunk fits into what is left.
    pub is_full: bool,
    /// What the blobs of each other owner may take here, in bytes; 0 for no limit.
    pub quota_bytes: u64,
    /// What all blobs together may take here, in bytes; 0 for no limit.
    pub store_max_bytes: u64,
    /// What cached chunks may take, in bytes; 0 for none. What they do take, the disk counts as that of
    /// [`CACHE_OWNER`](crate::disk::CACHE_OWNER).
    pub cache_max_bytes: u64,
    /// Why the disk no longer acknowledges anything, if so.
    pub disk_error: Option<String>,
    /// Peers connected.
    pub peers_connected: u32,
    /// Nodes of the cluster known, this one included, and addresses from the configuration that have never led to one.
    pub members: u32,
    /// How many of them are known to be alive, this one included.
    pub members_alive: u32,
    /// How many of them are known to be down.
    pub members_down: u32,
    /// How many nodes must hold a write before it is acknowledged.
    pub write_quorum: u32,
    /// Writes that some known node does not have yet.
    pub pending: u64,
    /// When this device signed its newest checkpoint, milliseconds since the Unix epoch.
    pub checkpoint_ms: Option<u64>,
    /// Whether names have changed since, or no other node has it yet.
    pub checkpoint_due: bool,
    /// Requests under way.
    pub requests: u32,
    /// Frames of peers that broke the protocol since the start.
    pub protocol_errors: u64,
    /// Blobs found damaged on this disk since the start.
    pub damaged_blobs: u64,
    /// Chunks and records that were damaged or missing here and were brought back from peers since the start.
    pub mended: u64,
    /// Chunks and records that are damaged or missing here and that no peer has given back so far.
    pub unmended: u64,
    /// Records of other owners that are not to be here: they go once those nodes that are to hold them have them. 0 while it is not
    /// known after a start.
    pub out_of_place: u64,
}

/// What is known of a peer's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerState {
    /// It is alive.
    Alive,
    /// It is down.
    Down {
        /// For how many seconds.
        for_s: u64,
    },
    /// It is a member, and nothing has been heard of it since this node started.
    Unseen,
    /// It has left the cluster.
    Left,
    /// A configured address that has never led to a node.
    Stranger,
}

/// A member of the cluster other than this node, or an address that should lead to one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerInfo {
    /// Who it is, once known.
    pub node: Option<NodeId>,
    /// Whose device it is, once known.
    pub owner: Option<OwnerId>,
    /// Where it is connected, or the first of its addresses; empty if none is known.
    pub address: String,
    /// Its zone.
    pub zone: String,
    /// How much it takes of what is stored, compared with others.
    pub weight: u32,
    /// Whether it is alive.
    pub state: PeerState,
    /// Whether a link stands.
    pub connected: bool,
    /// Payload bytes sent over the link that stands.
    pub sent_bytes: u64,
    /// Payload bytes received over it.
    pub received_bytes: u64,
    /// Why it is not connected, as far as known.
    pub error: Option<String>,
}

/// How a request failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum RequestError {
    /// Nobody who answered has it.
    #[error("no such file")]
    NotFound,
    /// No such version.
    #[error("the file has no such version")]
    NoSuchVersion,
    /// A file that is to be put back is not deleted.
    #[error("the file is not deleted")]
    NotDeleted,
    /// What was deleted has not been kept.
    #[error("the deleted file is no longer kept: what is deleted stays for keep_days days")]
    NotKept,
    /// The ticket is none, or not its owner's.
    #[error(transparent)]
    Ticket(#[from] TicketError),
    /// The ticket is void.
    #[error(
        "the ticket has been void for {ago_s} s by this machine's clock: ask whoever gave it to you for another one"
    )]
    TicketExpired {
        /// For how many seconds.
        ago_s: u64,
    },
    /// The version that the ticket opens is no more.
    #[error(
        "nobody here has what the ticket opens: its owner has deleted it, newer versions have pushed it out, or it is of \
         another cluster. Ask for another ticket"
    )]
    TicketGone,
    /// The range lies outside the file.
    #[error("the range lies outside the file's {len} bytes")]
    Range {
        /// The file's length.
        len: u64,
    },
    /// Fewer nodes than needed could be reached.
    #[error("{have} of the {needed} nodes needed hold it{}{why}", if why.is_empty() { "" } else { ": " })]
    NotEnoughPeers {
        /// How many are needed, this one included.
        needed: u32,
        /// How many do, this one included.
        have: u32,
        /// What stands in the way of the others.
        why: String,
    },
    /// It exists, but what is needed of it cannot be reached now.
    #[error("not available now: {0}")]
    Unavailable(String),
    /// Bytes were not what their signature or address says, and no other copy was to be had.
    #[error("damaged: {0}")]
    Integrity(String),
    /// The disk is full.
    #[error(
        "this node's disk is full, or holds all that it may (`store_max_mib`): make room and put the file again; what was \
         stored is kept"
    )]
    DiskFull,
    /// The disk failed.
    #[error("this node's disk failed: {0}")]
    Disk(String),
    /// Nothing happened for too long.
    #[error("nothing happened for {0} s")]
    Deadline(u64),
    /// The body's length is not what was announced.
    #[error("{got} bytes came where {announced} were announced")]
    Length {
        /// Announced.
        announced: u64,
        /// Came.
        got: u64,
    },
    /// This machine's clock is far behind the newest version of the owner's files.
    #[error("this machine's clock is more than 24 h behind the newest version of this owner's files: set the clock")]
    ClockBehind,
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
    /// A node that is to be forgotten is no member.
    #[error("there is no such member; `forever peers` lists them")]
    NoSuchMember,
    /// A node that is to be forgotten is alive.
    #[error("that node is alive: run `forever leave` there, so that it hands over what it holds first")]
    MemberAlive,
    /// A node that is to leave still owes others something.
    #[error(
        "this node has not left: {}. Leave when they can be reached, or forget those that will not come back",
        told_as_owed(*owed)
    )]
    StillOwed {
        /// How many deliveries, and records that too few holders have; [`UNCOUNTED`] or more if others have not said yet what they lack.
        owed: u64,
    },
}

/// So many or more deliveries are as many as nobody has counted yet.
pub const UNCOUNTED: u64 = u64::MAX / 2;

fn told_as_owed(owed: u64) -> String {
    if owed >= UNCOUNTED {
        return "other nodes have not said yet what they lack".into();
    }
    alloc::format!(
        "{owed} of the copies that others should have are not yet there, or only on nodes that cannot be reached"
    )
}
