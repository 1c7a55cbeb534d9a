//! Who of the members is alive: SWIM, by `foca`, which is a state machine like this node. Its packets are frames on links; a
//! link that does not stand is made for them.
//!
//! In a cluster where nodes keep links to their neighbours only (`neighbours`), each is probed by its neighbours: a probe of another
//! member that is taken for alive is not sent, unless it could not be connected to lately. What would be gossiped to such a member goes
//! to a peer instead. So SWIM makes no links but to find out whether somebody is down.
//!
//! What is said of a node that is in no table here is not believed: so what `foca` remembers has a bound. Nor is a packet that
//! speaks for another than the peer from whom it comes.

mod packet;
mod suspicion;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::fmt;
use core::num::{NonZeroU8, NonZeroUsize};
use core::time::Duration;

use bytes::Bytes;
use foca::{AccumulatingRuntime, Foca, Header, Message, OwnedNotification, PeriodicParams, State};
use rand_chacha::ChaCha12Rng;

use crate::frame::{Frame, Life, SWIM_PACKET_MAX};
use crate::ids::{LinkId, NodeId};
use crate::member::Member;
use crate::node::context::Context;
use crate::node::gauges::Gauge;
use crate::node::members::{self, Heard};
use crate::node::timers::Timer;
use crate::node::{dials, exchange, links, neighbours, outbox, service};
use crate::time::Monotonic;
use crate::{planted, sometimes};
use packet::{Carrier, PacketCodec, SwimId};
use suspicion::Suspicions;

/// The longest entry that packets carry as news, in bytes: beside it must be room for the rest. Longer ones are found by their
/// table's fingerprint.
const NEWS_LEN_MAX: usize = 900;

/// Suspicions of one member that have not run out, most of them contradicted: a suspicion lasts 4 periods for each order of
/// magnitude of the cluster, and as both it and what contradicts it are told on at once, there may be several a period.
const SUSPICIONS_MAX: usize = 16;

/// Nodes for which packets wait until a link stands, and packets for each.
const WAITING_NODES_MAX: usize = 64;
const WAITING_PACKETS_MAX: usize = 4;

/// How many periods pass between questions that go beyond SWIM: to an active member for those that it knows, and to one that is
/// down whether it really is.
const QUESTION_PERIODS: u32 = 30;

/// Peers that are told of an update at a time, and that are asked to probe in this node's stead.
const FANOUT: NonZeroUsize = NonZeroUsize::new(3).expect("three is more than none");

/// Whether a member lives, as far as known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Liveness {
    /// Nothing was heard of it since this node's start.
    Unseen,
    Alive,
    /// Since then: it did not answer from then on, or was said to be down.
    Down(Monotonic),
}

/// Packets for a node to which no link stands.
#[derive(Debug)]
struct Waiting {
    until: Monotonic,
    packets: Vec<Bytes>,
}

/// SWIM at this node.
pub(crate) struct Swim {
    /// `None` before the node's start is stamped.
    foca: Option<Foca<SwimId, PacketCodec, ChaCha12Rng, Carrier>>,
    /// What it wants to be reminded of, in order.
    reminders: BTreeMap<(Monotonic, u64), foca::Timer<SwimId>>,
    next_reminder: u64,
    liveness: BTreeMap<NodeId, Liveness>,
    waiting: BTreeMap<NodeId, Waiting>,
    /// Members taken for alive that could not be connected to.
    doubted: BTreeSet<NodeId>,
    /// The last suspicion of each member of the table, contradicted or not.
    suspicions: Suspicions,
    /// The number of members that the configuration was made for, in orders of magnitude.
    scale: u32,
}

impl fmt::Debug for Swim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Swim").field("liveness", &self.liveness).field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

impl Swim {
    pub(crate) const fn new() -> Self {
        Self {
            foca: None,
            reminders: BTreeMap::new(),
            next_reminder: 0,
            liveness: BTreeMap::new(),
            waiting: BTreeMap::new(),
            doubted: BTreeSet::new(),
            suspicions: Suspicions::new(),
            scale: 0,
        }
    }

