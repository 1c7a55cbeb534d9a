//! Shorter times in a plan: spans of faults, and delays between steps.

use crate::system::Plan;

/// No span or delay is made shorter than so much: below, nothing is gained for a reader.
const STEP_US: u64 = 1000;

/// When the last step begins.
pub(super) fn last_step<O, F>(plan: &Plan<O, F>) -> u64 {
    let ops = plan.ops.iter().map(|op| op.at_us);
    ops.chain(plan.faults.iter().map(|fault| fault.from_us)).max().unwrap_or(0)
}

/// Halves the spans of faults and the delays before steps as long as `fails` says yes.
pub(super) fn shorten<O: Clone, F: Clone>(mut plan: Plan<O, F>, fails: &mut dyn FnMut(&Plan<O, F>) -> bool) {
    for index in 0..plan.faults.len() {
        halve(&mut plan, fails, |plan| {
            let fault = &mut plan.faults[index];
            let span = fault.until_us.saturating_sub(fault.from_us);
            fault.until_us = fault.from_us + span / 2;
            span
        });
    }
    let mut starts: Vec<u64> = plan.ops.iter().map(|op| op.at_us).collect();
    starts.extend(plan.faults.iter().map(|fault| fault.from_us));
    starts.sort_unstable();
    starts.dedup();
    // From the last on, so that the times of those before stay what they are.
    for index in (0..starts.len()).rev() {
        let (from, before) = (starts[index], index.checked_sub(1).map_or(0, |index| starts[index]));
        let mut gap = from - before;
        halve(&mut plan, fails, |plan| {
            let cut = gap - gap / 2;
            let now = before + gap;
            earlier(plan, now, cut);
            std::mem::replace(&mut gap, now - before - cut)
        });
    }
}

/// Applies `change`, which returns the length that it halves, as long as the plan fails with it.
fn halve<O: Clone, F: Clone>(
    plan: &mut Plan<O, F>,
    fails: &mut dyn FnMut(&Plan<O, F>) -> bool,
    mut change: impl FnMut(&mut Plan<O, F>) -> u64,
) {
    loop {
        let mut candidate = plan.clone();
        if change(&mut candidate) <= STEP_US || !fails(&candidate) {
            return;
        }
        *plan = candidate;
    }
}

/// Moves whatever happens at `from_us` or later.
fn earlier<O, F>(plan: &mut Plan<O, F>, from_us: u64, cut_us: u64) {
    let moved = |at_us: &mut u64| {
        if *at_us >= from_us {
            *at_us -= cut_us;
        }
    };
    plan.ops.iter_mut().for_each(|op| moved(&mut op.at_us));
    for fault in &mut plan.faults {
        moved(&mut fault.from_us);
        moved(&mut fault.until_us);
    }
    moved(&mut plan.end_us);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::{Spanned, Timed};

    fn plan() -> Plan<&'static str, &'static str> {
        Plan {
            ops: vec![Timed { id: 0, at_us: 1_000_000, what: "a" }, Timed { id: 1, at_us: 9_000_000, what: "b" }],
            faults: vec![Spanned { id: 0, from_us: 2_000_000, until_us: 8_000_000, what: "f" }],
            end_us: 10_000_000,
        }
    }

    #[test]
    fn spans_and_delays_shrink_as_far_as_the_failure_allows() {
        let mut last = plan();
        shorten(plan(), &mut |plan| {
            let apart = plan.ops[1].at_us - plan.ops[0].at_us >= 2_000_000;
            let long = plan.faults[0].until_us - plan.faults[0].from_us >= 500_000;
            if apart && long {
                last = plan.clone();
            }
            apart && long
        });
        assert!(last.faults[0].until_us - last.faults[0].from_us < 1_000_000, "{last:?}");
        assert!(last.ops[1].at_us - last.ops[0].at_us < 4_000_000, "{last:?}");
        assert!(last.ops[0].at_us <= STEP_US, "{last:?}");
        assert!(last.end_us > last.ops[1].at_us, "{last:?}");
    }

    #[test]
    fn steps_keep_their_order() {
        shorten(plan(), &mut |plan| {
            assert!(plan.ops[0].at_us <= plan.faults[0].from_us && plan.faults[0].from_us <= plan.ops[1].at_us);
            assert!(plan.faults[0].from_us <= plan.faults[0].until_us && plan.ops[1].at_us <= plan.end_us);
            true
        });
    }
}
