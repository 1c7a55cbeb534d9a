#![allow(clippy::needless_update, reason = "with planted bugs there is a field more")]

use alloc::vec::Vec;

use super::*;

const SITES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

fn fired(seed: Option<u64>, actor: u64, site: &'static str) -> usize {
    let mut state = SimulationState::new(Simulation { buggify: seed, ..Simulation::default() }, actor);
    (0..400).filter(|_| state.fires(site)).count()
}

#[test]
fn nothing_fires_without_a_seed() {
    assert!(SITES.iter().all(|site| fired(None, 1, site) == 0));
}

#[test]
fn a_quarter_of_the_sites_is_live_and_fires_a_quarter_of_the_time() {
    let counts: Vec<usize> = (0..100).flat_map(|seed| SITES.map(|site| fired(Some(seed), 1, site))).collect();
    let live = counts.iter().filter(|count| **count > 0).count();
    assert!((160..240).contains(&live), "{live} of 800 are live");
    assert!(counts.iter().all(|count| *count == 0 || (60..140).contains(count)), "{counts:?}");
}

#[test]
fn whether_a_site_is_live_is_the_same_on_all_nodes_but_not_when_it_fires() {
    let of = |actor| {
        let mut state = SimulationState::new(Simulation { buggify: Some(3), ..Simulation::default() }, actor);
        SITES.map(|site| (0..64).filter(|_| state.fires(site)).collect::<Vec<u32>>())
    };
    let (one, other) = (of(1), of(2));
    assert_eq!(one.clone().map(|fired| fired.is_empty()), other.clone().map(|fired| fired.is_empty()));
    assert_ne!(one, other);
}

#[test]
fn a_site_of_a_whole_run_is_live_in_half_of_the_runs() {
    let is_live = |seed| {
        let simulation = Simulation { buggify: Some(seed), ..Simulation::default() };
        SimulationState::new(simulation, 1).is_live("answers.page-cut-short")
    };
    let live = (0..1_000).filter(|seed| is_live(*seed)).count();
    assert!((400..600).contains(&live), "{live}");
}

#[test]
fn other_sites_do_not_move_when_a_site_fires() {
    let simulation = Simulation { buggify: Some(5), ..Simulation::default() };
    let (mut alone, mut among) = (SimulationState::new(simulation, 1), SimulationState::new(simulation, 1));
    for _ in 0..200 {
        let _ = SITES[1..].iter().filter(|site| among.fires(site)).count();
        assert_eq!(alone.fires(SITES[0]), among.fires(SITES[0]));
    }
}

#[test]
fn probes_are_told_once() {
    let mut state = SimulationState::default();
    state.reach("probe");
    state.reach("probe");
    assert_eq!(state.take_probes().into_iter().collect::<Vec<_>>(), ["probe"]);
    assert!(state.take_probes().is_empty());
}
