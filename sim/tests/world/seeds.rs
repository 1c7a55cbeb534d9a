//! Ordinary seeds of the breadth tier are the same every time.

use forever_sim::store::oracles::{self, SharedFindings};
use forever_sim::store::{Scenario, Shape, Tier};
use forever_sim::system::{System as _, Violation, run};
use forever_sim::trace::Trace;
use forever_sim::world::World;

fn simulate(seed: u64, findings: &SharedFindings) -> (Result<(), Violation>, World) {
    let scenario = Scenario::draw(seed, Tier::World, &Shape::of(Tier::World));
    let mut world = World::new(&scenario, Trace::default());
    let result = run(&mut world, &scenario.plan, &mut oracles::all(&scenario, findings));
    (result, world)
}

#[test]
fn a_seed_with_faults_and_oracles_is_the_same_again() {
    let trace = |seed| {
        let (_, world) = simulate(seed, &SharedFindings::default());
        (world.trace().hash(), world.trace().events())
    };
    assert_eq!(trace(3), trace(3));
    assert_ne!(trace(3), trace(4));
}
