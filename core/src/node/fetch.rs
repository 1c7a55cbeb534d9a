//! Fetching of objects from peers: which peer to want one from, and whom to ask next.

mod waiting;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::bulk::Bulk;
use crate::frame::{Frame, WANTS_MAX};
use crate::ids::{LinkId, NodeId, ObjectKey};
use crate::node::context::Context;
use crate::node::links::Link;
use crate::node::signal::{FetchClient, FetchResult, Signal};
use crate::node::timers::Timer;
use crate::node::{dials, links, neighbours};
use crate::{buggify, planted, sometimes};
use waiting::Waiting;

/// A fetch, numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FetchId(pub(crate) u64);

/// Bytes wanted of one peer and not yet received; beyond it, fetches wait.
pub(crate) const WANTED_BYTES_MAX: u64 = 16 << 20;

/// Rounds over all holders before a fetch that only ever times out is given up. (Its client may try again.)
const ROUNDS_MAX: u32 = 3;

/// Holders without a link that are connected to at once for one fetch.
const CALLS_MAX: usize = 3;

/// What to fetch.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) client: FetchClient,
    pub(crate) object: ObjectKey,
    pub(crate) len: u32,
    /// Wants of one lane are served in order, lanes in turn.
    pub(crate) lane: u64,
    /// Who is likely to hold it: these are asked first.
    pub(crate) holders: BTreeSet<NodeId>,
    /// Whether everybody else who can be asked is when none of them has it.
    pub(crate) wide: bool,
    /// Who is not asked: they gave wrong bytes before.
    pub(crate) liars: BTreeSet<NodeId>,
}

#[derive(Debug)]
struct Fetch {
    order: Order,
    /// Holders that said they do not have it, or gave wrong bytes.
    without: BTreeSet<NodeId>,
    /// Holders that let it time out in this round.
    timed_out: BTreeSet<NodeId>,
    rounds: u32,
    wanted: Option<Wanted>,
    /// Holders without a link that were to be connected to, and those that are still coming.
    called: BTreeSet<NodeId>,
    coming: BTreeSet<NodeId>,
}

#[derive(Debug)]
struct Wanted {
    link: LinkId,
    node: NodeId,
    want: u64,
    data: Bulk,
    received: u32,
}

/// All fetches under way.
#[derive(Debug, Default)]
pub(crate) struct Fetches {
    fetches: BTreeMap<FetchId, Fetch>,
    waiting: Waiting,
}

/// Starts a fetch. Answered by [`Signal::Fetched`].
pub(crate) fn start(cx: &mut Context, order: Order) {
    let id = FetchId(cx.number());
    let without = order.liars.clone();
    let fetch = Fetch {
        order,
        without,
        timed_out: BTreeSet::new(),
        rounds: 0,
        wanted: None,
        called: BTreeSet::new(),
        coming: BTreeSet::new(),
    };
    cx.fetches.fetches.insert(id, fetch);
    place(cx, id);
}

/// Ends all fetches of clients that are gone.
pub(crate) fn cancel(cx: &mut Context, gone: impl Fn(&FetchClient) -> bool) {
    let doomed = |(_, fetch): &(&FetchId, &Fetch)| gone(&fetch.order.client);
    let ids: Vec<FetchId> = cx.fetches.fetches.iter().filter(doomed).map(|(id, _)| *id).collect();
    let mut freed = BTreeSet::new();
    for id in ids {
        freed.extend(take_back(cx, id, true).map(|wanted| wanted.node));
        cx.fetches.fetches.remove(&id);
        cx.fetches.waiting.remove(id);
    }
    for node in freed {
        use_room(cx, node);
    }
}

/// The best holder to ask now: connected, not tried, not slow, with the least outstanding.
enum Choice {
    Ask(LinkId),
    Wait,
    Nobody,
}

