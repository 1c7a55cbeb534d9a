//! What one part of a node tells another. Signals are handled one by one after the input that caused them, so no part
//! ever calls into another that is in the middle of something.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::bulk::Bulk;
use crate::event::{RequestError, WriteReport};
use crate::frame::{AnnounceOutcome, CompareOutcome, HeldRecord, MemberRow, PromiseOutcome, Refusal, SyncOutcome};
use crate::ids::{BlobKey, ChunkId, NodeId, RecordId, RequestId};
use crate::node::cluster::Part;
use crate::node::collect::RemoveOutcome;
use crate::node::locate::Located;
use crate::node::page_loader::{LoadedPage, PageClient, PageFailure};
use crate::node::pull::{PullClient, PullId, PullOutcome};
use crate::node::upload::UploadKey;
use crate::record::SignedRecord;

/// A signal.
#[derive(Debug)]
pub(crate) enum Signal {
    /// A peer can be talked to.
    PeerReady(NodeId),
    /// A peer can no longer be talked to.
    PeerGone(NodeId),
    /// A node that somebody waits for cannot be connected to.
    Unreachable(NodeId),
    /// Who is in service, or how much it takes, has changed: nodes may have other places among holders than before.
    MembershipChanged,
    /// The first dials have come to something, or had time enough.
    Settled,
    /// A fetch is over.
    Fetched { client: FetchClient, result: FetchResult },
    /// A page is loaded or cannot be.
    PageLoaded { client: PageClient, result: Result<LoadedPage, PageFailure> },
    /// The records of a name are known.
    Located { request: RequestId, located: Located },
    /// A peer answered, or did not.
    Answered { client: AskClient, node: NodeId, answer: Option<Answer> },
    /// A pull is over.
    Pulled { client: PullClient, record: SignedRecord, outcome: PullOutcome },
    /// Chunks offered to a peer are stored there, or refused.
    Offered { request: RequestId, node: NodeId, reply: OfferReply },
    /// A delivery was acknowledged, or not.
    Delivered { node: NodeId, record: RecordId, part: Part, outcome: Delivery },
    /// A record is durable here and announced to all who can be reached; or the disk failed.
    Published { request: RequestId, result: Result<WriteReport, RequestError> },
    /// A record is on some disk, but one of a higher version was known before: it must be stamped anew to win.
    Superseded { request: RequestId, by: SignedRecord },
    /// A record has been removed from this disk, or not.
    Removed { record: SignedRecord, out_of_place: bool, outcome: RemoveOutcome },
    /// The names of this node's owner are all known.
    NamesLoaded,
    /// Nothing that could be had is still to be mended.
    MendsIdle,
    /// Some more records have been checked for what they need, or all.
    PresenceChecked { done: bool },
    /// A record of this node's owner has been stored on its disk.
    OwnRecordStored(SignedRecord),
}

/// Who wanted an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FetchClient {
    /// An upload from a peer.
    Upload(UploadKey, ChunkId),
    /// A pull of a record: a chunk.
    PullChunk(PullId, ChunkId),
    /// A get: the index of a chunk.
    Get(RequestId, u64),
    /// A load of a page.
    Page(u64),
    /// The mending of a chunk.
    Mend(BlobKey),
}

/// How a fetch ended.
#[derive(Debug)]
pub(crate) enum FetchResult {
    /// All bytes came; nobody has checked them yet.
    Got { from: NodeId, data: Bulk },
    /// Nobody who was asked has it.
    Nowhere,
}

/// Who asked a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum AskClient {
    /// The search for a name's records.
    Locate(RequestId),
    /// A request, directly.
    Request(RequestId),
    /// The deliveries owed to a node: the one of this record, of so much of it.
    Outbox(RecordId, Part),
    /// The announcement of this device's checkpoint.
    Checkpoint(RecordId),
    /// The exchange of tables of members.
    Members,
    /// The comparison with a peer of this number.
    Sync(u64),
    /// Nobody: what the peer says to it changes nothing.
    Nobody,
    /// Whether the promise about this record is still relied on.
    Promise(RecordId),
    /// A holder's promise, so that this record may leave this disk.
    Move(RecordId),
    /// A promise to keep this record, which was evicted here.
    Evicted(RecordId),
}

/// What a peer answered.
#[derive(Debug)]
pub(crate) enum Answer {
    Records { records: Vec<HeldRecord>, next: Bytes },
    Announced(AnnounceOutcome),
    Promised(PromiseOutcome),
    Members { members: Vec<MemberRow>, more: bool },
    Synced(SyncOutcome),
    Compared(CompareOutcome),
    Found(Vec<Bytes>),
    Told(Option<u32>),
}

/// Each tells what answers one kind of question; `None` if this answers another: a lie.
impl Answer {
    pub(crate) fn records(self) -> Option<(Vec<HeldRecord>, Bytes)> {
        if let Self::Records { records, next } = self { Some((records, next)) } else { None }
    }

    pub(crate) fn announced(self) -> Option<AnnounceOutcome> {
        if let Self::Announced(outcome) = self { Some(outcome) } else { None }
    }

    pub(crate) fn promised(self) -> Option<PromiseOutcome> {
        if let Self::Promised(outcome) = self { Some(outcome) } else { None }
    }

    pub(crate) fn members(self) -> Option<(Vec<MemberRow>, bool)> {
        if let Self::Members { members, more } = self { Some((members, more)) } else { None }
    }
}

/// What became of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// The record and all it names are durable there.
    Stored,
    /// They are, but this record of a higher version is known there.
    Superseded(Bytes),
    /// They are not: their name would not keep them there, because of this newer record.
    Obsolete(Bytes),
    /// The peer refused it for now.
    Refused(Refusal),
    /// The link went before an answer came.
    Lost,
}

/// What a peer says of offered chunks.
#[derive(Debug)]
pub(crate) enum OfferReply {
    Stored { held: Vec<ChunkId>, fetched: Vec<ChunkId> },
    Refused(Refusal),
}
