//! Addresses to dial: configured ones for ever, remembered ones until their node is connected.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use core::time::Duration;

use crate::event::PeerInfo;
use crate::ids::{DialId, LinkId, NodeId};
use crate::input::DialError;
use crate::node::context::Context;
use crate::node::gauges::Gauge;
use crate::node::links::Links;
use crate::node::members::Members;
use crate::node::signal::Signal;
use crate::node::timers::Timer;
use crate::output::Output;
use crate::{buggify, planted, sometimes};

/// The most addresses known at once; further ones are not remembered.
const ADDRESSES_MAX: usize = 1_024;

/// How long the first dials may take before requests no longer wait for them.
const SETTLE: Duration = Duration::from_secs(6);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waits for its timer, or for the link to its node to go.
    Waiting,
    Dialling(DialId),
    Up(LinkId),
    /// It leads to this node itself.
    Myself,
}

#[derive(Debug)]
struct Address {
    node: Option<NodeId>,
    configured: bool,
    state: State,
    failures: u32,
    error: Option<String>,
}

/// All addresses.
#[derive(Debug)]
pub(crate) struct Dials {
    addresses: BTreeMap<String, Address>,
    settled: bool,
}

impl Dials {
    pub(crate) fn new(bootstrap: &[String]) -> Self {
        let configured = |text: &String| {
            let address = Address { node: None, configured: true, state: State::Waiting, failures: 0, error: None };
            (text.clone(), address)
        };
        Self { addresses: bootstrap.iter().map(configured).collect(), settled: false }
    }

    /// Configured addresses that have never led to a member: nobody has met those yet. (A node becomes a member by its
    /// hello; one that only connected and hung up has not agreed to anything.)
    pub(crate) fn strangers(&self, members: &Members) -> u32 {
        let met = |address: &Address| address.node.is_some_and(|node| members.contains(node));
        let unmet = |address: &&Address| address.configured && !met(address) && address.state != State::Myself;
        u32::try_from(self.addresses.values().filter(unmet).count()).unwrap_or(u32::MAX)
    }

    /// Whether the first dial of every address has come to something, or they had time enough.
    pub(crate) fn settled(&self) -> bool {
        self.settled
    }

    /// Why addresses cannot be reached, for people.
    pub(crate) fn troubles(&self) -> String {
        let mut text = String::new();
        for (name, address) in &self.addresses {
            if let (Some(error), State::Waiting | State::Dialling(_)) = (&address.error, address.state) {
                if !text.is_empty() {
                    text.push_str("; ");
                }
                text.push_str(&alloc::format!("{name}: {error}"));
            }
        }
        text
    }

    /// Addresses without a link, for people.
    pub(crate) fn down(&self) -> impl Iterator<Item = PeerInfo> {
        self.addresses.iter().filter_map(|(name, address)| match address.state {
            State::Waiting | State::Dialling(_) => Some(PeerInfo {
                node: address.node,
                address: name.clone(),
                connected: false,
                sent_bytes: 0,
                received_bytes: 0,
                error: address.error.clone(),
            }),
            State::Up(_) | State::Myself => None,
        })
    }

    /// A dial, or a peer's own, has connected.
    pub(crate) fn on_connected(&mut self, dial: Option<DialId>, link: LinkId, node: NodeId, myself: bool) {
        let Some(dial) = dial else { return };
        let found = self.addresses.values_mut().find(|address| address.state == State::Dialling(dial));
        if let Some(address) = found {
            address.state = if myself { State::Myself } else { State::Up(link) };
            address.node = (!myself).then_some(node);
        }
    }

    /// The peer at the other end has said hello: only now has the dial been a success.
    pub(crate) fn on_hello(&mut self, link: LinkId) {
        if let Some(address) = self.addresses.values_mut().find(|address| address.state == State::Up(link)) {
            address.failures = 0;
            address.error = None;
        }
    }

    fn undecided(&self, links: &Links) -> bool {
        self.addresses.values().any(|address| match address.state {
            State::Waiting | State::Dialling(_) => {
                address.failures == 0 && address.node.is_none_or(|node| links.of(node).is_none())
            }
            State::Up(_) | State::Myself => false,
        })
    }
}

/// How many addresses are known.
pub(crate) fn addresses(cx: &Context) -> usize {
    cx.dials.addresses.len()
}

