//! How tables of members are brought together: two nodes that meet compare fingerprints and ask each other for what they may lack;
//! what is new is told to peers at once, and by SWIM's packets to everybody else; and since those carry the sender's fingerprint,
//! tables that still differ when all is quiet are found, too.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use crate::frame::{ANSWER_MEMBERS_MAX, Frame, HEADER_LEN_MAX, MemberRow};
use crate::ids::{LinkId, NodeId};
use crate::member::Member;
use crate::node::context::Context;
use crate::node::members::{self, Heard};
use crate::node::signal::{Answer, AskClient};
use crate::node::{asks, dials, links, swim};
use crate::time::Monotonic;
use crate::{planted, sometimes};

/// Tables of peers that are being read at once: most of them will turn out to be the same.
const READS_MAX: usize = 2;

/// The most entries of one table that are passed on as news. More than that are no news but the table of a cluster that this
/// node comes new to, or that was cut off for long.
const NEWS_MAX: usize = 16;

/// How many periods of SWIM this node's table must have been at rest before a peer's other fingerprint means anything but that
/// news are on their way.
const REST_PERIODS: u32 = 6;

/// The fingerprint of a peer's table.
#[derive(Clone, Copy, Debug)]
enum Seen {
    /// Without this node's entry.
    WithoutMe(u64),
    Whole(u64),
}

/// What is under way.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    /// Peers whose tables are being read.
    reading: BTreeSet<NodeId>,
    /// Peers whose tables were another one when they were last heard of.
    differing: BTreeMap<NodeId, Seen>,
    /// When the table changed last.
    changed_at: Monotonic,
    /// Whether a peer's table has been read since the start.
    has_read: bool,
}

impl Exchange {
    /// Whether no table is being read.
    pub(crate) fn is_idle(&self) -> bool {
        self.reading.is_empty()
    }
}

fn differs(cx: &Context, seen: Seen) -> bool {
    match seen {
        Seen::WithoutMe(table) => table != cx.members.fingerprint_without(cx.me, cx.me),
        Seen::Whole(table) => table != cx.members.fingerprint(cx.me),
    }
}

/// A peer has said hello, with the fingerprint of its table.
pub(crate) fn on_hello(cx: &mut Context, node: NodeId, table: u64) {
    let seen = Seen::WithoutMe(table);
    // The first is read in any case: it also tells who is alive.
    if !cx.exchange.has_read || differs(cx, seen) {
        cx.exchange.differing.insert(node, seen);
        read_next(cx);
    }
}

/// A packet of SWIM tells the fingerprint of its sender's table.
pub(crate) fn on_fingerprint(cx: &mut Context, node: NodeId, table: u64) {
    let rest: Duration = cx.config.swim_period * REST_PERIODS;
    let seen = Seen::Whole(table);
    if cx.now.mono - cx.exchange.changed_at < rest || !differs(cx, seen) || !cx.exchange.is_idle() {
        return;
    }
    sometimes!(cx.simulation, "exchange.found-by-fingerprint");
    // Not again before that has had time to help.
    cx.exchange.changed_at = cx.now.mono;
    cx.exchange.differing.insert(node, seen);
    read_next(cx);
}

fn read_next(cx: &mut Context) {
    while cx.exchange.reading.len() < READS_MAX {
        let Some((node, seen)) = cx.exchange.differing.pop_first() else { return };
        let is_wanted = differs(cx, seen) || !cx.exchange.has_read;
        if is_wanted && cx.links.of(node).is_some() && cx.exchange.reading.insert(node) {
            cx.exchange.has_read = true;
            ask(cx, node, None);
        }
    }
}

fn ask(cx: &mut Context, node: NodeId, after: Option<NodeId>) {
    asks::ask(cx, AskClient::Members, node, |request| Frame::AskMembers { request, after });
}

