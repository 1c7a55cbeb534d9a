//! Probes: interesting states that a sweep should reach. One that it never reaches says that the sweep tests less than it
//! seems to.
//!
//! The code under test tells of its own through `sometimes!`, which tiers show as [`Event::Probe`]; what only somebody outside
//! can see is seen here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use forever_core::event::RequestError;
use forever_core::manifest::PAGE_ENTRIES_MAX;

use super::oracles::history::{FileKey, History, Operation, Outcome};
use super::oracles::{Rule, SharedFindings};
use super::{DiskLoss, Event, OpError, OpKind, OpResult, Tier, View};

/// The probes that are reached in either tier, with what each means.
pub const ALL: &[(&str, &str)] = &[
    ("put acked with a peer down", "a put was acknowledged while another node was down"),
    ("read with a peer down", "a read was answered while another node was down"),
    ("old version read", "an older version was read by its number"),
    ("empty file read", "a file of no bytes was read"),
    ("many chunks read", "a file of more than 16 chunks was read whole"),
    ("range across chunks read", "a part of a file was read that begins in one chunk and ends in another"),
    ("concurrent puts of one name", "two puts of one name were under way at once"),
    ("put against delete", "a put and a delete of one name were under way at once"),
    ("two devices wrote one name", "a name has acknowledged versions of two devices"),
    ("deleted file asked for", "a read of a deleted file found nothing"),
    ("file put again after a delete", "a put of a deleted name was acknowledged"),
    ("deleted file put back", "an undelete was acknowledged"),
    ("put for want of peers failed", "a put failed because too few nodes had it"),
    ("write failed on a full disk", "a write failed because the disk was full"),
    ("operation cut off by a crash", "a node went down in the middle of an operation"),
    ("file evicted", "an evict freed bytes"),
    ("evicted file fetched back", "a file was read on the node that had evicted it"),
    ("restore after a lost disk", "a node that had lost its disk brought files back"),
    ("stamp far ahead refused", "a write was refused because its clock was a day behind"),
    ("disk lost", "a whole disk was destroyed"),
    ("blobs destroyed", "some blobs of a disk were destroyed"),
    ("same content put again", "a put stored no new bytes because its content was there"),
    ("excused read", "a read failed, and no copy was left"),
    ("wrong length refused", "a put failed because its length was not the one announced"),
    ("list cut short", "a list had as many files as were asked for, and there were more"),
    ("get given up", "a caller went away in the middle of a get"),
    ("ticket redeemed", "another owner's file was read by a ticket"),
    ("changed ticket refused", "a ticket that was changed on its way was refused"),
    ("expired ticket refused", "a ticket was refused because its time was up"),
    ("ticket of a deleted file refused", "a ticket was refused because what it opened had gone"),
    ("loss found by a check", "a check of a disk beside its running node found chunks that were lost"),
    ("part of the core left dead", "the cluster settled without some of its nodes"),
];

/// Those that only World reaches: it has chunks small enough, and scenarios in which nodes leave.
const WORLD: &[(&str, &str)] = &[
    ("several manifest pages read", "a file of more chunks than fit into a page of a manifest was read whole"),
    ("node left", "a node handed over what it held and left the cluster"),
    ("node written off", "a node that would not come back was written off"),
];

/// A probe of those that only Turmoil reaches.
pub(crate) const INDEX_REFUSED: &str = "damaged index refused";

/// Those that only Turmoil reaches, besides those of the code that it alone runs.
const TURMOIL: &[(&str, &str)] = &[(INDEX_REFUSED, "a store was not opened because bits of its index had flipped")];

/// Those that few seeds reach: one of about so many, as sweeps of thousands showed (of hundreds in Turmoil).
const RARE: &[(Tier, &str, u64)] = &[
    (Tier::World, "collect.page-needed-again", 2_000),
    (Tier::World, "scrub.asked-for-one-resumed", 460),
    (Tier::World, "excused read", 370),
    (Tier::World, "idle.still-needed", 310),
    (Tier::World, "collect.owed-deletion-kept", 140),
    (Tier::World, "collect.page-lease-over", 85),
    (Tier::World, "outbox.no-longer-a-holder", 80),
    (Tier::World, "pull.chunk-vanished", 80),
    (Tier::World, "several manifest pages read", 70),
    (Tier::World, "rebalance.no-longer-out-of-place", 60),
    (Tier::World, "exchange.found-by-fingerprint", 55),
    (Tier::World, "get.wrong-bytes-refused", 50),
    (Tier::World, "leave.waits-for-holders", 50),
    (Tier::World, "pull.light-for-want-of-room", 40),
    (Tier::Turmoil, "pull.chunk-vanished", 250),
];

/// A sweep is held to a rare probe if it has so many times the seeds of which one reaches it: by chance it misses it once in 150.
const SURE: u64 = 5;