    /// Whether a member lives.
    pub(crate) fn liveness(&self, node: NodeId) -> Liveness {
        self.liveness.get(&node).copied().unwrap_or(Liveness::Unseen)
    }

    /// Under which generation this node takes part.
    pub(crate) fn generation(&self) -> u64 {
        self.foca.as_ref().map_or(0, |foca| foca.identity().generation)
    }

    /// What is known of a node's life, for others.
    pub(crate) fn life_of(&self, node: NodeId) -> Option<Life> {
        let foca = self.foca.as_ref()?;
        // Of this node itself `foca` only remembers under which generations it is down.
        let is_other = foca.identity().node != node;
        let member = foca.iter_membership_state().find(|member| is_other && member.id().node == node)?;
        let down = member.state() == State::Down;
        Some(Life { generation: member.id().generation, incarnation: member.incarnation(), down })
    }
}

/// What of its limits is used.
pub(crate) fn gauges(cx: &Context) -> [Gauge; 2] {
    let known = cx.swim.foca.as_ref().map_or(0, |foca| foca.iter_membership_state().len());
    // One of each kind, those of the time before all members were lost, and one for each suspicion: a member that contradicts one
    // can be under the next before the first has run out.
    let reminders_max = SUSPICIONS_MAX * cx.members.entries() + 32;
    // This node itself may be among them, under an earlier generation.
    [
        ("nodes known to SWIM", known as u64, 1 + cx.members.entries() as u64),
        ("reminders of SWIM", cx.swim.reminders.len() as u64, reminders_max as u64),
    ]
}

/// How SWIM goes about it in a cluster of so many orders of magnitude. The proportions are those of `memberlist`, which has
/// been run on local and on wide networks.
fn config_of(period: Duration, scale: u32) -> foca::Config {
    let every = |frequency: Duration, num_members| Some(PeriodicParams { frequency, num_members });
    let transmissions = u8::try_from(4 * (scale + 1)).unwrap_or(u8::MAX);
    foca::Config {
        probe_period: period,
        probe_rtt: period / 3,
        num_indirect_probes: FANOUT,
        max_transmissions: NonZeroU8::new(transmissions).unwrap_or(NonZeroU8::MIN),
        suspect_to_down_after: period * 4 * scale.max(1),
        remove_down_after: None,
        max_packet_size: NonZeroUsize::new(SWIM_PACKET_MAX).unwrap_or(NonZeroUsize::MIN),
        notify_down_members: true,
        periodic_announce: every(period * QUESTION_PERIODS, NonZeroUsize::MIN),
        periodic_announce_to_down_members: every(period * QUESTION_PERIODS, NonZeroUsize::MIN),
        periodic_gossip: every(period / 2, FANOUT),
    }
}

fn scale_of(cx: &Context) -> u32 {
    (cx.members.count() + 1).ilog10()
}

/// Begins to take part, once the own entry has been stamped.
pub(crate) fn start(cx: &mut Context) {
    let id = SwimId { node: cx.me, generation: cx.members.own().stamp };
    let rng = cx.fork_rng();
    cx.swim.scale = scale_of(cx);
    let config = config_of(cx.config.swim_period.max(Duration::from_millis(3)), cx.swim.scale);
    cx.swim.foca = Some(Foca::with_custom_broadcast(id, config, rng, PacketCodec, Carrier));
}

