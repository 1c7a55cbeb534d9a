//! Wire frames: everything that two nodes say to each other once the secure channel stands.
//!
//! Transfers are driven by the receiver. A sender only ever *offers* chunks or *announces* records; whoever lacks
//! something *wants* it, a bounded number of bytes at a time, and that want is the credit under which [`Frame::Data`] is
//! sent. The same want serves a put, a get, a repair and a restore, so nothing already held is sent again and an
//! interrupted transfer resumes where it stood.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::ids::{ChunkId, NameId, NodeId, ObjectId, OwnerId, RecordId};
use crate::manifest::ChunkRef;
use crate::member::{Member, MemberInfo};
use crate::reconcile::{Digest, Item};

/// The version of the protocol that this build speaks.
pub const PROTOCOL_VERSION: u16 = 2;

/// The most payload bytes of one [`Frame::Data`]: a blob of 1 MiB + 16 makes 17 frames of equal length, and a frame with
/// its header and tag stays below 64 KiB, so that control frames slip between on a slow link.
pub const DATA_LEN_MAX: usize = 61_696;

/// The longest encoded header, in bytes.
pub const HEADER_LEN_MAX: usize = 60_000;

/// The most chunks of one [`Frame::Offer`].
pub const OFFER_CHUNKS_MAX: usize = 256;

/// The most records of one answer; they also stay below [`HEADER_LEN_MAX`] / 2 bytes together.
pub const ANSWER_RECORDS_MAX: usize = 64;

/// The most members of one answer; they also stay below [`HEADER_LEN_MAX`] / 2 bytes together.
pub const ANSWER_MEMBERS_MAX: usize = 64;

/// The most bytes of one [`Frame::Swim`]'s packet.
pub const SWIM_PACKET_MAX: usize = 1_400;
/// The most records of one [`Frame::Found`] or [`Frame::Tell`].
pub const FOUND_MAX: usize = 64;

/// A level of a [`SetRange`] that no record reaches.
pub const LEVEL_NONE: u16 = u16::MAX;

/// The most wants that a peer may have open on one link.
pub const WANTS_MAX: usize = 64;

