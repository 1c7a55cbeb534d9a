//! What the tests share: fixed values, and one frame of each kind.

use bytes::Bytes;
use forever_core::bulk::PlainChunk;
use forever_core::checkpoint::{Census, Checkpoint};
use forever_core::frame::{
    AnnounceOutcome, CompareOutcome, Frame, Goodbye, HeldRecord, Hello, Life, MemberRow, PROTOCOL_VERSION,
    PromiseOutcome, Refusal, SetRange, SyncOutcome,
};
use forever_core::ids::{ChunkId, NameId, NodeId, ObjectId, OwnerId, PageId, RecordId};
use forever_core::intent::{SignedIntent, UploadIntent};
use forever_core::manifest::{
    Children, ChunkRef, FileMeta, PageContext, PagePublic, PageSecrets, SealedPage, seal_page,
};
use forever_core::member::{Member, MemberInfo, MemberStatus};
use forever_core::name::Name;
use forever_core::placement::Replicas;
use forever_core::reconcile::{Digest, Item};
use forever_core::record::{Record, RecordBody, Retention, SignedRecord};
use forever_core::seal::{SealedChunk, seal_chunk};
use forever_core::secrets::{OwnerKeys, OwnerSecret};
use forever_core::ticket::{SignedTicket, Ticket};
use forever_core::version::Version;

/// The secret of all vectors: 00 01 02 ... 1f.
pub(crate) fn secret() -> OwnerSecret {
    OwnerSecret::new(core::array::from_fn(|at| u8::try_from(at).expect("32 fits a byte")))
}

pub(crate) fn keys() -> OwnerKeys {
    OwnerKeys::derive(&secret())
}

pub(crate) fn name() -> Name {
    Name::new("hello.txt").expect("a valid name")
}

pub(crate) fn version() -> Version {
    Version { wall_ms: 1_767_225_600_000, counter: 1, node: NodeId([0x22; 32]) }
}

pub(crate) fn context() -> PageContext {
    PageContext { owner: keys().owner_id(), name_id: keys().name_id(&name()), version: version() }
}

pub(crate) fn chunk(plain: &[u8]) -> SealedChunk {
    let mut chunk = PlainChunk::with_capacity(plain.len());
    chunk.extend(plain);
    seal_chunk(&keys(), chunk)
}

pub(crate) fn meta() -> FileMeta {
    FileMeta {
        name: name(),
        len: 11,
        chunk_size: 1 << 20,
        mtime_ms: Some(1_767_225_599_000),
        mode: Some(0o644),
        content_type: Some("text/plain".into()),
    }
}

/// The root of a file with the one chunk `Foo not bar`.
pub(crate) fn page() -> (PagePublic, PageSecrets, SealedPage) {
    let chunk = chunk(b"Foo not bar");
    let public =
        PagePublic { index: 0, count: 1, children: Children::Chunks(vec![ChunkRef { id: chunk.id, len: 27 }]) };
    let secrets = PageSecrets::RootOfChunks { meta: meta(), keys: vec![chunk.key] };
    let sealed = seal_page(&keys(), &context(), &public, &secrets);
    (public, secrets, sealed)
}

pub(crate) fn record(body: RecordBody) -> SignedRecord {
    let record = Record {
        owner: keys().owner_id(),
        name_id: keys().name_id(&name()),
        version: version(),
        retention: Retention { keep_versions: 10, keep_days: 30, replicas: Replicas::default() },
        body,
    };
    SignedRecord::sign(&keys(), record)
}

pub(crate) fn file_record() -> SignedRecord {
    let (_, _, page) = page();
    record(RecordBody::File { root: page.id, root_len: u32::try_from(page.data.len()).expect("a page is short") })
}

