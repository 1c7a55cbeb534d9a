//! What happened so far, as most rules need it: operations with their outcomes, and what the plan destroyed.

use std::collections::BTreeMap;
use std::time::Duration;

use forever_core::command::{CommandError, VersionSelector};
use forever_core::ids::{BlobKey, NameId, NodeId, OwnerId};
use forever_core::version::Version;

use super::super::{DiskLoss, Event, Fault, Op, OpError, OpKind, OpResult, View, names};

/// How an operation ended, as far as its effect goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A write was acknowledged, with this version, on so many nodes.
    Acked { version: Version, replicas: u32 },
    /// Not a write, and it has its answer.
    Answered,
    /// The node never started it.
    Refused,
    /// It may have taken effect, or may yet.
    Unknown,
}

/// An operation.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) op: Op,
    /// The version that it asks for, if it is an old one.
    pub(crate) asked: Option<VersionSelector>,
    pub(crate) owner: usize,
    /// The event that started it, and when.
    pub(crate) started: u64,
    pub(crate) started_at: Duration,
    /// The event that ended it, when, and how.
    pub(crate) ended: Option<(u64, Duration, Outcome)>,
    /// Whether it is one of the judge's.
    pub(crate) of_judge: bool,
}

impl Operation {
    pub(crate) fn file(&self) -> Option<u32> {
        file_of(&self.op.what)
    }

    pub(crate) fn outcome(&self) -> Option<&Outcome> {
        self.ended.as_ref().map(|(_, _, outcome)| outcome)
    }

    /// Whether it may have taken effect without an acknowledgement.
    pub(crate) fn is_uncertain(&self) -> bool {
        matches!(self.outcome(), None | Some(Outcome::Unknown))
    }

    pub(crate) fn is_put(&self) -> bool {
        matches!(self.op.what, OpKind::Put { .. })
    }

    pub(crate) fn is_delete(&self) -> bool {
        matches!(self.op.what, OpKind::Delete { .. })
    }
}

/// The file of an operation, if it has one.
pub(crate) fn file_of(what: &OpKind) -> Option<u32> {
    match what {
        OpKind::Put { file, .. }
        | OpKind::Get { file, .. }
        | OpKind::Delete { file }
        | OpKind::Stat { file }
        | OpKind::Versions { file }
        | OpKind::Evict { file } => Some(*file),
        OpKind::List | OpKind::ListPart(_) | OpKind::Restore | OpKind::Scrub { .. } => None,
    }
}

/// A file of an owner.
pub(crate) type FileKey = (usize, u32);

/// What a name is to peers.
pub(crate) type Address = (OwnerId, NameId);

/// An acknowledged write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Acked {
    pub(crate) op: usize,
    pub(crate) deleted: bool,
}

/// What happened so far.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// How many events there were.
    pub(crate) now: u64,
    /// When the last was.
    pub(crate) at: Duration,
    pub(crate) ops: BTreeMap<usize, Operation>,
    pub(crate) acked: BTreeMap<FileKey, BTreeMap<Version, Acked>>,
    /// What was destroyed: at which event, on which node's disk.
    pub(crate) losses: Vec<(u64, usize, DiskLoss)>,
    pub(crate) healed: Option<(u64, Duration)>,
    /// Since when a node has treated another as a peer, in its present life.
    met: BTreeMap<(usize, usize), u64>,
}

impl History {
    /// Takes note of an event. Called first by whoever uses this.
    pub(crate) fn note(&mut self, at: Duration, event: &Event, view: &dyn View) {
        self.now += 1;
        self.at = at;
        match event {
            Event::Started { op, what, asked } => {
                let owner = view.scenario().nodes[what.node].owner;
                let of_judge = self.healed.is_some();
                let operation = Operation {
                    op: what.clone(),
                    asked: *asked,
                    owner,
                    started: self.now,
                    started_at: at,
                    ended: None,
                    of_judge,
                };
                self.ops.insert(*op, operation);
            }
            Event::Ended { op, result } => self.end(*op, at, result, view),
            Event::Lost { node, what } => self.losses.push((self.now, *node, what.clone())),
            Event::Healed => self.healed = Some((self.now, at)),
            Event::Up { node } => self.met.retain(|(from, _), _| from != node),
            Event::Frame { from, to, bytes } => {
                if is_to_a_peer(bytes) {
                    self.met.entry((*from, *to)).or_insert(self.now);
                }
            }
            Event::Down { .. } | Event::Bit { .. } | Event::Probe { .. } | Event::Delivered { .. } => {}
        }
    }

