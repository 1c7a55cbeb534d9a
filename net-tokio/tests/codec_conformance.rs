//! What every codec of frames must do.

use bytes::Bytes;
use forever_core::bulk::Bulk;
use forever_core::codec::{Bincode, Codec, DecodeError};
use forever_core::frame::{
    ANSWER_MEMBERS_MAX, ANSWER_RECORDS_MAX, AnnounceOutcome, CompareOutcome, DATA_LEN_MAX, FOUND_MAX, Frame, Goodbye,
    HEADER_LEN_MAX, HeldRecord, Hello, LEVEL_NONE, Life, MemberRow, OFFER_CHUNKS_MAX, PromiseOutcome, Refusal,
    SWIM_PACKET_MAX, SetRange, SyncOutcome,
};
use forever_core::ids::{ChunkId, NameId, NodeId, ObjectId, OwnerId, PageId, RecordId};
use forever_core::manifest::ChunkRef;
use forever_core::member::{Member, MemberInfo, MemberStatus, STAMP_MAX};
use forever_core::reconcile::{BUCKETS, Digest, Item, MESSAGE_LEN_MAX};
use forever_core::record::RECORD_LEN_MAX;
use forever_net_tokio::codec_text::Text;
use proptest::prelude::*;

const OWNER: OwnerId = OwnerId([0xa1; 32]);
const NAME: NameId = NameId([0xb2; 32]);
const RECORD: RecordId = RecordId([0xc3; 32]);

