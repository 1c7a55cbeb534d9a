//! Links: the authenticated connections to peers.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::frame::{Frame, Goodbye, Hello, PROTOCOL_VERSION};
use crate::ids::{DialId, LinkId, NodeId};
use crate::input::CloseReason;
use crate::member::ADDRESS_LEN_MAX;
use crate::node::context::Context;
use crate::node::serve::Serving;
use crate::node::signal::{AskClient, Signal};
use crate::node::timers::Timer;
use crate::node::{exchange, fetch, idle, members, neighbours, swim, upload};
use crate::output::Output;
use crate::time::Monotonic;
use crate::{buggify, planted, sometimes};

/// The most that is told of a peer's address, in characters: numbers and ports are far shorter.
const SEEN_LEN_MAX: usize = ADDRESS_LEN_MAX / 4;

/// Questions of one peer that may be open here: twice what this program asks at once.
pub(crate) const ANSWERING_MAX: u32 = 512;

/// A connection to a peer.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) node: NodeId,
    pub(crate) remote: String,
    dialled_by_me: bool,
    /// Whether the peer has said hello.
    pub(crate) ready: bool,
    /// What it said when this node could not answer yet: its own disk was being read.
    early_hello: Option<Hello>,
    last_heard: Monotonic,
    pub(crate) serving: Serving,
    /// Wants that this node has open, by number.
    pub(crate) wants: BTreeMap<u64, fetch::FetchId>,
    /// Their bytes that have not come yet.
    pub(crate) wanted_bytes: u64,
    /// Questions of the peer that this node has not answered yet.
    answering: u32,
    /// Questions that this node has open, by number.
    pub(crate) questions: BTreeMap<u64, AskClient>,
    /// When something last went over it that is not on every link.
    last_used: Monotonic,
    /// Since when it may be closed and nothing is asked over it any more.
    parting_since: Option<Monotonic>,
    /// The peer has come, or is back, and was not merely connected to once more.
    is_news: bool,
    /// The peer let a fetch time out; others are asked first until then.
    pub(crate) slow_until: Monotonic,
    /// When data came last, of whatever want.
    pub(crate) last_data: Monotonic,
    pub(crate) sent_bytes: u64,
    pub(crate) received_bytes: u64,
}

impl Link {
    /// Questions of the peer that this node has not answered yet.
    pub(crate) fn answering(&self) -> u32 {
        self.answering
    }

    pub(crate) fn is_dialled_by_me(&self) -> bool {
        self.dialled_by_me
    }

    /// When something last went over it that is not on every link.
    pub(crate) fn last_used(&self) -> Monotonic {
        self.last_used
    }

    /// Whether it may be closed, and nothing is asked over it any more.
    pub(crate) fn is_parting(&self) -> bool {
        self.parting_since.is_some()
    }

    /// Since when that is so.
    pub(crate) fn parting_since(&self) -> Option<Monotonic> {
        self.parting_since
    }

    /// Whether no question and no transfer is under way.
    pub(crate) fn is_free(&self) -> bool {
        let is_serving = self.serving.wants() > 0 || self.serving.reads() > 0 || self.serving.in_flight() > 0;
        self.wants.is_empty() && self.questions.is_empty() && self.answering == 0 && !is_serving
    }
}

/// How often a node broke the protocol.
#[derive(Debug, Default)]
struct Conduct {
    offences: u32,
    banned_until: Option<Monotonic>,
}

/// All links.
#[derive(Debug, Default)]
pub(crate) struct Links {
    links: BTreeMap<LinkId, Link>,
    by_node: BTreeMap<NodeId, LinkId>,
    conduct: BTreeMap<NodeId, Conduct>,
    /// Under which generation each member was met last, unless it was lost since.
    met: BTreeMap<NodeId, u64>,
    /// Links of this node's own making that nobody needed when it was looked last, and that were not closed.
    overdue: u64,
}

impl Links {
    pub(crate) fn get(&self, link: LinkId) -> Option<&Link> {
        self.links.get(&link)
    }

    pub(crate) fn get_mut(&mut self, link: LinkId) -> Option<&mut Link> {
        self.links.get_mut(&link)
    }

