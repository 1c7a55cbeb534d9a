//! What happened so far, as most rules need it: operations with their outcomes, and what the plan destroyed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use forever_core::command::{CommandError, VersionSelector};
use forever_core::event::RequestError;
use forever_core::ids::{BlobKey, NameId, NodeId, OwnerId};
use forever_core::placement::{self, Candidate, Group};
use forever_core::version::Version;

use super::super::machine::EPOCH_MS;
use super::super::{Contents, DiskLoss, Event, Fault, Op, OpError, OpKind, OpResult, Range, View, names};
use super::keeping;
use crate::system::Step as _;

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
    /// The version that it asks for, if it is an old one, or that its ticket opens.
    pub(crate) asked: Option<VersionSelector>,
    /// Whose file it is about: the owner of its node, or of what a ticket opens.
    pub(crate) owner: usize,
    file: Option<u32>,
    /// The event that started it, and when.
    pub(crate) started: u64,
    pub(crate) started_at: Duration,
    /// The event that ended it, when, and how.
    pub(crate) ended: Option<(u64, Duration, Outcome)>,
    /// Whether it is one of the judge's.
    pub(crate) of_judge: bool,
}

impl Operation {
    /// The file that it is about, if it is about one; of a ticket that is redeemed, the one that it opens.
    pub(crate) fn file(&self) -> Option<u32> {
        self.file
    }

    /// The file that it reads, and which bytes of it, if it reads one.
    pub(crate) fn reads(&self) -> Option<(u32, Option<Range>)> {
        match self.op.what {
            OpKind::Get { range, .. } | OpKind::Redeem { range, .. } => Some((self.file?, range)),
            OpKind::Put { .. }
            | OpKind::Delete { .. }
            | OpKind::Undelete { .. }
            | OpKind::List
            | OpKind::ListPart(_)
            | OpKind::Stat { .. }
            | OpKind::Versions { .. }
            | OpKind::Evict { .. }
            | OpKind::Restore
            | OpKind::Scrub { .. }
            | OpKind::Fsck
            | OpKind::Leave
            | OpKind::Forget { .. }
            | OpKind::Share { .. } => None,
        }
    }

    pub(crate) fn outcome(&self) -> Option<&Outcome> {
        self.ended.as_ref().map(|(_, _, outcome)| outcome)
    }

    /// Whether it may have taken effect without an acknowledgement.
    pub(crate) fn is_uncertain(&self) -> bool {
        matches!(self.outcome(), None | Some(Outcome::Unknown))
    }

    /// Whether it makes a version that is no deletion: it puts a file, or puts a deleted one back.
    pub(crate) fn is_put(&self) -> bool {
        matches!(self.op.what, OpKind::Put { .. }) || self.is_undelete()
    }

    pub(crate) fn is_undelete(&self) -> bool {
        matches!(self.op.what, OpKind::Undelete { .. })
    }

    pub(crate) fn is_delete(&self) -> bool {
        matches!(self.op.what, OpKind::Delete { .. })
    }
}

/// The file that an operation names, if it names one.
fn file_of(what: &OpKind) -> Option<u32> {
    match what {
        OpKind::Put { file, .. }
        | OpKind::Get { file, .. }
        | OpKind::Delete { file }
        | OpKind::Undelete { file }
        | OpKind::Stat { file }
        | OpKind::Versions { file }
        | OpKind::Evict { file }
        | OpKind::Share { file, .. } => Some(*file),
        OpKind::List
        | OpKind::ListPart(_)
        | OpKind::Restore
        | OpKind::Scrub { .. }
        | OpKind::Fsck
        | OpKind::Leave
        | OpKind::Forget { .. }
        | OpKind::Redeem { .. } => None,
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

/// A ticket that a node made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticketed {
    /// What it opens.
    pub(crate) key: FileKey,
    pub(crate) version: Version,
    /// After which wall time it is void, in milliseconds.
    pub(crate) expires_ms: u64,
}

/// What happened so far.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// How many events there were.
    pub(crate) now: u64,
    /// When the last was.
    pub(crate) at: Duration,
    pub(crate) ops: BTreeMap<usize, Operation>,
    /// The numbers of the operations on each file.
    of_files: BTreeMap<FileKey, BTreeSet<usize>>,
    pub(crate) acked: BTreeMap<FileKey, BTreeMap<Version, Acked>>,
    /// What was destroyed: at which event, on which node's disk.
    pub(crate) losses: Vec<(u64, usize, DiskLoss)>,
    pub(crate) healed: Option<(u64, Duration)>,
    /// The nodes that were told to leave, whether or not they have.
    leavers: BTreeSet<usize>,
    /// The tickets that were made, by their numbers.
    pub(crate) tickets: BTreeMap<u32, Ticketed>,
    /// Since when a node has treated another as a peer, in its present life: by the one, then by the other. Looked at for every
    /// frame.
    met: Vec<Vec<Option<u64>>>,
}

