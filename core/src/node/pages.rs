//! Building of a file's manifest: pages of chunks first, their root last, each stored once all that it lists is.

use alloc::string::ToString;
use alloc::vec::Vec;

use crate::disk::{DiskError, DiskOp, Write};
use crate::event::FileInfo;
use crate::ids::{PageId, RequestId};
use crate::manifest::{
    Children, ChunkRef, FileMeta, PAGE_ENTRIES_MAX, PageContext, PagePublic, PageRef, PageSecrets, SealedPage,
};
use crate::node::context::Context;
use crate::node::pending::Pending;
use crate::node::put::PutStep;
use crate::node::task::TaskStep;
use crate::node::{pull, schema};
use crate::secrets::{ChunkKey, PageKey};
use crate::version::Version;
use crate::work::{WorkOp, WorkResult};

/// What came of a page.
#[derive(Debug)]
pub(crate) enum PageProgress {
    /// The next is under way.
    More,
    /// That was the root: the manifest is durable.
    Root { root: PageId, root_len: u32, info: FileInfo },
    /// Something that the page lists is no longer on the disk.
    Vanished,
}

/// A manifest being built.
#[derive(Debug)]
pub(crate) struct PageBuilder {
    request: RequestId,
    file: FileMeta,
    context: PageContext,
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
    ) -> Self {
        let context = PageContext { owner: cx.owner, name_id: cx.keys.name_id(&file.name), version };
        let pages = if chunks.len() <= PAGE_ENTRIES_MAX { 0 } else { chunks.len().div_ceil(PAGE_ENTRIES_MAX) };
        Self { request, file, context, chunks, pages, stored: Vec::new(), current: None }
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
        cx.work(seal, Pending::Task(self.request, TaskStep::Put(PutStep::PageSealed)));
    }

    /// The page is sealed: store it.
    pub(crate) fn on_sealed(&mut self, cx: &mut Context, result: WorkResult) {
        let WorkResult::PageSealed(SealedPage { id, key, data }) = result else {
            panic!("the sealing of a page was completed by {result:?}")
        };
        let len = u32::try_from(data.len()).expect("a page is at most PAGE_LEN_MAX");
        self.current = Some((PageRef { id, len }, key));
        let then = Pending::Task(self.request, TaskStep::Put(PutStep::PageStored));
        if self.is_root_of_pages() {
            let require_keys = self.stored.iter().map(|(page, _)| schema::page_key(cx.owner, page.id)).collect();
            let writes = alloc::vec![Write::Put { key: schema::page_key(cx.owner, id), value: data }];
            cx.disk(DiskOp::Commit { require_blobs: Vec::new(), require_keys, writes }, then);
        } else {
            let chunks = self.slice().iter().map(|(chunk, _)| chunk.id).collect();
            pull::commit_page(cx, cx.owner, id, data, chunks, then);
        }
    }

    /// The page is stored, or not.
    pub(crate) fn on_stored(
        &mut self,
        cx: &mut Context,
        committed: Result<bool, DiskError>,
    ) -> Result<PageProgress, DiskError> {
        if !committed? {
            return Ok(PageProgress::Vanished);
        }
        let was_root = self.pages == 0 || self.is_root_of_pages();
        let Some((page, key)) = self.current.take() else { return Ok(PageProgress::More) };
        if was_root {
            return Ok(PageProgress::Root { root: page.id, root_len: page.len, info: self.info(page.id) });
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
