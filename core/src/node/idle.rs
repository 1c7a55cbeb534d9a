//! Links that nobody needs: those to members that are no neighbours are closed when nothing has gone over them for a while, sooner if
//! there are more than `max_peers` of this node's own making, and then the one that has been idle for longest first. Whoever made a
//! link closes it; so nobody is kept from a node because that has links enough. Only a node that has far too many closes those that
//! others made.
//!
//! Whoever wants to close a link says so and asks nothing over it any more. The other end closes it, unless it has something under way
//! there: then the link stays. So a question that was on its way is answered all the same.

use alloc::vec::Vec;
use core::time::Duration;

use crate::frame::{Frame, Goodbye};
use crate::ids::LinkId;
use crate::node::context::Context;
use crate::node::gauges::Gauge;
use crate::node::links::Link;
use crate::node::signal::Signal;
use crate::node::{dials, links, neighbours};
use crate::time::Monotonic;
use crate::{planted, sometimes};

/// After how many heartbeats a link is closed over which nothing went but what every link carries.
const IDLE: u32 = 12;

/// The same when there are too many links: whoever has just got an answer may be about to ask more.
const IDLE_IF_CROWDED: u32 = 2;

/// How many times `max_peers` links of whatever making are too many.
const CROWD: u32 = 2;

/// Whether nothing is under way on a link, for this node or its peer.
fn is_free(cx: &Context, id: LinkId, link: &Link) -> bool {
    let uploads = cx.upload_owners.range((id, 0)..=(id, u64::MAX)).next().is_some();
    link.is_free() && !uploads && !cx.uploads.is_any_on(id)
}

/// A link that may be closed, the least useful first.
struct Spare {
    last_used: Monotonic,
    id: LinkId,
    is_mine: bool,
}

/// Ready links to others than neighbours on which nothing is under way.
fn spare(cx: &Context) -> Vec<Spare> {
    let is_spare = |(id, link): &(&LinkId, &Link)| {
        link.ready && !link.is_parting() && !neighbours::is_neighbour(cx, link.node) && is_free(cx, **id, link)
    };
    let spare =
        |(id, link): (&LinkId, &Link)| Spare { last_used: link.last_used(), id: *id, is_mine: link.is_dialled_by_me() };
    let mut spares: Vec<Spare> = cx.links.iter().filter(is_spare).map(spare).collect();
    spares.sort_by_key(|spare| (spare.last_used, spare.id));
    spares
}

/// How many links there are of this node's own making, and in all.
fn count(cx: &Context) -> (u32, u32) {
    let standing = cx.links.iter().filter(|(_, link)| !link.is_parting());
    standing.fold((0, 0), |(mine, all), (_, link)| (mine + u32::from(link.is_dialled_by_me()), all + 1))
}

fn heartbeats(cx: &Context, count: u32) -> Duration {
    cx.config.heartbeat * count
}

/// What of its limits is used: links of this node's own making that should have been closed when it was looked last.
pub(crate) fn gauge(cx: &Context) -> Gauge {
    ("idle links", cx.links.overdue(), 0)
}

/// Looks for links that nobody needs.
pub(crate) fn tidy(cx: &mut Context) {
    if neighbours::are_all(cx) {
        return cx.links.set_overdue(0);
    }
    let (mut mine, mut all) = count(cx);
    let (idle, crowded) = (heartbeats(cx, IDLE), heartbeats(cx, IDLE_IF_CROWDED));
    let (cap, crowd) = (cx.config.max_peers, cx.config.max_peers.saturating_mul(CROWD));
    for Spare { last_used, id, is_mine } in spare(cx) {
        let since = cx.now.mono - last_used;
        let is_one_too_many = (is_mine && mine > cap) || all > crowd;
        if planted!(cx.simulation, IdleLinksKept) {
            continue;
        }
        if is_mine && since >= idle || is_one_too_many && since >= crowded {
            part(cx, id);
            mine -= u32::from(is_mine);
            all -= 1;
        }
    }
    let is_overdue = |spare: &Spare| {
        let since = cx.now.mono - spare.last_used;
        spare.is_mine && (since >= idle || mine > cap && since >= crowded)
    };
    let overdue = spare(cx).into_iter().filter(is_overdue).count() as u64;
    cx.links.set_overdue(overdue);
    let has_waited = |(id, link): (&LinkId, &Link)| {
        let since = link.parting_since()?;
        (cx.now.mono - since >= heartbeats(cx, 1) && is_free(cx, *id, link)).then_some(*id)
    };
    let waited: Vec<LinkId> = cx.links.iter().filter_map(has_waited).collect();
    for id in waited {
        links::close(cx, id, Goodbye::Crowded);
    }
}

/// Says that a link may be closed, and asks nothing over it any more.
fn part(cx: &mut Context, id: LinkId) {
    sometimes!(cx.simulation, "idle.parted");
    cx.send(id, Frame::Goodbye { reason: Goodbye::Crowded });
    if let Some(node) = links::set_apart(cx, id) {
        dials::on_parted(cx, id);
        cx.signal(Signal::PeerGone(node));
    }
}

/// The peer needs a link no longer.
pub(crate) fn on_parting(cx: &mut Context, id: LinkId) {
    let Some(link) = cx.links.get(id) else { return };
    if !is_free(cx, id, link) {
        sometimes!(cx.simulation, "idle.still-needed");
        return;
    }
    if !link.is_parting() {
        let node = link.node;
        dials::rest(cx, node, heartbeats(cx, IDLE));
    }
    let node = links::set_apart(cx, id);
    dials::on_parted(cx, id);
    links::close(cx, id, Goodbye::Crowded);
    if let Some(node) = node {
        cx.signal(Signal::PeerGone(node));
    }
}