impl History {
    /// Takes note of an event. Called first by whoever uses this.
    pub(crate) fn note(&mut self, at: Duration, event: &Event, view: &dyn View) {
        self.now += 1;
        self.at = at;
        // Nearly all events are frames, and several rules note each.
        if let Event::Frame { from, to, bytes, .. } = event {
            if is_to_a_peer(bytes) {
                self.meet(*from, *to);
            }
            return;
        }
        self.note_other(at, event, view);
    }

    fn note_other(&mut self, at: Duration, event: &Event, view: &dyn View) {
        match event {
            Event::Started { op, what, asked } => {
                let of_judge = self.healed.is_some();
                if what.what == OpKind::Leave {
                    self.leavers.insert(what.node);
                }
                let own = (view.scenario().nodes[what.node].owner, file_of(&what.what));
                let ticketed =
                    if let OpKind::Redeem { ticket, .. } = &what.what { self.tickets.get(ticket) } else { None };
                let (owner, file) = ticketed.map_or(own, |ticketed| (ticketed.key.0, Some(ticketed.key.1)));
                let operation = Operation {
                    op: what.clone(),
                    asked: *asked,
                    owner,
                    file,
                    started: self.now,
                    started_at: at,
                    ended: None,
                    of_judge,
                };
                if let Some(file) = operation.file() {
                    self.of_files.entry((owner, file)).or_default().insert(*op);
                }
                self.ops.insert(*op, operation);
            }
            Event::Ended { op, result } => self.end(*op, at, result, view),
            Event::Lost { node, what } => self.losses.push((self.now, *node, what.clone())),
            Event::Healed => self.healed = Some((self.now, at)),
            Event::Up { node } => {
                if let Some(met) = self.met.get_mut(*node) {
                    met.clear();
                }
            }
            Event::Down { .. }
            | Event::Bit { .. }
            | Event::Heard { .. }
            | Event::Told { .. }
            | Event::Probe { .. }
            | Event::Delivered { .. }
            | Event::Frame { .. } => {}
        }
    }

    fn meet(&mut self, from: usize, to: usize) {
        if self.met.len() <= from {
            self.met.resize(from + 1, Vec::new());
        }
        let met = &mut self.met[from];
        if met.len() <= to {
            met.resize(to + 1, None);
        }
        met[to].get_or_insert(self.now);
    }

    /// Whether a node, in its present life and before an event, had found another to be a member.
    pub(crate) fn had_met(&self, from: usize, to: usize, before: u64) -> bool {
        self.met(from, to).is_some_and(|since| since < before)
    }

    fn met(&self, from: usize, to: usize) -> Option<u64> {
        *self.met.get(from)?.get(to)?
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
        if let (OpKind::Share { ticket, file, .. }, OpResult::Shared(share)) = (&operation.op.what, result) {
            let key = (operation.owner, *file);
            let (version, expires_ms) = (share.file.version, share.expires_ms);
            self.tickets.insert(*ticket, Ticketed { key, version, expires_ms });
        }
    }

    /// What an operation redeems, if it redeems a ticket that was made.
    pub(crate) fn ticketed(&self, operation: &Operation) -> Option<Ticketed> {
        let OpKind::Redeem { ticket, .. } = &operation.op.what else { return None };
        self.tickets.get(ticket).copied()
    }

    /// The acknowledged write of a file with the highest version.
    pub(crate) fn newest(&self, file: FileKey) -> Option<(Version, Acked)> {
        self.acked.get(&file)?.last_key_value().map(|(version, acked)| (*version, *acked))
    }

