//! What a judge asks of the healed cluster, in both tiers: each node of its core lists its files, reads each that its owner ever
//! put and tells who holds it, reads what the tickets open that it was given, and then does with a file of its own all that can be done with one. A cluster that only answers reads has not healed.
//! At the very end, in some scenarios of World with nodes enough that have come to rest, one of them leaves.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::oracles::{collection, members, placed};
use super::{Content, Op, OpKind, Said, Scenario, View};
use crate::draw::{Draws, Site};

const FAREWELL: Site = Site::new("judge.farewell");

/// A node leaves at the end in so many of a thousand scenarios that have nodes enough.
const FAREWELL_PER_MILLE: u64 = 300;

/// The fewest nodes of a core of which one leaves: all that is kept on three has somewhere to go.
const FAREWELL_MIN: usize = 4;

/// Operations of the judge that a node has open at a time.
const OPEN_MAX: usize = 4;

/// The file that the judge puts at node 0; those of the others follow. No plan has so many.
const FILE: u32 = 1_000_000;

/// The longest lease that the judge waits for, in milliseconds.
const SLOW_LEASE_MS_MAX: u32 = 10_000;

/// What is still to be asked.
#[derive(Debug)]
pub(crate) struct Questions {
    /// By node.
    waiting: Vec<VecDeque<OpKind>>,
    /// The number of the next operation: they go on from the plan's.
    next: usize,
    open_max: usize,
    has_begun: bool,
    /// The node that leaves when all else has been answered.
    farewell: Option<usize>,
    has_sent_one_away: bool,
}

impl Questions {
    /// `has_rested` says whether nobody owes anybody anything: only then can a node be expected to get away.
    pub(crate) fn new(scenario: &Scenario, has_rested: bool) -> Self {
        let mut waiting = vec![VecDeque::new(); scenario.nodes.len()];
        for node in &scenario.core {
            waiting[*node].push_back(OpKind::List);
            let files = files(scenario, *node).into_iter();
            waiting[*node].extend(files.flat_map(|file| [OpKind::get(file), OpKind::Stat { file }]));
            waiting[*node].extend(redeemed(scenario, *node));
            waiting[*node].extend(trial(scenario, *node));
        }
        let farewell = farewell(scenario).filter(|_| has_rested);
        let next = scenario.plan.ops.iter().map(|op| op.id + 1).max().unwrap_or(0);
        let open_max = OPEN_MAX.min(scenario.config.requests_max as usize).max(1);
        Self { waiting, next, open_max, has_begun: false, farewell, has_sent_one_away: false }
    }

    /// Whether all has been asked.
    pub(crate) fn is_empty(&self) -> bool {
        self.farewell.is_none() && self.waiting.iter().all(VecDeque::is_empty)
    }

    /// Whether a node was asked to leave.
    pub(crate) fn have_sent_one_away(&self) -> bool {
        self.has_sent_one_away
    }

    /// The next operations to begin, with their numbers. `open` are those that have begun and not ended. The very first
    /// begins alone, so that whoever sees it sees the cluster at rest.
    pub(crate) fn next(&mut self, open: &[Op]) -> Vec<(usize, Op)> {
        if open.is_empty()
            && self.waiting.iter().all(VecDeque::is_empty)
            && let Some(node) = self.farewell.take()
        {
            self.next += 1;
            self.has_sent_one_away = true;
            return vec![(self.next - 1, Op { node, what: OpKind::Leave })];
        }
        let mut begin = Vec::new();
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        for (node, waiting) in self.waiting.iter_mut().enumerate() {
            let mut open: Vec<OpKind> = open.iter().filter(|op| op.node == node).map(|op| op.what.clone()).collect();
            while waiting.front().is_some_and(|next| may_begin(next, &open, self.open_max)) {
                let Some(what) = waiting.pop_front() else { break };
                if is_first {
                    let op = (self.next, Op { node, what });
                    self.next += 1;
                    return vec![op];
                }
                open.push(what.clone());
                begin.push((self.next, Op { node, what }));
                self.next += 1;
            }
        }
        begin
    }
}

/// Reads go on together; what changes a file waits for all before it, and all wait for it.
fn may_begin(next: &OpKind, open: &[OpKind], open_max: usize) -> bool {
    let must_wait = !is_read(next) || open.iter().any(|what| !is_read(what));
    open.is_empty() || (!must_wait && open.len() < open_max)
}

const fn is_read(what: &OpKind) -> bool {
    match what {
        OpKind::Get { .. }
        | OpKind::List
        | OpKind::ListPart(_)
        | OpKind::Stat { .. }
        | OpKind::Versions { .. }
        | OpKind::Share { .. }
        | OpKind::Redeem { .. }
        | OpKind::Fsck => true,
        OpKind::Put { .. }
        | OpKind::Delete { .. }
        | OpKind::Undelete { .. }
        | OpKind::Evict { .. }
        | OpKind::Restore
        | OpKind::Scrub { .. }
        | OpKind::Leave
        | OpKind::Forget { .. } => false,
    }
}

