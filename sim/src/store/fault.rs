//! What can go wrong, as data: each fault says whom it hits and how hard. When it begins and ends is in the plan.
//!
//! How a tier makes it happen is the tier's business; a tier that cannot leaves it out of the plans it is given, and
//! `forever-sim list` says so. Chances are in a thousand, times in milliseconds.

use serde::{Deserialize, Serialize};

use super::Tier;
use crate::system::Step;

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields' names are their units; each variant says what it does")]
pub enum Fault {
    // Network.
    /// Nothing passes between two sets of nodes, in either direction. If one of the sets does not hold all other nodes, the
    /// partition is partial.
    Partition { these: Vec<usize>, those: Vec<usize> },
    /// Nothing passes from one node to another; the other way is open.
    OneWay { from: usize, to: usize },
    /// All that two nodes send each other is held back and comes at once, in order, when the fault ends.
    Hold { a: usize, b: usize },
    /// Every message takes longer, by up to so much.
    LatencySpike { extra_ms: u32 },
    /// Everything between two nodes takes longer, by so much.
    SlowPair { a: usize, b: usize, extra_ms: u32 },
    /// A node's links carry so many bytes a second in each direction.
    Bandwidth { node: usize, bytes_per_s: u32 },
    /// Pieces of ciphertext between two nodes are dropped. The channel must close.
    DropBytes { a: usize, b: usize, per_mille: u32 },
    /// Pieces of ciphertext are delivered twice. The channel must close.
    DuplicateBytes { a: usize, b: usize, per_mille: u32 },
    /// Pieces of ciphertext overtake each other. The channel must close.
    ReorderBytes { a: usize, b: usize, per_mille: u32 },
    /// Connections between two nodes are reset in the middle of a frame, now and again.
    Resets { a: usize, b: usize, every_ms: u32 },
    /// The other ends of a node's connections vanish without a word, and the node does not learn of it.
    HalfOpen { node: usize },
    /// The ways between random pairs of nodes clog one after the other, and clear in another order until the end.
    Clog { pairs: Vec<(usize, usize)> },
    /// Somebody who does not know the cluster key dials a node again and again. It must be told nothing.
    Stranger { node: usize, approach: Approach },
    // Process.
    /// The process is killed; what its disk was told stays. Starts again at the end.
    Crash { node: usize },
    /// The power goes: what was not synced is gone, in whole or in part. Starts again at the end.
    PowerLoss { node: usize },
    /// The process stops in its tracks, and goes on at the end.
    Pause { node: usize },
    /// The process is killed and its disk replaced by an empty one; keys remain. Starts again at the end.
    LostDisk { node: usize },
    /// The node starts only at the end. One that runs already has started.
    SlowStart { node: usize },
    // Moved.
    /// The process is killed; it starts again at the end, at another address. At the old one nobody answers any more, and whoever has it
    /// in its configuration keeps it.
    Moved { node: usize },
    // Clock.
    /// A node's wall clock is off by so much.
    Skew { node: usize, ahead_ms: i64 },
    /// Both clocks of a node run faster or slower, by so many parts in a million.
    Drift { node: usize, ppm: i32 },
    /// A node's wall clock jumps, and back at the end.
    Jump { node: usize, ahead_ms: i64 },
    // Disk.
    /// Reads fail.
    ReadErrors {
        node: usize,
        per_mille: u32,
        #[serde(default)]
        part: DiskPart,
    },
    /// Writes fail.
    WriteErrors {
        node: usize,
        per_mille: u32,
        #[serde(default)]
        part: DiskPart,
    },
    /// Syncs fail. A node that met it acknowledges nothing more; when the fault ends, it is started again.
    SyncErrors {
        node: usize,
        per_mille: u32,
        #[serde(default)]
        part: DiskPart,
    },
    /// So many bytes of blobs can still be written; the index may use a small reserve besides.
    Full { node: usize, free_bytes: u64 },
    /// Every operation takes so much longer.
    SlowDisk { node: usize, extra_ms: u32 },
    /// Nothing completes before the end.
    StalledDisk { node: usize },
    /// Bits of blobs that lie on the disk flip, and stay flipped: in so many of a thousand blobs. In Turmoil, of blobs in files
    /// of their own; what becomes of the others is [`Fault::IndexRot`]'s business.
    BitRot { node: usize, per_mille: u32 },
    /// So many bits of the index's file flip while its node is down, which it is until the end. The store must refuse to open, with
    /// an error that says so, or hold what it held before; its operator then gives the node an empty disk. (Pages that rot under an
    /// open store are not simulated: `redb` looks at checksums when it opens a file, and keeps what it has read.)
    IndexRot { node: usize, bits: u32 },
    /// Writes of blobs go to the place of another blob: what was there is damaged, what was written is not where it should be.
    Misdirected { node: usize, per_mille: u32 },
    /// Syncs of folders do nothing: names may be gone after a power loss, although the disk said otherwise; the power goes for a
    /// moment at the end. A disk that does this lies, so what is lost then counts as destroyed.
    LostDirSyncs { node: usize },
    // Liars.
    /// A node lies.
    Liar { node: usize, lie: Lie },
}

