//! Versions: hybrid logical clock stamps.
//!
//! Source: Kulkarni et al., "Logical Physical Clocks and Consistent Snapshots in Globally Distributed Databases" (2014).

use serde::{Deserialize, Serialize};

use crate::ids::NodeId;

/// How far ahead of its wall clock a device may stamp, in milliseconds: 24 h.
pub const AHEAD_MS_MAX: u64 = 24 * 60 * 60 * 1_000;

/// Length of [`Version::to_bytes`].
pub const VERSION_LEN: usize = 44;

/// A version stamp. Ordered by wall time, then counter, then node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// Milliseconds since the Unix epoch, of the stamping device or ahead of it.
    pub wall_ms: u64,
    /// Tells stamps of the same millisecond apart.
    pub counter: u32,
    /// The device that stamped.
    pub node: NodeId,
}

impl Version {
    /// A form whose byte order is the order of versions: wall time and counter big endian, then the node.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; VERSION_LEN] {
        let mut bytes = [0; VERSION_LEN];
        bytes[..8].copy_from_slice(&self.wall_ms.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.counter.to_be_bytes());
        bytes[12..].copy_from_slice(self.node.as_bytes());
        bytes
    }
}

/// Why a clock gives no stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ClockError {
    /// The next stamp would lie more than [`AHEAD_MS_MAX`] ahead of this machine's clock.
    #[error(
        "the newest version of this owner is {ahead_ms} ms ahead of this machine's clock, more than 24 h: set the clock"
    )]
    TooFarAhead {
        /// How far.
        ahead_ms: u64,
    },
}

/// A hybrid logical clock: what it stamps is above all that it stamped or observed. Persist it before a stamp is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HybridClock {
    wall_ms: u64,
    counter: u32,
}

impl HybridClock {
    /// The next stamp, at the wall time `now_wall_ms`.
    ///
    /// # Errors
    /// When it would lie too far ahead of the wall time; the clock is unchanged then.
    pub fn stamp(&mut self, now_wall_ms: u64, node: NodeId) -> Result<Version, ClockError> {
        let next = self.next(now_wall_ms);
        let ahead_ms = next.wall_ms.saturating_sub(now_wall_ms);
        if ahead_ms > AHEAD_MS_MAX || next == *self {
            return Err(ClockError::TooFarAhead { ahead_ms });
        }
        *self = next;
        Ok(Version { wall_ms: next.wall_ms, counter: next.counter, node })
    }

    /// Moves past a version of a verified record of the owner.
    pub fn observe(&mut self, version: &Version) {
        if (version.wall_ms, version.counter) > (self.wall_ms, self.counter) {
            self.wall_ms = version.wall_ms;
            self.counter = version.counter;
        }
    }

    /// Whether the clock stands at a version or past it.
    #[must_use]
    pub fn has_seen(&self, version: &Version) -> bool {
        (version.wall_ms, version.counter) <= (self.wall_ms, self.counter)
    }

    /// The least state above this one and not before `now_wall_ms`; this one itself at the end of time.
    fn next(&self, now_wall_ms: u64) -> Self {
        if now_wall_ms > self.wall_ms {
            return Self { wall_ms: now_wall_ms, counter: 0 };
        }
        match (self.counter.checked_add(1), self.wall_ms.checked_add(1)) {
            (Some(counter), _) => Self { counter, ..*self },
            (None, Some(wall_ms)) => Self { wall_ms, counter: 0 },
            (None, None) => *self,
        }
    }
}

#[cfg(test)]
mod tests;
