//! What the API answers, as JSON. The `forever` program reads the same types back.

use std::net::SocketAddr;
use std::path::PathBuf;

use forever_core::command::VersionSelector;
use forever_core::disk::{CACHE_OWNER, OwnerUsage};
use forever_core::event::{
    CheckpointInfo, FileInfo, FileStat, Incomplete, PeerInfo, PeerState, PutReport, RestoreReport, ScrubReport, Share,
    StatusInfo, VersionInfo, WriteReport,
};
use forever_core::ids::{NodeId, OwnerId};
use forever_core::version::Version;
use serde::{Deserialize, Serialize};

/// An error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// For programs: one word.
    pub error: String,
    /// For people: what is wrong and what to do.
    pub message: String,
}

/// A put that was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutView {
    /// The name.
    pub name: String,
    /// Length in bytes.
    pub size: u64,
    /// The version written.
    pub version: String,
    /// How many chunks.
    pub chunks: u64,
    /// Bytes of blobs that this node did not hold before.
    pub new_bytes: u64,
    /// Bytes of blobs that peers asked for.
    pub sent_bytes: u64,
    /// How many nodes hold it durably, this one included.
    pub replicas: u32,
    /// How many known nodes do not yet.
    pub pending: u32,
}

/// A delete that was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteView {
    /// The name.
    pub name: String,
    /// The version that says so.
    pub version: String,
    /// How many nodes know it durably, this one included.
    pub replicas: u32,
    /// How many known nodes do not yet; they are told when they can be reached.
    pub pending: u32,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileView {
    /// The name.
    pub name: String,
    /// Length in bytes.
    pub size: u64,
    /// The version.
    pub version: String,
    /// How many chunks.
    pub chunks: u64,
    /// Time of last modification, milliseconds since the Unix epoch.
    pub mtime_ms: Option<u64>,
    /// Unix permission bits.
    pub mode: Option<u32>,
    /// Media type.
    pub content_type: Option<String>,
    /// Entity tag, without quotes.
    pub etag: String,
}

/// A page of the list of files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListView {
    /// In order of names.
    pub files: Vec<FileView>,
    /// Whether there are more: ask again with `after` set to the last name.
    pub more: bool,
}

/// All of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatView {
    /// The file.
    #[serde(flatten)]
    pub file: FileView,
    /// On how many nodes it is to be kept: a number, or `all`.
    pub replicas: String,
    /// Which other nodes are among these, as far as this node knows.
    pub placed: Vec<NodeId>,
    /// Whether this node holds all of it.
    pub local: bool,
    /// Which peers hold all of it; null if they were not asked.
    pub holders: Option<Vec<NodeId>>,
    /// Which connected peers gave no answer in time.
    pub silent: Vec<NodeId>,
}

impl StatView {
    /// Those that are to hold it and did not say that they do.
    pub fn awaited(&self) -> impl Iterator<Item = &NodeId> {
        let said = self.holders.as_deref();
        self.placed.iter().filter(move |node| said.is_some_and(|said| !said.contains(node)))
    }
}

/// The history of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionsView {
    /// The name.
    pub name: String,
    /// Newest first.
    pub versions: Vec<VersionView>,
}

/// A version of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionView {
    /// The version.
    pub version: String,
    /// When it was written, milliseconds since the Unix epoch, by its writer's clock.
    pub time_ms: u64,
    /// Which device wrote it.
    pub node: NodeId,
    /// Whether it is a deletion.
    pub deleted: bool,
    /// Length in bytes; null for a deletion, or when its manifest is not on this node.
    pub size: Option<u64>,
    /// Whether it is the one that a get returns.
    pub current: bool,
}

/// A ticket that was made. Whoever has it can read the file, so it does not show in traces.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareView {
    /// The name.
    pub name: String,
    /// The version that the ticket opens.
    pub version: String,
    /// Its length in bytes.
    pub size: u64,
    /// When the ticket becomes void, milliseconds since the Unix epoch. Expiry cannot recall a key already given.
    pub expires_ms: u64,
    /// The ticket.
    pub ticket: String,
}

impl std::fmt::Debug for ShareView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, version, size, expires_ms, ticket: _ } = self;
        write!(f, "ShareView({name:?}, {version}, {size} B, until {expires_ms} ms, ***)")
    }
}

