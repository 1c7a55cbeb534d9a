//! Rule (a part of integrity): what a node compares with its peers is what its disk has. Whenever a node is certain of which records
//! lie on its disk, while the cluster settles and after it, they do. Excused is a node whose disk acknowledged what it did not store.

use std::collections::BTreeSet;
use std::time::Duration;

use forever_core::ids::RecordId;
use forever_core::reconcile::Sum;

use super::super::{DiskLoss, Event, View};
use super::Rule;

/// The first byte of the keys of records (see `core/FORMAT.md`).
const RECORD_KIND: u8 = b'R';

/// The oracle.
#[derive(Default)]
pub(crate) struct Sums {
    is_healed: bool,
    /// Nodes whose disks have lied.
    excused: BTreeSet<usize>,
}

impl Sums {
    fn check(&self, view: &mut dyn View) -> Result<(), String> {
        let nodes = 0..view.scenario().nodes.len();
        for node in nodes.filter(|node| !self.excused.contains(node)) {
            let Some(known) = view.record_sum(node).filter(|_| view.is_up(node)) else { continue };
            let mut on_disk = Sum::default();
            for (key, _) in &view.contents(node).rows {
                if key.first() == Some(&RECORD_KIND)
                    && let Some(id) = key.last_chunk::<32>()
                {
                    on_disk.add(Sum::of(&RecordId(*id)));
                }
            }
            if known != on_disk {
                return Err(format!(
                    "node {node} is certain of {known:?}, and the records on its disk are {on_disk:?}"
                ));
            }
        }
        Ok(())
    }
}

impl Rule for Sums {
    fn name(&self) -> &'static str {
        "integrity"
    }

    fn observe(&mut self, _at: Duration, event: &Event, view: &mut dyn View) -> Result<(), String> {
        self.is_healed |= matches!(event, Event::Healed);
        match event {
            Event::Healed | Event::Ended { .. } if self.is_healed => self.check(view),
            Event::Lost { node, what: DiskLoss::Unknown } => {
                self.excused.insert(*node);
                Ok(())
            }
            Event::Healed
            | Event::Ended { .. }
            | Event::Started { .. }
            | Event::Delivered { .. }
            | Event::Up { .. }
            | Event::Down { .. }
            | Event::Bit { .. }
            | Event::Lost { .. }
            | Event::Frame { .. }
            | Event::Heard { .. }
            | Event::Told { .. }
            | Event::Probe { .. } => Ok(()),
        }
    }

    fn judge(&mut self, view: &mut dyn View) -> Result<(), String> {
        self.check(view)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn a_node_that_is_certain_of_what_its_disk_has_not_is_found_out() {
        let mut run = Run::new(Sums::default());
        run.put(0, 1, 100, &[0, 2]).unwrap();
        let held = run.view.disks[0].records[0].record.id;
        run.view.sums = vec![Some(Sum::of(&held)), None, None];
        run.view.disks[0].rows = vec![([b"R".as_slice(), &held.0].concat().into(), bytes::Bytes::new())];
        run.heal().unwrap();
        run.judge().unwrap();
        run.view.disks[0].rows.clear();
        assert!(run.judge().unwrap_err().contains("node 0 is certain"));
        run.view.sums[0] = None;
        run.judge().unwrap();
    }

    #[test]
    fn a_disk_that_lied_excuses_its_node() {
        let mut run = Run::new(Sums::default());
        run.view.sums = vec![Some(Sum::of(&RecordId([7; 32]))), None, None];
        run.lose(0, DiskLoss::Unknown);
        run.heal().unwrap();
        run.judge().unwrap();
    }
}
