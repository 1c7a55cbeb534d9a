//! What a sweep says in the end: for people, for programs and for CI.

pub(crate) mod json;
pub(crate) mod junit;
pub(crate) mod text;

use std::collections::BTreeMap;
use std::path::PathBuf;

use forever_sim::store::Tier;
use forever_sim::sweep::Report;

/// At least so many of a thousand operations should succeed over a sweep.
const SUCCESS_PER_MILLE_MIN: u64 = 900;

/// At most so many of a thousand reads should be excused.
const EXCUSED_PER_MILLE_MAX: u64 = 20;

/// What a report is about, besides what was found.
pub(crate) struct Context<'a> {
    pub(crate) tier: Tier,
    pub(crate) jobs: usize,
    /// All probes that there are in this tier.
    pub(crate) probes: Vec<&'static str>,
    /// All oracles.
    pub(crate) oracles: Vec<&'static str>,
    /// Case files by seed.
    pub(crate) cases: &'a BTreeMap<u64, PathBuf>,
    /// Whether a sweep that tested too little has failed.
    pub(crate) required: bool,
}

impl Context<'_> {
    /// Probes that were never reached.
    pub(crate) fn unreached<S>(&self, report: &Report<S>) -> Vec<&'static str> {
        self.probes.iter().copied().filter(|probe| !report.probes.contains_key(probe)).collect()
    }

    /// In what the sweep tested too little.
    pub(crate) fn shortcomings<S>(&self, report: &Report<S>) -> Vec<String> {
        let mut all = Vec::new();
        let tally = &report.tally;
        if report.seeds == 0 {
            all.push("no seed was run".into());
        }
        if per_mille(tally.succeeded, tally.ops) < SUCCESS_PER_MILLE_MIN {
            all.push(format!("{} of operations succeeded, not 90%", percent(tally.succeeded, tally.ops)));
        }
        if per_mille(tally.excused, tally.reads) > EXCUSED_PER_MILLE_MAX {
            all.push(format!("{} of reads are excused, more than 2%", percent(tally.excused, tally.reads)));
        }
        let unreached = self.unreached(report);
        if !unreached.is_empty() {
            all.push(format!("{} probes were never reached: {}", unreached.len(), unreached.join(", ")));
        }
        all
    }
}

fn per_mille(part: u64, whole: u64) -> u64 {
    part.saturating_mul(1000) / whole.max(1)
}

/// A share as text.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    format!("{:.1}%", part as f64 * 100.0 / whole.max(1) as f64)
}
