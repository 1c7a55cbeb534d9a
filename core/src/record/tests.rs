use alloc::vec::Vec;

use super::*;
use crate::ids::{Fingerprint, NodeId};
use crate::secrets::OwnerSecret;

fn keys() -> OwnerKeys {
    OwnerKeys::derive(&OwnerSecret::new([7; 32]))
}

fn record(body: RecordBody) -> Record {
    Record {
        owner: keys().owner_id(),
        name_id: NameId([1; 32]),
        version: Version { wall_ms: u64::MAX, counter: u32::MAX, node: NodeId([2; 32]) },
        retention: Retention {
            keep_versions: u32::MAX,
            keep_days: u32::MAX,
            replicas: Replicas::new(255).expect("not none"),
        },
        body,
    }
}

fn file() -> RecordBody {
    RecordBody::File { root: PageId([3; 32]), root_len: u32::MAX }
}

fn checkpoint() -> RecordBody {
    let fingerprint = Fingerprint([5; 32]);
    RecordBody::Checkpoint(Checkpoint { sequence: u64::MAX, wall_ms: u64::MAX, names: u64::MAX, fingerprint })
}

/// Bytes with a signature of the owner, whatever they are.
fn signed(body: Vec<u8>) -> Bytes {
    signature::sign(&keys(), DOMAIN, body).into()
}

#[test]
fn records_verify_as_what_was_signed() {
    for body in [file(), RecordBody::Tombstone, checkpoint()] {
        let signed = SignedRecord::sign(&keys(), record(body));
        assert_eq!(SignedRecord::verify(signed.bytes.clone()), Ok(signed));
    }
}

#[test]
fn longest_records_stay_below_the_limit() {
    assert!(SignedRecord::sign(&keys(), record(file())).bytes.len() < RECORD_LEN_MAX);
    assert!(SignedRecord::sign(&keys(), record(RecordBody::Tombstone)).bytes.len() < RECORD_LEN_MAX);
    assert!(SignedRecord::sign(&keys(), record(checkpoint())).bytes.len() < RECORD_LEN_MAX);
}

#[test]
fn every_flipped_bit_is_refused() {
    let bytes = SignedRecord::sign(&keys(), record(file())).bytes;
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.to_vec();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(SignedRecord::verify(bad.into()).is_err(), "bit {bit}");
    }
}

#[cfg(feature = "simulation")]
#[test]
fn who_knows_the_keys_of_owners_refuses_what_others_refuse() {
    let other = OwnerKeys::derive(&OwnerSecret::new([8; 32]));
    let bytes = SignedRecord::sign(&keys(), record(file())).bytes;
    for owners in [Vec::new(), alloc::vec![other.clone()], alloc::vec![other, keys()]] {
        assert_eq!(SignedRecord::verify_knowing(&owners, bytes.clone()), SignedRecord::verify(bytes.clone()));
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            let bad = Bytes::from(bad);
            let refused = SignedRecord::verify_knowing(&owners, bad.clone());
            assert_eq!(refused, SignedRecord::verify(bad), "bit {bit}");
            assert!(refused.is_err(), "bit {bit}");
        }
    }
}

#[test]
fn every_shortened_record_is_refused() {
    let bytes = SignedRecord::sign(&keys(), record(file())).bytes;
    for len in 0..bytes.len() {
        assert!(SignedRecord::verify(bytes.slice(..len)).is_err(), "{len} bytes");
    }
}

#[test]
fn longer_record_is_refused_by_its_length() {
    let bytes = alloc::vec![0; RECORD_LEN_MAX + 1];
    assert_eq!(SignedRecord::verify(bytes.into()), Err(RecordError::TooLong));
}

#[test]
fn newer_format_is_told_apart() {
    let mut body = MAGIC.to_vec();
    body[4] += 1;
    body.extend(canonical::encode(&record(file())));
    assert_eq!(SignedRecord::verify(signed(body)), Err(RecordError::UnknownFormat));
}

#[test]
fn bytes_behind_the_record_are_refused_although_signed() {
    let mut body = MAGIC.to_vec();
    body.extend(canonical::encode(&record(file())));
    body.push(0);
    assert_eq!(SignedRecord::verify(signed(body)), Err(RecordError::NotCanonical));
}

#[test]
fn integer_encoded_longer_than_needed_is_refused_although_signed() {
    let mut small = record(RecordBody::Tombstone);
    small.retention.keep_versions = 5;
    let mut body = MAGIC.to_vec();
    body.extend(canonical::encode(&small));
    // Behind it: the days (5 bytes), the replicas and the kind of body (1 each).
    let at = body.len() - 1 - 1 - 5 - 1;
    assert_eq!(body[at], 5);
    // 251 announces two bytes: 5 as bincode would never write it, and reads it all the same.
    body.splice(at..=at, [251, 5, 0]);
    assert_eq!(SignedRecord::verify(signed(body)), Err(RecordError::NotCanonical));
}

#[test]
fn another_owners_signature_is_refused() {
    let mut body = MAGIC.to_vec();
    body.extend(canonical::encode(&record(file())));
    let other = OwnerKeys::derive(&OwnerSecret::new([8; 32]));
    let bytes = signature::sign(&other, DOMAIN, body).into();
    assert_eq!(SignedRecord::verify(bytes), Err(RecordError::BadSignature));
}

#[test]
fn signature_of_another_domain_is_refused() {
    let mut body = MAGIC.to_vec();
    body.extend(canonical::encode(&record(file())));
    let bytes = signature::sign(&keys(), b"another domain\0", body).into();
    assert_eq!(SignedRecord::verify(bytes), Err(RecordError::BadSignature));
}

/// With the neutral point as key and as nonce, S = 0 satisfies the plain equation for every message.
#[test]
fn owner_of_small_order_is_refused() {
    let mut weak = record(file());
    weak.owner = OwnerId({
        let mut identity = [0; 32];
        identity[0] = 1;
        identity
    });
    let mut bytes = MAGIC.to_vec();
    bytes.extend(canonical::encode(&weak));
    let mut signature = [0; 64];
    signature[0] = 1;
    bytes.extend(signature);
    assert_eq!(SignedRecord::verify(bytes.into()), Err(RecordError::BadSignature));
}

#[test]
fn id_does_not_cover_the_signature() {
    let signed = SignedRecord::sign(&keys(), record(file()));
    let body = &signed.bytes[..signed.bytes.len() - 64];
    assert_eq!(signed.id, RecordId(*blake3::hash(body).as_bytes()));
}

#[test]
#[should_panic(expected = "signed by the owner it names")]
fn signing_for_another_owner_is_a_bug() {
    let mut foreign = record(file());
    foreign.owner = OwnerId([9; 32]);
    let _ = SignedRecord::sign(&keys(), foreign);
}
