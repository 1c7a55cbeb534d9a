//! What lies on the nodes' disks while a run goes on, as a timeline shows it.

use std::collections::BTreeMap;

use forever_core::ids::BlobKey;

use super::super::{Event, View};
use crate::story::count;
use crate::timeline::Stock;

/// What was last seen on each node's disk.
#[derive(Debug, Default)]
pub(super) struct Disks {
    seen: BTreeMap<usize, Seen>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    /// Blobs, and whether they are intact.
    blobs: BTreeMap<BlobKey, bool>,
    records: usize,
}

impl Disks {
    /// Looks at the disks that may have changed by what happened; what has changed, as a timeline shows it.
    pub(super) fn observe(&mut self, at_us: u64, event: &Event, view: &mut dyn View) -> Vec<Stock> {
        match event {
            // What a caller was told of may lie on any disk by now.
            Event::Ended { .. } | Event::Healed => self.look_at_all(at_us, view),
            Event::Up { node } | Event::Down { node } | Event::Lost { node, .. } => {
                self.look(at_us, *node, view).into_iter().collect()
            }
            // Too many to look at each: what they lead to is seen soon after.
            Event::Started { .. }
            | Event::Bit { .. }
            | Event::Delivered { .. }
            | Event::Frame { .. }
            | Event::Heard { .. }
            | Event::Told { .. }
            | Event::Probe { .. } => Vec::new(),
        }
    }

    /// Looks at all disks.
    pub(super) fn look_at_all(&mut self, at_us: u64, view: &mut dyn View) -> Vec<Stock> {
        (0..view.scenario().nodes.len()).filter_map(|node| self.look(at_us, node, view)).collect()
    }

    fn look(&mut self, at_us: u64, node: usize, view: &mut dyn View) -> Option<Stock> {
        let contents = view.contents(node);
        let now = Seen { blobs: contents.blobs.clone(), records: contents.records.len() };
        let before = self.seen.entry(node).or_default();
        if *before == now {
            return None;
        }
        let intact = |seen: &Seen, blob: &BlobKey| seen.blobs.get(blob) == Some(&true);
        let more = now.blobs.keys().filter(|blob| intact(&now, blob) && !intact(before, blob)).count();
        let less = before.blobs.keys().filter(|blob| intact(before, blob) && !intact(&now, blob)).count();
        let whole = now.blobs.values().filter(|is_intact| **is_intact).count();
        let damaged = now.blobs.len() - whole;
        let mut detail = format!("{} and {}", count(now.blobs.len(), "blob"), count(now.records, "record"));
        for (number, what) in [(damaged, "damaged"), (more, "new since the last look"), (less, "gone or damaged since")]
        {
            if number > 0 {
                detail.push_str(&format!("; {number} {what}"));
            }
        }
        *before = now;
        let [whole, damaged, more, less] = [whole, damaged, more, less].map(|number| number as u64);
        Some(Stock { lane: node, at_us, whole, damaged, more, less, detail })
    }
}
