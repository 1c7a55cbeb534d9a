use super::*;
use crate::simulation::PANIC;
use crate::system::Spanned;

/// A quick scenario of a tier.
fn scenario(tier: Tier) -> Scenario {
    let mut store = Store::new(tier);
    for assignment in ["nodes=[3,3]", "nodes_usual=3", "ops=[10,10]", "duration_ms=5000", "faults=[2,2]"] {
        store.shape.set(assignment).unwrap();
    }
    store.draw(7)
}

#[test]
fn to_be_watched_changes_nothing() {
    for tier in Tier::ALL {
        let scenario = scenario(tier);
        let outcome = Store::new(tier).run(&scenario, Trace::default());
        let watched = Store::watch(&scenario);
        assert_eq!(watched.outcome.trace_hash, outcome.trace_hash, "{tier:?}");
        assert_eq!(watched.outcome.judgement(), outcome.judgement(), "{tier:?}");
        assert!(watched.timeline.stocks.iter().any(|stock| stock.more > 0), "{tier:?}");
    }
}

#[test]
fn a_run_that_panics_is_watched_until_then() {
    for tier in Tier::ALL {
        let mut scenario = scenario(tier);
        // There is no such node, which is for case files to find out, and a panic for whoever does it to one.
        let what = Fault::Crash { node: 9 };
        scenario.plan.faults.push(Spanned { id: 99, from_us: 4_000_000, until_us: 4_500_000, what });
        let watched = Store::watch(&scenario);
        let violation = watched.outcome.violation.unwrap();
        assert_eq!(violation.oracle, PANIC, "{tier:?}");
        assert_eq!(watched.timeline.violation, Some(violation), "{tier:?}");
        assert!(!watched.timeline.bars.is_empty() && !watched.timeline.messages.is_empty(), "{tier:?}");
        assert!(!watched.remarks.is_empty(), "{tier:?}");
        assert!(watched.timeline.page().contains("panic broken"), "{tier:?}");
    }
}
