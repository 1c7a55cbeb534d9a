//! Rule: queues and memory counters stay under their named limits at all times; a frame is shorter than 64 KiB; no request
//! goes on after its deadline, or for nobody; what ends by itself (questions, transfers, disk operations, bytes in flight) has ended
//! once the core has come to rest; after settling, one link stands between two nodes of the core at most, and none to a node
//! that has been unreachable for longer than the time after which a link is dead. Where a node keeps fewer links than there are members,
//! one that it has made on demand is closed when it has been idle for a while, sooner while it has more than `max_peers` of its own.
//!
//! A request's deadline moves with its progress, which nobody outside sees. That it has one, no further away than it may be, is
//! among the gauges; what is held against the request here is the time that faults lasted while it ran, the way of each of its
//! chunks on a slow network, and a few timeouts. A tier that cannot tell a node's gauges or links shows none, and nothing is held
//! against it.

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

/// Gauges that are measured on the disk itself.
pub(crate) const ROOM: [&str; 3] = ["bytes of cached chunks", "bytes of another owner's blobs", "bytes of all blobs"];

/// Timeouts that a request may wait out one after the other: search, transfer, publication.
const STEPS: u32 = 3;

/// Messages and disk operations that each chunk may wait for.
const OF_CHUNK: u32 = 8;

/// How long the first dials may take, which a request waits for, and a node's start.
const START: Duration = Duration::from_secs(8);

/// The oracle.
pub(crate) struct Bounds {
    history: History,
    /// Events of each node.
    seen: BTreeMap<usize, u64>,
    step: Duration,
    /// When faults last, in microseconds since the start: spans that do not overlap, in order.
    faults: Vec<(u64, u64)>,
    /// How long a chunk may be under way on a network and disks without faults.
    chunk_time: Duration,
    /// Chunks of the largest content of the plan, and of all together.
    chunks: (u32, u32),
    chunk_size: u32,
    judge_has_begun: bool,
}

impl Bounds {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let config = &scenario.config;
        let chunk_us = (u64::from(scenario.latency_us.1) + u64::from(scenario.disk_us.1)) * u64::from(OF_CHUNK);
        let given = scenario.plan.ops.iter().filter_map(|op| op.what.what.given());
        let chunks = given.map(|(content, _)| content.len.div_ceil(config.chunk_size.max(1)));
        let chunks = chunks.fold((0, 0), |(most, all), of_op: u32| (of_op.max(most), of_op.saturating_add(all)));
        Self {
            history: History::default(),
            seen: BTreeMap::new(),
            step: config.request_timeout + config.answer_timeout + config.straggler_timeout,
            faults: spans(scenario),
            chunk_time: Duration::from_micros(chunk_us),
            chunks,
            chunk_size: config.chunk_size.max(1),
            judge_has_begun: false,
        }
    }

    fn look(&mut self, node: usize, view: &dyn View) -> Result<(), String> {
        let seen = self.seen.entry(node).or_default();
        *seen += 1;
        if !seen.is_multiple_of(EVENTS_PER_LOOK) || !view.is_up(node) {
            return Ok(());
        }
        self.check_gauges(node, view)
    }

    /// Whatever is limited is below its limit; on a disk that has not done what it acknowledged, what blobs take is nobody's fault.
    fn check_gauges(&self, node: usize, view: &dyn View) -> Result<(), String> {
        let is_untrusted = self.history.is_untrusted(view, node);
        let counts = |name: &str| !(is_untrusted && ROOM.contains(&name));
        let over = view.gauges(node).into_iter().find(|(name, used, limit)| used > limit && counts(name));
        over.map_or(Ok(()), |(name, used, limit)| {
            Err(format!("{name} of node {node} is {used}, above its limit {limit}"))
        })
    }

    /// How long an operation may have taken at a time.
    fn longest(&self, operation: &Operation, at: Duration) -> Duration {
        let chunks = match &operation.op.what {
            OpKind::Put { content, .. } => content.len.div_ceil(self.chunk_size),
            OpKind::Get { .. } | OpKind::Redeem { .. } | OpKind::Undelete { .. } => self.chunks.0,
            // What is dropped may be several versions, and what is brought back, all.
            OpKind::Evict { .. } | OpKind::Restore => self.chunks.1,
            // Every chunk of every owner is read, and some are fetched.
            OpKind::Scrub { .. } => self.chunks.1,
            // All that the node holds may have to be fetched by others.
            OpKind::Leave => self.chunks.1,
            OpKind::Delete { .. }
            | OpKind::List
            | OpKind::ListPart(_)
            | OpKind::Stat { .. }
            | OpKind::Fsck
            | OpKind::Forget { .. }
            | OpKind::Share { .. }
            | OpKind::Versions { .. } => 0,
        };
        self.step * STEPS + self.chunk_time * chunks + self.trouble(operation.started_at, at) + START
    }

    /// How long some fault lasted between two times.
    fn trouble(&self, from: Duration, until: Duration) -> Duration {
        let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let (from, until) = (us(from), us(until));
        let common = |(begin, end): &(u64, u64)| (*end).min(until).saturating_sub((*begin).max(from));
        Duration::from_micros(self.faults.iter().map(common).sum())
    }

    fn check_time(&self, at: Duration, op: usize, operation: &Operation) -> Result<(), String> {
        let took = at.saturating_sub(operation.started_at);
        let (node, longest) = (operation.op.node, self.longest(operation, at));
        if took <= longest {
            return Ok(());
        }
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
        let requests = view.requests(node);
        if requests > recent {
            return Err(format!("{requests} requests of node {node} go on, and at most {recent} callers wait for one"));
        }
        Ok(())
    }

    /// What ends by itself has ended once the core has come to rest.
    fn check_rest(view: &dyn View) -> Result<(), String> {
        for node in (0..view.scenario().nodes.len()).filter(|node| view.is_core(*node) && view.is_up(*node)) {
            if let Some((name, least)) = view.left_over(node).into_iter().find(|(_, least)| *least > 0) {
                return Err(format!("{name} of node {node} stays at {least} or more although the core is at rest"));
            }
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
            // Whom its configuration names a node dials again and again, whether or not that has left.
            let is_dialled =
                |other: usize| view.is_gone(other) && view.scenario().nodes[node].bootstrap.contains(&other);
            if let Some(dead) = links.iter().find(|other| !view.is_core(**other) && !is_dialled(**other)) {
                return Err(format!(
                    "node {node} still has a link to node {dead}, which has been out of reach for long"
                ));
            }
        }
        Ok(())
    }
}

