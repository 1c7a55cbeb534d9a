//! What a simulation sees of a running node: all that goes into its core and comes out of it. Liars lie here.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use forever_core::bulk::Bulk;
use forever_core::command::{Command, CommandError};
use forever_core::frame::Frame;
use forever_core::ids::{LinkId, RequestId};
use forever_core::input::Input;
use forever_core::node::Node;
use forever_core::output::Output;
use forever_core::recording::Recorder;
use forever_core::time::Time;
use forever_net_tokio::observe::Observer;
use forever_net_tokio::simulation::Simulated;
use serde::Serialize;

use super::board::Board;
use crate::draw::Draws;
use crate::store::clear::Clear;
use crate::store::judge::{is_of_interest, note_least};
use crate::store::liar::{Fate, Liar};
use crate::store::{Event, Fault, REQUESTS};
use crate::trace::Tracer;

/// A recorder that outlives the node it records.
pub(crate) type SharedRecorder = Arc<Mutex<Recorder>>;

/// How a node is, for those who look from outside. Clones are of the same node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Status(Arc<Mutex<Shown>>);

#[derive(Debug, Default)]
pub(crate) struct Shown {
    pub(crate) is_up: bool,
    /// Links that stand, and to which node.
    pub(crate) links: BTreeMap<LinkId, usize>,
    /// The fullest that each of its queues was since oracles looked last.
    pub(crate) gauges: BTreeMap<&'static str, (u64, u64)>,
    /// How many requests were under way when these were read last.
    pub(crate) requests: u64,
    /// The least that it has had under way since nothing but heartbeats has happened, once it is calm.
    pub(crate) left_over: BTreeMap<&'static str, u64>,
}

