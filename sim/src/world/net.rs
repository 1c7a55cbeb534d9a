//! Connections, as TCP makes them: two pipes each, reliable, in order, with a limited buffer below the link's own queues.
//!
//! ```text
//! control ─┐
//! bulk ────┴─ room in the buffer? ──> wire (message by message, each with its time of arrival) ──> the other end
//! ```
//!
//! What happens to them is in `traffic.rs` (frames), `dial.rs` (how they are made) and `cut.rs` (how they break).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use forever_core::frame::Frame;
use forever_core::ids::{DialId, LinkId};

/// Bytes between two ends before a sender has to wait: what an operating system buffers on both sides.
pub(super) const BUFFER_BYTES: u64 = 256 << 10;

/// What a frame takes on the wire besides its payload, about.
pub(super) const FRAME_BYTES: u64 = 64;

/// The number of what cuts the nodes outside the core off at the end: no fault of the plan.
pub(super) const CUT_OFF: usize = usize::MAX;

/// A connection. The first end has dialled.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) dial: DialId,
    /// How many messages of its making have arrived.
    pub(super) leg: u8,
    pub(super) ends: [End; 2],
    /// The way out of each end.
    pub(super) pipes: [Pipe; 2],
    /// The fault that will reset it with the next frame that arrives.
    pub(super) doomed: Option<usize>,
}

/// An end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) host: usize,
    pub(super) state: EndState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndState {
    /// The node does not know of it yet.
    Making,
    /// The node may send.
    Open,
    /// The node has closed it: what was sent before still leaves, what comes is not heard.
    Closing,
    /// The process no longer has it.
    Gone,
}

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    pub(super) control: VecDeque<Outgoing>,
    pub(super) bulk: VecDeque<Outgoing>,
    pub(super) wire: VecDeque<Flight>,
    pub(super) wire_bytes: u64,
    /// When the last message will arrive: no later one overtakes it.
    pub(super) last_us: u64,
    /// Whether an arrival is in the queue.
    pub(super) armed: bool,
    /// Data bytes that have left and that the node has not been told of.
    pub(super) sent_bytes: u32,
    /// Whether the end of the stream is on the wire.
    pub(super) ended: bool,
    /// Nothing that is sent arrives, ever.
    pub(super) is_void: bool,
}

/// A frame that waits to be put on the wire.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) frame: Frame,
    /// Its header as it is encoded.
    pub(super) header: Bytes,
}

/// A message under way.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) at_us: u64,
    pub(super) bytes: u64,
    pub(super) cargo: Cargo,
}

#[derive(Debug)]
pub(super) enum Cargo {
    /// The last message of the handshake: the other end is connected now.
    Ready,
    /// A frame, with its number.
    Frame(u64, Frame),
    /// The end of the stream.
    End,
    /// The connection is reset.
    Reset,
}

/// All connections, and what stands in their way.
#[derive(Debug)]
pub(super) struct Net {
    conns: Vec<Option<Box<Conn>>>,
    pub(super) of_host: Vec<BTreeSet<usize>>,
    /// Messages so far on the way from one host to another: the n-th has a draw of its own.
    messages: Vec<u64>,
    /// By way, the faults that block it.
    pub(super) blocks: BTreeMap<(usize, usize), BTreeSet<usize>>,
    /// By fault, what is delayed and by how much.
    pub(super) delays: BTreeMap<usize, Delay>,
    /// By host and fault, bytes a second.
    pub(super) limits: BTreeMap<(usize, usize), u32>,
    /// By host, until when its limited links are busy: out of it and into it.
    pub(super) busy_us: Vec<[u64; 2]>,
    /// Messages of connections being made that cannot pass, by way.
    pub(super) stuck: BTreeMap<(usize, usize), Vec<usize>>,
}

/// What makes messages late.
#[derive(Clone, Copy, Debug)]
pub(super) enum Delay {
    /// Between all, by up to so much.
    UpTo { extra_us: u64 },
    /// Between two, by so much.
    Pair { a: usize, b: usize, extra_us: u64 },
}

impl Net {
    pub(super) fn new(hosts: usize) -> Self {
        Self {
            conns: Vec::new(),
            of_host: vec![BTreeSet::new(); hosts],
            messages: vec![0; hosts * hosts],
            blocks: BTreeMap::new(),
            delays: BTreeMap::new(),
            limits: BTreeMap::new(),
            busy_us: vec![[0; 2]; hosts],
            stuck: BTreeMap::new(),
        }
    }

    /// The number of the next message on a way.
    pub(super) fn message(&mut self, from: usize, to: usize) -> u64 {
        let count = &mut self.messages[from * self.of_host.len() + to];
        *count += 1;
        *count
    }

    /// A way's number among all ways.
    pub(super) fn way(&self, from: usize, to: usize) -> u64 {
        (from * self.of_host.len() + to) as u64
    }

    /// The faults in the way.
    pub(super) fn blocked_by(&self, from: usize, to: usize) -> Option<usize> {
        if self.blocks.is_empty() {
            return None;
        }
        self.blocks.get(&(from, to))?.first().copied()
    }

    pub(super) fn get(&self, conn: usize) -> Option<&Conn> {
        self.conns.get(conn)?.as_deref()
    }

    pub(super) fn get_mut(&mut self, conn: usize) -> Option<&mut Conn> {
        self.conns.get_mut(conn)?.as_deref_mut()
    }

    /// A connection that one host makes to another.
    pub(super) fn add(&mut self, from: usize, to: usize, dial: DialId) -> usize {
        let end = |host| End { host, state: EndState::Making };
        let conn =
            Conn { dial, leg: 0, ends: [end(from), end(to)], pipes: [Pipe::default(), Pipe::default()], doomed: None };
        self.conns.push(Some(Box::new(conn)));
        let number = self.conns.len() - 1;
        self.of_host[from].insert(number);
        self.of_host[to].insert(number);
        number
    }

    /// Forgets a connection that neither end has and in which nothing is under way.
    pub(super) fn tidy(&mut self, number: usize) {
        let Some(conn) = self.get(number) else { return };
        let is_over = conn.ends.iter().all(|end| end.state == EndState::Gone)
            && conn.pipes.iter().all(|pipe| pipe.wire.is_empty() || pipe.is_void);
        if is_over {
            let hosts = conn.ends.map(|end| end.host);
            self.conns[number] = None;
            for host in hosts {
                self.of_host[host].remove(&number);
            }
        }
    }

    /// The connections of a host.
    pub(super) fn conns_of(&self, host: usize) -> Vec<usize> {
        self.of_host[host].iter().copied().collect()
    }
}

impl Conn {
    /// Which end is at a host, for a way from it to another; both may be at the same host.
    pub(super) fn side_of_way(&self, from: usize, to: usize) -> Option<usize> {
        (0..2).find(|side| self.ends[*side].host == from && self.ends[1 - side].host == to)
    }
}

/// The link by which a node knows an end.
pub(super) fn link_of(conn: usize, side: usize) -> LinkId {
    LinkId((conn * 2 + side) as u64)
}

/// The connection and the end that a link is.
pub(super) fn end_of(link: LinkId) -> (usize, usize) {
    let number = usize::try_from(link.0).expect("links are numbered by this world");
    (number / 2, number % 2)
}
