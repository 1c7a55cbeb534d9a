//! The node's configuration, as the core sees it. Every value is checked where it is read.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::placement::Replicas;
use crate::record::Retention;
use crate::simulation::Simulation;

/// A node's configuration. What is not said of it is as in [`Config::default`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Addresses to tell peers that this node listens at. An empty host means "where you see me": the node learns its
    /// addresses from its peers then.
    pub listen: Vec<String>,
    /// Addresses to dial at start and for ever after. One of a cluster is enough.
    pub bootstrap: Vec<String>,
    /// Links that this node keeps by itself, at least 4 (with less, those on demand are beyond them). In a cluster with more other members
    /// it keeps so many at most: to neighbours that all nodes make out alike, and to others on demand.
    #[serde(default = "max_peers")]
    pub max_peers: u32,
    /// How much this node takes of what is stored, compared with others; 0 for nothing.
    pub weight: u32,
    /// What this node has in common with others that may fail together with it; at most 64 bytes.
    pub zone: String,
    /// How often SWIM probes a member. A member that does not answer is down after some five of these.
    pub swim_period: Duration,
    /// A member that is down for so long no longer counts for placement: from when it first did not answer a probe.
    pub repair_after: Duration,
    /// Plain bytes of a chunk.
    pub chunk_size: u32,
    /// How long versions of this owner's files are kept.
    pub retention: Retention,
    /// How long what was stored before its record is kept without it.
    #[serde(default = "default_lease")]
    pub lease: Duration,
    /// How long a day of retention is: other than 24 hours only in simulations.
    #[serde(default = "default_day")]
    pub day: Duration,
    /// Chunks of all puts that may be between acceptance and durability.
    pub put_window_chunks: u32,
    /// Chunks that one get or one replica may have under way.
    pub fetch_window_chunks: u32,
    /// Sealed blobs kept in memory for peers that are about to want them, in bytes.
    pub hot_bytes: u64,
    /// Data bytes handed to the driver of a link and not yet on the wire.
    pub link_window_bytes: u32,
    /// Requests of callers served at once.
    pub requests_max: u32,
    /// A request fails when nothing happened for so long.
    pub request_timeout: Duration,
    /// A wanted object is asked for elsewhere when nothing of it came for so long.
    pub fetch_timeout: Duration,
    /// A question to a peer counts as unanswered after so long.
    pub answer_timeout: Duration,
    /// A put no longer waits for a peer that has made no progress for so long, once enough others have it.
    pub straggler_timeout: Duration,
    /// A ping is sent when nothing was heard for so long.
    pub heartbeat: Duration,
    /// A link is dead when nothing was heard for so long.
    pub link_timeout: Duration,
    /// One peer after the other is compared with at such intervals.
    #[serde(default = "sync_interval")]
    pub sync_interval: Duration,
    /// Bytes of chunks that repair may fetch in a second.
    #[serde(default = "repair_bytes_s")]
    pub repair_bytes_s: u64,
    /// First and longest wait before dialling again.
    pub redial: (Duration, Duration),
    /// Broken-protocol closes before a peer is banned.
    pub ban_after: u32,
    /// How long a ban lasts.
    pub ban_for: Duration,
    /// When checkpoints are signed.
    #[serde(default)]
    pub checkpoints: CheckpointPace,
    /// Over how much running time every blob is read and checked once; zero for never.
    #[serde(default)]
    pub scrub_period: Duration,
    /// How often records are checked for the pages and chunks that they need here; zero for never.
    #[serde(default)]
    pub presence_period: Duration,
    /// What the blobs of each other owner may take here, in bytes; 0 for no limit.
    #[serde(default)]
    pub quota_bytes: u64,
    /// What all blobs together may take here, in bytes; 0 for no limit. The disk keeps to it.
    #[serde(default)]
    pub store_max_bytes: u64,
    /// What chunks that were read and are not kept here by a record may take, in bytes; 0 for none.
    #[serde(default)]
    pub cache_bytes: u64,
    /// What a simulator wants of the node.
    pub simulation: Simulation,
}

/// What configurations say that do not tell.
fn max_peers() -> u32 {
    64
}

/// What configurations say that do not tell.
fn sync_interval() -> Duration {
    Duration::from_secs(10)
}

/// What configurations say that do not tell.
fn repair_bytes_s() -> u64 {
    16 << 20
}
/// A day.
const DAY: Duration = Duration::from_secs(86_400);

const fn default_lease() -> Duration {
    Duration::from_secs(7 * 86_400)
}

const fn default_day() -> Duration {
    DAY
}

/// When a device signs a checkpoint after changes of its owner's names, its own or others': when there has been none for a
/// while, or when there have been many, or when the first was long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointPace {
    /// So long after the last change.
    pub quiet: Duration,
    /// At the latest after so many changes.
    pub changes_max: u32,
    /// At the latest so long after the first change.
    pub wait_max: Duration,
}

impl Default for CheckpointPace {
    fn default() -> Self {
        Self { quiet: Duration::from_secs(2), changes_max: 64, wait_max: Duration::from_secs(60) }
    }
}

/// The bytes that the chunks of one window may take of memory together.
const WINDOW_BYTES: u64 = 16 << 20;

impl Config {
    /// How many chunks of `chunk_size` plain bytes each of `sharers` may have under way of a window of `chunks`: at least
    /// two, so that one is worked on while the next comes.
    pub(crate) fn share(chunks: u32, chunk_size: u64, sharers: u32) -> usize {
        let fitting = u64::from(chunks).min(WINDOW_BYTES / chunk_size.max(1));
        let share = (fitting / u64::from(sharers.max(1))).max(2);
        usize::try_from(share).unwrap_or(usize::MAX)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            bootstrap: Vec::new(),
            max_peers: max_peers(),
            weight: 100,
            zone: String::new(),
            swim_period: Duration::from_secs(2),
            repair_after: Duration::from_secs(300),
            chunk_size: 1 << 20,
            retention: Retention { keep_versions: 10, keep_days: 30, replicas: Replicas::default() },
            lease: default_lease(),
            day: default_day(),
            put_window_chunks: 16,
            fetch_window_chunks: 8,
            hot_bytes: 16 << 20,
            link_window_bytes: 1 << 20,
            requests_max: 256,
            request_timeout: Duration::from_secs(30),
            fetch_timeout: Duration::from_secs(3),
            answer_timeout: Duration::from_secs(5),
            straggler_timeout: Duration::from_secs(3),
            heartbeat: Duration::from_secs(5),
            link_timeout: Duration::from_secs(15),
            sync_interval: sync_interval(),
            repair_bytes_s: repair_bytes_s(),
            redial: (Duration::from_millis(250), Duration::from_secs(30)),
            ban_after: 3,
            ban_for: Duration::from_secs(300),
            checkpoints: CheckpointPace::default(),
            scrub_period: 14 * DAY,
            presence_period: DAY,
            quota_bytes: 0,
            store_max_bytes: 0,
            cache_bytes: 0,
            simulation: Simulation::default(),
        }
    }
}