    /// The files of an owner that operations were about.
    pub(crate) fn files(&self, owner: usize) -> impl Iterator<Item = u32> {
        self.of_files.range((owner, 0)..=(owner, u32::MAX)).map(|((_, file), _)| *file)
    }

    /// Operations on a file, in order of their numbers.
    pub(crate) fn of_file(&self, file: FileKey) -> impl Iterator<Item = (usize, &Operation)> {
        let numbers = self.of_files.get(&file).into_iter().flatten();
        numbers.filter_map(|number| Some((*number, self.ops.get(number)?)))
    }

    /// Whether a node, in its present life and before an event, had found another to be a member of the cluster.
    pub(crate) fn had_met_anybody(&self, node: usize, before: u64) -> bool {
        self.met.get(node).into_iter().flatten().flatten().any(|since| *since < before)
    }

    /// Whether a node, in its present life and before an event, had found another to be a member of the cluster.
    pub(crate) fn has_met(&self, node: usize, other: usize, before: u64) -> bool {
        self.met(node, other).is_some_and(|since| since < before)
    }

    /// Whether a node was told to leave, or another to write it off, whether or not it has come to that.
    pub(crate) fn is_parting(&self, node: usize) -> bool {
        self.leavers.contains(&node) || self.ops.values().any(|operation| operation.op.what.member() == Some(node))
    }

    /// Whether a blob of a node's disk was ever destroyed.
    pub(crate) fn has_destroyed(&self, node: usize, blob: &BlobKey) -> bool {
        self.is_destroyed(node, 0, std::slice::from_ref(blob))
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

    /// Whether a node is to have what an operation wrote: it is one of the holders of its name, or another device of its owner.
    /// Which nodes hold a name follows from their ids. `writer` is what lies on the writer's disk, which says on how many nodes;
    /// a deletion is to be wherever a version is that its writer had put before.
    pub(crate) fn is_to_have(&self, view: &dyn View, op: usize, writer: &Contents, node: usize) -> bool {
        let Some(operation) = self.ops.get(&op) else { return false };
        let nodes = &view.scenario().nodes;
        if nodes[node].owner == operation.owner {
            return true;
        }
        let Some(key) = operation.file().map(|file| (operation.owner, file)) else { return false };
        let Some((owner, name)) = address(view, key) else { return false };
        let written = self.acked.get(&key).into_iter().flatten().filter(|(_, acked)| {
            let put_before = self.ops.get(&acked.op).is_some_and(|put| {
                put.op.node == operation.op.node
                    && put.ended.as_ref().is_some_and(|(ended, ..)| *ended < operation.started)
            });
            acked.op == op || operation.is_delete() && put_before && !acked.deleted
        });
        let versions: Vec<Version> = written.map(|(version, _)| *version).collect();
        let of_name = writer.of_name(owner, name).map(|signed| signed.record);
        let replicas =
            of_name.filter(|record| versions.contains(&record.version)).map(|record| record.retention.replicas);
        let Some(replicas) = replicas.max() else { return false };
        holders(view, name, replicas.limit()).contains(&node)
    }

    /// On how many nodes what an operation put is to be kept.
    pub(crate) fn limit(&self, view: &dyn View, op: usize) -> usize {
        let given = self.ops.get(&op).and_then(|operation| operation.op.what.given());
        let usual = view.scenario().config.retention.replicas;
        given.and_then(|(content, said)| said.meta(content.len).replicas).unwrap_or(usual).limit()
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
                || self.met(writer, node).is_none_or(|met| met > since))
            || self.is_wiped(node, since)
    }

    /// Whether nothing on a node's disk counts: it lies, or nobody knows what it lost.
    pub(crate) fn is_untrusted(&self, view: &dyn View, node: usize) -> bool {
        let unknown = |(_, loser, what): &(u64, usize, DiskLoss)| *loser == node && *what == DiskLoss::Unknown;
        is_liar(view, node) || self.losses.iter().any(unknown)
    }

    /// Whether a node may have given a version up because newer ones lie on its disk.
    pub(crate) fn is_pruned(&self, view: &mut dyn View, node: usize, file: FileKey, version: &Version) -> bool {
        let Some(address) = address(view, file) else { return false };
        let age = keeping::latest(view, self.at);
        keeping::is_obsolete(&view.contents(node), address, version, age)
    }

