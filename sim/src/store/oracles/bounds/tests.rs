use bytes::Bytes;

use super::super::testing::*;
use super::*;

fn run() -> Run<Bounds> {
    let mut run = Run::new(Bounds::new(&Run::new(super::super::integrity::Integrity::default()).view.scenario));
    run.meet();
    run
}

impl Run<Bounds> {
    /// A long time goes by, in which a frame is sent.
    fn wait(&mut self) {
        self.now += Duration::from_secs(3_600);
        self.see(frame(10)).unwrap();
    }
}

fn frame(len: usize) -> Event {
    Event::Frame { from: 0, to: 1, link: 1, bytes: Bytes::from(vec![7; len]) }
}

#[test]
fn what_is_at_its_limit_is_within_it() {
    let mut run = run();
    run.view.gauges = vec![("wants of a link", 8, 8)];
    for _ in 0..20 {
        run.see(frame(65_535)).unwrap();
    }
    run.view.links = vec![vec![1, 2], vec![0, 2], vec![0, 1]];
    run.heal().unwrap();
    run.wait();
    run.judge().unwrap();
}

#[test]
fn a_frame_that_is_too_long_is_a_violation() {
    run().see(frame(65_536)).unwrap_err();
}

#[test]
fn a_queue_above_its_limit_is_a_violation_while_it_runs_and_at_the_end() {
    let mut run = run();
    run.view.gauges = vec![("requests", 9, 8)];
    let seen: Vec<_> = (0..8).map(|_| run.see(frame(10))).collect();
    assert!(seen.iter().any(|seen| seen.as_ref().is_err_and(|error| error.contains("requests"))));
    run.judge().unwrap_err();
    run.view.up = vec![false; 3];
    run.judge().unwrap();
}

#[test]
fn a_request_that_takes_longer_than_it_may_is_a_violation() {
    let mut run = run();
    let op = run.start(0, OpKind::List);
    run.wait();
    assert!(run.judge().unwrap_err().contains("longer"));
    run.end(op, gone()).unwrap_err();
}

#[test]
fn two_links_to_a_node_or_one_to_the_dead_are_a_violation_once_settled() {
    let mut double = run();
    double.view.links[0] = vec![1, 2, 1];
    double.heal().unwrap();
    double.judge().unwrap();
    double.wait();
    assert!(double.judge().unwrap_err().contains("two links"));

    let mut dead = run();
    dead.view.links[0] = vec![1, 2];
    dead.view.scenario.core = vec![0, 1];
    dead.heal().unwrap();
    dead.wait();
    assert!(dead.judge().unwrap_err().contains("out of reach"));
}

#[test]
fn a_request_that_goes_on_for_nobody_is_a_violation() {
    let mut run = run();
    run.view.gauges = vec![("requests", 1, 12)];
    let error = run.judge().unwrap_err();
    assert!(error.contains("go on, and at most 0 callers"), "{error}");
    run.start(0, get_of(1));
    run.start(1, get_of(1));
    run.start(2, get_of(1));
    run.judge().unwrap();
}

#[test]
fn the_time_of_a_request_is_that_of_its_timeouts_and_of_the_faults_meanwhile() {
    let scenario = Run::new(super::super::integrity::Integrity::default()).view.scenario;
    let mut bounds = Bounds::new(&scenario);
    bounds.faults = vec![(10, 20), (30, 50)];
    assert_eq!(bounds.trouble(Duration::from_micros(15), Duration::from_micros(40)), Duration::from_micros(15));
    assert_eq!(bounds.trouble(Duration::from_micros(50), Duration::from_micros(90)), Duration::ZERO);
    let longest = (scenario.config.request_timeout + scenario.config.answer_timeout) * 4 + START * 2;
    let mut run = run();
    let op = run.start(0, OpKind::List);
    run.now += longest;
    assert!(run.end(op, gone()).unwrap_err().contains("longer"));
}

#[test]
fn a_request_left_over_is_seen_before_the_judge_hides_it() {
    let mut run = run();
    run.heal().unwrap();
    run.view.gauges = vec![("requests", 2, 12)];
    let error = run
        .see(Event::Started { op: 90, asked: None, what: crate::store::Op { node: 0, what: OpKind::List } })
        .unwrap_err();
    assert!(error.contains("2 requests"), "{error}");
}

#[test]
fn what_ends_by_itself_must_have_ended_when_the_core_is_at_rest() {
    let mut run = run();
    run.heal().unwrap();
    run.view.left_over = vec![("wants of a link", 0), ("bytes in flight of a link", 700)];
    let first = Event::Started { op: 90, asked: None, what: crate::store::Op { node: 0, what: OpKind::List } };
    let error = run.see(first.clone()).unwrap_err();
    assert!(error.contains("bytes in flight of a link of node 0 stays at 700"), "{error}");
    // Once the judge asks, something is under way.
    run.see(first).unwrap();
}
