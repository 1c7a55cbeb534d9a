//! Rule (a part of convergence): when the healed core has come to rest, its nodes agree on who the members are and where they listen. What
//! the disk of one says of a node, the disks of all say.
//!
//! Not looked at where disks fail or lie: what a node knows and could not write it hears again when it starts.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::super::{Event, Family, View};
use super::Rule;

/// The first byte of the keys of members (see `core/FORMAT.md`).
const MEMBER_KIND: u8 = b'N';

/// The oracle.
#[derive(Default)]
pub(crate) struct Members {
    is_healed: bool,
    has_looked: bool,
}

fn table(node: usize, view: &mut dyn View) -> BTreeMap<Bytes, Bytes> {
    let contents = view.contents(node);
    let rows = contents.rows.iter().filter(|(key, _)| key.first() == Some(&MEMBER_KIND));
    rows.cloned().collect()
}

/// Whether they agree, as far as it is looked at.
pub(crate) fn check(view: &mut dyn View) -> Result<(), String> {
    let fails = |family: &Family| matches!(family, Family::Disk | Family::Liar);
    if view.scenario().families.iter().any(fails) {
        return Ok(());
    }
    let nodes = 0..view.scenario().nodes.len();
    let core: Vec<usize> = nodes.clone().filter(|node| view.is_core(*node) && view.is_up(*node)).collect();
    let tables: Vec<(usize, BTreeMap<Bytes, Bytes>)> = core.iter().map(|node| (*node, table(*node, view))).collect();
    let Some(((first, of_first), others)) = tables.split_first() else { return Ok(()) };
    for (node, of_node) in others {
        for about in nodes.clone() {
            let key = [&[MEMBER_KIND][..], &view.node_id(about).0].concat();
            if of_node.get(&key[..]) != of_first.get(&key[..]) {
                return Err(format!(
                    "nodes {first} and {node} do not agree on node {about}: where it listens, or whether it is a member"
                ));
            }
        }
    }
    Ok(())
}

impl Rule for Members {
    fn name(&self) -> &'static str {
        "convergence"
    }

    fn observe(&mut self, _at: Duration, event: &Event, view: &mut dyn View) -> Result<(), String> {
        self.is_healed |= matches!(event, Event::Healed);
        let judge_begins = matches!(event, Event::Started { .. }) && self.is_healed;
        if judge_begins && !std::mem::replace(&mut self.has_looked, true) { check(view) } else { Ok(()) }
    }

    fn judge(&mut self, _view: &mut dyn View) -> Result<(), String> {
        Ok(())
    }
}
