//! What oracles see of this tier.

use std::collections::BTreeMap;
use std::sync::Arc;

use forever_core::disk::CACHE_OWNER;
use forever_core::ids::{NameId, NodeId, OwnerId};
use forever_core::reconcile::Sum;
use forever_core::secrets::OwnerKeys;
use forever_core::version::Version;
use forever_net_tokio::link::CONTROL_WAITING_MAX;

use super::World;
use super::net::EndState;
use crate::store::oracles::bounds;
use crate::store::{Contents, Holding, Scenario, View, machine};

impl View for World {
    fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    fn node_id(&self, node: usize) -> NodeId {
        self.hosts[node].id
    }

    fn keys(&self, node: usize) -> &OwnerKeys {
        &self.hosts[node].secrets.keys
    }

    fn secrets(&self) -> Vec<(String, Vec<u8>)> {
        machine::named(&self.scenario, self.hosts.iter().map(|host| &host.secrets))
    }

    fn is_up(&self, node: usize) -> bool {
        self.hosts[node].process.is_some()
    }

    fn is_core(&self, node: usize) -> bool {
        self.scenario.core.contains(&node)
    }

    fn is_gone(&self, node: usize) -> bool {
        self.gone.contains(&node)
    }

    fn contents(&mut self, node: usize) -> Arc<Contents> {
        self.hosts[node].disk.contents(&mut self.inspector)
    }

    fn holding(&mut self, node: usize, owner: OwnerId, name: NameId, version: &Version) -> Holding {
        let disk = &self.hosts[node].disk;
        self.inspector.holding(&disk.versions(owner, name, version), &|key| disk.row(key), &|blob| disk.is_intact(blob))
    }

    fn each_stored(&mut self, node: usize, show: &mut dyn FnMut(&str, &[u8])) {
        self.hosts[node].disk.each_stored(show);
    }

    fn gauges(&self, node: usize) -> Vec<(&'static str, u64, u64)> {
        let Some(process) = &self.hosts[node].process else { return Vec::new() };
        let mut gauges = process.node.gauges();
        let control = self.pipes_of(node, |pipe| pipe.control.len() as u64);
        gauges.extend(self.room_of(node));
        gauges.push(("control frames that wait for a link", control, CONTROL_WAITING_MAX as u64));
        gauges
    }

    fn usage(&self, node: usize) -> BTreeMap<OwnerId, u64> {
        // Cached chunks give way to all others.
        let owners = self.hosts[node].disk.owners().filter(|usage| usage.owner != CACHE_OWNER);
        owners.map(|usage| (usage.owner, usage.bytes)).collect()
    }

    fn left_over(&self, node: usize) -> Vec<(&'static str, u64)> {
        self.hosts[node].left_over.iter().map(|(name, least)| (*name, *least)).collect()
    }

    fn links(&self, node: usize) -> Vec<usize> {
        self.stands(node)
    }

    fn record_sum(&self, node: usize) -> Option<Sum> {
        self.hosts[node].process.as_ref().and_then(|process| process.node.record_sum())
    }
}

impl World {
    /// What blobs take of a disk, measured on the disk itself, and what they may.
    fn room_of(&self, node: usize) -> Vec<(&'static str, u64, u64)> {
        let host = &self.hosts[node];
        let (quota, max) = (host.config.quota_bytes, host.config.store_max_bytes);
        let cache = host.config.cache_bytes;
        if quota == 0 && max == 0 && cache == 0 {
            return Vec::new();
        }
        let owners = || host.disk.owners();
        let own = host.secrets.keys.owner_id();
        let others = owners().filter(|usage| usage.owner != own && usage.owner != CACHE_OWNER);
        let others = others.map(|usage| usage.bytes);
        let [cached_bytes, others_bytes, all_bytes] = bounds::ROOM;
        let cached = owners().find(|usage| usage.owner == CACHE_OWNER).map_or(0, |usage| usage.bytes);
        let mut room = vec![(cached_bytes, cached, cache)];
        if quota > 0 {
            room.push((others_bytes, others.max().unwrap_or(0), quota));
        }
        if max > 0 {
            room.push((all_bytes, owners().map(|usage| usage.bytes).sum(), max));
        }
        room
    }

    /// The most of something over the ways out of a host.
    fn pipes_of(&self, node: usize, measure: impl Fn(&super::net::Pipe) -> u64) -> u64 {
        let pipes = self.net.of_host[node].iter().filter_map(|number| self.net.get(*number)).flat_map(|conn| {
            let own = (0..2).filter(|side| conn.ends[*side].host == node);
            own.map(|side| &conn.pipes[side])
        });
        pipes.map(measure).max().unwrap_or(0)
    }

    /// The other ends of the links that stand at a node, as it sees them.
    pub(super) fn stands(&self, node: usize) -> Vec<usize> {
        let conns = self.net.of_host[node].iter().filter_map(|number| self.net.get(*number));
        let ends = conns.flat_map(|conn| {
            let own = (0..2).filter(|side| conn.ends[*side].host == node && conn.ends[*side].state == EndState::Open);
            own.map(|side| conn.ends[1 - side].host)
        });
        ends.collect()
    }
}
