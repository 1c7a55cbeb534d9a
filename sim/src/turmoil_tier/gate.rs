//! Stopping a process in its tracks: a gate around all its tasks.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::board::Board;

/// Holds up all tasks of a node while it is closed. Clones are the same gate.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    board: Board,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Faults that hold it closed.
    paused_by: BTreeSet<usize>,
    /// Whether the power is gone: nothing moves until the process has ended.
    is_dark: bool,
    waiting: Vec<Waker>,
}

impl Gate {
    pub(crate) fn new(board: Board) -> Self {
        Self { board, state: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn pause(&self, fault: usize) {
        self.state().paused_by.insert(fault);
    }

    pub(crate) fn resume(&self, fault: usize) {
        let waiting = {
            let mut state = self.state();
            state.paused_by.remove(&fault);
            if state.is_closed() { Vec::new() } else { std::mem::take(&mut state.waiting) }
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Holds everything up until the process ends.
    pub(crate) fn darken(&self) {
        self.state().is_dark = true;
    }

    /// The process has ended; the next one finds the gate as faults say.
    pub(crate) fn reset(&self) {
        let mut state = self.state();
        state.is_dark = false;
        state.waiting.clear();
    }

    /// Whether a task must wait. Pauses that hold one up have bitten.
    fn holds(&self, waker: &Waker) -> bool {
        let paused_by: Vec<usize> = {
            let mut state = self.state();
            if !state.is_closed() {
                return false;
            }
            state.waiting.push(waker.clone());
            state.paused_by.iter().copied().collect()
        };
        paused_by.into_iter().for_each(|fault| self.board.bite(fault));
        true
    }
}

impl State {
    fn is_closed(&self) -> bool {
        self.is_dark || !self.paused_by.is_empty()
    }
}

/// A task behind a gate.
pub(crate) struct Gated<F: ?Sized> {
    gate: Gate,
    task: Pin<Box<F>>,
}

impl<F> Gated<F> {
    pub(crate) fn new(gate: Gate, task: F) -> Self {
        Self { gate, task: Box::pin(task) }
    }
}

impl<F: Future> Future for Gated<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if self.gate.holds(cx.waker()) { Poll::Pending } else { self.task.as_mut().poll(cx) }
    }
}
