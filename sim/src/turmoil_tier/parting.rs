//! Nodes that leave the cluster, and those that are written off: they belong to what is healed in the end no longer.

use forever_net_tokio::link::CLOSE_TIMEOUT;

use super::TurmoilTier;
use super::tier::Due;
use crate::store::parting::LEFT;

impl TurmoilTier {
    /// A node has left the cluster or was written off: nobody starts it again. Its process, if there is one, closes its links and ends.
    pub(super) fn part_with(&mut self, node: usize) {
        self.gone.insert(node);
        self.scenario.core.retain(|other| *other != node);
        self.held_down[node].insert(LEFT);
        let start = self.hosts[node].starts.get();
        self.schedule(self.sim.elapsed() + CLOSE_TIMEOUT, Due::Exit { node, start });
    }

    pub(super) fn exit(&mut self, node: usize, start: u64) {
        let host = &self.hosts[node];
        if host.is_wanted.get() && host.starts.get() == start {
            let left = host.fs.borrow().memory().after_kill();
            self.take_down(node, left, false);
        }
    }
}
