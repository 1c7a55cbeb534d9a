//! What the keys of a disk's index mean. `core/FORMAT.md` describes the same for other programs.
//!
//! | key | value |
//! | --- | --- |
//! | `R ‖ owner ‖ name id ‖ version ‖ record id` | a signed record |
//! | `P ‖ owner ‖ page id` | a manifest page; all that it lists was present when it was stored, unless its record has the mark `E` |
//! | `F ‖ owner ‖ chunk id ‖ page id` | empty: the page needs the chunk here |
//! | `L ‖ owner ‖ chunk id ‖ lease` | since when (in lived time) a lease is on the chunk |
//! | `M ‖ owner ‖ page id` | a `PageLease`: since when, and for which version, the page is kept without a record |
//! | `D ‖ owner ‖ page id` | empty: the page is doomed, with all that only it needs |
//! | `E ‖ owner ‖ record id` | the record's chunks may be absent, and its pages do not need them here: empty if they were evicted, [`LIGHT`] if they have never been here |
//! | `K ‖ owner ‖ record id ‖ node` | empty: this node has promised that node to keep the record's chunks |
//! | `O ‖ node ‖ record key` | empty: that node has not acknowledged the record yet |
//! | `N ‖ node` | a [`MemberInfo`](crate::member::MemberInfo): an entry of the table of members, the own one among them |
//! | `C` | the hybrid logical clock |
//! | `A` | how long this node has lived, and what time it believes |
//! | `S` | how far scrubs have come: [`Places`](crate::node::scrub::Places) |
//! | `B` | empty: all members that were known then have been asked for the owner's records |
//! | `V ‖ node` | the newest checkpoint of that device of which this one has all that it covers: a [`Vouched`] |
//!
//! A version's key form is its wall time and counter in big-endian bytes, then the node: keys order as versions do.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::ids::{ChunkId, NameId, NodeId, OwnerId, PageId, RecordId};
use crate::placement::Group;
use crate::record::SignedRecord;
use crate::version::Version;

/// A checkpoint that is known to be covered by what this node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Vouched {
    /// Its number among those of its device.
    pub sequence: u64,
    /// Its record.
    pub record: RecordId,
}

/// The key that says that all members have been asked for the owner's records.
pub(crate) const FILLED: &[u8] = b"B";

/// The clock's key.
pub(crate) const CLOCK: &[u8] = b"C";

/// The key of how far scrubs have come.
pub(crate) const SCRUB: &[u8] = b"S";
/// The key of the ages.
pub(crate) const AGE: &[u8] = b"A";

/// The prefix of all records.
pub(crate) const RECORDS: &[u8] = b"R";

/// The prefix of all leases of chunks.
pub(crate) const LEASES: &[u8] = b"L";

/// The prefix of all leases of pages.
pub(crate) const PAGE_LEASES: &[u8] = b"M";

/// The prefix of all doomed pages.
pub(crate) const DOOMED: &[u8] = b"D";

fn join(parts: &[&[u8]]) -> Bytes {
    Bytes::from(parts.concat())
}

/// The key of a record.
pub(crate) fn record_key(record: &SignedRecord) -> Bytes {
    let what = &record.record;
    join(&[RECORDS, &what.owner.0, &what.name_id.0, &what.version.to_bytes(), &record.id.0])
}

/// The prefix of all records of an owner.
pub(crate) fn owner_records(owner: OwnerId) -> Bytes {
    join(&[b"R", &owner.0])
}

/// The prefix of all records of an owner whose names are of a group.
pub(crate) fn group_records(owner: OwnerId, group: Group) -> Bytes {
    join(&[b"R", &owner.0, &group.0.to_be_bytes()])
}

/// The prefix of all records of a name.
pub(crate) fn name_records(owner: OwnerId, name: NameId) -> Bytes {
    join(&[b"R", &owner.0, &name.0])
}

/// The prefix of all records of a version of a name.
pub(crate) fn version_records(owner: OwnerId, name: NameId, version: Version) -> Bytes {
    join(&[b"R", &owner.0, &name.0, &version.to_bytes()])
}

/// The owner and the name of a record's key.
pub(crate) fn address_of_record(key: &[u8]) -> Option<(OwnerId, NameId)> {
    let (owner, rest) = key.get(1..)?.split_first_chunk()?;
    let (name, _) = rest.split_first_chunk()?;
    Some((OwnerId(*owner), NameId(*name)))
}

/// The key of a page.
pub(crate) fn page_key(owner: OwnerId, page: PageId) -> Bytes {
    join(&[b"P", &owner.0, &page.0])
}

/// The key that says that a page needs a chunk.
pub(crate) fn reference_key(owner: OwnerId, chunk: ChunkId, page: PageId) -> Bytes {
    join(&[b"F", &owner.0, &chunk.0, &page.0])
}

/// The prefix of all references to a chunk.
pub(crate) fn references(owner: OwnerId, chunk: ChunkId) -> Bytes {
    join(&[b"F", &owner.0, &chunk.0])
}

/// The page of a reference key.
pub(crate) fn page_of_reference(key: &[u8]) -> Option<PageId> {
    let tail: [u8; 32] = key.get(65..)?.try_into().ok()?;
    Some(PageId(tail))
}

/// The key of a lease on a chunk.
pub(crate) fn lease_key(owner: OwnerId, chunk: ChunkId, lease: u64) -> Bytes {
    join(&[LEASES, &owner.0, &chunk.0, &lease.to_be_bytes()])
}

