//! Whole runs of the world without faults, and that they are the same every time.

use crate::small_world::{fault, get, op, put, ran, scenario};
use forever_sim::store::{Event, Held, OpKind, OpResult, Range, Reader, names};
use forever_sim::system::System as _;

#[test]
fn a_file_that_one_node_puts_is_read_again_and_listed() {
    let mut scenario = scenario(3, 10);
    let write = op(&mut scenario, 1_000, 0, put(1, 7, 4_500));
    let read = op(&mut scenario, 3_000, 0, get(1));
    let part = OpKind::Get {
        file: 1,
        range: Some(Range::Slice { first: 900, len: 300 }),
        old: None,
        reader: Reader::default(),
    };
    let part = op(&mut scenario, 3_000, 0, part);
    let list = op(&mut scenario, 3_000, 0, OpKind::List);
    let ran = ran(&scenario);
    let OpResult::Put(report) = ran.result(write) else { panic!("{:?}", ran.result(write)) };
    assert_eq!(report.write.replicas, 3);
    assert_eq!(ran.got(read), names::content(7, 4_500));
    assert_eq!(ran.got(part), names::content(7, 4_500)[900..1_200]);
    let OpResult::Listed { files, .. } = ran.result(list) else { panic!("no list") };
    assert_eq!(files.len(), 1);
    ran.assert_healed(&scenario);
}

#[test]
fn every_replica_holds_the_record_and_its_chunks_on_disk() {
    let mut scenario = scenario(3, 5);
    op(&mut scenario, 1_000, 0, put(1, 7, 4_500));
    let mut ran = ran(&scenario);
    for node in 0..3 {
        let contents = ran.world.view().contents(node);
        let keys = ran.world.view().keys(0).clone();
        let of_file = |held: &&Held| held.record.record.name_id == keys.name_id(&names::of(1));
        let held: Vec<&Held> = contents.records.iter().filter(of_file).collect();
        assert_eq!(held.len(), 1, "node {node}");
        let chunks = held[0].chunks.clone().unwrap();
        assert_eq!(chunks.len(), 5);
        assert!(chunks.iter().all(|chunk| contents.blobs.get(chunk) == Some(&true)));
    }
}

/// Some of everything, with faults.
fn busy() -> forever_sim::store::Scenario {
    use forever_sim::store::Fault;
    let mut scenario = scenario(4, 30);
    for at in 0..20_u32 {
        let (node, ms) = (at as usize % 4, 1_000 + u64::from(at) * 700);
        op(&mut scenario, ms, node, put(at / 2, at.into(), 3_000 + at));
        op(&mut scenario, ms + 500, node, get(at / 2));
    }
    fault(&mut scenario, 3_000, 6_000, Fault::Crash { node: 1 });
    fault(&mut scenario, 5_000, 9_000, Fault::Partition { these: vec![0], those: vec![2, 3] });
    fault(&mut scenario, 10_000, 14_000, Fault::PowerLoss { node: 3 });
    fault(&mut scenario, 12_000, 16_000, Fault::Drift { node: 2, ppm: 3_000 });
    scenario
}

#[test]
fn a_seed_gives_the_same_trace_again_and_in_another_thread() {
    let run = || {
        let ran = ran(&busy());
        (ran.world.trace().hash(), ran.world.trace().events())
    };
    let first = run();
    assert!(first.1 > 5_000, "{} events", first.1);
    assert_eq!(run(), first);
    let elsewhere = std::thread::spawn(run);
    assert_eq!(elsewhere.join().unwrap(), first);
}

#[test]
fn another_seed_gives_another_trace() {
    let mut other = busy();
    other.seed += 1;
    assert_ne!(ran(&busy()).world.trace().hash(), ran(&other).world.trace().hash());
}

#[test]
fn all_that_was_put_is_read_after_the_faults_have_ended() {
    let scenario = busy();
    let ran = ran(&scenario);
    ran.assert_healed(&scenario);
    assert!((0..4).all(|fault| ran.bit(fault)));
    let healed = ran.events.iter().filter(|(_, event)| matches!(event, Event::Healed)).count();
    assert_eq!(healed, 1);
}

#[test]
fn idle_nodes_cost_little() {
    let ran = ran(&scenario(5, 1_000));
    let events = ran.world.trace().events();
    assert!(events < 60_000, "{events} events in 1,000 s");
}
