//! Pure work, inline.

use std::sync::Arc;

use forever_core::secrets::OwnerKeys;
use forever_core::work::{WorkOp, WorkResult, perform};
use forever_net_tokio::disk::Completion;
use forever_net_tokio::work::Work;

/// Performs each piece of work when it is submitted; its completion is an input of the driver's next turn.
#[derive(Debug)]
pub struct SimWork {
    keys: Arc<OwnerKeys>,
}

impl SimWork {
    pub(crate) fn new(keys: OwnerKeys) -> Self {
        Self { keys: Arc::new(keys) }
    }
}

impl Work for SimWork {
    fn submit(&self, what: WorkOp, done: Completion<WorkResult>) {
        done.complete(perform(what, &self.keys));
    }
}
