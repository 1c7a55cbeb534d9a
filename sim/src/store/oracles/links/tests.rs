use bytes::Bytes;
use forever_core::bulk::Bulk;
use forever_core::frame::Frame;

use super::super::testing::*;
use super::*;
use crate::store::clear::Clear;

fn run() -> Run<Links> {
    let mut run = Run::new(Links::default());
    run.view.scenario.tier = Tier::Turmoil;
    run
}

fn ping(nonce: u64) -> Bytes {
    Clear::encode(&Frame::Ping { nonce }, &mut Vec::new()).bytes
}

fn data(offset: u32) -> Bytes {
    Clear::encode(
        &Frame::Data { want: 1, offset, payload: Bulk::from(Bytes::from_static(b"some of a chunk")) },
        &mut Vec::new(),
    )
    .bytes
}

fn sent(link: u64, bytes: Bytes) -> Event {
    Event::Frame { from: 0, to: 1, link, bytes }
}

fn heard(link: u64, bytes: Bytes) -> Event {
    Event::Heard { node: 1, from: 0, link, bytes }
}

#[test]
fn what_was_sent_is_heard_in_order_and_need_not_be_heard_to_its_end() {
    let mut run = run();
    for event in [sent(7, ping(1)), sent(7, data(0)), sent(7, data(60)), sent(7, ping(2)), sent(7, ping(3))] {
        run.see(event).unwrap();
    }
    // Data has been overtaken.
    for event in [heard(9, ping(1)), heard(9, ping(2)), heard(9, data(0)), heard(9, data(60))] {
        run.see(event).unwrap();
    }
    run.judge().unwrap();
}

#[test]
fn what_is_left_out_repeated_or_changed_is_a_violation() {
    for wrong in [[1, 3], [1, 1], [1, 4], [2, 3]] {
        let mut run = run();
        (1..4).for_each(|nonce| run.see(sent(7, ping(nonce))).unwrap());
        let seen: Vec<_> = wrong.map(|nonce| run.see(heard(9, ping(nonce)))).into();
        assert!(seen.iter().any(Result::is_err), "{wrong:?}");
    }
    let mut run = run();
    run.see(sent(7, data(0))).unwrap();
    assert!(run.see(heard(9, data(1))).unwrap_err().contains("1. frame of data"));
}

#[test]
fn a_link_is_one_connection_all_along() {
    let mut run = run();
    for event in [sent(7, ping(1)), sent(7, ping(2)), sent(8, ping(1)), sent(8, ping(3))] {
        run.see(event).unwrap();
    }
    run.see(heard(9, ping(1))).unwrap();
    run.see(heard(10, ping(1))).unwrap();
    run.see(heard(9, ping(2))).unwrap();
    run.see(heard(10, ping(3))).unwrap();
    run.see(sent(8, ping(4))).unwrap();
    run.see(heard(9, ping(4))).unwrap_err();
}

#[test]
fn what_nobody_sent_is_not_heard() {
    run().see(heard(9, ping(1))).unwrap_err();
}
