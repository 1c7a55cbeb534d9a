//! The rules that a page obeys, apart from its cryptography.

use super::{
    CHUNK_LEN_MAX, CONTENT_TYPE_LEN_MAX, Children, ChunkRef, FileMeta, IV_LEN_U32, ManifestError, PAGE_ENTRIES_MAX,
    PAGE_LEN_MAX, PagePublic, PageRef, PageSecrets,
};
use crate::seal::BLOB_LEN_MAX;

/// The rules of the public part.
pub(super) fn public(page: &PagePublic) -> Result<(), ManifestError> {
    if page.index >= page.count {
        return Err(ManifestError::BadIndex);
    }
    match &page.children {
        Children::Chunks(chunks) => chunks_in_place(page, chunks),
        Children::Pages(pages) => pages_in_place(page, pages),
    }
}

fn chunks_in_place(page: &PagePublic, chunks: &[ChunkRef]) -> Result<(), ManifestError> {
    let fits = if page.index == 0 {
        // A root of chunks is alone; that of an empty file lists none.
        if page.count != 1 {
            return Err(ManifestError::BadIndex);
        }
        chunks.len() <= PAGE_ENTRIES_MAX
    } else if page.index < page.count - 1 {
        chunks.len() == PAGE_ENTRIES_MAX
    } else {
        (1..=PAGE_ENTRIES_MAX).contains(&chunks.len())
    };
    if !fits {
        return Err(ManifestError::BadEntryCount);
    }
    let possible = |chunk: &ChunkRef| chunk.len > IV_LEN_U32 && chunk.len <= BLOB_LEN_MAX;
    if chunks.iter().all(possible) { Ok(()) } else { Err(ManifestError::BadEntryLength) }
}

fn pages_in_place(page: &PagePublic, pages: &[PageRef]) -> Result<(), ManifestError> {
    if page.index != 0 {
        return Err(ManifestError::BadIndex);
    }
    if pages.is_empty() || pages.len() > PAGE_ENTRIES_MAX {
        return Err(ManifestError::BadEntryCount);
    }
    if page.count as usize != pages.len() + 1 {
        return Err(ManifestError::BadIndex);
    }
    if pages.iter().all(|page| page.len > 0 && page.len as usize <= PAGE_LEN_MAX) {
        Ok(())
    } else {
        Err(ManifestError::BadEntryLength)
    }
}

/// The rules of the sealed part, given a public part that obeys its own.
pub(super) fn secrets(page: &PagePublic, secrets: &PageSecrets) -> Result<(), ManifestError> {
    let matched = match (secrets, &page.children) {
        (PageSecrets::RootOfChunks { meta, keys }, Children::Chunks(chunks)) if page.index == 0 => {
            file(meta)?;
            file_of_chunks(meta, chunks)?;
            keys.len() == chunks.len()
        }
        (PageSecrets::RootOfPages { meta, keys }, Children::Pages(pages)) => {
            file(meta)?;
            file_of_pages(meta, pages.len())?;
            keys.len() == pages.len()
        }
        (PageSecrets::Page { keys }, Children::Chunks(chunks)) if page.index != 0 => keys.len() == chunks.len(),
        (PageSecrets::RootOfChunks { .. } | PageSecrets::Page { .. }, Children::Chunks(_) | Children::Pages(_))
        | (PageSecrets::RootOfPages { .. }, Children::Chunks(_)) => false,
    };
    if matched { Ok(()) } else { Err(ManifestError::SecretsMismatch) }
}

fn file(meta: &FileMeta) -> Result<(), ManifestError> {
    if meta.chunk_size == 0 || meta.chunk_size > CHUNK_LEN_MAX {
        return Err(ManifestError::BadEntryLength);
    }
    if meta.content_type.as_ref().is_some_and(|text| text.len() > CONTENT_TYPE_LEN_MAX) {
        return Err(ManifestError::TooLong);
    }
    Ok(())
}

/// Every chunk but the last is full, and together they are as long as the file.
fn file_of_chunks(meta: &FileMeta, chunks: &[ChunkRef]) -> Result<(), ManifestError> {
    let plain_len = |chunk: &ChunkRef| chunk.len - IV_LEN_U32;
    let full = chunks.split_last().is_none_or(|(last, full)| {
        full.iter().all(|chunk| plain_len(chunk) == meta.chunk_size) && plain_len(last) <= meta.chunk_size
    });
    let sum: u64 = chunks.iter().map(|chunk| u64::from(plain_len(chunk))).sum();
    if full && sum == meta.len { Ok(()) } else { Err(ManifestError::BadFileLength) }
}

/// There are as many pages as the file's length asks for. Whether their chunks fit it shows when they are opened.
fn file_of_pages(meta: &FileMeta, pages: usize) -> Result<(), ManifestError> {
    let page_size = u64::from(meta.chunk_size) * PAGE_ENTRIES_MAX as u64;
    if meta.len.div_ceil(page_size) == pages as u64 { Ok(()) } else { Err(ManifestError::BadFileLength) }
}
