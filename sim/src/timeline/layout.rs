//! What goes where: rows for bars that overlap, and one arrow for a burst of messages.

use super::{ARROWS_MAX, Message};

/// Messages of one kind that follow each other within so many microseconds become one arrow: the first that leaves few enough.
const BURSTS_US: [u64; 4] = [0, 1_000, 20_000, 200_000];

/// So many arrows can be read.
const ARROWS_FEW: usize = 300;

/// Puts intervals `(from, until)` into as few rows as they fit into without overlap: the row of each, and how many there are.
pub(super) fn pack(intervals: &[(f64, f64)]) -> (Vec<usize>, usize) {
    let mut order: Vec<usize> = (0..intervals.len()).collect();
    order.sort_by(|one, other| intervals[*one].0.total_cmp(&intervals[*other].0));
    let mut ends: Vec<f64> = Vec::new();
    let mut rows = vec![0; intervals.len()];
    for index in order {
        let (from, until) = intervals[index];
        let free = ends.iter().position(|end| *end <= from);
        let row = free.unwrap_or_else(|| {
            ends.push(0.0);
            ends.len() - 1
        });
        ends[row] = until;
        rows[index] = row;
    }
    (rows, ends.len())
}

/// An arrow: one message, or several of one kind.
pub(super) struct Arrow<'a> {
    pub(super) first: &'a Message,
    pub(super) last_us: u64,
    pub(super) count: usize,
    pub(super) bytes: u64,
}

/// The arrows to draw, and how many messages have none.
pub(super) fn arrows(messages: &[Message]) -> (Vec<Arrow<'_>>, usize) {
    let mut arrows = Vec::new();
    for burst_us in BURSTS_US {
        arrows = gathered(messages, burst_us);
        if arrows.len() <= ARROWS_FEW {
            break;
        }
    }
    // Those nearest to the end, where the failure is.
    let without = arrows.len().saturating_sub(ARROWS_MAX);
    let earlier = arrows.drain(..without).map(|arrow| arrow.count).sum();
    (arrows, earlier)
}

/// One arrow for all messages of a kind, each sent at most so long after the one before.
fn gathered(messages: &[Message], burst_us: u64) -> Vec<Arrow<'_>> {
    let mut arrows: Vec<Arrow<'_>> = Vec::new();
    for message in messages {
        // Of the latest arrows only: what lies further back has ended long ago.
        let recent = arrows.iter_mut().rev().take(64).find(|arrow| {
            let Message { from, to, kind, .. } = arrow.first;
            (from, to, kind) == (&message.from, &message.to, &message.kind)
        });
        match recent {
            Some(arrow) if message.sent_us - arrow.last_us <= burst_us => {
                arrow.count += 1;
                arrow.bytes += message.bytes;
                arrow.last_us = message.sent_us;
            }
            Some(_) | None => {
                let (last_us, bytes) = (message.sent_us, message.bytes);
                arrows.push(Arrow { first: message, last_us, count: 1, bytes });
            }
        }
    }
    arrows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_overlaps_is_in_different_rows() {
        let (rows, count) = pack(&[(10.0, 12.0), (2.0, 4.0), (3.0, 5.0), (4.0, 6.0), (0.0, 10.0)]);
        assert_eq!((rows, count), (vec![0, 1, 2, 1, 0], 3));
    }

    fn message(from: usize, sent_us: u64, kind: &str) -> Message {
        let (kind, detail) = (kind.into(), String::new());
        Message { from, to: 1, sent_us, arrived_us: None, family: "data", kind, detail, bytes: 10 }
    }

    #[test]
    fn a_burst_is_one_arrow() {
        let messages = [
            message(0, 0, "data"),
            message(0, 1_000, "data"),
            message(2, 1_500, "data"),
            message(0, 2_000, "data"),
            message(0, 100_000, "data"),
            message(0, 100_000, "ping"),
        ];
        let arrows = gathered(&messages, 1_000);
        let counts: Vec<(usize, u64)> = arrows.iter().map(|arrow| (arrow.count, arrow.bytes)).collect();
        assert_eq!(counts, [(3, 30), (1, 10), (1, 10), (1, 10)]);
    }

    #[test]
    fn few_messages_have_an_arrow_each_and_many_are_gathered() {
        let messages = |count| (0..count).map(|at| message(0, at * 900, "data")).collect::<Vec<_>>();
        assert_eq!(arrows(&messages(ARROWS_FEW as u64)).0.len(), ARROWS_FEW);
        assert_eq!(arrows(&messages(ARROWS_FEW as u64 + 1)).0.len(), 1);
    }

    #[test]
    fn arrows_are_bounded_and_the_rest_is_counted() {
        let messages: Vec<Message> = (0..2_000).map(|at| message(0, at * 1_000_000, "data")).collect();
        let (arrows, without) = arrows(&messages);
        assert_eq!((arrows.len(), without), (ARROWS_MAX, 500));
        assert_eq!(arrows.last().map(|arrow| arrow.first.sent_us), Some(1_999_000_000));
    }
}
