//! How fast the breadth tier of the simulator is, in a thread: events of the core while nodes stream, simulated time while
//! they idle, and a large cluster with churn. An event is what the trace records: an input, an output, a deadline, a command.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use forever_benches::simulated;
use forever_core::config::Config;
use forever_sim::store::oracles::{self, SharedFindings};
use forever_sim::store::{Content, Fault, Op, OpKind, Scenario, Shape, Tier};
use forever_sim::system::{Plan, Spanned, System as _, Timed, run};
use forever_sim::trace::Trace;
use forever_sim::world::World;

const SECOND_US: u64 = 1_000_000;

/// Nodes of owners of their own, each of which dials those before it, at most `dials`.
fn scenario(nodes: usize, dials: usize, seconds: u64) -> Scenario {
    let config = Config { chunk_size: 256, ..Config::default() };
    let plan = Plan { ops: Vec::new(), faults: Vec::new(), end_us: seconds * SECOND_US };
    Scenario { plan, settle_us: 60 * SECOND_US, ..simulated::scenario(nodes, dials, config) }
}

fn put(scenario: &mut Scenario, at_us: u64, node: usize, file: u32, len: u32) {
    let id = scenario.plan.ops.len();
    let content = Content { salt: id as u64, len, changed: None };
    let what = Op { node, what: OpKind::put(file, content) };
    scenario.plan.ops.push(Timed { id, at_us, what });
}

/// Five nodes, each of which streams a file of many small chunks to all others.
fn streaming() -> Scenario {
    let mut scenario = scenario(5, 5, 60);
    for node in 0..5 {
        put(&mut scenario, SECOND_US, node, 0, 512 << 10);
    }
    scenario
}

/// A hundred nodes for ten minutes: each is killed now and again, and files are put all the time.
fn churning() -> Scenario {
    let mut scenario = scenario(100, 10, 600);
    scenario.config.chunk_size = 4 << 10;
    for second in 0..590_u32 {
        let start_us = u64::from(second) * SECOND_US;
        put(&mut scenario, start_us, (second as usize * 37) % 100, 0, 20 << 10);
        let (id, node) = (scenario.plan.faults.len(), (second as usize * 61) % 100);
        let from_us = start_us + SECOND_US / 2;
        let what = Fault::Crash { node };
        scenario.plan.faults.push(Spanned { id, from_us, until_us: from_us + 8 * SECOND_US, what });
    }
    scenario
}

/// Runs the plan and nothing after it; the number of events.
fn simulate(scenario: &Scenario) -> u64 {
    let mut world = World::new(scenario, Trace::default());
    world.watch_frames(false);
    run(&mut world, &scenario.plan, &mut []).expect("nobody judges");
    black_box(world.trace().hash());
    world.trace().events()
}

fn events(c: &mut Criterion) {
    let mut group = c.benchmark_group("world");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    let scenario = streaming();
    group.throughput(Throughput::Elements(simulate(&scenario)));
    group.bench_function("events of 5 streaming nodes", |b| b.iter(|| simulate(&scenario)));
    let (seconds, idle) = (1_000, self::scenario(5, 5, 1_000));
    group.throughput(Throughput::Elements(seconds));
    group.bench_with_input(BenchmarkId::new("idle nodes, simulated seconds", 5), &idle, |b, idle| {
        b.iter(|| simulate(idle));
    });
    group.finish();
}

/// Seeds as a sweep runs them: faults, oracles, the judge at the end.
fn seeds(c: &mut Criterion) {
    let mut seed = 0;
    c.bench_function("world/a seed of the default shape", |b| {
        b.iter(|| {
            seed += 1;
            let scenario = Scenario::draw(seed, Tier::World, &Shape::of(Tier::World));
            let mut world = World::new(&scenario, Trace::default());
            let findings = SharedFindings::default();
            // What a seed finds is told by a sweep; here only its time counts.
            let _ = run(&mut world, &scenario.plan, &mut oracles::all(&scenario, &findings));
            black_box(world.trace().hash())
        });
    });
}

/// Once: it is meant to stay below a minute, not to be measured finely.
fn churn(_: &mut Criterion) {
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    if filter.is_some_and(|filter| !"churn".contains(&filter)) {
        return;
    }
    let started = Instant::now();
    let events = simulate(&churning());
    println!("100 nodes, 10 simulated minutes with churn: {events} events in {:.1?}", started.elapsed());
}

criterion_group!(benches, events, seeds, churn);
criterion_main!(benches);