impl Status {
    pub(crate) fn shown(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watches a node from its start to its end.
pub(crate) struct Watch {
    pub(crate) node: usize,
    /// Which of the node's starts this is.
    pub(crate) start: u64,
    pub(crate) board: Board,
    pub(crate) draws: Draws,
    pub(crate) tracer: Tracer,
    pub(crate) status: Status,
    pub(crate) simulated: Simulated,
    pub(crate) recorder: Option<SharedRecorder>,
    /// By the faults that make the node lie.
    pub(crate) liars: BTreeMap<usize, Liar>,
    /// When the gauges were read last.
    pub(crate) gauged_at: Option<Duration>,
    /// When the cluster had been busy last, as far as was seen when it was looked at last.
    pub(crate) busy_at: Option<Duration>,
}

impl Watch {
    fn record(&self, record: impl FnOnce(&mut Recorder)) {
        if let Some(recorder) = &self.recorder {
            record(&mut recorder.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Makes the liars that the faults at work want, and forgets the others.
    fn update_liars(&mut self) {
        let lies = self.board.pick(|fault| {
            if let Fault::Liar { node, lie } = fault { (*node == self.node).then_some(*lie) } else { None }
        });
        self.liars.retain(|id, _| lies.iter().any(|(lie, _)| lie == id));
        for (id, lie) in lies {
            self.liars.entry(id).or_insert_with(|| Liar::new(lie, self.draws, id as u64));
        }
    }

    fn on_send(&mut self, link: LinkId, frame: &mut Frame) {
        for (id, liar) in &mut self.liars {
            if liar.meddle(frame) == Fate::Changed {
                self.board.bite(*id);
            }
        }
        let to = self.status.shown().links.get(&link).copied();
        if let Some(to) = to {
            let link = self.number_of(link);
            self.board.emit(Event::Frame {
                from: self.node,
                to,
                link,
                bytes: Clear::encode(frame, &mut Vec::new()).bytes,
            });
        }
    }

    /// The number of a link among all links of all processes of the node.
    fn number_of(&self, link: LinkId) -> u64 {
        self.start << 32 | link.0
    }

    fn on_heard(&self, link: LinkId, frame: &Frame) {
        let from = self.status.shown().links.get(&link).copied();
        if let Some(from) = from {
            let link = self.number_of(link);
            self.board.emit(Event::Heard {
                node: self.node,
                from,
                link,
                bytes: Clear::encode(frame, &mut Vec::new()).bytes,
            });
        }
    }
}

/// Whether a frame is one that a cluster at rest sends as well.
fn is_idle(frame: &Frame) -> bool {
    matches!(
        frame,
        Frame::Ping { .. }
            | Frame::Pong { .. }
            | Frame::Hello(_)
            | Frame::Swim { .. }
            | Frame::Sync { .. }
            | Frame::Synced { .. }
    )
}

impl Observer for Watch {
    fn input(&mut self, now: Time, input: &Input) {
        self.record(|recorder| recorder.input(now, input));
        let payload =
            if let Input::Frame { frame: Frame::Data { payload, .. }, .. } = input { Some(payload) } else { None };
        self.tracer.value("input", &Traced { now, drawn: self.board.drawn(), what: input, payload });
        self.update_liars();
        match input {
            Input::Connected { link, node, .. } => {
                self.board.stir();
                if let Some(node) = self.board.index_of(*node) {
                    self.status.shown().links.insert(*link, node);
                }
            }
            Input::Closed { link, .. } => {
                self.board.stir();
                self.status.shown().links.remove(link);
            }
            Input::Frame { link, frame } => {
                self.liars.values_mut().for_each(|liar| liar.hear(frame));
                self.on_heard(*link, frame);
                if !is_idle(frame) {
                    self.board.stir();
                }
            }
            Input::DiskDone { .. } | Input::WorkDone { .. } => self.board.stir(),
            Input::DialFailed { .. } | Input::Sent { .. } => {}
        }
    }

    fn command(&mut self, now: Time, command: &Command) {
        self.record(|recorder| recorder.command(now, command));
        self.tracer.value("command", &Traced { now, drawn: self.board.drawn(), what: command, payload: None });
        self.update_liars();
    }

    fn answer(&mut self, answer: &Result<RequestId, CommandError>) {
        self.record(|recorder| recorder.answer(answer));
        self.tracer.value("answer", answer);
    }

    fn timeout(&mut self, now: Time) {
        self.record(|recorder| recorder.timeout(now));
        self.tracer.value("timeout", &(now, self.board.drawn()));
        self.update_liars();
    }

    fn output(&mut self, output: &mut Output) {
        self.record(|recorder| recorder.output(output));
        if let Output::Send { link, frame } = output {
            self.on_send(*link, frame);
        }
        let payload =
            if let Output::Send { frame: Frame::Data { payload, .. }, .. } = output { Some(payload) } else { None };
        let payload = payload.map(|payload| &*payload);
        self.tracer.value("output", &TracedOutput { payload: payload.cloned(), what: output });
    }

    fn idle(&mut self, node: &mut Node) {
        self.record(Recorder::idle);
        if self.board.is_calm() {
            node.calm();
        }
        for probe in node.take_probes().into_iter().chain(self.simulated.take_probes()) {
            self.board.reach(probe);
        }
        if self.board.is_calm() {
            let busy_at = self.board.busy_at();
            let is_quiet = self.busy_at == Some(busy_at);
            self.busy_at = Some(busy_at);
            let least = &mut self.status.shown().left_over;
            if !is_quiet {
                least.clear();
            }
            if is_of_interest(least) {
                note_least(least, true, node.under_way());
            }
        }
        let now = turmoil::sim_elapsed();
        if self.gauged_at != now {
            self.gauged_at = now;
            let mut shown = self.status.shown();
            for (name, used, limit) in node.gauges() {
                if name == REQUESTS {
                    shown.requests = used;
                }
                let (most, of) = shown.gauges.entry(name).or_insert((used, limit));
                // A limit may change with what it is for, so the fullest is not the one of the largest number.
                if u128::from(used) * u128::from(*of) > u128::from(*most) * u128::from(limit) {
                    (*most, *of) = (used, limit);
                }
            }
        }
    }
}

/// What a node is told, with the payload that the encoding of a frame lacks.
#[derive(Serialize)]
struct Traced<'a, T> {
    now: Time,
    /// All that was drawn so far, folded.
    drawn: u64,
    what: &'a T,
    payload: Option<&'a Bulk>,
}

impl<T: Debug> Debug for Traced<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.what.fmt(f)
    }
}

/// What a node does, likewise.
#[derive(Serialize)]
struct TracedOutput<'a> {
    what: &'a Output,
    payload: Option<Bulk>,
}

impl Debug for TracedOutput<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.what.fmt(f)
    }
}
