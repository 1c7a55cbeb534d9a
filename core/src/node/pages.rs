//! Building of a file's manifest: pages of chunks first, their root last, each stored once all that it lists is.

use alloc::string::ToString;
use alloc::vec::Vec;

use crate::disk::DiskError;
use crate::event::FileInfo;
use crate::ids::{ChunkId, PageId, RequestId};
use crate::manifest::{
    Children, ChunkRef, FileMeta, PAGE_ENTRIES_MAX, PageContext, PagePublic, PageRef, PageSecrets, SealedPage,
};
use crate::node::collect::ChunkLease;
use crate::node::context::Context;
use crate::node::page_store::{self, NewPage, RecordPages};
use crate::node::pending::{Completion, Pending};
use crate::node::task::TaskStep;
use crate::secrets::{ChunkKey, PageKey};
use crate::version::Version;
use crate::work::{WorkOp, WorkResult};

/// What the building of a manifest waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PagesStep {
    Sealed,
    Stored,
}

/// What came of a page.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it is taken apart at once")]
pub(crate) enum PageProgress {
    /// The next is under way.
    More,
    /// That was the root: the manifest is durable.
    Root { root: PageId, root_len: u32, pages: RecordPages, info: FileInfo },
    /// Something that the page lists is no longer on the disk.
    Vanished,
}

/// A manifest being built.
#[derive(Debug)]
pub(crate) struct PageBuilder {
    request: RequestId,
    file: FileMeta,
    context: PageContext,
    /// On the file's chunks, until they have references.
    lease: ChunkLease,
    chunks: Vec<(ChunkRef, ChunkKey)>,
    /// Pages below the root: how many there will be.
    pages: usize,
    stored: Vec<(PageRef, PageKey)>,
    /// The page being stored.
    current: Option<(PageRef, PageKey)>,
}

impl PageBuilder {
    pub(crate) fn new(
        cx: &Context,
        request: RequestId,
        file: FileMeta,
        version: Version,
        chunks: Vec<(ChunkRef, ChunkKey)>,
        lease: ChunkLease,
    ) -> Self {
        let context = PageContext { owner: cx.owner, name_id: cx.keys.name_id(&file.name), version };
        let pages = if chunks.len() <= PAGE_ENTRIES_MAX { 0 } else { chunks.len().div_ceil(PAGE_ENTRIES_MAX) };
        Self { request, file, context, lease, chunks, pages, stored: Vec::new(), current: None }
    }

    /// Starts over with another version.
    pub(crate) fn restart(&mut self, cx: &mut Context, version: Version) {
        self.context.version = version;
        self.stored.clear();
        self.current = None;
        self.next(cx);
    }

    /// The chunks of the page that is next; none if that is a root of pages.
    fn slice(&self) -> &[(ChunkRef, ChunkKey)] {
        if self.pages == 0 {
            return &self.chunks;
        }
        let start = (self.stored.len() * PAGE_ENTRIES_MAX).min(self.chunks.len());
        let end = (start + PAGE_ENTRIES_MAX).min(self.chunks.len());
        &self.chunks[start..end]
    }

    fn is_root_of_pages(&self) -> bool {
        self.pages > 0 && self.stored.len() == self.pages
    }

    /// Seals the next page.
    pub(crate) fn next(&mut self, cx: &mut Context) {
        let count = u32::try_from(self.pages + 1).expect("a root lists at most 4,096 pages");
        let (index, children, secrets) = if self.is_root_of_pages() {
            let pages = self.stored.iter().map(|(page, _)| *page).collect();
            let keys = self.stored.iter().map(|(_, key)| key.clone()).collect();
            (0, Children::Pages(pages), PageSecrets::RootOfPages { meta: self.file.clone(), keys })
        } else {
            let chunks = self.slice().iter().map(|(chunk, _)| *chunk).collect();
            let keys = self.slice().iter().map(|(_, key)| key.clone()).collect();
            let secrets = if self.pages == 0 {
                PageSecrets::RootOfChunks { meta: self.file.clone(), keys }
            } else {
                PageSecrets::Page { keys }
            };
            let index = if self.pages == 0 { 0 } else { self.stored.len() + 1 };
            (u32::try_from(index).expect("a root lists at most 4,096 pages"), Children::Chunks(chunks), secrets)
        };
        let public = PagePublic { index, count, children };
        let seal = WorkOp::SealPage { context: self.context, public, secrets };
        cx.work(seal, Pending::Task(self.request, TaskStep::Pages(PagesStep::Sealed)));
    }

    /// An operation is complete.
    ///
    /// # Errors
    /// When the disk failed.
    pub(crate) fn on_completion(
        &mut self,
        cx: &mut Context,
        step: PagesStep,
        completion: Completion,
    ) -> Result<PageProgress, DiskError> {
        match step {
            PagesStep::Sealed => {
                self.on_sealed(cx, completion.work());
                Ok(PageProgress::More)
            }
            PagesStep::Stored => self.on_stored(cx, completion.committed()),
        }
    }

    /// The page is sealed: store it.
    fn on_sealed(&mut self, cx: &mut Context, result: WorkResult) {
        let WorkResult::PageSealed(SealedPage { id, key, data }) = result else {
            panic!("the sealing of a page was completed by {result:?}")
        };
        let len = u32::try_from(data.len()).expect("a page is at most PAGE_LEN_MAX");
        self.current = Some((PageRef { id, len }, key));
        let then = Pending::Task(self.request, TaskStep::Pages(PagesStep::Stored));
        let page = NewPage { place: self.context, id, data };
        if self.is_root_of_pages() {
            page_store::commit_root(cx, page, &self.below(), then);
        } else {
            let chunks: Vec<ChunkId> = self.slice().iter().map(|(chunk, _)| chunk.id).collect();
            page_store::commit_page(cx, page, &chunks, self.lease, then);
        }
    }

    /// The pages below the root that are stored.
    fn below(&self) -> Vec<PageId> {
        self.stored.iter().map(|(page, _)| page.id).collect()
    }

    /// The page is stored, or not.
    fn on_stored(&mut self, cx: &mut Context, committed: Result<bool, DiskError>) -> Result<PageProgress, DiskError> {
        if !committed? {
            return Ok(PageProgress::Vanished);
        }
        let was_root = self.pages == 0 || self.is_root_of_pages();
        let Some((page, key)) = self.current.take() else { return Ok(PageProgress::More) };
        if was_root {
            let pages = RecordPages { root: Some(page.id), below: self.below() };
            return Ok(PageProgress::Root { root: page.id, root_len: page.len, pages, info: self.info(page.id) });
        }
        self.stored.push((page, key));
        self.next(cx);
        Ok(PageProgress::More)
    }

    fn info(&self, root: PageId) -> FileInfo {
        file_info(&self.file, self.context.version, root)
    }
}

/// A file as callers see it.
pub(crate) fn file_info(file: &FileMeta, version: Version, root: PageId) -> FileInfo {
    FileInfo {
        name: file.name.clone(),
        version,
        size: file.len,
        chunks: file.len.div_ceil(u64::from(file.chunk_size.max(1))),
        mtime_ms: file.mtime_ms,
        mode: file.mode,
        content_type: file.content_type.clone(),
        etag: root.to_string(),
    }
}
