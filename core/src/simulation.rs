//! What a simulator switches on in the real code, and what the code tells it: rare paths taken on purpose, interesting
//! states reached, and bugs planted to prove that they are found.
//!
//! Without the feature `simulation` all of this is empty: [`buggify!`](crate::buggify) and [`planted!`](crate::planted) are
//! the constant `false`, [`sometimes!`](crate::sometimes) is nothing, and [`Simulation`] and [`SimulationState`] have no
//! fields. There are no globals: each node has its own state.
//!
//! Buggify points are FoundationDB's idea (Zhou et al., "FoundationDB: A Distributed Unbundled Transactional Key Value
//! Store", SIGMOD 2021, section 4): each takes a legal but rare path, and probabilities are theirs.

use alloc::string::String;

use serde::{Deserialize, Serialize};

#[cfg(feature = "simulation")]
mod catalogue;
#[cfg(feature = "simulation")]
pub use catalogue::{PROBES, SITES};
#[cfg(feature = "planted-bugs")]
mod planted;
#[cfg(feature = "planted-bugs")]
pub use planted::{PlantedBug, UnknownBug};
#[cfg(feature = "simulation")]
mod state;
#[cfg(feature = "simulation")]
pub use state::SimulationState;

/// What a simulator wants of a node. Part of the configuration; the default is what a real node has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Form", into = "Form")]
pub struct Simulation {
    /// The seed of the buggify points; `None` switches them off.
    #[cfg(feature = "simulation")]
    pub buggify: Option<u64>,
    /// The bug that the code has.
    #[cfg(feature = "planted-bugs")]
    pub planted: Option<PlantedBug>,
}

/// As it is stored: the same in every build, so that what a real node records is read by a simulator.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Form {
    buggify: Option<u64>,
    planted: Option<String>,
}

impl From<Simulation> for Form {
    fn from(simulation: Simulation) -> Self {
        #[cfg(feature = "simulation")]
        let buggify = simulation.buggify;
        #[cfg(feature = "planted-bugs")]
        let planted = simulation.planted.map(|bug| bug.name().into());
        // Without the features there is nothing to take over.
        let Simulation { .. } = simulation;
        #[cfg(not(feature = "simulation"))]
        let buggify = None;
        #[cfg(not(feature = "planted-bugs"))]
        let planted = None;
        Self { buggify, planted }
    }
}

impl TryFrom<Form> for Simulation {
    type Error = &'static str;

    fn try_from(form: Form) -> Result<Self, Self::Error> {
        if cfg!(not(feature = "simulation")) && form.buggify.is_some() {
            return Err("this build has no buggify points: use `forever-sim`");
        }
        if cfg!(not(feature = "planted-bugs")) && form.planted.is_some() {
            return Err("this build has no planted bugs: build it with the feature `planted-bugs`");
        }
        Ok(Self {
            #[cfg(feature = "simulation")]
            buggify: form.buggify,
            #[cfg(feature = "planted-bugs")]
            planted: match form.planted {
                Some(name) => Some(name.parse().map_err(|_| "no planted bug has this name")?),
                None => None,
            },
        })
    }
}

/// What one node remembers for its simulator: nothing.
#[cfg(not(feature = "simulation"))]
#[derive(Clone, Debug, Default)]
pub struct SimulationState;

#[cfg(not(feature = "simulation"))]
impl SimulationState {
    /// The state of a node at its start.
    #[must_use]
    pub const fn new(_: Simulation, _: u64) -> Self {
        Self
    }
}

/// Whether to take a rare but legal path, now, at this site: `buggify!(state, "site")`; or for a whole run on all nodes:
/// `buggify!(state, "site", for a run)`.
#[cfg(feature = "simulation")]
#[macro_export]
macro_rules! buggify {
    ($state:expr, $site:literal) => {
        $state.fires($site)
    };
    ($state:expr, $site:literal, for a run) => {
        $state.is_live($site)
    };
}

/// Whether to take a rare but legal path, now, at this site: never, without the feature `simulation`.
#[cfg(not(feature = "simulation"))]
#[macro_export]
macro_rules! buggify {
    ($state:expr, $site:literal $(, for a run)?) => {{
        let _ = &$state;
        false
    }};
}

/// Tells the simulator that an interesting state has been reached: `sometimes!(state, "name")`.
#[cfg(feature = "simulation")]
#[macro_export]
macro_rules! sometimes {
    ($state:expr, $name:literal) => {
        $state.reach($name)
    };
}

/// Tells the simulator that an interesting state has been reached: nothing, without the feature `simulation`.
#[cfg(not(feature = "simulation"))]
#[macro_export]
macro_rules! sometimes {
    ($state:expr, $name:literal) => {{
        let _ = &$state;
    }};
}

/// Whether the code has this bug: `planted!(state, BugName)`.
#[cfg(feature = "planted-bugs")]
#[macro_export]
macro_rules! planted {
    ($state:expr, $bug:ident) => {
        $state.is_planted($crate::simulation::PlantedBug::$bug)
    };
}

/// Whether the code has this bug: it has not, without the feature `planted-bugs`.
#[cfg(not(feature = "planted-bugs"))]
#[macro_export]
macro_rules! planted {
    ($state:expr, $bug:ident) => {{
        let _ = &$state;
        false
    }};
}
