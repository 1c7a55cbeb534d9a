//! Questions to peers: each gets an answer, a refusal or a timeout, once.

use crate::frame::Frame;
use crate::ids::{LinkId, NodeId};
use crate::node::context::Context;
use crate::node::links;
use crate::node::signal::{Answer, AskClient, Signal};
use crate::node::timers::Timer;

/// Questions that may be open on one link.
pub(crate) const QUESTIONS_MAX: usize = 256;

/// Asks a peer. `frame` is given the question's number. Answered by [`Signal::Answered`] in every case; an announcement
/// may take long to act upon and has no deadline but the link's own.
pub(crate) fn ask(cx: &mut Context, client: AskClient, node: NodeId, frame: impl FnOnce(u64) -> Frame) {
    let number = cx.number();
    let Some(link_id) = cx.links.of(node) else {
        return cx.signal(Signal::Answered { client, node, answer: None });
    };
    let Some(link) = cx.links.get_mut(link_id) else { return };
    if link.questions.len() >= QUESTIONS_MAX {
        return cx.signal(Signal::Answered { client, node, answer: None });
    }
    link.questions.insert(number, client);
    let frame = frame(number);
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