/// A peer gave a page of its table, or no answer.
pub(crate) fn on_answered(cx: &mut Context, node: NodeId, answer: Option<Answer>) {
    match answer.map(Answer::members) {
        Some(Some((members, more))) => {
            let in_order = members.is_sorted_by(|one, next| one.member.node < next.member.node);
            let last = members.last().map(|row| row.member.node).filter(|_| more);
            if !in_order || !are_sane(members.iter().map(|row| &row.member)) || (more && last.is_none()) {
                end(cx, node);
                return asks::on_lie(cx, node);
            }
            let lives: Vec<_> = members.iter().map(|row| (row.member.node, row.life)).collect();
            members::apply(cx, members.into_iter().map(|row| row.member).collect(), Heard::InTable);
            swim::on_lives(cx, lives);
            match last {
                Some(last) => ask(cx, node, Some(last)),
                None => end(cx, node),
            }
        }
        Some(None) => {
            end(cx, node);
            asks::on_lie(cx, node);
        }
        None => {
            // Who is asked first tells who is alive; ask another one.
            cx.exchange.has_read &= !cx.exchange.reading.is_empty();
            end(cx, node);
        }
    }
}

fn end(cx: &mut Context, node: NodeId) {
    cx.exchange.reading.remove(&node);
    read_next(cx);
    dials::check_settled(cx);
}

/// A peer asks for this node's table.
pub(crate) fn on_ask(cx: &mut Context, link: LinkId, request: u64, after: Option<NodeId>) {
    let (rows, more) = page(cx, after);
    links::answer(cx, link, Frame::Members { request, members: rows, more });
}

/// The entries after one, as many as go into a frame, and whether there are more.
fn page(cx: &Context, after: Option<NodeId>) -> (Vec<MemberRow>, bool) {
    let mut all: BTreeMap<NodeId, _> = cx.members.all().collect();
    all.insert(cx.me, cx.members.own());
    let mut rows = Vec::new();
    let mut bytes = 0;
    for (node, info) in all.into_iter().filter(|(node, _)| after.is_none_or(|after| *node > after)) {
        bytes += info.addresses.iter().map(|address| address.len() + 3).sum::<usize>() + info.zone.len() + 128;
        if rows.len() == ANSWER_MEMBERS_MAX || bytes > HEADER_LEN_MAX / 2 {
            return (rows, true);
        }
        rows.push(MemberRow { member: Member { node, info: info.clone() }, life: cx.swim.life_of(node) });
    }
    (rows, false)
}

fn are_sane<'a>(mut members: impl ExactSizeIterator<Item = &'a Member>) -> bool {
    members.len() <= ANSWER_MEMBERS_MAX && members.all(|member| member.info.is_sane())
}

/// A peer tells news.
pub(crate) fn on_news(cx: &mut Context, link: LinkId, members: Vec<Member>) {
    if !are_sane(members.iter()) {
        return links::offend(cx, link);
    }
    members::apply(cx, members, Heard::AsNews);
}

/// This node's own entry has changed: tell all.
pub(crate) fn tell_own(cx: &mut Context) {
    let own = Member { node: cx.me, info: cx.members.own().clone() };
    tell_all(cx, core::slice::from_ref(&own));
    cx.exchange.changed_at = cx.now.mono;
    swim::spread(cx, &own);
}

/// Tells all peers of entries.
pub(crate) fn tell_all(cx: &mut Context, members: &[Member]) {
    let links: Vec<LinkId> = cx.links.ready_nodes().into_iter().filter_map(|node| cx.links.of(node)).collect();
    for link in links {
        cx.send(link, Frame::News { members: members.to_vec() });
    }
}

/// Tells one peer what is known of a node.
pub(crate) fn tell_of(cx: &mut Context, peer: NodeId, about: NodeId) {
    let (Some(link), Some(info)) = (cx.links.of(peer), cx.members.get(about)) else { return };
    let members = alloc::vec![Member { node: about, info: info.clone() }];
    cx.send(link, Frame::News { members });
}

/// Passes on what has been learned of others.
pub(crate) fn pass_on(cx: &mut Context, nodes: &[NodeId], heard: Heard) {
    cx.exchange.changed_at = cx.now.mono;
    if (heard == Heard::InTable && nodes.len() > NEWS_MAX) || planted!(cx.simulation, NewsKept) {
        return;
    }
    for node in nodes {
        if let Some(info) = cx.members.get(*node) {
            let member = Member { node: *node, info: info.clone() };
            swim::spread(cx, &member);
        }
    }
}