/// What a stranger says to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Approach {
    /// Nothing.
    Silent,
    /// Some random bytes.
    Noise,
    /// The beginning of a handshake with another cluster's key.
    AnotherKey,
    /// The beginning of a handshake with a key of zeros, as if none had been set.
    NoKey,
}

impl Approach {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Silent, Self::Noise, Self::AnotherKey, Self::NoKey];

    const fn tell(self) -> &'static str {
        match self {
            Self::Silent => "says nothing",
            Self::Noise => "says what makes no sense",
            Self::AnotherKey => "has another cluster's key",
            Self::NoKey => "has a key of zeros",
        }
    }
}

/// What of a disk a fault meets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DiskPart {
    /// All of it, folders included.
    #[default]
    All,
    /// The files of blobs.
    Blobs,
    /// The files of the index.
    Index,
}

impl DiskPart {
    /// Whether it meets an access of blobs, or one of the index.
    #[must_use]
    pub const fn meets(self, of_blobs: bool) -> bool {
        match self {
            Self::All => true,
            Self::Blobs => of_blobs,
            Self::Index => !of_blobs,
        }
    }

    const fn tell(self) -> &'static str {
        match self {
            Self::All => "",
            Self::Blobs => " of blobs",
            Self::Index => " of the index",
        }
    }
}

/// How a node lies. What it holds, and what it acknowledges, counts as destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Lie {
    /// Flips bits of the data it serves.
    WrongBytes,
    /// Acknowledges chunks and records that it does not store.
    AcknowledgesOnly,
    /// Changes records that it hands on.
    ForgedRecords,
    /// Answers with the oldest records it has ever seen in place of the newest.
    OldRecords,
    /// Answers questions with nothing.
    Withholds,
    /// Says lengths, offsets and counts that cannot be.
    AbsurdSizes,
}

impl Lie {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::WrongBytes,
        Self::AcknowledgesOnly,
        Self::ForgedRecords,
        Self::OldRecords,
        Self::Withholds,
        Self::AbsurdSizes,
    ];

    const fn tell(self) -> &'static str {
        match self {
            Self::WrongBytes => "flips bits of what it serves",
            Self::AcknowledgesOnly => "acknowledges what it does not store",
            Self::ForgedRecords => "changes the records it hands on",
            Self::OldRecords => "answers with old records",
            Self::Withholds => "answers with nothing",
            Self::AbsurdSizes => "says sizes that cannot be",
        }
    }
}

