//! Putting a deleted file back: the version before the deletion comes again as a new one, with the same content.
//!
//! Its chunks are kept as long as the deletion is young. What is not here is brought here first; then the manifest is opened, sealed
//! for the new version, and published like that of a put. No chunk is sealed again, and none is sent to who has it.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::string::ToString;
use alloc::vec::Vec;

use crate::disk::DiskError;
use crate::event::{FileInfo, RequestError, What, WriteReport};
use crate::ids::RequestId;
use crate::manifest::{Children, ChunkRef, FileMeta, PageContext, PageRef, PageSecrets};
use crate::name::Name;
use crate::node::cluster::{self, Part};
use crate::node::collect::ChunkLease;
use crate::node::context::Context;
use crate::node::locate::{self, Located, Scope};
use crate::node::page_loader::{self, LoadedPage, Opening, PageClient, PageFailure, PageOrder};
use crate::node::pages::{PageBuilder, PageProgress};
use crate::node::pending::Completion;
use crate::node::publish;
use crate::node::pull::{self, PullClient, PullOutcome};
use crate::node::task::{Flow, Task, TaskStep};
use crate::node::{answers, choose, query};
use crate::placement::Replicas;
use crate::record::{RecordBody, SignedRecord};
use crate::secrets::{ChunkKey, PageKey};

/// How far it has come.
#[derive(Debug)]
enum Stage {
    /// The version is looked for, or brought here.
    Bringing,
    /// Its manifest is read: the file, and the pages that are still to be opened.
    Opening(Option<FileMeta>, VecDeque<(PageRef, PageKey)>),
    Paging(PageBuilder),
    Publishing(PageBuilder, FileInfo),
}

/// An undelete.
#[derive(Debug)]
pub(crate) struct Undelete {
    id: RequestId,
    name: Name,
    stage: Stage,
    /// The version that comes back.
    old: Option<SignedRecord>,
    /// As many as any version known is kept on, so that all versions of the name lie on the same nodes.
    replicas: Replicas,
    chunks: Vec<(ChunkRef, ChunkKey)>,
    stamps: u32,
    /// Its number among what relies on leases.
    activity: u64,
}

impl Undelete {
    pub(crate) fn new(cx: &mut Context, id: RequestId, name: Name) -> Self {
        Self {
            id,
            name,
            stage: Stage::Bringing,
            old: None,
            replicas: cx.config.retention.replicas,
            chunks: Vec::new(),
            stamps: 0,
            activity: cx.begin_activity(),
        }
    }

    fn fail(&self, cx: &mut Context, error: RequestError) -> Flow {
        cx.fail(self.id, error);
        Flow::Done
    }

    fn fail_disk(&self, cx: &mut Context, error: &DiskError) -> Flow {
        answers::note_disk_error(cx, error);
        let full = *error == DiskError::Full;
        self.fail(cx, if full { RequestError::DiskFull } else { RequestError::Disk(error.to_string()) })
    }

    fn damaged(&self, cx: &mut Context) -> Flow {
        self.fail(cx, RequestError::Integrity("its manifest is not what its record says".to_string()))
    }

    /// Opens the next page of the manifest; after the last the new one is sealed.
    fn open_next(&mut self, cx: &mut Context) -> Flow {
        cx.expect_progress(self.id);
        let (Stage::Opening(meta, pages), Some(old)) = (&mut self.stage, &self.old) else { return Flow::Continue };
        let Some((page, key)) = pages.pop_front() else {
            let Some(meta) = meta.take() else { return self.damaged(cx) };
            return self.seal(cx, meta);
        };
        let context = PageContext::of(&old.record);
        let order = PageOrder {
            client: PageClient::Request(self.id, 1),
            owner: cx.owner,
            page,
            opening: Opening::Keyed(context, key),
            holders: BTreeSet::new(),
        };
        page_loader::load(cx, order);
        Flow::Continue
    }

    fn seal(&mut self, cx: &mut Context, file: FileMeta) -> Flow {
        self.stamps += 1;
        let version = match publish::stamp(cx, self.stamps) {
            Ok(version) => version,
            Err(error) => return self.fail(cx, error),
        };
        let chunks = core::mem::take(&mut self.chunks);
        // The old version's references keep the chunks until the new pages have theirs.
        let mut builder = PageBuilder::new(cx, self.id, file, version, chunks, ChunkLease::PEERS);
        builder.next(cx);
        self.stage = Stage::Paging(builder);
        Flow::Continue
    }

    fn on_page_progress(&mut self, cx: &mut Context, progress: Result<PageProgress, DiskError>) -> Flow {
        cx.expect_progress(self.id);
        match progress {
            Ok(PageProgress::More) => Flow::Continue,
            Ok(PageProgress::Root { root, root_len, pages, info }) => {
                let body = RecordBody::File { root, root_len };
                let record = publish::sign(cx, &self.name, info.version, self.replicas, body);
                // Should it be stamped anew, its chunks are still needed here.
                cx.in_use.hold(self.id, &record);
                if let Stage::Paging(builder) = core::mem::replace(&mut self.stage, Stage::Bringing) {
                    self.stage = Stage::Publishing(builder, info);
                }
                publish::start(cx, self.id, record, &pages, BTreeSet::new());
                Flow::Continue
            }
            Ok(PageProgress::Vanished) => {
                let why = "a chunk was evicted or found damaged meanwhile; try again";
                self.fail(cx, RequestError::Unavailable(why.to_string()))
            }
            Err(error) => self.fail_disk(cx, &error),
        }
    }
}

