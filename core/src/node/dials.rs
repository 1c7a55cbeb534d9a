//! Addresses to dial: configured ones, and those of members. Those of neighbours (`neighbours`) are dialled for ever, ever more rarely,
//! unless the node is connected; so are configured ones as long as it is not known who is there. Other members are dialled when something
//! is to be asked of them; and those that are not known to live, by turns, in case they have come back.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use crate::ids::{DialId, LinkId, NodeId};
use crate::input::DialError;
use crate::member::MEMBERS_MAX;
use crate::node::context::Context;
use crate::node::gauges::Gauge;
use crate::node::members::Members;
use crate::node::neighbours;
use crate::node::signal::Signal;
use crate::node::swim::Liveness;
use crate::node::timers::Timer;
use crate::output::Output;
use crate::time::Monotonic;
use crate::{buggify, planted, sometimes};

/// The most addresses known at once: two of each member. Further ones are not dialled.
const ADDRESSES_MAX: usize = 2 * MEMBERS_MAX;

/// How often an address at which a node was found is dialled in vain before it is given up.
const FOUND_DIALS: u32 = 4;

/// A neighbour that is to dial this node is dialled as late as after so many dials in vain.
const ITS_TURN: u32 = 5;

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
    /// When it was dialled last.
    dialled_at: Option<Monotonic>,
    /// A node was found there, and it has not been dialled so often in vain since.
    found: u32,
    /// Its node said that it has links enough: it is not dialled before without need.
    rests_until: Monotonic,
}

impl Address {
    fn new(node: Option<NodeId>, configured: bool) -> Self {
        Self {
            node,
            configured,
            state: State::Waiting,
            failures: 0,
            error: None,
            dialled_at: None,
            found: 0,
            rests_until: Monotonic(0),
        }
    }
}

/// All addresses.
#[derive(Debug)]
pub(crate) struct Dials {
    addresses: BTreeMap<String, Address>,
    has_started: bool,
    settled: bool,
    /// Nodes that somebody waits for.
    reaching: BTreeSet<NodeId>,
    /// The address that was dialled last to see whether its node is back.
    searched: Option<String>,
}

impl Dials {
    pub(crate) fn new(bootstrap: &[String]) -> Self {
        let configured = |text: &String| (text.clone(), Address::new(None, true));
        Self {
            addresses: bootstrap.iter().map(configured).collect(),
            has_started: false,
            settled: false,
            reaching: BTreeSet::new(),
            searched: None,
        }
    }

