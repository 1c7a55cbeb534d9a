//! The wire between nodes, as faults have it: what becomes of each piece of ciphertext that a node writes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;
use std::time::Duration;

use turmoil::net::TcpStream;

use super::board::Board;
use crate::draw::Site;
use crate::store::Fault;

const SHORT: Site = Site::new("turmoil.wire.short");
const DROP: Site = Site::new("turmoil.wire.drop");
const TWICE: Site = Site::new("turmoil.wire.twice");
const LATE: Site = Site::new("turmoil.wire.late");
const RESET: Site = Site::new("turmoil.wire.reset");
const CUT: Site = Site::new("turmoil.wire.cut");

/// One read or write in so many is cut short, as a socket may do at any time.
const SHORT_ONE_IN: u64 = 16;

/// Of a thousand writes that something befalls, so many it befalls whole.
const WHOLE_PER_MILLE: u64 = 400;

/// The most bytes that pass at once where the bandwidth is limited.
const LIMITED_LEN_MAX: usize = 4096;

/// One end of a connection, as seen by the wire.
#[derive(Debug)]
pub(crate) struct End {
    /// Whose it is.
    pub(crate) local: usize,
    /// Who is at the other end; nothing for one that is no node.
    pub(crate) remote: Option<usize>,
    /// Both sockets, the lower one first: the same for both ends.
    pair: (SocketAddr, SocketAddr),
    vanished: AtomicBool,
    wakers: Mutex<Vec<Waker>>,
}

impl End {
    pub(crate) fn has_vanished(&self) -> bool {
        self.vanished.load(Ordering::Relaxed)
    }

    /// Remembers a task that is to see when this end vanishes.
    pub(crate) fn watch(&self, waker: &Waker) {
        let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        if !wakers.iter().any(|known| known.will_wake(waker)) {
            // A reader and a writer, and their predecessors in the handshake.
            wakers.push(waker.clone());
        }
    }

    fn vanish(&self) {
        self.vanished.store(true, Ordering::Relaxed);
        let wakers = std::mem::take(&mut *self.wakers.lock().unwrap_or_else(PoisonError::into_inner));
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// What becomes of bytes that a node writes: of so many of the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// They pass.
    Pass(usize),
    /// They must wait until this time.
    Wait(Duration),
    /// They get lost.
    Drop(usize),
    /// They arrive twice.
    Twice(usize),
    /// They are overtaken by those that are written next.
    Late(usize),
    /// They arrive, and the connection is reset.
    Reset(usize),
}

/// All connections of a simulation. Clones are the same wire.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    board: Board,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    ends: Vec<Weak<End>>,
    /// Connections that were reset.
    reset: BTreeSet<(SocketAddr, SocketAddr)>,
    /// When a connection is to be reset, by fault.
    reset_at: BTreeMap<(usize, SocketAddr, SocketAddr), Duration>,
    /// When a node's links are free again, by node and whether outwards.
    free_at: BTreeMap<(usize, bool), Duration>,
    /// Ends that have vanished: kept, so that the other ends do not learn of it.
    grave: Vec<TcpStream>,
    /// Pairs of nodes that clog now, by fault.
    clogged: BTreeMap<usize, BTreeSet<(usize, usize)>>,
}

