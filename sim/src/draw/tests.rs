use super::*;

const HERE: Site = Site::new("tests.here");
const THERE: Site = Site::new("tests.there");

#[test]
fn a_draw_depends_on_seed_site_actor_and_number_and_on_nothing_else() {
    let draws = Draws::new(7);
    let first = draws.at(HERE, 1, 2).next();
    assert_eq!(first, draws.at(HERE, 1, 2).next());
    let others = [
        Draws::new(8).at(HERE, 1, 2),
        draws.at(THERE, 1, 2),
        draws.at(HERE, 2, 2),
        draws.at(HERE, 1, 3),
        draws.at(HERE, 2, 1),
    ];
    for mut other in others {
        assert_ne!(other.next(), first);
    }
}

#[test]
fn draws_stay_in_their_range_and_reach_both_ends() {
    let seen: std::collections::BTreeSet<u64> =
        (0..1000).map(|nth| Draws::new(1).at(HERE, 0, nth).between(3, 6)).collect();
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [3, 4, 5, 6]);
}

#[test]
fn chances_are_what_they_say() {
    let hits = (0..100_000).filter(|nth| Draws::new(1).at(HERE, 0, *nth).per_mille(250)).count();
    assert!((24_500..25_500).contains(&hits), "{hits} of 100,000 at a quarter");
}

#[test]
fn a_shuffle_keeps_all_values() {
    let mut values: Vec<u32> = (0..50).collect();
    Draws::new(1).at(HERE, 0, 0).shuffle(&mut values);
    assert_ne!(values, (0..50).collect::<Vec<_>>());
    values.sort_unstable();
    assert_eq!(values, (0..50).collect::<Vec<_>>());
}