/// A deleted file that was put back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndeleteView {
    /// The name.
    pub name: String,
    /// Length in bytes.
    pub size: u64,
    /// The new version, with the content of the one before the deletion.
    pub version: String,
    /// On how many nodes it is durable, this one included.
    pub replicas: u32,
    /// How many of the nodes that are to hold it do not yet.
    pub pending: u32,
}

/// An evict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvictView {
    /// The name.
    pub name: String,
    /// Bytes freed on this node.
    pub freed_bytes: u64,
    /// Who promised to keep the file.
    pub promised_by: Vec<NodeId>,
}

/// A line of a request that tells how it goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum StepLine<T> {
    /// It goes on, or has ended.
    Step(T),
    /// It failed.
    Error(ErrorBody),
}

/// A step of a restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RestoreStep {
    /// It goes on, or has ended.
    Report(RestoreView),
    /// A version of a file that would be brought back (dry runs).
    Found {
        /// The version.
        found: FileView,
    },
}

/// How a restore goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreView {
    /// Whether it has ended.
    pub done: bool,
    /// Whether all that the owner's devices had when they signed their newest checkpoints is here, or something newer.
    pub complete: bool,
    /// Peers that were asked.
    pub peers: u32,
    /// Peers that have told all they hold.
    pub peers_done: u32,
    /// Members that have not told all they hold.
    pub unasked: u32,
    /// Records found.
    pub records: u64,
    /// Files complete here, all versions counted; in a dry run, those that are not and would be brought back.
    pub files: u64,
    /// Bytes fetched.
    pub fetched_bytes: u64,
    /// Records that could not be brought back from the peers that answered.
    pub missing: u64,
    /// The first 100 versions of files among these.
    pub incomplete: Vec<IncompleteView>,
    /// The newest checkpoint of each device, and what came of it.
    pub checkpoints: Vec<CheckpointView>,
}

/// A version of a file that is not whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncompleteView {
    /// The file's name; null if its manifest could not be opened.
    pub name: Option<String>,
    /// The version.
    pub version: String,
}

/// A device's checkpoint, and whether what is known covers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointView {
    /// The device.
    pub device: NodeId,
    /// How many checkpoints it had signed, this one included.
    pub sequence: u64,
    /// When it signed this one, milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// How many names it knew.
    pub names: u64,
    /// How many names of that time are known now.
    pub names_found: u64,
    /// Whether all that it knew is known, or something newer.
    pub covered: bool,
}

/// How a scrub goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubView {
    /// Whether it has ended.
    pub done: bool,
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
    /// Blobs that the disk failed to read.
    pub unreadable: u64,
    /// Chunks and records that peers gave back meanwhile.
    pub mended: u64,
    /// Chunks and records that are wanted here and that no peer had so far; they are asked for again.
    pub unmended: u64,
}

/// What a person wants to see first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusView {
    /// This node.
    pub node: NodeId,
    /// Its owner.
    pub owner: OwnerId,
    /// Where peers connect.
    pub listen: String,
    /// Where this API listens.
    pub api: SocketAddr,
    /// The data folder.
    pub data: PathBuf,
    /// Whether all is well.
    pub healthy: bool,
    /// What is not.
    pub problems: Vec<String>,
    /// The owner's files; null while they are being counted.
    pub files: Option<u64>,
    /// Their plain bytes.
    pub file_bytes: u64,
    /// Blobs on this disk, of all owners, cached ones aside; null if it could not be measured.
    pub blobs: Option<u64>,
    /// Their bytes.
    pub blob_bytes: Option<u64>,
    /// Bytes that may still be written.
    pub free_bytes: Option<u64>,
    /// Whether nothing more is taken: not even a chunk fits into what is left.
    pub full: bool,
    /// What the blobs of each other owner may take here, in bytes; 0 for no limit.
    pub quota_bytes: u64,
    /// What all blobs together may take here, in bytes; 0 for no limit.
    pub store_max_bytes: u64,
    /// What cached chunks take, in bytes. They give way to all others.
    pub cached_bytes: u64,
    /// What they may take; 0 for none.
    pub cache_max_bytes: u64,
    /// What the blobs of each owner take here, cached ones aside.
    pub owners: Vec<OwnerView>,
    /// Peers connected.
    pub peers_connected: u32,
    /// Nodes of the cluster known, this one included.
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
    /// Records of other owners that are not to be here, and go once those nodes that are to hold them have them.
    pub out_of_place: u64,
}

