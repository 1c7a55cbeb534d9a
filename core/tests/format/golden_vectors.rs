//! Every vector printed in `FORMAT.md` is what the code computes. Keys that the core keeps to itself are derived here a
//! second time, by the text of `FORMAT.md` instead of the core's code.

use crate::common;
use forever_core::codec::{Bincode, Codec};
use forever_core::ids::{OwnerId, RecordId};
use forever_core::key_hash::KeyHash;
use forever_core::manifest::{ChunkRef, PageContext};
use forever_core::path::PathTransform;
use forever_core::phrase::{from_phrase, to_phrase};
use forever_core::record::RecordBody;

const FORMAT: &str = include_str!("../../FORMAT.md");

/// Set to print the vectors as they belong into `FORMAT.md` after a deliberate change of a format.
const PRINT: &str = "PRINT_VECTORS";

/// The lines `name = value` of the fenced blocks marked as vectors.
fn printed_vectors() -> Vec<(&'static str, String)> {
    let mut vectors = Vec::new();
    for block in FORMAT.split("```vectors\n").skip(1) {
        let (block, _) = block.split_once("```").expect("a fenced block ends");
        for line in block.lines().filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(" = ").expect("a vector is `name = value`");
            vectors.push((name, value.to_owned()));
        }
    }
    vectors
}

#[track_caller]
fn check(section: &str, computed: &[(String, String)]) {
    if std::env::var_os(PRINT).is_some() {
        let mut lines = String::new();
        for (name, value) in computed {
            lines += &format!("{name} = {value}\n");
        }
        println!("{section}\n{lines}");
    }
    let printed = printed_vectors();
    for (name, value) in computed {
        let found = printed.iter().find(|(printed, _)| printed == name);
        let (_, found) = found.unwrap_or_else(|| panic!("FORMAT.md has no vector `{name}` = {value}"));
        assert_eq!(found, value, "vector `{name}` of FORMAT.md; {PRINT}=1 prints them all");
    }
}