/// Lets `foca` act, and carries out what it wants. An error is the peer's, and returned.
fn act(
    cx: &mut Context,
    act: impl FnOnce(
        &mut Foca<SwimId, PacketCodec, ChaCha12Rng, Carrier>,
        &mut AccumulatingRuntime<SwimId>,
    ) -> Result<(), foca::Error>,
) -> Result<(), foca::Error> {
    let Some(foca) = &mut cx.swim.foca else { return Ok(()) };
    let mut runtime = AccumulatingRuntime::new();
    let result = act(foca, &mut runtime);
    let mut is_urgent = false;
    while let Some((after, timer)) = runtime.to_schedule() {
        if let foca::Timer::ChangeSuspectToDown { member_id, incarnation, .. } = &timer {
            is_urgent |= suspicion::note(cx, *member_id, *incarnation);
        }
        cx.swim.next_reminder += 1;
        cx.swim.reminders.insert((cx.now.mono + after, cx.swim.next_reminder), timer);
    }
    rearm(cx);
    let mut changed = false;
    while let Some(notification) = runtime.to_notify() {
        is_urgent |= matches!(notification, OwnedNotification::MemberDown(_));
        changed |= on_notification(cx, notification);
    }
    while let Some((to, packet)) = runtime.to_send() {
        send(cx, to.node, packet);
    }
    if changed {
        service::refresh(cx);
    }
    if is_urgent {
        gossip(cx);
    }
    result
}

/// Tells some peers at once what is new, rather than with the next packets: what is said of who has gone reaches all within a few steps,
/// so that all count from about the same time.
fn gossip(cx: &mut Context) {
    let _ = act(cx, tell_some);
}

fn tell_some(
    foca: &mut Foca<SwimId, PacketCodec, ChaCha12Rng, Carrier>,
    runtime: &mut AccumulatingRuntime<SwimId>,
) -> Result<(), foca::Error> {
    foca.gossip(runtime)
}

fn rearm(cx: &mut Context) {
    if let Some(((due, _), _)) = cx.swim.reminders.first_key_value() {
        let due = *due;
        cx.timers.set(Timer::Swim, due);
    }
}

/// Time for what `foca` wanted to be reminded of.
pub(crate) fn on_timer(cx: &mut Context) {
    while let Some(((due, number), timer)) = cx.swim.reminders.pop_first() {
        if due > cx.now.mono {
            cx.swim.reminders.insert((due, number), timer);
            break;
        }
        // An error says that reminders came late or that the last member is gone: either is made good by the next.
        let _ = act(cx, |foca, runtime| foca.handle_timer(timer, runtime));
    }
    rearm(cx);
}

/// `foca` has found something out. Whether somebody's liveness has changed.
fn on_notification(cx: &mut Context, notification: OwnedNotification<SwimId>) -> bool {
    match notification {
        OwnedNotification::MemberUp(id) => {
            cx.swim.liveness.insert(id.node, Liveness::Alive);
            outbox::on_member_up(cx, id.node);
            true
        }
        OwnedNotification::MemberDown(id) => {
            sometimes!(cx.simulation, "swim.member-down");
            if planted!(cx.simulation, DownUnreported) {
                return false;
            }
            let since = suspicion::down_since(cx, id.node);
            cx.swim.liveness.insert(id.node, Liveness::Down(since));
            cx.swim.doubted.remove(&id.node);
            links::on_lost(cx, id.node);
            true
        }
        OwnedNotification::Rejoin(id) => {
            sometimes!(cx.simulation, "swim.taken-for-down");
            members::on_generation(cx, id.generation);
            announce_to_peers(cx);
            false
        }
        OwnedNotification::Rename(..)
        | OwnedNotification::Active
        | OwnedNotification::Idle
        | OwnedNotification::Defunct => false,
    }
}

/// Tells all peers that this node lives, under whatever generation they know it.
fn announce_to_peers(cx: &mut Context) {
    for node in cx.links.ready_nodes() {
        announce(cx, node);
    }
}

fn announce(cx: &mut Context, node: NodeId) {
    // Of the destination of an announcement only the node counts.
    let _ = act(cx, |foca, runtime| foca.announce(SwimId { node, generation: 0 }, runtime));
}

/// Sends a packet over a link.
fn send_over(cx: &mut Context, link: LinkId, packet: Bytes) {
    let table = cx.members.fingerprint(cx.me);
    cx.send(link, Frame::Swim { table, packet });
}

