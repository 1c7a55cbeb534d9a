//! Manifests: which chunks make up a file, in pages.
//!
//! A file of at most [`PAGE_ENTRIES_MAX`] chunks has one page, its root. A longer one has pages of chunks, every one but
//! the last full, below a root that lists them. What any peer may read of a page (ids and lengths) is enough to check that
//! a file is complete; the keys and what the file is are sealed.

mod check;
mod format;

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::ids::{ChunkId, NameId, OwnerId, PageId};
use crate::record::Record;
use crate::seal::BLOB_LEN_MAX;
use crate::secrets::{ChunkKey, OwnerKeys, PageKey};
use crate::version::Version;

/// The most entries (chunks or pages) of one page.
pub const PAGE_ENTRIES_MAX: usize = 4_096;

/// The largest page, in bytes.
pub const PAGE_LEN_MAX: usize = 512 * 1024;

/// The largest chunk, in bytes of plaintext.
pub const CHUNK_LEN_MAX: u32 = BLOB_LEN_MAX - IV_LEN_U32;

/// The longest media type, in bytes: with it and the longest name the fullest root stays below [`PAGE_LEN_MAX`].
pub const CONTENT_TYPE_LEN_MAX: usize = 255;

/// [`crate::bulk::IV_LEN`] as entries count it.
pub(crate) const IV_LEN_U32: u32 = 16;

/// A chunk as a manifest names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkRef {
    /// Its content address.
    pub id: ChunkId,
    /// Length of the blob in bytes (plaintext and IV).
    pub len: u32,
}

/// A page as its root names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageRef {
    /// Its content address.
    pub id: PageId,
    /// Length of the page in bytes.
    pub len: u32,
}

/// What a page lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Children {
    /// Chunks, in order of the file. The root of a file of at most [`PAGE_ENTRIES_MAX`] chunks, or a page below a root.
    Chunks(Vec<ChunkRef>),
    /// Pages of chunks, in order of the file. Only in a root; every page but the last is full.
    Pages(Vec<PageRef>),
}

/// What any peer can read of a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PagePublic {
    /// 0 for the root, then 1, 2, ... in order of the file.
    pub index: u32,
    /// How many pages the manifest has, the root included.
    pub count: u32,
    /// What it lists.
    pub children: Children,
}

/// What a file is, besides its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMeta {
    /// Its real name.
    pub name: crate::name::Name,
    /// Plain length in bytes.
    pub len: u64,
    /// Plain length of every chunk but the last, in bytes.
    pub chunk_size: u32,
    /// Time of last modification, milliseconds since the Unix epoch.
    pub mtime_ms: Option<u64>,
    /// Unix permission bits.
    pub mode: Option<u32>,
    /// Media type (RFC 9110), as given by whoever stored it; at most [`CONTENT_TYPE_LEN_MAX`] bytes.
    pub content_type: Option<String>,
}

/// What only the owner can read of a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PageSecrets {
    /// Of a root that lists chunks.
    RootOfChunks {
        /// The file.
        meta: FileMeta,
        /// One a chunk.
        keys: Vec<ChunkKey>,
    },
    /// Of a root that lists pages.
    RootOfPages {
        /// The file.
        meta: FileMeta,
        /// One a page.
        keys: Vec<PageKey>,
    },
    /// Of a page below a root.
    Page {
        /// One a chunk.
        keys: Vec<ChunkKey>,
    },
}

/// What a page belongs to. All of it is covered by the page's MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageContext {
    /// The namespace.
    pub owner: OwnerId,
    /// The name.
    pub name_id: NameId,
    /// The version.
    pub version: Version,
}

impl PageContext {
    /// That of all pages of a record's manifest.
    #[must_use]
    pub const fn of(record: &Record) -> Self {
        Self { owner: record.owner, name_id: record.name_id, version: record.version }
    }
}

/// A page sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedPage {
    /// Its content address.
    pub id: PageId,
    /// Its key (for its root; the root's opens the whole version).
    pub key: PageKey,
    /// Its bytes.
    pub data: Bytes,
}

