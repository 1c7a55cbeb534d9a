use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::secrets::OwnerSecret;

fn keys() -> OwnerKeys {
    OwnerKeys::derive(&OwnerSecret::new([7; 32]))
}

fn chunk(plain: &[u8]) -> PlainChunk {
    let mut chunk = PlainChunk::with_capacity(plain.len());
    chunk.extend(plain);
    chunk
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

/// The blob in parts, each of `part` bytes but the last.
fn in_parts(blob: &[u8], part: usize) -> Bulk {
    let mut bulk = Bulk::default();
    for part in blob.chunks(part) {
        bulk.push(Bytes::copy_from_slice(part));
    }
    bulk
}

#[test]
fn the_seeds_eleven_bytes_give_twenty_seven() {
    let sealed = seal_chunk(&keys(), chunk(b"Foo not bar"));
    assert_eq!(sealed.blob.len(), 27);
    let plain = open_chunk(sealed.id, &sealed.key, sealed.blob).unwrap();
    assert_eq!(&plain[..], b"Foo not bar");
}

/// NIST SP 800-38A, F.5.5: CTR-AES256.Encrypt.
#[test]
fn cipher_gives_the_nist_vector() {
    let key: [u8; 32] = hex_array("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4");
    let iv: [u8; 16] = hex_array("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
    let mut text: [u8; 64] = hex_array(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
         30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
    );
    apply(&ChunkKey::new(key), &iv, &mut text);
    assert_eq!(
        hex::encode(text),
        "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5\
         2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6"
    );
}

fn hex_array<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).unwrap().try_into().unwrap()
}

#[test]
fn sealing_happens_in_the_chunks_own_buffer() {
    let plain = chunk(&pattern(100_000));
    let at = plain.plain().as_ptr();
    let sealed = seal_chunk(&keys(), plain);
    assert_eq!(sealed.blob.parts()[0][IV_LEN..].as_ptr(), at);
}

#[test]
fn opening_an_unshared_buffer_copies_nothing() {
    let sealed = seal_chunk(&keys(), chunk(&pattern(100_000)));
    let at = sealed.blob.parts()[0][IV_LEN..].as_ptr();
    let plain = open_chunk(sealed.id, &sealed.key, sealed.blob).unwrap();
    assert_eq!(plain.as_ptr(), at);
    assert_eq!(plain, pattern(100_000));
}

#[test]
fn opening_a_shared_buffer_leaves_it_sealed() {
    let sealed = seal_chunk(&keys(), chunk(&pattern(1_000)));
    let held = sealed.blob.clone();
    let plain = open_chunk(sealed.id, &sealed.key, sealed.blob).unwrap();
    assert_eq!(plain, pattern(1_000));
    assert_eq!(held.hash(), *sealed.id.as_bytes());
}

#[test]
fn blobs_open_however_they_were_cut() {
    let plain = pattern(3_000);
    let sealed = seal_chunk(&keys(), chunk(&plain));
    let blob = sealed.blob.into_bytes();
    for part in [1, 7, 15, 16, 17, 100, 1_024, 2_999, 3_015, 3_016] {
        let opened = open_chunk(sealed.id, &sealed.key, in_parts(&blob, part));
        assert_eq!(opened.unwrap(), plain, "parts of {part}");
    }
}

#[test]
fn equal_chunks_of_one_owner_are_equal_blobs_and_of_another_are_not() {
    let one = seal_chunk(&keys(), chunk(b"the same"));
    assert_eq!(one, seal_chunk(&keys(), chunk(b"the same")));
    let other = OwnerKeys::derive(&OwnerSecret::new([8; 32]));
    let two = seal_chunk(&other, chunk(b"the same"));
    assert_ne!(one.id, two.id);
    assert_ne!(one.key, two.key);
}

#[test]
fn low_half_of_every_iv_is_zero() {
    for len in 0..50 {
        let blob = seal_chunk(&keys(), chunk(&pattern(len))).blob.into_bytes();
        assert_eq!(blob[8..16], [0; 8]);
        assert_ne!(blob[..8], [0; 8]);
    }
}

#[test]
fn any_flipped_byte_is_a_wrong_hash() {
    let sealed = seal_chunk(&keys(), chunk(b"pay 100"));
    let blob = sealed.blob.into_bytes();
    for at in 0..blob.len() {
        let mut bad = blob.to_vec();
        bad[at] ^= 1;
        let opened = open_chunk(sealed.id, &sealed.key, Bulk::from(Bytes::from(bad)));
        assert_eq!(opened, Err(SealError::WrongHash), "byte {at}");
    }
}

#[test]
fn another_chunks_key_is_refused() {
    let sealed = seal_chunk(&keys(), chunk(b"one"));
    let other = seal_chunk(&keys(), chunk(b"two"));
    assert_eq!(open_chunk(sealed.id, &other.key, sealed.blob), Err(SealError::WrongIv));
}

#[test]
fn blob_without_room_for_an_iv_is_refused() {
    let blob = vec![0_u8; 15];
    let id = ChunkId(*blake3::hash(&blob).as_bytes());
    let opened = open_chunk(id, &ChunkKey::new([0; 32]), Bulk::from(Bytes::from(blob)));
    assert_eq!(opened, Err(SealError::TooShort));
}