/// The probes that a sweep of so many seeds of a tier must reach, if it has some hundred.
#[must_use]
pub fn demanded(tier: Tier, seeds: u64) -> Vec<&'static str> {
    let is_due = |name: &&str| demanded_from(tier, name).is_none_or(|least| seeds >= least);
    of(tier).into_iter().map(|(name, _)| name).filter(is_due).collect()
}

/// From how many seeds on a sweep of a tier is held to a probe, if it is rare.
#[must_use]
pub fn demanded_from(tier: Tier, probe: &str) -> Option<u64> {
    RARE.iter().find(|(of, name, _)| (*of, *name) == (tier, probe)).map(|(_, _, one_in)| one_in * SURE)
}

/// All probes that a tier can reach: those here and those of the code that it runs.
#[must_use]
pub fn of(tier: Tier) -> Vec<(&'static str, &'static str)> {
    let own: [&[(&str, &str)]; 2] = match tier {
        Tier::World => [WORLD, &[]],
        Tier::Turmoil => [TURMOIL, forever_net_tokio::simulation::PROBES],
    };
    [ALL, forever_core::simulation::PROBES, own[0], own[1]].concat()
}

/// Collects the probes reached.
pub(crate) struct Probes {
    findings: SharedFindings,
    history: History,
    down: BTreeSet<usize>,
    evicted: BTreeSet<(usize, FileKey)>,
    wiped: BTreeSet<usize>,
    /// The nodes with acknowledged writes of each file.
    writers: BTreeMap<FileKey, BTreeSet<usize>>,
}

impl Probes {
    pub(crate) fn new(findings: SharedFindings) -> Self {
        Self {
            findings,
            history: History::default(),
            down: BTreeSet::new(),
            evicted: BTreeSet::new(),
            wiped: BTreeSet::new(),
            writers: BTreeMap::new(),
        }
    }

    fn reach(&self, name: &'static str) {
        self.findings.borrow_mut().probes.insert(name);
    }

    fn reach_if(&self, name: &'static str, reached: bool) {
        if reached {
            self.reach(name);
        }
    }

    fn on_started(&self, operation: &Operation) {
        let Some(file) = operation.file() else { return };
        let open = self.history.of_file((operation.owner, file)).filter(|(_, other)| {
            other.ended.is_none() && other.started < operation.started && (other.is_put() || other.is_delete())
        });
        for (_, other) in open {
            self.reach_if("concurrent puts of one name", operation.is_put() && other.is_put());
            let against = operation.is_put() && other.is_delete() || operation.is_delete() && other.is_put();
            self.reach_if("put against delete", against);
        }
    }

    fn on_acked(&mut self, operation: &Operation, result: &OpResult) {
        let Some(file) = operation.file() else { return };
        let key = (operation.owner, file);
        let writers = self.writers.entry(key).or_default();
        writers.insert(operation.op.node);
        let several = writers.len() > 1;
        self.reach_if("two devices wrote one name", several);
        let OpResult::Put(report) = result else { return };
        if operation.is_undelete() {
            return self.reach("deleted file put back");
        }
        self.reach_if("put acked with a peer down", !self.down.is_empty());
        self.reach_if("same content put again", report.new_bytes == 0 && report.file.size > 0);
        let before =
            self.history.acked.get(&key).and_then(|versions| versions.range(..report.write.version).next_back());
        self.reach_if("file put again after a delete", before.is_some_and(|(_, acked)| acked.deleted));
    }

    fn on_read(&self, operation: &Operation, got: &super::Got, chunk_size: u64, view: &dyn View) {
        let is_others = operation.owner != view.scenario().nodes[operation.op.node].owner;
        self.reach_if("ticket redeemed", self.history.ticketed(operation).is_some() && is_others);
        let OpKind::Get { file, old, .. } = &operation.op.what else { return };
        let node = operation.op.node;
        let newest = self.history.newest((operation.owner, *file));
        self.reach_if("read with a peer down", self.down.iter().any(|down| *down != node));
        let is_old = newest.is_some_and(|(newest, _)| got.file.version < newest);
        self.reach_if("old version read", old.is_some() && is_old);
        self.reach_if("empty file read", got.file.size == 0);
        let whole = got.bytes.len() as u64 == got.file.size;
        self.reach_if("many chunks read", whole && got.file.chunks > 16);
        self.reach_if("several manifest pages read", whole && got.file.chunks > PAGE_ENTRIES_MAX as u64);
        let end = got.first + got.bytes.len() as u64;
        let across = !got.bytes.is_empty() && got.first / chunk_size != (end - 1) / chunk_size;
        self.reach_if("range across chunks read", !whole && across);
        let evicted = self.evicted.contains(&(node, (operation.owner, *file)));
        self.reach_if("evicted file fetched back", evicted && !got.bytes.is_empty());
    }

