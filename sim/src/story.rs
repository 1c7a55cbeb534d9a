//! A run as a story in plain words.

use std::fmt::Write as _;

use crate::case::Size;
use crate::simulation::{Remark, Scenario};
use crate::system::{Plan, Step, Violation};

/// Tells a run: what there is, what happens when, and which rule is broken in the end.
///
/// `before` is how large the scenario was before it was made small; `remarks` are in the order of time.
#[must_use]
pub fn tell<S: Scenario>(
    scenario: &S,
    violation: Option<&Violation>,
    before: Option<Size>,
    remarks: &[Remark],
) -> String {
    let mut story = String::new();
    let _ = writeln!(story, "{}", scenario.tell());
    if let Some(before) = before {
        let left = Size::of(scenario);
        let _ = writeln!(story, "Left of {before}: {left}.");
    }
    let _ = writeln!(story);
    let end_us = violation.map_or(u64::MAX, |violation| violation.at_us);
    for (at_us, text) in lines(scenario.plan(), remarks) {
        if at_us <= end_us {
            let _ = writeln!(story, "{}  {}", time(at_us), sentence(&text));
        }
    }
    match violation {
        Some(violation) => {
            let Violation { oracle, at_us, what } = violation;
            let _ = writeln!(story, "{}  The rule '{oracle}' is broken: {}", time(*at_us), stopped(what));
        }
        None => {
            let _ = writeln!(story, "No rule is broken.");
        }
    }
    story
}

/// All that happens, in the order of time; at one time, in the order in which a run does it.
fn lines<O: Step, F: Step>(plan: &Plan<O, F>, remarks: &[Remark]) -> Vec<(u64, String)> {
    let mut lines = Vec::new();
    for fault in &plan.faults {
        if fault.from_us >= plan.end_us {
            continue;
        }
        let what = fault.what.tell();
        let until_us = fault.until_us.max(fault.from_us + 1);
        lines.push((fault.from_us, 1, format!("{what} (until {})", time(until_us.min(plan.end_us)).trim_start())));
        if until_us < plan.end_us {
            lines.push((until_us, 0, format!("over: {what}")));
        }
    }
    for op in plan.ops.iter().filter(|op| op.at_us < plan.end_us) {
        lines.push((op.at_us, 2, op.what.tell()));
    }
    lines.push((
        plan.end_us,
        4,
        "the plan is over: whatever still goes wrong ends, and the system comes to rest".into(),
    ));
    lines.extend(remarks.iter().map(|remark| (remark.at_us, 3, remark.text.clone())));
    lines.sort_by_key(|(at_us, order, _)| (*at_us, *order));
    lines.into_iter().map(|(at_us, _, text)| (at_us, text)).collect()
}

/// So many of something, with an `s` where it belongs.
#[must_use]
pub fn count(number: usize, of: &str) -> String {
    format!("{number} {of}{}", if number == 1 { "" } else { "s" })
}

/// Seconds with all six digits that a time has, in a column.
fn time(at_us: u64) -> String {
    format!("{:>4}.{:06} s", at_us / 1_000_000, at_us % 1_000_000)
}

/// With a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}", stopped(letters.as_str()))
}

/// With a full stop.
fn stopped(text: &str) -> String {
    let stop = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{text}{stop}")
}
