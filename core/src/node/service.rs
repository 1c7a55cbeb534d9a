//! Which members are in service: they belong to the cluster and are alive, or have been down for a short while only. Placement
//! looks at those, so that a restart moves nothing.

use alloc::collections::BTreeMap;
use alloc::string::String;

use crate::ids::{NodeId, OwnerId};
use crate::member::{MemberInfo, MemberStatus};
use crate::node::context::Context;
use crate::node::signal::Signal;
use crate::node::swim::Liveness;
use crate::node::timers::Timer;
use crate::node::{cluster, neighbours};
use crate::time::Monotonic;

/// What placement needs to know of a member in service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    pub(crate) owner: OwnerId,
    pub(crate) weight: u32,
    pub(crate) zone: String,
}

impl Served {
    fn of(info: &MemberInfo) -> Self {
        Self { owner: info.owner, weight: info.weight, zone: info.zone.clone() }
    }
}

/// The members in service.
#[derive(Debug, Default)]
pub(crate) struct Service {
    members: BTreeMap<NodeId, Served>,
    /// When this node started: members that it has not heard of since are given some time from then on.
    started_at: Monotonic,
}

impl Service {
    /// All members in service, this node among them unless it has left, in order.
    pub(crate) fn members(&self) -> &BTreeMap<NodeId, Served> {
        &self.members
    }
}

/// The node starts.
pub(crate) fn start(cx: &mut Context) {
    cx.service.started_at = cx.now.mono;
    refresh(cx);
}

/// From when on a member that does not come back is no longer in service; `None` while it is alive.
fn ends_at(cx: &Context, node: NodeId) -> Option<Monotonic> {
    let since = match cx.swim.liveness(node) {
        Liveness::Alive => return None,
        Liveness::Unseen => cx.service.started_at,
        Liveness::Down(since) => since,
    };
    Some(since + cx.config.repair_after)
}

/// Something has changed that may concern who is in service.
pub(crate) fn refresh(cx: &mut Context) {
    let mut members = BTreeMap::new();
    let mut next: Option<Monotonic> = None;
    if cx.members.own().status == MemberStatus::In {
        members.insert(cx.me, Served::of(cx.members.own()));
    }
    for (node, info) in cx.members.all().filter(|(_, info)| info.status == MemberStatus::In) {
        let ends_at = ends_at(cx, node);
        if ends_at.is_none_or(|at| at > cx.now.mono) {
            members.insert(node, Served::of(info));
            next = [next, ends_at].into_iter().flatten().min();
        }
    }
    match next {
        Some(at) => cx.timers.set(Timer::Service, at),
        None => cx.timers.cancel(&Timer::Service),
    }
    if members != cx.service.members {
        cx.service.members = members;
        cluster::on_membership(cx);
        cx.signal(Signal::MembershipChanged);
    }
    neighbours::refresh(cx);
}
