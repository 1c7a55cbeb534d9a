use alloc::collections::BTreeSet;
use alloc::format;

use super::*;

fn secret() -> OwnerSecret {
    OwnerSecret::new([7; 32])
}

#[test]
fn every_derived_key_differs_from_every_other() {
    let keys = OwnerKeys::derive(&secret());
    let derived = [
        *secret().expose(),
        *keys.owner_id().as_bytes(),
        keys.signing.to_bytes(),
        *keys.convergence,
        *keys.name,
        *keys.page_salt,
        *keys.page_key,
        *keys.checkpoint_name,
        *keys.checkpoint_term,
        *keys.checkpoint_sum,
    ];
    assert_eq!(derived.iter().collect::<BTreeSet<_>>().len(), derived.len());
}

#[test]
fn debug_shows_no_secret() {
    let keys = OwnerKeys::derive(&secret());
    assert_eq!(format!("{keys:?}"), "OwnerKeys(***)");
    assert_eq!(format!("{:?}", secret()), "OwnerSecret(***)");
    assert_eq!(format!("{:?}", ChunkKey::new([1; 32])), "ChunkKey(***)");
    assert_eq!(format!("{:?}", PageKey::new([1; 32])), "PageKey(***)");
}

#[test]
fn name_ids_of_two_owners_are_unrelated_unless_hashed_by_md5() {
    let name = Name::new("picture_0.png").unwrap();
    let one = OwnerKeys::derive(&secret());
    let two = OwnerKeys::derive(&OwnerSecret::new([8; 32]));
    assert_ne!(one.name_id(&name), two.name_id(&name));
    let [one, two] = [one, two].map(|keys| keys.with_key_hash(KeyHash::Md5));
    assert_eq!(one.name_id(&name), two.name_id(&name));
}
