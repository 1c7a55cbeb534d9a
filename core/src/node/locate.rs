//! The search for the records of a name: on this disk, then among the peers. Who is to hold it is asked first, all of them, since any
//! of them may have the newest; if they have nothing that is whole, everybody who is connected is, and then everybody who can be.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use bytes::Bytes;

use crate::disk::DiskOp;
use crate::frame::{Frame, HeldRecord};
use crate::ids::{NameId, NodeId, OwnerId, RecordId, RequestId};
use crate::merge::RecordSet;
use crate::node::cluster::Reach;
use crate::node::context::Context;
use crate::node::pending::{Completion, Pending};
use crate::node::signal::{Answer, AskClient, Signal};
use crate::node::timers::Timer;
use crate::node::{asks, cluster, neighbours, schema};
use crate::planted;
use crate::record::RecordBody;
use crate::work::{WorkOp, WorkResult};

/// The most records of a name that are looked at, newest first.
pub(crate) const RECORDS_MAX: u32 = 256;

/// Peers without a link that are asked at once when nobody who is connected has it.
const WIDE_MAX: usize = 16;

/// Where to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// On this disk; among the peers only if it has nothing.
    LocalFirst,
    /// On this disk and among the peers.
    Everywhere,
    /// On this disk and among all peers, whoever is to hold it.
    Everybody,
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Located {
    /// The records.
    pub(crate) records: RecordSet,
    /// Which of them are on this disk.
    pub(crate) local: BTreeSet<RecordId>,
    /// Peers that answered, with the records that they have, whole or not.
    pub(crate) answered: BTreeMap<NodeId, BTreeSet<RecordId>>,
    /// Which peers hold which of them complete, as far as asked.
    pub(crate) holders: BTreeMap<RecordId, BTreeSet<NodeId>>,
    /// Peers that were asked and gave no answer.
    pub(crate) silent: Vec<NodeId>,
    /// Whether peers should have been asked and none was connected.
    pub(crate) alone: bool,
    /// Whether peers should have been asked and none of those that are to hold such a name answered.
    pub(crate) holders_away: bool,
    /// Whether this disk could not be read.
    pub(crate) disk_failed: bool,
}

impl Located {
    /// Peers that answered and do not have a record.
    pub(crate) fn without(&self, record: RecordId) -> Vec<NodeId> {
        let lacks = |(_, records): &(&NodeId, &BTreeSet<RecordId>)| !records.contains(&record);
        self.answered.iter().filter(lacks).map(|(node, _)| *node).collect()
    }

    /// Whether somebody has all of what the name is.
    fn is_whole_somewhere(&self) -> bool {
        self.records.winner().is_some_and(|winner| {
            let is_deleted = winner.record.body == RecordBody::Tombstone;
            is_deleted || self.local.contains(&winner.id) || self.holders.contains_key(&winner.id)
        })
    }
}

/// What a search waits for.
#[derive(Debug)]
pub(crate) enum LocateStep {
    Scan,
    /// Records of this disk, or of a peer, with what the peer says of each.
    Verify(Option<NodeId>, Vec<bool>),
}

#[derive(Debug)]
struct Locate {
    owner: OwnerId,
    name: NameId,
    scope: Scope,
    /// Peers that have been asked.
    asked: BTreeSet<NodeId>,
    /// Those that have not answered yet.
    waiting: BTreeSet<NodeId>,
    answered: BTreeSet<NodeId>,
    /// Nodes that are likely to hold it and are being connected to.
    coming: BTreeSet<NodeId>,
    has_called: bool,
    /// Verifications under way.
    verifying: u32,
    waits_for_dials: bool,
    found: Located,
}

/// All searches under way.
#[derive(Debug, Default)]
pub(crate) struct Locates {
    locates: BTreeMap<RequestId, Locate>,
}

/// Starts a search for a name of this node's owner. Answered by [`Signal::Located`].
pub(crate) fn start(cx: &mut Context, request: RequestId, name: NameId, scope: Scope) {
    start_of(cx, request, cx.owner, name, scope);
}

/// Starts a search for a name of any owner. Answered by [`Signal::Located`].
pub(crate) fn start_of(cx: &mut Context, request: RequestId, owner: OwnerId, name: NameId, scope: Scope) {
    let found = Located {
        records: RecordSet::default(),
        local: BTreeSet::new(),
        answered: BTreeMap::new(),
        holders: BTreeMap::new(),
        silent: Vec::new(),
        alone: false,
        holders_away: false,
        disk_failed: false,
    };
    let locate = Locate {
        owner,
        name,
        scope,
        asked: BTreeSet::new(),
        waiting: BTreeSet::new(),
        answered: BTreeSet::new(),
        coming: BTreeSet::new(),
        has_called: false,
        verifying: 0,
        waits_for_dials: false,
        found,
    };
    cx.locates.locates.insert(request, locate);
    let from = schema::name_records(owner, name);
    let scan = DiskOp::Scan { to: schema::end_of(&from), from, limit: RECORDS_MAX, reverse: true };
    cx.disk(scan, Pending::Locate(request, LocateStep::Scan));
}

