//! Faults of disks.

use std::time::Duration;

use forever_core::event::RequestError;
use forever_sim::store::{DiskLoss, DiskPart, Event, Fault, OpError, OpKind, OpResult};
use forever_sim::system::System;

use crate::harness::{CHUNK, FILE_LEN, Run, get, put};

/// The blobs that faults have destroyed on a node.
fn lost(run: &Run, of: usize) -> usize {
    let mut count = 0;
    for event in &run.events {
        if let Event::Lost { node, what: DiskLoss::Blobs(blobs) } = event
            && *node == of
        {
            count += blobs.len();
        }
    }
    count
}

#[test]
fn what_cannot_be_read_here_comes_from_the_peers() {
    let mut run = Run::new(60, 3);
    run.put(0, 1, FILE_LEN);
    let fault = Fault::ReadErrors { node: 0, per_mille: 500, part: DiskPart::All };
    let id = run.begin(&fault);
    let result = run.run(0, get(1));
    assert!(run.has_bitten(id), "{result:?}");
    run.end(id, &fault);
    assert!(run.reads(0, 1, FILE_LEN));
}

#[test]
fn a_put_that_cannot_be_written_is_not_acknowledged() {
    let mut run = Run::new(61, 3);
    let fault = Fault::WriteErrors { node: 0, per_mille: 1_000, part: DiskPart::All };
    let id = run.begin(&fault);
    let result = run.run(0, put(1, 1, FILE_LEN));
    assert!(matches!(result, OpResult::Failed(OpError::Failed(RequestError::Disk(_)))), "{result:?}");
    assert!(run.has_bitten(id));
    run.end(id, &fault);
    run.put(0, 1, FILE_LEN);
}

#[test]
fn a_disk_that_cannot_sync_acknowledges_nothing_until_the_node_starts_again() {
    let mut run = Run::new(62, 3);
    run.put(0, 1, CHUNK);
    let fault = Fault::SyncErrors { node: 0, per_mille: 1_000, part: DiskPart::All };
    let id = run.begin(&fault);
    let result = run.run(0, put(2, 2, FILE_LEN));
    assert!(matches!(result, OpResult::Failed(_)), "{result:?}");
    assert!(run.has_bitten(id));
    run.end(id, &fault);
    assert!(run.events.iter().any(|event| matches!(event, Event::Down { node: 0 })));
    run.until_linked();
    run.put(0, 2, FILE_LEN);
    assert!(run.reads(0, 1, CHUNK));
}

#[test]
fn a_full_disk_says_so() {
    let mut run = Run::new(63, 3);
    let fault = Fault::Full { node: 0, free_bytes: 400 << 10 };
    let id = run.begin(&fault);
    let result = run.run(0, put(1, 1, FILE_LEN));
    assert_eq!(result, OpResult::Failed(OpError::Failed(RequestError::DiskFull)));
    assert!(run.has_bitten(id));
    let held = run.tier.view().contents(0).blobs.len();
    assert!((2..=6).contains(&held), "{held} chunks of 64 KiB fit into 400 KiB");
    run.end(id, &fault);
    run.put(0, 1, FILE_LEN);
}

#[test]
fn slow_disks_delay_and_stalled_ones_wait() {
    let mut run = Run::new(64, 2);
    let slow = Fault::SlowDisk { node: 0, extra_ms: 200 };
    let id = run.begin(&slow);
    let start = run.tier.now();
    run.put(0, 1, CHUNK);
    let took = run.tier.now() - start;
    assert!(run.has_bitten(id) && took > Duration::from_millis(400), "{took:?}");
    run.end(id, &slow);
    let stall = Fault::StalledDisk { node: 0 };
    let id = run.begin(&stall);
    let op = run.start(0, put(2, 2, CHUNK));
    run.advance(Duration::from_secs(3));
    assert!(run.has_bitten(id) && run.result(op).is_none());
    run.end(id, &stall);
    assert!(matches!(run.finish(op), OpResult::Put(_)));
}

#[test]
fn rotten_bits_are_found_and_never_read() {
    let mut run = Run::new(65, 3);
    run.put(0, 1, FILE_LEN);
    let rot = Fault::BitRot { node: 0, per_mille: 300 };
    let id = run.begin(&rot);
    run.advance(Duration::from_millis(1));
    let wrong = run.tier.view().contents(0).blobs.values().filter(|is_right| !**is_right).count();
    assert!(run.has_bitten(id) && wrong > 3 && wrong == lost(&run, 0), "{wrong}");
    assert!(run.reads(0, 1, FILE_LEN), "the peers have it");
}

