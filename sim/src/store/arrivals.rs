//! When messages arrived. Events do not say so; the trace of World does. Messages whose arrival a trace does not tell keep none.

use std::collections::{BTreeMap, VecDeque};

use crate::timeline::Message;
use crate::trace::Entry;

/// So many letters of a frame's text tell it from all others on its link: requests, wants and uploads are numbered.
const TEXT_LEN: usize = 100;

/// From which node, to which, and the beginning of the frame's text.
type Key = (usize, usize, String);

/// Completes messages by what the entries of a trace tell.
pub(super) fn complete(messages: &mut [Message], entries: &[Entry]) {
    let mut arrived_us: BTreeMap<Key, VecDeque<u64>> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.kind == "frame") {
        if let Some(key) = arrival(entry) {
            arrived_us.entry(key).or_default().push_back(entry.at_us);
        }
    }
    for message in messages {
        let key = (message.from, message.to, beginning(&message.detail));
        if let Some(times) = arrived_us.get_mut(&key) {
            // What was sent in vain before leaves no time behind.
            while times.front().is_some_and(|at_us| *at_us < message.sent_us) {
                times.pop_front();
            }
            message.arrived_us = times.pop_front();
        }
    }
}

fn arrival(entry: &Entry) -> Option<Key> {
    let to = entry.actor.strip_prefix("node-")?.parse().ok()?;
    let from = value(&entry.text, "from: ")?.parse().ok()?;
    let (_, frame) = entry.text.split_once("frame: ")?;
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
    fn a_message_arrives_when_the_trace_says_so_and_one_that_is_lost_does_not() {
        let mut messages = vec![
            message(10, "Find { request: 1 }"),
            message(20, "Find { request: 2 }"),
            message(30, "Data { want: 1, offset: 0, payload: Bulk(0 B) }"),
            message(90, "Find { request: 1 }"),
        ];
        let arrival = |at_us, frame: &str| {
            let text = format!("Arrival {{ from: 0, link: LinkId(3), number: 7, drawn: 9, frame: {frame} }}");
            entry(at_us, "node-1", "frame", &text)
        };
        let entries = [
            entry(31, "node-0", "send", "Send { to: 1, link: LinkId(9), number: 9, frame: Find { request: 2 } }"),
            arrival(40, "Find { request: 1 }"),
            arrival(50, "Data { want: 1, offset: 0, payload: Bulk(500 B) }"),
            arrival(95, "Find { request: 1 }"),
        ];
        complete(&mut messages, &entries);
        let arrived: Vec<Option<u64>> = messages.iter().map(|message| message.arrived_us).collect();
        assert_eq!(arrived, [Some(40), None, Some(50), Some(95)]);
    }
}
