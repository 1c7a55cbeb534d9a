//! The ways between hosts: turmoil's own network, set as the faults at work want it.

use std::collections::BTreeMap;
use std::time::Duration;

use turmoil::Sim;

use super::net::name_of;
use super::wire::joins;
use crate::store::Fault;

/// How it is between two hosts, `a` the one with the lower number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Way {
    /// Nothing passes from `a` to `b`.
    is_cut_out: bool,
    /// Nothing passes from `b` to `a`.
    is_cut_back: bool,
    /// Everything is held back.
    is_held: bool,
    /// What messages take longer, at least and at most.
    extra: (Duration, Duration),
}

/// The ways between all hosts.
#[derive(Debug)]
pub(crate) struct Ways {
    nodes: usize,
    latency: (Duration, Duration),
    set: BTreeMap<(usize, usize), Way>,
}

/// What the ways depend on besides the faults at work.
pub(crate) struct Also<'a> {
    /// Pairs that clog now.
    pub(crate) clogged: Vec<(usize, (usize, usize))>,
    /// Whether nothing passes between two nodes for another reason.
    pub(crate) is_cut: &'a dyn Fn(usize, usize) -> bool,
}

impl Ways {
    pub(crate) fn new(nodes: usize, latency: (Duration, Duration)) -> Self {
        Self { nodes, latency, set: BTreeMap::new() }
    }

    /// Sets all ways as they are to be; those that change nothing are left alone, with what is under way there.
    pub(crate) fn update(&mut self, sim: &Sim<'static>, faults: &[(usize, Fault)], also: &Also<'_>) {
        for a in 0..self.nodes {
            for b in a + 1..self.nodes {
                let new = wanted(faults, also, a, b);
                let old = self.set.insert((a, b), new).unwrap_or_default();
                if old.extra != new.extra {
                    self.delay(sim, a, b, new.extra);
                }
                if (Way { extra: new.extra, ..old }) != new {
                    set(sim, a, b, old, new);
                }
            }
        }
    }

    fn delay(&self, sim: &Sim<'static>, a: usize, b: usize, (least, most): (Duration, Duration)) {
        let (a, b) = (name_of(a), name_of(b));
        // The first sets both bounds.
        sim.set_link_latency(a.as_str(), b.as_str(), self.latency.0 + least);
        sim.set_link_max_message_latency(a.as_str(), b.as_str(), self.latency.1 + most);
    }
}

fn set(sim: &Sim<'static>, a: usize, b: usize, old: Way, new: Way) {
    let (a, b) = (name_of(a), name_of(b));
    let (a, b) = (a.as_str(), b.as_str());
    if old.is_held && !new.is_held {
        sim.release(a, b);
    }
    if old.is_cut_out || old.is_cut_back {
        sim.repair(a, b);
    }
    if new.is_held && !(new.is_cut_out && new.is_cut_back) {
        // What was held stays held.
        sim.hold(a, b);
    }
    if new.is_cut_out && new.is_cut_back {
        sim.partition(a, b);
    } else if new.is_cut_out {
        sim.partition_oneway(a, b);
    } else if new.is_cut_back {
        sim.partition_oneway(b, a);
    }
}

fn wanted(faults: &[(usize, Fault)], also: &Also<'_>, a: usize, b: usize) -> Way {
    let mut way = Way::default();
    if (also.is_cut)(a, b) {
        (way.is_cut_out, way.is_cut_back) = (true, true);
    }
    way.is_held = also.clogged.iter().any(|(_, (x, y))| joins(*x, *y, a, b));
    for (_, fault) in faults {
        if let Fault::Partition { these, those } = fault {
            let cut = these.contains(&a) && those.contains(&b) || these.contains(&b) && those.contains(&a);
            way.is_cut_out |= cut;
            way.is_cut_back |= cut;
        } else if let Fault::OneWay { from, to } = fault {
            way.is_cut_out |= (*from, *to) == (a, b);
            way.is_cut_back |= (*from, *to) == (b, a);
        } else if let Fault::Hold { a: x, b: y } = fault {
            way.is_held |= joins(*x, *y, a, b);
        } else if let Fault::LatencySpike { extra_ms } = fault {
            way.extra.1 += Duration::from_millis(u64::from(*extra_ms));
        } else if let Fault::SlowPair { a: x, b: y, extra_ms } = fault
            && joins(*x, *y, a, b)
        {
            let extra = Duration::from_millis(u64::from(*extra_ms));
            way.extra = (way.extra.0 + extra, way.extra.1 + extra);
        }
    }
    way
}