    fn end(&mut self, op: usize, at: Duration, result: &OpResult, view: &dyn View) {
        let Some(operation) = self.ops.get_mut(&op) else { return };
        let mut outcome = outcome_of(result);
        if matches!(outcome, Outcome::Acked { .. }) && has_lied(view, operation.op.node, at) {
            // What it told its peers was not what it wrote.
            outcome = Outcome::Unknown;
        }
        if let (Outcome::Acked { version, .. }, Some(file)) = (&outcome, operation.file()) {
            let deleted = operation.is_delete();
            self.acked.entry((operation.owner, file)).or_default().insert(*version, Acked { op, deleted });
        }
        operation.ended = Some((self.now, at, outcome));
    }

    /// The acknowledged write of a file with the highest version.
    pub(crate) fn newest(&self, file: FileKey) -> Option<(Version, Acked)> {
        self.acked.get(&file)?.last_key_value().map(|(version, acked)| (*version, *acked))
    }

    /// Operations on a file, in order of their numbers.
    pub(crate) fn of_file(&self, file: FileKey) -> impl Iterator<Item = (usize, &Operation)> {
        let is_of = move |operation: &Operation| operation.file().map(|number| (operation.owner, number)) == Some(file);
        self.ops.iter().filter(move |(_, operation)| is_of(operation)).map(|(id, operation)| (*id, operation))
    }

    /// Whether a node, in its present life and before an event, had found another to be a member of the cluster.
    pub(crate) fn had_met_anybody(&self, node: usize, before: u64) -> bool {
        self.met.iter().any(|((from, _), since)| *from == node && *since < before)
    }

    /// Whether something of a node's disk was destroyed from an event on: all of it, or one of these blobs.
    pub(crate) fn is_destroyed(&self, node: usize, since: u64, chunks: &[BlobKey]) -> bool {
        self.losses.iter().any(|(when, loser, what)| {
            *loser == node
                && *when >= since
                && match what {
                    DiskLoss::All | DiskLoss::Unknown => true,
                    DiskLoss::Blobs(blobs) => chunks.iter().any(|chunk| blobs.contains(chunk)),
                }
        })
    }

    /// Whether nobody could have brought what an operation wrote to a node: until there is repair among all holders, only the
    /// writer brings a write to the others, and only to those whom it knew when it wrote.
    pub(crate) fn is_beyond_repair(&self, view: &dyn View, op: usize, node: usize) -> bool {
        let Some(operation) = self.ops.get(&op) else { return false };
        let writer = operation.op.node;
        let since = operation.started;
        writer != node
            && (!view.is_core(writer)
                || self.is_wiped(writer, since)
                || self.is_untrusted(view, writer)
                || self.is_untrusted(view, node)
                || self.met.get(&(writer, node)).is_none_or(|met| *met > since))
            || self.is_wiped(node, since)
    }

    /// Whether nothing on a node's disk counts: it lies, or nobody knows what it lost.
    pub(crate) fn is_untrusted(&self, view: &dyn View, node: usize) -> bool {
        let unknown = |(_, loser, what): &(u64, usize, DiskLoss)| *loser == node && *what == DiskLoss::Unknown;
        is_liar(view, node) || self.losses.iter().any(unknown)
    }

    /// Whether the whole of a node's disk was destroyed from an event on.
    pub(crate) fn is_wiped(&self, node: usize, since: u64) -> bool {
        self.is_destroyed(node, since, &[])
    }
}