    fn on_failed(&self, operation: &Operation, error: &OpError) {
        let is_write = operation.is_put() || operation.is_delete();
        match error {
            OpError::Gone => self.reach("operation cut off by a crash"),
            OpError::Failed(RequestError::NotEnoughPeers { .. }) => {
                self.reach_if("put for want of peers failed", operation.is_put());
            }
            OpError::Failed(RequestError::Length { .. }) => self.reach("wrong length refused"),
            OpError::Failed(RequestError::DiskFull) => self.reach_if("write failed on a full disk", is_write),
            OpError::Failed(RequestError::ClockBehind) => self.reach_if("stamp far ahead refused", is_write),
            OpError::Failed(RequestError::Ticket(_)) => self.reach("changed ticket refused"),
            OpError::Failed(RequestError::TicketExpired { .. }) => self.reach("expired ticket refused"),
            OpError::Failed(RequestError::TicketGone) => self.reach("ticket of a deleted file refused"),
            OpError::Failed(RequestError::NotFound) => {
                let key = operation.file().map(|file| (operation.owner, file));
                let deleted = key.and_then(|key| self.history.newest(key)).is_some_and(|(_, acked)| acked.deleted);
                let is_get = matches!(operation.op.what, OpKind::Get { .. });
                self.reach_if("deleted file asked for", is_get && deleted);
            }
            OpError::Failed(
                RequestError::NoSuchVersion
                | RequestError::Range { .. }
                | RequestError::Unavailable(_)
                | RequestError::Integrity(_)
                | RequestError::Disk(_)
                | RequestError::Deadline(_)
                | RequestError::Stopping
                | RequestError::NotDeleted
                | RequestError::NotKept
                | RequestError::NoSuchMember
                | RequestError::MemberAlive
                | RequestError::StillOwed { .. },
            )
            | OpError::Down
            | OpError::NoTicket
            | OpError::Refused(_)
            | OpError::Nonsense(_) => {}
        }
    }

    fn on_ended(&mut self, op: usize, result: &OpResult, view: &dyn View) {
        let Some(operation) = self.history.ops.get(&op).cloned() else { return };
        if let Some(Outcome::Acked { .. }) = operation.outcome() {
            self.on_acked(&operation, result);
        }
        let node = operation.op.node;
        match result {
            OpResult::Got(got) => {
                self.on_read(&operation, got, u64::from(view.scenario().config.chunk_size), view);
            }
            OpResult::Failed(error) => self.on_failed(&operation, error),
            OpResult::Evicted { freed_bytes, .. } if *freed_bytes > 0 => {
                self.reach("file evicted");
                if let Some(file) = operation.file() {
                    self.evicted.insert((node, (operation.owner, file)));
                }
            }
            OpResult::Restored(report) => {
                let restored = report.fetched_bytes > 0 && self.wiped.contains(&node);
                self.reach_if("restore after a lost disk", restored);
            }
            OpResult::Evicted { .. }
            | OpResult::Put(_)
            | OpResult::Shared(_)
            | OpResult::Deleted(_)
            | OpResult::Stat(_)
            | OpResult::Versions(_)
            | OpResult::Scrubbed(_) => {}
            OpResult::Checked(lost) => self.reach_if("loss found by a check", !lost.is_empty()),
            OpResult::Left => self.reach("node left"),
            OpResult::Forgotten => self.reach("node written off"),
            OpResult::Listed { more, .. } => self.reach_if("list cut short", *more),
            OpResult::Abandoned => {
                let is_get = matches!(operation.op.what, OpKind::Get { .. });
                self.reach_if("get given up", is_get);
            }
        }
    }
}

impl Rule for Probes {
    fn name(&self) -> &'static str {
        "probes"
    }

    fn observe(&mut self, at: Duration, event: &Event, view: &mut dyn View) -> Result<(), String> {
        self.history.note(at, event, view);
        match event {
            Event::Started { op, .. } => {
                if let Some(operation) = self.history.ops.get(op) {
                    self.on_started(operation);
                }
            }
            Event::Ended { op, result } => self.on_ended(*op, result, view),
            Event::Up { node } => {
                self.down.remove(node);
            }
            Event::Down { node } => {
                self.down.insert(*node);
            }
            Event::Lost { node, what } => match what {
                DiskLoss::All => {
                    self.wiped.insert(*node);
                    self.reach("disk lost");
                }
                DiskLoss::Blobs(_) => self.reach("blobs destroyed"),
                DiskLoss::Unknown => {}
            },
            Event::Probe { name } => self.reach(name),
            Event::Healed => {
                let scenario = view.scenario();
                self.reach_if("part of the core left dead", scenario.core.len() < scenario.nodes.len());
            }
            Event::Bit { .. }
            | Event::Frame { .. }
            | Event::Heard { .. }
            | Event::Told { .. }
            | Event::Delivered { .. } => {}
        }
        Ok(())
    }

    fn judge(&mut self, _view: &mut dyn View) -> Result<(), String> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
