//! Questions that callers ask about files: list, stat, versions.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::command::VersionSelector;
use crate::disk::DiskOp;
use crate::event::{FileInfo, FileStat, RequestError, VersionInfo, What};
use crate::ids::{BlobKey, NodeId, RequestId};
use crate::manifest::{Children, PageContext, PageRef, PageSecrets};
use crate::name::Name;
use crate::node::context::Context;
use crate::node::locate::{self, Located, Scope};
use crate::node::page_loader::{self, LoadedPage, Opening, PageClient, PageFailure, PageOrder};
use crate::node::pages::file_info;
use crate::node::pending::{Completion, Pending};
use crate::node::task::{Flow, Task, TaskStep};
use crate::node::{choose, cluster, names, schema};
use crate::record::{RecordBody, SignedRecord};

/// Loads the root page of a record of this node's owner, opened.
pub(crate) fn load_root(cx: &mut Context, request: RequestId, number: u64, record: &SignedRecord) {
    let RecordBody::File { root, root_len } = record.record.body else { return };
    let context = PageContext::of(&record.record);
    let order = PageOrder {
        client: PageClient::Request(request, number),
        owner: cx.owner,
        page: PageRef { id: root, len: root_len },
        opening: Opening::Root(context),
        holders: cluster::likely_of(cx, &record.record),
    };
    page_loader::load(cx, order);
}

/// The file that a root page describes.
pub(crate) fn info_of(record: &SignedRecord, page: &LoadedPage) -> Option<FileInfo> {
    match page.secrets.as_ref()? {
        PageSecrets::RootOfChunks { meta, .. } | PageSecrets::RootOfPages { meta, .. } => {
            Some(file_info(meta, record.record.version, page.id))
        }
        PageSecrets::Page { .. } => None,
    }
}

pub(crate) fn timed_out(cx: &mut Context, request: RequestId) -> Flow {
    let error = RequestError::Deadline(cx.config.request_timeout.as_secs());
    cx.fail(request, error);
    Flow::Done
}

/// A list.
#[derive(Debug)]
pub(crate) struct List {
    pub(crate) id: RequestId,
    pub(crate) prefix: String,
    pub(crate) after: Option<String>,
    pub(crate) limit: u32,
}

impl Task for List {
    fn start(&mut self, cx: &mut Context) -> Flow {
        cx.expect_progress(self.id);
        self.on_names(cx)
    }

    fn on_names(&mut self, cx: &mut Context) -> Flow {
        if !names::are_complete(cx) {
            return Flow::Continue;
        }
        let (files, more) = cx.names.list(&self.prefix, self.after.as_deref(), self.limit as usize);
        cx.event(self.id, What::Listed { files, more });
        Flow::Done
    }

    fn on_timeout(&mut self, cx: &mut Context) -> Flow {
        timed_out(cx, self.id)
    }
}

/// A stat.
#[derive(Debug)]
pub(crate) struct Stat {
    id: RequestId,
    name: Name,
    version: Option<VersionSelector>,
    ask_peers: bool,
    found: Option<(SignedRecord, Located)>,
    info: Option<FileInfo>,
}

impl Stat {
    pub(crate) fn new(id: RequestId, name: Name, version: Option<VersionSelector>, ask_peers: bool) -> Self {
        Self { id, name, version, ask_peers, found: None, info: None }
    }

    fn finish(&mut self, cx: &mut Context, all_here: bool) -> Flow {
        let (Some((record, located)), Some(file)) = (&self.found, self.info.take()) else { return Flow::Continue };
        let holders: Vec<NodeId> = located.holders.get(&record.id).into_iter().flatten().copied().collect();
        let of_name = record.record;
        let holders_of_name = cluster::holders(cx, of_name.name_id, of_name.retention.replicas);
        let others = holders_of_name.into_iter().filter(|node| *node != cx.me).collect();
        let stat = FileStat {
            file,
            replicas: of_name.retention.replicas,
            placed: others,
            local: all_here && located.local.contains(&record.id),
            holders: self.ask_peers.then_some(holders),
            silent: located.silent.clone(),
        };
        cx.event(self.id, What::Stat(stat));
        Flow::Done
    }
}

impl Task for Stat {
    fn start(&mut self, cx: &mut Context) -> Flow {
        let scope = if self.ask_peers { Scope::Everywhere } else { Scope::LocalFirst };
        locate::start(cx, self.id, cx.keys.name_id(&self.name), scope);
        cx.expect_progress(self.id);
        Flow::Continue
    }

    fn on_located(&mut self, cx: &mut Context, located: Located) -> Flow {
        match choose::choose(cx, &located, self.version) {
            Ok(record) => {
                load_root(cx, self.id, 0, &record);
                self.found = Some((record, located));
                Flow::Continue
            }
            Err(error) => {
                cx.fail(self.id, error);
                Flow::Done
            }
        }
    }

