//! Whether a set of records covers checkpoints: whether it has all that their devices had, or something newer of it.
//!
//! A record's version is above the versions of all records that its device knew when it stamped it. So of the records that
//! are known now, those above a checkpoint's version were not known to its device, and of the others each name's winner is
//! what the device knew, unless one of these was written elsewhere at the same time and had not come to it yet. A device that
//! lives learns of it and signs anew. For one that is gone, the newest of the records that *other* devices wrote are left out
//! one by one: what cut them off did so from some time on. Whatever set is tried, only the right one has the fingerprint.
//!
//! A checkpoint is not found to be covered if versions that its device knew have been pruned since. Then it is not known
//! whether they were ever here, and who has to know asked before (see `node/checkpoints.rs`).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::{Census, Checkpoint};
use crate::ids::{NameId, NodeId};
use crate::record::{Rank, RecordBody, SignedRecord};
use crate::secrets::OwnerKeys;
use crate::version::Version;

/// How many of the records of other devices are left out at most.
const LEFT_OUT_MAX: usize = 1_024;

/// What came of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The device that signed it.
    pub device: NodeId,
    /// What it says.
    pub checkpoint: Checkpoint,
    /// How many names of its time are known.
    pub names_found: u64,
    /// Whether all that the device knew is known, or something newer.
    pub is_covered: bool,
}

/// Goes through the records of an owner once and finds out which checkpoints they cover.
#[derive(Debug)]
pub struct Audit {
    claims: Vec<Claim>,
    /// The name whose records are being added.
    name: Option<NameId>,
    /// Its records so far, and whether each counts: checkpoints do not.
    records: Vec<(Rank, bool)>,
}

/// A checkpoint, and the records of its time.
#[derive(Debug)]
struct Claim {
    version: Version,
    checkpoint: Checkpoint,
    /// The winners.
    census: Census,
    /// The newest records of other devices.
    others: BTreeMap<Rank, NameId>,
    /// All records of the names of those.
    names: BTreeMap<NameId, Vec<(Rank, bool)>>,
}

impl Audit {
    /// An audit of these checkpoints. Records of other kinds are left out.
    pub fn new<'a>(checkpoints: impl IntoIterator<Item = &'a SignedRecord>) -> Self {
        let claim = |signed: &SignedRecord| match signed.record.body {
            RecordBody::Checkpoint(checkpoint) => Some(Claim {
                version: signed.record.version,
                checkpoint,
                census: Census::default(),
                others: BTreeMap::new(),
                names: BTreeMap::new(),
            }),
            RecordBody::File { .. } | RecordBody::Tombstone => None,
        };
        let claims = checkpoints.into_iter().filter_map(claim).collect();
        Self { claims, name: None, records: Vec::new() }
    }

    /// The next record of the owner: they come in order of names, and those of a name in order of their ranks.
    pub fn add(&mut self, keys: &OwnerKeys, signed: &SignedRecord) {
        let counts = !matches!(signed.record.body, RecordBody::Checkpoint(_));
        self.add_counted(keys, signed.record.name_id, signed.rank(), counts);
    }

    /// The same, of a record of which no more is at hand.
    pub(crate) fn add_counted(&mut self, keys: &OwnerKeys, name: NameId, rank: Rank, counts: bool) {
        if self.name != Some(name) {
            self.end_name(keys);
            self.name = Some(name);
        }
        self.records.push((rank, counts));
    }

    fn end_name(&mut self, keys: &OwnerKeys) {
        let Some(name) = self.name else { return };
        let records = core::mem::take(&mut self.records);
        for claim in &mut self.claims {
            claim.add(keys, name, &records);
        }
    }

    /// What came of it. Nothing is left to be audited afterwards.
    #[must_use]
    pub fn finish(&mut self, keys: &OwnerKeys) -> Vec<Verdict> {
        self.end_name(keys);
        core::mem::take(&mut self.claims).into_iter().map(|claim| claim.judge(keys)).collect()
    }
}

impl Claim {
    fn add(&mut self, keys: &OwnerKeys, name: NameId, records: &[(Rank, bool)]) {
        let known = records.partition_point(|((version, _), _)| *version <= self.version);
        let records = &records[..known];
        let Some(((_, winner), counts)) = records.last() else { return };
        if *counts {
            self.census.add(keys, *winner);
        }
        let device = self.version.node;
        for (rank, _) in records.iter().filter(|((version, _), _)| version.node != device) {
            self.others.insert(*rank, name);
            self.names.entry(name).or_insert_with(|| records.to_vec());
        }
        while self.others.len() > LEFT_OUT_MAX {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((_, name)) = self.others.pop_first() else { return };
        let of_name = self.names.get(&name);
        if !of_name.is_some_and(|records| records.iter().any(|(rank, _)| self.others.contains_key(rank))) {
            self.names.remove(&name);
        }
    }

    fn judge(mut self, keys: &OwnerKeys) -> Verdict {
        let names_found = self.census.names();
        let mut is_covered = self.census.is_of(keys, &self.checkpoint);
        while !is_covered && self.leave_out_newest(keys) {
            is_covered = self.census.is_of(keys, &self.checkpoint);
        }
        Verdict { device: self.version.node, checkpoint: self.checkpoint, names_found, is_covered }
    }

    /// Leaves out the newest record of another device. False if there is none left.
    fn leave_out_newest(&mut self, keys: &OwnerKeys) -> bool {
        let Some((rank, name)) = self.others.pop_last() else { return false };
        let Some(records) = self.names.get_mut(&name) else { return true };
        let Some(place) = records.iter().rposition(|(other, _)| *other == rank) else { return true };
        let was_winner = place + 1 == records.len();
        let ((_, record), counted) = records.remove(place);
        if was_winner {
            if counted {
                self.census.remove(keys, record);
            }
            if let Some(((_, next), true)) = records.last() {
                self.census.add(keys, *next);
            }
        }
        true
    }
}
