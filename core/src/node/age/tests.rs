use super::*;

const HOUR_MS: u64 = 3_600_000;

fn at(mono_ms: u64, wall_ms: u64) -> Time {
    Time { mono: Monotonic(mono_ms * 1_000), wall_ms }
}

#[test]
fn ages_follow_a_clock_that_is_right() {
    let mut age = AgeClock::start(None, at(5, 1_000));
    age.advance(at(15, 1_010));
    age.advance(at(40, 1_035));
    assert_eq!(age.noted(), Noted { lived_ms: 35, believed_ms: 1_035 });
}

#[test]
fn parts_of_milliseconds_add_up() {
    let mut age = AgeClock::start(None, at(0, 0));
    for micros in (0..=10_000).step_by(300) {
        age.advance(Time { mono: Monotonic(micros), wall_ms: micros / 1_000 });
    }
    assert_eq!(age.lived_ms(), 9);
}

#[test]
fn a_clock_set_ahead_is_believed_only_so_fast() {
    let mut age = AgeClock::start(None, at(0, 0));
    age.advance(at(1_000, 1_000 + 100 * HOUR_MS));
    assert_eq!(age.noted(), Noted { lived_ms: 1_000, believed_ms: 4_000 });
    age.advance(at(2_000, 2_000));
    assert_eq!(age.noted(), Noted { lived_ms: 2_000, believed_ms: 4_000 });
    age.advance(at(10_000, 10_000));
    assert_eq!(age.noted(), Noted { lived_ms: 10_000, believed_ms: 10_000 });
}

#[test]
fn a_node_that_was_off_lived_no_longer_and_catches_up() {
    let noted = Noted { lived_ms: 50, believed_ms: 1_000 };
    let mut age = AgeClock::start(Some(noted), at(0, 1_000 + 3 * HOUR_MS));
    age.advance(at(HOUR_MS, 1_000 + 4 * HOUR_MS));
    assert_eq!(age.noted(), Noted { lived_ms: 50 + HOUR_MS, believed_ms: 1_000 + 4 * HOUR_MS });
}

#[test]
fn a_clock_that_is_behind_for_a_while_takes_nothing_back() {
    let noted = Noted { lived_ms: 50, believed_ms: 100 * HOUR_MS };
    let mut age = AgeClock::start(Some(noted), at(0, 0));
    age.advance(at(1_000, 1_000));
    age.advance(at(2_000, 100 * HOUR_MS + 2_000));
    assert_eq!(age.noted(), Noted { lived_ms: 2_050, believed_ms: 100 * HOUR_MS + 2_000 });
}
