//! A comparison of two sets, message by message: one node asks, the other answers and remembers nothing.

use alloc::vec::Vec;

use negentropy::{Id, Negentropy};

use super::item::{Item, Items};

/// The longest message, in bytes. It leaves room in a frame for what the message is about, in whatever codec.
pub const MESSAGE_LEN_MAX: usize = 24_576;

/// The most messages that are asked with about one set. Each answer of an honest node settles about a thousand items or splits a
/// range in sixteen, so that many are never needed for as many items as a node compares at once.
pub const ROUNDS_MAX: u32 = 64;

/// The peer's message makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message about a set of records that makes no sense")]
pub struct Broken;

/// What an answer told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Items that only the asker has.
    pub here: Vec<Item>,
    /// Items that only the answerer has.
    pub there: Vec<Item>,
    /// What to ask next; nothing when all differences have been told.
    pub next: Option<Vec<u8>>,
}

/// The end of a comparison that asks.
#[derive(Debug)]
pub struct Asker {
    items: Items,
    rounds: u32,
}

impl Asker {
    /// Begins a comparison. Returns the first message.
    #[must_use]
    pub fn begin(items: Items) -> (Self, Vec<u8>) {
        let first = session(&items).initiate().expect("a fresh session of sealed items can be begun");
        (Self { items, rounds: 1 }, first)
    }

    /// Takes an answer.
    ///
    /// # Errors
    /// When the answer makes no sense, or the answerer would go on for ever.
    pub fn on_answer(&mut self, answer: &[u8]) -> Result<Found, Broken> {
        if answer.len() > MESSAGE_LEN_MAX {
            return Err(Broken);
        }
        let mut session = session(&self.items);
        session.set_initiator();
        let (mut here, mut there) = (Vec::new(), Vec::new());
        let next = session.reconcile_with_ids(answer, &mut here, &mut there).map_err(|_| Broken)?;
        if next.is_some() {
            self.rounds += 1;
            if self.rounds > ROUNDS_MAX {
                return Err(Broken);
            }
        }
        let items = |ids: Vec<Id>| ids.into_iter().map(|id| Item(id.to_bytes())).collect();
        Ok(Found { here: items(here), there: items(there), next })
    }
}

/// Answers a message about a set.
///
/// # Errors
/// When the message makes no sense.
pub fn answer(items: &Items, message: &[u8]) -> Result<Vec<u8>, Broken> {
    if message.len() > MESSAGE_LEN_MAX {
        return Err(Broken);
    }
    session(items).reconcile(message).map_err(|_| Broken)
}

fn session(items: &Items) -> Negentropy<'_, negentropy::NegentropyStorageVector> {
    let limit = u64::try_from(MESSAGE_LEN_MAX).expect("a small constant");
    Negentropy::borrowed(&items.0, limit).expect("the limit is one that the protocol allows")
}
