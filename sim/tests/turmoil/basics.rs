//! Without faults, or with the plainest.

use std::time::Duration;

use forever_core::event::RequestError;
use forever_sim::store::{Event, Fault, OpError, OpKind, OpResult};
use forever_sim::system::System;

use crate::harness::{FILE_LEN, Run, get, put};

/// The node that owns the files.
const OWNER: usize = 2;

#[test]
fn a_file_comes_back_after_an_evict_and_is_gone_after_a_delete() {
    let mut run = Run::new(1, 3);
    run.put(OWNER, 1, FILE_LEN);
    run.put(OWNER, 2, 5);
    let evicted = run.run(OWNER, OpKind::Evict { file: 1 });
    let OpResult::Evicted { freed_bytes, .. } = evicted else { panic!("{evicted:?}") };
    assert!(freed_bytes >= u64::from(FILE_LEN));
    assert!(run.reads(OWNER, 1, FILE_LEN), "what comes back comes from the peers");

    let deleted = run.run(OWNER, OpKind::Delete { file: 1 });
    assert!(matches!(deleted, OpResult::Deleted(_)), "{deleted:?}");
    assert_eq!(run.run(OWNER, get(1)), OpResult::Failed(OpError::Failed(RequestError::NotFound)));
    let OpResult::Listed { files, .. } = run.run(OWNER, OpKind::List) else { panic!("no list") };
    assert_eq!(files.len(), 1);
}

#[test]
fn a_put_ends_without_a_peer_that_is_cut_off_and_the_peer_catches_up() {
    let mut run = Run::new(2, 3);
    let op = run.start(OWNER, put(1, 1, FILE_LEN));
    run.advance(Duration::from_millis(50));
    let cut = Fault::Partition { these: vec![0], those: vec![1, OWNER] };
    let fault = run.begin(&cut);
    assert!(run.result(op).is_none());
    let OpResult::Put(report) = run.finish(op) else { panic!("no put") };
    assert_eq!((report.write.replicas, report.write.pending), (2, 1));
    assert!(run.has_bitten(fault));

    run.end(fault, &cut);
    run.until("node 0 has the file", |run| run.tier.view().contents(0).blobs.len() == 40);
    let crash = Fault::Crash { node: 1 };
    run.run(OWNER, OpKind::Evict { file: 1 });
    run.begin(&crash);
    assert!(run.reads(OWNER, 1, FILE_LEN), "the peer that was cut off has all of it");
}

#[test]
fn a_get_goes_on_when_a_peer_is_killed_and_the_peer_comes_back_with_its_disk() {
    let mut run = Run::new(3, 3);
    run.put(OWNER, 1, FILE_LEN);
    run.run(OWNER, OpKind::Evict { file: 1 });
    let op = run.start(OWNER, get(1));
    run.advance(Duration::from_millis(30));
    let crash = Fault::Crash { node: 0 };
    let fault = run.begin(&crash);
    assert!(run.result(op).is_none() && run.has_bitten(fault));
    assert!(matches!(run.finish(op), OpResult::Got(_)));
    assert!(matches!(run.events.last(), Some(Event::Ended { .. })) && !run.is_up(0));

    run.end(fault, &crash);
    run.until_linked();
    run.run(OWNER, OpKind::Evict { file: 1 });
    run.begin(&Fault::Crash { node: 1 });
    assert!(run.reads(OWNER, 1, FILE_LEN), "the peer that was killed still has all of it");
}

#[test]
fn a_put_resumes_after_a_power_loss_and_sends_less() {
    let mut run = Run::new(4, 3);
    let op = run.start(OWNER, put(1, 1, FILE_LEN));
    run.until("half of it is there", |run| run.tier.view().contents(OWNER).blobs.len() > 20);
    let loss = Fault::PowerLoss { node: OWNER };
    let fault = run.begin(&loss);
    assert_eq!(run.finish(op), OpResult::Failed(OpError::Gone));
    assert_eq!(run.run(OWNER, OpKind::List), OpResult::Failed(OpError::Down));

    run.end(fault, &loss);
    run.until_linked();
    assert_eq!(
        run.run(OWNER, OpKind::List),
        OpResult::Listed { files: Vec::new(), more: false },
        "what was not acknowledged is not there"
    );
    let OpResult::Put(report) = run.run(OWNER, put(1, 1, FILE_LEN)) else { panic!("no put") };
    let all = u64::from(FILE_LEN);
    assert!(report.sent_bytes > 0 && report.sent_bytes < 2 * all * 3 / 4, "{} bytes were sent", report.sent_bytes);
    assert!(report.new_bytes > 0 && report.new_bytes < all * 3 / 4, "{} bytes were new here", report.new_bytes);
    assert!(run.reads(OWNER, 1, FILE_LEN));
}

#[test]
fn a_node_that_lost_its_disk_gets_its_files_back() {
    let mut run = Run::new(5, 3);
    run.put(OWNER, 1, FILE_LEN);
    let loss = Fault::LostDisk { node: OWNER };
    let fault = run.begin(&loss);
    run.advance(Duration::from_millis(100));
    assert!(run.tier.view().contents(OWNER).rows.is_empty());
    run.end(fault, &loss);
    run.until_linked();
    let restored = run.run(OWNER, OpKind::Restore);
    let OpResult::Restored(report) = restored else { panic!("{restored:?}") };
    assert_eq!((report.files, report.missing), (1, 0));
    assert!(run.reads(OWNER, 1, FILE_LEN));
}
