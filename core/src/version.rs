//! Versions: hybrid logical clock stamps.
//!
//! Source: Kulkarni et al., "Logical Physical Clocks and Consistent Snapshots in Globally Distributed Databases" (2014).

use serde::{Deserialize, Serialize};

use crate::ids::NodeId;

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