impl Fault {
    /// Whether a tier can make it happen. Ciphertext, who does not have its key, and a file of the index exist only where the real
    /// channel and the real engine run.
    #[must_use]
    pub const fn works_in(&self, tier: Tier) -> bool {
        let of_the_real_node = matches!(
            self,
            Self::DropBytes { .. } | Self::DuplicateBytes { .. } | Self::ReorderBytes { .. } | Self::Stranger { .. }
        );
        match tier {
            Tier::World => !of_the_real_node,
            Tier::Turmoil => true,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Partition { .. } => "partition",
            Self::OneWay { .. } => "one-way",
            Self::Hold { .. } => "hold",
            Self::LatencySpike { .. } => "latency-spike",
            Self::SlowPair { .. } => "slow-pair",
            Self::Bandwidth { .. } => "bandwidth",
            Self::DropBytes { .. } => "drop-bytes",
            Self::DuplicateBytes { .. } => "duplicate-bytes",
            Self::ReorderBytes { .. } => "reorder-bytes",
            Self::Resets { .. } => "resets",
            Self::HalfOpen { .. } => "half-open",
            Self::Clog { .. } => "clog",
            Self::Stranger { .. } => "stranger",
            Self::Crash { .. } => "crash",
            Self::PowerLoss { .. } => "power-loss",
            Self::Pause { .. } => "pause",
            Self::LostDisk { .. } => "lost-disk",
            Self::SlowStart { .. } => "slow-start",
            Self::Moved { .. } => "moved",
            Self::Skew { .. } => "skew",
            Self::Drift { .. } => "drift",
            Self::Jump { .. } => "jump",
            Self::ReadErrors { .. } => "read-errors",
            Self::WriteErrors { .. } => "write-errors",
            Self::SyncErrors { .. } => "sync-errors",
            Self::Full { .. } => "full",
            Self::SlowDisk { .. } => "slow-disk",
            Self::StalledDisk { .. } => "stalled-disk",
            Self::BitRot { .. } => "bit-rot",
            Self::IndexRot { .. } => "index-rot",
            Self::Misdirected { .. } => "misdirected",
            Self::LostDirSyncs { .. } => "lost-dir-syncs",
            Self::Liar { .. } => "liar",
        }
    }
}

impl Step for Fault {
    fn tell(&self) -> String {
        match self {
            Self::Partition { these, those } => format!("nothing passes between nodes {these:?} and nodes {those:?}"),
            Self::OneWay { from, to } => format!("nothing passes from node {from} to node {to}"),
            Self::Hold { a, b } => format!("all between nodes {a} and {b} is held back"),
            Self::LatencySpike { extra_ms } => format!("every message takes up to {extra_ms} ms longer"),
            Self::SlowPair { a, b, extra_ms } => {
                format!("messages between nodes {a} and {b} take {extra_ms} ms longer")
            }
            Self::Bandwidth { node, bytes_per_s } => {
                format!("the links of node {node} carry {bytes_per_s} bytes a second")
            }
            Self::DropBytes { a, b, .. } => format!("bytes between nodes {a} and {b} get lost"),
            Self::DuplicateBytes { a, b, .. } => format!("bytes between nodes {a} and {b} come twice"),
            Self::ReorderBytes { a, b, .. } => format!("bytes between nodes {a} and {b} overtake each other"),
            Self::Resets { a, b, every_ms } => {
                format!("connections between nodes {a} and {b} are reset about every {every_ms} ms")
            }
            Self::HalfOpen { node } => format!("the other ends of node {node}'s connections vanish without a word"),
            Self::Clog { pairs } => format!("the ways between the pairs of nodes {pairs:?} clog one after the other"),
            Self::Stranger { node, approach } => {
                format!("a stranger dials node {node} again and again and {}", approach.tell())
            }
            Self::Crash { node } => format!("node {node} is killed"),
            Self::PowerLoss { node } => format!("node {node} loses power"),
            Self::Pause { node } => format!("node {node} stops in its tracks"),
            Self::LostDisk { node } => format!("node {node} is killed and gets an empty disk"),
            Self::SlowStart { node } => format!("node {node} is not started yet"),
            Self::Moved { node } => format!("node {node} is killed and gets another address"),
            Self::Skew { node, ahead_ms } => format!("the wall clock of node {node} is {ahead_ms} ms ahead"),
            Self::Drift { node, ppm } => format!("the clocks of node {node} run {ppm} millionths faster"),
            Self::Jump { node, ahead_ms } => format!("the wall clock of node {node} jumps by {ahead_ms} ms"),
            Self::ReadErrors { node, per_mille, part } => {
                format!("{per_mille} of 1,000 reads{} on the disk of node {node} fail", part.tell())
            }
            Self::WriteErrors { node, per_mille, part } => {
                format!("{per_mille} of 1,000 writes{} on the disk of node {node} fail", part.tell())
            }
            Self::SyncErrors { node, per_mille, part } => {
                format!("{per_mille} of 1,000 syncs{} on the disk of node {node} fail", part.tell())
            }
            Self::Full { node, free_bytes } => format!("the disk of node {node} has {free_bytes} bytes left"),
            Self::SlowDisk { node, extra_ms } => format!("the disk of node {node} takes {extra_ms} ms longer"),
            Self::StalledDisk { node } => format!("the disk of node {node} completes nothing"),
            Self::BitRot { node, per_mille } => {
                format!("bits flip in {per_mille} of 1,000 blobs on the disk of node {node}")
            }
            Self::IndexRot { node, bits } => format!("node {node} is killed, and {bits} bits of its index flip"),
            Self::Misdirected { node, per_mille } => {
                format!("{per_mille} of 1,000 writes on the disk of node {node} go to the wrong place")
            }
            Self::LostDirSyncs { node } => format!("the disk of node {node} does not sync folders, and says it does"),
            Self::Liar { node, lie } => format!("node {node} {}", lie.tell()),
        }
    }