fn outcome_of(result: &OpResult) -> Outcome {
    match result {
        OpResult::Put(report) => Outcome::Acked { version: report.write.version, replicas: report.write.replicas },
        OpResult::Deleted(report) => Outcome::Acked { version: report.version, replicas: report.replicas },
        OpResult::Got(_)
        | OpResult::Listed { .. }
        | OpResult::Stat(_)
        | OpResult::Versions(_)
        | OpResult::Evicted { .. }
        | OpResult::Restored(_)
        | OpResult::Scrubbed(_) => Outcome::Answered,
        OpResult::Abandoned => Outcome::Unknown,
        OpResult::Failed(error) => match error {
            OpError::Down => Outcome::Refused,
            OpError::Refused(error) => match error {
                CommandError::Busy(_)
                | CommandError::Stopping
                | CommandError::Restoring
                | CommandError::Scrubbing
                | CommandError::Limit
                | CommandError::Validity
                | CommandError::ContentType { .. } => Outcome::Refused,
                CommandError::NoRequest | CommandError::NoCredit | CommandError::ChunkLength { .. } => Outcome::Unknown,
            },
            OpError::Gone | OpError::Failed(_) | OpError::Nonsense(_) => Outcome::Unknown,
        },
    }
}

/// What a file is to peers.
pub(crate) fn address(view: &dyn View, (owner, file): FileKey) -> Option<Address> {
    let device = view.scenario().nodes.iter().position(|spec| spec.owner == owner)?;
    let keys = view.keys(device);
    Some((keys.owner_id(), keys.name_id(&names::of(file))))
}

/// The node of an id.
pub(crate) fn node_of(view: &dyn View, id: NodeId) -> Option<usize> {
    (0..view.scenario().nodes.len()).find(|node| view.node_id(*node) == id)
}

/// Whether a node sends such a frame only over a link on which the other has said hello, which makes it a member.
fn is_to_a_peer(bytes: &[u8]) -> bool {
    // The header starts with the number of the frame's kind; hello, ping and goodbye may go to anybody.
    bytes.first().is_some_and(|kind| !matches!(kind, 0 | 1 | 3))
}

/// Whether a node can ask another, or is the same.
pub(crate) fn is_in_reach(view: &dyn View, node: usize, other: usize) -> bool {
    view.scenario().is_in_reach(node, other)
}

/// Whether the plan has a node lie at any time: nothing that it holds counts.
pub(crate) fn is_liar(view: &dyn View, node: usize) -> bool {
    view.scenario().lies(node)
}

/// Whether a node has begun to lie.
fn has_lied(view: &dyn View, node: usize, at: Duration) -> bool {
    let faults = &view.scenario().plan.faults;
    faults.iter().any(|fault| {
        matches!(fault.what, Fault::Liar { node: liar, .. } if liar == node)
            && Duration::from_micros(fault.from_us) <= at
    })
}

/// What sealing adds to a chunk, in bytes.
const IV_LEN: u64 = 16;

/// Whether a node may have had to refuse an owner's chunks for want of room: the largest file of all may not fit.
pub(crate) fn may_lack_room(view: &dyn View, node: usize, owner: OwnerId) -> bool {
    let scenario = view.scenario();
    let config = &scenario.config;
    let usage = view.usage(node);
    let stored = |len: u32| u64::from(len) + IV_LEN * u64::from(len.div_ceil(config.chunk_size.max(1)));
    let lens = scenario.plan.ops.iter().filter_map(|op| op.what.what.given()).map(|(content, _)| content.len);
    // The judge puts files of two chunks.
    let largest = lens.chain([2 * config.chunk_size]).map(stored).max().unwrap_or(0);
    let of_owner = usage.get(&owner).copied().unwrap_or(0);
    let all: u64 = usage.values().sum();
    let is_other = view.keys(node).owner_id() != owner;
    let over = |limit: u64, used: u64| limit > 0 && used + largest > limit;
    is_other && over(config.quota_bytes, of_owner) || over(config.store_max_bytes, all)
}

/// A version as people write it.
pub(crate) fn show(version: &Version) -> String {
    forever_core::command::VersionSelector::from(version).to_string()
}