/// A frame: its header, and for [`Frame::Data`] a payload behind it on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Frame {
    /// The first frame in each direction.
    Hello(Hello),
    /// Asks for a [`Frame::Pong`]; any frame counts as a heartbeat.
    Ping {
        /// Comes back in the answer.
        nonce: u64,
    },
    /// Answers a [`Frame::Ping`].
    Pong {
        /// From the ping.
        nonce: u64,
    },
    /// Says goodbye before closing.
    Goodbye {
        /// Why.
        reason: Goodbye,
    },
    /// Opens an upload: the owner's signed leave to offer chunks.
    OpenUpload {
        /// Numbered by the sender, unique on the link.
        upload: u64,
        /// A [`crate::intent::SignedIntent`].
        intent: Bytes,
    },
    /// Offers chunks under an upload. Each is answered by [`Frame::Stored`] or [`Frame::Refused`], after the receiver has
    /// wanted it if it lacks it.
    Offer {
        /// The upload.
        upload: u64,
        /// At most [`OFFER_CHUNKS_MAX`].
        chunks: Vec<ChunkRef>,
    },
    /// Offered chunks that are durable here.
    Stored {
        /// The upload.
        upload: u64,
        /// Chunks that were held already.
        held: Vec<ChunkId>,
        /// Chunks that were wanted, received and stored.
        fetched: Vec<ChunkId>,
    },
    /// Offered chunks that will not be stored here.
    Refused {
        /// The upload.
        upload: u64,
        /// The chunks; empty for all of the upload.
        chunks: Vec<ChunkId>,
        /// Why.
        reason: Refusal,
    },
    /// Ends an upload; the receiver forgets it.
    CloseUpload {
        /// The upload.
        upload: u64,
    },
    /// Asks for an object. At most [`WANTS_MAX`] may be open on a link.
    Want {
        /// Numbered by the sender, unique on the link.
        want: u64,
        /// Wants of different lanes are served in turn, those of one lane in order.
        lane: u64,
        /// The namespace.
        owner: OwnerId,
        /// The object.
        object: ObjectId,
        /// Its length in bytes, as the manifest says.
        len: u32,
    },
    /// Takes a want back; data already under way may still arrive and is ignored.
    Unwant {
        /// The want.
        want: u64,
    },
    /// Part of a wanted object, in order; the payload (1 to [`DATA_LEN_MAX`] bytes) follows the header.
    Data {
        /// The want.
        want: u64,
        /// Where in the object the payload starts.
        offset: u32,
        /// The payload; not part of the header.
        #[serde(skip)]
        payload: crate::bulk::Bulk,
    },
    /// A wanted object that cannot be had here.
    Unavailable {
        /// The want.
        want: u64,
    },
    /// Announces a signed record. The receiver fetches what it lacks of it, stores it and answers.
    Announce {
        /// Numbered by the sender, unique on the link.
        request: u64,
        /// A [`crate::record::SignedRecord`].
        record: Bytes,
        /// Whether the receiver is to hold all of it. Else it is another device of the record's owner, for which the record and
        /// its pages are enough.
        whole: bool,
    },
    /// Answers [`Frame::Announce`].
    Announced {
        /// The announcement.
        request: u64,
        /// What came of it.
        outcome: AnnounceOutcome,
    },
    /// Asks for all records of a name.
    Find {
        /// Numbered by the sender, unique on the link.
        request: u64,
        /// The namespace.
        owner: OwnerId,
        /// The name.
        name_id: NameId,
    },
    /// Asks for the records of a namespace, in order of (name, version, id), [`ANSWER_RECORDS_MAX`] at a time.
    Scan {
        /// Numbered by the sender, unique on the link.
        request: u64,
        /// The namespace.
        owner: OwnerId,
        /// Where the last answer ended; empty to start.
        after: Bytes,
    },
    /// Answers [`Frame::Find`] and [`Frame::Scan`].
    Records {
        /// The question.
        request: u64,
        /// The records held, newest first for a [`Frame::Find`].
        records: Vec<HeldRecord>,
        /// Where to go on ([`Frame::Scan`]); empty at the end.
        next: Bytes,
    },
    /// Asks for a durable promise to keep a record and all its chunks for as long as the asker relies on it.
    AskPromise {
        /// Numbered by the sender, unique on the link.
        request: u64,
        /// A [`crate::record::SignedRecord`].
        record: Bytes,
        /// Whether the receiver fetches the chunks that it lacks, from the asker if nobody else has them; otherwise it refuses.
        fetch: bool,
    },
    /// Answers [`Frame::AskPromise`].
    Promise {
        /// The question.
        request: u64,
        /// What came of it.
        outcome: PromiseOutcome,
    },
    /// Gives a promise back.
    ReleasePromise {
        /// The namespace.
        owner: OwnerId,
        /// The name.
        name_id: NameId,
        /// The record.
        record: RecordId,
    },
    /// Asks for the table of members, in order of nodes, [`ANSWER_MEMBERS_MAX`] at a time.
    AskMembers {
        /// Numbered by the sender, unique on the link.
        request: u64,
        /// Where the last answer ended; `None` to start.
        after: Option<NodeId>,
    },
    /// Answers [`Frame::AskMembers`].
    Members {
        /// The question.
        request: u64,
        /// In order of nodes.
        members: Vec<MemberRow>,
        /// Whether there are more after the last of these.
        more: bool,
    },
    /// Tells of members, unasked: at most [`ANSWER_MEMBERS_MAX`].
    News {
        /// Their entries.
        members: Vec<Member>,
    },
    /// A packet of the SWIM protocol (Das, Gupta and Motivala, "SWIM: Scalable Weakly-consistent Infection-style Process Group
    /// Membership Protocol", DSN 2002).
    Swim {
        /// The fingerprint of the sender's table of members.
        table: u64,
        /// At most [`SWIM_PACKET_MAX`] bytes.
        packet: Bytes,
    },
    /// Asks whether both nodes have the same records, as far as both should have them.
    Sync {
        /// Numbered by the sender, unique on the link.
        request: u64,
        /// Of the records, of any owner, that placement gives to both.
        shared: Digest,
        /// The sender's owner.
        owner: OwnerId,
        /// Of the records of that owner that the receiver should have.
        own: Digest,
    },
    /// Answers [`Frame::Sync`].
    Synced {
        /// The question.
        request: u64,
        /// What came of it.
        outcome: SyncOutcome,
    },
    /// Compares a part of a set of records.
    Compare {
        /// Numbered by the sender, unique on the link.
        request: u64,
        /// Which part.
        range: SetRange,
        /// A message of [`crate::reconcile`], at most [`crate::reconcile::MESSAGE_LEN_MAX`] bytes.
        message: Bytes,
    },
    /// Answers [`Frame::Compare`].
    Compared {
        /// The question.
        request: u64,
        /// What came of it.
        outcome: CompareOutcome,
    },
    /// Asks for the records of items.
    FindItems {
        /// Numbered by the sender, unique on the link.
        request: u64,
        /// At most [`FOUND_MAX`].
        items: Vec<Item>,
    },
    /// Answers [`Frame::FindItems`].
    Found {
        /// The question.
        request: u64,
        /// Those of the records that are here: each a [`crate::record::SignedRecord`].
        records: Vec<Bytes>,
    },
    /// Tells of records that the receiver seems to lack. It fetches those that it is to hold, in its own time.
    Tell {
        /// Numbered by the sender, unique on the link.
        request: u64,
        /// At most [`FOUND_MAX`], each a [`crate::record::SignedRecord`].
        records: Vec<Bytes>,
    },
    /// Answers [`Frame::Tell`].
    Told {
        /// The question.
        request: u64,
        /// How many of them the receiver was to have and had not, and fetches now; `None` if it has too much to fetch already.
        lacking: Option<u32>,
    },
}

