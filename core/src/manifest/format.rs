//! The bytes of a page: `magic(5) ‖ salt(32) ‖ tag(32) ‖ public part ‖ sealed part`.
//!
//! The salt is a keyed hash of everything in the page, plaintext included, and the key is a keyed hash of the page's place
//! and the salt. So two pages share a key only if they are the same page: no key and IV ever meet two plaintexts, without
//! any randomness. Source of the construction: Rogaway and Shrimpton, "Deterministic Authenticated-Encryption" (SIV, 2006).

use alloc::vec::Vec;

use aes::cipher::{KeyIvInit, StreamCipher};
use zeroize::Zeroizing;

use super::{ManifestError, PAGE_LEN_MAX, PageContext, PagePublic, PageSecrets, SealedPage};
use crate::canonical::{self, Fault};
use crate::ids::PageId;
use crate::seal::Cipher;
use crate::secrets::{OwnerKeys, PageKey, context, derive};

/// In front of every page: what it is, and the version of its format.
const MAGIC: [u8; 5] = *b"FSPG\x01";

/// A page's key is used for this page only, so its IV need not differ from others'.
const IV: [u8; 16] = [0; 16];

/// A page's bytes, cut into parts.
pub(super) struct Parts<'a> {
    pub(super) public: PagePublic,
    salt: &'a [u8; 32],
    tag: [u8; 32],
    public_bytes: &'a [u8],
    sealed: &'a [u8],
}

pub(super) fn seal(keys: &OwnerKeys, context: &PageContext, public: &PagePublic, secrets: &PageSecrets) -> SealedPage {
    let public_bytes = canonical::encode(public);
    let plain = Zeroizing::new(canonical::encode(secrets));
    let salt = Covered::new(keys.page_salt_key(), context, public).add_long(&public_bytes).add(&plain).finish();
    let key = page_key(keys, context, public.index, &salt);
    let mut sealed = plain.to_vec();
    cipher(&key).apply_keystream(&mut sealed);
    let tag = page_tag(&key, context, public, &public_bytes, &salt, &sealed);
    let mut data = Vec::with_capacity(MAGIC.len() + 64 + public_bytes.len() + sealed.len());
    for part in [&MAGIC[..], &salt, &tag, &public_bytes, &sealed] {
        data.extend_from_slice(part);
    }
    SealedPage { id: PageId(*blake3::hash(&data).as_bytes()), key, data: data.into() }
}

impl<'a> Parts<'a> {
    /// Cuts a page up and decodes its public part.
    pub(super) fn parse(data: &'a [u8]) -> Result<Self, ManifestError> {
        let rest = data.strip_prefix(&MAGIC).ok_or(ManifestError::UnknownFormat)?;
        let (salt, rest) = rest.split_first_chunk().ok_or(ManifestError::Malformed)?;
        let (tag, rest) = rest.split_first_chunk().ok_or(ManifestError::Malformed)?;
        let (public, used) = canonical::decode_prefix::<_, PAGE_LEN_MAX>(rest).map_err(refused)?;
        let (public_bytes, sealed) = rest.split_at(used);
        if sealed.is_empty() {
            return Err(ManifestError::Malformed);
        }
        Ok(Self { public, salt, tag: *tag, public_bytes, sealed })
    }

    /// The page's key, from the owner's keys.
    pub(super) fn key(&self, keys: &OwnerKeys, context: &PageContext) -> PageKey {
        page_key(keys, context, self.public.index, self.salt)
    }

    /// Checks the MAC, then opens the sealed part.
    pub(super) fn open(&self, key: &PageKey, context: &PageContext) -> Result<PageSecrets, ManifestError> {
        let tag = page_tag(key, context, &self.public, self.public_bytes, self.salt, self.sealed);
        // Comparison of BLAKE3 hashes takes constant time.
        if blake3::Hash::from_bytes(tag) != blake3::Hash::from_bytes(self.tag) {
            return Err(ManifestError::BadTag);
        }
        let mut plain = Zeroizing::new(self.sealed.to_vec());
        cipher(key).apply_keystream(&mut plain);
        canonical::decode_all::<_, PAGE_LEN_MAX>(&plain).map_err(refused)
    }
}

fn refused(fault: Fault) -> ManifestError {
    match fault {
        Fault::Undecodable => ManifestError::Malformed,
        Fault::NotCanonical => ManifestError::NotCanonical,
    }
}

fn page_key(keys: &OwnerKeys, context: &PageContext, index: u32, salt: &[u8; 32]) -> PageKey {
    let key = Covered::of_context(keys.page_key_key(), context).add(&index.to_be_bytes()).add(salt).finish();
    PageKey::new(key)
}

fn cipher(key: &PageKey) -> Cipher {
    let key = derive(context::PAGE_CIPHER_KEY, key.expose());
    Cipher::new((&*key).into(), &IV.into())
}

fn page_tag(
    key: &PageKey,
    context: &PageContext,
    public: &PagePublic,
    public_bytes: &[u8],
    salt: &[u8; 32],
    sealed: &[u8],
) -> [u8; 32] {
    Covered::new(&derive(context::PAGE_MAC_KEY, key.expose()), context, public)
        .add_long(public_bytes)
        .add(salt)
        .add(sealed)
        .finish()
}

/// A keyed hash over what a page belongs to, then more. At most one part of unknown length comes without its length, last.
struct Covered(blake3::Hasher);

impl Covered {
    fn of_context(key: &[u8; 32], context: &PageContext) -> Self {
        Self(blake3::Hasher::new_keyed(key))
            .add(context.owner.as_bytes())
            .add(context.name_id.as_bytes())
            .add(&context.version.to_bytes())
    }

    fn new(key: &[u8; 32], context: &PageContext, public: &PagePublic) -> Self {
        Self::of_context(key, context).add(&public.index.to_be_bytes()).add(&public.count.to_be_bytes())
    }

    fn add(mut self, bytes: &[u8]) -> Self {
        self.0.update(bytes);
        self
    }

    fn add_long(self, bytes: &[u8]) -> Self {
        self.add(&(bytes.len() as u64).to_be_bytes()).add(bytes)
    }

    fn finish(self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }
}