    /// The same, or newer ones lay there, and one of them has gone since, because it is out of place there.
    pub(crate) fn is_outlived(&self, view: &mut dyn View, node: usize, file: FileKey, version: &Version) -> bool {
        let Some(address) = address(view, file) else { return false };
        let age = keeping::latest(view, self.at);
        let nodes = (0..view.scenario().nodes.len()).filter(|other| *other == node || !view.is_gone(*other));
        let nodes: Vec<usize> = nodes.filter(|other| !self.is_untrusted(view, *other)).collect();
        let disks: Vec<_> = nodes.into_iter().map(|node| view.contents(node)).collect();
        let of_name = disks.iter().flat_map(|contents| contents.of_name(address.0, address.1));
        let mut newer = of_name.map(|signed| &signed.record).filter(|record| record.version > *version);
        self.is_pruned(view, node, file, version)
            || newer.any(|record| self.may_be_out_of_place(view, node, file, record.retention.replicas.limit()))
                && keeping::is_obsolete_by(disks.iter().map(AsRef::as_ref), address, version, age)
    }

    /// Whether what a node has of a file may be out of place there ([`is_out_of_place`]), or was while the node was about to leave: placement
    /// passes that over, whether or not it leaves in the end.
    pub(crate) fn may_be_out_of_place(&self, view: &dyn View, node: usize, file: FileKey, limit: usize) -> bool {
        let is_others = view.scenario().nodes[node].owner != file.0;
        is_out_of_place(view, node, file, limit) || is_others && self.leavers.contains(&node)
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
        | OpResult::Shared(_)
        | OpResult::Restored(_)
        | OpResult::Scrubbed(_)
        | OpResult::Checked(_)
        | OpResult::Left
        | OpResult::Forgotten => Outcome::Answered,
        OpResult::Abandoned => Outcome::Unknown,
        OpResult::Failed(error) => match error {
            OpError::Down | OpError::NoTicket => Outcome::Refused,
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
            // Whoever wanted a file back is told so before anything is written.
            OpError::Failed(RequestError::NotDeleted | RequestError::NotKept) => Outcome::Answered,
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

/// Whether what a node has of a file that is kept on so many nodes may be out of place there, and go when its holders have it: the
/// node is none of them, when all nodes are in service, nor a device of the file's owner.
pub(crate) fn is_out_of_place(view: &dyn View, node: usize, file: FileKey, limit: usize) -> bool {
    let nodes = &view.scenario().nodes;
    let Some((_, name)) = address(view, file).filter(|_| nodes[node].owner != file.0) else { return false };
    !holders(view, name, limit).contains(&node)
}

/// The first so many in rank for a name, of all nodes that have not left or been written off.
pub(crate) fn holders(view: &dyn View, name: NameId, limit: usize) -> Vec<usize> {
    first(view, name, limit, |node| !view.is_gone(node))
}

/// The same, of the nodes of the core.
pub(crate) fn holders_of_core(view: &dyn View, name: NameId, limit: usize) -> Vec<usize> {
    first(view, name, limit, |node| !view.is_gone(node) && view.is_core(node))
}

/// The same, of all nodes that there have ever been.
pub(crate) fn first_of_all(view: &dyn View, name: NameId, limit: usize) -> Vec<usize> {
    first(view, name, limit, |_| true)
}

fn first(view: &dyn View, name: NameId, limit: usize, is_member: impl Fn(usize) -> bool) -> Vec<usize> {
    let candidate = |node| Candidate { node: view.node_id(node), weight: 1, zone: String::new() };
    let members = (0..view.scenario().nodes.len()).filter(|node| is_member(*node));
    let candidates: Vec<Candidate> = members.map(candidate).collect();
    let ranked = placement::rank(Group::of(name), &candidates);
    ranked.into_iter().take(limit).filter_map(|id| node_of(view, id)).collect()
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

/// What the wall clock of a node shows, in milliseconds, if the plan never touches it.
pub(crate) fn wall_ms(view: &dyn View, node: usize, at: Duration) -> Option<u64> {
    let faults = &view.scenario().plan.faults;
    let is_touched = faults.iter().any(|fault| fault.what.family() == "clock" && fault.what.nodes().contains(&node));
    let passed = u64::try_from(at.as_millis()).ok()?;
    (!is_touched).then_some(EPOCH_MS + passed)
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
