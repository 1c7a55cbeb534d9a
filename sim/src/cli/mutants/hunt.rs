//! The hunt: several bugs at once, each with seeds from 0 on.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use forever_core::simulation::PlantedBug;
use forever_sim::mutants::{Hunter, Limit, Score, Scoreboard, hunt as hunt_in_tier, tiers};
use forever_sim::simulation::{draw_caught, run_caught};
use forever_sim::store::{Scenario, Store, Tier};
use forever_sim::system::Violation;
use forever_sim::trace::Keep;

use crate::cli::{CliError, MutantsArgs, Verdict, cores, print, progress, stop, store};

/// Gives up on a bug after so long in one tier.
const TIME_MAX: Duration = Duration::from_secs(30 * 60);

pub(crate) fn hunt(args: &MutantsArgs) -> Result<Verdict, CliError> {
    let bugs = chosen(args.only.as_deref())?;
    // Both tiers are given what is set; what one of them cannot have is said before anything runs.
    let stores = Stores { world: store(Tier::World, &args.set)?, turmoil: store(Tier::Turmoil, &args.set)? };
    let stop = stop::on_ctrl_c()?;
    let bar = progress::counting(bugs.len() as u64);
    let scores = all(&bugs, args, &stores, &stop, &mut |score| {
        bar.inc(1);
        bar.set_message(format!("{}: {}", score.bug, if score.found.is_some() { "found" } else { "not found" }));
    });
    bar.finish_and_clear();
    let board = Scoreboard { scores };
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&board).expect("a scoreboard is plain data");
        std::fs::write(path, text + "\n").map_err(CliError::file(path))?;
    }
    print(&format!("{board}\n"));
    Ok(Verdict::of(board.found() == bugs.len()))
}

fn chosen(only: Option<&str>) -> Result<Vec<PlantedBug>, CliError> {
    let Some(name) = only else { return Ok(PlantedBug::ALL.to_vec()) };
    name.parse().map(|bug| vec![bug]).map_err(|_| {
        let names: Vec<&str> = PlantedBug::ALL.iter().map(|bug| bug.name()).collect();
        CliError::NoSuchMutant { name: name.into(), names: names.join(", ") }
    })
}

/// Hunts for all bugs, as many at once as there are cores. What a hunt finds does not depend on the others.
fn all(
    bugs: &[PlantedBug],
    args: &MutantsArgs,
    stores: &Stores,
    stop: &AtomicBool,
    show: &mut dyn FnMut(&Score),
) -> Vec<Score> {
    let next = AtomicUsize::new(0);
    let mut scores = BTreeMap::new();
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..cores() {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(bug) = bugs.get(index) else { return };
                    if sender.send((index, one(*bug, args, stores, stop))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for (index, score) in receiver {
            show(&score);
            scores.insert(index, score);
        }
    });
    scores.into_values().collect()
}

/// Hunts for a bug in each tier in which it can show, the fast one first.
fn one(bug: PlantedBug, args: &MutantsArgs, stores: &Stores, stop: &AtomicBool) -> Score {
    let start = Instant::now();
    let draw = |seed, tier| {
        draw_caught(stores.of(tier), seed).expect("drawing a scenario of a shape that was checked does not panic")
    };
    let hunter = Hunter { draw: &draw, simulate: &violation, needs: args.needs, clock: &|| start.elapsed() };
    let mut total = Score { bug: bug.name().into(), found: None, seeds: 0, seconds: 0.0 };
    for tier in tiers(bug) {
        let seeds = match tier {
            Tier::World => args.world_seeds,
            Tier::Turmoil => args.turmoil_seeds,
        };
        if total.found.is_some() || seeds == 0 || stop.load(Ordering::Relaxed) {
            continue;
        }
        let score = hunt_in_tier(&hunter, bug, *tier, Limit { seeds, time: TIME_MAX });
        total.seeds += score.seeds;
        total.seconds += score.seconds;
        total.found = score.found;
    }
    total
}

/// What scenarios are drawn from, in each tier.
struct Stores {
    world: Store,
    turmoil: Store,
}

impl Stores {
    const fn of(&self, tier: Tier) -> &Store {
        match tier {
            Tier::World => &self.world,
            Tier::Turmoil => &self.turmoil,
        }
    }
}

fn violation(scenario: &Scenario) -> Option<Violation> {
    run_caught(&Store::new(scenario.tier), scenario, Keep::Hash).0.violation
}
