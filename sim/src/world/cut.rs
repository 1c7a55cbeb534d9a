//! How connections end: in order, by a reset, in silence.

use forever_core::ids::LinkId;
use forever_core::input::{CloseReason, Input};
use forever_net_tokio::link::CLOSE_TIMEOUT;

use super::net::{Cargo, EndState, FRAME_BYTES, end_of, link_of};
use super::{Happening, World, micros};

impl World {
    /// A node closes a link: what was sent before still leaves, then the end; the node hears of it when the other end has
    /// answered, or after a while.
    pub(super) fn close(&mut self, link: LinkId) {
        let (number, side) = end_of(link);
        let Some(conn) = self.net.get_mut(number) else { return };
        if conn.ends[side].state != EndState::Open {
            return;
        }
        conn.ends[side].state = EndState::Closing;
        self.queue.push(self.now_us + micros(CLOSE_TIMEOUT), Happening::CloseTimeout { conn: number, side });
        self.pump(number, side);
    }

    pub(super) fn close_timeout(&mut self, number: usize, side: usize) {
        let Some(conn) = self.net.get(number) else { return };
        if conn.ends[side].state == EndState::Closing {
            let host = conn.ends[side].host;
            self.let_go(number, side);
            self.answer_end(number, side);
            self.input(host, Input::Closed { link: link_of(number, side), reason: CloseReason::Local });
            self.net.tidy(number);
        }
    }

    /// The process no longer has an end: what waited to be sent is gone, what is on the wire is not.
    pub(super) fn let_go(&mut self, number: usize, side: usize) {
        let Some(conn) = self.net.get_mut(number) else { return };
        conn.ends[side].state = EndState::Gone;
        conn.pipes[side].control.clear();
        conn.pipes[side].bulk.clear();
    }

    /// Ends the way out of an end that has been let go.
    pub(super) fn answer_end(&mut self, number: usize, side: usize) {
        let Some(conn) = self.net.get_mut(number) else { return };
        if !std::mem::replace(&mut conn.pipes[side].ended, true) {
            self.launch(number, side, Cargo::End, FRAME_BYTES);
        }
    }

    /// Tells the other end that there is no such connection here.
    pub(super) fn refuse(&mut self, number: usize, side: usize) {
        let Some(conn) = self.net.get_mut(number) else { return };
        if conn.ends[1 - side].state == EndState::Gone || std::mem::replace(&mut conn.pipes[side].ended, true) {
            return;
        }
        self.launch(number, side, Cargo::Reset, FRAME_BYTES);
    }

    /// One end gives a connection up.
    pub(super) fn break_conn(&mut self, number: usize, side: usize, why: &str) {
        let Some(conn) = self.net.get(number) else { return };
        let host = conn.ends[side].host;
        self.let_go(number, side);
        self.refuse(number, side);
        let reason = CloseReason::Io(why.into());
        self.input_later(0, host, Input::Closed { link: link_of(number, side), reason });
    }

    /// Resets a connection in the middle of a frame: both ends lose it, and all that is under way.
    pub(super) fn reset(&mut self, number: usize) {
        for side in 0..2 {
            self.lose(number, side, "connection reset by peer");
        }
        self.net.tidy(number);
    }

    /// An end loses its connection at once, with all that is under way to it and from it.
    pub(super) fn lose(&mut self, number: usize, side: usize, why: &str) {
        let Some(conn) = self.net.get_mut(number) else { return };
        let end = conn.ends[side];
        let dial = conn.dial;
        for pipe in &mut conn.pipes {
            pipe.wire.clear();
            pipe.wire_bytes = 0;
        }
        self.let_go(number, side);
        let link = link_of(number, side);
        let input = match end.state {
            EndState::Open => Input::Closed { link, reason: CloseReason::Io(why.into()) },
            EndState::Closing => Input::Closed { link, reason: CloseReason::Local },
            EndState::Making if side == 0 => {
                Input::DialFailed { dial, error: forever_core::input::DialError::Handshake(why.into()) }
            }
            EndState::Making | EndState::Gone => return,
        };
        self.input_later(0, end.host, input);
    }

    /// The other ends of a node's connections vanish, and the node does not learn of it.
    pub(super) fn half_open(&mut self, fault: usize, node: usize) {
        for number in self.net.conns_of(node) {
            let Some(conn) = self.net.get_mut(number) else { continue };
            let Some(side) = (0..2).find(|side| conn.ends[*side].host == node) else { continue };
            let both_stand = conn.ends.iter().all(|end| end.state == EndState::Open);
            if !both_stand || conn.ends[1 - side].host == node {
                continue;
            }
            self.lose(number, 1 - side, "connection timed out");
            if let Some(conn) = self.net.get_mut(number) {
                conn.pipes.iter_mut().for_each(|pipe| pipe.is_void = true);
            }
            self.bite(fault);
        }
    }

    /// A process is gone. With its machine alive, the other ends get a reset behind what is under way; without power they
    /// get nothing any more.
    pub(super) fn drop_conns(&mut self, host: usize, powerless: bool) {
        for number in self.net.conns_of(host) {
            for side in 0..2 {
                let Some(conn) = self.net.get_mut(number) else { continue };
                if conn.ends[side].host != host || conn.ends[side].state == EndState::Gone {
                    continue;
                }
                self.let_go(number, side);
                if powerless {
                    self.silence(number, side);
                } else {
                    self.refuse(number, side);
                }
            }
            self.net.tidy(number);
        }
    }

    /// What could not leave a machine without power never will.
    fn silence(&mut self, number: usize, side: usize) {
        let Some(conn) = self.net.get_mut(number) else { return };
        let pipe = &mut conn.pipes[side];
        if !pipe.armed {
            pipe.wire.clear();
            pipe.wire_bytes = 0;
        }
    }
}
