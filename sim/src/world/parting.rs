//! Nodes that leave the cluster, and those that are written off: they belong to what is healed in the end no longer.

use forever_net_tokio::link::CLOSE_TIMEOUT;

use super::{Happening, World, micros};
use crate::store::parting::LEFT;

impl World {
    /// A node has left the cluster or was written off: nobody starts it again. Its process, if there is one, closes its links and ends.
    pub(super) fn part_with(&mut self, number: usize) {
        self.gone.insert(number);
        self.scenario.core.retain(|node| *node != number);
        let host = &mut self.hosts[number];
        host.held_down_by.insert(LEFT);
        let exit = Happening::Exit { host: number, life: host.life };
        self.queue.push(self.now_us + micros(CLOSE_TIMEOUT) + 1, exit);
    }
}