/// The checkpoint of the device `22 22 ...`, which knows `hello.txt` and nothing else.
pub(crate) fn checkpoint() -> SignedRecord {
    let mut census = Census::default();
    census.add(&keys(), file_record().id);
    let fingerprint = census.fingerprint(&keys());
    let checkpoint = Checkpoint { sequence: 1, wall_ms: 1_767_225_602_000, names: census.names(), fingerprint };
    let record = Record {
        name_id: keys().checkpoint_name(version().node),
        version: Version { wall_ms: 1_767_225_602_000, counter: 0, ..version() },
        retention: Retention { keep_versions: 1, keep_days: 0, replicas: Replicas::default() },
        ..record(RecordBody::Checkpoint(checkpoint)).record
    };
    SignedRecord::sign(&keys(), record)
}

pub(crate) fn intent() -> SignedIntent {
    let intent = UploadIntent {
        owner: keys().owner_id(),
        node: NodeId([0x22; 32]),
        expires_ms: 1_767_312_000_000,
        bytes_max: 1 << 30,
    };
    SignedIntent::sign(&keys(), &intent)
}

pub(crate) fn ticket() -> SignedTicket {
    let (_, _, page) = page();
    let ticket = Ticket {
        owner: keys().owner_id(),
        name_id: keys().name_id(&name()),
        record: file_record().id,
        root_key: page.key,
        expires_ms: 1_767_830_400_000,
    };
    SignedTicket::sign(&keys(), &ticket)
}

/// One frame of each kind, with its name; the payload of a data frame is `abc`.
pub(crate) fn frames() -> Vec<(&'static str, Frame)> {
    let frames =
        [link_frames(), upload_frames(), want_frames(), record_frames(), member_frames(), sync_frames()].concat();
    frames.into_iter().map(|frame| (frame_name(&frame), frame)).collect()
}

/// Not a list: a new kind of frame has to be named here, and then a vector is missing.
fn frame_name(frame: &Frame) -> &'static str {
    match frame {
        Frame::Hello(_) => "hello",
        Frame::Ping { .. } => "ping",
        Frame::Pong { .. } => "pong",
        Frame::Goodbye { .. } => "goodbye",
        Frame::OpenUpload { .. } => "open_upload",
        Frame::Offer { .. } => "offer",
        Frame::Stored { .. } => "stored",
        Frame::Refused { .. } => "refused",
        Frame::CloseUpload { .. } => "close_upload",
        Frame::Want { .. } => "want",
        Frame::Unwant { .. } => "unwant",
        Frame::Data { .. } => "data",
        Frame::Unavailable { .. } => "unavailable",
        Frame::Announce { .. } => "announce",
        Frame::Announced { .. } => "announced",
        Frame::Find { .. } => "find",
        Frame::Scan { .. } => "scan",
        Frame::Records { .. } => "records",
        Frame::AskPromise { .. } => "ask_promise",
        Frame::Promise { .. } => "promise",
        Frame::ReleasePromise { .. } => "release_promise",
        Frame::AskMembers { .. } => "ask_members",
        Frame::Members { .. } => "members",
        Frame::News { .. } => "news",
        Frame::Swim { .. } => "swim",
        Frame::Sync { .. } => "sync",
        Frame::Synced { .. } => "synced",
        Frame::Compare { .. } => "compare",
        Frame::Compared { .. } => "compared",
        Frame::FindItems { .. } => "find_items",
        Frame::Found { .. } => "found",
        Frame::Tell { .. } => "tell",
        Frame::Told { .. } => "told",
    }
}

const OWNER: OwnerId = OwnerId([0x11; 32]);
const NAME_ID: NameId = NameId([0x33; 32]);
const CHUNK: ChunkId = ChunkId([0x44; 32]);
const PAGE: PageId = PageId([0x55; 32]);
const RECORD: RecordId = RecordId([0x66; 32]);

fn link_frames() -> Vec<Frame> {
    vec![
        Frame::Hello(Hello {
            version: PROTOCOL_VERSION,
            features: 0,
            member: member_info(),
            generation: 6,
            table: 1 << 60,
            seen: "10.0.0.9:51234".into(),
        }),
        Frame::Ping { nonce: 250 },
        Frame::Pong { nonce: 251 },
        Frame::Goodbye { reason: Goodbye::Protocol },
    ]
}

