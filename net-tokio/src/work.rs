//! Pure work, as the driver sees it.

use forever_core::work::{WorkOp, WorkResult};

use crate::disk::Completion;

/// Performs pieces of work, each with exactly one completion.
pub trait Work: Send + 'static {
    /// Starts a piece of work.
    fn submit(&self, what: WorkOp, done: Completion<WorkResult>);
}
