//! Ranges of seeds and lengths of time, as they are written on a command line.

use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

/// `A..B`, or `A..` without an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seeds {
    pub(crate) first: u64,
    /// Excluded.
    pub(crate) end: Option<u64>,
}

impl Seeds {
    /// As a range.
    pub(crate) fn range(self) -> Range<u64> {
        self.first..self.end.unwrap_or(u64::MAX)
    }
}

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let usage = || format!("`{text}` is no range of seeds, such as 0..1000 or 5000..");
        let (first, end) = text.split_once("..").ok_or_else(usage)?;
        let first = first.parse().map_err(|_| usage())?;
        let end = if end.is_empty() { None } else { Some(end.parse().map_err(|_| usage())?) };
        match end {
            Some(end) if end <= first => Err(format!("`{text}` holds no seed: its end must be above its start")),
            Some(_) | None => Ok(Self { first, end }),
        }
    }
}

/// `500ms`, `90s`, `5m` or `8h`.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => 0,
    };
    let number: u64 = number.parse().unwrap_or(0);
    match number.checked_mul(unit_ms) {
        Some(ms) if ms > 0 => Ok(Duration::from_millis(ms)),
        Some(_) | None => Err(format!("`{text}` is no time, such as 90s, 5m or 8h")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_have_a_start_and_perhaps_an_end() {
        assert_eq!("3..7".parse(), Ok(Seeds { first: 3, end: Some(7) }));
        assert_eq!("3..".parse(), Ok(Seeds { first: 3, end: None }));
        for bad in ["", "3", "..7", "7..7", "9..3", "a..b", "1..2..3", "-1..2"] {
            assert!(bad.parse::<Seeds>().is_err(), "{bad}");
        }
    }

    #[test]
    fn times_have_a_unit() {
        assert_eq!(time("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(time("8h"), Ok(Duration::from_secs(8 * 3600)));
        assert_eq!(time("250ms"), Ok(Duration::from_millis(250)));
        for bad in ["", "s", "90", "0s", "1d", "1.5s", "-1s", "99999999999999999999h", "18446744073709551615h"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }
}
