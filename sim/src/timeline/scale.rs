//! From simulated time to a place on the page. Runs have bursts of microseconds and minutes of silence: the width between two
//! happenings grows with the logarithm of the time between them, so that both can be read.

/// A gap of so many microseconds is half-way from "at once" to "later".
const UNIT_US: f64 = 100.0;

/// The page is at least so wide, and at most, in pixels.
const WIDTH: (f64, f64) = (1180.0, 9000.0);

/// What the average gap should have, in pixels.
const GAP_PX: f64 = 14.0;

/// Two marks on the axis are at least so far apart, in pixels.
const TICK_PX: f64 = 96.0;

/// Where times lie on the page.
pub(super) struct Scale {
    /// Times at which something happens, and their places, both rising.
    knots: Vec<(u64, f64)>,
}

impl Scale {
    /// A scale for these times, in any order.
    pub(super) fn new(mut times: Vec<u64>) -> Self {
        times.push(0);
        times.sort_unstable();
        times.dedup();
        let gaps = times.windows(2).map(|pair| ((pair[1] - pair[0]) as f64 / UNIT_US).ln_1p());
        let mut at = 0.0;
        let mut places = vec![0.0];
        for gap in gaps {
            at += gap;
            places.push(at);
        }
        let wanted = (times.len() as f64 * GAP_PX).clamp(WIDTH.0, WIDTH.1);
        let factor = if at > 0.0 { wanted / at } else { 0.0 };
        let knots = times.into_iter().zip(places.into_iter().map(|place| place * factor)).collect();
        Self { knots }
    }

    /// The place of a time, in pixels.
    pub(super) fn x(&self, at_us: u64) -> f64 {
        match self.knots.binary_search_by_key(&at_us, |(time, _)| *time) {
            Ok(index) => self.knots[index].1,
            Err(0) => 0.0,
            Err(index) if index == self.knots.len() => self.width(),
            Err(index) => {
                let ((from, left), (until, right)) = (self.knots[index - 1], self.knots[index]);
                left + (right - left) * (at_us - from) as f64 / (until - from) as f64
            }
        }
    }

    /// The place of the last time.
    pub(super) fn width(&self) -> f64 {
        self.knots.last().map_or(0.0, |(_, x)| *x)
    }

    /// Times to write on the axis.
    pub(super) fn ticks(&self) -> Vec<u64> {
        let mut ticks = Vec::new();
        let mut next = 0.0;
        for (time, x) in &self.knots {
            if *x >= next {
                ticks.push(*time);
                next = x + TICK_PX;
            }
        }
        ticks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_rise_with_time_and_silence_takes_little_room() {
        let scale = Scale::new(vec![5_000, 1_000, 2_000, 60_000_000]);
        let places: Vec<f64> = [0, 1_000, 1_500, 2_000, 5_000, 30_000_000, 60_000_000].map(|at| scale.x(at)).into();
        assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "{places:?}");
        assert!((scale.width() - WIDTH.0).abs() < 1e-6);
        assert!(places[3] > 0.1 * scale.width(), "two milliseconds of a minute can be seen: {places:?}");
        assert!(scale.x(u64::MAX) <= scale.width());
    }

    #[test]
    fn ticks_do_not_overlap() {
        let scale = Scale::new((0..2_000).map(|at| at * 1_000).collect());
        let ticks = scale.ticks();
        assert!(ticks.len() > 20);
        assert!(ticks.windows(2).all(|pair| scale.x(pair[1]) - scale.x(pair[0]) >= TICK_PX));
        assert_eq!(Scale::new(Vec::new()).ticks(), [0]);
    }
}