/// What an owner's blobs take of a node's disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerView {
    /// Whose they are.
    pub owner: OwnerId,
    /// How many.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The health of a node, without a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthView {
    /// `ok` or `degraded`.
    pub status: String,
    /// What is not well.
    pub problems: Vec<String>,
}

/// What became of a leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaveView {
    /// True: the node has left the cluster and stops.
    pub left: bool,
}

/// What became of a request to forget a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgetView {
    /// The node, which is no member any more.
    pub node: NodeId,
}

/// All peers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeersView {
    /// One each.
    pub peers: Vec<PeerView>,
}

/// What is known of a peer's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StateView {
    /// It is alive.
    Alive,
    /// It is down.
    Down,
    /// Nothing has been heard of it since this node started.
    Unseen,
    /// It has left the cluster.
    Left,
    /// A configured address that has never led to a node.
    Stranger,
}

/// A member of the cluster, or an address that should lead to one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerView {
    /// Who it is, once known.
    pub node: Option<NodeId>,
    /// Whose device it is, once known.
    pub owner: Option<OwnerId>,
    /// Where it is connected, or where it should be found.
    pub address: String,
    /// Its zone.
    pub zone: String,
    /// How much it takes of what is stored, compared with others.
    pub weight: u32,
    /// What is known of its life.
    pub state: StateView,
    /// For how many seconds it has been down.
    pub down_s: Option<u64>,
    /// Whether a link stands.
    pub connected: bool,
    /// Payload bytes sent over it.
    pub sent_bytes: u64,
    /// Payload bytes received over it.
    pub received_bytes: u64,
    /// Why it is not connected, as far as known.
    pub error: Option<String>,
}

/// A version as people write it.
pub(crate) fn version_text(version: &Version) -> String {
    VersionSelector::from(version).to_string()
}

impl From<PutReport> for PutView {
    fn from(report: PutReport) -> Self {
        Self {
            name: report.file.name.into(),
            size: report.file.size,
            version: version_text(&report.file.version),
            chunks: report.file.chunks,
            new_bytes: report.new_bytes,
            sent_bytes: report.sent_bytes,
            replicas: report.write.replicas,
            pending: report.write.pending,
        }
    }
}

impl DeleteView {
    pub(crate) fn new(name: String, report: &WriteReport) -> Self {
        Self { name, version: version_text(&report.version), replicas: report.replicas, pending: report.pending }
    }
}

impl From<FileInfo> for FileView {
    fn from(file: FileInfo) -> Self {
        Self {
            name: file.name.into(),
            size: file.size,
            version: version_text(&file.version),
            chunks: file.chunks,
            mtime_ms: file.mtime_ms,
            mode: file.mode,
            content_type: file.content_type,
            etag: file.etag,
        }
    }
}

impl From<Share> for ShareView {
    fn from(share: Share) -> Self {
        Self {
            name: share.file.name.into(),
            version: version_text(&share.file.version),
            size: share.file.size,
            expires_ms: share.expires_ms,
            ticket: share.ticket.to_text(),
        }
    }
}

impl From<FileStat> for StatView {
    fn from(stat: FileStat) -> Self {
        Self {
            file: stat.file.into(),
            replicas: stat.replicas.to_string(),
            placed: stat.placed,
            local: stat.local,
            holders: stat.holders,
            silent: stat.silent,
        }
    }
}

impl From<VersionInfo> for VersionView {
    fn from(info: VersionInfo) -> Self {
        Self {
            version: version_text(&info.version),
            time_ms: info.version.wall_ms,
            node: info.version.node,
            deleted: info.deleted,
            size: info.size,
            current: info.current,
        }
    }
}

impl RestoreView {
    pub(crate) fn new(done: bool, report: &RestoreReport) -> Self {
        Self {
            done,
            complete: report.is_complete(),
            peers: report.peers,
            peers_done: report.peers_done,
            unasked: report.unasked,
            records: report.records,
            files: report.files,
            fetched_bytes: report.fetched_bytes,
            missing: report.missing,
            incomplete: report.incomplete.iter().map(Into::into).collect(),
            checkpoints: report.checkpoints.iter().map(Into::into).collect(),
        }
    }
}