    fn family(&self) -> &'static str {
        match self {
            Self::Partition { .. }
            | Self::OneWay { .. }
            | Self::Hold { .. }
            | Self::LatencySpike { .. }
            | Self::SlowPair { .. }
            | Self::Bandwidth { .. }
            | Self::DropBytes { .. }
            | Self::DuplicateBytes { .. }
            | Self::ReorderBytes { .. }
            | Self::Resets { .. }
            | Self::HalfOpen { .. }
            | Self::Clog { .. }
            | Self::Stranger { .. } => "network",
            Self::Crash { .. }
            | Self::PowerLoss { .. }
            | Self::Pause { .. }
            | Self::LostDisk { .. }
            | Self::SlowStart { .. } => "process",
            Self::Moved { .. } => "moved",
            Self::Skew { .. } | Self::Drift { .. } | Self::Jump { .. } => "clock",
            Self::ReadErrors { .. }
            | Self::WriteErrors { .. }
            | Self::SyncErrors { .. }
            | Self::Full { .. }
            | Self::SlowDisk { .. }
            | Self::StalledDisk { .. }
            | Self::BitRot { .. }
            | Self::IndexRot { .. }
            | Self::Misdirected { .. }
            | Self::LostDirSyncs { .. } => "disk",
            Self::Liar { .. } => "liar",
        }
    }

    fn nodes(&self) -> Vec<usize> {
        match self {
            Self::Partition { these, those } => these.iter().chain(those).copied().collect(),
            Self::LatencySpike { .. } => Vec::new(),
            Self::OneWay { from: a, to: b }
            | Self::Hold { a, b }
            | Self::SlowPair { a, b, .. }
            | Self::DropBytes { a, b, .. }
            | Self::DuplicateBytes { a, b, .. }
            | Self::ReorderBytes { a, b, .. }
            | Self::Resets { a, b, .. } => vec![*a, *b],
            Self::Clog { pairs } => pairs.iter().flat_map(|(a, b)| [*a, *b]).collect(),
            Self::Bandwidth { node, .. }
            | Self::HalfOpen { node }
            | Self::Stranger { node, .. }
            | Self::Crash { node }
            | Self::PowerLoss { node }
            | Self::Pause { node }
            | Self::LostDisk { node }
            | Self::SlowStart { node }
            | Self::Moved { node }
            | Self::Skew { node, .. }
            | Self::Drift { node, .. }
            | Self::Jump { node, .. }
            | Self::ReadErrors { node, .. }
            | Self::WriteErrors { node, .. }
            | Self::SyncErrors { node, .. }
            | Self::Full { node, .. }
            | Self::SlowDisk { node, .. }
            | Self::StalledDisk { node }
            | Self::BitRot { node, .. }
            | Self::IndexRot { node, .. }
            | Self::Misdirected { node, .. }
            | Self::LostDirSyncs { node }
            | Self::Liar { node, .. } => vec![*node],
        }
    }
}
