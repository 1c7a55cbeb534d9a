use super::*;
use crate::secrets::OwnerSecret;

fn keys() -> OwnerKeys {
    OwnerKeys::derive(&OwnerSecret::new([7; 32]))
}

fn intent() -> UploadIntent {
    UploadIntent { owner: keys().owner_id(), node: NodeId([2; 32]), expires_ms: 1_767_225_600_000, bytes_max: 1 << 40 }
}

#[test]
fn intents_verify_as_what_was_signed() {
    let signed = SignedIntent::sign(&keys(), &intent());
    assert_eq!(signed.0.len(), INTENT_LEN);
    assert_eq!(SignedIntent::verify(&signed.0), Ok(intent()));
}

#[test]
fn every_flipped_bit_is_refused() {
    let bytes = SignedIntent::sign(&keys(), &intent()).0;
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.to_vec();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(SignedIntent::verify(&bad).is_err(), "bit {bit}");
    }
}

#[cfg(feature = "simulation")]
#[test]
fn who_knows_the_keys_of_owners_refuses_what_others_refuse() {
    let bytes = SignedIntent::sign(&keys(), &intent()).0;
    let owners = [keys()];
    assert_eq!(SignedIntent::verify_knowing(&owners, &bytes), Ok(intent()));
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.to_vec();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(SignedIntent::verify_knowing(&owners, &bad), SignedIntent::verify(&bad), "bit {bit}");
        assert!(SignedIntent::verify(&bad).is_err(), "bit {bit}");
    }
}

#[test]
fn any_other_length_is_refused() {
    let mut bytes = SignedIntent::sign(&keys(), &intent()).0.to_vec();
    bytes.push(0);
    assert_eq!(SignedIntent::verify(&bytes), Err(IntentError::Length { len: 150 }));
    for len in 0..INTENT_LEN {
        let refused = SignedIntent::verify(&bytes[..len]);
        assert!(matches!(refused, Err(IntentError::Length { .. })), "{len} bytes");
    }
}

#[test]
fn newer_format_is_told_apart() {
    let mut bytes = SignedIntent::sign(&keys(), &intent()).0.to_vec();
    bytes[4] = 2;
    assert_eq!(SignedIntent::verify(&bytes), Err(IntentError::UnknownFormat));
}
