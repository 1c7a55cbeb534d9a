use std::cell::Cell;
use std::collections::BTreeSet;

use forever_core::config::Config;

use super::*;
use crate::system::Plan;

fn scenario(seed: u64, tier: Tier) -> Scenario {
    Scenario {
        seed,
        tier,
        nodes: Vec::new(),
        core: Vec::new(),
        config: Config::default(),
        latency_us: (1, 2),
        disk_us: (1, 2),
        engine: Default::default(),
        families: Vec::new(),
        plan: Plan { ops: Vec::new(), faults: Vec::new(), end_us: 1 },
        settle_us: 1,
        planted: None,
    }
}

fn hunt_where(violates: impl Fn(&Scenario) -> bool + Sync) -> Score {
    let violation = |scenario: &Scenario| {
        let what = format!("seed {}", scenario.seed);
        violates(scenario).then(|| Violation { oracle: "integrity".into(), at_us: 0, what })
    };
    let clock = || Duration::ZERO;
    let hunter =
        Hunter { draw: &scenario, simulate: &violation, needs: false, stop: &AtomicBool::new(false), clock: &clock };
    hunt(&hunter, PlantedBug::SkipHashCheck, Tier::World, Limit { seeds: 10, time: Duration::from_secs(1) })
}

#[test]
fn a_bug_is_found_by_the_first_seed_that_breaks_a_rule() {
    let score = hunt_where(|scenario| scenario.seed >= 3 && scenario.config.simulation.planted.is_some());
    assert_eq!((score.seeds, score.found.map(|found| found.seed)), (4, Some(3)));
}

#[test]
fn a_seed_that_breaks_a_rule_without_the_bug_finds_nothing() {
    let score = hunt_where(|scenario| scenario.seed < 5 || scenario.planted.is_some());
    assert_eq!((score.seeds, score.found.map(|found| found.seed)), (6, Some(5)));
    assert_eq!(hunt_where(|_| true).found, None);
}

#[test]
fn a_hunt_ends_when_its_time_is_over() {
    thread_local! {
        static NOW: Cell<u64> = const { Cell::new(0) };
    }
    let clock = || Duration::from_secs(NOW.replace(NOW.get() + 1));
    let hunter =
        Hunter { draw: &scenario, simulate: &|_| None, needs: false, stop: &AtomicBool::new(false), clock: &clock };
    let limit = Limit { seeds: 1_000, time: Duration::from_secs(5) };
    let score = hunt(&hunter, PlantedBug::SkipHashCheck, Tier::World, limit);
    assert_eq!((score.seeds, score.found), (4, None));
}

#[test]
fn bugs_have_names_of_their_own_that_lead_back_to_them() {
    let names: BTreeSet<&str> = PlantedBug::ALL.iter().map(|bug| bug.name()).collect();
    assert_eq!(names.len(), PlantedBug::ALL.len());
    for bug in PlantedBug::ALL {
        assert_eq!(bug.name().parse(), Ok(*bug));
        let config = with_bug(scenario(0, Tier::World), Some(*bug)).config;
        let text = serde_json::to_string(&config).unwrap();
        assert!(text.contains(bug.name()));
        assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), config);
    }
}

/// Of labels only: what bugs need is their author's reading. What their finds need is measured: `needs`.
#[test]
fn the_bugs_are_as_many_as_promised_and_their_labels_name_every_family() {
    assert!(PlantedBug::ALL.len() >= 30);
    let of_two = PlantedBug::ALL.iter().filter(|bug| bug.needs().len() >= 2).count();
    assert!(of_two >= 10, "{of_two} are said to need two faults");
    for family in crate::store::Family::ALL {
        let name = serde_json::to_value(family).unwrap();
        let alone = |bug: &&PlantedBug| bug.needs().len() == 1 && name == bug.needs()[0];
        assert!(PlantedBug::ALL.iter().any(|bug| alone(&bug)), "no bug is said to show by {name} alone");
    }
}

#[test]
fn a_scoreboard_reads_like_a_table() {
    let find = |seed| Find { oracle: "integrity".into(), what: "wrong".into(), tier: Tier::World, seed, needs: None };
    let score = |bug: &str, seeds, found| Score { bug: bug.into(), found, seeds, seconds: 0.5, stopped: false };
    let board =
        Scoreboard { scores: vec![score("a", 1, Some(find(0))), score("b", 9, Some(find(8))), score("c", 50, None)] };
    let text = board.to_string();
    assert!(text.ends_with("2 of 3 found; median seeds 9"), "{text}");
    assert!(text.contains("not found"));
}

#[test]
fn a_bug_that_is_not_found_takes_more_seeds_than_any_in_the_median() {
    let find = Find { oracle: "integrity".into(), what: "wrong".into(), tier: Tier::World, seed: 0, needs: None };
    let median = |seeds: &[Option<u64>]| {
        let score = |seeds: &Option<u64>| Score {
            bug: "a".into(),
            found: seeds.map(|_| find.clone()),
            seeds: seeds.unwrap_or(400),
            seconds: 0.5,
            stopped: false,
        };
        Scoreboard { scores: seeds.iter().map(score).collect() }.median_seeds()
    };
    assert_eq!(median(&[Some(9), Some(1), None]), Some(9));
    assert_eq!(median(&[Some(9), Some(1), None, None]), None);
    assert_eq!(median(&[]), None);
}

#[test]
fn a_hunt_that_is_stopped_begins_no_seed_and_says_so() {
    let stop = AtomicBool::new(false);
    let simulate = |scenario: &Scenario| {
        stop.store(scenario.seed == 2, Ordering::Relaxed);
        None
    };
    let hunter = Hunter { draw: &scenario, simulate: &simulate, needs: false, stop: &stop, clock: &|| Duration::ZERO };
    let limit = Limit { seeds: 10, time: Duration::from_secs(1) };
    let score = hunt(&hunter, PlantedBug::SkipHashCheck, Tier::World, limit);
    assert_eq!((score.seeds, score.found.clone(), score.stopped), (3, None, true));
    assert!(Scoreboard { scores: vec![score] }.to_string().contains("stopped"));
}

#[test]
fn what_a_find_needs_is_what_cannot_be_left_out() {
    use crate::store::Fault;
    use crate::system::Spanned;
    let mut busy = scenario(0, Tier::World);
    let faults = [
        Fault::Crash { node: 0 },
        Fault::Hold { a: 0, b: 1 },
        Fault::Crash { node: 1 },
        Fault::BitRot { node: 2, per_mille: 1 },
    ];
    busy.plan.faults = (0..).zip(faults).map(|(id, what)| Spanned { id, from_us: 0, until_us: 1, what }).collect();
    busy.config.simulation.buggify = Some(1);
    let has = |scenario: &Scenario, id| scenario.plan.faults.iter().any(|fault| fault.id == id);
    assert_eq!(needs::needs(&busy, &|scenario| has(scenario, 1) && has(scenario, 2)), ["network", "process"]);
    assert_eq!(needs::needs(&busy, &|scenario| scenario.config.simulation.buggify.is_some()), ["buggify"]);
    assert_eq!(needs::needs(&busy, &|_| true), [""; 0]);
}
