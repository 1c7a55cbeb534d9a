//! What callers ask of a node.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::bulk::PlainChunk;
use crate::ids::{NodeId, RequestId};
use crate::name::Name;
use crate::placement::Replicas;
use crate::ticket::SignedTicket;
use crate::version::Version;

/// A command. Those that start a request return its number; its events carry it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Starts to store a file. Answered by `PutReady` as often as chunks may be given, then `PutDone`.
    Put {
        /// Its name.
        name: Name,
        /// What is known of it.
        meta: PutMeta,
    },
    /// Gives the next chunk: full (the configured chunk size), or shorter for the last. Only under credit of `PutReady`.
    PutChunk {
        /// The put.
        request: RequestId,
        /// The plaintext.
        plain: PlainChunk,
    },
    /// Ends the file's bytes.
    PutEnd {
        /// The put.
        request: RequestId,
    },
    /// Reads a file. Answered by `GetStart`, `GetData` under credit, `GetDone`.
    Get {
        /// Its name.
        name: Name,
        /// Which version; the newest if `None`.
        version: Option<VersionSelector>,
        /// Which bytes; all if `None`.
        range: Option<RangeRequest>,
    },
    /// Reads the one version of a file that a ticket opens, of whatever owner. Answered like [`Command::Get`]. What it brings
    /// is not kept, unless it is of this node's own owner.
    GetShared {
        /// The ticket.
        ticket: SignedTicket,
        /// Which bytes; all if `None`.
        range: Option<RangeRequest>,
    },
    /// Lets a get deliver more.
    GetCredit {
        /// The get.
        request: RequestId,
        /// Bytes that the caller has consumed.
        bytes: u64,
    },
    /// Deletes a name everywhere. Answered by `Deleted`.
    Delete {
        /// The name.
        name: Name,
    },
    /// Puts a deleted file back: the version before the deletion comes again as a new one, as long as it is kept. Answered by
    /// `Undeleted`.
    Undelete {
        /// The name.
        name: Name,
    },
    /// Lists names. Answered by `Listed`.
    List {
        /// Names that start with this.
        prefix: String,
        /// Names after this one, exclusive.
        after: Option<String>,
        /// At most so many; 1 to 10,000.
        limit: u32,
    },
    /// Tells all of a file. Answered by `Stat`.
    Stat {
        /// The name.
        name: Name,
        /// Which version; the newest if `None`.
        version: Option<VersionSelector>,
        /// Whether to ask the peers who holds it.
        holders: bool,
    },
    /// Tells the history of a name. Answered by `Versions`.
    Versions {
        /// The name.
        name: Name,
    },
    /// Makes a ticket for a version of a file. Answered by `Shared`.
    Share {
        /// The name.
        name: Name,
        /// Which version; the newest if `None`.
        version: Option<VersionSelector>,
        /// For how many milliseconds it is valid; at least 1 s, at most [`crate::ticket::VALID_MS_MAX`].
        valid_ms: u64,
    },
    /// Drops the local blobs of a name once enough other nodes have promised to keep them. Answered by `Evicted`.
    Evict {
        /// The name.
        name: Name,
    },
    /// Brings the owner's whole namespace back from the peers. Answered by `RestoreProgress`, then `Restored`.
    Restore {
        /// Whether nothing is brought back and stored: what would be is told by `RestoreFound`.
        dry_run: bool,
    },
    /// Leaves the cluster, once nothing is owed to others any more, and stops. Answered by `Left`.
    Leave,
    /// Removes a node that will not come back from the cluster. Answered by `Forgotten`.
    Forget {
        /// Which.
        node: NodeId,
    },
    /// An address at which a node of this cluster was found. Starts no request.
    Discovered {
        /// `host:port`.
        address: String,
    },
    /// Reads and checks everything on this disk at once, and brings back what is damaged or missing. Answered by
    /// `ScrubProgress`, then `Scrubbed`. A scrub that is cut short is gone on with by the next.
    Scrub {
        /// Whether to start over instead.
        from_start: bool,
    },
    /// Answered by `Status`.
    Status,
    /// Answered by `Peers`.
    Peers,
    /// Ends a request whose caller is gone; no more events of it follow.
    Cancel {
        /// The request.
        request: RequestId,
    },
    /// Stops: says goodbye to all peers and closes all links.
    Stop,
}