impl Frame {
    /// Whether its sender waits for an answer, or for something to be done.
    pub(crate) const fn is_question(&self) -> bool {
        matches!(
            self,
            Self::Announce { .. }
                | Self::Find { .. }
                | Self::Scan { .. }
                | Self::AskPromise { .. }
                | Self::ReleasePromise { .. }
                | Self::OpenUpload { .. }
                | Self::Sync { .. }
                | Self::Compare { .. }
                | Self::FindItems { .. }
                | Self::Tell { .. }
                | Self::AskMembers { .. }
        )
    }

    /// Whether it is one of those that go over every link all the time, whether or not anybody needs the link.
    pub(crate) const fn is_upkeep(&self) -> bool {
        match self {
            Self::Hello(_)
            | Self::Ping { .. }
            | Self::Pong { .. }
            | Self::Goodbye { .. }
            | Self::AskMembers { .. }
            | Self::Members { .. }
            | Self::News { .. }
            | Self::Swim { .. } => true,
            Self::OpenUpload { .. }
            | Self::Offer { .. }
            | Self::Stored { .. }
            | Self::Refused { .. }
            | Self::CloseUpload { .. }
            | Self::Want { .. }
            | Self::Unwant { .. }
            | Self::Data { .. }
            | Self::Unavailable { .. }
            | Self::Announce { .. }
            | Self::Announced { .. }
            | Self::Find { .. }
            | Self::Scan { .. }
            | Self::Records { .. }
            | Self::AskPromise { .. }
            | Self::Promise { .. }
            | Self::ReleasePromise { .. }
            | Self::Sync { .. }
            | Self::Synced { .. }
            | Self::Compare { .. }
            | Self::Compared { .. }
            | Self::FindItems { .. }
            | Self::Found { .. }
            | Self::Tell { .. }
            | Self::Told { .. } => false,
        }
    }
}