/// A page opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenedPage {
    /// The key that opened it.
    pub key: PageKey,
    /// Its public part.
    pub public: PagePublic,
    /// Its sealed part.
    pub secrets: PageSecrets,
}

/// Why a page is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ManifestError {
    /// The bytes are not what the address says.
    #[error("the page does not match its content address: fetch it from another holder")]
    WrongHash,
    /// Longer than [`PAGE_LEN_MAX`].
    #[error("the page is longer than a page may be")]
    TooLong,
    /// Another format, or a newer version of this one.
    #[error("the page is in a format that this build does not know: update this node")]
    UnknownFormat,
    /// Not the encoding of a page.
    #[error("the page cannot be decoded")]
    Malformed,
    /// Not the one encoding that this page has.
    #[error("the page is not encoded in its canonical form")]
    NotCanonical,
    /// Its index is not below its count, or its count does not fit what it lists.
    #[error("the page's place in its manifest makes no sense")]
    BadIndex,
    /// Too many or too few entries for its place.
    #[error("the page lists a number of entries that its place does not allow")]
    BadEntryCount,
    /// A chunk's or page's length is outside its bounds.
    #[error("the page lists an entry of an impossible length")]
    BadEntryLength,
    /// Its MAC is wrong: altered, or sealed for another owner, name, version or place, or with another key.
    #[error("the page was altered or belongs to another file or version")]
    BadTag,
    /// Its sealed part is of another kind or number than its public part.
    #[error("the page's sealed part does not fit its public part")]
    SecretsMismatch,
    /// The file's length is not that of its chunks.
    #[error("the file's length does not fit its chunks")]
    BadFileLength,
}

/// Seals a page.
///
/// # Panics
/// When the page breaks a rule that [`check_page`] or [`open_page`] enforces: whoever builds pages has checked them.
#[must_use]
pub fn seal_page(keys: &OwnerKeys, context: &PageContext, public: &PagePublic, secrets: &PageSecrets) -> SealedPage {
    check::public(public).expect("a page is built within its bounds");
    check::secrets(public, secrets).expect("a page's sealed part is built to fit its public part");
    let page = format::seal(keys, context, public, secrets);
    assert!(page.data.len() <= PAGE_LEN_MAX, "the largest page fits its limit");
    page
}

/// Checks a page against its address and its public part for sense (counts, indices, lengths), without any key.
///
/// # Errors
/// What is wrong with it.
pub fn check_page(page: PageId, data: &[u8]) -> Result<PagePublic, ManifestError> {
    if data.len() > PAGE_LEN_MAX {
        return Err(ManifestError::TooLong);
    }
    if *blake3::hash(data).as_bytes() != *page.as_bytes() {
        return Err(ManifestError::WrongHash);
    }
    let public = format::Parts::parse(data)?.public;
    check::public(&public)?;
    Ok(public)
}

/// Opens a page with its key.
///
/// # Errors
/// When it does not belong to the context or was altered.
pub fn open_page(key: &PageKey, context: &PageContext, data: &[u8]) -> Result<OpenedPage, ManifestError> {
    if data.len() > PAGE_LEN_MAX {
        return Err(ManifestError::TooLong);
    }
    let parts = format::Parts::parse(data)?;
    check::public(&parts.public)?;
    let secrets = parts.open(key, context)?;
    check::secrets(&parts.public, &secrets)?;
    Ok(OpenedPage { key: key.clone(), public: parts.public, secrets })
}

/// Opens a root page with the owner's keys.
///
/// # Errors
/// When it does not belong to the context or was altered.
pub fn open_root_page(keys: &OwnerKeys, context: &PageContext, data: &[u8]) -> Result<OpenedPage, ManifestError> {
    if data.len() > PAGE_LEN_MAX {
        return Err(ManifestError::TooLong);
    }
    let parts = format::Parts::parse(data)?;
    if parts.public.index != 0 {
        return Err(ManifestError::BadIndex);
    }
    open_page(&parts.key(keys, context), context, data)
}

#[cfg(test)]
mod tests;
