//! Frames on their way: queues, the buffer below them, latency, bandwidth, arrival.

use forever_core::frame::Frame;
use forever_core::input::{CloseReason, Input};
use forever_net_tokio::link::CONTROL_WAITING_MAX;

use super::host::host_name;
use super::net::{BUFFER_BYTES, Cargo, Delay, EndState, FRAME_BYTES, Flight, Outgoing, end_of, link_of};
use super::{Happening, World, record};
use crate::draw::Site;
use crate::store::Event;
use crate::store::clear::Clear;
use crate::store::liar::Fate;

const LATENCY: Site = Site::new("world.latency");
const SPIKE: Site = Site::new("world.latency-spike");

/// How soon a node learns that data has left, in microseconds.
const SENT_US: u64 = 10;

impl World {
    /// A node sends a frame.
    pub(super) fn send(&mut self, host: usize, link: forever_core::ids::LinkId, mut frame: Frame) {
        let (number, side) = end_of(link);
        let Some(conn) = self.net.get(number) else { return };
        if conn.ends[side].state != EndState::Open {
            return;
        }
        let to = conn.ends[1 - side].host;
        if !self.hosts[host].liars.is_empty() {
            self.lie(host, &mut frame);
        }
        let header = if self.watches_frames {
            let Clear { header, bytes } = Clear::encode(&frame, &mut self.encoded);
            self.events.push(Event::Frame { from: host, to, link: link.0, bytes });
            header
        } else {
            Clear::encode_header(&frame, &mut self.encoded)
        };
        let Some(conn) = self.net.get_mut(number) else { return };
        let pipe = &mut conn.pipes[side];
        if matches!(frame, Frame::Data { .. }) {
            pipe.bulk.push_back(Outgoing { frame, header });
        } else {
            pipe.control.push_back(Outgoing { frame, header });
            if pipe.control.len() > CONTROL_WAITING_MAX {
                return self.break_conn(number, side, "the peer has stalled");
            }
        }
        self.pump(number, side);
    }

    fn lie(&mut self, host: usize, frame: &mut Frame) {
        let mut liars = std::mem::take(&mut self.hosts[host].liars);
        for (fault, liar) in &mut liars {
            if liar.meddle(frame) == Fate::Changed {
                self.bite(*fault);
            }
        }
        self.hosts[host].liars = liars;
    }

    /// Puts on the wire what waits and fits into the buffer, control first; then the end, if the node has closed.
    pub(super) fn pump(&mut self, number: usize, side: usize) {
        loop {
            let Some(conn) = self.net.get_mut(number) else { return };
            let state = conn.ends[side].state;
            let pipe = &mut conn.pipes[side];
            if !pipe.wire.is_empty() && pipe.wire_bytes >= BUFFER_BYTES {
                return;
            }
            let Some(Outgoing { frame, header }) = pipe.control.pop_front().or_else(|| pipe.bulk.pop_front()) else {
                if state == EndState::Closing && !pipe.ended {
                    pipe.ended = true;
                    self.launch(number, side, Cargo::End, FRAME_BYTES);
                }
                return;
            };
            let mut bytes = FRAME_BYTES;
            if let Frame::Data { payload, .. } = &frame {
                let len = u32::try_from(payload.len()).expect("a payload is shorter than a frame");
                bytes += u64::from(len);
                if pipe.sent_bytes == 0 {
                    self.queue.push(self.now_us + SENT_US, Happening::Sent { conn: number, side });
                }
                pipe.sent_bytes += len;
            }
            self.frames += 1;
            self.record_send(number, side, &frame, &header);
            self.launch(number, side, Cargo::Frame(self.frames, frame), bytes);
        }
    }

    fn record_send(&self, number: usize, side: usize, frame: &Frame, header: &[u8]) {
        let Some(conn) = self.net.get(number) else { return };
        let (from, to) = (conn.ends[side].host, conn.ends[1 - side].host);
        let record = record::Send { to, link: link_of(number, side), number: self.frames, frame };
        record.add_to(&self.trace, self.now_us, &self.hosts[from].name, header);
    }

    /// Puts a message on the wire.
    pub(super) fn launch(&mut self, number: usize, side: usize, cargo: Cargo, bytes: u64) {
        let Some(conn) = self.net.get(number) else { return };
        let (from, to) = (conn.ends[side].host, conn.ends[1 - side].host);
        let leaves_us = self.leaves(from, to, bytes);
        let latency_us = self.latency(from, to);
        let Some(conn) = self.net.get_mut(number) else { return };
        let pipe = &mut conn.pipes[side];
        let at_us = (leaves_us + latency_us).max(pipe.last_us);
        pipe.last_us = at_us;
        pipe.wire_bytes += bytes;
        pipe.wire.push_back(Flight { at_us, bytes, cargo });
        if !pipe.armed && !pipe.is_void {
            pipe.armed = true;
            self.queue.push(at_us, Happening::Arrive { conn: number, side });
        }
    }

    /// How long the next message on a way takes.
    pub(super) fn latency(&mut self, from: usize, to: usize) -> u64 {
        let nth = self.net.message(from, to);
        let way = self.net.way(from, to);
        let (first, last) = self.scenario.latency_us;
        let mut latency_us = self.draw(LATENCY, way, nth).between(first.into(), last.max(first).into());
        if !self.net.delays.is_empty() {
            for (fault, delay) in self.net.delays.clone() {
                let extra_us = match delay {
                    Delay::UpTo { extra_us } => self.draw(SPIKE, way, nth).below(extra_us + 1),
                    Delay::Pair { a, b, extra_us } if (a, b) == (from, to) || (b, a) == (from, to) => extra_us,
                    Delay::Pair { .. } => 0,
                };
                if extra_us > 0 {
                    latency_us += extra_us;
                    self.bite(fault);
                }
            }
        }
        latency_us
    }

