//! The core's inputs of a run, replayed through fresh nodes.

use std::time::Duration;

use forever_core::config::Config;
use forever_core::disk::DiskDone;
use forever_core::ids::{NodeId, OpId};
use forever_core::input::Input;
use forever_core::recording::{Header, Recorder, ReplayError, replay};
use forever_core::secrets::OwnerSecret;
use forever_core::time::{Monotonic, Time};
use forever_sim::recording::{is_recording, replay_file};
use forever_sim::store::{Fault, OpKind};
use forever_sim::trace::Trace;
use forever_sim::turmoil_tier::TurmoilTier;

use crate::harness::{FILE_LEN, Run, get, put, scenario};

/// Of every process of a run through faults, its recording.
fn recorded() -> Vec<(usize, Vec<u8>)> {
    let mut tier = TurmoilTier::new(&scenario(11, 3), Trace::default());
    tier.record();
    let mut run = Run::fresh(tier);
    run.until_linked();
    let op = run.start(0, put(1, 1, FILE_LEN));
    run.advance(Duration::from_millis(60));
    let loss = Fault::PowerLoss { node: 1 };
    let fault = run.begin(&loss);
    run.finish(op);
    run.end(fault, &loss);
    run.until_linked();
    run.run(0, OpKind::Evict { file: 1 });
    run.run(0, get(1));
    run.run(0, OpKind::Delete { file: 1 });
    run.tier.take_recordings()
}

#[test]
fn what_a_run_told_the_core_replays_to_byte_equal_outputs() {
    let recordings = recorded();
    let nodes: Vec<usize> = recordings.iter().map(|(node, _)| *node).collect();
    assert_eq!(nodes, [0, 1, 1, 2], "the node that lost its power ran twice");
    let mut outputs = 0;
    for (node, recording) in &recordings {
        let report = replay(recording).unwrap_or_else(|error| panic!("node {node}: {error}"));
        assert!(report.outputs > 10 && report.left_bytes == 0, "node {node}: {report:?}");
        outputs += report.outputs;
    }
    assert!(outputs > 500, "{outputs}");
}

#[test]
fn a_recording_that_was_changed_or_cut_is_told_from_one_that_was_not() {
    let recording = recorded().remove(0).1;
    let whole = replay(&recording).unwrap();
    let cut = replay(&recording[..recording.len() - 3]).unwrap();
    assert!(cut.left_bytes > 0 && cut.entries == whole.entries - 1);
    let mut changed = recording.clone();
    *changed.last_mut().unwrap() ^= 1;
    // The last byte says whether the node had more to do; one before it belongs to a digest of what it did.
    changed[recording.len() - 2] ^= 1;
    assert!(replay(&changed).is_err());
    assert_eq!(replay(b"something else"), Err(ReplayError::NotARecording));
}

#[test]
fn a_recording_is_replayed_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recording");
    let recording = recorded().remove(0).1;
    assert!(is_recording(&recording));
    std::fs::write(&path, &recording).unwrap();
    assert_eq!(replay_file(&path).unwrap(), replay(&recording).unwrap());
    assert!(replay_file(&folder.path().join("none")).is_err());
}

#[test]
fn a_node_that_panics_where_the_recorded_one_did_not_is_a_difference() {
    let start = Time { mono: Monotonic(0), wall_ms: 1_767_225_600_000 };
    let mut recorder = Recorder::new(&Header {
        config: Config::default(),
        node: NodeId([1; 32]),
        owner: OwnerSecret::new([2; 32]),
        key_hash: Default::default(),
        seed: [3; 32],
        start,
    });
    // No node was ever told that something has ended which it had not begun.
    recorder.input(start, &Input::DiskDone { op: OpId(u64::MAX), result: Ok(DiskDone::Committed) });
    recorder.idle();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recording");
    std::fs::write(&path, recorder.take()).unwrap();
    let error = replay_file(&path).unwrap_err().to_string();
    assert!(error.contains("panics at entry 0") && error.contains("core/src/node.rs"), "{error}");

    let program =
        std::process::Command::new(env!("CARGO_BIN_EXE_forever-sim")).arg("replay").arg(&path).output().unwrap();
    let out = String::from_utf8(program.stdout).unwrap();
    assert_eq!(program.status.code(), Some(1), "{out}");
    assert!(out.contains("entry 0") && out.lines().last().unwrap().contains("replay"), "{out}");
}