fn choose(cx: &mut Context, id: FetchId) -> Choice {
    let Some(fetch) = cx.fetches.fetches.get(&id) else { return Choice::Nobody };
    let now = cx.now.mono;
    let candidates = fetch.order.holders.iter().filter(|node| !fetch.without.contains(node));
    let linked = candidates.filter_map(|node| cx.links.of(*node).map(|id| (*node, id)));
    let mut best = None;
    let mut second = None;
    let mut any = false;
    for (node, id) in linked {
        any = true;
        let Some(link) = cx.links.get(id) else { continue };
        if fetch.timed_out.contains(&node) || !has_room(link, fetch.order.len) {
            continue;
        }
        let rank = (link.slow_until > now, link.wanted_bytes, id);
        if best.is_none_or(|best| rank < best) {
            second = best.replace(rank);
        } else if second.is_none_or(|second| rank < second) {
            second = Some(rank);
        }
    }
    if second.is_some() && buggify!(cx.simulation, "fetch.second-best") {
        best = second;
    }
    match best {
        Some((_, _, id)) => Choice::Ask(id),
        None if any => Choice::Wait,
        None => Choice::Nobody,
    }
}

/// Whether `len` bytes more can be wanted over a link.
fn has_room(link: &Link, len: u32) -> bool {
    let is_small_enough = link.wanted_bytes == 0 || link.wanted_bytes + u64::from(len) <= WANTED_BYTES_MAX;
    link.wants.len() < WANTS_MAX && is_small_enough
}

fn place(cx: &mut Context, id: FetchId) {
    cx.fetches.waiting.remove(id);
    if !cx.fetches.fetches.contains_key(&id) {
        return;
    }
    match choose(cx, id) {
        Choice::Ask(link) => want(cx, id, link),
        Choice::Wait => wait_or_new_round(cx, id),
        Choice::Nobody if call(cx, id) => wait(cx, id),
        Choice::Nobody if widen(cx, id) => place(cx, id),
        Choice::Nobody => finish(cx, id, FetchResult::Nowhere),
    }
}

/// Nobody who is connected gives it: the next holders without a link are connected to. False if none can be.
fn call(cx: &mut Context, id: FetchId) -> bool {
    if neighbours::are_all(cx) {
        return false;
    }
    let Some(fetch) = cx.fetches.fetches.get(&id) else { return false };
    let is_left = |node: &NodeId| !fetch.called.contains(node) && !fetch.without.contains(node);
    // Nodes begin at different places, so that they do not all ask one.
    let in_turn = fetch.order.holders.range(cx.me..).chain(fetch.order.holders.range(..cx.me)).copied();
    let room = CALLS_MAX.saturating_sub(fetch.coming.len());
    let left: BTreeSet<NodeId> =
        in_turn.filter(|node| is_left(node) && neighbours::is_on_demand(cx, *node)).take(room).collect();
    for node in left {
        let comes = cx.links.of(node).is_none() && dials::reach(cx, node);
        let Some(fetch) = cx.fetches.fetches.get_mut(&id) else { return false };
        fetch.called.insert(node);
        if comes {
            fetch.coming.insert(node);
        }
    }
    let is_coming = cx.fetches.fetches.get(&id).is_some_and(|fetch| !fetch.coming.is_empty());
    if is_coming {
        let patience = cx.now.mono + cx.config.fetch_timeout;
        cx.timers.set_if_sooner(Timer::Fetch(id), patience);
    }
    is_coming
}

/// How many wait for a holder that is being connected to.
pub(crate) fn calling(cx: &Context) -> usize {
    cx.fetches.fetches.values().filter(|fetch| fetch.wanted.is_none() && !fetch.coming.is_empty()).count()
}

/// A node has come, or does not come: whatever waits for it goes on.
pub(crate) fn on_come(cx: &mut Context, node: NodeId) {
    for (id, fetch) in &mut cx.fetches.fetches {
        if fetch.coming.remove(&node) && fetch.coming.is_empty() && fetch.wanted.is_none() {
            cx.timers.cancel(&Timer::Fetch(*id));
        }
    }
    place_all_for(cx, node);
}

/// Nobody who is likely to have it gives it: from now on everybody who can be asked is. False if they are already.
fn widen(cx: &mut Context, id: FetchId) -> bool {
    let all = neighbours::reachable(cx);
    let Some(fetch) = cx.fetches.fetches.get_mut(&id) else { return false };
    if !core::mem::take(&mut fetch.order.wide) {
        return false;
    }
    if all.iter().any(|node| !fetch.order.holders.contains(node) && !fetch.without.contains(node)) {
        sometimes!(cx.simulation, "fetch.from-anybody");
    }
    fetch.order.holders.extend(all);
    true
}

