//! The disk in memory keeps the contract: the suite that the storage engine is held to, and a crash at every operation.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use forever_core::disk::{DiskDone, DiskError, DiskOp, DiskResult, Write};
use forever_core::ids::{BlobKey, OpId};
use forever_net_tokio::store::conformance::crash::{Rig, survives_power_loss_at_every_operation};
use forever_net_tokio::store::conformance::trouble::{self, keeps_the_contract_in_trouble};
use forever_net_tokio::store::conformance::{Perform, SUITE, commit_op, put, sample_blob, write_op};
use forever_sim::draw::{Draws, Site};
use forever_sim::world::disk::MemoryDisk;

const TEST: Site = Site::new("test");

#[test]
fn it_passes_the_suite_that_the_engine_passes() {
    for (name, case) in SUITE {
        println!("{name}");
        let disk = RefCell::new(MemoryDisk::default());
        case(&|what| disk.borrow_mut().perform(what));
    }
}

/// The disk in memory. An operation is one of the disk: it is under way when the power goes.
struct Memory(RefCell<State>);

struct State {
    disk: MemoryDisk,
    fails_at: u64,
    operations: u64,
}

impl Rig for Memory {
    fn failing_at(operation: u64) -> Self {
        Self(RefCell::new(State { disk: MemoryDisk::default(), fails_at: operation, operations: 0 }))
    }

    fn run(&self, session: &mut dyn FnMut(&Perform<'_>)) {
        session(&|what| {
            let state = &mut *self.0.borrow_mut();
            if state.operations >= state.fails_at {
                return Err(DiskError::Io("no power".into()));
            }
            state.operations += 1;
            let op = OpId(state.operations);
            state.disk.submit(op, what);
            if state.operations == state.fails_at {
                return Err(DiskError::Io("no power".into()));
            }
            state.disk.complete(op).unwrap()
        });
    }

    fn has_failed(&self) -> bool {
        let state = self.0.borrow();
        state.operations >= state.fails_at
    }

    fn after_power_loss(&self, seed: u64) -> Self {
        let mut disk = self.0.borrow().disk.clone();
        disk.crash(&mut Draws::new(seed).at(TEST, 0, 0));
        Self(RefCell::new(State { disk, fails_at: u64::MAX, operations: 0 }))
    }
}

#[test]
fn it_survives_a_power_loss_at_every_operation_as_the_engine_does() {
    survives_power_loss_at_every_operation::<Memory>(9);
}

/// What a disk shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Content {
    rows: BTreeMap<Bytes, Bytes>,
    blobs: BTreeSet<BlobKey>,
}

impl Content {
    fn of(disk: &MemoryDisk) -> Self {
        assert!(disk.states().values().all(|intact| *intact), "nothing is there by half");
        Self { rows: disk.rows().into_iter().collect(), blobs: disk.blobs().collect() }
    }

    fn after(mut self, what: &DiskOp) -> Self {
        match what {
            DiskOp::WriteBlob { blob, entry, .. } => {
                self.blobs.insert(*blob);
                self.rows.extend(entry.clone());
            }
            DiskOp::Commit { require_blobs, writes, .. } => {
                if require_blobs.iter().all(|blob| self.blobs.contains(blob)) {
                    writes.iter().for_each(|write| self.apply(write));
                }
            }
            other => panic!("the workload does not read: {other:?}"),
        }
        self
    }

    fn apply(&mut self, write: &Write) {
        match write {
            Write::Put { key, value } => drop(self.rows.insert(key.clone(), value.clone())),
            Write::Delete { key } => drop(self.rows.remove(key)),
            Write::DropBlob { blob, unless } => {
                let has = |prefix: &Bytes| self.rows.keys().any(|key| key.starts_with(prefix));
                if !unless.iter().any(has) {
                    self.blobs.remove(blob);
                }
            }
        }
    }
}

