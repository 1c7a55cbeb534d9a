//! Questions to peers: each gets an answer, a refusal or a timeout, once. One to a member without a link waits until there is one, if a
//! link can be made (`neighbours::is_on_demand`).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::frame::Frame;
use crate::ids::{LinkId, NodeId};
use crate::node::context::Context;
use crate::node::signal::{Answer, AskClient, Signal};
use crate::node::timers::Timer;
use crate::node::{dials, links, neighbours};
use crate::sometimes;

/// Questions that may be open on one link.
pub(crate) const QUESTIONS_MAX: usize = 256;

/// What is to go to a node as soon as it is connected to.
#[derive(Debug)]
struct Waiting {
    number: u64,
    /// `None` if nobody waits for an answer.
    client: Option<AskClient>,
    frame: Frame,
}

/// Questions to nodes that are being connected to.
#[derive(Debug, Default)]
pub(crate) struct Asks {
    waiting: BTreeMap<NodeId, Vec<Waiting>>,
}

/// Asks a peer. `frame` is given the question's number. Answered by [`Signal::Answered`] in every case; an announcement
/// may take long to act upon and has no deadline but the link's own.
pub(crate) fn ask(cx: &mut Context, client: AskClient, node: NodeId, frame: impl FnOnce(u64) -> Frame) {
    let number = cx.number();
    if cx.links.of(node).is_some() {
        return send(cx, client, node, number, frame(number));
    }
    let waiting = Waiting { number, client: Some(client), frame: frame(number) };
    if !call(cx, node, waiting) {
        cx.signal(Signal::Answered { client, node, answer: None });
    }
}

/// Tells a node something that has no answer, and may get lost.
pub(crate) fn tell(cx: &mut Context, node: NodeId, frame: Frame) {
    if let Some(link) = cx.links.of(node) {
        return cx.send(link, frame);
    }
    let number = cx.number();
    call(cx, node, Waiting { number, client: None, frame });
}

/// Connects to a node for which something waits. False if that cannot be done.
fn call(cx: &mut Context, node: NodeId, waiting: Waiting) -> bool {
    let has_room = cx.asks.waiting.get(&node).is_none_or(|waiting| waiting.len() < QUESTIONS_MAX);
    if !has_room || !neighbours::is_on_demand(cx, node) || !dials::reach(cx, node) {
        return false;
    }
    sometimes!(cx.simulation, "asks.on-demand");
    cx.asks.waiting.entry(node).or_default().push(waiting);
    let patience = cx.now.mono + cx.config.answer_timeout;
    cx.timers.set_if_sooner(Timer::Call(node), patience);
    true
}

/// A node can be talked to: what waits for it goes out.
pub(crate) fn on_peer_ready(cx: &mut Context, node: NodeId) {
    cx.timers.cancel(&Timer::Call(node));
    for Waiting { number, client, frame } in cx.asks.waiting.remove(&node).unwrap_or_default() {
        match client {
            Some(client) => send(cx, client, node, number, frame),
            None => tell(cx, node, frame),
        }
    }
}

/// A node cannot be connected to, or not in time.
pub(crate) fn on_unreachable(cx: &mut Context, node: NodeId) {
    cx.timers.cancel(&Timer::Call(node));
    let waiting = cx.asks.waiting.remove(&node).unwrap_or_default();
    for client in waiting.into_iter().filter_map(|waiting| waiting.client) {
        cx.signal(Signal::Answered { client, node, answer: None });
    }
}

fn send(cx: &mut Context, client: AskClient, node: NodeId, number: u64, frame: Frame) {
    let link = cx.links.of(node);
    let has_room = |id| cx.links.get(id).is_some_and(|link| link.questions.len() < QUESTIONS_MAX);
    let Some(link_id) = link.filter(|id| has_room(*id)) else {
        return cx.signal(Signal::Answered { client, node, answer: None });
    };
    let Some(link) = cx.links.get_mut(link_id) else { return };
    link.questions.insert(number, client);
    let timed = !matches!(frame, Frame::Announce { .. } | Frame::AskPromise { .. });
    cx.send(link_id, frame);
    if timed {
        let deadline = cx.now.mono + cx.config.answer_timeout;
        cx.timers.set(Timer::Question(link_id, number), deadline);
    }
}

/// A peer answered.
pub(crate) fn on_answer(cx: &mut Context, link_id: LinkId, number: u64, answer: Answer) {
    let Some(link) = cx.links.get_mut(link_id) else { return };
    let node = link.node;
    // An answer that comes after its deadline is for nobody.
    let Some(client) = link.questions.remove(&number) else { return };
    cx.timers.cancel(&Timer::Question(link_id, number));
    cx.signal(Signal::Answered { client, node, answer: Some(answer) });
}

/// A peer did not answer in time.
pub(crate) fn on_timeout(cx: &mut Context, link_id: LinkId, number: u64) {
    let Some(link) = cx.links.get_mut(link_id) else { return };
    let node = link.node;
    if let Some(client) = link.questions.remove(&number) {
        cx.signal(Signal::Answered { client, node, answer: None });
    }
}

/// A peer gave an answer that no honest node gives.
pub(crate) fn on_lie(cx: &mut Context, node: NodeId) {
    if let Some(link) = cx.links.of(node) {
        links::offend(cx, link);
    }
}