impl Task for Undelete {
    fn start(&mut self, cx: &mut Context) -> Flow {
        // This node may have the deletion alone.
        locate::start(cx, self.id, cx.keys.name_id(&self.name), Scope::Everywhere);
        cx.expect_progress(self.id);
        Flow::Continue
    }

    fn on_located(&mut self, cx: &mut Context, located: Located) -> Flow {
        cx.expect_progress(self.id);
        let old = match choose::before_deletion(cx, &located) {
            Ok(old) => old,
            Err(error) => return self.fail(cx, error),
        };
        self.replicas = located.records.replicas(self.replicas);
        // It stays while it is read, even if the deletion comes of age meanwhile.
        cx.in_use.hold(self.id, &old);
        let mut holders = cluster::likely_of(cx, &old.record);
        holders.extend(located.holders.get(&old.id).into_iter().flatten());
        self.old = Some(old.clone());
        pull::start(cx, old, Part::Whole, PullClient::Request(self.id), holders);
        Flow::Continue
    }

    fn on_pulled(&mut self, cx: &mut Context, record: &SignedRecord, outcome: PullOutcome) -> Flow {
        cx.expect_progress(self.id);
        match outcome {
            PullOutcome::Stored { .. } => {
                self.stage = Stage::Opening(None, VecDeque::new());
                query::load_root(cx, self.id, 0, record);
                Flow::Continue
            }
            PullOutcome::Obsolete(_) => self.fail(cx, RequestError::NotKept),
            PullOutcome::Refused(reason) => {
                let why = alloc::format!("the deleted version could not be brought here ({reason:?})");
                self.fail(cx, RequestError::Unavailable(why))
            }
        }
    }

    fn on_page(&mut self, cx: &mut Context, _number: u64, result: Result<LoadedPage, PageFailure>) -> Flow {
        let page = match result {
            Ok(page) => page,
            Err(error) => return self.fail(cx, error.into()),
        };
        let Stage::Opening(file, pages) = &mut self.stage else { return Flow::Continue };
        match (page.secrets, page.public.children) {
            (Some(PageSecrets::RootOfPages { meta, keys }), Children::Pages(children)) if file.is_none() => {
                *file = Some(meta);
                pages.extend(children.into_iter().zip(keys));
            }
            (Some(PageSecrets::RootOfChunks { meta, keys }), Children::Chunks(chunks)) if file.is_none() => {
                *file = Some(meta);
                self.chunks.extend(chunks.into_iter().zip(keys));
            }
            (Some(PageSecrets::Page { keys }), Children::Chunks(chunks)) if file.is_some() => {
                self.chunks.extend(chunks.into_iter().zip(keys));
            }
            (_, Children::Pages(_) | Children::Chunks(_)) => return self.damaged(cx),
        }
        self.open_next(cx)
    }

    fn on_completion(&mut self, cx: &mut Context, step: TaskStep, completion: Completion) -> Flow {
        if let (TaskStep::Pages(step), Stage::Paging(builder)) = (step, &mut self.stage) {
            let progress = builder.on_completion(cx, step, completion);
            return self.on_page_progress(cx, progress);
        }
        Flow::Continue
    }

    fn on_superseded(&mut self, cx: &mut Context, by: &SignedRecord) -> Flow {
        if by.record.body.is_file() {
            let why = "another device has put the file again; `versions` lists what you wanted back, too";
            return self.fail(cx, RequestError::Unavailable(why.to_string()));
        }
        self.stamps += 1;
        let version = match publish::stamp(cx, self.stamps) {
            Ok(version) => version,
            Err(error) => return self.fail(cx, error),
        };
        if let Stage::Publishing(mut builder, _) = core::mem::replace(&mut self.stage, Stage::Bringing) {
            builder.restart(cx, version);
            self.stage = Stage::Paging(builder);
        }
        Flow::Continue
    }

    fn on_published(&mut self, cx: &mut Context, result: Result<WriteReport, RequestError>) -> Flow {
        let Stage::Publishing(_, file) = &self.stage else { return Flow::Continue };
        let what = match result {
            Ok(write) => What::Undeleted { file: file.clone(), write },
            Err(error) => What::Failed(error),
        };
        cx.event(self.id, what);
        Flow::Done
    }

    fn on_timeout(&mut self, cx: &mut Context) -> Flow {
        let silence = RequestError::Deadline(cx.config.request_timeout.as_secs());
        let error = publish::on_timeout(cx, self.id).unwrap_or(silence);
        self.fail(cx, error)
    }

    fn on_end_of_task(&mut self, cx: &mut Context) {
        cx.activities.end(self.activity);
        query::end(cx, self.id);
        pull::cancel(cx, self.id);
        publish::cancel(cx, self.id);
    }
}
