//! Questions that callers ask about this node and the others: status, peers.

use alloc::string::String;

use crate::disk::{DiskDone, DiskOp};
use crate::event::{PeerInfo, PeerState, StatusInfo, What};
use crate::ids::{NodeId, RequestId};
use crate::member::{MemberInfo, MemberStatus};
use crate::node::checkpoints;
use crate::node::context::Context;
use crate::node::names;
use crate::node::pending::{Completion, Pending};
use crate::node::query::timed_out;
use crate::node::rebalance;
use crate::node::space;
use crate::node::swim::Liveness;
use crate::node::task::{Flow, Task, TaskStep};

/// A status request.
#[derive(Debug)]
pub(crate) struct Status {
    pub(crate) id: RequestId,
    pub(crate) requests: u32,
}

impl Task for Status {
    fn start(&mut self, cx: &mut Context) -> Flow {
        cx.expect_progress(self.id);
        cx.disk(DiskOp::Usage, Pending::Task(self.id, TaskStep::Status));
        Flow::Continue
    }

    fn on_completion(&mut self, cx: &mut Context, _step: TaskStep, completion: Completion) -> Flow {
        let usage = match completion.disk() {
            Ok(DiskDone::Usage(usage)) => Some(usage),
            Ok(_) | Err(_) => None,
        };
        let status = StatusInfo {
            node: cx.me,
            owner: cx.owner,
            files: names::are_complete(cx).then(|| cx.names.count()),
            file_bytes: cx.names.bytes(),
            is_full: usage.as_ref().is_some_and(|usage| space::is_full(cx, usage)),
            cache_max_bytes: cx.config.cache_bytes,
            disk: usage,
            quota_bytes: cx.config.quota_bytes,
            store_max_bytes: cx.config.store_max_bytes,
            disk_error: cx.disk_error.clone(),
            peers_connected: cx.links.ready_count(),
            members: 1 + cx.members.count() + cx.strangers(),
            members_alive: 1 + count(cx, |liveness| liveness == Liveness::Alive),
            members_down: count(cx, |liveness| matches!(liveness, Liveness::Down(_))),
            write_quorum: cx.write_quorum(),
            pending: cx.debts.owed(),
            checkpoint_ms: checkpoints::signed_ms(cx),
            checkpoint_due: checkpoints::is_due(cx),
            requests: self.requests,
            protocol_errors: cx.counters.protocol_errors,
            damaged_blobs: cx.counters.damaged_blobs,
            mended: cx.counters.mended,
            unmended: cx.mends.failed(),
            out_of_place: rebalance::out_of_place(cx).unwrap_or(0),
        };
        cx.event(self.id, What::Status(status));
        Flow::Done
    }

    fn on_timeout(&mut self, cx: &mut Context) -> Flow {
        timed_out(cx, self.id)
    }
}

/// A request for the peers.
#[derive(Debug)]
pub(crate) struct Peers {
    pub(crate) id: RequestId,
}

impl Task for Peers {
    fn start(&mut self, cx: &mut Context) -> Flow {
        let shown = cx.members.all().filter(|(_, info)| info.status != MemberStatus::Forgotten);
        let members = shown.map(|(node, info)| peer_info(cx, node, info));
        let strangers = cx.dials.unmet(&cx.members).map(|(address, error)| stranger(address, error));
        let peers = members.chain(strangers).collect();
        cx.event(self.id, What::Peers(peers));
        Flow::Done
    }

    fn on_timeout(&mut self, cx: &mut Context) -> Flow {
        timed_out(cx, self.id)
    }
}

/// How many members are like that.
fn count(cx: &Context, is_counted: impl Fn(Liveness) -> bool) -> u32 {
    let counted = cx.members.nodes().filter(|node| is_counted(cx.swim.liveness(*node)));
    u32::try_from(counted.count()).unwrap_or(u32::MAX)
}

fn peer_info(cx: &Context, node: NodeId, info: &MemberInfo) -> PeerInfo {
    let link = cx.links.of(node).and_then(|link| cx.links.get(link));
    let addresses = cx.members.addresses(node);
    let state = match (info.status, cx.swim.liveness(node)) {
        (MemberStatus::Left | MemberStatus::Forgotten, _) => PeerState::Left,
        (MemberStatus::In, Liveness::Alive) => PeerState::Alive,
        (MemberStatus::In, Liveness::Down(since)) => PeerState::Down { for_s: (cx.now.mono - since).as_secs() },
        (MemberStatus::In, Liveness::Unseen) => PeerState::Unseen,
    };
    let error = addresses.iter().find_map(|address| cx.dials.error_of(address)).filter(|_| link.is_none());
    let address = link.map(|link| link.remote.clone()).or_else(|| addresses.first().cloned());
    PeerInfo {
        node: Some(node),
        owner: Some(info.owner),
        address: address.unwrap_or_default(),
        zone: info.zone.clone(),
        weight: info.weight,
        state,
        connected: link.is_some(),
        sent_bytes: link.map_or(0, |link| link.sent_bytes),
        received_bytes: link.map_or(0, |link| link.received_bytes),
        error: error.cloned(),
    }
}

fn stranger(address: &str, error: Option<&String>) -> PeerInfo {
    PeerInfo {
        node: None,
        owner: None,
        address: address.into(),
        zone: String::new(),
        weight: 0,
        state: PeerState::Stranger,
        connected: false,
        sent_bytes: 0,
        received_bytes: 0,
        error: error.cloned(),
    }
}
