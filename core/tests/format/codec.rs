//! The codec: every frame survives it, and no bytes make it panic, allocate without bound or accept a misplaced payload.

use crate::common;
use bytes::Bytes;
use forever_core::codec::{Bincode, Codec, DecodeError};
use forever_core::frame::{
    AnnounceOutcome, CompareOutcome, DATA_LEN_MAX, Frame, Goodbye, HEADER_LEN_MAX, HeldRecord, Hello, Life, MemberRow,
    OFFER_CHUNKS_MAX, PromiseOutcome, Refusal, SetRange, SyncOutcome,
};
use forever_core::ids::{ChunkId, NameId, NodeId, ObjectId, OwnerId, PageId, RecordId};
use forever_core::manifest::ChunkRef;
use forever_core::member::{Member, MemberInfo, MemberStatus};
use forever_core::reconcile::{Digest, Item};
use proptest::collection::vec;
use proptest::prelude::*;

fn encode(frame: &Frame) -> Vec<u8> {
    let mut header = Vec::new();
    Bincode.encode(frame, &mut header);
    header
}

fn any_bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..80).prop_map(Bytes::from)
}

fn any_chunk() -> impl Strategy<Value = ChunkId> {
    any::<[u8; 32]>().prop_map(ChunkId)
}

fn any_place() -> impl Strategy<Value = (OwnerId, NameId, RecordId)> {
    any::<([u8; 32], [u8; 32], [u8; 32])>()
        .prop_map(|(owner, name_id, record)| (OwnerId(owner), NameId(name_id), RecordId(record)))
}

fn any_refusal() -> impl Strategy<Value = Refusal> {
    prop_oneof![
        Just(Refusal::Full),
        Just(Refusal::Disk),
        Just(Refusal::Unauthorised),
        Just(Refusal::Busy),
        Just(Refusal::Unavailable),
        Just(Refusal::Invalid),
    ]
}

fn any_goodbye() -> impl Strategy<Value = Goodbye> {
    prop_oneof![
        Just(Goodbye::Stopping),
        Just(Goodbye::Duplicate),
        Just(Goodbye::SelfConnection),
        Just(Goodbye::Version),
        Just(Goodbye::Protocol),
        Just(Goodbye::Banned),
        Just(Goodbye::Crowded),
    ]
}

fn any_info() -> impl Strategy<Value = MemberInfo> {
    let status = prop_oneof![Just(MemberStatus::In), Just(MemberStatus::Left), Just(MemberStatus::Forgotten)];
    (any::<(u64, [u8; 32], u32)>(), status, vec(".{0,20}", 0..8), ".{0,10}").prop_map(
        |((stamp, owner, weight), status, addresses, zone)| {
            let owner = OwnerId(owner);
            MemberInfo { stamp, status, owner, addresses, weight, zone }
        },
    )
}

fn any_member() -> impl Strategy<Value = Member> {
    (any::<[u8; 32]>(), any_info()).prop_map(|(node, info)| Member { node: NodeId(node), info })
}

fn any_member_frame() -> impl Strategy<Value = Frame> {
    let life = any::<Option<(u64, u16, bool)>>()
        .prop_map(|life| life.map(|(generation, incarnation, down)| Life { generation, incarnation, down }));
    let row = (any_member(), life).prop_map(|(member, life)| MemberRow { member, life });
    prop_oneof![
        any::<(u64, Option<[u8; 32]>)>()
            .prop_map(|(request, after)| Frame::AskMembers { request, after: after.map(NodeId) }),
        (any::<u64>(), vec(row, 0..4), any::<bool>()).prop_map(|(request, members, more)| Frame::Members {
            request,
            members,
            more
        }),
        vec(any_member(), 0..4).prop_map(|members| Frame::News { members }),
        (any::<u64>(), any_bytes()).prop_map(|(table, packet)| Frame::Swim { table, packet }),
    ]
}

fn any_link_frame() -> impl Strategy<Value = Frame> {
    let hello = (any::<(u16, u64, u64, u64)>(), any_info(), ".{0,20}").prop_map(
        |((version, features, generation, table), member, seen)| {
            Frame::Hello(Hello { version, features, member, generation, table, seen })
        },
    );
    prop_oneof![
        hello,
        any::<u64>().prop_map(|nonce| Frame::Ping { nonce }),
        any::<u64>().prop_map(|nonce| Frame::Pong { nonce }),
        any_goodbye().prop_map(|reason| Frame::Goodbye { reason }),
    ]
}