    /// Configured addresses that have never led to a member: nobody has met those yet. (A node becomes a member by its
    /// hello; one that only connected and hung up has not agreed to anything.)
    pub(crate) fn strangers(&self, members: &Members) -> u32 {
        u32::try_from(self.unmet(members).count()).unwrap_or(u32::MAX)
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

    /// Configured addresses that have never led to a member, and why, for people.
    pub(crate) fn unmet(&self, members: &Members) -> impl Iterator<Item = (&String, Option<&String>)> {
        let met = |address: &Address| address.node.is_some_and(|node| members.contains(node));
        let unmet = move |(name, address): &(&String, &Address)| {
            address.configured && address.state != State::Myself && !met(address) && !members.claims(name)
        };
        self.addresses.iter().filter(unmet).map(|(name, address)| (name, address.error.as_ref()))
    }

    /// Why an address could not be reached last, for people.
    pub(crate) fn error_of(&self, name: &str) -> Option<&String> {
        self.addresses.get(name).and_then(|address| address.error.as_ref())
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
}

/// Whether the first dial of an address that is kept up has not come to anything yet.
fn is_undecided(cx: &Context, address: &Address) -> bool {
    match address.state {
        State::Waiting | State::Dialling(_) => {
            let is_linked = address.node.is_some_and(|node| cx.links.of(node).is_some());
            address.failures == 0 && !is_linked && is_kept(cx, address)
        }
        State::Up(_) | State::Myself => false,
    }
}

/// Whether an address is dialled without any need.
fn is_kept(cx: &Context, address: &Address) -> bool {
    let member = address.node.filter(|node| cx.members.is_in(*node));
    member.is_none_or(|node| neighbours::is_neighbour(cx, node))
}

/// Whether a node was dialled in vain and has not been connected to since.
pub(crate) fn has_failed(cx: &Context, node: NodeId) -> bool {
    let has_failed = |name: &String| cx.dials.addresses.get(name).is_some_and(|address| address.failures > 0);
    cx.members.addresses(node).iter().any(has_failed)
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
    cx.dials.has_started = true;
    let kept = |(_, address): &(&String, &Address)| is_kept(cx, address);
    let names: Vec<String> = cx.dials.addresses.iter().filter(kept).map(|(name, _)| name.clone()).collect();
    for name in names {
        dial(cx, name);
    }
    let settle = cx.now.mono + SETTLE;
    cx.timers.set(Timer::Settle, settle);
    check_settled(cx);
}

/// Notes that the first dials have come to something, those to nodes of which the first peers have told among them.
pub(crate) fn check_settled(cx: &mut Context) {
    if cx.dials.settled || !cx.dials.has_started {
        return;
    }
    let greeting = cx.links.iter().any(|(_, link)| !link.ready);
    let undecided = cx.dials.addresses.values().any(|address| is_undecided(cx, address));
    if !undecided && !greeting && cx.exchange.is_idle() {
        settle(cx);
    }
}

/// The first dials had time enough.
pub(crate) fn settle(cx: &mut Context) {
    cx.dials.settled = true;
    cx.timers.cancel(&Timer::Settle);
    cx.signal(Signal::Settled);
}

/// What is known of where a member listens has changed. It is dialled soon; later if it is likely to dial this node first.
pub(crate) fn on_addresses(cx: &mut Context, node: NodeId, later: bool) {
    for name in cx.members.addresses(node) {
        let known = cx.dials.addresses.len();
        let address = match cx.dials.addresses.get_mut(&name) {
            Some(address) => address,
            None if known < ADDRESSES_MAX => {
                cx.dials.addresses.entry(name.clone()).or_insert_with(|| Address::new(Some(node), false))
            }
            None => continue,
        };
        // What is configured is dialled whoever claims it, and of an address that is up it is known who is there.
        if !address.configured && !matches!(address.state, State::Up(_)) {
            address.node = Some(node);
        }
        let is_fresh = address.dialled_at.is_none() && address.state == State::Waiting;
        if is_fresh && cx.dials.has_started && cx.links.of(node).is_none() {
            wait(cx, name, if later { 3 } else { 1 });
        }
    }
}

/// A node of this cluster was found at an address.
pub(crate) fn on_discovered(cx: &mut Context, name: String) {
    if cx.dials.addresses.len() >= ADDRESSES_MAX || name.len() > crate::member::ADDRESS_LEN_MAX {
        return;
    }
    let address = cx.dials.addresses.entry(name.clone()).or_insert_with(|| Address::new(None, false));
    // What was found leads to somebody now, whatever became of it before.
    address.found = FOUND_DIALS;
    if cx.dials.has_started && cx.links.ready_count() < cx.config.max_peers {
        dial(cx, name);
    }
}

/// Keeps a link to a node from now on. It is dialled soon; later if it is to dial this node.
pub(crate) fn keep(cx: &mut Context, node: NodeId) {
    if !cx.dials.has_started || cx.links.is_linking(node) {
        return;
    }
    for name in cx.members.addresses(node) {
        if cx.dials.addresses.get(&name).is_some_and(|address| address.state == State::Waiting) {
            let failures = if neighbours::dials_me(cx, node) { ITS_TURN } else { 1 };
            wait(cx, name, failures);
        }
    }
}

/// Begins to look for members that are back, unless it has begun.
pub(crate) fn search_on(cx: &mut Context) {
    if cx.timers.deadline(&Timer::Search).is_none() {
        let (_, pause) = cx.config.redial;
        let due = cx.now.mono + cx.jitter(pause);
        cx.timers.set(Timer::Search, due);
    }
}

/// Dials the next of the addresses that are not kept and whose nodes are not known to live.
pub(crate) fn search(cx: &mut Context) {
    if !cx.dials.has_started {
        return search_on(cx);
    }
    let is_sought = |(_, address): &(&String, &Address)| {
        let is_alive = address.node.is_some_and(|node| cx.swim.liveness(node) == Liveness::Alive);
        address.state == State::Waiting && !is_kept(cx, address) && !is_alive
    };
    let sought = || cx.dials.addresses.iter().filter(is_sought).map(|(name, _)| name);
    let next = sought().find(|name| cx.dials.searched.as_ref().is_none_or(|last| *name > last));
    if let Some(name) = next.or_else(|| sought().next()).cloned() {
        cx.dials.searched = Some(name.clone());
        dial(cx, name);
    }
    search_on(cx);
}

/// A node has links enough, and this one is none of its neighbours as it sees that: it is not dialled for a while without need.
pub(crate) fn rest(cx: &mut Context, node: NodeId, pause: Duration) {
    let until = cx.now.mono + pause;
    for address in cx.dials.addresses.values_mut().filter(|address| address.node == Some(node)) {
        address.rests_until = until;
    }
}

/// Whether a node wanted no link a moment ago.
pub(crate) fn is_resting(cx: &Context, node: NodeId) -> bool {
    let rests = |name: &String| cx.dials.addresses.get(name).is_some_and(|address| address.rests_until > cx.now.mono);
    cx.members.addresses(node).iter().any(rests)
}

/// A link is about to be closed because nobody needs it: whoever needs its node from now on dials.
pub(crate) fn on_parted(cx: &mut Context, link: LinkId) {
    if let Some(address) = cx.dials.addresses.values_mut().find(|address| address.state == State::Up(link)) {
        address.state = State::Waiting;
    }
}

/// The timer of an address.
pub(crate) fn on_timer(cx: &mut Context, name: String) {
    if cx.dials.addresses.get(&name).is_some_and(|address| is_kept(cx, address)) {
        dial(cx, name);
    }
}

/// Whether an address should still be dialled: whoever listened there may have moved or left.
fn is_wanted(cx: &Context, name: &String, address: &Address) -> bool {
    address.configured
        || address.found > 0
        || address.node.is_some_and(|node| cx.members.addresses(node).contains(name))
}

/// Dials an address unless its node is connected.
fn dial(cx: &mut Context, name: String) {
    let Some(address) = cx.dials.addresses.get(&name) else { return };
    let connected = address.node.is_some_and(|node| cx.links.of(node).is_some());
    if connected || address.state != State::Waiting {
        return;
    }
    if !is_wanted(cx, &name, address) {
        cx.dials.addresses.remove(&name);
        return;
    }
    let (dial, now) = (DialId(cx.number()), cx.now.mono);
    if let Some(address) = cx.dials.addresses.get_mut(&name) {
        address.state = State::Dialling(dial);
        address.dialled_at = Some(now);
    }
    cx.timers.cancel(&Timer::Dial(name.clone()));
    cx.outputs.push_back(Output::Connect { dial, address: name });
}

/// Connects to a member, if no link stands: [`Signal::PeerReady`] follows, or [`Signal::Unreachable`]. False if no address of it
/// is known, or all have just been tried in vain; nothing follows then.
pub(crate) fn reach(cx: &mut Context, node: NodeId) -> bool {
    if cx.links.is_linking(node) {
        return true;
    }
    let mut is_tried = false;
    for name in cx.members.addresses(node) {
        let Some(address) = cx.dials.addresses.get(&name) else { continue };
        match address.state {
            State::Waiting if address.dialled_at.is_none_or(|at| cx.now.mono - at >= cx.config.redial.0) => {
                dial(cx, name);
                is_tried = true;
            }
            State::Dialling(_) | State::Up(_) => is_tried = true,
            State::Waiting | State::Myself => {}
        }
    }
    if is_tried {
        cx.dials.reaching.insert(node);
    }
    is_tried
}

/// A node that somebody waits for: tell them when its last address has failed.
fn check_reached(cx: &mut Context, node: NodeId) {
    let goes_on = |name: &String| {
        let state = cx.dials.addresses.get(name).map(|address| address.state);
        matches!(state, Some(State::Dialling(_) | State::Up(_)))
    };
    if cx.dials.reaching.contains(&node) && !cx.members.addresses(node).iter().any(goes_on) {
        cx.dials.reaching.remove(&node);
        cx.signal(Signal::Unreachable(node));
    }
}

/// A dial came to nothing.
pub(crate) fn on_failed(cx: &mut Context, dial: DialId, error: &DialError) {
    let found = cx.dials.addresses.iter_mut().find(|(_, address)| address.state == State::Dialling(dial));
    let Some((name, address)) = found else { return };
    address.state = State::Waiting;
    address.failures = address.failures.saturating_add(1);
    address.found = address.found.saturating_sub(1);
    address.error = Some(error.to_string());
    let (name, failures, node) = (name.clone(), address.failures, address.node);
    if failures >= 4 {
        sometimes!(cx.simulation, "dials.backed-off");
    }
    if failures < 4 || !planted!(cx.simulation, RedialGivesUp) {
        wait(cx, name, failures);
    }
    if let Some(node) = node {
        check_reached(cx, node);
        if failures == 1 && !neighbours::are_all(cx) {
            neighbours::refresh(cx);
        }
    }
    check_settled(cx);
}

/// A peer can be talked to.
pub(crate) fn on_peer_ready(cx: &mut Context, node: NodeId) {
    cx.dials.reaching.remove(&node);
    check_settled(cx);
}

/// A link is gone: dial its address again after a while, and any other address of its node.
pub(crate) fn on_link_gone(cx: &mut Context, link: LinkId, reason: &str) {
    let found = cx.dials.addresses.iter_mut().find(|(_, address)| address.state == State::Up(link));
    if let Some((name, address)) = found {
        address.state = State::Waiting;
        address.failures = address.failures.saturating_add(1);
        address.error = Some(reason.to_string());
        let (name, failures, node) = (name.clone(), address.failures, address.node);
        wait(cx, name, failures);
        if let Some(node) = node {
            check_reached(cx, node);
        }
    }
}

/// A node can no longer be talked to: dial all addresses that lead to it.
pub(crate) fn on_peer_gone(cx: &mut Context, node: NodeId) {
    let idle = |(_, address): &(&String, &Address)| address.node == Some(node) && address.state == State::Waiting;
    let names: Vec<String> = cx.dials.addresses.iter().filter(idle).map(|(name, _)| name.clone()).collect();
    let failures = if neighbours::dials_me(cx, node) { ITS_TURN } else { 1 };
    for name in names {
        wait(cx, name, failures);
    }
}

/// Exponential back-off with jitter. What is not kept is not dialled again by itself.
fn wait(cx: &mut Context, name: String, failures: u32) {
    let Some(address) = cx.dials.addresses.get(&name).filter(|address| is_kept(cx, address)) else { return };
    let rests_until = address.rests_until;
    let (first, longest) = cx.config.redial;
    let factor = 1 << failures.saturating_sub(1).min(16);
    let pause = cx.jitter(first.saturating_mul(factor).min(longest));
    let at_once = buggify!(cx.simulation, "dials.redial-at-once");
    let due = cx.now.mono + if at_once { Duration::from_millis(1) } else { pause };
    cx.timers.set(Timer::Dial(name), due.max(rests_until));
}
