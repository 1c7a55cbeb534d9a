//! Which records are on this disk, as sums: enough to tell whether two nodes have the same, and where to look if not.

use alloc::collections::BTreeMap;

use crate::ids::{OwnerId, RecordId};
use crate::placement::{Group, Replicas};
use crate::reconcile::{Sum, bucket_of};
use crate::record::{Record, RecordBody, SignedRecord};

/// What decides who holds a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) group: Group,
    pub(crate) replicas: Replicas,
}

impl Place {
    pub(crate) fn of(record: &SignedRecord) -> Self {
        Self { group: Group::of(record.record.name_id), replicas: kept_on(&record.record) }
    }
}

/// On how many nodes a record is kept: a deletion on all.
pub(crate) fn kept_on(record: &Record) -> Replicas {
    match record.body {
        RecordBody::Tombstone => Replicas::ALL,
        RecordBody::File { .. } | RecordBody::Checkpoint(_) => record.retention.replicas,
    }
}

/// What is counted of a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    place: Place,
    owner: OwnerId,
    id: RecordId,
}

impl Counted {
    pub(crate) fn of(record: &SignedRecord) -> Self {
        Self { place: Place::of(record), owner: record.record.owner, id: record.id }
    }
}

/// The sums of all records on this disk. It grows with the number of places and, for each owner, of buckets that have records; so
/// not with their number, once there are many.
#[derive(Debug)]
pub(crate) struct Summary {
    /// This node's owner.
    owner: OwnerId,
    all: BTreeMap<Place, Sum>,
    /// Those of this node's owner alone.
    own: BTreeMap<Place, Sum>,
    owners: BTreeMap<(u8, OwnerId), Sum>,
}

impl Summary {
    pub(crate) fn new(owner: OwnerId) -> Self {
        Self { owner, all: BTreeMap::new(), own: BTreeMap::new(), owners: BTreeMap::new() }
    }

    /// Whether a record is of this node's owner.
    pub(crate) fn is_own(&self, counted: Counted) -> bool {
        counted.owner == self.owner
    }

    /// A record is on the disk that was not.
    pub(crate) fn add(&mut self, counted: Counted) {
        let sum = Sum::of(&counted.id);
        self.all.entry(counted.place).or_default().add(sum);
        self.owners.entry((bucket_of(counted.place.group), counted.owner)).or_default().add(sum);
        if counted.owner == self.owner {
            self.own.entry(counted.place).or_default().add(sum);
        }
    }

    /// A record is no longer on the disk.
    pub(crate) fn remove(&mut self, counted: Counted) {
        let sum = Sum::of(&counted.id);
        take(&mut self.all, counted.place, sum);
        take(&mut self.owners, (bucket_of(counted.place.group), counted.owner), sum);
        if counted.owner == self.owner {
            take(&mut self.own, counted.place, sum);
        }
    }

    /// The sums of all records, in order of groups.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Place, Sum)> {
        self.all.iter().map(|(place, sum)| (*place, *sum))
    }

    /// Those of this node's owner.
    pub(crate) fn own(&self) -> impl Iterator<Item = (Place, Sum)> {
        self.own.iter().map(|(place, sum)| (*place, *sum))
    }

    /// Groups of which there are records, from one on, in order; not only of other owners.
    pub(crate) fn groups_from(&self, group: Group) -> impl Iterator<Item = (Place, Sum)> {
        let from = Place { group, replicas: Replicas::LEAST };
        self.all.range(from..).map(|(place, sum)| {
            let mut sum = *sum;
            sum.remove(self.own.get(place).copied().unwrap_or_default());
            (*place, sum)
        })
    }

    /// Those of other owners.
    pub(crate) fn others(&self) -> impl Iterator<Item = (Place, Sum)> {
        self.all().filter_map(|(place, mut sum)| {
            sum.remove(self.own.get(&place).copied().unwrap_or_default());
            (!sum.is_empty()).then_some((place, sum))
        })
    }

    /// The sums of an owner's records, by bucket.
    pub(crate) fn of_owner(&self, owner: OwnerId) -> impl Iterator<Item = (u8, Sum)> {
        (0..=u8::MAX).filter_map(move |bucket| Some((bucket, *self.owners.get(&(bucket, owner))?)))
    }

    /// The owners that have records in a bucket.
    pub(crate) fn owners_in(&self, bucket: u8) -> impl Iterator<Item = OwnerId> {
        let range = (bucket, OwnerId([0; 32]))..=(bucket, OwnerId([0xff; 32]));
        self.owners.range(range).map(|((_, owner), _)| *owner)
    }

    /// The sum of all.
    pub(crate) fn total(&self) -> Sum {
        let mut total = Sum::default();
        self.all.values().for_each(|sum| total.add(*sum));
        total
    }
}

fn take<K: Ord>(sums: &mut BTreeMap<K, Sum>, key: K, sum: Sum) {
    // A disk that acknowledged a removal which it did not make has the record gone again: the next start counts anew.
    let Some(held) = sums.get_mut(&key) else { return };
    held.remove(sum);
    if held.is_empty() {
        sums.remove(&key);
    }
}

#[cfg(test)]
mod tests;