fn named<const N: usize>(vectors: [(&str, String); N]) -> Vec<(String, String)> {
    vectors.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

fn derive(context: &str, material: &[u8; 32]) -> [u8; 32] {
    blake3::derive_key(&format!("foreverstore 2026 {context}"), material)
}

fn bincode_of(value: &impl serde::Serialize) -> Vec<u8> {
    bincode::serde::encode_to_vec(value, bincode::config::standard()).expect("the formats can be encoded")
}

fn owner_vectors() -> Vec<(String, String)> {
    let secret = *common::secret().expose();
    let root = derive("record-key root", &secret);
    let md5 = common::keys().with_key_hash(KeyHash::Md5).name_id(&common::name());
    named([
        ("owner_secret", hex::encode(secret)),
        ("phrase", to_phrase(&common::secret())),
        ("signing_key", hex::encode(derive("owner signing key", &secret))),
        ("owner_id", common::keys().owner_id().to_string()),
        ("convergence_secret", hex::encode(derive("convergence secret", &secret))),
        ("name_key", hex::encode(derive("name key", &secret))),
        ("record_key_root", hex::encode(root)),
        ("checkpoint_name_key", hex::encode(derive("checkpoint name key", &derive("name key", &secret)))),
        ("checkpoint_term_key", hex::encode(derive("checkpoint term key", &root))),
        ("checkpoint_sum_key", hex::encode(derive("checkpoint sum key", &root))),
        ("page_salt_key", hex::encode(derive("page salt key", &root))),
        ("page_key_key", hex::encode(derive("page key key", &root))),
        ("name_id", common::keys().name_id(&common::name()).to_string()),
        ("name_id_md5", md5.to_string()),
    ])
}

fn chunk_vectors() -> Vec<(String, String)> {
    let chunk = common::chunk(b"Foo not bar");
    let iv = [&derive("chunk iv", chunk.key.expose())[..8], &[0; 8]].concat();
    let id = chunk.id.to_string();
    let path = |transform: PathTransform| transform.path(&id).expect("hex digits are a plain key");
    named([
        ("chunk_plaintext", hex::encode(b"Foo not bar")),
        ("chunk_key", hex::encode(chunk.key.expose())),
        ("chunk_iv", hex::encode(iv)),
        ("chunk_blob", hex::encode(chunk.blob.into_bytes())),
        ("chunk_id", id.clone()),
        ("chunk_path_git", path(PathTransform::Git)),
        ("chunk_path_cas", path(PathTransform::Cas)),
        ("chunk_path_flat", path(PathTransform::Flat)),
    ])
}

fn page_vectors() -> Vec<(String, String)> {
    let (public, secrets, page) = common::page();
    named([
        ("version_bytes", hex::encode(common::version().to_bytes())),
        ("page_public", hex::encode(bincode_of(&public))),
        ("page_secrets", hex::encode(bincode_of(&secrets))),
        ("page_salt", hex::encode(&page.data[5..37])),
        ("page_key", hex::encode(page.key.expose())),
        ("page_cipher_key", hex::encode(derive("page cipher key", page.key.expose()))),
        ("page_mac_key", hex::encode(derive("page mac key", page.key.expose()))),
        ("page_tag", hex::encode(&page.data[37..69])),
        ("page", hex::encode(&page.data)),
        ("page_id", page.id.to_string()),
    ])
}

/// What a record adds to the sum of a checkpoint's set.
fn term_of(record: RecordId) -> [u8; 32] {
    let root = derive("record-key root", common::secret().expose());
    *blake3::keyed_hash(&derive("checkpoint term key", &root), record.as_bytes()).as_bytes()
}

fn signed_vectors() -> Vec<(String, String)> {
    let file = common::file_record();
    let tombstone = common::record(RecordBody::Tombstone);
    let checkpoint = common::checkpoint();
    let RecordBody::Checkpoint(covered) = checkpoint.record.body else { panic!("a checkpoint") };
    named([
        ("record_file", hex::encode(&file.bytes)),
        ("record_file_id", file.id.to_string()),
        ("record_tombstone", hex::encode(&tombstone.bytes)),
        ("record_tombstone_id", tombstone.id.to_string()),
        ("record_checkpoint", hex::encode(&checkpoint.bytes)),
        ("record_checkpoint_id", checkpoint.id.to_string()),
        ("checkpoint_name_id", checkpoint.record.name_id.to_string()),
        ("checkpoint_term", hex::encode(term_of(file.id))),
        ("checkpoint_fingerprint", covered.fingerprint.to_string()),
        ("intent", hex::encode(&common::intent().0)),
        ("ticket", hex::encode(&common::ticket().0)),
        ("ticket_text", common::ticket().to_text()),
    ])
}

fn frame_vectors() -> Vec<(String, String)> {
    let vector = |(name, frame): (&str, _)| {
        let mut header = Vec::new();
        Bincode.encode(&frame, &mut header);
        (format!("frame_{name}"), hex::encode(header))
    };
    common::frames().into_iter().map(vector).collect()
}

#[test]
fn owner_vectors_are_what_is_printed() {
    check("owner", &owner_vectors());
}

#[test]
fn chunk_vectors_are_what_is_printed() {
    check("chunk", &chunk_vectors());
}

#[test]
fn page_vectors_are_what_is_printed() {
    check("page", &page_vectors());
}

#[test]
fn signed_vectors_are_what_is_printed() {
    check("signed", &signed_vectors());
}

#[test]
fn frame_vectors_are_what_is_printed() {
    check("frames", &frame_vectors());
}

#[test]
fn nothing_is_printed_that_is_not_computed() {
    let computed = [owner_vectors(), chunk_vectors(), page_vectors(), signed_vectors(), frame_vectors()].concat();
    for (name, _) in printed_vectors() {
        assert!(computed.iter().any(|(computed, _)| computed == name), "`{name}`");
    }
    assert_eq!(printed_vectors().len(), computed.len());
}

#[test]
fn printed_phrase_gives_the_secret_back() {
    assert_eq!(from_phrase(&to_phrase(&common::secret())), Ok(common::secret()));
}

/// The keys derived from the text of `FORMAT.md` give the chunk and the page that the core gives.
#[test]
fn formats_follow_from_their_description() {
    let secret = *common::secret().expose();
    let chunk = common::chunk(b"Foo not bar");
    let key = blake3::keyed_hash(&derive("convergence secret", &secret), b"Foo not bar");
    assert_eq!(chunk.key.expose(), key.as_bytes());
    let name_id = blake3::keyed_hash(&derive("name key", &secret), b"hello.txt");
    assert_eq!(common::keys().name_id(&common::name()).as_bytes(), name_id.as_bytes());

    let (public, secrets, page) = common::page();
    let public = bincode_of(&public);
    let secrets = bincode_of(&secrets);
    let place = place(&common::context());
    let root = derive("record-key root", &secret);
    let numbers = [0_u32.to_be_bytes(), 1_u32.to_be_bytes()].concat();
    let public_len = (public.len() as u64).to_be_bytes();
    let salted = [&place[..], &numbers, &public_len, &public, &secrets].concat();
    let salt = blake3::keyed_hash(&derive("page salt key", &root), &salted);
    assert_eq!(&page.data[5..37], salt.as_bytes());
    let keyed = [&place[..], &0_u32.to_be_bytes(), salt.as_bytes()].concat();
    let key = blake3::keyed_hash(&derive("page key key", &root), &keyed);
    assert_eq!(page.key.expose(), key.as_bytes());
    let sealed = &page.data[69 + public.len()..];
    let covered = [&place[..], &numbers, &public_len, &public, salt.as_bytes(), sealed].concat();
    let tag = blake3::keyed_hash(&derive("page mac key", key.as_bytes()), &covered);
    assert_eq!(&page.data[37..69], tag.as_bytes());
}

/// A set of one record has its term as its sum.
#[test]
fn checkpoints_follow_from_their_description() {
    let secret = *common::secret().expose();
    let RecordBody::Checkpoint(covered) = common::checkpoint().record.body else { panic!("a checkpoint") };
    let sum = [&1_u64.to_le_bytes()[..], &term_of(common::file_record().id)].concat();
    let key = derive("checkpoint sum key", &derive("record-key root", &secret));
    assert_eq!(covered.fingerprint.as_bytes(), blake3::keyed_hash(&key, &sum).as_bytes());
    let key = derive("checkpoint name key", &derive("name key", &secret));
    let name = blake3::keyed_hash(&key, &[0x22; 32]);
    assert_eq!(common::checkpoint().record.name_id.as_bytes(), name.as_bytes());
}

fn place(context: &PageContext) -> Vec<u8> {
    let OwnerId(owner) = context.owner;
    [
        &owner[..],
        context.name_id.as_bytes(),
        &context.version.wall_ms.to_be_bytes(),
        &context.version.counter.to_be_bytes(),
        context.version.node.as_bytes(),
    ]
    .concat()
}

/// An entry of a full page is 32 bytes of id and at most 5 of length.
#[test]
fn entries_take_the_space_that_is_described() {
    let chunk = ChunkRef { id: common::chunk(b"Foo not bar").id, len: 1 << 20 };
    assert_eq!(bincode_of(&chunk).len(), 37);
}
