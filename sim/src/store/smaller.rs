//! What a case can do without: how scenarios are made smaller when a failure is shrunk.

use super::scenario::know_each_other;
use super::{Content, Engine, Fault, NodeSpec, Op, OpKind, Reader, Said, Scenario};
use crate::simulation::{self, Unrunnable};
use crate::system::{Plan, Spanned, Step, Timed};

impl simulation::Scenario for Scenario {
    type Op = Op;
    type Fault = Fault;

    fn seed(&self) -> u64 {
        self.seed
    }

    fn plan(&self) -> &Plan<Op, Fault> {
        &self.plan
    }

    fn with_plan(&self, plan: Plan<Op, Fault>) -> Self {
        Self { plan, ..self.clone() }
    }

    fn nodes(&self) -> usize {
        self.nodes.len()
    }

    fn check(&self) -> Result<(), Unrunnable> {
        self.check_settings()?;
        self.check_plan()
    }

    fn tell(&self) -> String {
        let (nodes, seed, tier) = (self.nodes.len(), self.seed, self.tier);
        let owners: std::collections::BTreeSet<usize> = self.nodes.iter().map(|node| node.owner).collect();
        let (nodes_are, owners_are) = (if nodes == 1 { "node keeps" } else { "nodes keep" }, owners.len());
        let whose = if owners_are == 1 { "one owner".into() } else { format!("{owners_are} owners") };
        let bug = self.planted.as_ref().map_or_else(String::new, |bug| format!(", planted bug {bug}"));
        format!("{nodes} {nodes_are} the files of {whose} (seed {seed}, tier {tier:?}{bug}).")
    }

    fn without_node(&self, node: usize) -> Option<Self> {
        let is_needed = self.nodes.len() < 2
            || node >= self.nodes.len()
            || self.core == [node]
            || self.plan.ops.iter().any(|op| Step::nodes(&op.what).contains(&node));
        if is_needed {
            return None;
        }
        let mut faults = Vec::new();
        for fault in &self.plan.faults {
            faults.push(Spanned { what: fault_without(&fault.what, node)?, ..fault.clone() });
        }
        let moved = |op: &Timed<Op>| {
            let mut op = op.clone();
            op.what.node = after(op.what.node, node)?;
            if let OpKind::Forget { member } = &mut op.what.what {
                *member = after(*member, node)?;
            }
            Some(op)
        };
        let ops = self.plan.ops.iter().filter_map(moved).collect();
        let list = |nodes: &[usize]| nodes.iter().filter_map(|other| after(*other, node)).collect();
        let mut nodes = self.nodes.clone();
        bequeath(&mut nodes, node);
        nodes.remove(node);
        for spec in &mut nodes {
            spec.bootstrap = list(&spec.bootstrap);
        }
        let plan = Plan { ops, faults, end_us: self.plan.end_us };
        Some(Self { nodes, core: list(&self.core), plan, ..self.clone() })
    }

    fn simpler(&self) -> Vec<Self> {
        let mut all = Vec::new();
        all.extend(self.without_buggify());
        if self.latency_us.0 != self.latency_us.1 {
            all.push(Self { latency_us: (self.latency_us.0, self.latency_us.0), ..self.clone() });
        }
        if self.disk_us.0 != self.disk_us.1 {
            all.push(Self { disk_us: (self.disk_us.0, self.disk_us.0), ..self.clone() });
        }
        if self.engine != Engine::default() {
            all.push(Self { engine: Engine::default(), ..self.clone() });
        }
        for (index, op) in self.plan.ops.iter().enumerate() {
            for what in simpler_op(&op.what.what) {
                let mut simpler = self.clone();
                simpler.plan.ops[index].what.what = what;
                all.push(simpler);
            }
        }
        all
    }
}

/// The new number of a node once another is gone.
fn after(node: usize, gone: usize) -> Option<usize> {
    match node.cmp(&gone) {
        std::cmp::Ordering::Less => Some(node),
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Greater => Some(node - 1),
    }
}