fn upload_frames() -> Vec<Frame> {
    vec![
        Frame::OpenUpload { upload: 1, intent: Bytes::from_static(b"signed intent") },
        Frame::Offer { upload: 1, chunks: vec![ChunkRef { id: CHUNK, len: 1_048_592 }] },
        Frame::Stored { upload: 1, held: vec![CHUNK], fetched: vec![] },
        Frame::Refused { upload: 1, chunks: vec![], reason: Refusal::Full },
        Frame::CloseUpload { upload: 65_536 },
    ]
}

fn want_frames() -> Vec<Frame> {
    vec![
        Frame::Want { want: 2, lane: 3, owner: OWNER, object: ObjectId::Page(PAGE), len: 300 },
        Frame::Unwant { want: 2 },
        Frame::Data { want: 2, offset: 61_696, payload: Bytes::from_static(b"abc").into() },
        Frame::Unavailable { want: 2 },
    ]
}

fn record_frames() -> Vec<Frame> {
    vec![
        Frame::Announce { request: 4, record: Bytes::from_static(b"signed record"), whole: true },
        Frame::Announced {
            request: 4,
            outcome: AnnounceOutcome::Superseded { by: Bytes::from_static(b"signed record") },
        },
        Frame::Find { request: 5, owner: OWNER, name_id: NAME_ID },
        Frame::Scan { request: 6, owner: OWNER, after: Bytes::new() },
        Frame::Records {
            request: 6,
            records: vec![HeldRecord { record: Bytes::from_static(b"signed record"), complete: true }],
            next: Bytes::from_static(b"next"),
        },
        Frame::AskPromise { request: 7, record: Bytes::from_static(b"signed record"), fetch: true },
        Frame::Promise { request: 7, outcome: PromiseOutcome::Given },
        Frame::ReleasePromise { owner: OWNER, name_id: NAME_ID, record: RECORD },
    ]
}

pub(crate) fn member_info() -> MemberInfo {
    MemberInfo {
        stamp: 7,
        status: MemberStatus::In,
        owner: OWNER,
        addresses: vec![":3000".into(), "10.0.0.1:3000".into()],
        weight: 100,
        zone: "cellar".into(),
    }
}

fn member_frames() -> Vec<Frame> {
    let member = Member { node: NodeId([0x77; 32]), info: member_info() };
    let life = Some(Life { generation: 6, incarnation: 1, down: true });
    vec![
        Frame::AskMembers { request: 8, after: Some(member.node) },
        Frame::Members { request: 8, members: vec![MemberRow { member: member.clone(), life }], more: true },
        Frame::News { members: vec![member] },
        Frame::Swim { table: 250, packet: Bytes::from_static(b"a packet") },
    ]
}

fn sync_frames() -> Vec<Frame> {
    let range = SetRange { bucket: 0x12, from: Item([0x12; 32]), to: None, owner: None, levels: vec![3] };
    let record = Bytes::from_static(b"signed record");
    vec![
        Frame::Sync { request: 8, shared: Digest([0x77; 8]), owner: OWNER, own: Digest([0x78; 8]) },
        Frame::Synced { request: 8, outcome: SyncOutcome::Differ { shared: vec![Digest([0x77; 8])], own: vec![] } },
        Frame::Compare { request: 9, range, message: Bytes::from_static(b"message") },
        Frame::Compared { request: 9, outcome: CompareOutcome::Answer(Bytes::from_static(b"answer")) },
        Frame::FindItems { request: 10, items: vec![Item([0x88; 32])] },
        Frame::Found { request: 10, records: vec![record.clone()] },
        Frame::Tell { request: 11, records: vec![record] },
        Frame::Told { request: 11, lacking: Some(1) },
    ]
}

/// The payload behind a frame's header.
pub(crate) fn payload(frame: &Frame) -> Bytes {
    if let Frame::Data { payload, .. } = frame { payload.clone().into_bytes() } else { Bytes::new() }
}
