//! The table of members: what this node knows of the cluster, remembered on its disk. How tables are brought together is in
//! `exchange`, who of the members is alive in `swim`.
//!
//! Invariant: the own entry holds rather than anything that others say of this node. Who hears something that would hold instead
//! (its disk was lost, or it was forgotten) stamps its entry anew.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::config::Config;
use crate::disk::{DiskOp, Write};
use crate::ids::{NodeId, OwnerId, RequestId};
use crate::member::{ADDRESSES_MAX, MEMBERS_MAX, Member, MemberInfo, MemberStatus, STAMP_MAX};
use crate::node::boot::BootStep;
use crate::node::context::Context;
use crate::node::gauges::Gauge;
use crate::node::pending::Pending;
use crate::node::task::TaskStep;
use crate::node::{answers, dials, exchange, outbox, schema, service, swim};
use crate::time::Monotonic;
use crate::{planted, sometimes};

/// The most addresses that a node learns from where others see it.
const LEARNED_MAX: usize = 4;

/// How often an address learned may push out an older one: peers that lie must not make a node talk of itself all the time.
const LEARNED_ANEW: Duration = Duration::from_secs(600);

/// A member.
#[derive(Debug)]
struct Known {
    info: MemberInfo,
    /// Its part of the table's fingerprint.
    fingerprint: u64,
    /// From which host it was last seen to come.
    seen_host: Option<String>,
}

impl Known {
    fn new(node: NodeId, info: MemberInfo, seen_host: Option<String>) -> Self {
        Self { fingerprint: Member::fingerprint(node, &info), info, seen_host }
    }
}

/// The members known.
#[derive(Debug)]
pub(crate) struct Members {
    own: MemberInfo,
    /// This node not among them.
    others: BTreeMap<NodeId, Known>,
    /// Of all others.
    fingerprint: u64,
    /// When an address was learned last.
    learned_at: Option<Monotonic>,
}

impl Members {
    /// The table of a node that knows nobody.
    pub(crate) fn new(config: &Config, owner: OwnerId) -> Self {
        let own = MemberInfo {
            stamp: 0,
            status: MemberStatus::In,
            owner,
            addresses: config.listen.iter().take(ADDRESSES_MAX).cloned().collect(),
            weight: config.weight,
            zone: config.zone.clone(),
        };
        Self { own, others: BTreeMap::new(), fingerprint: 0, learned_at: None }
    }

    /// What this node says of itself.
    pub(crate) fn own(&self) -> &MemberInfo {
        &self.own
    }

    /// What is known of a node.
    pub(crate) fn get(&self, node: NodeId) -> Option<&MemberInfo> {
        self.others.get(&node).map(|known| &known.info)
    }

    /// Whether a node is or was a member.
    pub(crate) fn contains(&self, node: NodeId) -> bool {
        self.others.contains_key(&node)
    }

    /// Whether a node belongs to the cluster, as far as known.
    pub(crate) fn is_in(&self, node: NodeId) -> bool {
        self.get(node).is_some_and(|info| info.status == MemberStatus::In)
    }

    /// All entries about others, those that are no longer members included, in order of nodes.
    pub(crate) fn all(&self) -> impl Iterator<Item = (NodeId, &MemberInfo)> {
        self.others.iter().map(|(node, known)| (*node, &known.info))
    }

    /// The members, this node not counted, in order.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.all().filter(|(_, info)| info.status == MemberStatus::In).map(|(node, _)| node)
    }

    /// The devices of an owner, this node not among them.
    pub(crate) fn devices(&self, owner: OwnerId) -> impl Iterator<Item = NodeId> {
        self.all().filter(move |(_, info)| info.status == MemberStatus::In && info.owner == owner).map(|(node, _)| node)
    }

    /// How many members, this node not counted.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.nodes().count()).unwrap_or(u32::MAX)
    }

    /// How many entries about others.
    pub(crate) fn entries(&self) -> usize {
        self.others.len()
    }

    /// The fingerprint of the table, the entry of one node left out.
    pub(crate) fn fingerprint_without(&self, me: NodeId, node: NodeId) -> u64 {
        let left_out = if node == me {
            Member::fingerprint(me, &self.own)
        } else {
            self.others.get(&node).map_or(0, |known| known.fingerprint)
        };
        self.fingerprint(me).wrapping_sub(left_out)
    }

    /// The fingerprint of the table.
    pub(crate) fn fingerprint(&self, me: NodeId) -> u64 {
        self.fingerprint.wrapping_add(Member::fingerprint(me, &self.own))
    }

    /// Where a member can be dialled; nowhere if it is none.
    pub(crate) fn addresses(&self, node: NodeId) -> Vec<String> {
        let Some(known) = self.others.get(&node).filter(|known| known.info.status == MemberStatus::In) else {
            return Vec::new();
        };
        let resolve = |address: &String| match address.strip_prefix(':') {
            Some(port) => known.seen_host.as_ref().map(|host| alloc::format!("{host}:{port}")),
            None => Some(address.clone()),
        };
        known.info.addresses.iter().filter_map(resolve).collect()
    }

    /// Whether some member says that it listens at an address.
    pub(crate) fn claims(&self, address: &str) -> bool {
        self.others.values().any(|known| known.info.addresses.iter().any(|other| other == address))
    }

    fn insert(&mut self, node: NodeId, known: Known) {
        self.fingerprint = self.fingerprint.wrapping_add(known.fingerprint);
        if let Some(old) = self.others.insert(node, known) {
            self.fingerprint = self.fingerprint.wrapping_sub(old.fingerprint);
        }
    }
}

