//! A queue from many threads to many.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};

use super::locks::lock;

/// First in, first out. Not bounded: the core bounds the operations under way, and each is in at most one queue.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    is_closed: bool,
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(State { items: VecDeque::new(), is_closed: false }), changed: Condvar::new() }
    }

    /// Appends an item; gives it back when the queue is closed.
    pub(crate) fn push(&self, item: T) -> Result<(), T> {
        let mut state = lock(&self.state);
        if state.is_closed {
            return Err(item);
        }
        state.items.push_back(item);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for items and takes at most `max` of them; none once the queue is closed and empty.
    pub(crate) fn take(&self, max: usize) -> Vec<T> {
        let mut state = lock(&self.state);
        while state.items.is_empty() && !state.is_closed {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let count = max.min(state.items.len());
        state.items.drain(..count).collect()
    }

    /// Lets takers have what is in the queue and nothing after.
    pub(crate) fn close(&self) {
        lock(&self.state).is_closed = true;
        self.changed.notify_all();
    }
}
