//! What a sweep says in the end: for people, for programs and for CI.

pub(crate) mod json;
pub(crate) mod junit;
pub(crate) mod text;

use std::collections::BTreeMap;
use std::path::PathBuf;

use forever_sim::story::count;
use forever_sim::sweep::{BITES_PER_SEED_MIN, OPS_PER_SEED_MIN, Report};

use super::StoreArgs;

/// At least so many of a thousand operations should succeed over a sweep.
const SUCCESS_PER_MILLE_MIN: u64 = 900;

/// At most so many of a thousand reads should be excused.
const EXCUSED_PER_MILLE_MAX: u64 = 20;

/// A sweep of fewer seeds than so many says little about shares.
const SEEDS_JUDGED_MIN: u64 = 50;

/// In what a sweep tested too little.
pub(crate) struct Shortcoming {
    /// What it is, and what should be.
    pub(crate) text: String,
    /// Whether the sweep fails for it.
    pub(crate) fails: bool,
}

/// What a report is about, besides what was found.
pub(crate) struct Context<'a> {
    pub(crate) store: &'a StoreArgs,
    pub(crate) jobs: usize,
    /// All probes that this tier can reach.
    pub(crate) probes: Vec<&'static str>,
    /// Those of them that so many seeds must reach.
    pub(crate) demanded: Vec<&'static str>,
    /// All oracles.
    pub(crate) oracles: Vec<&'static str>,
    /// Case files by seed.
    pub(crate) cases: &'a BTreeMap<u64, PathBuf>,
    /// Whether a sweep that tested too little in any way has failed.
    pub(crate) required: bool,
}

impl Context<'_> {
    /// Probes that were never reached.
    pub(crate) fn unreached<S>(&self, report: &Report<S>) -> Vec<&'static str> {
        self.probes.iter().copied().filter(|probe| !report.probes.contains_key(probe)).collect()
    }

    /// In what the sweep tested too little.
    pub(crate) fn shortcomings<S>(&self, report: &Report<S>) -> Vec<Shortcoming> {
        let is_judged = report.seeds >= SEEDS_JUDGED_MIN && self.store.set.is_empty();
        let of_shares = shares(report).into_iter().map(|text| Shortcoming { text, fails: self.required || is_judged });
        let of_seeds = seeds(report).into_iter().map(|text| Shortcoming { text, fails: self.required });
        let mut unreached = self.unreached(report);
        unreached.retain(|probe| self.demanded.contains(probe));
        let of_probes = (!unreached.is_empty()).then(|| {
            let never = if unreached.len() == 1 { "was never reached" } else { "were never reached" };
            let text = format!("{} {never}: {}", count(unreached.len(), "probe"), unreached.join(", "));
            Shortcoming { text, fails: self.required }
        });
        of_shares.chain(of_seeds).chain(of_probes).collect()
    }
}

/// What is wrong with how operations went.
fn shares<S>(report: &Report<S>) -> Vec<String> {
    let tally = &report.tally;
    let mut all = Vec::new();
    if tally.succeeded.saturating_mul(1000) < SUCCESS_PER_MILLE_MIN * tally.ops {
        all.push(format!("{} of operations succeeded, not 90%", percent(tally.succeeded, tally.ops)));
    }
    if tally.excused.saturating_mul(1000) > EXCUSED_PER_MILLE_MAX * tally.reads {
        all.push(format!("{} of reads are excused, more than 2%", percent(tally.excused, tally.reads)));
    }
    all
}

/// What is wrong with what seeds did.
fn seeds<S>(report: &Report<S>) -> Vec<String> {
    let mut all = Vec::new();
    if report.seeds == 0 {
        all.push("no seed was run".into());
    }
    if report.seeds_with_ops < report.seeds_whole {
        let (short, of) = (report.seeds_whole - report.seeds_with_ops, report.seeds_whole);
        all.push(format!("{short} of {of} seeds had fewer than {OPS_PER_SEED_MIN} operations"));
    }
    if report.seeds_bitten < report.seeds_with_faults {
        let (short, of) = (report.seeds_with_faults - report.seeds_bitten, report.seeds_with_faults);
        all.push(format!("in {short} of {of} seeds with faults fewer than {BITES_PER_SEED_MIN} took effect"));
    }
    all
}

fn per_mille(part: u64, whole: u64) -> u64 {
    part.saturating_mul(1000) / whole.max(1)
}

/// A share as text: cut, not rounded, so that what is just below a goal does not read as if it were met.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    let per_mille = per_mille(part, whole);
    format!("{}.{}%", per_mille / 10, per_mille % 10)
}

#[cfg(test)]
mod tests;