/// What of its limits is used.
pub(crate) fn gauges(cx: &Context) -> [Gauge; 1] {
    [("members", cx.members.entries() as u64, MEMBERS_MAX as u64)]
}

/// The host of an address.
fn host_of(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

/// An entry read from the disk at start.
pub(crate) fn recover(cx: &mut Context, node: NodeId, info: MemberInfo) {
    if node == cx.me {
        return recover_own(cx, &info);
    }
    if cx.members.entries() < MEMBERS_MAX || cx.members.contains(node) {
        cx.members.insert(node, Known::new(node, info, None));
        dials::on_addresses(cx, node, false);
    }
}

/// What this node said of itself when it ran last: of that it keeps where others saw it.
fn recover_own(cx: &mut Context, old: &MemberInfo) {
    cx.members.own.stamp = cx.members.own.stamp.max(old.stamp);
    let own = &mut cx.members.own.addresses;
    let ports: Vec<String> = own.iter().filter_map(|address| address.strip_prefix(':')).map(Into::into).collect();
    let learned = |address: &&String| {
        let port = address.rsplit_once(':').map(|(_, port)| port);
        port.is_some_and(|port| ports.iter().any(|own| own == port))
    };
    let kept: Vec<String> =
        old.addresses.iter().filter(learned).filter(|address| !own.contains(address)).cloned().collect();
    own.extend(kept);
    own.truncate(ADDRESSES_MAX);
}

/// Stamps the own entry for this start of the node, durably before anybody hears of it.
pub(crate) fn stamp_start(cx: &mut Context) {
    cx.members.own.stamp = (cx.members.own.stamp + 1).min(STAMP_MAX);
    let writes = if planted!(cx.simulation, StampForgotten) { Vec::new() } else { alloc::vec![own_row(cx)] };
    commit(cx, writes, Pending::Boot(BootStep::Stamp));
}

fn own_row(cx: &Context) -> Write {
    row(cx.me, &cx.members.own)
}

fn row(node: NodeId, info: &MemberInfo) -> Write {
    Write::Put { key: schema::member_key(node), value: schema::encode(info) }
}

fn commit(cx: &mut Context, writes: Vec<Write>, pending: Pending) {
    cx.disk(DiskOp::Commit { require_blobs: Vec::new(), require_keys: Vec::new(), writes }, pending);
}

/// Changes what this node says of itself, and tells all who can be told.
fn change_own(cx: &mut Context, stamp: u64, change: impl FnOnce(&mut MemberInfo)) {
    cx.members.own.stamp = stamp.min(STAMP_MAX);
    change(&mut cx.members.own);
    let row = own_row(cx);
    answers::commit_quietly(cx, alloc::vec![row]);
    exchange::tell_own(cx);
    service::refresh(cx);
}

/// Says durably that this node leaves; the request's completion follows, and only then are others told.
pub(crate) fn begin_to_leave(cx: &mut Context, request: RequestId) {
    cx.members.own.stamp = (cx.members.own.stamp + 1).min(STAMP_MAX);
    cx.members.own.status = MemberStatus::Left;
    let row = own_row(cx);
    commit(cx, alloc::vec![row], Pending::Task(request, TaskStep::Membership));
    service::refresh(cx);
}

/// The node does not leave after all.
pub(crate) fn stay(cx: &mut Context) {
    let stamp = cx.members.own.stamp + 1;
    change_own(cx, stamp, |own| own.status = MemberStatus::In);
}

/// Notes durably that a node is forgotten; the request's completion follows. Returns the entry that says so.
pub(crate) fn begin_to_forget(cx: &mut Context, request: RequestId, node: NodeId) -> Option<Member> {
    let known = cx.members.get(node)?;
    let stamp = (known.stamp + 1).min(STAMP_MAX);
    let info = MemberInfo { stamp, status: MemberStatus::Forgotten, ..known.clone() };
    let row = row(node, &info);
    commit(cx, alloc::vec![row], Pending::Task(request, TaskStep::Membership));
    Some(Member { node, info })
}

/// This node was taken for down and takes part under a new generation: its next start must be stamped higher.
pub(crate) fn on_generation(cx: &mut Context, generation: u64) {
    if cx.members.own.stamp < generation {
        change_own(cx, generation, |_| {});
    }
}

/// A peer says what it says of itself, and where it sees this node.
pub(crate) fn on_hello(cx: &mut Context, node: NodeId, remote: &str, info: MemberInfo, seen: &str) {
    let host = host_of(remote).into();
    if let Some(known) = cx.members.others.get_mut(&node) {
        known.seen_host = Some(host);
        let outdated = known.info.supersedes(&info);
        if outdated {
            // Its disk was lost, or it has been forgotten: it stamps its entry anew when it hears of this one.
            exchange::tell_of(cx, node, node);
        }
        let changed = apply(cx, alloc::vec![Member { node, info }], Heard::FromIt);
        if !changed {
            dials::on_addresses(cx, node, false);
        }
    } else if cx.members.entries() < MEMBERS_MAX {
        apply(cx, alloc::vec![Member { node, info }], Heard::FromIt);
        if let Some(known) = cx.members.others.get_mut(&node) {
            known.seen_host = Some(host);
        }
        dials::on_addresses(cx, node, false);
    }
    learn_address(cx, host_of(seen));
}

/// A node that listens at all addresses of its machine learns from others which those are.
fn learn_address(cx: &mut Context, host: &str) {
    let own = &cx.members.own.addresses;
    let ports: Vec<String> = own.iter().filter_map(|address| address.strip_prefix(':')).map(Into::into).collect();
    let new = ports.iter().map(|port| alloc::format!("{host}:{port}")).find(|address| !own.contains(address));
    let Some(new) = new.filter(|new| !host.is_empty() && new.len() <= crate::member::ADDRESS_LEN_MAX) else { return };
    let said = cx.config.listen.len().min(ADDRESSES_MAX);
    let room = ADDRESSES_MAX.min(said + LEARNED_MAX);
    if room == said {
        return;
    }
    if own.len() >= room && cx.members.learned_at.is_some_and(|at| cx.now.mono - at < LEARNED_ANEW) {
        return;
    }
    sometimes!(cx.simulation, "members.address-learned");
    cx.members.learned_at = Some(cx.now.mono);
    let stamp = cx.members.own.stamp + 1;
    change_own(cx, stamp, |own| {
        // The newest first: the older ones may be of a network that the machine has left.
        own.addresses.insert(said, new);
        own.addresses.truncate(room);
    });
}

/// How an entry was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// From the node that it is about.
    FromIt,
    /// It was told as news.
    AsNews,
    /// It was in the table of a peer.
    InTable,
}

