//! Faults at every single operation of the file system while a workload runs: whatever was acknowledged is there
//! afterwards and intact, and nothing is there by half.

use std::path::Path;
use std::sync::Arc;

use forever_core::disk::{DiskDone, DiskError};
use forever_net_tokio::store::conformance::crash::{
    Content, Model, Rig, blobs, observe, survives_power_loss_at_every_operation, workload,
};
use forever_net_tokio::store::conformance::{Perform, commit_op, put, sample_blob, usage, write_op};
use forever_net_tokio::store::memory_fs::{Fault, MemoryFs};
use forever_net_tokio::store::{OpenError, Store, StoreConfig, clear};

const LARGE: usize = 20_000;
const SMALL: usize = 300;

fn open(fs: &MemoryFs) -> Result<Store, OpenError> {
    let mut config = StoreConfig::new("/data/store");
    config.reserve_bytes = 0;
    config.cache_bytes = 1 << 20;
    Store::open(Arc::new(fs.clone()), &config)
}

/// Runs the workload as far as it goes. Stops at the first failure if told so, as after a power loss.
fn run(fs: &MemoryFs, stops_at_failure: bool) -> Model {
    let mut model = Model::new();
    for ops in workload() {
        let Ok(store) = open(fs) else {
            if stops_at_failure {
                return model;
            }
            continue;
        };
        while store.sweep_step() {}
        for what in ops {
            let result = store.perform(what.clone());
            model.note(&what, &result);
            if result.is_err() && stops_at_failure {
                return model;
            }
        }
    }
    model
}

/// The files that no row needs, after a sweep.
fn assert_no_orphans(fs: &MemoryFs, content: &Content) {
    let files = fs.files();
    let of_blobs = files.keys().filter(|path| path.starts_with("/data/store/blobs"));
    let large = content.blobs.iter().filter(|blob| **blob != blobs()[1].0);
    assert_eq!(of_blobs.count(), large.count(), "{:?}", files.keys());
}

fn assert_sound(fs: &MemoryFs, model: &Model, context: &str) {
    let store = open(fs).unwrap_or_else(|error| panic!("{context}: {error}"));
    while store.sweep_step() {}
    let content = observe(&|what| store.perform(what));
    assert!(model.possible.contains(&content), "{context}: {content:?} is none of {:?}", model.possible);
    assert_no_orphans(fs, &content);
}

/// Calls `each` with 1, 2, 3, ... until it says that its fault was never met, and checks that it was met often.
fn at_every_operation(at_least: u64, mut each: impl FnMut(u64) -> bool) {
    let mut at = 1;
    while each(at) {
        at += 1;
    }
    assert!(at > at_least, "only {at} operations met the fault");
}

#[test]
fn the_workload_ends_in_one_state_without_faults() {
    let fs = MemoryFs::new();
    let model = run(&fs, true);
    assert_eq!(model.possible.len(), 1);
    assert_sound(&fs, &model, "no fault");
    assert_sound(&fs.after_power_loss(1), &model, "power loss after the end");
}

/// This engine. An operation is one of its file system.
struct Engine {
    fs: MemoryFs,
    will_fail: bool,
}

impl Rig for Engine {
    fn failing_at(operation: u64) -> Self {
        let fs = MemoryFs::new();
        fs.fail(operation, Fault::Crash);
        Self { fs, will_fail: true }
    }

