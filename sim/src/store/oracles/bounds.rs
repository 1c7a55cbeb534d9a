//! Rule: queues and memory counters stay under their named limits at all times; a frame is shorter than 64 KiB; no request
//! goes on after its deadline, or for nobody; after settling, one link stands between two nodes of the core at most, and none to a node
//! that has been unreachable for longer than the time after which a link is dead.
//!
//! A request's deadline moves with its progress, which nobody outside sees: what is held against it here is the time that
//! it may take if each of its steps took all the time that a step may, and as long again as faults lasted. A tier that
//! cannot tell a node's gauges or links shows none, and nothing is held against it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::{Event, OpKind, Scenario, View};
use super::Rule;
use super::history::{History, Operation};

/// The rule in a sentence.
pub const RULE: &str = "queues, frames, requests and links stay within their limits";

/// A frame, with its header, is shorter than this (see `forever_core::frame`).
const FRAME_LEN_END: usize = 64 << 10;

/// Gauges are read once in so many events of a node: a queue that leaks stays full.
const EVENTS_PER_LOOK: u64 = 8;

/// Steps of a request besides those of each chunk: search, stamps, pages, commits.
const STEPS: u32 = 12;

/// How long the first dials may take, which a request waits for, and a node's start.
const START: Duration = Duration::from_secs(8);

/// The oracle.
pub(crate) struct Bounds {
    history: History,
    /// Events of each node.
    seen: BTreeMap<usize, u64>,
    step: Duration,
    fault_time: Duration,
    link_is_dead: Duration,
    chunk_size: u32,
}

impl Bounds {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let config = &scenario.config;
        let fault_us: u64 = scenario.plan.faults.iter().map(|fault| fault.until_us.saturating_sub(fault.from_us)).sum();
        Self {
            history: History::default(),
            seen: BTreeMap::new(),
            step: config.request_timeout + config.answer_timeout + config.straggler_timeout,
            fault_time: Duration::from_micros(fault_us),
            // It is looked at once in a heartbeat. Clocks that run slow, and bytes on the way, take some more.
            link_is_dead: (config.link_timeout + config.heartbeat) * 2 + Duration::from_secs(2),
            chunk_size: config.chunk_size,
        }
    }

    fn look(&mut self, node: usize, view: &dyn View) -> Result<(), String> {
        let seen = self.seen.entry(node).or_default();
        *seen += 1;
        if !seen.is_multiple_of(EVENTS_PER_LOOK) || !view.is_up(node) {
            return Ok(());
        }
        check_gauges(node, view)
    }

    fn longest(&self, operation: &Operation) -> Duration {
        let chunks = match &operation.op.what {
            OpKind::Put { content, .. } => content.len.div_ceil(self.chunk_size),
            // What it reads, or brings back, may be any of the contents.
            OpKind::Get { .. } | OpKind::Evict { .. } | OpKind::Restore => 64,
            OpKind::Delete { .. }
            | OpKind::List
            | OpKind::ListPart(_)
            | OpKind::Stat { .. }
            | OpKind::Versions { .. } => 0,
        };
        self.step * (STEPS + chunks) + self.fault_time + START
    }

    fn check_time(&self, at: Duration, op: usize, operation: &Operation) -> Result<(), String> {
        let took = at.saturating_sub(operation.started_at);
        if took <= self.longest(operation) {
            return Ok(());
        }
        let (node, longest) = (operation.op.node, self.longest(operation));
        Err(format!("operation {op} at node {node} has taken {took:?}, longer than the {longest:?} that it may take"))
    }

    /// Requests that go on belong to callers that wait, or did a moment ago.
    fn check_left_over(&self, node: usize, view: &dyn View) -> Result<(), String> {
        let now = self.history.at;
        let recent = self.history.ops.values().filter(|operation| {
            let ended_at = operation.ended.as_ref().map(|(_, ended_at, _)| *ended_at);
            operation.op.node == node && ended_at.is_none_or(|ended_at| now.saturating_sub(ended_at) < AFTERWARDS)
        });
        let recent = recent.count() as u64;
        let requests =
            view.gauges(node).into_iter().find(|(name, ..)| *name == "requests").map_or(0, |(_, used, _)| used);
        if requests > recent {
            return Err(format!("{requests} requests of node {node} go on, and at most {recent} callers wait for one"));
        }
        Ok(())
    }

    fn check_links(&self, view: &dyn View) -> Result<(), String> {
        for node in (0..view.scenario().nodes.len()).filter(|node| view.is_core(*node) && view.is_up(*node)) {
            let mut links = view.links(node);
            links.sort_unstable();
            if let Some(pair) = links.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(format!("two links stand between nodes {node} and {}", pair[0]));
            }
            if let Some(dead) = links.iter().find(|other| !view.is_core(**other)) {
                return Err(format!(
                    "node {node} still has a link to node {dead}, which has been out of reach for long"
                ));
            }
        }
        Ok(())
    }
}

/// How long a request may keep what it fetched after its caller has all.
const AFTERWARDS: Duration = Duration::from_secs(20);

fn check_gauges(node: usize, view: &dyn View) -> Result<(), String> {
    let over = view.gauges(node).into_iter().find(|(_, used, limit)| used > limit);
    over.map_or(Ok(()), |(name, used, limit)| Err(format!("{name} of node {node} is {used}, above its limit {limit}")))
}

impl Rule for Bounds {
    fn name(&self) -> &'static str {
        "bounds"
    }

    fn observe(&mut self, at: Duration, event: &Event, view: &mut dyn View) -> Result<(), String> {
        self.history.note(at, event, view);
        match event {
            Event::Frame { from, to, bytes } => {
                if bytes.len() >= FRAME_LEN_END {
                    return Err(format!("a frame of {} bytes from node {from} to node {to}", bytes.len()));
                }
                self.look(*from, view)
            }
            Event::Ended { op, .. } => {
                let Some(operation) = self.history.ops.get(op) else { return Ok(()) };
                let node = operation.op.node;
                self.check_time(at, *op, operation)?;
                self.look(node, view)
            }
            Event::Healed
            | Event::Started { .. }
            | Event::Delivered { .. }
            | Event::Up { .. }
            | Event::Down { .. }
            | Event::Bit { .. }
            | Event::Lost { .. }
            | Event::Probe { .. } => Ok(()),
        }
    }

    fn judge(&mut self, view: &mut dyn View) -> Result<(), String> {
        for node in 0..view.scenario().nodes.len() {
            if view.is_up(node) {
                check_gauges(node, view)?;
                self.check_left_over(node, view)?;
            }
        }
        // The last event is that of the last answer to the judge.
        let now = self.history.at;
        for (op, operation) in self.history.ops.iter().filter(|(_, operation)| operation.ended.is_none()) {
            self.check_time(now, *op, operation)?;
        }
        // Before, a node need not have noticed.
        if self.history.healed.is_some_and(|(_, healed)| now.saturating_sub(healed) > self.link_is_dead) {
            return self.check_links(view);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