fn workload() -> Vec<DiskOp> {
    let [(a, a_bytes), (b, b_bytes), (c, c_bytes)] = [0, 1, 2].map(|seed| sample_blob(seed, 500));
    let commit = |blob, writes| DiskOp::Commit { require_blobs: vec![blob], require_keys: Vec::new(), writes };
    let leased = |blob, bytes: &Bytes, key: &'static str| DiskOp::WriteBlob {
        blob,
        data: bytes.clone().into(),
        known: true,
        entry: Some((Bytes::from_static(key.as_bytes()), Bytes::from_static(b"leased"))),
    };
    let release = |blob, key: &'static str| Write::DropBlob { blob, unless: vec![Bytes::from_static(key.as_bytes())] };
    vec![
        write_op(a, &a_bytes),
        write_op(b, &b_bytes),
        commit(a, vec![put("one", "1"), put("two", "2")]),
        leased(c, &c_bytes, "lease"),
        commit_op(vec![Write::drop_blob(a), put("one", "dropped"), release(c, "lease")]),
        commit(c, vec![put("two", "22"), Write::drop_blob(b)]),
        write_op(a, &a_bytes),
        commit_op(vec![Write::Delete { key: Bytes::from_static(b"lease") }, release(c, "lease")]),
    ]
}

/// All contents that a crash may leave: operations under way are done or not, commits in order.
fn possible(acknowledged: &Content, under_way: &[DiskOp]) -> BTreeSet<Content> {
    let mut all = BTreeSet::from([(acknowledged.clone(), true)]);
    for what in under_way {
        let is_commit = matches!(what, DiskOp::Commit { .. });
        let mut next = BTreeSet::new();
        for (content, commits_go_on) in all {
            next.insert((content.clone(), commits_go_on && !is_commit));
            if commits_go_on || !is_commit {
                next.insert((content.after(what), commits_go_on));
            }
        }
        all = next;
    }
    all.into_iter().map(|(content, _)| content).collect()
}

#[test]
fn a_crash_at_every_operation_loses_nothing_acknowledged_and_leaves_nothing_by_half() {
    let ops = workload();
    let mut seen = BTreeSet::new();
    for done in 0..=ops.len() {
        for depth in 0..=3.min(ops.len() - done) {
            for seed in 0..20 {
                let mut disk = MemoryDisk::default();
                let mut acknowledged = Content::default();
                for (number, what) in (0..).zip(&ops[..done + depth]) {
                    disk.submit(OpId(number), what.clone());
                }
                for (number, what) in (0..).zip(&ops[..done]) {
                    assert!(disk.complete(OpId(number)).unwrap().is_ok());
                    acknowledged = acknowledged.after(what);
                }
                assert_eq!(Content::of(&disk), acknowledged);
                disk.crash(&mut Draws::new(seed).at(TEST, done as u64, depth as u64));
                let left = Content::of(&disk);
                assert!(possible(&acknowledged, &ops[done..done + depth]).contains(&left), "{left:?}");
                assert_eq!(disk.under_way(OpId(done as u64)), None);
                seen.insert((done, depth, left));
            }
        }
    }
    assert!(seen.len() > 60, "crashes leave {} states", seen.len());
}

#[test]
fn a_failed_sync_is_final_until_a_crash_and_may_have_been_done() {
    let mut after = BTreeSet::new();
    for seed in 0..20 {
        let mut disk = MemoryDisk::default();
        disk.submit(OpId(0), commit_op(vec![put("one", "1")]));
        assert!(matches!(disk.fail_sync(OpId(0)), Some(Err(DiskError::Degraded(_)))));
        let (blob, bytes) = sample_blob(0, 10);
        for what in [commit_op(vec![put("two", "2")]), write_op(blob, &bytes)] {
            assert!(matches!(disk.perform(what), Err(DiskError::Degraded(_))));
        }
        assert_eq!(Content::of(&disk), Content::default());
        disk.crash(&mut Draws::new(seed).at(TEST, 0, 0));
        after.insert(disk.rows());
        let again: DiskResult = disk.perform(commit_op(vec![put("two", "2")]));
        assert_eq!(again, Ok(DiskDone::Committed));
    }
    assert_eq!(after.len(), 2, "done, or not");
}

