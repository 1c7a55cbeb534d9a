use alloc::vec;

use proptest::prelude::*;

use super::*;
use crate::config::Config;
use crate::ids::{NameId, NodeId, OpId};
use crate::output::Output;
use crate::placement::Replicas;
use crate::reconcile::Sum;
use crate::record::{Record, RecordBody, Retention};
use crate::secrets::{OwnerKeys, OwnerSecret};
use crate::time::{Monotonic, Time};
use crate::version::Version;

/// A node's memory of its records, and a disk whose operations are made and completed when a test says so. Of the node nothing
/// but that memory runs.
struct Rig {
    cx: Context,
    index: BTreeMap<Bytes, Bytes>,
    /// Operations that were issued and not made yet.
    issued: Vec<(OpId, DiskOp)>,
    /// Results on their way back.
    made: Vec<(OpId, Result<DiskDone, DiskError>)>,
}

fn keys() -> OwnerKeys {
    OwnerKeys::derive(&OwnerSecret::new([7; 32]))
}

/// One of a few records, of few names.
fn record(number: u8) -> SignedRecord {
    let record = Record {
        owner: keys().owner_id(),
        name_id: NameId([number * 40; 32]),
        version: Version { wall_ms: u64::from(number), counter: 0, node: NodeId([1; 32]) },
        retention: Retention { keep_versions: 1, keep_days: 1, replicas: Replicas::default() },
        body: RecordBody::Tombstone,
    };
    SignedRecord::sign(&keys(), record)
}

impl Rig {
    /// With records that lie on the disk already; none is read yet.
    fn new(there: &[u8]) -> Self {
        let cx = Context::new(Config::default(), NodeId([1; 32]), keys(), [0; 32], Time::default());
        let row = |number: &u8| (schema::record_key(&record(*number)), record(*number).bytes);
        Self { cx, index: there.iter().map(row).collect(), issued: Vec::new(), made: Vec::new() }
    }

    fn collect(&mut self) {
        while let Some(output) = self.cx.outputs.pop_front() {
            let Output::Disk { op, what } = output else { panic!("{output:?}") };
            self.issued.push((op, what));
        }
    }

    /// Makes the operation of a number among those that may be next: commits are made in order.
    fn make(&mut self, choice: usize, fails: bool) {
        let is_commit = |what: &DiskOp| matches!(what, DiskOp::Commit { .. });
        let first_commit = self.issued.iter().position(|(_, what)| is_commit(what));
        let may = |(place, (_, what)): &(usize, &(OpId, DiskOp))| !is_commit(what) || Some(*place) == first_commit;
        let next: Vec<usize> = self.issued.iter().enumerate().filter(may).map(|(place, _)| place).collect();
        let Some(place) = next.get(choice % next.len().max(1)).copied() else { return };
        let (op, what) = self.issued.remove(place);
        // A commit that fails may have been made all the same.
        let result = if fails && choice.is_multiple_of(2) { None } else { Some(self.perform(what)) };
        let result = result.filter(|_| !fails).unwrap_or(Err(DiskError::Io("test".into())));
        self.made.push((op, result));
    }

    fn perform(&mut self, what: DiskOp) -> Result<DiskDone, DiskError> {
        Ok(match what {
            DiskOp::Lookup { keys } => DiskDone::Values(keys.iter().map(|key| self.index.get(key).cloned()).collect()),
            DiskOp::Scan { from, to, .. } => {
                let mut entries: Vec<(Bytes, Bytes)> =
                    self.index.range(from..to).map(|(key, value)| (key.clone(), value.clone())).collect();
                let more = entries.len() > 2;
                entries.truncate(2);
                DiskDone::Entries { entries, more }
            }
            DiskOp::Commit { require_keys, writes, .. } => {
                if let Some(missing) = require_keys.into_iter().find(|key| !self.index.contains_key(key)) {
                    return Ok(DiskDone::Missing { blobs: Vec::new(), keys: vec![missing] });
                }
                for write in writes {
                    match write {
                        Write::Put { key, value } => drop(self.index.insert(key, value)),
                        Write::Delete { key } => drop(self.index.remove(&key)),
                        Write::DropBlob { .. } => {}
                    }
                }
                DiskDone::Committed
            }
            other @ (DiskOp::WriteBlob { .. }
            | DiskOp::ReadBlob { .. }
            | DiskOp::HasBlobs { .. }
            | DiskOp::Usage
            | DiskOp::ListBlobs { .. }) => panic!("{other:?}"),
        })
    }

