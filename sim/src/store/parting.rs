//! Who parts with the cluster, the same in both tiers.

use super::{Op, OpResult};

/// What keeps a node down that has left or was written off: no fault of the plan.
pub(crate) const LEFT: usize = usize::MAX;

/// The node that belongs to the cluster no longer once an operation has ended so.
pub(crate) fn gone(op: &Op, result: &OpResult) -> Option<usize> {
    match (result, op.what.member()) {
        (OpResult::Left, _) => Some(op.node),
        (OpResult::Forgotten, member) => member,
        _ => None,
    }
}
