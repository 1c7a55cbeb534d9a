//! Nodes that leave, nodes that are written off, and checks of disks beside running nodes.

use crate::small_world::{fault, get, op, put, ran, scenario};
use forever_sim::store::{Fault, OpKind, OpResult};
use forever_sim::system::System as _;

#[test]
fn a_node_that_leaves_hands_over_what_it_holds_and_is_not_started_again() {
    let mut scenario = scenario(5, 30);
    op(&mut scenario, 1_000, 4, put(1, 7, 5_000));
    let leave = op(&mut scenario, 5_000, 4, OpKind::Leave);
    let after = op(&mut scenario, 20_000, 4, get(1));
    fault(&mut scenario, 18_000, 19_000, Fault::Crash { node: 4 });
    let mut ran = ran(&scenario);
    assert_eq!(ran.result(leave), OpResult::Left);
    assert!(ran.is_down(after));
    ran.assert_healed(&scenario);
    let view = ran.world.view();
    assert!(view.is_gone(4) && !view.is_up(4) && !view.is_core(4));
    let holds_it =
        |node: &usize| view.contents(*node).records.iter().any(|held| held.chunks.as_ref().map(Vec::len) == Some(5));
    assert!((0..4).filter(holds_it).count() >= 3);
}

#[test]
fn a_node_that_does_not_come_back_is_written_off() {
    let mut scenario = scenario(4, 90);
    scenario.core = vec![0, 1, 2];
    op(&mut scenario, 1_000, 0, put(1, 7, 5_000));
    fault(&mut scenario, 5_000, 100_000, Fault::Crash { node: 3 });
    let early = op(&mut scenario, 5_500, 0, OpKind::Forget { member: 3 });
    let late = op(&mut scenario, 80_000, 0, OpKind::Forget { member: 3 });
    let mut ran = ran(&scenario);
    assert!(!ran.is_ok(early), "it is still taken for alive");
    assert_eq!(ran.result(late), OpResult::Forgotten);
    ran.assert_healed(&scenario);
    assert!(ran.world.view().is_gone(3));
}

#[test]
fn a_check_of_a_disk_finds_what_rotted_and_nothing_else() {
    let mut scenario = scenario(3, 20);
    scenario.config.scrub_period = std::time::Duration::ZERO;
    op(&mut scenario, 1_000, 0, put(1, 7, 50_000));
    let before = op(&mut scenario, 4_000, 0, OpKind::Fsck);
    fault(&mut scenario, 5_000, 5_100, Fault::BitRot { node: 0, per_mille: 300 });
    let after = op(&mut scenario, 6_000, 0, OpKind::Fsck);
    let ran = ran(&scenario);
    assert_eq!(ran.result(before), OpResult::Checked(Vec::new()));
    let OpResult::Checked(lost) = ran.result(after) else { panic!("{:?}", ran.result(after)) };
    assert!(!lost.is_empty() && lost.len() < 50, "{} of 50", lost.len());
}