impl Wire {
    pub(crate) fn new(board: Board) -> Self {
        Self { board, state: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new end of a connection.
    pub(crate) fn end(&self, local: usize, remote: Option<usize>, here: SocketAddr, there: SocketAddr) -> Arc<End> {
        let pair = (here.min(there), here.max(there));
        let end = Arc::new(End { local, remote, pair, vanished: AtomicBool::new(false), wakers: Mutex::default() });
        let mut state = self.state();
        state.ends.retain(|end| end.strong_count() > 0);
        state.ends.push(Arc::downgrade(&end));
        // A pair of sockets may be used again.
        state.reset.remove(&pair);
        end
    }

    pub(crate) fn bury(&self, stream: TcpStream) {
        self.state().grave.push(stream);
    }

    /// Lets the other ends of a node's connections vanish; whether there were any.
    pub(crate) fn vanish_others(&self, node: usize) -> bool {
        let ends: Vec<Arc<End>> = self.state().ends.iter().filter_map(Weak::upgrade).collect();
        let others = ends.iter().filter(|end| end.remote == Some(node) && end.local != node && !end.has_vanished());
        others.map(|end| end.vanish()).count() > 0
    }

    pub(crate) fn is_reset(&self, end: &End) -> bool {
        self.state().reset.contains(&end.pair)
    }

    /// Lets a pair of nodes clog, or clear.
    pub(crate) fn clog(&self, fault: usize, pair: (usize, usize), clogged: bool) {
        let mut state = self.state();
        let pairs = state.clogged.entry(fault).or_default();
        if clogged {
            pairs.insert(pair);
        } else {
            pairs.remove(&pair);
        }
    }

    /// All pairs that clog now, each with its fault.
    pub(crate) fn clogged(&self) -> Vec<(usize, (usize, usize))> {
        let state = self.state();
        state.clogged.iter().flat_map(|(fault, pairs)| pairs.iter().map(|pair| (*fault, *pair))).collect()
    }

    /// A node tries to reach another: faults in the way have bitten.
    pub(crate) fn note_traffic(&self, from: usize, to: usize) {
        for (fault, ()) in self.board.pick(|fault| hinders(fault, from, to).then_some(())) {
            self.board.bite(fault);
        }
        for (fault, (a, b)) in self.clogged() {
            if joins(a, b, from, to) {
                self.board.bite(fault);
            }
        }
    }

    /// How many bytes a read may return at most: sometimes fewer than there are.
    pub(crate) fn read_len_max(&self, end: &End) -> Option<usize> {
        let mut draw = self.board.draw(SHORT, (end.local as u64) << 1);
        (draw.below(SHORT_ONE_IN) == 0).then(|| draw.index(1024) + 1)
    }

    /// What becomes of `len` bytes, at least one, that an end writes now.
    pub(crate) fn on_write(&self, end: &End, len: usize, now: Duration) -> Verdict {
        let Some(to) = end.remote else { return Verdict::Pass(len) };
        let from = end.local;
        self.note_traffic(from, to);
        if let Some(verdict) = self.limited(from, to, len, now) {
            return verdict;
        }
        if self.is_reset_due(end, to, now) {
            self.state().reset.insert(end.pair);
            return Verdict::Reset(self.part(from, len));
        }
        let strikes = |site, rate: fn(&Fault) -> Option<(usize, usize, u32)>| {
            self.board.strikes(site, |fault| {
                rate(fault).filter(|(a, b, _)| joins(*a, *b, from, to)).map(|(_, _, per_mille)| per_mille)
            })
        };
        let part = || self.part(from, len);
        if strikes(DROP, |fault| {
            if let Fault::DropBytes { a, b, per_mille } = fault { Some((*a, *b, *per_mille)) } else { None }
        }) {
            return Verdict::Drop(part());
        }
        if strikes(TWICE, |fault| {
            if let Fault::DuplicateBytes { a, b, per_mille } = fault { Some((*a, *b, *per_mille)) } else { None }
        }) {
            return Verdict::Twice(part());
        }
        if strikes(LATE, |fault| {
            if let Fault::ReorderBytes { a, b, per_mille } = fault { Some((*a, *b, *per_mille)) } else { None }
        }) {
            return Verdict::Late(part());
        }
        let mut draw = self.board.draw(SHORT, (from as u64) << 1 | 1);
        Verdict::Pass(if draw.below(SHORT_ONE_IN) == 0 { draw.index(len) + 1 } else { len })
    }

    /// How many of the bytes of a write something befalls: all of them, as of a segment, or some.
    fn part(&self, from: usize, len: usize) -> usize {
        let mut draw = self.board.draw(CUT, from as u64);
        if draw.per_mille(WHOLE_PER_MILLE) { len } else { draw.index(len) + 1 }
    }

    /// What limits of bandwidth make of a write.
    fn limited(&self, from: usize, to: usize, len: usize, now: Duration) -> Option<Verdict> {
        let limits = self.board.pick(|fault| {
            if let Fault::Bandwidth { node, bytes_per_s } = fault {
                (*node == from || *node == to).then_some((*node, *bytes_per_s))
            } else {
                None
            }
        });
        let len = len.min(LIMITED_LEN_MAX);
        let mut state = self.state();
        let ways = limits.iter().map(|(fault, (node, rate))| (*fault, (*node, *node == from), *rate));
        let free_at = ways.clone().filter_map(|(_, way, _)| state.free_at.get(&way)).max().copied();
        if let Some(free_at) = free_at.filter(|free_at| *free_at > now) {
            drop(state);
            limits.iter().for_each(|(fault, _)| self.board.bite(*fault));
            return Some(Verdict::Wait(free_at));
        }
        for (_, way, rate) in ways {
            let takes = Duration::from_micros(len as u64 * 1_000_000 / u64::from(rate.max(1)));
            state.free_at.insert(way, now + takes);
        }
        (!limits.is_empty()).then_some(Verdict::Pass(len))
    }

    fn is_reset_due(&self, end: &End, to: usize, now: Duration) -> bool {
        let resets = self.board.pick(|fault| {
            if let Fault::Resets { a, b, every_ms } = fault {
                joins(*a, *b, end.local, to).then_some(*every_ms)
            } else {
                None
            }
        });
        resets.into_iter().any(|(fault, every_ms)| {
            let key = (fault, end.pair.0, end.pair.1);
            let due = self.state().reset_at.get(&key).copied();
            let due = due.unwrap_or_else(|| {
                let wait = self.board.draw(RESET, fault as u64).below(2 * u64::from(every_ms.max(1)));
                let due = now + Duration::from_millis(wait);
                self.state().reset_at.insert(key, due);
                due
            });
            if now >= due {
                self.state().reset_at.remove(&key);
                self.board.bite(fault);
            }
            now >= due
        })
    }
}

/// Whether `x` and `y` are `a` and `b`, either way.
pub(crate) fn joins(a: usize, b: usize, x: usize, y: usize) -> bool {
    (a, b) == (x, y) || (a, b) == (y, x)
}

/// Whether a fault keeps what `from` sends from `to`, or delays it, by what turmoil's own network does.
fn hinders(fault: &Fault, from: usize, to: usize) -> bool {
    if let Fault::Partition { these, those } = fault {
        these.contains(&from) && those.contains(&to) || those.contains(&from) && these.contains(&to)
    } else if let Fault::OneWay { from: a, to: b } = fault {
        (*a, *b) == (from, to)
    } else if let Fault::Hold { a, b } | Fault::SlowPair { a, b, .. } = fault {
        joins(*a, *b, from, to)
    } else {
        matches!(fault, Fault::LatencySpike { .. })
    }
}