impl From<&Incomplete> for IncompleteView {
    fn from(incomplete: &Incomplete) -> Self {
        Self { name: incomplete.name.clone().map(Into::into), version: version_text(&incomplete.version) }
    }
}

impl From<&CheckpointInfo> for CheckpointView {
    fn from(checkpoint: &CheckpointInfo) -> Self {
        let CheckpointInfo { device, sequence, time_ms, names, names_found, is_covered } = *checkpoint;
        Self { device, sequence, time_ms, names, names_found, covered: is_covered }
    }
}

impl ScrubView {
    pub(crate) fn new(done: bool, report: &ScrubReport) -> Self {
        Self {
            done,
            resumed: report.resumed,
            records: report.records,
            damaged_records: report.damaged_records,
            pages: report.pages,
            incomplete: report.incomplete,
            blobs: report.blobs,
            blobs_total: report.blobs_total,
            bytes: report.bytes,
            bytes_total: report.bytes_total,
            damaged: report.damaged,
            unreadable: report.unreadable,
            mended: report.mended,
            unmended: report.unmended,
        }
    }
}

impl From<PeerInfo> for PeerView {
    fn from(peer: PeerInfo) -> Self {
        let (state, down_s) = match peer.state {
            PeerState::Alive => (StateView::Alive, None),
            PeerState::Down { for_s } => (StateView::Down, Some(for_s)),
            PeerState::Unseen => (StateView::Unseen, None),
            PeerState::Left => (StateView::Left, None),
            PeerState::Stranger => (StateView::Stranger, None),
        };
        Self {
            node: peer.node,
            owner: peer.owner,
            address: peer.address,
            zone: peer.zone,
            weight: peer.weight,
            state,
            down_s,
            connected: peer.connected,
            sent_bytes: peer.sent_bytes,
            received_bytes: peer.received_bytes,
            error: peer.error,
        }
    }
}

/// What is not well with a node.
pub(crate) fn problems(status: &StatusInfo) -> Vec<String> {
    let mut problems = Vec::new();
    if let Some(error) = &status.disk_error {
        problems.push(format!("the disk acknowledges nothing any more: {error}"));
    }
    let reachable = status.peers_connected.saturating_add(1);
    if reachable < status.write_quorum {
        problems.push(format!("{reachable} of the {} nodes that a write needs can be reached", status.write_quorum));
    }
    problems
}

impl StatusView {
    pub(crate) fn new(status: StatusInfo, context: &super::Context) -> Self {
        let problems = problems(&status);
        let of_owner = |usage: &OwnerUsage| OwnerView { owner: usage.owner, blobs: usage.blobs, bytes: usage.bytes };
        let disk = status.disk.as_ref();
        let (cached, owners): (Vec<&OwnerUsage>, Vec<&OwnerUsage>) =
            disk.into_iter().flat_map(|disk| &disk.owners).partition(|usage| usage.owner == CACHE_OWNER);
        let cached = cached.first().map_or((0, 0), |usage| (usage.blobs, usage.bytes));
        Self {
            full: status.is_full,
            quota_bytes: status.quota_bytes,
            store_max_bytes: status.store_max_bytes,
            cached_bytes: cached.1,
            cache_max_bytes: status.cache_max_bytes,
            owners: owners.into_iter().map(of_owner).collect(),
            node: status.node,
            owner: status.owner,
            listen: context.listen.clone(),
            api: context.api,
            data: context.data.clone(),
            healthy: problems.is_empty(),
            problems,
            files: status.files,
            file_bytes: status.file_bytes,
            blobs: disk.map(|disk| disk.blobs.saturating_sub(cached.0)),
            blob_bytes: disk.map(|disk| disk.blob_bytes.saturating_sub(cached.1)),
            free_bytes: disk.and_then(|disk| disk.free_bytes),
            peers_connected: status.peers_connected,
            members: status.members,
            members_alive: status.members_alive,
            members_down: status.members_down,
            write_quorum: status.write_quorum,
            pending: status.pending,
            checkpoint_ms: status.checkpoint_ms,
            checkpoint_due: status.checkpoint_due,
            requests: status.requests,
            protocol_errors: status.protocol_errors,
            damaged_blobs: status.damaged_blobs,
            mended: status.mended,
            unmended: status.unmended,
            out_of_place: status.out_of_place,
        }
    }
}