fn codecs() -> [(&'static str, Box<dyn Codec>); 2] {
    [("bincode", Box::new(Bincode)), ("text", Box::new(Text))]
}

fn bytes() -> Bytes {
    (0..=255).collect()
}

/// At least one frame of every kind, with the longest lists that the protocol allows.
fn samples() -> Vec<Frame> {
    let records = [record_samples(), member_samples(), sync_samples()].concat();
    [link_samples(), upload_samples(), transfer_samples(), records].concat()
}

fn link_samples() -> Vec<Frame> {
    vec![
        Frame::Hello(Hello {
            version: 1,
            features: u64::MAX,
            member: member().info,
            generation: u64::MAX,
            table: u64::MAX,
            seen: "[::1]:7000".into(),
        }),
        Frame::Ping { nonce: u64::MAX },
        Frame::Pong { nonce: 0 },
        Frame::Goodbye { reason: Goodbye::Duplicate },
    ]
}

fn upload_samples() -> Vec<Frame> {
    vec![
        Frame::OpenUpload { upload: 1, intent: bytes() },
        Frame::Offer { upload: 2, chunks: vec![ChunkRef { id: ChunkId([0xff; 32]), len: u32::MAX }; OFFER_CHUNKS_MAX] },
        Frame::Stored {
            upload: 3,
            held: vec![ChunkId([1; 32]); OFFER_CHUNKS_MAX],
            fetched: vec![ChunkId([2; 32]); OFFER_CHUNKS_MAX],
        },
        Frame::Refused { upload: 4, chunks: vec![], reason: Refusal::Full },
        Frame::CloseUpload { upload: 5 },
    ]
}

fn transfer_samples() -> Vec<Frame> {
    vec![
        Frame::Want { want: 1, lane: 2, owner: OWNER, object: ObjectId::Chunk(ChunkId([3; 32])), len: 1 << 20 },
        Frame::Want { want: 1, lane: 2, owner: OWNER, object: ObjectId::Page(PageId([3; 32])), len: 0 },
        Frame::Unwant { want: 6 },
        Frame::Data { want: u64::MAX, offset: u32::MAX, payload: bytes().into() },
        Frame::Unavailable { want: 7 },
    ]
}

fn record_samples() -> Vec<Frame> {
    let held = HeldRecord { record: vec![0xee; RECORD_LEN_MAX].into(), complete: true };
    let announced = |outcome| Frame::Announced { request: 9, outcome };
    vec![
        Frame::Announce { request: 8, record: bytes(), whole: true },
        announced(AnnounceOutcome::Stored),
        announced(AnnounceOutcome::Superseded { by: bytes() }),
        announced(AnnounceOutcome::Refused(Refusal::Unauthorised)),
        Frame::Find { request: 10, owner: OWNER, name_id: NAME },
        Frame::Scan { request: 11, owner: OWNER, after: Bytes::new() },
        Frame::Records { request: 12, records: vec![held; ANSWER_RECORDS_MAX], next: bytes() },
        Frame::AskPromise { request: 13, record: bytes(), fetch: true },
        Frame::Promise { request: 14, outcome: PromiseOutcome::Given },
        Frame::ReleasePromise { owner: OWNER, name_id: NAME, record: RECORD },
    ]
}

fn member() -> Member {
    let info = MemberInfo {
        stamp: STAMP_MAX,
        status: MemberStatus::Forgotten,
        owner: OWNER,
        addresses: vec!["[::1]:7000".into(), r#"{"hex":"00"}"#.into(), ":1".into()],
        weight: u32::MAX,
        zone: r#"a "zone""#.into(),
    };
    Member { node: NodeId([0xd4; 32]), info }
}

fn member_samples() -> Vec<Frame> {
    let row = |life| MemberRow { member: member(), life };
    let life = Some(Life { generation: u64::MAX, incarnation: u16::MAX, down: true });
    vec![
        Frame::AskMembers { request: 15, after: None },
        Frame::AskMembers { request: 15, after: Some(NodeId([0xd4; 32])) },
        Frame::Members { request: 15, members: vec![row(life), row(None)], more: true },
        Frame::News { members: vec![member(); ANSWER_MEMBERS_MAX] },
        Frame::Swim { table: u64::MAX, packet: vec![0xee; SWIM_PACKET_MAX].into() },
    ]
}

fn sync_samples() -> Vec<Frame> {
    let range = SetRange {
        bucket: 0xff,
        from: Item([1; 32]),
        to: Some(Item([2; 32])),
        owner: Some(OWNER),
        levels: vec![LEVEL_NONE; 256],
    };
    let digests = vec![Digest([7; 8]); BUCKETS];
    let compared = |outcome| Frame::Compared { request: 2, outcome };
    vec![
        Frame::Sync { request: 1, shared: Digest([1; 8]), owner: OWNER, own: Digest([2; 8]) },
        Frame::Synced { request: 1, outcome: SyncOutcome::Same },
        Frame::Synced { request: 1, outcome: SyncOutcome::Busy },
        Frame::Synced { request: 1, outcome: SyncOutcome::Differ { shared: digests.clone(), own: digests } },
        Frame::Compare { request: 2, range, message: vec![7; MESSAGE_LEN_MAX].into() },
        compared(CompareOutcome::Answer(vec![7; MESSAGE_LEN_MAX].into())),
        compared(CompareOutcome::TooMany(Item([7; 32]))),
        compared(CompareOutcome::Busy),
        Frame::FindItems { request: 3, items: vec![Item([7; 32]); FOUND_MAX] },
        Frame::Found { request: 3, records: vec![vec![7; RECORD_LEN_MAX].into(); FOUND_MAX] },
        Frame::Tell { request: 4, records: vec![vec![7; RECORD_LEN_MAX].into(); FOUND_MAX] },
        Frame::Told { request: 4, lacking: None },
        Frame::Told { request: 4, lacking: Some(u32::MAX) },
    ]
}

/// A number for every kind of frame; a new kind does not compile until it is here, and then wants a sample.
fn kind(frame: &Frame) -> usize {
    match frame {
        Frame::Hello(_) => 0,
        Frame::Ping { .. } => 1,
        Frame::Pong { .. } => 2,
        Frame::Goodbye { .. } => 3,
        Frame::OpenUpload { .. } => 4,
        Frame::Offer { .. } => 5,
        Frame::Stored { .. } => 6,
        Frame::Refused { .. } => 7,
        Frame::CloseUpload { .. } => 8,
        Frame::Want { .. } => 9,
        Frame::Unwant { .. } => 10,
        Frame::Data { .. } => 11,
        Frame::Unavailable { .. } => 12,
        Frame::Announce { .. } => 13,
        Frame::Announced { .. } => 14,
        Frame::Find { .. } => 15,
        Frame::Scan { .. } => 16,
        Frame::Records { .. } => 17,
        Frame::AskPromise { .. } => 18,
        Frame::Promise { .. } => 19,
        Frame::ReleasePromise { .. } => 20,
        Frame::AskMembers { .. } => 21,
        Frame::Members { .. } => 22,
        Frame::News { .. } => 23,
        Frame::Swim { .. } => 24,
        Frame::Sync { .. } => 25,
        Frame::Synced { .. } => 26,
        Frame::Compare { .. } => 27,
        Frame::Compared { .. } => 28,
        Frame::FindItems { .. } => 29,
        Frame::Found { .. } => 30,
        Frame::Tell { .. } => 31,
        Frame::Told { .. } => KINDS - 1,
    }
}

const KINDS: usize = 33;

fn encoded(codec: &dyn Codec, frame: &Frame) -> (Vec<u8>, Bytes) {
    let mut header = b"kept".to_vec();
    codec.encode(frame, &mut header);
    assert!(header.starts_with(b"kept"), "a header is appended");
    let payload = if let Frame::Data { payload, .. } = frame { payload.clone().into_bytes() } else { Bytes::new() };
    (header.split_off(4), payload)
}

#[test]
fn every_kind_of_frame_round_trips() {
    let samples = samples();
    let kinds: std::collections::BTreeSet<usize> = samples.iter().map(kind).collect();
    assert!(kinds.into_iter().eq(0..KINDS), "a kind has no sample");
    for (name, codec) in codecs() {
        for frame in &samples {
            let (header, payload) = encoded(codec.as_ref(), frame);
            assert!(header.len() <= HEADER_LEN_MAX, "{name}: {} bytes", header.len());
            assert_eq!(codec.decode(&header, payload).as_ref(), Ok(frame), "{name}");
        }
    }
}

#[test]
fn a_header_cut_short_or_followed_by_more_is_refused() {
    for (name, codec) in codecs() {
        for frame in samples() {
            let (mut header, payload) = encoded(codec.as_ref(), &frame);
            // Every length of short headers, some of long ones.
            for len in (0..header.len()).step_by(1 + header.len() / 500) {
                let result = codec.decode(&header[..len], payload.clone());
                assert!(result.is_err(), "{name}: {len} bytes of {frame:?}");
            }
            header.push(b'0');
            assert!(codec.decode(&header, payload).is_err(), "{name}: {frame:?}");
        }
    }
}

#[test]
fn a_payload_belongs_to_data_and_is_neither_empty_nor_too_long() {
    for (_, codec) in codecs() {
        for frame in samples() {
            let (header, _) = encoded(codec.as_ref(), &frame);
            let is_data = matches!(frame, Frame::Data { .. });
            for len in [0, 1, DATA_LEN_MAX, DATA_LEN_MAX + 1] {
                let result = codec.decode(&header, vec![0; len].into());
                if is_data == (1..=DATA_LEN_MAX).contains(&len) && (is_data || len == 0) {
                    assert!(result.is_ok());
                } else {
                    assert!(matches!(result, Err(DecodeError::Payload(wrong)) if wrong as usize == len));
                }
            }
        }
    }
}

#[test]
fn the_text_codec_is_readable() {
    let shown = |frame: &Frame| String::from_utf8(encoded(&Text, frame).0).unwrap();
    assert_eq!(shown(&Frame::Ping { nonce: 7 }), r#"{"Ping":{"nonce":7}}"#);
    let announce = Frame::Announce { request: 1, record: Bytes::from_static(&[0, 0xab]), whole: false };
    assert_eq!(shown(&announce), r#"{"Announce":{"request":1,"record":{"hex":"00ab"},"whole":false}}"#);
    let data = Frame::Data { want: 1, offset: 2, payload: Bulk::from(bytes()) };
    assert_eq!(shown(&data), r#"{"Data":{"want":1,"offset":2}}"#, "the payload is apart");
}

#[test]
fn garbage_is_an_error() {
    for (name, codec) in codecs() {
        for garbage in [&b""[..], &[0xff; 64], b"null", b"{}", b"[[[[[[[[", &[b'['; 50_000]] {
            assert!(codec.decode(garbage, Bytes::new()).is_err(), "{name}: {garbage:?}");
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_or_refused_and_what_is_decoded_round_trips(
        header in proptest::collection::vec(any::<u8>(), 0..200),
        payload in proptest::collection::vec(any::<u8>(), 0..3),
    ) {
        for (_, codec) in codecs() {
            if let Ok(frame) = codec.decode(&header, payload.clone().into()) {
                let (again, payload) = encoded(codec.as_ref(), &frame);
                prop_assert_eq!(codec.decode(&again, payload), Ok(frame));
            }
        }
    }

    #[test]
    fn a_frame_altered_in_a_byte_is_decoded_or_refused(at in any::<prop::sample::Index>(), value in any::<u8>()) {
        for (_, codec) in codecs() {
            for frame in samples() {
                let (mut header, payload) = encoded(codec.as_ref(), &frame);
                let at = at.index(header.len());
                header[at] = value;
                if let Ok(frame) = codec.decode(&header, payload) {
                    let (again, payload) = encoded(codec.as_ref(), &frame);
                    prop_assert_eq!(codec.decode(&again, payload), Ok(frame));
                }
            }
        }
    }
}
