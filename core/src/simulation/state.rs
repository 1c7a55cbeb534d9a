//! What one node remembers for its simulator.

use alloc::collections::{BTreeMap, BTreeSet};

use super::Simulation;

/// Each site is live in one of so many runs, and fires in one of so many evaluations when it is.
const ONE_IN: u64 = 4;

/// A site that is live or not for a whole run is live in one of so many runs: it has no second draw.
const ONE_IN_FOR_A_RUN: u64 = 2;

/// How often each site was evaluated, and which probes were reached, in one node or one of its parts.
#[derive(Clone, Debug, Default)]
pub struct SimulationState {
    simulation: Simulation,
    /// Tells nodes apart: they have the same seed.
    actor: u64,
    evaluations: BTreeMap<&'static str, u64>,
    probes: BTreeSet<&'static str>,
}

impl SimulationState {
    /// The state at the start of a node, or of a part of one, that `actor` tells apart from all others.
    #[must_use]
    pub fn new(simulation: Simulation, actor: u64) -> Self {
        Self { simulation, actor, ..Self::default() }
    }

    /// Whether a buggify point fires. Whether it is live is a function of (seed, site), whether it then fires of (seed, site,
    /// actor, n-th evaluation): what one site draws moves no other.
    #[must_use]
    pub fn fires(&mut self, site: &'static str) -> bool {
        let Some(live) = self.live(site, ONE_IN) else { return false };
        let nth = self.evaluations.entry(site).or_default();
        *nth += 1;
        mix(live ^ mix(self.actor ^ mix(*nth))).is_multiple_of(ONE_IN)
    }

    /// Whether a buggify point is live: for what must be the same on all nodes of a run.
    #[must_use]
    pub fn is_live(&self, site: &'static str) -> bool {
        self.live(site, ONE_IN_FOR_A_RUN).is_some()
    }

    /// The randomness of a site, if it is live.
    fn live(&self, site: &'static str, one_in: u64) -> Option<u64> {
        let random = mix(self.simulation.buggify? ^ mix(name_hash(site)));
        random.is_multiple_of(one_in).then_some(random)
    }

    /// Takes no rare paths on purpose any more: for the end of a run, when all must come to rest.
    pub fn calm(&mut self) {
        self.simulation.buggify = None;
    }

    /// A probe is reached.
    pub fn reach(&mut self, probe: &'static str) {
        self.probes.insert(probe);
    }

    /// The probes reached since this was last asked.
    #[must_use]
    pub fn take_probes(&mut self) -> BTreeSet<&'static str> {
        core::mem::take(&mut self.probes)
    }

    /// Whether the code has this bug.
    #[cfg(feature = "planted-bugs")]
    #[must_use]
    pub fn is_planted(&self, bug: super::PlantedBug) -> bool {
        self.simulation.planted == Some(bug)
    }
}

/// FNV-1a, 64 bits; [`mix`] spreads it.
fn name_hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// The finaliser of `SplitMix64` (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests;