/// A part of a set of records: those of one bucket whose items lie in a range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetRange {
    /// The bucket.
    pub bucket: u8,
    /// The first item that belongs to it.
    pub from: Item,
    /// The first that does not any more; `None` if it goes on to the end.
    pub to: Option<Item>,
    /// The owner whose records are meant; `None` for all owners.
    pub owner: Option<OwnerId>,
    /// For each group of the bucket how many replicas a record must have at least; [`LEVEL_NONE`] for none of them. Empty for
    /// all records.
    pub levels: Vec<u16>,
}

/// What came of [`Frame::Sync`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SyncOutcome {
    /// Both have the same.
    Same,
    /// They have not.
    Differ {
        /// The digest of each bucket of the shared records; empty if those are the same.
        shared: Vec<Digest>,
        /// The digest of each bucket of the owner's records; empty if those are the same.
        own: Vec<Digest>,
    },
    /// Ask again later.
    Busy,
    /// The asker leaves, and this node still makes whole what it has light and is to hold then.
    Filling {
        /// So many records, as far as it knows.
        left: u64,
    },
}

/// What came of [`Frame::Compare`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CompareOutcome {
    /// A message of [`crate::reconcile`].
    Answer(Bytes),
    /// There are too many records in the part. This is the item in their middle: compare what is before it, and the rest.
    TooMany(Item),
    /// Ask again later.
    Busy,
}

/// What a node says of itself at first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL_VERSION`].
    pub version: u16,
    /// Optional features, one bit each; none is defined yet.
    pub features: u64,
    /// The sender's own entry in the table of members.
    pub member: MemberInfo,
    /// Under which generation it takes part in SWIM.
    pub generation: u64,
    /// The fingerprint of its table of members without the entry of the node that it speaks to.
    pub table: u64,
    /// Where it sees the node that it speaks to: the address that it dialled, or from which it was dialled.
    pub seen: String,
}

/// A member, and what SWIM says of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRow {
    /// Its entry.
    pub member: Member,
    /// Whether it lives, as far as the sender knows.
    pub life: Option<Life>,
}

/// What SWIM says of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// Of which start of the node this is said, or of which time that it came back.
    pub generation: u64,
    /// How often the node has contradicted a suspicion since.
    pub incarnation: u16,
    /// Whether it is down; else it is alive or under suspicion.
    pub down: bool,
}

/// A record and whether all its chunks are held where it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldRecord {
    /// A [`crate::record::SignedRecord`].
    pub record: Bytes,
    /// False when its chunks were evicted there.
    pub complete: bool,
}

/// Why a link is closed politely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Goodbye {
    /// The node stops.
    Stopping,
    /// Another link to the same node stays.
    Duplicate,
    /// The other end is this node itself.
    SelfConnection,
    /// The protocol versions have nothing in common.
    Version,
    /// The peer broke the protocol.
    Protocol,
    /// The peer broke the protocol repeatedly and is not welcome for a while.
    Banned,
    /// Nothing happened on the link for a while. Whoever says so asks nothing over it any more, and the other end closes it, unless it
    /// has something under way there.
    Crowded,
}

/// Why a chunk or a record is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// No space.
    Full,
    /// The disk failed.
    Disk,
    /// No valid intent or signature covers it.
    Unauthorised,
    /// Too much is under way here; try again later.
    Busy,
    /// What it needs could not be fetched from the announcer.
    Unavailable,
    /// It is not what its address or format says.
    Invalid,
}

/// What came of a request for a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PromiseOutcome {
    /// It is not given.
    Refused,
    /// It is given, and durable: so are the record and all that it names.
    Given,
    /// It is not needed: the name would not keep the record here, where a deletion or a newer version lies whole in its place.
    Obsolete,
}

/// What came of an announcement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AnnounceOutcome {
    /// The record and all that it names are durable here.
    Stored,
    /// They are, but a record of a higher version is known here: this one.
    Superseded {
        /// A [`crate::record::SignedRecord`].
        by: Bytes,
    },
    /// They are not.
    Refused(Refusal),
    /// They are not, since their name would not keep them: newer records are here, of which this is the newest. Nothing is owed
    /// any more.
    Obsolete {
        /// A [`crate::record::SignedRecord`].
        by: Bytes,
    },
}