/// Remembers of what a node has under way the least that was there since the cluster is quiet; nothing while it is not.
pub(crate) fn note_least(
    least: &mut BTreeMap<&'static str, u64>,
    is_quiet: bool,
    under_way: impl IntoIterator<Item = (&'static str, u64)>,
) {
    if !is_quiet {
        return least.clear();
    }
    for (name, number) in under_way {
        least.entry(name).and_modify(|least| *least = number.min(*least)).or_insert(number);
    }
}

/// Whether what is under way may say more than that nothing is left over.
pub(crate) fn is_of_interest(least: &BTreeMap<&'static str, u64>) -> bool {
    least.is_empty() || least.values().any(|number| *number > 0)
}

/// Whether all names lie where they belong, and nowhere else, as far as it is to be so, and all agree on the members.
pub(crate) fn is_everything_placed(view: &mut dyn View) -> bool {
    let is_honest = |view: &dyn View, node| !view.scenario().lies(node);
    placed::misplaced(view, is_honest).is_empty()
        && collection::out_of_place(view, is_honest).is_empty()
        && !collection::is_any_left_over(view, is_honest)
        && !placed::is_any_forsaken(view, is_honest)
        && members::check(view).is_ok()
}

/// The files that a node's owner ever put in the plan.
fn files(scenario: &Scenario, node: usize) -> BTreeSet<u32> {
    let owner = scenario.nodes[node].owner;
    let of_owner = scenario.plan.ops.iter().filter(|op| scenario.nodes[op.what.node].owner == owner);
    of_owner.filter_map(|op| if let OpKind::Put { file, .. } = op.what.what { Some(file) } else { None }).collect()
}

/// The tickets that were redeemed at a node in the plan, to be redeemed again.
fn redeemed(scenario: &Scenario, node: usize) -> impl Iterator<Item = OpKind> {
    let at_node = scenario.plan.ops.iter().filter(move |op| op.what.node == node);
    let tickets =
        at_node.filter_map(|op| if let OpKind::Redeem { ticket, .. } = op.what.what { Some(ticket) } else { None });
    let tickets: BTreeSet<u32> = tickets.collect();
    tickets.into_iter().map(|ticket| OpKind::Redeem { ticket, range: None, forged: None })
}

/// Who leaves at the end, if anybody does.
fn farewell(scenario: &Scenario) -> Option<usize> {
    let mut draw = Draws::new(scenario.seed).at(FAREWELL, 0, 0);
    let is_wanted = draw.per_mille(FAREWELL_PER_MILLE);
    let has_nodes_enough = scenario.core.len() >= FAREWELL_MIN;
    (is_wanted && has_nodes_enough).then(|| *draw.pick(&scenario.core))
}

/// The life of a file of two chunks, each long enough to be like no other.
fn trial(scenario: &Scenario, node: usize) -> [OpKind; 5] {
    let file = FILE + u32::try_from(node).expect("a cluster has at most 200 nodes");
    let content = Content { salt: u64::from(file), len: scenario.config.chunk_size + 64, changed: None };
    // Where leases are short, one of a put's chunks is as old as a lease before the put ends.
    let lease_ms = u32::try_from(scenario.config.lease.as_millis()).unwrap_or(u32::MAX);
    let slow_ms = if lease_ms <= SLOW_LEASE_MS_MAX { lease_ms / 2 + 1_500 } else { 0 };
    let put = OpKind::Put { file, content, abandon_after: None, said: Said::default(), slow_ms };
    [put, OpKind::Evict { file }, OpKind::get(file), OpKind::Delete { file }, OpKind::get(file)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Shape, Tier};

    #[test]
    fn every_core_node_is_asked_for_every_file_and_changes_wait_for_all_else() {
        let scenario = Scenario::draw(3, Tier::World, &Shape::of(Tier::World));
        let mut questions = Questions::new(&scenario, true);
        let mut open: Vec<(usize, Op)> = Vec::new();
        let mut asked: Vec<Op> = Vec::new();
        while !questions.is_empty() || !open.is_empty() {
            let now: Vec<Op> = open.iter().map(|(_, op)| op.clone()).collect();
            open.extend(questions.next(&now));
            for node in &scenario.core {
                let at_node: Vec<&OpKind> =
                    open.iter().filter(|(_, op)| op.node == *node).map(|(_, op)| &op.what).collect();
                assert!(at_node.len() <= OPEN_MAX);
                assert!(at_node.len() <= 1 || at_node.iter().all(|what| is_read(what)), "{at_node:?}");
            }
            asked.push(open.remove(0).1);
        }
        assert_eq!(
            asked.iter().filter(|op| op.what == OpKind::Leave).count(),
            usize::from(farewell(&scenario).is_some())
        );
        asked.retain(|op| op.what != OpKind::Leave);
        for node in scenario.core.iter().copied() {
            let of_node: Vec<&OpKind> = asked.iter().filter(|op| op.node == node).map(|op| &op.what).collect();
            assert_eq!(of_node.len(), 1 + 2 * files(&scenario, node).len() + redeemed(&scenario, node).count() + 5);
            assert!(matches!(of_node[0], OpKind::List));
            assert_eq!(of_node[of_node.len() - 5..], trial(&scenario, node).each_ref());
        }
        let of_plan = scenario.plan.ops.iter().map(|op| op.id).max();
        assert!(questions.next > of_plan.unwrap() + asked.len());
    }
}
