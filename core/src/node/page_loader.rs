//! Loading of manifest pages: from the disk, else from peers; checked, and opened where this node has the key.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::ToString;

use bytes::Bytes;

use crate::disk::DiskOp;
use crate::event::RequestError;
use crate::ids::{BlobKey, NodeId, ObjectId, ObjectKey, OwnerId, PageId, RequestId};
use crate::manifest::{OpenedPage, PageContext, PagePublic, PageRef, PageSecrets};
use crate::node::context::Context;
use crate::node::pending::{Completion, Pending};
use crate::node::pull::PullId;
use crate::node::signal::{FetchClient, FetchResult, Signal};
use crate::node::{asks, fetch, mend, schema};
use crate::secrets::PageKey;
use crate::work::{WorkOp, WorkResult};

/// Who wants a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageClient {
    /// A request, with a number of its own.
    Request(RequestId, u64),
    Pull(PullId),
    /// The names of this node's owner, with a number of their own.
    Names(u64),
    /// The mending of a chunk that the page lists.
    Mend(BlobKey),
    /// The check of presence: a page of the record that it looks at.
    Presence,
}

/// How to open a page.
#[derive(Clone, Debug)]
pub(crate) enum Opening {
    /// Not at all: the page is another owner's, or only its public part is wanted.
    No,
    /// With the owner's keys.
    Root(PageContext),
    /// With a key of its own: the one that its root holds or, for a root, the one that a ticket holds.
    Keyed(PageContext, PageKey),
}

/// Which page, and from where.
#[derive(Debug)]
pub(crate) struct PageOrder {
    pub(crate) client: PageClient,
    pub(crate) owner: OwnerId,
    pub(crate) page: PageRef,
    pub(crate) opening: Opening,
    /// Peers to ask first if the disk does not have it, then everybody; empty to ask nobody.
    pub(crate) holders: BTreeSet<NodeId>,
}

/// A page that has been checked, and opened if that was asked.
#[derive(Debug)]
pub(crate) struct LoadedPage {
    pub(crate) id: PageId,
    pub(crate) public: PagePublic,
    pub(crate) secrets: Option<PageSecrets>,
    /// The key that opened it, if it was to be opened.
    pub(crate) key: Option<PageKey>,
    pub(crate) data: Bytes,
}

/// Why a page cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageFailure {
    /// Nobody who was asked has it.
    Nowhere,
    /// It is not what the owner sealed.
    Damaged,
}

/// What the caller of a request is told that cannot do without the page.
impl From<PageFailure> for RequestError {
    fn from(failure: PageFailure) -> Self {
        match failure {
            PageFailure::Nowhere => Self::Unavailable("its manifest cannot be read here or from a peer".to_string()),
            PageFailure::Damaged => Self::Integrity("the manifest is not what its owner sealed".to_string()),
        }
    }
}

/// What a load waits for.
#[derive(Debug)]
pub(crate) enum PageStep {
    Lookup,
    Check,
    Open,
}

#[derive(Debug)]
struct Load {
    order: PageOrder,
    data: Bytes,
    /// The peer the bytes came from; `None` for the disk.
    from: Option<NodeId>,
    public: Option<PagePublic>,
    damaged: bool,
    /// Whether it was damaged on this disk.
    damaged_here: bool,
    /// Peers that gave wrong bytes.
    liars: BTreeSet<NodeId>,
}

/// All loads under way.
#[derive(Debug, Default)]
pub(crate) struct PageLoads {
    loads: BTreeMap<u64, Load>,
}

/// Starts a load. Answered by [`Signal::PageLoaded`].
pub(crate) fn load(cx: &mut Context, order: PageOrder) {
    let id = cx.number();
    let keys = alloc::vec![schema::page_key(order.owner, order.page.id)];
    let load = Load {
        order,
        data: Bytes::new(),
        from: None,
        public: None,
        damaged: false,
        damaged_here: false,
        liars: BTreeSet::new(),
    };
    cx.pages.loads.insert(id, load);
    cx.disk(DiskOp::Lookup { keys }, Pending::Page(id, PageStep::Lookup));
}

/// Ends all loads of clients that are gone.
pub(crate) fn cancel(cx: &mut Context, gone: impl Fn(&PageClient) -> bool) {
    cx.pages.loads.retain(|_, load| !gone(&load.order.client));
    let loads = core::mem::take(&mut cx.pages.loads);
    fetch::cancel(cx, |client| matches!(client, FetchClient::Page(id) if !loads.contains_key(id)));
    cx.pages.loads = loads;
}