/// Ends a search whose request is gone.
pub(crate) fn cancel(cx: &mut Context, request: RequestId) {
    cx.locates.locates.remove(&request);
    cx.timers.cancel(&Timer::Locate(request));
}

/// An operation is complete.
pub(crate) fn on_completion(cx: &mut Context, request: RequestId, step: LocateStep, completion: Completion) {
    match step {
        LocateStep::Scan => match completion.entries() {
            Ok((entries, _)) => {
                let records: Vec<Bytes> = entries.into_iter().map(|(_, record)| record).collect();
                let complete = alloc::vec![true; records.len()];
                verify(cx, request, None, records, complete);
            }
            Err(_) => {
                if let Some(locate) = cx.locates.locates.get_mut(&request) {
                    locate.found.disk_failed = true;
                }
                after_local(cx, request);
            }
        },
        LocateStep::Verify(from, complete) => on_verified(cx, request, from, &complete, completion.work()),
    }
}

fn verify(cx: &mut Context, request: RequestId, from: Option<NodeId>, records: Vec<Bytes>, complete: Vec<bool>) {
    let Some(locate) = cx.locates.locates.get_mut(&request) else { return };
    if records.is_empty() {
        return if from.is_none() { after_local(cx, request) } else { finish_if_done(cx, request) };
    }
    locate.verifying += 1;
    let step = LocateStep::Verify(from, complete);
    cx.work(WorkOp::VerifyRecords { records }, Pending::Locate(request, step));
}

fn on_verified(cx: &mut Context, request: RequestId, from: Option<NodeId>, complete: &[bool], result: WorkResult) {
    let WorkResult::RecordsVerified(records) = result else { return };
    let Some(locate) = cx.locates.locates.get_mut(&request) else { return };
    locate.verifying -= 1;
    let mut lied = false;
    for (record, complete) in records.into_iter().zip(complete) {
        let Ok(record) = record else {
            lied = true;
            continue;
        };
        if record.record.owner != locate.owner || record.record.name_id != locate.name {
            lied = true;
            continue;
        }
        match from {
            None => {
                locate.found.local.insert(record.id);
            }
            Some(node) if *complete => {
                locate.found.answered.entry(node).or_default().insert(record.id);
                locate.found.holders.entry(record.id).or_default().insert(node);
            }
            Some(node) => {
                locate.found.answered.entry(node).or_default().insert(record.id);
            }
        }
        locate.found.records.insert(record);
    }
    match from {
        None => return after_local(cx, request),
        Some(node) if lied => asks::on_lie(cx, node),
        Some(_) => {}
    }
    finish_if_done(cx, request);
}

fn after_local(cx: &mut Context, request: RequestId) {
    let settled = cx.dials.settled();
    let Some(locate) = cx.locates.locates.get_mut(&request) else { return };
    if locate.scope == Scope::LocalFirst && !locate.found.records.is_empty() {
        return finish(cx, request);
    }
    if settled {
        ask_peers(cx, request);
    } else {
        locate.waits_for_dials = true;
    }
}

/// The first dials have come to something.
pub(crate) fn on_settled(cx: &mut Context) {
    let waiting = |(id, locate): (&RequestId, &mut Locate)| core::mem::take(&mut locate.waits_for_dials).then_some(*id);
    let requests: Vec<RequestId> = cx.locates.locates.iter_mut().filter_map(waiting).collect();
    for request in requests {
        ask_peers(cx, request);
    }
}

/// Asks those peers that are next to be asked; without any the search is over.
fn ask_peers(cx: &mut Context, request: RequestId) {
    let Some(mut locate) = cx.locates.locates.remove(&request) else { return };
    if !core::mem::replace(&mut locate.has_called, true) {
        call(cx, request, &mut locate);
    }
    let peers = next_peers(cx, &locate);
    locate.asked.extend(peers.iter().copied());
    locate.waiting.clone_from(&peers);
    locate.found.alone = locate.asked.is_empty();
    let mut holders = cluster::holders(cx, locate.name, cx.config.retention.replicas);
    holders.retain(|node| *node != cx.me);
    locate.found.holders_away = !holders.is_empty() && !holders.iter().any(|node| locate.answered.contains(node));
    let (owner, name_id) = (locate.owner, locate.name);
    cx.locates.locates.insert(request, locate);
    if peers.is_empty() {
        return finish_unless_awaited(cx, request);
    }
    for node in peers {
        asks::ask(cx, AskClient::Locate(request), node, |request| Frame::Find { request, owner, name_id });
    }
}

