use alloc::vec::Vec;

use super::*;
use crate::time::Monotonic;

fn header() -> Header {
    Header {
        config: Config::default(),
        node: NodeId([1; 32]),
        owner: OwnerSecret::new([2; 32]),
        key_hash: KeyHash::default(),
        seed: [3; 32],
        start: Time { mono: Monotonic(0), wall_ms: 1_700_000_000_000 },
    }
}

/// What a recorder writes of a node that is started and told that nothing is due.
fn recording(steps: u64) -> Vec<u8> {
    let header = header();
    let mut recorder = Recorder::new(&header);
    let keys = crate::secrets::OwnerKeys::derive(&header.owner);
    let mut node = crate::node::Node::new(header.config.clone(), header.node, keys, header.seed, header.start);
    for step in 0..=steps {
        if step > 0 {
            let now = Time { mono: Monotonic(step), ..header.start };
            recorder.timeout(now);
            node.handle_timeout(now);
        }
        while let Some(output) = node.poll_output() {
            recorder.output(&output);
        }
        recorder.idle();
    }
    recorder.take()
}

#[test]
fn what_was_recorded_replays_and_the_report_counts_it() {
    let recording = recording(3);
    let report = replay(&recording).unwrap();
    assert!(report.entries >= 3 && report.left_bytes == 0, "{report:?}");
    assert_eq!(report.end.mono, Monotonic(3));
}

#[test]
fn bytes_of_an_entry_that_was_cut_off_are_counted() {
    let (whole, shorter) = (recording(3), recording(2));
    let cut = &whole[..whole.len() - 1];
    let report = replay(cut).unwrap();
    assert_eq!(report.left_bytes, (cut.len() - shorter.len()) as u64);
    assert_eq!(report.entries, replay(&shorter).unwrap().entries);
}

#[test]
fn a_length_that_no_recorder_writes_is_damage_and_not_an_end() {
    let start = recording(1).len();
    let mut damaged = recording(3);
    damaged[start + 3] = 0x7f;
    assert_eq!(replay(&damaged), Err(ReplayError::Damaged { at: start as u64 }));
}

#[test]
fn a_recording_without_entries_compares_nothing_and_says_so() {
    let header_only = Recorder::new(&header()).take();
    assert_eq!(replay(&header_only), Err(ReplayError::Empty));
    assert_eq!(replay(&header_only[..20]), Err(ReplayError::Empty));
    assert_eq!(replay(b"something else"), Err(ReplayError::NotARecording));
}

#[test]
fn a_configuration_with_other_fields_is_another_format() {
    let shown = alloc::format!("{:?}", header().config);
    // What follows is there in simulations only, or not.
    let (shown, _) = shown.split_once(" simulation").unwrap();
    let fields: Vec<&str> = shown.split([' ', '{']).filter_map(|word| word.strip_suffix(':')).collect();
    let of_format_3 = "listen bootstrap max_peers weight zone swim_period repair_after chunk_size retention keep_versions \
                       keep_days replicas lease day put_window_chunks fetch_window_chunks hot_bytes link_window_bytes \
                       requests_max request_timeout fetch_timeout answer_timeout straggler_timeout heartbeat link_timeout \
                       sync_interval repair_bytes_s redial ban_after ban_for checkpoints quiet changes_max wait_max \
                       scrub_period presence_period quota_bytes store_max_bytes cache_bytes";
    assert_eq!((FORMAT, fields.join(" ").as_str()), (3, of_format_3));
}
