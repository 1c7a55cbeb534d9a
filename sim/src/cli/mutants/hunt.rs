//! The hunt: several bugs at once, each with seeds from 0 on.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use forever_core::simulation::PlantedBug;
use forever_sim::mutants::{Find, Hunter, Limit, Score, Scoreboard, hunt as hunt_in_tier, tiers, with_bug};
use forever_sim::simulation::{draw_caught, run_caught};
use forever_sim::store::{Scenario, Store, Tier};
use forever_sim::system::Violation;
use forever_sim::trace::Keep;

use crate::cli::again::replay_line;
use crate::cli::output::{Output, check_folder, conclude};
use crate::cli::{CliError, MutantsArgs, Verdict, case, cores, eprint, print, progress, stop, store};

/// Gives up on a bug after so long in one tier.
const TIME_MAX: Duration = Duration::from_secs(30 * 60);

pub(crate) fn hunt(args: &MutantsArgs) -> Result<Verdict, CliError> {
    let bugs = chosen(&args.only)?;
    // Both tiers are given what is set; what one of them cannot have is said before anything runs.
    let stores = Stores { world: store(Tier::World, &args.set)?, turmoil: store(Tier::Turmoil, &args.set)? };
    let json = Output::open(args.json.as_deref())?;
    args.cases.as_deref().map_or(Ok(()), check_folder)?;
    let stop = stop::on_ctrl_c()?;
    eprint(&format!("hunting {} bugs with {} jobs; Ctrl-C ends it with its scoreboard\n", bugs.len(), cores()));
    let bar = progress::counting(bugs.len() as u64);
    let scores = all(&bugs, args, &stores, &stop, &mut |score| {
        bar.inc(1);
        bar.set_message(format!("{}: {}", score.bug, if score.found.is_some() { "found" } else { "not found" }));
    });
    bar.finish_and_clear();
    let board = Scoreboard { scores };
    print(&format!("{board}\n"));
    let ended = board.scores.iter().filter(|score| !score.stopped).count();
    if ended < bugs.len() {
        print(&format!("stopped: {} of {} hunts did not end\n", bugs.len() - ended, bugs.len()));
    }
    let mut errors = Vec::new();
    if let Some(file) = json {
        let text = serde_json::to_string_pretty(&board).expect("a scoreboard is plain data");
        errors.extend(file.write(&(text + "\n")).err());
    }
    if let Some(folder) = &args.cases {
        errors.extend(write_cases(&board, &stores, folder));
    }
    conclude(Verdict::of(board.found() == ended), errors)
}

/// Writes a case of each find and prints how to replay it, by a build with planted bugs; returns what could not be written.
fn write_cases(board: &Scoreboard, stores: &Stores, folder: &Path) -> Vec<CliError> {
    let mut errors = Vec::new();
    for score in &board.scores {
        let (Some(found), Ok(bug)) = (&score.found, score.bug.parse()) else { continue };
        match write_case(found, bug, stores, folder) {
            Ok(line) => print(&line),
            Err(error) => errors.push(error),
        }
    }
    errors
}

fn write_case(found: &Find, bug: PlantedBug, stores: &Stores, folder: &Path) -> Result<String, CliError> {
    let scenario = with_bug(drawn(stores, found.seed, found.tier), Some(bug));
    let outcome = run_caught(stores.of(found.tier), &scenario, Keep::Hash).0;
    let violation = outcome.violation.expect("the same scenario breaks the same rule again");
    Ok(replay_line(&case::write(folder, scenario, violation, outcome.trace_hash)?))
}

fn drawn(stores: &Stores, seed: u64, tier: Tier) -> Scenario {
    draw_caught(stores.of(tier), seed).expect("drawing a scenario of a shape that was checked does not panic")
}

fn chosen(only: &[String]) -> Result<Vec<PlantedBug>, CliError> {
    if only.is_empty() {
        return Ok(PlantedBug::ALL.to_vec());
    }
    let named = |name: &String| {
        name.parse().map_err(|_| {
            let names: Vec<&str> = PlantedBug::ALL.iter().map(|bug| bug.name()).collect();
            CliError::NoSuchMutant { name: name.clone(), names: names.join(", ") }
        })
    };
    only.iter().map(named).collect()
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
    let draw = |seed, tier| drawn(stores, seed, tier);
    let clock = || start.elapsed();
    let hunter = Hunter { draw: &draw, simulate: &violation, needs: args.needs, stop, clock: &clock };
    let mut total = Score { bug: bug.name().into(), found: None, seeds: 0, seconds: 0.0, stopped: false };
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
    total.stopped = total.found.is_none() && stop.load(Ordering::Relaxed);
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
