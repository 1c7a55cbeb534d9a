//! How much of each limit a node uses, for those who look on: it decides nothing.

use alloc::vec::Vec;
use core::time::Duration;

use crate::frame::{DATA_LEN_MAX, WANTS_MAX};
use crate::ids::RequestId;
use crate::node::asks::QUESTIONS_MAX;
use crate::node::context::Context;
use crate::node::fetch::WANTED_BYTES_MAX;
use crate::node::links::{ANSWERING_MAX, Link};
use crate::node::locate::RECORDS_MAX;
use crate::node::pending::Pending;
use crate::node::serve::LOADED_MAX;
use crate::node::signal::AskClient;
use crate::node::timers::Timer;
use crate::node::{
    cache, collect, debts, dials, evicted, fetch, idle, members, mend, outbox, pull, rebalance, records, repair, scrub,
    space, swim, sync, upload,
};
use crate::seal::BLOB_LEN_MAX;

/// Operations of the check of presence and the scrub, and what they keep.
const CHECKS_MAX: u64 = 8;

/// Name, use and limit.
pub(crate) type Gauge = (&'static str, u64, u64);

/// About how many there are.
const GAUGES: usize = 32;

/// The gauges of what ends by itself. Of a node at rest each is 0, if not at every moment then again and again: one that stays above
/// is of something that was forgotten.
const UNDER_WAY: &[&str] = &[
    "operations",
    "questions of a link",
    "answers of a link",
    "wants of a link",
    "wanted bytes of a link",
    "wants served on a link",
    "reads for a link",
    "bytes in flight of a link",
    "pulls",
    "pulls waiting",
    "bytes being pulled",
    "uploads of a link",
    "unanswered offers of an upload",
    "bytes being uploaded",
    "deliveries to one node",
    "bytes let in",
    "bytes waiting to be cached",
    "bytes held back for the cache",
];

/// Every bounded thing of a node. What is bounded for each link is that of the fullest link.
pub(crate) fn of(cx: &Context, requests: &[RequestId]) -> Vec<Gauge> {
    let deadlines = deadlines(cx, requests);
    let requests = requests.len();
    let mut gauges = Vec::with_capacity(GAUGES);
    gauges.extend([
        ("requests", requests as u64, u64::from(cx.config.requests_max)),
        ("hot bytes", cx.hot.bytes(), cx.config.hot_bytes),
        ("timers", cx.timers.len() as u64, timers_max(cx, requests)),
        ("operations", cx.pending.len() as u64, operations_max(cx)),
    ]);
    gauges.extend(deadlines);
    gauges.extend(of_links(cx));
    gauges.extend(dials::gauges(cx));
    gauges.push(idle::gauge(cx));
    gauges.extend(members::gauges(cx));
    gauges.extend(swim::gauges(cx));
    gauges.extend(pull::gauges(cx));
    gauges.extend(upload::gauges(cx));
    gauges.extend(outbox::gauges(cx));
    gauges.extend(mend::gauges(cx));
    gauges.extend(cache::gauges(cx));
    gauges.push(space::gauge(cx));
    gauges.push(scrub::gauge(cx));
    gauges.extend(sync::gauges(cx));
    gauges.extend(repair::gauges(cx));
    gauges.extend(rebalance::gauges(cx));
    gauges.extend(collect::gauges(cx));
    gauges
}

/// The gauges of what ends by itself: name and use.
pub(crate) fn under_way(cx: &Context) -> Vec<(&'static str, u64)> {
    // What goes through the disk by and by never ends: with a short period there is always an operation of it.
    let is_check = |pending: &&Pending| {
        matches!(pending, Pending::Scrub(_) | Pending::Presence(_) | Pending::Collect(_) | Pending::Remove(..))
    };
    let checks = cx.pending.values().filter(is_check).count() as u64;
    // Nor do comparisons where somebody has no room for what it is to hold.
    let is_request = |client: &&AskClient| !matches!(client, AskClient::Sync(_));
    let questions = |link: &Link| link.questions.values().filter(is_request).count() as u64;
    let asked = cx.links.iter().map(|(_, link)| questions(link)).max().unwrap_or(0);
    let gauges = of(cx, &[]).into_iter().filter(|(name, ..)| UNDER_WAY.contains(name));
    let gauges = gauges.map(|(name, used, _)| match name {
        "operations" => (name, used - checks),
        "questions of a link" => (name, asked),
        _ => (name, used),
    });
    gauges.collect()
}

/// Every request has a deadline, and none is further away than a request may go on without progress.
fn deadlines(cx: &Context, requests: &[RequestId]) -> [Gauge; 2] {
    let of_request = |request: &RequestId| cx.timers.deadline(&Timer::Request(*request));
    let without = requests.iter().filter(|request| of_request(request).is_none()).count();
    let furthest = requests.iter().filter_map(of_request).map(|deadline| deadline - cx.now.mono).max();
    let longest = cx.config.request_timeout.max(cx.config.answer_timeout);
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    [
        ("requests without a deadline", without as u64, 0),
        ("milliseconds to a request's deadline", ms(furthest.unwrap_or_default()), ms(longest)),
    ]
}

fn of_links(cx: &Context) -> [Gauge; 8] {
    let fullest = |used: fn(&Link) -> u64| cx.links.iter().map(|(_, link)| used(link)).max().unwrap_or(0);
    let wanted_max = WANTED_BYTES_MAX.max(u64::from(BLOB_LEN_MAX));
    // The window is looked at before a frame is sent, so the last one may overdraw it.
    let in_flight_max = u64::from(cx.config.link_window_bytes.max(1)) - 1 + DATA_LEN_MAX as u64;
    [
        ("links to one node", cx.links.of_one_node_max() as u64, 1),
        ("questions of a link", fullest(|link| link.questions.len() as u64), QUESTIONS_MAX as u64),
        ("answers of a link", fullest(|link| u64::from(link.answering())), u64::from(ANSWERING_MAX)),
        ("wants of a link", fullest(|link| link.wants.len() as u64), WANTS_MAX as u64),
        ("wanted bytes of a link", fullest(|link| link.wanted_bytes), wanted_max),
        ("wants served on a link", fullest(|link| link.serving.wants() as u64), WANTS_MAX as u64),
        ("reads for a link", fullest(|link| link.serving.reads() as u64), LOADED_MAX as u64),
        ("bytes in flight of a link", fullest(|link| u64::from(link.serving.in_flight())), in_flight_max),
    ]
}

/// One for each address, link, question, want, fetch that waits for a holder to come, node with deliveries, and node that questions
/// wait for; three for each request; `Boot`,
/// `Debts`, `Settle`, `Search`, `Swim`, `Service`, `Mend`, `Presence`, `Scrub`, `Space`, `Checkpoint`, `Fill`, `Records`, `Sync`, `Repair`,
/// `Rebalance`, `Evicted`, `Collect` and `Age`.
fn timers_max(cx: &Context, requests: usize) -> u64 {
    let of_links = cx.links.iter().count() * (1 + QUESTIONS_MAX + WANTS_MAX);
    // A fill is a request that nobody asked for.
    let of_fetches = fetch::calling(cx);
    (dials::addresses(cx) + of_links + of_fetches + 2 * cx.members.entries() + 3 * (requests + 1) + 19) as u64
}

/// What requests, answers, deliveries and transfers may have under way together.
fn operations_max(cx: &Context) -> u64 {
    // A request for versions loads that many pages at once; a window of chunks is smaller.
    let of_request = u64::from(RECORDS_MAX.max(cx.config.put_window_chunks).max(cx.config.fetch_window_chunks));
    let of_link = u64::from(ANSWERING_MAX) + (QUESTIONS_MAX + LOADED_MAX) as u64 + upload::OPERATIONS_MAX;
    let links = 1 + cx.members.entries() as u64 + cx.links.iter().count() as u64;
    u64::from(cx.config.requests_max) * of_request
        + links * of_link
        + pull::OPERATIONS_MAX
        + mend::OPERATIONS_MAX
        + debts::OPERATIONS_MAX
        + records::OPERATIONS_MAX
        + sync::OPERATIONS_MAX
        + repair::OPERATIONS_MAX
        + rebalance::OPERATIONS_MAX
        + evicted::OPERATIONS_MAX
        + cache::OPERATIONS_MAX
        + collect::OPERATIONS_MAX
        + CHECKS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::ids::NodeId;
    use crate::secrets::{OwnerKeys, OwnerSecret};
    use crate::time::{Monotonic, Time};

    #[test]
    fn what_is_under_way_is_among_the_gauges() {
        let keys = OwnerKeys::derive(&OwnerSecret::new([1; 32]));
        let now = Time { mono: Monotonic::default(), wall_ms: 0 };
        let cx = Context::new(Config::default(), NodeId([2; 32]), keys, [3; 32], now);
        let names: Vec<&str> = under_way(&cx).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), UNDER_WAY.len());
    }
}
