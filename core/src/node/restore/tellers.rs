//! Who tells a restore what there is: each peer is asked for all its records of the owner, page by page, one peer after the other.

use alloc::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::ids::NodeId;

/// How often a peer that does not answer is asked again.
const TRIES_MAX: u32 = 3;

/// A peer.
#[derive(Debug, Default)]
struct Teller {
    /// Where its next page starts.
    next: Bytes,
    /// How often it has not answered since it answered last.
    tries: u32,
    is_done: bool,
}

/// All peers that are, were or will be asked.
#[derive(Debug, Default)]
pub(super) struct Tellers {
    tellers: BTreeMap<NodeId, Teller>,
    /// Those still to be asked; the first is being asked.
    queue: VecDeque<NodeId>,
}

impl Tellers {
    /// A peer can be asked. One that went away in the middle goes on where it stopped.
    pub(super) fn add(&mut self, node: NodeId) {
        let teller = self.tellers.entry(node).or_default();
        teller.tries = 0;
        if !teller.is_done && !self.queue.contains(&node) {
            self.queue.push_back(node);
        }
    }

    /// Whom to ask, and from where on.
    pub(super) fn current(&self) -> Option<(NodeId, Bytes)> {
        let node = self.queue.front()?;
        self.tellers.get(node).map(|teller| (*node, teller.next.clone()))
    }

    /// The one asked has told a page; `next` is where its next one starts, empty after the last. False if that is no way on: an
    /// honest peer's pages come in order.
    pub(super) fn on_page(&mut self, next: Bytes) -> bool {
        let Some(teller) = self.queue.front().and_then(|node| self.tellers.get_mut(node)) else { return true };
        teller.tries = 0;
        if next.is_empty() {
            teller.is_done = true;
            self.queue.pop_front();
            return true;
        }
        let is_further = next > teller.next;
        teller.next = next;
        is_further
    }

    /// The one asked gave no answer: it is asked again after the others, a few times.
    pub(super) fn on_silence(&mut self) {
        let Some(node) = self.queue.pop_front() else { return };
        let Some(teller) = self.tellers.get_mut(&node) else { return };
        teller.tries += 1;
        if teller.tries < TRIES_MAX {
            self.queue.push_back(node);
        }
    }

    /// The one asked lies: it is not asked again.
    pub(super) fn on_lie(&mut self) {
        self.queue.pop_front();
    }

    /// Whether a peer has told all.
    pub(super) fn has_told(&self, node: NodeId) -> bool {
        self.tellers.get(&node).is_some_and(|teller| teller.is_done)
    }

    /// How many have been asked, or will be.
    pub(super) fn asked(&self) -> u32 {
        u32::try_from(self.tellers.len()).unwrap_or(u32::MAX)
    }

    /// How many have told all.
    pub(super) fn done(&self) -> u32 {
        u32::try_from(self.tellers.values().filter(|teller| teller.is_done).count()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: NodeId = NodeId([1; 32]);
    const TWO: NodeId = NodeId([2; 32]);

    fn page(text: &'static [u8]) -> Bytes {
        Bytes::from_static(text)
    }

    #[test]
    fn each_is_asked_to_its_end_in_turn() {
        let mut tellers = Tellers::default();
        tellers.add(ONE);
        tellers.add(TWO);
        assert_eq!(tellers.current(), Some((ONE, Bytes::new())));
        assert!(tellers.on_page(page(b"a")));
        assert_eq!(tellers.current(), Some((ONE, page(b"a"))));
        assert!(tellers.on_page(Bytes::new()));
        assert_eq!((tellers.current(), tellers.done(), tellers.asked()), (Some((TWO, Bytes::new())), 1, 2));
        tellers.add(ONE);
        assert!(tellers.on_page(Bytes::new()));
        assert_eq!((tellers.current(), tellers.has_told(ONE)), (None, true));
    }

    #[test]
    fn one_that_comes_back_goes_on_where_it_stopped() {
        let mut tellers = Tellers::default();
        tellers.add(ONE);
        assert!(tellers.on_page(page(b"m")));
        for _ in 0..TRIES_MAX {
            assert_eq!(tellers.current(), Some((ONE, page(b"m"))));
            tellers.on_silence();
        }
        assert_eq!(tellers.current(), None);
        tellers.add(ONE);
        assert_eq!(tellers.current(), Some((ONE, page(b"m"))));
    }

    #[test]
    fn pages_that_lead_nowhere_are_told_apart() {
        let mut tellers = Tellers::default();
        tellers.add(ONE);
        assert!(tellers.on_page(page(b"m")));
        assert!(!tellers.on_page(page(b"m")));
        assert!(!tellers.on_page(page(b"a")));
        tellers.on_lie();
        assert_eq!((tellers.current(), tellers.done()), (None, 0));
    }
}