/// What becomes of a packet to a member that is none of this node's business. False if it is to be sent all the same.
fn spare(cx: &mut Context, node: NodeId, packet: &Bytes) -> bool {
    let is_alive = cx.swim.liveness(node) == Liveness::Alive && !cx.swim.doubted.contains(&node);
    if neighbours::is_neighbour(cx, node) || !is_alive {
        return false;
    }
    let Some((header, rest)) = packet::header(packet) else { return false };
    match header.message {
        Message::Gossip | Message::Announce => gossip_instead(cx, header, rest),
        Message::Ping(number) => take_for_answered(cx, header, number),
        // Whether somebody is down is found out, whatever it takes; the others are answers.
        Message::PingReq { .. }
        | Message::IndirectPing { .. }
        | Message::IndirectAck { .. }
        | Message::ForwardedAck { .. }
        | Message::Ack(_)
        | Message::Feed
        | Message::Broadcast
        | Message::TurnUndead => return false,
    }
    true
}

/// Sends a peer what was meant for a member without a link.
fn gossip_instead(cx: &mut Context, mut header: Header<SwimId>, rest: &[u8]) {
    let peers = cx.links.ready_nodes();
    let Some(count) = u64::try_from(peers.len()).ok().filter(|count| *count > 0) else { return };
    let place = usize::try_from(cx.draw() % count).unwrap_or(0);
    let Some((peer, link)) = peers.into_iter().nth(place).and_then(|peer| Some((peer, cx.links.of(peer)?))) else {
        return;
    };
    let Some(foca) = &cx.swim.foca else { return };
    let Some(known) = foca.iter_membership_state().find(|member| member.id().node == peer) else { return };
    header.dst = *known.id();
    let packet = packet::with_header(&header, rest);
    if packet.len() <= SWIM_PACKET_MAX {
        send_over(cx, link, packet.into());
    }
}

/// A member that its neighbours look after counts as having answered a probe.
fn take_for_answered(cx: &mut Context, ping: Header<SwimId>, number: foca::ProbeNumber) {
    let Some(foca) = &cx.swim.foca else { return };
    let Some(known) = foca.iter_membership_state().find(|member| *member.id() == ping.dst) else { return };
    let ack =
        Header { src: ping.dst, src_incarnation: known.incarnation(), dst: ping.src, message: Message::Ack(number) };
    let packet = packet::with_header(&ack, &[]);
    // An error says that the probe is over.
    let _ = act(cx, |foca, runtime| foca.handle_data(&packet, runtime));
}

/// Sends a packet, over a link that is made for it if need be.
fn send(cx: &mut Context, node: NodeId, packet: Bytes) {
    if let Some(link) = cx.links.of(node) {
        return send_over(cx, link, packet);
    }
    if spare(cx, node, &packet) {
        return;
    }
    let now = cx.now.mono;
    cx.swim.waiting.retain(|_, waiting| waiting.until > now);
    if cx.swim.waiting.len() >= WAITING_NODES_MAX && !cx.swim.waiting.contains_key(&node) {
        return;
    }
    if !dials::reach(cx, node) {
        return;
    }
    let until = now + cx.config.swim_period;
    let waiting = cx.swim.waiting.entry(node).or_insert(Waiting { until, packets: Vec::new() });
    if waiting.packets.len() < WAITING_PACKETS_MAX {
        waiting.packets.push(packet);
    }
}

/// A peer can be talked to: it lives.
pub(crate) fn on_peer_ready(cx: &mut Context, node: NodeId, generation: u64) {
    let id = SwimId { node, generation };
    cx.swim.doubted.remove(&node);
    if cx.members.contains(node) {
        let _ = act(cx, |foca, runtime| foca.apply_many(core::iter::once(foca::Member::alive(id)), true, runtime));
    }
    if cx.swim.liveness(node) != Liveness::Alive {
        // It is taken for down here. It learns of that by the answer, and comes back under another generation.
        announce(cx, node);
    }
    let Some(waiting) = cx.swim.waiting.remove(&node) else { return };
    if waiting.until > cx.now.mono {
        waiting.packets.into_iter().for_each(|packet| send(cx, node, packet));
    }
}

