//! All faults, for who asks what there is.

use super::{Approach, DiskPart, Fault, Lie};

impl Fault {
    /// One of each kind, with modest figures.
    #[must_use]
    pub fn samples() -> Vec<Self> {
        let (node, a, b, part) = (1, 0, 1, DiskPart::All);
        vec![
            Self::Partition { these: vec![0, 1], those: vec![2] },
            Self::OneWay { from: a, to: b },
            Self::Hold { a, b },
            Self::LatencySpike { extra_ms: 500 },
            Self::SlowPair { a, b, extra_ms: 500 },
            Self::Bandwidth { node, bytes_per_s: 10_000 },
            Self::DropBytes { a, b, per_mille: 10 },
            Self::DuplicateBytes { a, b, per_mille: 10 },
            Self::ReorderBytes { a, b, per_mille: 10 },
            Self::Resets { a, b, every_ms: 500 },
            Self::HalfOpen { node },
            Self::Clog { pairs: vec![(0, 1), (1, 2)] },
            Self::Stranger { node, approach: Approach::AnotherKey },
            Self::Crash { node },
            Self::PowerLoss { node },
            Self::Pause { node },
            Self::LostDisk { node },
            Self::SlowStart { node },
            Self::Moved { node },
            Self::Skew { node, ahead_ms: 60_000 },
            Self::Drift { node, ppm: 500 },
            Self::Jump { node, ahead_ms: -5_000 },
            Self::ReadErrors { node, per_mille: 50, part },
            Self::WriteErrors { node, per_mille: 50, part },
            Self::SyncErrors { node, per_mille: 50, part },
            Self::Full { node, free_bytes: 10_000 },
            Self::SlowDisk { node, extra_ms: 100 },
            Self::StalledDisk { node },
            Self::BitRot { node, per_mille: 50 },
            Self::IndexRot { node, bits: 1 },
            Self::Misdirected { node, per_mille: 50 },
            Self::LostDirSyncs { node },
            Self::Liar { node, lie: Lie::WrongBytes },
        ]
    }

    /// What it does, in a sentence or two.
    #[must_use]
    pub const fn about(&self) -> &'static str {
        match self {
            Self::Partition { .. } => "Nothing passes between two sets of nodes; partial if some nodes are in neither.",
            Self::OneWay { .. } => "Nothing passes from one node to another; the other way is open.",
            Self::Hold { .. } => "All that two nodes send each other is held back and comes at once at the end.",
            Self::LatencySpike { .. } => "Every message takes longer, by up to so much.",
            Self::SlowPair { .. } => "Everything between two nodes takes longer.",
            Self::Bandwidth { .. } => "A node's links carry only so many bytes a second in each direction.",
            Self::DropBytes { .. } => "Pieces of ciphertext are dropped: the channel must close.",
            Self::DuplicateBytes { .. } => "Pieces of ciphertext are delivered twice: the channel must close.",
            Self::ReorderBytes { .. } => "Pieces of ciphertext overtake each other: the channel must close.",
            Self::Resets { .. } => "Connections are reset in the middle of a frame, now and again.",
            Self::HalfOpen { .. } => "The other ends of a node's connections vanish without a word.",
            Self::Clog { .. } => "The ways between random pairs of nodes clog one by one, and clear in another order.",
            Self::Stranger { .. } => {
                "Somebody who does not know the cluster key dials a node: it must be told nothing."
            }
            Self::Crash { .. } => "The process is killed; what its disk was told stays. Starts again at the end.",
            Self::PowerLoss { .. } => "The power goes: what was not synced is gone, in whole or in part.",
            Self::Pause { .. } => "The process stops in its tracks, and goes on at the end.",
            Self::LostDisk { .. } => "The process is killed and its disk replaced by an empty one; keys remain.",
            Self::SlowStart { .. } => "The node starts only at the end.",
            Self::Moved { .. } => "The process is killed, and starts again at the end at another address.",
            Self::Skew { .. } => "A node's wall clock is off.",
            Self::Drift { .. } => "Both clocks of a node run faster or slower.",
            Self::Jump { .. } => "A node's wall clock jumps, and back at the end.",
            Self::ReadErrors { .. } => "Reads of the disk fail.",
            Self::WriteErrors { .. } => "Writes to the disk fail.",
            Self::SyncErrors { .. } => "Syncs of the disk fail.",
            Self::Full { .. } => "No more than so many bytes can be written.",
            Self::SlowDisk { .. } => "Every operation of the disk takes longer.",
            Self::StalledDisk { .. } => "No operation of the disk completes before the end.",
            Self::BitRot { .. } => "Bits of blobs that lie on the disk flip, and stay flipped.",
            Self::IndexRot { .. } => {
                "Bits of the index's file flip while the node is down: it must refuse to start, or hold what it held."
            }
            Self::Misdirected { .. } => "Writes of blobs go to the place of another blob.",
            Self::LostDirSyncs { .. } => "Syncs of folders do nothing, and the disk says they did.",
            Self::Liar { .. } => {
                "A node lies: wrong bytes, empty acknowledgements, forged or old records, no answers, absurd sizes."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::system::Step as _;

    #[test]
    fn samples_have_all_kinds_each_with_a_sentence_of_its_own() {
        let samples = Fault::samples();
        let names: BTreeSet<_> = samples.iter().map(Fault::name).collect();
        let about: BTreeSet<_> = samples.iter().map(Fault::about).collect();
        // The variants as serde names them, of which a list of samples could lack one.
        let unknown = serde_json::from_str::<Fault>("\"none of them\"").unwrap_err().to_string();
        let kinds = unknown.matches('`').count() / 2 - 1;
        assert_eq!((names.len(), about.len(), samples.len()), (kinds, kinds, kinds), "{unknown}");
        assert!(about.iter().all(|text| text.ends_with('.')));
        assert!(samples.iter().all(|fault| !fault.tell().is_empty()));
    }
}