fn any_upload_frame() -> impl Strategy<Value = Frame> {
    let chunk_ref = (any_chunk(), any::<u32>()).prop_map(|(id, len)| ChunkRef { id, len });
    prop_oneof![
        (any::<u64>(), any_bytes()).prop_map(|(upload, intent)| Frame::OpenUpload { upload, intent }),
        (any::<u64>(), vec(chunk_ref, 0..9)).prop_map(|(upload, chunks)| Frame::Offer { upload, chunks }),
        (any::<u64>(), vec(any_chunk(), 0..9), vec(any_chunk(), 0..9))
            .prop_map(|(upload, held, fetched)| Frame::Stored { upload, held, fetched }),
        (any::<u64>(), vec(any_chunk(), 0..9), any_refusal()).prop_map(|(upload, chunks, reason)| Frame::Refused {
            upload,
            chunks,
            reason
        }),
        any::<u64>().prop_map(|upload| Frame::CloseUpload { upload }),
    ]
}

fn any_want_frame() -> impl Strategy<Value = Frame> {
    let object = prop_oneof![
        any_chunk().prop_map(ObjectId::Chunk),
        any::<[u8; 32]>().prop_map(|id| ObjectId::Page(PageId(id))),
    ];
    let wanted = (any::<(u64, u64, [u8; 32], u32)>(), object);
    let data = (any::<(u64, u32)>(), vec(any::<u8>(), 1..80));
    prop_oneof![
        wanted.prop_map(|((want, lane, owner, len), object)| Frame::Want {
            want,
            lane,
            owner: OwnerId(owner),
            object,
            len
        }),
        any::<u64>().prop_map(|want| Frame::Unwant { want }),
        data.prop_map(|((want, offset), payload)| Frame::Data { want, offset, payload: Bytes::from(payload).into() }),
        any::<u64>().prop_map(|want| Frame::Unavailable { want }),
    ]
}

fn any_record_frame() -> impl Strategy<Value = Frame> {
    let outcome = prop_oneof![
        Just(AnnounceOutcome::Stored),
        any_bytes().prop_map(|by| AnnounceOutcome::Superseded { by }),
        any_refusal().prop_map(AnnounceOutcome::Refused),
    ];
    let held = (any_bytes(), any::<bool>()).prop_map(|(record, complete)| HeldRecord { record, complete });
    prop_oneof![
        (any::<u64>(), any_bytes(), any::<bool>()).prop_map(|(request, record, whole)| Frame::Announce {
            request,
            record,
            whole
        }),
        (any::<u64>(), outcome).prop_map(|(request, outcome)| Frame::Announced { request, outcome }),
        (any::<u64>(), any_place()).prop_map(|(request, (owner, name_id, _))| Frame::Find { request, owner, name_id }),
        (any::<u64>(), any_place(), any_bytes()).prop_map(|(request, (owner, _, _), after)| Frame::Scan {
            request,
            owner,
            after
        }),
        (any::<u64>(), vec(held, 0..4), any_bytes()).prop_map(|(request, records, next)| Frame::Records {
            request,
            records,
            next
        }),
        (any::<(u64, bool)>(), any_bytes()).prop_map(|((request, fetch), record)| Frame::AskPromise {
            request,
            record,
            fetch
        }),
        any::<(u64, u8)>().prop_map(|(request, outcome)| {
            let outcomes = [PromiseOutcome::Refused, PromiseOutcome::Given, PromiseOutcome::Obsolete];
            Frame::Promise { request, outcome: outcomes[usize::from(outcome) % outcomes.len()] }
        }),
        any_place().prop_map(|(owner, name_id, record)| Frame::ReleasePromise { owner, name_id, record }),
    ]
}

fn any_sync_frame() -> impl Strategy<Value = Frame> {
    let digest = || any::<[u8; 8]>().prop_map(Digest);
    let outcome = prop_oneof![
        Just(SyncOutcome::Same),
        Just(SyncOutcome::Busy),
        (vec(digest(), 0..4), vec(digest(), 0..4)).prop_map(|(shared, own)| SyncOutcome::Differ { shared, own }),
    ];
    let bounds = (any::<u8>(), any::<[u8; 32]>(), proptest::option::of(any::<[u8; 32]>()));
    let range = (bounds, proptest::option::of(any::<[u8; 32]>()), vec(any::<u16>(), 0..4)).prop_map(
        |((bucket, from, to), owner, levels)| SetRange {
            bucket,
            from: Item(from),
            to: to.map(Item),
            owner: owner.map(OwnerId),
            levels,
        },
    );
    let compared = prop_oneof![
        any_bytes().prop_map(CompareOutcome::Answer),
        any::<[u8; 32]>().prop_map(|middle| CompareOutcome::TooMany(Item(middle))),
        Just(CompareOutcome::Busy),
    ];
    let items = vec(any::<[u8; 32]>().prop_map(Item), 0..4);
    prop_oneof![
        (any::<u64>(), digest(), any::<[u8; 32]>(), digest()).prop_map(|(request, shared, owner, own)| Frame::Sync {
            request,
            shared,
            owner: OwnerId(owner),
            own
        }),
        (any::<u64>(), outcome).prop_map(|(request, outcome)| Frame::Synced { request, outcome }),
        (any::<u64>(), range, any_bytes()).prop_map(|(request, range, message)| Frame::Compare {
            request,
            range,
            message
        }),
        (any::<u64>(), compared).prop_map(|(request, outcome)| Frame::Compared { request, outcome }),
        (any::<u64>(), items).prop_map(|(request, items)| Frame::FindItems { request, items }),
        (any::<u64>(), vec(any_bytes(), 0..4)).prop_map(|(request, records)| Frame::Found { request, records }),
        (any::<u64>(), vec(any_bytes(), 0..4)).prop_map(|(request, records)| Frame::Tell { request, records }),
        any::<(u64, Option<u32>)>().prop_map(|(request, lacking)| Frame::Told { request, lacking }),
    ]
}

