//! Pure work, inline.

use std::sync::Arc;

use forever_core::secrets::OwnerKeys;
use forever_core::work::{WorkOp, WorkResult, perform};
use forever_net_tokio::disk::Completion;
use forever_net_tokio::work::Work;

use crate::trace::Tracer;

/// Performs each piece of work when it is submitted; its completion is an input of the driver's next turn.
#[derive(Debug)]
pub struct SimWork {
    keys: Arc<OwnerKeys>,
    tracer: Tracer,
}

impl SimWork {
    pub(crate) fn new(keys: OwnerKeys, tracer: Tracer) -> Self {
        Self { keys: Arc::new(keys), tracer }
    }
}

impl Work for SimWork {
    fn submit(&self, what: WorkOp, done: Completion<WorkResult>) {
        let result = perform(what, &self.keys);
        // The operation follows from inputs that the trace has; its result is what the inputs do not show.
        self.tracer.debug("work done", &result);
        done.complete(result);
    }
}
