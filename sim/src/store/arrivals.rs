//! When messages were sent and arrived. Events of frames come in batches and do not say so; the trace of World does: it
//! numbers frames. Messages that a trace does not tell of keep the time of their batch, and have no arrival.

use std::collections::{BTreeMap, VecDeque};

use crate::timeline::Message;
use crate::trace::Entry;

/// So many letters of a frame's text tell it from all others on its link: requests, wants and uploads are numbered.
const TEXT_LEN: usize = 100;

/// From which node, to which, and the beginning of the frame's text.
type Key = (usize, usize, String);

/// A frame in a trace.
struct Sent {
    at_us: u64,
    arrived_us: Option<u64>,
}

/// Completes messages by what the entries of a trace tell, and puts them into the order of sending.
pub(super) fn complete(messages: &mut [Message], entries: &[Entry]) {
    let mut frames = frames(entries);
    for message in &mut *messages {
        let key = (message.from, message.to, beginning(&message.detail));
        if let Some(sent) = frames.get_mut(&key).and_then(VecDeque::pop_front) {
            message.sent_us = sent.at_us;
            message.arrived_us = sent.arrived_us;
        }
    }
    messages.sort_by_key(|message| message.sent_us);
}

/// The frames of a trace in the order of sending; equal ones are told apart by that order.
fn frames(entries: &[Entry]) -> BTreeMap<Key, VecDeque<Sent>> {
    let mut arrived_us = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.kind == "frame") {
        arrived_us.extend(value(&entry.text, "number: ").map(|number| (number, entry.at_us)));
    }
    let mut frames: BTreeMap<Key, VecDeque<Sent>> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.kind == "send") {
        if let (Some(key), Some(number)) = (key(entry), value(&entry.text, "number: ")) {
            let sent = Sent { at_us: entry.at_us, arrived_us: arrived_us.get(number).copied() };
            frames.entry(key).or_default().push_back(sent);
        }
    }
    frames
}

fn key(entry: &Entry) -> Option<Key> {
    let from = entry.actor.strip_prefix("node-")?.parse().ok()?;
    let to = value(&entry.text, "to: ")?.parse().ok()?;
    let (_, frame) = entry.text.split_once("frame: ")?;
    // The bracket that closes what the frame is in.
    let frame = frame.strip_suffix(" }").unwrap_or(frame);
    Some((from, to, beginning(frame)))
}

/// The digits behind a field's name.
fn value<'a>(text: &'a str, field: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(field)?;
    let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    (digits > 0).then(|| &rest[..digits])
}

/// The beginning of a frame's text, without its payload, which is not part of the header that a message shows.
fn beginning(frame: &str) -> String {
    let header = frame.split_once(", payload").map_or(frame, |(header, _)| header);
    header.chars().take(TEXT_LEN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at_us: u64, actor: &str, kind: &str, text: &str) -> Entry {
        Entry { number: 0, at_us, actor: actor.into(), kind: kind.into(), text: text.into() }
    }

    fn message(sent_us: u64, detail: &str) -> Message {
        let (kind, detail) = ("find".into(), detail.into());
        Message { from: 0, to: 1, sent_us, arrived_us: None, family: "questions", kind, detail, bytes: 1 }
    }

    #[test]
    fn a_message_arrives_when_its_number_does_and_one_that_is_lost_does_not() {
        // All in one batch, at its end.
        let mut messages = vec![
            message(99, "Find { request: 1 }"),
            message(99, "Data { want: 1, offset: 0, payload: Bulk(0 B) }"),
            message(99, "Find { request: 2 }"),
            message(99, "Find { request: 1 }"),
            message(99, "List"),
        ];
        let send = |at_us, number: u64, frame: &str| {
            let text = format!("Send {{ to: 1, link: LinkId(9), number: {number}, frame: {frame} }}");
            entry(at_us, "node-0", "send", &text)
        };
        let arrival = |at_us, number: u64| {
            let text = format!("Arrival {{ from: 0, link: LinkId(3), number: {number}, drawn: 5, frame: ... }}");
            entry(at_us, "node-1", "frame", &text)
        };
        let entries = [
            send(10, 7, "Find { request: 1 }"),
            send(20, 8, "Find { request: 2 }"),
            send(31, 9, "Data { want: 1, offset: 0, payload: Bulk(500 B) }"),
            arrival(40, 7),
            arrival(50, 9),
            send(90, 10, "Find { request: 1 }"),
            arrival(95, 10),
        ];
        complete(&mut messages, &entries);
        let times: Vec<_> = messages.iter().map(|message| (message.sent_us, message.arrived_us)).collect();
        assert_eq!(times, [(10, Some(40)), (20, None), (31, Some(50)), (90, Some(95)), (99, None)]);
    }
}