    fn on_page(&mut self, cx: &mut Context, _number: u64, result: Result<LoadedPage, PageFailure>) -> Flow {
        let Some((record, _)) = &self.found else { return Flow::Continue };
        let Some((info, page)) = result.ok().and_then(|page| info_of(record, &page).map(|info| (info, page))) else {
            cx.fail(self.id, PageFailure::Nowhere.into());
            return Flow::Done;
        };
        self.info = Some(info);
        match page.public.children {
            Children::Chunks(chunks) if !chunks.is_empty() => {
                let owner = cx.owner;
                let blobs = chunks.iter().map(|chunk| BlobKey { owner, chunk: chunk.id }).collect();
                cx.disk(DiskOp::HasBlobs { blobs }, Pending::Task(self.id, TaskStep::Stat));
                Flow::Continue
            }
            Children::Chunks(_) => self.finish(cx, true),
            // Too many to look for: whether it was evicted is the answer.
            Children::Pages(_) => {
                let keys = alloc::vec![schema::evicted_key(cx.owner, record.id)];
                cx.disk(DiskOp::Lookup { keys }, Pending::Task(self.id, TaskStep::StatMark));
                Flow::Continue
            }
        }
    }

    fn on_completion(&mut self, cx: &mut Context, step: TaskStep, completion: Completion) -> Flow {
        let all_here = if matches!(step, TaskStep::StatMark) {
            completion.values().is_ok_and(|marks| marks.iter().all(Option::is_none))
        } else {
            completion.has().is_ok_and(|has| has.into_iter().all(|present| present))
        };
        self.finish(cx, all_here)
    }

    fn on_timeout(&mut self, cx: &mut Context) -> Flow {
        timed_out(cx, self.id)
    }

    fn on_end_of_task(&mut self, cx: &mut Context) {
        end(cx, self.id);
    }
}

/// Ends what a question has started.
pub(crate) fn end(cx: &mut Context, request: RequestId) {
    locate::cancel(cx, request);
    page_loader::cancel(cx, |client| matches!(client, PageClient::Request(other, _) if *other == request));
}

/// A request for the history of a name.
#[derive(Debug)]
pub(crate) struct Versions {
    id: RequestId,
    name: Name,
    records: Vec<SignedRecord>,
    sizes: BTreeMap<u64, Option<u64>>,
}

impl Versions {
    pub(crate) fn new(id: RequestId, name: Name) -> Self {
        Self { id, name, records: Vec::new(), sizes: BTreeMap::new() }
    }

    fn finish_if_done(&mut self, cx: &mut Context) -> Flow {
        let files = self.records.iter().filter(|record| record.record.body.is_file()).count();
        if self.sizes.len() < files {
            return Flow::Continue;
        }
        let last = self.records.len().saturating_sub(1);
        let info = |(place, record): (usize, &SignedRecord)| VersionInfo {
            version: record.record.version,
            deleted: !record.record.body.is_file(),
            size: self.sizes.get(&(place as u64)).copied().flatten(),
            current: place == last,
        };
        let versions = self.records.iter().enumerate().rev().map(info).collect();
        cx.event(self.id, What::Versions(versions));
        Flow::Done
    }
}

impl Task for Versions {
    fn start(&mut self, cx: &mut Context) -> Flow {
        locate::start(cx, self.id, cx.keys.name_id(&self.name), Scope::LocalFirst);
        cx.expect_progress(self.id);
        Flow::Continue
    }

    fn on_located(&mut self, cx: &mut Context, located: Located) -> Flow {
        if located.records.is_empty() || located.disk_failed {
            let error = choose::choose(cx, &located, None).err().unwrap_or(RequestError::NotFound);
            cx.fail(self.id, error);
            return Flow::Done;
        }
        for (place, record) in located.records.iter().enumerate() {
            load_root(cx, self.id, place as u64, record);
        }
        self.records = located.records.iter().cloned().collect();
        self.finish_if_done(cx)
    }

    fn on_page(&mut self, cx: &mut Context, number: u64, result: Result<LoadedPage, PageFailure>) -> Flow {
        let record = usize::try_from(number).ok().and_then(|place| self.records.get(place));
        let info = record.zip(result.ok()).and_then(|(record, page)| info_of(record, &page));
        self.sizes.insert(number, info.map(|info| info.size));
        self.finish_if_done(cx)
    }

    fn on_timeout(&mut self, cx: &mut Context) -> Flow {
        timed_out(cx, self.id)
    }

    fn on_end_of_task(&mut self, cx: &mut Context) {
        end(cx, self.id);
    }
}