    /// When so many bytes have left: at once, unless one of the hosts has a slow network.
    fn leaves(&mut self, from: usize, to: usize, bytes: u64) -> u64 {
        let mut leaves_us = self.now_us;
        if self.net.limits.is_empty() {
            return leaves_us;
        }
        for (host, direction) in [(from, 0), (to, 1)] {
            let limits = self.net.limits.range((host, 0)..=(host, usize::MAX));
            let Some((fault, bytes_per_s)) = limits.map(|((_, fault), limit)| (*fault, *limit)).min_by_key(|of| of.1)
            else {
                continue;
            };
            let busy_us = &mut self.net.busy_us[host][direction];
            leaves_us = leaves_us.max(*busy_us) + (bytes * 1_000_000).div_ceil(u64::from(bytes_per_s.max(1)));
            *busy_us = leaves_us;
            self.bite(fault);
        }
        leaves_us
    }

    /// Data has left a link.
    pub(super) fn sent(&mut self, number: usize, side: usize) {
        let Some(conn) = self.net.get_mut(number) else { return };
        let bytes = std::mem::take(&mut conn.pipes[side].sent_bytes);
        let end = conn.ends[side];
        if end.state == EndState::Open {
            self.input(end.host, Input::Sent { link: link_of(number, side), bytes });
        }
    }

    /// The next message on a wire is due at the other end.
    pub(super) fn arrive(&mut self, number: usize, side: usize) {
        let Some(conn) = self.net.get_mut(number) else { return };
        conn.pipes[side].armed = false;
        if conn.pipes[side].wire.is_empty() || conn.pipes[side].is_void {
            return;
        }
        let (from, to) = (conn.ends[side].host, conn.ends[1 - side].host);
        let doomed = conn.doomed;
        if let Some(fault) = self.net.blocked_by(from, to) {
            return self.bite(fault);
        }
        let receiver = &self.hosts[to];
        if receiver.is_dark {
            return;
        }
        if let Some(fault) = receiver.paused_by.first().copied() {
            return self.bite(fault);
        }
        if let Some(fault) = doomed {
            self.bite(fault);
            return self.reset(number);
        }
        let Some(conn) = self.net.get_mut(number) else { return };
        let pipe = &mut conn.pipes[side];
        let Some(flight) = pipe.wire.pop_front() else { return };
        let was_full = pipe.wire_bytes >= BUFFER_BYTES;
        pipe.wire_bytes -= flight.bytes;
        self.arm(number, side, 0);
        self.deliver(number, 1 - side, flight.cargo);
        if was_full {
            self.pump(number, side);
        }
        self.net.tidy(number);
    }

    /// Sees to it that the next message on a wire arrives, in so many microseconds at the earliest.
    pub(super) fn arm(&mut self, number: usize, side: usize, after_us: u64) {
        let now_us = self.now_us;
        let Some(conn) = self.net.get_mut(number) else { return };
        let pipe = &mut conn.pipes[side];
        if pipe.armed || pipe.is_void {
            return;
        }
        if let Some(first) = pipe.wire.front() {
            pipe.armed = true;
            let at_us = first.at_us.max(now_us + after_us);
            pipe.last_us = pipe.last_us.max(at_us);
            self.queue.push(at_us, Happening::Arrive { conn: number, side });
        }
    }

    fn deliver(&mut self, number: usize, side: usize, cargo: Cargo) {
        let Some(conn) = self.net.get_mut(number) else { return };
        let End { host, state } = conn.ends[side];
        let link = link_of(number, side);
        match (cargo, state) {
            (Cargo::Ready, EndState::Making) => {
                conn.ends[side].state = EndState::Open;
                let from = conn.ends[1 - side].host;
                let (node, remote) = (
                    self.hosts[from].id,
                    format!("{}:{}", host_name(from, self.hosts[from].moves), 32_768 + number % 16_384),
                );
                self.input(host, Input::Connected { link, node, dial: None, remote });
            }
            (Cargo::Frame(nth, frame), EndState::Open) => {
                self.hosts[host].liars.values_mut().for_each(|liar| liar.hear(&frame));
                self.frame(host, link, nth, frame);
            }
            (Cargo::Frame(..), EndState::Gone) => self.refuse(number, side),
            (Cargo::End, EndState::Open) => {
                self.let_go(number, side);
                self.answer_end(number, side);
                self.input(host, Input::Closed { link, reason: CloseReason::Eof });
            }
            (Cargo::Reset, EndState::Open) => {
                self.let_go(number, side);
                self.input(host, Input::Closed { link, reason: CloseReason::Io("connection reset by peer".into()) });
            }
            (Cargo::End | Cargo::Reset, EndState::Closing) => {
                self.let_go(number, side);
                self.answer_end(number, side);
                self.input(host, Input::Closed { link, reason: CloseReason::Local });
            }
            (Cargo::Frame(..), EndState::Making | EndState::Closing)
            | (Cargo::Ready, EndState::Open | EndState::Closing | EndState::Gone)
            | (Cargo::End | Cargo::Reset, EndState::Making | EndState::Gone) => {}
        }
    }
}

use super::net::End;
