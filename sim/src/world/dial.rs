//! How connections are made: the three legs of TCP's handshake are two here (its third carries the first of the channel's),
//! those of the channel three. The dialler is connected when the fourth leg arrives, and the fifth goes ahead of its frames.

use forever_core::ids::DialId;
use forever_core::input::{DialError, Input};

use super::host::number_of;
use super::net::{Cargo, EndState, FRAME_BYTES, link_of};
use super::{Happening, World};

/// How long a connection may take to be made and authenticated, as in the real node.
const HANDSHAKE_US: u64 = 5_000_000;

/// From which leg on the other end's machine has answered.
const ANSWERED: u8 = 2;

impl World {
    /// A node dials an address.
    pub(super) fn dial(&mut self, host: usize, dial: DialId, address: &str) {
        let Some((to, moves)) = number_of(address).filter(|(to, _)| *to < self.hosts.len()) else {
            let error = DialError::Connect(format!("cannot resolve {address}"));
            return self.input_later(0, host, Input::DialFailed { dial, error });
        };
        let conn = self.net.add(host, to, dial);
        self.queue.push(self.now_us + HANDSHAKE_US, Happening::DialTimeout { conn });
        if moves != self.hosts[to].moves {
            // Nobody is there any more.
            return;
        }
        let latency_us = self.latency(host, to);
        self.queue.push(self.now_us + latency_us, Happening::Leg { conn });
    }

    /// A message of a connection being made arrives.
    pub(super) fn leg(&mut self, number: usize) {
        let Some(conn) = self.net.get_mut(number) else { return };
        let side = usize::from(conn.leg % 2 == 0);
        let (from, to) = (conn.ends[1 - side].host, conn.ends[side].host);
        let leg = conn.leg;
        if conn.ends[0].state != EndState::Making {
            return;
        }
        if let Some(fault) = self.net.blocked_by(from, to) {
            self.net.stuck.entry((from, to)).or_default().push(number);
            return self.bite(fault);
        }
        let receiver = &self.hosts[to];
        if receiver.is_dark {
            return;
        }
        if receiver.process.is_none() {
            return self.refuse_dial(number);
        }
        if leg >= ANSWERED && receiver.is_paused() {
            self.hosts[to].backlog.push(Happening::Leg { conn: number });
            return;
        }
        let Some(conn) = self.net.get_mut(number) else { return };
        conn.leg += 1;
        if leg == 3 {
            return self.connected(number);
        }
        if leg == ANSWERED {
            self.queue.push(self.now_us + HANDSHAKE_US, Happening::AdmitTimeout { conn: number });
        }
        let latency_us = self.latency(to, from);
        self.queue.push(self.now_us + latency_us, Happening::Leg { conn: number });
    }

    fn connected(&mut self, number: usize) {
        let Some(conn) = self.net.get_mut(number) else { return };
        conn.ends[0].state = EndState::Open;
        let (host, to, dial) = (conn.ends[0].host, conn.ends[1].host, conn.dial);
        self.launch(number, 0, Cargo::Ready, FRAME_BYTES);
        let (node, remote) = (self.hosts[to].id, super::host::address(to, self.hosts[to].moves));
        self.input(host, Input::Connected { link: link_of(number, 0), node, dial: Some(dial), remote });
    }

    fn refuse_dial(&mut self, number: usize) {
        let Some(conn) = self.net.get(number) else { return };
        let (host, to, dial) = (conn.ends[0].host, conn.ends[1].host, conn.dial);
        let latency_us = self.latency(to, host);
        self.give_up(number);
        let error = DialError::Connect("connection refused".into());
        self.input_later(latency_us, host, Input::DialFailed { dial, error });
    }

    /// A dial has taken too long.
    pub(super) fn dial_timeout(&mut self, number: usize) {
        let Some(conn) = self.net.get(number) else { return };
        if conn.ends[0].state != EndState::Making {
            return;
        }
        let (host, dial, leg) = (conn.ends[0].host, conn.dial, conn.leg);
        self.give_up(number);
        let error = if leg < ANSWERED { DialError::Connect("no answer".into()) } else { DialError::Silence };
        self.input(host, Input::DialFailed { dial, error });
    }

    /// The other side of a handshake has waited too long for its end.
    pub(super) fn admit_timeout(&mut self, number: usize) {
        let Some(conn) = self.net.get(number) else { return };
        if conn.ends[1].state == EndState::Making {
            self.let_go(number, 1);
            self.answer_end(number, 1);
            self.net.tidy(number);
        }
    }

    fn give_up(&mut self, number: usize) {
        self.let_go(number, 0);
        self.let_go(number, 1);
        self.net.tidy(number);
    }
}