/// Takes over entries that hold rather than those known. Whether there was any.
pub(crate) fn apply(cx: &mut Context, members: Vec<Member>, heard: Heard) -> bool {
    let mut writes = Vec::new();
    let mut news = Vec::new();
    for Member { node, info } in members {
        if node == cx.me {
            contradict(cx, &info);
            continue;
        }
        let known = cx.members.others.get(&node);
        let is_news = known.map_or(cx.members.entries() < MEMBERS_MAX, |known| info.supersedes(&known.info));
        if !is_news {
            continue;
        }
        let mut info = info;
        if let Some(known) = known
            && known.info.addresses != info.addresses
        {
            sometimes!(cx.simulation, "members.moved");
            if planted!(cx.simulation, OldAddressKept) {
                info.addresses.clone_from(&known.info.addresses);
            }
        }
        let seen_host = known.and_then(|known| known.seen_host.clone());
        writes.push(row(node, &info));
        cx.members.insert(node, Known::new(node, info, seen_host));
        news.push(node);
    }
    if news.is_empty() {
        return false;
    }
    answers::commit_quietly(cx, writes);
    for node in &news {
        dials::on_addresses(cx, *node, heard != Heard::InTable);
        if !cx.members.is_in(*node) {
            outbox::forgive(cx, *node);
        }
    }
    exchange::pass_on(cx, &news, heard);
    swim::rescale(cx);
    service::refresh(cx);
    true
}

/// Somebody says of this node what would hold rather than its own word.
fn contradict(cx: &mut Context, info: &MemberInfo) {
    if !info.supersedes(&cx.members.own) || cx.members.own.stamp == STAMP_MAX {
        return;
    }
    sometimes!(cx.simulation, "members.contradicted");
    change_own(cx, info.stamp + 1, |_| {});
}