    fn run(&self, session: &mut dyn FnMut(&Perform<'_>)) {
        let Ok(store) = open(&self.fs) else {
            return assert!(self.has_failed(), "a disk with power can be opened");
        };
        while store.sweep_step() {}
        session(&|what| store.perform(what));
    }

    fn has_failed(&self) -> bool {
        self.will_fail && !self.fs.is_armed()
    }

    fn after_power_loss(&self, seed: u64) -> Self {
        Self { fs: self.fs.after_power_loss(seed), will_fail: false }
    }

    fn check(&self, content: &Content) {
        assert_no_orphans(&self.fs, content);
    }
}

#[test]
fn power_loss_at_every_operation_loses_nothing_acknowledged() {
    survives_power_loss_at_every_operation::<Engine>(150);
}

#[test]
fn power_loss_during_recovery_loses_nothing_either() {
    at_every_operation(150, |at| {
        let fs = MemoryFs::new();
        fs.fail(at, Fault::Crash);
        let model = run(&fs, true);
        let again = fs.after_power_loss(at);
        again.fail(1 + at * 7 % 41, Fault::Crash);
        if let Ok(store) = open(&again) {
            while store.sweep_step() {}
        }
        assert_sound(&again.after_power_loss(at + 5), &model, &format!("power losses, the first at {at}"));
        !fs.is_armed()
    });
}

#[test]
fn an_error_at_every_operation_is_told_and_harms_nothing_else() {
    at_every_operation(150, |at| {
        let fs = MemoryFs::new();
        fs.fail(at, Fault::ErrorOnce);
        let model = run(&fs, false);
        let was_met = !fs.is_armed();
        fs.heal();
        assert_sound(&fs, &model, &format!("error at operation {at}"));
        assert_sound(&fs.after_power_loss(at), &model, &format!("error at operation {at}, then power loss"));
        was_met
    });
}

#[test]
fn a_disk_full_from_every_operation_on_is_told_and_works_again_with_space() {
    at_every_operation(150, |at| {
        let fs = MemoryFs::new();
        fs.fail(at, Fault::Full);
        let mut model = Model::new();
        for ops in workload() {
            let Ok(store) = open(&fs) else { continue };
            for what in ops {
                let result = store.perform(what.clone());
                assert!(matches!(result, Ok(_) | Err(DiskError::Full)), "full at {at}: {result:?}");
                model.note(&what, &result);
            }
        }
        let was_met = !fs.is_armed();
        fs.heal();
        assert_sound(&fs, &model, &format!("full from operation {at} on"));
        let (blob, bytes) = sample_blob(9, LARGE);
        let store = open(&fs).unwrap();
        assert_eq!(store.perform(write_op(blob, &bytes)), Ok(DiskDone::Written { new: true }));
        was_met
    });
}

#[test]
fn a_sync_that_failed_while_a_store_was_made_is_made_good_by_the_next_start() {
    at_every_operation(4, |at| {
        let fs = MemoryFs::new();
        fs.fail_sync(at);
        let failed = open(&fs).is_err();
        fs.heal();
        let store = open(&fs).unwrap();
        assert_eq!(store.perform(commit_op(vec![put("k", "v")])), Ok(DiskDone::Committed));
        let after = fs.after_power_loss(at);
        let content = observe(&|what| open(&after).unwrap().perform(what));
        assert_eq!(content, observe(&|what| store.perform(what)), "sync {at} failed");
        failed
    });
}

#[test]
fn a_failed_sync_is_final_and_what_was_acknowledged_stays_readable() {
    at_every_operation(20, |at| {
        let fs = MemoryFs::new();
        let mut model = Model::new();
        let Ok(store) = open(&fs) else { panic!("no fault yet") };
        fs.fail_sync(at);
        for what in workload().concat() {
            let before = model.clone();
            let result = store.perform(what.clone());
            model.note(&what, &result);
            if result.is_ok() {
                continue;
            }
            assert!(matches!(result, Err(DiskError::Degraded(_))), "{result:?}");
            let content = observe(&|what| store.perform(what));
            assert!(before.possible.contains(&content), "sync {at}: shows what was not acknowledged: {content:?}");
            let (blob, bytes) = sample_blob(9, SMALL);
            for later in [write_op(blob, &bytes), commit_op(vec![put("k", "v")]), write_op(blobs()[1].0, &blobs()[1].1)]
            {
                assert!(matches!(store.perform(later), Err(DiskError::Degraded(_))));
            }
            break;
        }
        let was_met = store.is_degraded();
        drop(store);
        assert_sound(&fs.after_power_loss(at), &model, &format!("sync {at} failed"));
        was_met
    });
}

#[test]
fn a_sync_that_fails_while_a_store_opens_or_closes_is_made_up_for_by_the_next_start() {
    at_every_operation(3, |at| {
        let fs = MemoryFs::new();
        let mut model = run(&fs, true);
        // A run that was killed: the next one has something to put in order.
        let killed = fs.after_kill();
        killed.fail_sync(at);
        drop(open(&killed));
        let was_met = !killed.is_armed();
        killed.heal();
        let store = open(&killed).unwrap();
        for what in workload().concat() {
            let result = store.perform(what.clone());
            model.note(&what, &result);
        }
        assert_sound(&killed.after_power_loss(at), &model, &format!("sync {at} failed at a start"));
        was_met
    });
}

#[test]
fn clearing_wipes_everything_whenever_the_power_goes() {
    at_every_operation(10, |at| {
        let fs = MemoryFs::new();
        run(&fs, true);
        fs.fail(at, Fault::Crash);
        let cleared = clear(&fs, Path::new("/data/store"));
        let was_met = !fs.is_armed();
        let fs = fs.after_power_loss(at);
        let store = open(&fs).unwrap();
        let content = observe(&|what| store.perform(what));
        if cleared.is_ok() || content == Content::default() {
            assert_eq!(content, Content::default());
            assert_no_orphans(&fs, &content);
        } else {
            assert_eq!(content, run(&MemoryFs::new(), true).possible.into_iter().next().unwrap());
        }
        was_met
    });
}

#[test]
fn blobs_meet_a_full_disk_before_the_index_does() {
    let fs = MemoryFs::new();
    let store = Store::open(Arc::new(fs.clone()), &StoreConfig::new("/data")).unwrap();
    let (blob, bytes) = sample_blob(0, LARGE);
    fs.set_free((64 << 20) + LARGE as u64 - 1);
    assert_eq!(store.perform(write_op(blob, &bytes)), Err(DiskError::Full));
    assert_eq!(store.perform(commit_op(vec![put("key", "value")])), Ok(DiskDone::Committed));
    assert_eq!(usage(&|what| store.perform(what)).free_bytes, Some(LARGE as u64 - 1));
    fs.set_free((64 << 20) + LARGE as u64);
    assert_eq!(store.perform(write_op(blob, &bytes)), Ok(DiskDone::Written { new: true }));
}