/// A node cannot be connected to: what waits for it is lost, as packets may be. If it is taken for alive, it is probed.
pub(crate) fn on_unreachable(cx: &mut Context, node: NodeId) {
    cx.swim.waiting.remove(&node);
    links::on_lost(cx, node);
    if cx.swim.liveness(node) == Liveness::Alive {
        cx.swim.doubted.insert(node);
    }
}

/// A packet comes in.
pub(crate) fn on_packet(cx: &mut Context, link: LinkId, table: u64, bytes: &Bytes) {
    let Some(node) = cx.links.get(link).map(|link| link.node) else { return };
    let packet = packet::split(bytes).filter(|packet| {
        let is_its_own = packet.header.src.node == node;
        is_its_own && packet.news.iter().all(|member| member.info.is_sane())
    });
    let Some(mut packet) = packet else { return links::offend(cx, link) };
    let news = core::mem::take(&mut packet.news);
    let as_it_came = news.is_empty();
    members::apply(cx, news, Heard::AsNews);
    let is_known = |node| node == cx.me || cx.members.contains(node);
    let all_known = packet.updates.iter().all(|update| is_known(update.id().node));
    let joined = if as_it_came && all_known { bytes.clone() } else { packet::join(&packet, is_known).into() };
    let mut is_urgent = false;
    for update in packet.updates.iter().filter(|update| update.state() == State::Suspect) {
        is_urgent |= suspicion::note(cx, *update.id(), update.incarnation());
    }
    let handled = act(cx, |foca, runtime| foca.handle_data(&joined, runtime));
    if is_urgent {
        gossip(cx);
    }
    match handled {
        Ok(()) => exchange::on_fingerprint(cx, node, table),
        Err(foca::Error::MalformedPacket | foca::Error::Decode(_) | foca::Error::DataTooBig) => links::offend(cx, link),
        // What comes late, to or about another generation of this node.
        Err(_) => {}
    }
}

/// A peer told with its table who lives.
pub(crate) fn on_lives(cx: &mut Context, lives: Vec<(NodeId, Option<Life>)>) {
    let me = cx.me;
    let known: Vec<foca::Member<SwimId>> = lives
        .into_iter()
        .filter_map(|(node, life)| life.map(|life| (node, life)))
        .filter(|(node, _)| *node != me && cx.members.contains(*node))
        .map(|(node, life)| {
            let state = if life.down { State::Down } else { State::Alive };
            foca::Member::new(SwimId { node, generation: life.generation }, life.incarnation, state)
        })
        .collect();
    let _ = act(cx, |foca, runtime| foca.apply_many(known.into_iter(), false, runtime));
}

/// Has an entry of the table carried to all nodes.
pub(crate) fn spread(cx: &mut Context, member: &Member) {
    let mut bytes = Vec::new();
    crate::codec::encode_onto(member, &mut bytes);
    if bytes.len() <= NEWS_LEN_MAX {
        let _ = act(cx, |foca, _| foca.add_broadcast(&bytes).map(|_| ()));
    }
}

/// Fits the configuration to the number of members.
pub(crate) fn rescale(cx: &mut Context) {
    let scale = scale_of(cx);
    if core::mem::replace(&mut cx.swim.scale, scale) != scale {
        let config = config_of(cx.config.swim_period.max(Duration::from_millis(3)), scale);
        let _ = act(cx, |foca, _| foca.set_config(config));
    }
}

/// Tells all that this node is about to go.
pub(crate) fn leave(cx: &mut Context) {
    let _ = act(cx, |foca, runtime| foca.leave_cluster(runtime));
}
