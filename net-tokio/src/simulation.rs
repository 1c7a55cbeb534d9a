//! The simulator's hold on the parts of a node that are not the core: as [`forever_core::simulation`], shared by the threads
//! and tasks of one node. Without the feature `simulation` it is empty.

/// What the parts of one node besides its core share with their simulator. Clones are the same.
#[cfg(not(feature = "simulation"))]
#[derive(Clone, Debug, Default)]
pub struct Simulated(());

#[cfg(not(feature = "simulation"))]
impl Simulated {
    /// The state at the start of a node; `actor` tells it apart from all others.
    #[must_use]
    pub const fn new(_: forever_core::simulation::Simulation, _: u64) -> Self {
        Self(())
    }
}

#[cfg(feature = "simulation")]
mod catalogue;
#[cfg(feature = "simulation")]
pub use catalogue::{PROBES, SITES};
#[cfg(feature = "simulation")]
pub use shared::Simulated;

#[cfg(feature = "simulation")]
mod shared {
    use std::collections::BTreeSet;
    use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

    use forever_core::simulation::{Simulation, SimulationState};

    /// What the parts of one node besides its core share with their simulator. Clones are the same.
    #[derive(Clone, Debug, Default)]
    pub struct Simulated {
        state: Arc<Mutex<SimulationState>>,
        /// Fingerprints of all keys that this node has sealed frames with.
        keys: Arc<Mutex<BTreeSet<[u8; 32]>>>,
    }

    impl Simulated {
        /// The state at the start of a node; `actor` tells it apart from all others.
        #[must_use]
        pub fn new(simulation: Simulation, actor: u64) -> Self {
            Self { state: Arc::new(Mutex::new(SimulationState::new(simulation, actor))), keys: Arc::default() }
        }

        /// Whether a buggify point fires.
        #[must_use]
        pub fn fires(&self, site: &'static str) -> bool {
            self.state().fires(site)
        }

        /// Whether a buggify point is live: for what must be the same on all nodes of a run.
        #[must_use]
        pub fn is_live(&self, site: &'static str) -> bool {
            self.state().is_live(site)
        }

        /// A probe is reached.
        pub fn reach(&self, probe: &'static str) {
            self.state().reach(probe);
        }

        /// The probes reached since this was last asked.
        #[must_use]
        pub fn take_probes(&self) -> BTreeSet<&'static str> {
            self.state().take_probes()
        }

        /// Whether the code has this bug.
        #[cfg(feature = "planted-bugs")]
        #[must_use]
        pub fn is_planted(&self, bug: forever_core::simulation::PlantedBug) -> bool {
            self.state().is_planted(bug)
        }

        /// A channel begins to seal with a key.
        ///
        /// # Panics
        /// If a channel of this node has begun with that key before: both start at the same nonce, and whoever listens
        /// learns what the frames of one are in terms of the other's.
        pub fn begin_key(&self, fingerprint: [u8; 32]) {
            let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
            assert!(keys.insert(fingerprint), "two channels of a node seal with the same key and nonces");
        }

        fn state(&self) -> MutexGuard<'_, SimulationState> {
            // A panic elsewhere cannot have left it half changed.
            self.state.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }
}