/// Everybody left is either busy with other wants or has let this one time out. In the latter case start over, a few times.
fn wait_or_new_round(cx: &mut Context, id: FetchId) {
    let Some(fetch) = cx.fetches.fetches.get_mut(&id) else { return };
    let left = fetch.order.holders.iter().filter(|node| !fetch.without.contains(node) && cx.links.of(**node).is_some());
    let all_timed_out = left.clone().all(|node| fetch.timed_out.contains(node));
    if all_timed_out && call(cx, id) {
        return wait(cx, id);
    }
    let Some(fetch) = cx.fetches.fetches.get_mut(&id) else { return };
    if all_timed_out && fetch.order.wide {
        widen(cx, id);
        return place(cx, id);
    }
    if all_timed_out {
        fetch.rounds += 1;
        if fetch.rounds >= ROUNDS_MAX {
            return finish(cx, id, FetchResult::Nowhere);
        }
        fetch.timed_out.clear();
        return place(cx, id);
    }
    wait(cx, id);
}

fn wait(cx: &mut Context, id: FetchId) {
    let Some(fetch) = cx.fetches.fetches.get(&id) else { return };
    let left = fetch.order.holders.iter().filter(|node| !fetch.without.contains(node)).copied().collect();
    cx.fetches.waiting.insert(id, left);
}

fn want(cx: &mut Context, id: FetchId, link_id: LinkId) {
    let want = cx.number();
    let Some(link) = cx.links.get_mut(link_id) else { return };
    let Some(fetch) = cx.fetches.fetches.get_mut(&id) else { return };
    link.wants.insert(want, id);
    link.wanted_bytes += u64::from(fetch.order.len);
    fetch.wanted = Some(Wanted { link: link_id, node: link.node, want, data: Bulk::default(), received: 0 });
    let frame = Frame::Want {
        want,
        lane: fetch.order.lane,
        owner: fetch.order.object.owner,
        object: fetch.order.object.id,
        len: fetch.order.len,
    };
    cx.send(link_id, frame);
    let deadline = cx.now.mono + cx.config.fetch_timeout;
    cx.timers.set(Timer::Fetch(id), deadline);
}

/// Ends the want of a fetch, if it has one; `tell` the peer unless it knows.
fn take_back(cx: &mut Context, id: FetchId, tell: bool) -> Option<Wanted> {
    cx.timers.cancel(&Timer::Fetch(id));
    let fetch = cx.fetches.fetches.get_mut(&id)?;
    let wanted = fetch.wanted.take()?;
    let rest = u64::from(fetch.order.len - wanted.received);
    if let Some(link) = cx.links.get_mut(wanted.link) {
        link.wants.remove(&wanted.want);
        link.wanted_bytes -= rest;
        if tell {
            cx.send(wanted.link, Frame::Unwant { want: wanted.want });
        }
    }
    Some(wanted)
}

fn finish(cx: &mut Context, id: FetchId, result: FetchResult) {
    take_back(cx, id, false);
    if let Some(fetch) = cx.fetches.fetches.remove(&id) {
        cx.signal(Signal::Fetched { client: fetch.order.client, result });
    }
}

/// A peer has room: those that wait for it are placed, the oldest first, while it has.
fn use_room(cx: &mut Context, node: NodeId) {
    let mut last = None;
    while let Some(id) = cx.fetches.waiting.next_for(node, last) {
        last = Some(id);
        let Some(link) = cx.links.of(node).and_then(|link| cx.links.get(link)) else { return };
        let Some(fetch) = cx.fetches.fetches.get(&id) else { continue };
        if fetch.timed_out.contains(&node) {
            continue;
        }
        if !has_room(link, fetch.order.len) {
            return;
        }
        place(cx, id);
    }
}

