//! Whole plans, from their first operation to the judge's last question.

use std::time::Duration;

use forever_core::event::RequestError;
use forever_sim::store::{Event, Fault, Op, OpError, OpKind, OpResult, Scenario, View};
use forever_sim::system::{Oracle, Spanned, System, Timed, run};
use forever_sim::trace::Trace;
use forever_sim::turmoil_tier::TurmoilTier;

use crate::harness::{CHUNK, get, put, scenario};

/// Counts what happens, in the order in which it may.
#[derive(Debug, Default)]
struct Counter {
    started: Vec<usize>,
    ended: Vec<usize>,
    good: usize,
    bitten: usize,
    healed: usize,
    judged: usize,
    up: i64,
}

impl Oracle<TurmoilTier> for Counter {
    fn name(&self) -> &'static str {
        "counter"
    }

    fn observe(&mut self, _: Duration, event: &Event, _: &mut (dyn View + 'static)) -> Result<(), String> {
        match event {
            Event::Started { op, .. } => self.started.push(*op),
            Event::Delivered { .. } => {}
            Event::Ended { op, result } => {
                if !self.started.contains(op) || self.ended.contains(op) {
                    return Err(format!("operation {op} ended when it could not"));
                }
                self.ended.push(*op);
                self.good += usize::from(!matches!(result, OpResult::Failed(_)));
                // What the judge deleted, and what was never put, is not there.
                let is_absent = OpResult::Failed(OpError::Failed(RequestError::NotFound));
                if self.healed > 0 && matches!(result, OpResult::Failed(_)) && *result != is_absent {
                    return Err(format!("operation {op}: {result:?}"));
                }
                self.judged += self.healed;
            }
            Event::Bit { .. } => self.bitten += 1,
            Event::Healed => self.healed += 1,
            Event::Up { .. } => self.up += 1,
            Event::Down { .. } => self.up -= 1,
            Event::Lost { .. }
            | Event::Frame { .. }
            | Event::Heard { .. }
            | Event::Told { .. }
            | Event::Probe { .. } => {}
        }
        Ok(())
    }

    fn judge(&mut self, view: &mut (dyn View + 'static)) -> Result<(), String> {
        let core = view.scenario().core.clone();
        let open = self.started.iter().filter(|op| !self.ended.contains(op)).count();
        if (self.healed, open) != (1, 0) || core.iter().any(|node| !view.is_up(*node)) {
            return Err(format!("{open} operations have not ended: {self:?}"));
        }
        if self.good < 90 || self.bitten < 10 || self.judged < core.len() {
            return Err(format!("{self:?}"));
        }
        Ok(())
    }
}

/// Five nodes, 120 operations and a dozen faults in 40 seconds; one node is left behind.
fn busy(seed: u64) -> Scenario {
    let mut scenario = scenario(seed, 5);
    scenario.core = vec![0, 1, 2, 3];
    scenario.plan.end_us = 40_000_000;
    for id in 0..120_usize {
        let file = u32::try_from(id % 12).unwrap();
        let len = [5, 20_000, 3 * CHUNK, 9 * CHUNK][id % 4];
        let what = match id % 6 {
            0..=2 => put(file, id as u64, len),
            3 => get(file),
            4 => OpKind::List,
            _ => OpKind::Versions { file },
        };
        let op = Op { node: id % 4, what };
        scenario.plan.ops.push(Timed { id, at_us: 1_000_000 + 310_000 * id as u64, what: op });
    }
    let faults = [
        Fault::Partition { these: vec![0, 1], those: vec![4] },
        Fault::Hold { a: 0, b: 2 },
        Fault::LatencySpike { extra_ms: 60 },
        Fault::Resets { a: 1, b: 2, every_ms: 900 },
        Fault::ReorderBytes { a: 2, b: 3, per_mille: 20 },
        Fault::Bandwidth { node: 3, bytes_per_s: 2_000_000 },
        Fault::Crash { node: 4 },
        Fault::PowerLoss { node: 4 },
        Fault::Pause { node: 4 },
        Fault::Drift { node: 1, ppm: 300 },
        Fault::Jump { node: 2, ahead_ms: 700 },
        Fault::SlowDisk { node: 3, extra_ms: 20 },
        Fault::BitRot { node: 0, per_mille: 40 },
    ];
    for (id, what) in faults.into_iter().enumerate() {
        let from_us = 2_000_000 + 2_700_000 * id as u64;
        scenario.plan.faults.push(Spanned { id, from_us, until_us: from_us + 3_000_000, what });
    }
    let left_behind = Fault::Partition { these: vec![4], those: vec![0, 1, 2, 3] };
    scenario.plan.faults.push(Spanned { id: 99, from_us: 38_000_000, until_us: 90_000_000, what: left_behind });
    scenario
}

fn hash(scenario: &Scenario) -> String {
    let mut tier = TurmoilTier::new(scenario, Trace::default());
    let start = std::time::Instant::now();
    run(&mut tier, &scenario.plan, &mut [Box::new(Counter::default())]).unwrap_or_else(|broken| panic!("{broken:?}"));
    println!("{:?} for {:?}, {} events in the trace", start.elapsed(), tier.now(), tier.trace().events());
    tier.trace().hash().to_string()
}

#[test]
fn a_plan_with_faults_settles_and_its_trace_is_a_function_of_its_seed() {
    let first = hash(&busy(90));
    assert_eq!(hash(&busy(90)), first);
    assert_ne!(hash(&busy(91)), first);
}
