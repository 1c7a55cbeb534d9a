//! A few seeds of World break no rule, and do enough to mean something.

use forever_sim::store::oracles::{self, SharedFindings, Tally};
use forever_sim::store::{Scenario, Shape, Tier};
use forever_sim::system;
use forever_sim::trace::Trace;
use forever_sim::world::World;

#[test]
fn a_dozen_seeds_break_no_rule_and_most_of_their_operations_succeed() {
    let mut total = Tally::default();
    for seed in 0..12 {
        let scenario = Scenario::draw(seed, Tier::World, &Shape::of(Tier::World));
        let findings = SharedFindings::default();
        let mut world = World::new(&scenario, Trace::default());
        let mut judges = oracles::all(&scenario, &findings);
        let result = system::run(&mut world, &scenario.plan, &mut judges);
        assert_eq!(result, Ok(()), "seed {seed}");
        let tally = findings.borrow().tally;
        let bites: u64 = findings.borrow().bites.values().sum();
        assert!(tally.ops >= 100, "seed {seed}: {tally:?}");
        assert!(bites >= 10 || scenario.plan.faults.is_empty(), "seed {seed}: {bites} faults took effect");
        total += tally;
    }
    assert!(total.success_per_mille() >= 900, "{total:?}");
    assert!(total.excused_per_mille() <= 20, "{total:?}");
}