/// The spans of all faults, joined where they overlap.
fn spans(scenario: &Scenario) -> Vec<(u64, u64)> {
    let mut spans: Vec<(u64, u64)> =
        scenario.plan.faults.iter().map(|fault| (fault.from_us, fault.until_us.min(scenario.plan.end_us))).collect();
    spans.sort_unstable();
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (from, until) in spans {
        match joined.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(until),
            _ => joined.push((from, until)),
        }
    }
    joined
}

/// How long a request may keep what it fetched after its caller has all.
const AFTERWARDS: Duration = Duration::from_secs(20);

impl Rule for Bounds {
    fn name(&self) -> &'static str {
        "bounds"
    }

    fn observe(&mut self, at: Duration, event: &Event, view: &mut dyn View) -> Result<(), String> {
        self.history.note(at, event, view);
        match event {
            Event::Frame { from, to, bytes, .. } => {
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
            // The cluster has come to rest, and what the judge asks from now on would hide what is left over.
            Event::Started { op, .. } => {
                let of_judge = self.history.ops.get(op).is_some_and(|operation| operation.of_judge);
                if of_judge && !std::mem::replace(&mut self.judge_has_begun, true) {
                    for node in (0..view.scenario().nodes.len()).filter(|node| view.is_up(*node)) {
                        self.check_left_over(node, view)?;
                    }
                    return Self::check_rest(view);
                }
                Ok(())
            }
            Event::Healed
            | Event::Delivered { .. }
            | Event::Up { .. }
            | Event::Down { .. }
            | Event::Bit { .. }
            | Event::Lost { .. }
            | Event::Heard { .. }
            | Event::Told { .. }
            | Event::Probe { .. } => Ok(()),
        }
    }

    fn judge(&mut self, view: &mut dyn View) -> Result<(), String> {
        for node in 0..view.scenario().nodes.len() {
            if view.is_up(node) {
                self.check_gauges(node, view)?;
                self.check_left_over(node, view)?;
            }
        }
        // The last event is that of the last answer to the judge.
        let now = self.history.at;
        for (op, operation) in self.history.ops.iter().filter(|(_, operation)| operation.ended.is_none()) {
            self.check_time(now, *op, operation)?;
        }
        // Before, a node need not have noticed. Where nodes were left dead, the core rests for longer than that.
        let link_is_dead = view.scenario().link_is_dead();
        if self.history.healed.is_some_and(|(_, healed)| now.saturating_sub(healed) > link_is_dead) {
            return self.check_links(view);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
