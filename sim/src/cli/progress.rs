//! Progress on a terminal; nothing is shown elsewhere.

use std::time::Duration;

use forever_sim::case::Size;
use forever_sim::shrink;
use forever_sim::sweep::Report;
use indicatif::{ProgressBar, ProgressStyle};

const BAR: &str = "{elapsed:>4} [{bar:30}] {msg}";
const SPINNER: &str = "{elapsed:>4} {spinner} {msg}";

/// The progress of a sweep: by seeds if there are so many, by time otherwise.
pub(crate) struct Sweeping {
    bar: ProgressBar,
    seeds: Option<u64>,
    probes: usize,
}

impl Sweeping {
    /// A sweep of so many seeds, for so long, that may reach so many probes.
    pub(crate) fn new(seeds: Option<u64>, time: Option<Duration>, probes: usize) -> Self {
        let length = seeds.or_else(|| time.map(millis)).unwrap_or(0);
        Self { bar: styled(ProgressBar::new(length), BAR), seeds, probes }
    }

    /// Shows how far it has got.
    pub(crate) fn show<S>(&self, report: &Report<S>) {
        let position = if self.seeds.is_some() { report.seeds } else { millis(report.wall) };
        self.bar.set_position(position);
        let (seeds, rate, simulated) = (report.seeds, report.seeds_per_s(), report.sim_per_wall());
        let (failed, reached) = (report.failed(), report.probes.len());
        self.bar.set_message(format!(
            "{seeds} seeds, {rate:.1}/s, {simulated:.0} simulated s/s, {reached}/{} probes, {failed} failed",
            self.probes
        ));
    }

    /// Takes it off the terminal.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// The progress of something that counts up to a known number.
pub(crate) fn counting(of: u64) -> ProgressBar {
    styled(ProgressBar::new(of), "{elapsed:>4} [{bar:30}] {pos}/{len} {msg}")
}

/// The progress of shrinking.
pub(crate) fn shrinking() -> ProgressBar {
    styled(ProgressBar::new_spinner(), SPINNER)
}

/// Shows how far shrinking has got.
pub(crate) fn show_shrinking(bar: &ProgressBar, progress: shrink::Progress) {
    let shrink::Progress { tries, phase, ops, faults, nodes } = progress;
    let size = Size { nodes, ops, faults };
    bar.set_message(format!("{size} left after {tries} tries: {phase}"));
    bar.tick();
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).expect("the templates above are valid");
    bar.with_style(style.progress_chars("=> "))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