/// What of its limits is used.
pub(crate) fn gauges(cx: &Context) -> [Gauge; 1] {
    [("addresses", addresses(cx) as u64, ADDRESSES_MAX.max(cx.config.bootstrap.len()) as u64)]
}

/// Starts to dial all addresses known so far.
pub(crate) fn start(cx: &mut Context) {
    let names: alloc::vec::Vec<String> = cx.dials.addresses.keys().cloned().collect();
    for name in names {
        dial(cx, name);
    }
    let settle = cx.now.mono + SETTLE;
    cx.timers.set(Timer::Settle, settle);
    check_settled(cx);
}

/// Notes that the first dials have come to something.
pub(crate) fn check_settled(cx: &mut Context) {
    let greeting = cx.links.iter().any(|(_, link)| !link.ready);
    if !cx.dials.settled && !cx.dials.undecided(&cx.links) && !greeting {
        settle(cx);
    }
}

/// The first dials had time enough.
pub(crate) fn settle(cx: &mut Context) {
    cx.dials.settled = true;
    cx.timers.cancel(&Timer::Settle);
    cx.signal(Signal::Settled);
}

/// An address of a known node.
pub(crate) fn add(cx: &mut Context, name: &str, node: NodeId) {
    if let Some(address) = cx.dials.addresses.get_mut(name) {
        // What is configured is dialled whoever claims it: only the handshake tells who is there.
        if !address.configured {
            address.node = Some(node);
        }
        return;
    }
    if cx.dials.addresses.len() >= ADDRESSES_MAX {
        return;
    }
    let address = Address { node: Some(node), configured: false, state: State::Waiting, failures: 0, error: None };
    cx.dials.addresses.insert(name.to_string(), address);
}

/// The timer of an address, or its start: dial it unless its node is connected.
pub(crate) fn dial(cx: &mut Context, name: String) {
    let Some(address) = cx.dials.addresses.get(&name) else { return };
    let connected = address.node.is_some_and(|node| cx.links.of(node).is_some());
    if connected || address.state != State::Waiting {
        return;
    }
    let dial = DialId(cx.number());
    if let Some(address) = cx.dials.addresses.get_mut(&name) {
        address.state = State::Dialling(dial);
    }
    cx.outputs.push_back(Output::Connect { dial, address: name });
}

/// A dial came to nothing.
pub(crate) fn on_failed(cx: &mut Context, dial: DialId, error: &DialError) {
    let found = cx.dials.addresses.iter_mut().find(|(_, address)| address.state == State::Dialling(dial));
    let Some((name, address)) = found else { return };
    address.state = State::Waiting;
    address.failures = address.failures.saturating_add(1);
    address.error = Some(error.to_string());
    let (name, failures) = (name.clone(), address.failures);
    if failures >= 4 {
        sometimes!(cx.simulation, "dials.backed-off");
    }
    if failures < 4 || !planted!(cx.simulation, RedialGivesUp) {
        wait(cx, name, failures);
    }
    check_settled(cx);
}

/// A link is gone: dial its address again after a while, and any other address of its node.
pub(crate) fn on_link_gone(cx: &mut Context, link: LinkId, reason: &str) {
    let found = cx.dials.addresses.iter_mut().find(|(_, address)| address.state == State::Up(link));
    if let Some((name, address)) = found {
        address.state = State::Waiting;
        address.failures = address.failures.saturating_add(1);
        address.error = Some(reason.to_string());
        let (name, failures) = (name.clone(), address.failures);
        wait(cx, name, failures);
    }
}

/// A node can no longer be talked to: dial all addresses that lead to it.
pub(crate) fn on_peer_gone(cx: &mut Context, node: NodeId) {
    let idle = |(_, address): &(&String, &Address)| address.node == Some(node) && address.state == State::Waiting;
    let names: alloc::vec::Vec<String> = cx.dials.addresses.iter().filter(idle).map(|(name, _)| name.clone()).collect();
    for name in names {
        wait(cx, name, 1);
    }
}

/// Exponential back-off with jitter.
fn wait(cx: &mut Context, name: String, failures: u32) {
    let (first, longest) = cx.config.redial;
    let factor = 1 << failures.saturating_sub(1).min(16);
    let pause = cx.jitter(first.saturating_mul(factor).min(longest));
    let at_once = buggify!(cx.simulation, "dials.redial-at-once");
    let due = cx.now.mono + if at_once { Duration::from_millis(1) } else { pause };
    cx.timers.set(Timer::Dial(name), due);
}
