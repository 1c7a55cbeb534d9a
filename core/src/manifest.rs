//! Manifests: which chunks make up a file, in pages.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::ids::{ChunkId, NameId, OwnerId, PageId};
use crate::secrets::{ChunkKey, OwnerKeys, PageKey};
use crate::version::Version;

/// The most entries (chunks or pages) of one page.
pub const PAGE_ENTRIES_MAX: usize = 4_096;

/// The largest page, in bytes.
pub const PAGE_LEN_MAX: usize = 512 * 1024;

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
    /// Media type (RFC 9110), as given by whoever stored it.
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
    /// Its public part.
    pub public: PagePublic,
    /// Its sealed part.
    pub secrets: PageSecrets,
}

/// Why a page is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ManifestError {
    /// The bytes are not what the address says.
    #[error("the page does not match its content address")]
    WrongHash,
}

/// Seals a page.
#[must_use]
pub fn seal_page(
    _keys: &OwnerKeys,
    _context: &PageContext,
    _public: &PagePublic,
    _secrets: &PageSecrets,
) -> SealedPage {
    todo!()
}

/// Checks a page against its address and its public part for sense (counts, indices, lengths), without any key.
///
/// # Errors
/// What is wrong with it.
pub fn check_page(_page: PageId, _data: &[u8]) -> Result<PagePublic, ManifestError> {
    todo!()
}

/// Opens a page with its key.
///
/// # Errors
/// When it does not belong to the context or was altered.
pub fn open_page(_key: &PageKey, _context: &PageContext, _data: &[u8]) -> Result<OpenedPage, ManifestError> {
    todo!()
}

/// Opens a root page with the owner's keys.
///
/// # Errors
/// When it does not belong to the context or was altered.
pub fn open_root_page(_keys: &OwnerKeys, _context: &PageContext, _data: &[u8]) -> Result<OpenedPage, ManifestError> {
    todo!()
}