/// A fault in a cluster that lacks a node; `None` if nothing is left of it.
fn fault_without(fault: &Fault, gone: usize) -> Option<Fault> {
    let mut fault = fault.clone();
    let moved = |node: &mut usize| after(*node, gone).map(|new| *node = new);
    match &mut fault {
        Fault::Partition { these, those } => {
            for side in [these, those] {
                *side = side.iter().filter_map(|node| after(*node, gone)).collect();
                if side.is_empty() {
                    return None;
                }
            }
        }
        Fault::Clog { pairs } => {
            *pairs = pairs.iter().filter_map(|(a, b)| Some((after(*a, gone)?, after(*b, gone)?))).collect();
            if pairs.is_empty() {
                return None;
            }
        }
        Fault::LatencySpike { .. } => {}
        Fault::OneWay { from: a, to: b }
        | Fault::Hold { a, b }
        | Fault::SlowPair { a, b, .. }
        | Fault::DropBytes { a, b, .. }
        | Fault::DuplicateBytes { a, b, .. }
        | Fault::ReorderBytes { a, b, .. }
        | Fault::Resets { a, b, .. } => {
            moved(a)?;
            moved(b)?;
        }
        Fault::Bandwidth { node, .. }
        | Fault::HalfOpen { node }
        | Fault::Stranger { node, .. }
        | Fault::Crash { node }
        | Fault::PowerLoss { node }
        | Fault::Pause { node }
        | Fault::LostDisk { node }
        | Fault::SlowStart { node }
        | Fault::Moved { node }
        | Fault::Skew { node, .. }
        | Fault::Drift { node, .. }
        | Fault::Jump { node, .. }
        | Fault::ReadErrors { node, .. }
        | Fault::WriteErrors { node, .. }
        | Fault::SyncErrors { node, .. }
        | Fault::Full { node, .. }
        | Fault::SlowDisk { node, .. }
        | Fault::StalledDisk { node }
        | Fault::BitRot { node, .. }
        | Fault::IndexRot { node, .. }
        | Fault::Misdirected { node, .. }
        | Fault::LostDirSyncs { node }
        | Fault::Liar { node, .. } => moved(node)?,
    }
    Some(fault)
}

/// The same operation, each with one thing less.
fn simpler_op(what: &OpKind) -> Vec<OpKind> {
    match what {
        OpKind::Put { file, content, abandon_after, said, slow_ms } => {
            let (file, said, slow_ms) = (*file, *said, *slow_ms);
            let put = |content, abandon_after| OpKind::Put { file, content, abandon_after, said, slow_ms };
            let mut all = Vec::new();
            if slow_ms > 0 {
                let (content, abandon_after) = (*content, *abandon_after);
                all.push(OpKind::Put { file, content, abandon_after, said, slow_ms: 0 });
            }
            if abandon_after.is_some() {
                all.push(put(*content, None));
            }
            if said != Said::default() {
                let (content, abandon_after) = (*content, *abandon_after);
                all.push(OpKind::Put { file, content, abandon_after, said: Said::default(), slow_ms });
            }
            if content.changed.is_some() {
                all.push(put(Content { changed: None, ..*content }, *abandon_after));
            }
            if content.len > 1 {
                all.push(put(Content { len: content.len / 2, ..*content }, *abandon_after));
            }
            all
        }
        OpKind::Get { file, range, old, reader } => {
            let get = |range, old, reader| OpKind::Get { file: *file, range, old, reader };
            let mut all = Vec::new();
            if range.is_some() {
                all.push(get(None, *old, *reader));
            }
            if old.is_some() {
                all.push(get(*range, None, *reader));
            }
            if *reader != Reader::default() {
                all.push(get(*range, *old, Reader::default()));
            }
            all
        }
        OpKind::ListPart(_) => vec![OpKind::List],
        OpKind::Scrub { abandon_after: Some(_) } => vec![OpKind::Scrub { abandon_after: None }],
        OpKind::Share { ticket, file, old: Some(_), valid_ms } => {
            vec![OpKind::Share { ticket: *ticket, file: *file, old: None, valid_ms: *valid_ms }]
        }
        OpKind::Redeem { ticket, range, forged } => {
            let redeem = |range, forged| OpKind::Redeem { ticket: *ticket, range, forged };
            let mut all = Vec::new();
            all.extend(range.map(|_| redeem(None, *forged)));
            all.extend(forged.map(|_| redeem(*range, None)));
            all
        }
        OpKind::Delete { .. }
        | OpKind::Undelete { .. }
        | OpKind::List
        | OpKind::Stat { .. }
        | OpKind::Versions { .. }
        | OpKind::Evict { .. }
        | OpKind::Restore
        | OpKind::Scrub { abandon_after: None }
        | OpKind::Fsck
        | OpKind::Leave
        | OpKind::Forget { .. }
        | OpKind::Share { old: None, .. } => Vec::new(),
    }
}

/// Who knew a node knows one of its neighbours instead, and that one whomever the node knew: who is left can still meet.
fn bequeath(nodes: &mut [NodeSpec], node: usize) {
    let Some(heir) = (0..nodes.len()).find(|other| *other != node && know_each_other(nodes, node, *other)) else {
        return;
    };
    for (number, spec) in nodes.iter_mut().enumerate() {
        if number != heir && spec.bootstrap.contains(&node) && !spec.bootstrap.contains(&heir) {
            spec.bootstrap.push(heir);
        }
    }
    for other in nodes[node].bootstrap.clone() {
        if other != heir && !nodes[heir].bootstrap.contains(&other) {
            nodes[heir].bootstrap.push(other);
        }
    }
}

#[cfg(test)]
mod tests;