#[test]
fn a_damaged_blob_is_told_once_and_then_absent() {
    let mut disk = MemoryDisk::default();
    let (blob, bytes) = sample_blob(0, 100);
    disk.perform(write_op(blob, &bytes)).unwrap();
    assert!(disk.damage(&blob, &mut Draws::new(1).at(TEST, 0, 0)));
    assert!(!disk.states()[&blob]);
    assert_eq!(disk.perform(DiskOp::ReadBlob { blob }), Err(DiskError::Corrupt));
    assert_eq!(disk.perform(DiskOp::ReadBlob { blob }), Err(DiskError::NotFound));
    assert_eq!(disk.perform(write_op(blob, &bytes)), Ok(DiskDone::Written { new: true }));
}

/// The disk in memory, to be brought into trouble.
struct Troubled(RefCell<Trouble>);

struct Trouble {
    disk: MemoryDisk,
    next: u64,
    fails_sync: bool,
}

impl trouble::Rig for Troubled {
    fn new() -> Self {
        Self(RefCell::new(Trouble { disk: MemoryDisk::default(), next: 0, fails_sync: false }))
    }

    fn perform_all(&self, ops: Vec<DiskOp>) -> Vec<DiskResult> {
        let state = &mut *self.0.borrow_mut();
        let first = state.next;
        for what in ops {
            state.disk.submit(OpId(state.next), what);
            state.next += 1;
        }
        let finish = |op| match std::mem::take(&mut state.fails_sync) {
            true => state.disk.fail_sync(op).unwrap(),
            false => state.disk.complete(op).unwrap(),
        };
        (first..state.next).map(OpId).map(finish).collect()
    }

    fn damage(&self, blob: &BlobKey) {
        assert!(self.0.borrow_mut().disk.damage(blob, &mut Draws::new(1).at(TEST, 0, 0)));
    }

    fn fill(&self) {
        self.0.borrow_mut().disk.set_free(Some(0));
    }

    fn exhaust(&self) {
        self.fill();
        let mut filler = 0..;
        while self
            .0
            .borrow_mut()
            .disk
            .perform(commit_op(vec![put(&format!("f{}", filler.next().unwrap()), "")]))
            .is_ok()
        {}
    }

    fn make_room(&self) {
        self.0.borrow_mut().disk.set_free(None);
    }

    fn fail_sync(&self) {
        self.0.borrow_mut().fails_sync = true;
    }

    fn restarted(self) -> Self {
        self.0.borrow_mut().disk.crash(&mut Draws::new(1).at(TEST, 1, 0));
        self
    }
}

#[test]
fn it_keeps_the_contract_in_trouble_as_the_engine_does() {
    keeps_the_contract_in_trouble::<Troubled>();
}

#[test]
fn a_full_disk_counts_what_its_index_takes_and_gives_back() {
    let mut disk = MemoryDisk::default();
    disk.set_free(Some(1_000));
    let free = |disk: &mut MemoryDisk| match disk.perform(DiskOp::Usage) {
        Ok(DiskDone::Usage(usage)) => usage.free_bytes.unwrap(),
        other => panic!("{other:?}"),
    };
    disk.perform(commit_op(vec![put("key", "seven..")])).unwrap();
    assert_eq!(free(&mut disk), 990);
    disk.perform(commit_op(vec![put("key", "two")])).unwrap();
    assert_eq!(free(&mut disk), 994);
    disk.perform(commit_op(vec![Write::Delete { key: Bytes::from_static(b"key") }])).unwrap();
    assert_eq!(free(&mut disk), 1_000);
}

#[test]
fn a_write_that_fails_may_have_been_done() {
    let mut disk = MemoryDisk::default();
    disk.submit(OpId(0), commit_op(vec![put("one", "1")]));
    disk.submit(OpId(1), commit_op(vec![put("two", "2")]));
    let error = DiskError::Io("input/output error".into());
    assert_eq!(disk.fail_after(OpId(0), error.clone()), Some(Err(error.clone())));
    assert_eq!(disk.fail(OpId(1), error.clone()), Some(Err(error)));
    assert_eq!(disk.rows(), [(Bytes::from_static(b"one"), Bytes::from_static(b"1"))]);
}

#[test]
#[should_panic(expected = "a key of 513 bytes")]
fn an_operation_beyond_the_bounds_is_a_bug_here_too() {
    let key = Bytes::from(vec![1; 513]);
    let _ = MemoryDisk::default().perform(commit_op(vec![Write::Put { key, value: Bytes::new() }]));
}