/// Connects to those who are likely to hold it and have no link, since only so many links stand at once.
fn call(cx: &mut Context, request: RequestId, locate: &mut Locate) {
    let likely = cluster::likely(cx, locate.owner, locate.name, cx.config.retention.replicas);
    // The question itself connects to the others.
    for node in likely.into_iter().filter(|node| !neighbours::is_on_demand(cx, *node)).collect::<Vec<NodeId>>() {
        if cluster::reach(cx, node) == Reach::Coming {
            locate.coming.insert(node);
        }
    }
    if !locate.coming.is_empty() {
        let patience = cx.now.mono + cx.config.straggler_timeout;
        cx.timers.set(Timer::Locate(request), patience);
    }
}

fn finish_unless_awaited(cx: &mut Context, request: RequestId) {
    if cx.locates.locates.get(&request).is_some_and(|locate| locate.coming.is_empty()) {
        finish(cx, request);
    }
}

/// A node can be talked to: if a search waits for it, it is asked.
pub(crate) fn on_peer_ready(cx: &mut Context, node: NodeId) {
    on_come(cx, node);
}

/// A node cannot be connected to: nobody waits for it any more.
pub(crate) fn on_unreachable(cx: &mut Context, node: NodeId) {
    on_come(cx, node);
}

fn on_come(cx: &mut Context, node: NodeId) {
    let awaited = |(id, locate): (&RequestId, &mut Locate)| locate.coming.remove(&node).then_some(*id);
    let requests: Vec<RequestId> = cx.locates.locates.iter_mut().filter_map(awaited).collect();
    for request in requests {
        finish_if_done(cx, request);
    }
}

/// Patience with the nodes that should come is over.
pub(crate) fn on_timeout(cx: &mut Context, request: RequestId) {
    if let Some(locate) = cx.locates.locates.get_mut(&request) {
        locate.coming.clear();
        finish_if_done(cx, request);
    }
}

/// Whom to ask next: those that are likely to hold the name, for what is known of it; once these are asked and have nothing
/// whole, everybody else who is connected; and then, some at a time, everybody who can be.
fn next_peers(cx: &mut Context, locate: &Locate) -> BTreeSet<NodeId> {
    let all: BTreeSet<NodeId> = neighbours::reachable(cx).difference(&locate.asked).copied().collect();
    let replicas = locate.found.records.replicas(cx.config.retention.replicas);
    let likely = cluster::likely(cx, locate.owner, locate.name, replicas);
    let likely: BTreeSet<NodeId> = likely.intersection(&all).copied().collect();
    let is_enough = locate.scope != Scope::Everybody && locate.found.is_whole_somewhere();
    if neighbours::are_all(cx) {
        return if likely.is_empty() && !is_enough || locate.scope == Scope::Everybody { all } else { likely };
    }
    if !likely.is_empty() || is_enough {
        return likely;
    }
    let (linked, others): (BTreeSet<NodeId>, BTreeSet<NodeId>) =
        all.into_iter().partition(|node| cx.links.of(*node).is_some());
    if !linked.is_empty() {
        return linked;
    }
    let ranked = cluster::rank(cx, locate.name);
    let next: BTreeSet<NodeId> = ranked.iter().filter(|node| others.contains(node)).take(WIDE_MAX).copied().collect();
    // Those that are to hold nothing come last.
    if next.is_empty() { others.into_iter().take(WIDE_MAX).collect() } else { next }
}

/// A peer answered, or did not.
pub(crate) fn on_answered(cx: &mut Context, request: RequestId, node: NodeId, answer: Option<Answer>) {
    let Some(locate) = cx.locates.locates.get_mut(&request) else { return };
    locate.waiting.remove(&node);
    match answer.map(Answer::records) {
        Some(Some((records, _))) => {
            locate.answered.insert(node);
            locate.found.answered.entry(node).or_default();
            let complete = records.iter().map(|held| held.complete).collect();
            let records = records.into_iter().map(|HeldRecord { record, .. }| record).collect();
            verify(cx, request, Some(node), records, complete);
        }
        Some(None) => {
            asks::on_lie(cx, node);
            finish_if_done(cx, request);
        }
        None => {
            locate.found.silent.push(node);
            finish_if_done(cx, request);
        }
    }
}

fn finish_if_done(cx: &mut Context, request: RequestId) {
    let hasty = planted!(cx.simulation, FirstAnswerWins);
    let Some(locate) = cx.locates.locates.get(&request) else { return };
    let is_answered = locate.waiting.is_empty() && locate.verifying == 0;
    if hasty && locate.verifying == 0 && !locate.answered.is_empty() {
        finish(cx, request);
    } else if is_answered {
        ask_peers(cx, request);
    }
}

fn finish(cx: &mut Context, request: RequestId) {
    let Some(locate) = cx.locates.locates.remove(&request) else { return };
    cx.timers.cancel(&Timer::Locate(request));
    let located = locate.found;
    // The clock follows the records of its own owner only: others' may say what they like.
    if let Some(winner) = located.records.winner().filter(|_| locate.owner == cx.owner) {
        let version = winner.record.version;
        cx.clock.observe(&version);
    }
    cx.signal(Signal::Located { request, located });
}
