//! Disks, as the driver sees them. The contract is [`forever_core::disk`]'s.

use forever_core::disk::{DiskOp, DiskResult};
use forever_core::ids::OpId;
use tokio::sync::mpsc;

/// Takes operations and completes each exactly once, off the async threads.
pub trait Disk: Send + 'static {
    /// Starts an operation.
    fn submit(&self, what: DiskOp, done: Completion<DiskResult>);
}

/// Where the one completion of an operation goes. The channel is unbounded because the core bounds what is under way.
#[derive(Debug)]
pub struct Completion<T> {
    op: OpId,
    to: mpsc::UnboundedSender<(OpId, T)>,
}

impl<T> Completion<T> {
    /// A completion of `op`, to be sent to `to`.
    #[must_use]
    pub fn new(op: OpId, to: mpsc::UnboundedSender<(OpId, T)>) -> Self {
        Self { op, to }
    }

    /// Completes the operation. If the driver is gone, nobody is left to care.
    pub fn complete(self, result: T) {
        let _ = self.to.send((self.op, result));
    }
}