#[test]
fn a_misdirected_write_damages_two_blobs() {
    let mut run = Run::new(66, 3);
    let fault = Fault::Misdirected { node: 1, per_mille: 100 };
    let id = run.begin(&fault);
    run.put(0, 1, FILE_LEN);
    let wrong = run.tier.view().contents(1).blobs.values().filter(|is_right| !**is_right).count();
    assert!(run.has_bitten(id) && wrong >= 2 && lost(&run, 1) >= 2, "{wrong}");
    run.end(id, &fault);
    run.run(0, OpKind::Evict { file: 1 });
    assert!(run.reads(0, 1, FILE_LEN));
}

#[test]
fn the_power_goes_for_a_moment_when_folders_are_synced_again() {
    let mut has_lost = false;
    for seed in 0..6 {
        let mut run = Run::new(170 + seed, 3);
        let fault = Fault::LostDirSyncs { node: 1 };
        let id = run.begin(&fault);
        run.put(0, 1, FILE_LEN);
        run.end(id, &fault);
        assert!(run.events.iter().any(|event| matches!(event, Event::Down { node: 1 })));
        run.until_linked();
        assert_eq!(run.has_bitten(id), lost(&run, 1) > 0);
        has_lost |= run.has_bitten(id);
        run.run(0, OpKind::Evict { file: 1 });
        assert!(run.reads(0, 1, FILE_LEN), "another peer has it");
    }
    assert!(has_lost);
}

#[test]
fn names_that_were_not_synced_may_be_gone_after_a_power_loss() {
    let mut has_lost = false;
    for seed in 0..6 {
        let mut run = Run::new(70 + seed, 3);
        run.put(0, 1, CHUNK);
        let fault = Fault::LostDirSyncs { node: 1 };
        let id = run.begin(&fault);
        run.put(0, 2, FILE_LEN);
        let loss = Fault::PowerLoss { node: 1 };
        let power = run.begin(&loss);
        run.until("the power is gone", |run| !run.is_up(1));
        has_lost |= run.has_bitten(id);
        assert_eq!(run.has_bitten(id), lost(&run, 1) > 0);
        run.end(id, &fault);
        run.end(power, &loss);
        run.until_linked();
        run.run(0, OpKind::Evict { file: 2 });
        assert!(run.reads(0, 2, FILE_LEN), "another peer has it");
    }
    assert!(has_lost, "it bites in one of several power losses");
}

#[test]
fn an_index_of_which_bits_have_flipped_is_refused_or_says_what_it_said() {
    let mut refused = 0;
    for seed in 0..8 {
        let mut run = Run::new(270 + seed, 3);
        run.put(0, 1, FILE_LEN);
        // Unlike these, members, clock and debts go on changing.
        let files = |run: &mut Run| -> Vec<_> {
            let rows = run.tier.view().contents(1).rows.clone();
            rows.into_iter().filter(|(key, _)| matches!(key.first(), Some(b'R' | b'P' | b'F'))).collect()
        };
        let before = files(&mut run);
        let fault = Fault::IndexRot { node: 1, bits: 200 * (1 + u32::try_from(seed).unwrap()) };
        let id = run.begin(&fault);
        assert!(run.has_bitten(id) && !run.is_up(1));
        run.end(id, &fault);
        run.until_linked();
        let losses = run
            .events
            .iter()
            .filter_map(|event| if let Event::Lost { node: 1, what } = event { Some(what.clone()) } else { None });
        let losses: Vec<DiskLoss> = losses.collect();
        match losses.as_slice() {
            [] => {
                let after = files(&mut run);
                assert!(before.iter().all(|row| after.contains(row)));
            }
            [DiskLoss::All] => refused += 1,
            [DiskLoss::Unknown] => {}
            _ => panic!("{losses:?}"),
        }
        run.run(0, OpKind::Evict { file: 1 });
        assert!(run.reads(0, 1, FILE_LEN), "the peers have it");
    }
    assert!(refused >= 2, "{refused} of 8 were refused");
}