fn any_frame() -> impl Strategy<Value = Frame> {
    prop_oneof![
        any_link_frame(),
        any_upload_frame(),
        any_want_frame(),
        any_record_frame(),
        any_member_frame(),
        any_sync_frame()
    ]
}

proptest! {
    #[test]
    fn every_frame_survives(frame in any_frame()) {
        let header = encode(&frame);
        prop_assert!(header.len() <= HEADER_LEN_MAX);
        prop_assert_eq!(Bincode.decode(&header, common::payload(&frame)), Ok(frame));
    }

    #[test]
    fn no_bytes_make_it_panic(header in vec(any::<u8>(), 0..300), payload in any_bytes()) {
        if let Ok(frame) = Bincode.decode(&header, payload.clone()) {
            prop_assert_eq!(Bincode.decode(&encode(&frame), payload), Ok(frame));
        }
    }

    #[test]
    fn damaged_headers_do_not_make_it_panic(frame in any_frame(), at: prop::sample::Index, byte: u8) {
        let mut header = encode(&frame);
        let at = at.index(header.len());
        header[at] = byte;
        if let Ok(other) = Bincode.decode(&header, common::payload(&frame)) {
            prop_assert_eq!(other == frame, encode(&other) == encode(&frame));
        }
    }

    #[test]
    fn shortened_headers_are_refused(frame in any_frame(), at: prop::sample::Index) {
        let header = encode(&frame);
        let decoded = Bincode.decode(&header[..at.index(header.len())], common::payload(&frame));
        prop_assert!(matches!(decoded, Err(DecodeError::Header(_))), "{:?}", decoded);
    }
}

#[test]
fn every_kind_of_frame_survives() {
    for (name, frame) in common::frames() {
        let decoded = Bincode.decode(&encode(&frame), common::payload(&frame));
        assert_eq!(decoded, Ok(frame), "{name}");
    }
}

#[test]
fn bytes_left_over_are_refused() {
    let mut header = encode(&Frame::Ping { nonce: 1 });
    header.push(0);
    assert_eq!(Bincode.decode(&header, Bytes::new()), Err(DecodeError::Trailing(1)));
}

#[test]
fn payload_goes_with_data_only_and_is_bounded() {
    let ping = encode(&Frame::Ping { nonce: 1 });
    let misplaced = Bincode.decode(&ping, Bytes::from_static(b"abc"));
    assert_eq!(misplaced, Err(DecodeError::Payload(3)));
    let data = |len: usize| {
        let frame = Frame::Data { want: 1, offset: 0, payload: Bytes::new().into() };
        Bincode.decode(&encode(&frame), vec![0; len].into())
    };
    assert_eq!(data(0), Err(DecodeError::Payload(0)));
    assert!(data(DATA_LEN_MAX).is_ok());
    let over = u32::try_from(DATA_LEN_MAX + 1).unwrap();
    assert_eq!(data(DATA_LEN_MAX + 1), Err(DecodeError::Payload(over)));
}

/// A header of a few bytes that announces 2^60 chunks.
#[test]
fn announced_lengths_allocate_nothing() {
    let mut header = encode(&Frame::Stored { upload: 1, held: vec![], fetched: vec![] });
    header.pop();
    header.push(253);
    header.extend((1_u64 << 60).to_le_bytes());
    let decoded = Bincode.decode(&header, Bytes::new());
    assert!(matches!(decoded, Err(DecodeError::Header(_))), "{decoded:?}");
}

#[test]
fn header_beyond_the_limit_is_refused() {
    let long = Frame::OpenUpload { upload: 1, intent: vec![0; HEADER_LEN_MAX].into() };
    let decoded = Bincode.decode(&encode(&long), Bytes::new());
    assert!(matches!(decoded, Err(DecodeError::Header(_))), "{decoded:?}");
}

#[test]
fn fullest_offer_stays_below_the_limit() {
    let chunks = vec![ChunkRef { id: ChunkId([0xff; 32]), len: u32::MAX }; OFFER_CHUNKS_MAX];
    let frame = Frame::Offer { upload: u64::MAX, chunks };
    let header = encode(&frame);
    assert!(header.len() <= HEADER_LEN_MAX);
    assert_eq!(Bincode.decode(&header, Bytes::new()), Ok(frame));
}