    fn complete(&mut self, choice: usize) {
        if self.made.is_empty() {
            return;
        }
        let (op, result) = self.made.remove(choice % self.made.len());
        let pending = self.cx.pending.remove(&op).expect("an operation is completed once");
        let Pending::Records(step) = pending else { panic!("{pending:?}") };
        if let Some((then, completion)) = on_completion(&mut self.cx, step, Completion::Disk(result)) {
            assert!(matches!(then, Pending::Space), "who waits for the commit is told of it");
            drop(completion.disk());
        }
    }

    fn store(&mut self, number: u8) {
        add(&mut self.cx, record(number), With::default(), Pending::Space);
    }

    fn remove(&mut self, number: u8) {
        remove(&mut self.cx, vec![record(number)], With::default(), Pending::Space);
    }

    /// Lets time pass if a timer is set.
    fn wait(&mut self) {
        self.cx.now.mono = Monotonic(self.cx.now.mono.0 + 10_000_000);
        if self.cx.timers.pop_due(self.cx.now.mono) == Some(Timer::Records) {
            on_timer(&mut self.cx);
        }
    }

    /// Lets everything end well.
    fn rest(&mut self) {
        for _ in 0..1_000 {
            self.collect();
            self.make(0, false);
            self.complete(0);
            self.wait();
        }
        assert!(self.issued.is_empty() && self.made.is_empty());
    }

    fn on_disk(&self) -> Sum {
        let mut sum = Sum::default();
        for key in self.index.keys() {
            sum.add(Sum::of(&schema::record_id_of(key).expect("records alone lie on the disk")));
        }
        sum
    }
}

#[test]
fn records_of_the_disk_are_counted_at_start() {
    let mut rig = Rig::new(&[1, 2, 3, 4, 5]);
    assert!(rig.cx.records.summary().is_none());
    start(&mut rig.cx);
    rig.rest();
    assert_eq!(rig.cx.records.summary().map(Summary::total), Some(rig.on_disk()));
    assert!(rig.cx.records.is_certain());
}

#[test]
fn a_record_that_is_stored_twice_counts_once() {
    let mut rig = Rig::new(&[1]);
    start(&mut rig.cx);
    rig.rest();
    rig.store(1);
    rig.store(2);
    rig.store(2);
    rig.rest();
    assert_eq!(rig.cx.records.summary().map(|summary| summary.total().count()), Some(2));
}

#[test]
fn a_failed_commit_is_looked_up() {
    for choice in [0, 1] {
        let mut rig = Rig::new(&[]);
        start(&mut rig.cx);
        rig.rest();
        rig.store(3);
        rig.collect();
        rig.make(0, false);
        rig.complete(0);
        rig.collect();
        rig.make(choice, true);
        rig.complete(0);
        assert!(!rig.cx.records.is_certain());
        assert!(rig.cx.records.may_lack(keys().owner_id()));
        rig.rest();
        assert!(rig.cx.records.is_certain() && !rig.cx.records.may_lack(keys().owner_id()));
        assert_eq!(rig.cx.records.summary().map(Summary::total), Some(rig.on_disk()));
        assert_eq!(rig.index.len(), choice, "the commit was made if it was");
    }
}

/// What may happen next.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Start,
    Store(u8),
    Remove(u8),
    Make(usize),
    Fail(usize),
    Complete(usize),
    Wait,
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let happening = prop_oneof![
        1 => Just(Happening::Start),
        4 => (0_u8..6).prop_map(Happening::Store),
        3 => (0_u8..6).prop_map(Happening::Remove),
        8 => (0_usize..4).prop_map(Happening::Make),
        1 => (0_usize..4).prop_map(Happening::Fail),
        8 => (0_usize..4).prop_map(Happening::Complete),
        2 => Just(Happening::Wait),
    ];
    proptest::collection::vec(happening, 0..80)
}

proptest! {
    /// Whatever happens in whatever order, in the end the sums are those of the disk.
    #[test]
    fn the_sums_are_those_of_the_disk(there in proptest::collection::vec(0_u8..6, 0..6), happenings in happenings()) {
        let mut rig = Rig::new(&there);
        let mut started = false;
        for happening in happenings {
            match happening {
                Happening::Start if !started => {
                    started = true;
                    start(&mut rig.cx);
                }
                Happening::Start => {}
                Happening::Store(number) => rig.store(number),
                Happening::Remove(number) => rig.remove(number),
                Happening::Make(choice) => rig.make(choice, false),
                Happening::Fail(choice) => rig.make(choice, true),
                Happening::Complete(choice) => rig.complete(choice),
                Happening::Wait => rig.wait(),
            }
            rig.collect();
        }
        if !started {
            start(&mut rig.cx);
        }
        rig.rest();
        prop_assert!(rig.cx.records.is_certain());
        prop_assert_eq!(rig.cx.records.summary().map(Summary::total), Some(rig.on_disk()));
    }
}