/// The prefix of all leases on a chunk.
pub(crate) fn leases(owner: OwnerId, chunk: ChunkId) -> Bytes {
    join(&[LEASES, &owner.0, &chunk.0])
}

/// The owner and the chunk of a lease's key.
pub(crate) fn chunk_of_lease(key: &[u8]) -> Option<(OwnerId, ChunkId)> {
    let (owner, rest) = key.strip_prefix(LEASES)?.split_first_chunk()?;
    let (chunk, _) = rest.split_first_chunk()?;
    Some((OwnerId(*owner), ChunkId(*chunk)))
}

/// The key of the lease of a page.
pub(crate) fn page_lease_key(owner: OwnerId, page: PageId) -> Bytes {
    join(&[PAGE_LEASES, &owner.0, &page.0])
}

/// The owner and the page of a page lease's key.
pub(crate) fn page_of_lease(key: &[u8]) -> Option<(OwnerId, PageId)> {
    owner_and_page(key.strip_prefix(PAGE_LEASES)?)
}

/// The key that dooms a page.
pub(crate) fn doomed_key(owner: OwnerId, page: PageId) -> Bytes {
    join(&[DOOMED, &owner.0, &page.0])
}

/// The owner and the page of a key that dooms it.
pub(crate) fn page_of_doomed(key: &[u8]) -> Option<(OwnerId, PageId)> {
    owner_and_page(key.strip_prefix(DOOMED)?)
}

fn owner_and_page(tail: &[u8]) -> Option<(OwnerId, PageId)> {
    let (owner, page) = tail.split_first_chunk()?;
    Some((OwnerId(*owner), PageId(page.try_into().ok()?)))
}

/// The key that marks a record whose chunks may be absent here.
pub(crate) fn evicted_key(owner: OwnerId, record: RecordId) -> Bytes {
    join(&[b"E", &owner.0, &record.0])
}

/// Whether a mark is that of a record that was evicted, and not of one that is light.
pub(crate) fn is_evicted(mark: &Bytes) -> bool {
    mark != LIGHT
}

/// The prefix of the marks of an owner's records.
pub(crate) fn evicted_marks(owner: OwnerId) -> Bytes {
    join(&[b"E", &owner.0])
}

/// The key of a promise.
pub(crate) fn promise_key(owner: OwnerId, record: RecordId, to: NodeId) -> Bytes {
    join(&[b"K", &owner.0, &record.0, &to.0])
}

/// The mark of a record of which this node, a device of its owner, has but the record and the pages.
pub(crate) const LIGHT: &[u8] = &[1];
/// The node at the end of a key.
pub(crate) fn node_at_end(key: &[u8]) -> Option<NodeId> {
    key.last_chunk().map(|tail| NodeId(*tail))
}

/// The prefix of all promises about a record.
pub(crate) fn promises(owner: OwnerId, record: RecordId) -> Bytes {
    join(&[b"K", &owner.0, &record.0])
}

/// The prefix of all deliveries that are still owed.
pub(crate) const OUTBOX: &[u8] = b"O";

/// The key of a delivery that is still owed.
pub(crate) fn outbox_key(node: NodeId, record_key: &[u8]) -> Bytes {
    join(&[OUTBOX, &node.0, record_key])
}

/// The prefix of all deliveries owed to a node.
pub(crate) fn outbox(node: NodeId) -> Bytes {
    join(&[OUTBOX, &node.0])
}

/// The record key within an outbox key.
pub(crate) fn record_key_of_outbox(key: &Bytes) -> Bytes {
    key.slice(33.min(key.len())..)
}

/// The key of a member.
pub(crate) fn member_key(node: NodeId) -> Bytes {
    join(&[b"N", &node.0])
}

/// The node of a member key.
pub(crate) fn node_of_member(key: &[u8]) -> Option<NodeId> {
    let tail: [u8; 32] = key.get(1..)?.try_into().ok()?;
    Some(NodeId(tail))
}

/// The device of a key of a checkpoint that is vouched for.
pub(crate) fn device_of_vouched(key: &[u8]) -> Option<NodeId> {
    let tail: [u8; 32] = key.get(1..)?.try_into().ok()?;
    Some(NodeId(tail))
}

/// The key of the checkpoint of a device that is vouched for.
pub(crate) fn vouched_key(device: NodeId) -> Bytes {
    join(&[b"V", &device.0])
}

/// The end (exclusive) of the range of keys that start with `prefix`.
pub(crate) fn end_of(prefix: &[u8]) -> Bytes {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    Bytes::from(end)
}

/// The smallest key after `key`.
pub(crate) fn after(key: &[u8]) -> Bytes {
    join(&[key, &[0]])
}

/// Encodes a value of the core's own.
pub(crate) fn encode<T: Serialize>(value: &T) -> Bytes {
    let bytes = bincode::serde::encode_to_vec(value, bincode::config::standard())
        .expect("values of the index hold only types that bincode can encode");
    Bytes::from(bytes)
}

/// Decodes a value of the core's own; `None` if the disk gave back something else.
pub(crate) fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let config = bincode::config::standard().with_limit::<65_536>();
    bincode::serde::decode_from_slice(bytes, config).ok().map(|(value, _)| value)
}

/// The record's id at the end of a record key.
pub(crate) fn record_id_of(record_key: &[u8]) -> Option<RecordId> {
    let start = record_key.len().checked_sub(32)?;
    let tail: [u8; 32] = record_key.get(start..)?.try_into().ok()?;
    Some(RecordId(tail))
}
