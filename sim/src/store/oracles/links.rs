//! Rule (a part of integrity): what comes out of a link is what the other end put into it: a beginning of it, with nothing changed,
//! left out, repeated or moved, whatever befalls the bytes on their way.
//!
//! Bulk data is a stream of its own: other frames may overtake it before the channel, and nothing overtakes anything behind it.
//! Which two links are the ends of one connection nobody says, so a link must agree with one of the other node's links all along.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::clear::is_data;
use super::super::{Event, Tier, View};
use super::Rule;

/// What was put into a link, or how far it has come out: other frames, and bulk data.
#[derive(Debug, Default)]
struct Streams<T>([T; 2]);

/// What has come out of a link.
#[derive(Debug)]
struct Heard {
    /// How many frames of each stream.
    frames: Streams<usize>,
    /// The links of the other node that have had the same put into them.
    ends: BTreeSet<u64>,
}

/// What has gone into the links of one node to another, by link: a digest of each frame.
type Sent = BTreeMap<u64, Streams<Vec<u64>>>;

/// The oracle.
#[derive(Default)]
pub(crate) struct Links {
    /// By sender and receiver.
    sent: BTreeMap<(usize, usize), Sent>,
    /// By receiver and its link.
    heard: BTreeMap<(usize, u64), Heard>,
}

impl Links {
    fn on_heard(&mut self, node: usize, from: usize, link: u64, bytes: &[u8]) -> Result<(), String> {
        let Some(sent) = self.sent.get(&(from, node)) else {
            return Err(format!("node {node} hears node {from}, which has sent it nothing"));
        };
        let heard = self
            .heard
            .entry((node, link))
            .or_insert_with(|| Heard { frames: Streams::default(), ends: sent.keys().copied().collect() });
        let stream = usize::from(is_data(bytes));
        let (place, digest) = (heard.frames.0[stream], digest(bytes));
        heard.frames.0[stream] += 1;
        heard.ends.retain(|end| sent.get(end).and_then(|sent| sent.0[stream].get(place)) == Some(&digest));
        if heard.ends.is_empty() {
            let what = if stream == 0 { "frame" } else { "frame of data" };
            return Err(format!(
                "the {}. {what} that node {node} hears on its link {link} is not what node {from} sent there as that",
                place + 1
            ));
        }
        Ok(())
    }
}

/// Tells frames apart.
fn digest(bytes: &[u8]) -> u64 {
    let hash = blake3::hash(bytes);
    u64::from_le_bytes(*hash.as_bytes().first_chunk().expect("a hash has 32 bytes"))
}

impl Rule for Links {
    fn name(&self) -> &'static str {
        "integrity"
    }

    fn observe(&mut self, _at: Duration, event: &Event, view: &mut dyn View) -> Result<(), String> {
        match event {
            // Where nothing is heard, nothing need be remembered.
            Event::Frame { from, to, link, bytes } if view.scenario().tier == Tier::Turmoil => {
                let sent = self.sent.entry((*from, *to)).or_default().entry(*link).or_default();
                sent.0[usize::from(is_data(bytes))].push(digest(bytes));
                Ok(())
            }
            Event::Heard { node, from, link, bytes } => self.on_heard(*node, *from, *link, bytes),
            Event::Frame { .. }
            | Event::Started { .. }
            | Event::Delivered { .. }
            | Event::Ended { .. }
            | Event::Up { .. }
            | Event::Down { .. }
            | Event::Bit { .. }
            | Event::Lost { .. }
            | Event::Told { .. }
            | Event::Probe { .. }
            | Event::Healed => Ok(()),
        }
    }

    fn judge(&mut self, _view: &mut dyn View) -> Result<(), String> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