/// What is known of a file when it is put.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutMeta {
    /// Its length in bytes, if known: the put fails if it turns out otherwise.
    pub len: Option<u64>,
    /// Time of last modification, milliseconds since the Unix epoch.
    pub mtime_ms: Option<u64>,
    /// Unix permission bits.
    pub mode: Option<u32>,
    /// Media type.
    pub content_type: Option<String>,
    /// On how many nodes it is to be kept; as many as is configured if `None`. Never fewer than an older version that is still
    /// kept: all versions of a name lie on the same nodes.
    #[serde(default)]
    pub replicas: Option<Replicas>,
}

/// Which bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RangeRequest {
    /// From `first` to `last`, both inclusive, or to the end.
    From {
        /// First byte.
        first: u64,
        /// Last byte.
        last: Option<u64>,
    },
    /// The last so many bytes.
    Suffix {
        /// How many.
        len: u64,
    },
}

/// A version as people write it: `wall_ms-counter-node`, hex, the node's first 4 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionSelector {
    /// [`Version::wall_ms`].
    pub wall_ms: u64,
    /// [`Version::counter`].
    pub counter: u32,
    /// First 4 bytes of [`Version::node`].
    pub node: [u8; 4],
}

impl VersionSelector {
    /// Whether this is the version meant.
    #[must_use]
    pub fn matches(&self, version: &Version) -> bool {
        *self == Self::from(version)
    }
}

impl From<&Version> for VersionSelector {
    fn from(version: &Version) -> Self {
        let NodeId([a, b, c, d, ..]) = version.node;
        Self { wall_ms: version.wall_ms, counter: version.counter, node: [a, b, c, d] }
    }
}

impl core::fmt::Display for VersionSelector {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:012x}-{:x}-{}", self.wall_ms, self.counter, hex::encode(self.node))
    }
}

/// Text that is not a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a version looks like 0192f3a4b5c6-0-1a2b3c4d; `versions NAME` lists them")]
pub struct ParseVersionError;

impl core::str::FromStr for VersionSelector {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, ParseVersionError> {
        let mut parts = text.split('-');
        let (Some(wall), Some(counter), Some(node_hex), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(ParseVersionError);
        };
        let mut node = [0; 4];
        hex::decode_to_slice(node_hex, &mut node).map_err(|_| ParseVersionError)?;
        Ok(Self {
            wall_ms: u64::from_str_radix(wall, 16).map_err(|_| ParseVersionError)?,
            counter: u32::from_str_radix(counter, 16).map_err(|_| ParseVersionError)?,
            node,
        })
    }
}

/// Why a command is refused at once. The caller's fault, or a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum CommandError {
    /// No such request, or it has ended.
    #[error("there is no such request, or it has ended")]
    NoRequest,
    /// A chunk was given without credit.
    #[error("a chunk was given before the node was ready for it")]
    NoCredit,
    /// A chunk of a wrong length: only the last may be short, none may be empty or too long.
    #[error("a chunk of {len} bytes where {expected} were expected")]
    ChunkLength {
        /// Its length.
        len: u64,
        /// The chunk size.
        expected: u32,
    },
    /// Too many requests are under way.
    #[error("{0} requests are under way, which is the most this node serves at once; try again later")]
    Busy(u32),
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
    /// A limit out of range.
    #[error("a limit must lie between 1 and 10,000")]
    Limit,
    /// A media type that is too long.
    #[error("the content type has {len} bytes; the most is {max}")]
    ContentType {
        /// Its length in bytes.
        len: u64,
        /// The limit in bytes.
        max: u32,
    },
    /// A ticket that would be valid for too short or too long a time.
    #[error("a ticket is valid for at least 1 s and at most 3,650 days")]
    Validity,
    /// A restore is running.
    #[error("a restore is running already")]
    Restoring,
    /// A scrub is running.
    #[error("a scrub is running already")]
    Scrubbing,
}
