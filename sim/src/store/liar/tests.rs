use forever_core::codec::{Bincode, Codec as _};
use forever_core::frame::Refusal;
use forever_core::ids::{ChunkId, NodeId, ObjectId, PageId};
use forever_core::manifest::ChunkRef;
use forever_core::placement::Replicas;
use forever_core::record::{RecordBody, Retention, SignedRecord};
use forever_core::secrets::{OwnerKeys, OwnerSecret};
use forever_core::version::Version;

use super::*;

fn liar(lie: Lie) -> Liar {
    Liar::new(lie, Draws::new(3), 1)
}

fn record(wall_ms: u64) -> SignedRecord {
    let keys = OwnerKeys::derive(&OwnerSecret::new([7; 32]));
    let record = Record {
        owner: keys.owner_id(),
        name_id: NameId([4; 32]),
        version: Version { wall_ms, counter: 0, node: NodeId([1; 32]) },
        retention: Retention { keep_versions: 1, keep_days: 1, replicas: Replicas::default() },
        body: RecordBody::Tombstone,
    };
    SignedRecord::sign(&keys, record)
}

fn data() -> Frame {
    Frame::Data { want: 1, offset: 0, payload: Bytes::from_static(b"payload").into() }
}

fn records(of: &[&SignedRecord]) -> Frame {
    let records = of.iter().map(|record| HeldRecord { record: record.bytes.clone(), complete: true }).collect();
    Frame::Records { request: 1, records, next: Bytes::new() }
}

/// Lets a liar meddle until it has changed the frame.
fn changed(liar: &mut Liar, honest: &Frame) -> Frame {
    for _ in 0..100 {
        let mut frame = honest.clone();
        if liar.meddle(&mut frame) == Fate::Changed {
            assert_ne!(frame, *honest);
            return frame;
        }
        assert_eq!(frame, *honest);
    }
    panic!("the liar never lies");
}

#[test]
fn who_acknowledges_only_says_that_it_has_what_it_refused() {
    let refused = Frame::Announced { request: 1, outcome: AnnounceOutcome::Refused(Refusal::Disk) };
    let stored = Frame::Announced { request: 1, outcome: AnnounceOutcome::Stored };
    assert_eq!(changed(&mut liar(Lie::AcknowledgesOnly), &refused), stored);
}

#[test]
fn wrong_bytes_have_the_right_length() {
    let Frame::Data { payload, .. } = changed(&mut liar(Lie::WrongBytes), &data()) else { panic!("no data") };
    assert_eq!(payload.len(), b"payload".len());
}

#[test]
fn a_forged_record_does_not_verify() {
    let mut liar = liar(Lie::ForgedRecords);
    for _ in 0..50 {
        let frame = changed(&mut liar, &Frame::Announce { request: 1, record: record(5).bytes, whole: true });
        let Frame::Announce { record, .. } = frame else { panic!("another frame") };
        assert!(SignedRecord::verify(record).is_err());
    }
}

#[test]
fn the_oldest_record_of_a_name_is_told_in_place_of_newer_ones() {
    let mut liar = liar(Lie::OldRecords);
    let (old, new) = (record(5), record(9));
    liar.hear(&Frame::Announce { request: 1, record: old.bytes.clone(), whole: true });
    assert_eq!(changed(&mut liar, &records(&[&new])), records(&[&old]));
    let mut own = Frame::Announce { request: 2, record: new.bytes.clone(), whole: true };
    assert_eq!(liar.meddle(&mut own), Fate::Honest, "what it announces is no answer");
    let mut same = records(&[&old]);
    assert_eq!(liar.meddle(&mut same), Fate::Honest);
}

#[test]
fn who_withholds_has_no_records_and_no_data() {
    let mut liar = liar(Lie::Withholds);
    assert_eq!(changed(&mut liar, &records(&[&record(5)])), records(&[]));
    assert_eq!(changed(&mut liar, &data()), Frame::Unavailable { want: 1 });
}

#[test]
fn absurd_sizes_still_are_frames() {
    let mut liar = liar(Lie::AbsurdSizes);
    let object = ObjectId::Page(PageId([1; 32]));
    let chunk = ChunkId([2; 32]);
    let frames = [
        data(),
        records(&[&record(5)]),
        Frame::Want { want: 1, lane: 1, owner: OwnerId([1; 32]), object, len: 7 },
        Frame::Offer { upload: 1, chunks: vec![ChunkRef { id: chunk, len: 100 }] },
        Frame::Stored { upload: 1, held: Vec::new(), fetched: vec![chunk] },
    ];
    for honest in frames {
        let frame = changed(&mut liar, &honest);
        let mut header = Vec::new();
        Bincode.encode(&frame, &mut header);
        assert!(header.len() <= HEADER_LEN_MAX, "{} bytes", header.len());
    }
}

#[test]
fn a_liar_tells_the_same_lies_again() {
    let frame = records(&[&record(5), &record(6)]);
    assert_eq!(changed(&mut liar(Lie::ForgedRecords), &frame), changed(&mut liar(Lie::ForgedRecords), &frame));
}