/// A peer has come or gone, or does not come: all that wait for it look around anew.
fn place_all_for(cx: &mut Context, node: NodeId) {
    let mut last = None;
    while let Some(id) = cx.fetches.waiting.next_for(node, last) {
        last = Some(id);
        place(cx, id);
    }
}

/// Part of an object came.
pub(crate) fn on_data(cx: &mut Context, link_id: LinkId, want: u64, offset: u32, payload: Bulk) {
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let Some(link) = cx.links.get_mut(link_id) else { return };
    link.received_bytes += u64::from(len);
    link.last_data = cx.now.mono;
    // A want that was taken back may still be answered.
    let Some(&id) = link.wants.get(&want) else { return };
    let Some(fetch) = cx.fetches.fetches.get_mut(&id) else { return };
    let Some(wanted) = &mut fetch.wanted else { return };
    if offset != wanted.received || len > fetch.order.len - wanted.received {
        return links::offend(cx, link_id);
    }
    wanted.received += len;
    link.wanted_bytes -= u64::from(len);
    for part in payload.parts() {
        wanted.data.push(part.clone());
    }
    if wanted.received < fetch.order.len {
        let deadline = cx.now.mono + cx.config.fetch_timeout;
        return cx.timers.set(Timer::Fetch(id), deadline);
    }
    let refused = cx.fetches.fetches.get(&id).map_or(0, |fetch| fetch.without.union(&fetch.timed_out).count());
    match refused {
        0 => {}
        1 => sometimes!(cx.simulation, "fetch.from-a-second-peer"),
        _ => sometimes!(cx.simulation, "fetch.from-a-third-peer"),
    }
    if let Some(wanted) = take_back(cx, id, false) {
        let node = wanted.node;
        finish(cx, id, FetchResult::Got { from: node, data: wanted.data });
        use_room(cx, node);
    }
}

/// The peer does not have it.
pub(crate) fn on_unavailable(cx: &mut Context, link_id: LinkId, want: u64) {
    let Some(&id) = cx.links.get(link_id).and_then(|link| link.wants.get(&want)) else { return };
    let Some(wanted) = take_back(cx, id, false) else { return };
    if let Some(fetch) = cx.fetches.fetches.get_mut(&id) {
        fetch.without.insert(wanted.node);
    }
    if planted!(cx.simulation, FetchAsksOnce) {
        finish(cx, id, FetchResult::Nowhere);
    }
    place(cx, id);
    use_room(cx, wanted.node);
}

/// Nothing came for too long: ask somebody else. As long as data of other wants flows, this one is only queued behind them.
pub(crate) fn on_timeout(cx: &mut Context, id: FetchId) {
    let coming = cx.fetches.fetches.get_mut(&id).filter(|fetch| fetch.wanted.is_none());
    if let Some(fetch) = coming {
        // Those that should come do not.
        fetch.coming.clear();
        return place(cx, id);
    }
    let link = cx.fetches.fetches.get(&id).and_then(|fetch| fetch.wanted.as_ref()).map(|wanted| wanted.link);
    let last_data = link.and_then(|link| cx.links.get(link)).map(|link| link.last_data).unwrap_or_default();
    let deadline = last_data + cx.config.fetch_timeout;
    if deadline > cx.now.mono {
        return cx.timers.set(Timer::Fetch(id), deadline);
    }
    let Some(wanted) = take_back(cx, id, true) else { return };
    let slow_until = cx.now.mono + cx.config.fetch_timeout * 4;
    if let Some(link) = cx.links.get_mut(wanted.link) {
        link.slow_until = slow_until;
    }
    if let Some(fetch) = cx.fetches.fetches.get_mut(&id) {
        fetch.timed_out.insert(wanted.node);
    }
    place(cx, id);
    use_room(cx, wanted.node);
}

/// A link is gone, and with it its wants.
pub(crate) fn on_link_gone(cx: &mut Context, node: NodeId, ids: impl Iterator<Item = FetchId>) {
    for id in ids {
        cx.timers.cancel(&Timer::Fetch(id));
        if let Some(fetch) = cx.fetches.fetches.get_mut(&id) {
            fetch.wanted = None;
            fetch.timed_out.insert(node);
        }
        place(cx, id);
    }
    place_all_for(cx, node);
}