/// An operation is complete.
pub(crate) fn on_completion(cx: &mut Context, id: u64, step: &PageStep, completion: Completion) {
    match step {
        PageStep::Lookup => match completion.values().ok().and_then(|mut values| values.pop().flatten()) {
            Some(data) => check(cx, id, data, None),
            None => fetch_page(cx, id),
        },
        PageStep::Check => on_checked(cx, id, completion.work()),
        PageStep::Open => on_opened(cx, id, completion.work()),
    }
}

fn check(cx: &mut Context, id: u64, data: Bytes, from: Option<NodeId>) {
    let Some(load) = cx.pages.loads.get_mut(&id) else { return };
    load.data = data.clone();
    load.from = from;
    let page = load.order.page.id;
    cx.work(WorkOp::CheckPage { page, data }, Pending::Page(id, PageStep::Check));
}

fn fetch_page(cx: &mut Context, id: u64) {
    let Some(load) = cx.pages.loads.get(&id) else { return };
    let order = fetch::Order {
        client: FetchClient::Page(id),
        object: ObjectKey { owner: load.order.owner, id: ObjectId::Page(load.order.page.id) },
        len: load.order.page.len,
        lane: id,
        holders: load.order.holders.clone(),
        wide: !load.order.holders.is_empty(),
        liars: load.liars.clone(),
    };
    fetch::start(cx, order);
}

/// The page came from a peer, or will not come.
pub(crate) fn on_fetched(cx: &mut Context, id: u64, result: FetchResult) {
    match result {
        FetchResult::Got { from, data } => check(cx, id, data.into_bytes(), Some(from)),
        FetchResult::Nowhere => {
            let damaged = cx.pages.loads.get(&id).is_some_and(|load| load.damaged);
            finish(cx, id, Err(if damaged { PageFailure::Damaged } else { PageFailure::Nowhere }));
        }
    }
}

fn on_checked(cx: &mut Context, id: u64, result: WorkResult) {
    let Some(load) = cx.pages.loads.get_mut(&id) else { return };
    let WorkResult::PageChecked(Ok(public)) = result else {
        load.damaged = true;
        load.damaged_here |= load.from.is_none();
        if let Some(from) = load.from {
            load.liars.insert(from);
            asks::on_lie(cx, from);
        }
        return fetch_page(cx, id);
    };
    load.public = Some(public);
    let data = load.data.clone();
    let (opening, owner, page) = (load.order.opening.clone(), load.order.owner, load.order.page.id);
    if load.damaged_here {
        mend::page(cx, owner, page, data.clone());
    }
    let work = match opening {
        Opening::No => return finish_opened(cx, id, None),
        Opening::Root(context) => WorkOp::OpenRoot { context, data },
        Opening::Keyed(context, key) => WorkOp::OpenPage { context, key, data },
    };
    cx.work(work, Pending::Page(id, PageStep::Open));
}

/// The page's address was right, so bytes that do not open are what the owner's record names, and no peer has others.
fn on_opened(cx: &mut Context, id: u64, result: WorkResult) {
    match result {
        WorkResult::PageOpened(Ok(OpenedPage { secrets, key, .. })) => finish_opened(cx, id, Some((secrets, key))),
        WorkResult::PageOpened(Err(_))
        | WorkResult::Sealed(_)
        | WorkResult::Opened(_)
        | WorkResult::PageSealed(_)
        | WorkResult::PageChecked(_)
        | WorkResult::RecordsVerified(_)
        | WorkResult::IntentVerified(_)
        | WorkResult::TicketVerified(_) => finish(cx, id, Err(PageFailure::Damaged)),
    }
}

fn finish_opened(cx: &mut Context, id: u64, opened: Option<(PageSecrets, PageKey)>) {
    let Some(Load { order, data, public: Some(public), .. }) = cx.pages.loads.remove(&id) else { return };
    let (secrets, key) = opened.unzip();
    let page = LoadedPage { id: order.page.id, public, secrets, key, data };
    cx.signal(Signal::PageLoaded { client: order.client, result: Ok(page) });
}

fn finish(cx: &mut Context, id: u64, result: Result<LoadedPage, PageFailure>) {
    if let Some(load) = cx.pages.loads.remove(&id) {
        cx.signal(Signal::PageLoaded { client: load.order.client, result });
    }
}