    /// The link over which a node can be talked to.
    pub(crate) fn of(&self, node: NodeId) -> Option<LinkId> {
        self.by_node.get(&node).copied()
    }

    /// All nodes that can be talked to, in order.
    pub(crate) fn ready_nodes(&self) -> BTreeSet<NodeId> {
        self.by_node.keys().copied().collect()
    }

    /// How many nodes can be talked to.
    pub(crate) fn ready_count(&self) -> u32 {
        u32::try_from(self.by_node.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&LinkId, &Link)> {
        self.links.iter()
    }

    /// How many links the node has that has most of them.
    pub(crate) fn of_one_node_max(&self) -> usize {
        let count = |node| self.links.values().filter(|link| link.node == node).count();
        self.links.values().map(|link| count(link.node)).max().unwrap_or(0)
    }

    /// Whether the node at the other end has come, or is back, and was not merely connected to once more.
    pub(crate) fn is_news(&self, node: NodeId) -> bool {
        self.of(node).and_then(|id| self.get(id)).is_some_and(|link| link.is_news)
    }

    /// Whether a link to a node stands or is about to.
    pub(crate) fn is_linking(&self, node: NodeId) -> bool {
        self.links.values().any(|link| link.node == node && !link.is_parting())
    }

    /// Links of this node's own making that nobody needed when it was looked last, and that were not closed.
    pub(crate) fn overdue(&self) -> u64 {
        self.overdue
    }

    pub(crate) fn set_overdue(&mut self, overdue: u64) {
        self.overdue = overdue;
    }

    /// A link to a node, whether it has said hello or not.
    fn any_of(&self, node: NodeId) -> Option<LinkId> {
        self.links.iter().find(|(_, link)| link.node == node).map(|(id, _)| *id)
    }

    pub(crate) fn is_banned(&self, node: NodeId, now: Monotonic) -> bool {
        self.conduct.get(&node).and_then(|conduct| conduct.banned_until).is_some_and(|until| until > now)
    }
}

/// A secure channel stands.
pub(crate) fn on_connected(cx: &mut Context, id: LinkId, node: NodeId, dial: Option<DialId>, remote: String) {
    let link = Link {
        node,
        remote,
        dialled_by_me: dial.is_some(),
        ready: false,
        early_hello: None,
        last_heard: cx.now.mono,
        serving: Serving::default(),
        wants: BTreeMap::new(),
        wanted_bytes: 0,
        answering: 0,
        questions: BTreeMap::new(),
        last_used: cx.now.mono,
        parting_since: None,
        is_news: false,
        slow_until: Monotonic::default(),
        last_data: cx.now.mono,
        sent_bytes: 0,
        received_bytes: 0,
    };
    let existing = cx.links.any_of(node);
    cx.links.links.insert(id, link);
    cx.dials.on_connected(dial, id, node, node == cx.me);
    if node == cx.me {
        return close(cx, id, Goodbye::SelfConnection);
    }
    let now = if planted!(cx.simulation, BanNeverEnds) { Monotonic::default() } else { cx.now.mono };
    if cx.links.is_banned(node, now) {
        return close(cx, id, Goodbye::Banned);
    }
    if let Some(existing) = existing {
        sometimes!(cx.simulation, "links.duplicate-closed");
        let loser = duplicate_to_close(cx, existing, id);
        close(cx, loser, Goodbye::Duplicate);
        if loser == id {
            return;
        }
    }
    if cx.has_booted {
        greet(cx, id);
    }
    let look = cx.now.mono + cx.config.heartbeat;
    cx.timers.set(Timer::Link(id), look);
}

/// Says hello.
fn greet(cx: &mut Context, id: LinkId) {
    let Some(link) = cx.links.get(id) else { return };
    let hello = Hello {
        version: PROTOCOL_VERSION,
        features: 0,
        member: cx.members.own().clone(),
        generation: cx.swim.generation(),
        table: cx.members.fingerprint_without(cx.me, link.node),
        seen: link.remote.chars().take(SEEN_LEN_MAX).collect(),
    };
    cx.send(id, Frame::Hello(hello));
}

/// The node has read what its disk remembers: greet all who came before.
pub(crate) fn on_booted(cx: &mut Context) {
    let links: Vec<LinkId> = cx.links.links.keys().copied().collect();
    for id in links {
        greet(cx, id);
        if let Some(hello) = cx.links.get_mut(id).and_then(|link| link.early_hello.take()) {
            on_hello(cx, id, hello);
        }
    }
}

/// Of two links to one node, both ends close the same one: the link dialled by the larger id goes. If both were dialled by
/// the same end, the older goes: its dialler would not have dialled again if it still believed in it.
fn duplicate_to_close(cx: &Context, old: LinkId, new: LinkId) -> LinkId {
    let dialled_by_me = |id| cx.links.get(id).is_some_and(|link| link.dialled_by_me);
    let (old_mine, new_mine) = (dialled_by_me(old), dialled_by_me(new));
    if old_mine == new_mine {
        return old;
    }
    let peer_is_smaller = cx.links.get(old).is_some_and(|link| link.node < cx.me);
    if old_mine == peer_is_smaller { old } else { new }
}

/// The peer says hello.
pub(crate) fn on_hello(cx: &mut Context, id: LinkId, hello: Hello) {
    let Some(link) = cx.links.get_mut(id) else { return };
    if link.ready || link.early_hello.is_some() || !hello.member.is_sane() || hello.seen.len() > ADDRESS_LEN_MAX {
        return offend(cx, id);
    }
    if hello.version != PROTOCOL_VERSION {
        return close(cx, id, Goodbye::Version);
    }
    if !cx.has_booted {
        link.early_hello = Some(hello);
        return;
    }
    link.ready = true;
    let (node, remote) = (link.node, link.remote.clone());
    cx.links.by_node.insert(node, id);
    cx.dials.on_hello(id);
    let Hello { member, generation, table, seen, .. } = hello;
    members::on_hello(cx, node, &remote, member, &seen);
    exchange::on_hello(cx, node, table);
    swim::on_peer_ready(cx, node, generation);
    let is_new = cx.members.contains(node) && cx.links.met.insert(node, generation) != Some(generation);
    let is_news = is_new || neighbours::is_neighbour(cx, node);
    if let Some(link) = cx.links.get_mut(id) {
        link.is_news = is_news;
    }
    cx.signal(Signal::PeerReady(node));
    idle::tidy(cx);
}

/// Notes that something was heard. False if the link is unknown or the peer must say hello first.
pub(crate) fn hear(cx: &mut Context, id: LinkId, frame: &Frame) -> bool {
    let now = cx.now.mono;
    let Some(link) = cx.links.get_mut(id) else { return false };
    link.last_heard = now;
    if !frame.is_upkeep() {
        link.last_used = now;
        if link.ready && link.parting_since.take().is_some() {
            // The peer needs it still.
            link.is_news = false;
            let node = link.node;
            cx.links.by_node.entry(node).or_insert(id);
            cx.signal(Signal::PeerReady(node));
        }
    }
    cx.links.get(id).is_some_and(|link| link.ready)
}

/// Notes that something goes out.
pub(crate) fn note_sent(cx: &mut Context, id: LinkId, frame: &Frame) {
    let now = cx.now.mono;
    if let Some(link) = cx.links.get_mut(id).filter(|_| !frame.is_upkeep()) {
        link.last_used = now;
    }
}

/// A node was lost: its link broke, it could not be connected to, or it is down. If it comes again, that is news.
pub(crate) fn on_lost(cx: &mut Context, node: NodeId) {
    cx.links.met.remove(&node);
}

/// From now on nothing is asked over a link any more. Its node, if it could be talked to over it.
pub(crate) fn set_apart(cx: &mut Context, id: LinkId) -> Option<NodeId> {
    let now = cx.now.mono;
    let link = cx.links.get_mut(id)?;
    link.parting_since = Some(now);
    let node = link.node;
    (cx.links.by_node.get(&node) == Some(&id)).then(|| cx.links.by_node.remove(&node)).map(|_| node)
}

/// A peer asks something. False if it has too many questions open.
pub(crate) fn begin_answer(cx: &mut Context, id: LinkId) -> bool {
    let Some(link) = cx.links.get_mut(id) else { return false };
    link.answering += 1;
    link.answering <= ANSWERING_MAX
}

/// A question of a peer will not be answered: its deadline at the peer will pass.
pub(crate) fn end_answer(cx: &mut Context, id: LinkId) {
    if let Some(link) = cx.links.get_mut(id) {
        link.answering = link.answering.saturating_sub(1);
    }
}

/// Answers a question of a peer.
pub(crate) fn answer(cx: &mut Context, id: LinkId, frame: Frame) {
    end_answer(cx, id);
    cx.send(id, frame);
}

/// Time to look at a link: ping it if it has been silent, give it up if for too long.
pub(crate) fn on_timer(cx: &mut Context, id: LinkId) {
    let now = cx.now.mono;
    let Some(link) = cx.links.get(id) else { return };
    let silent = now - link.last_heard;
    if silent >= cx.config.link_timeout {
        sometimes!(cx.simulation, "links.silent-given-up");
        cx.outputs.push_back(Output::Close { link: id });
        return forget(cx, id, &CloseReason::Io("nothing was heard for too long".to_string()));
    }
    if silent >= cx.config.heartbeat {
        let nonce = cx.number();
        cx.send(id, Frame::Ping { nonce });
    }
    let pause = if buggify!(cx.simulation, "links.early-look") { cx.config.heartbeat / 8 } else { cx.config.heartbeat };
    let look = now + pause;
    cx.timers.set(Timer::Link(id), look);
    idle::tidy(cx);
}

/// The peer broke the protocol: close, count, and ban it after repeats.
pub(crate) fn offend(cx: &mut Context, id: LinkId) {
    let Some(node) = cx.links.get(id).map(|link| link.node) else { return };
    let banned = count_offence(cx, node);
    close(cx, id, if banned { Goodbye::Banned } else { Goodbye::Protocol });
}

fn count_offence(cx: &mut Context, node: NodeId) -> bool {
    cx.counters.protocol_errors += 1;
    let until = cx.now.mono + cx.config.ban_for;
    let ban_after = cx.config.ban_after;
    let conduct = cx.links.conduct.entry(node).or_default();
    conduct.offences += 1;
    let banned = conduct.offences >= ban_after;
    if banned {
        sometimes!(cx.simulation, "links.peer-banned");
        *conduct = Conduct { offences: 0, banned_until: Some(until) };
    }
    banned
}

/// Says goodbye and closes.
pub(crate) fn close(cx: &mut Context, id: LinkId, reason: Goodbye) {
    cx.send(id, Frame::Goodbye { reason });
    cx.outputs.push_back(Output::Close { link: id });
    forget(cx, id, &CloseReason::Local);
}

/// The driver says that a link is gone.
pub(crate) fn on_closed(cx: &mut Context, id: LinkId, reason: &CloseReason) {
    if let (CloseReason::Decode(_), Some(link)) = (reason, cx.links.get(id)) {
        let node = link.node;
        count_offence(cx, node);
    }
    forget(cx, id, reason);
}

/// Takes back all that hung on a link.
fn forget(cx: &mut Context, id: LinkId, reason: &CloseReason) {
    let Some(link) = cx.links.links.remove(&id) else { return };
    cx.timers.cancel(&Timer::Link(id));
    let was_ready = cx.links.by_node.get(&link.node) == Some(&id);
    if !link.is_parting() {
        on_lost(cx, link.node);
    }
    if was_ready {
        cx.links.by_node.remove(&link.node);
    }
    for (question, client) in link.questions {
        cx.timers.cancel(&Timer::Question(id, question));
        cx.signal(Signal::Answered { client, node: link.node, answer: None });
    }
    fetch::on_link_gone(cx, link.node, link.wants.into_values());
    upload::on_link_gone(cx, id);
    crate::node::dials::on_link_gone(cx, id, &reason.to_string());
    if was_ready {
        cx.signal(Signal::PeerGone(link.node));
    }
}
