//! Many seeds at once: one thread a job, and one report, which is the same for any number of jobs.

mod report;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

pub use report::{BITES_PER_SEED_MIN, ByOracle, FAILURES_KEPT, Failure, OPS_PER_SEED_MIN, Report};

use crate::simulation::{self, Outcome, Simulation};
use crate::trace::{Keep, Trace};

/// How often a report is shown when nothing else happens.
const SHOW_EVERY: Duration = Duration::from_millis(200);

/// What to sweep.
#[derive(Debug)]
pub struct Sweep<'a> {
    /// The seeds, in this order.
    pub seeds: Range<u64>,
    /// Begins no seed after so much time.
    pub time: Option<Duration>,
    /// Threads; at least 1.
    pub jobs: usize,
    /// Begins no seed after this was set.
    pub stop: &'a AtomicBool,
}

/// A seed that was run.
struct Done<S> {
    seed: u64,
    outcome: Outcome,
    /// Kept of failures only.
    scenario: Option<S>,
}

/// Runs seeds until all were run, the time is over or `stop` is set; `show` sees the report grow, from this thread. A seed
/// that panics has failed, as one that broke a rule has.
pub fn sweep<S: Simulation>(
    simulation: &S,
    sweep: &Sweep<'_>,
    show: &mut dyn FnMut(&Report<S::Scenario>),
) -> Report<S::Scenario> {
    let start = Instant::now();
    let next = AtomicU64::new(sweep.seeds.start);
    let mut report = Report::new(sweep.seeds.start);
    let over = || sweep.stop.load(Ordering::Relaxed) || sweep.time.is_some_and(|time| start.elapsed() >= time);
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..sweep.jobs.max(1) {
            let sender = sender.clone();
            scope.spawn(|| job(simulation, &next, sweep.seeds.end, &over, sender));
        }
        drop(sender);
        // Every seed that was begun is finished, so that what has come in is a run of seeds without a gap, sooner or later.
        let mut early = BTreeMap::new();
        loop {
            match receiver.recv_timeout(SHOW_EVERY) {
                Ok(done) => {
                    let done: Done<S::Scenario> = done;
                    early.insert(done.seed, done);
                    while let Some(done) = early.remove(&report.next_seed()) {
                        report.add(done.outcome, done.scenario);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            report.wall = start.elapsed();
            show(&report);
        }
    });
    report.wall = start.elapsed();
    report
}

fn job<S: Simulation>(
    simulation: &S,
    next: &AtomicU64,
    end: u64,
    over: &dyn Fn() -> bool,
    sender: Sender<Done<S::Scenario>>,
) {
    while !over() {
        let claimed = next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |seed| (seed < end).then(|| seed + 1));
        let Ok(seed) = claimed else { return };
        if sender.send(one(simulation, seed)).is_err() {
            return;
        }
    }
}

fn one<S: Simulation>(simulation: &S, seed: u64) -> Done<S::Scenario> {
    match simulation::draw_caught(simulation, seed) {
        Ok(scenario) => {
            let (outcome, _) = simulation::run_caught(simulation, &scenario, Keep::Hash);
            let scenario = outcome.violation.is_some().then_some(scenario);
            Done { seed, outcome, scenario }
        }
        Err(message) => Done { seed, outcome: Outcome::of_panic(message, &Trace::default()), scenario: None },
    }
}
