//! Checkpoints of this device: signed after a batch of changes, durable here, and told to those who keep records of this owner.
//!
//! A checkpoint says what this device knows of its owner's names, so it is signed from what is durable here and never while
//! the device knows less than it has vouched for before: one that lost its disk, or was set back to a copy of it, meets its own
//! earlier checkpoint among the records of the peers, and signs no other until it has what that one covers.
//!
//! Peers are told of the newest checkpoint alone. It is owed to nobody: whoever was away is told when he is back.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use bytes::Bytes;

use crate::checkpoint::{Census, Checkpoint, Verdict};
use crate::disk::{DiskError, Write};
use crate::frame::{AnnounceOutcome, Frame};
use crate::ids::{NameId, NodeId, RecordId};
use crate::node::cluster::Part;
use crate::node::context::Context;
use crate::node::pending::{Completion, Pending};
use crate::node::pull::{self, PullClient};
use crate::node::records::{self, With};
use crate::node::schema::{self, Vouched};
use crate::node::signal::{Answer, AskClient};
use crate::node::targets::Targets;
use crate::node::timers::Timer;
use crate::node::{answers, asks, cluster, collect, fill, neighbours, publish};
use crate::record::{Record, RecordBody, Retention, SignedRecord};
use crate::sometimes;
use crate::time::Monotonic;
use crate::work::{WorkOp, WorkResult};

/// What a checkpoint waits for.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub(crate) enum CheckpointStep {
    /// Its commit.
    Commit(SignedRecord),
    /// A record that a peer says is newer than it.
    Verify(NodeId),
}

/// What is known of the checkpoints of this owner's devices.
#[derive(Debug, Default)]
pub(crate) struct Checkpoints {
    /// The newest of each device, by its name.
    newest: BTreeMap<NameId, SignedRecord>,
    /// Of each device the newest that is known to be covered by what is here; of this device the newest that it has signed, or
    /// that was found to be covered.
    vouched: BTreeMap<NodeId, Vouched>,
    /// Those of other devices that the disk does not know yet.
    unsaved: BTreeSet<NodeId>,
    /// One whose commit is under way, or failed and may have been made all the same.
    attempted: Option<Vouched>,
    is_committing: bool,
    /// Changes of names since the last was signed.
    changes: u32,
    first_change: Option<Monotonic>,
    /// Who is to keep the newest one.
    targets: Option<Targets>,
    /// Peers that have been told of it, and those that said that they have it.
    told: BTreeSet<NodeId>,
    delivered: BTreeSet<NodeId>,
}

impl Checkpoints {
    /// Whether all that a checkpoint covers is known to be here.
    fn is_vouched(&self, checkpoint: &SignedRecord) -> bool {
        let vouched = self.vouched.get(&checkpoint.record.version.node);
        vouched.is_some_and(|one| one.record == checkpoint.id || one.sequence > sequence_of(checkpoint))
    }
}

fn sequence_of(record: &SignedRecord) -> u64 {
    checkpoint_of(record).map_or(0, |checkpoint| checkpoint.sequence)
}

fn checkpoint_of(record: &SignedRecord) -> Option<Checkpoint> {
    match record.record.body {
        RecordBody::Checkpoint(checkpoint) => Some(checkpoint),
        RecordBody::File { .. } | RecordBody::Tombstone => None,
    }
}

/// The newest checkpoint of this device.
fn own(cx: &Context) -> Option<&SignedRecord> {
    cx.checkpoints.newest.get(&cx.keys.checkpoint_name(cx.me))
}

/// The newest checkpoint of each device, as far as known.
pub(crate) fn newest(cx: &Context) -> impl Iterator<Item = &SignedRecord> {
    cx.checkpoints.newest.values()
}

/// When this device signed its newest checkpoint, by its clock.
pub(crate) fn signed_ms(cx: &Context) -> Option<u64> {
    own(cx).and_then(checkpoint_of).map(|checkpoint| checkpoint.wall_ms)
}

/// Whether names have changed since this device signed its newest checkpoint, or nobody else has that yet.
pub(crate) fn is_due(cx: &Context) -> bool {
    let is_alone = own(cx).is_none() || cx.write_quorum() == 1;
    !is_covered_by(cx, &cx.names.census(), own(cx)) || (!is_alone && cx.checkpoints.delivered.is_empty())
}

/// What the disk says of a checkpoint that this node vouched for.
pub(crate) fn recover(cx: &mut Context, key: &[u8], value: &[u8]) {
    if let (Some(device), Some(vouched)) = (schema::device_of_vouched(key), schema::decode(value)) {
        cx.checkpoints.vouched.insert(device, vouched);
    }
}

/// Whether there is a checkpoint of which it is not known that all that it covers is here.
pub(crate) fn is_any_open(cx: &Context) -> bool {
    let census = cx.names.census();
    let is_open =
        |newest: &SignedRecord| !cx.checkpoints.is_vouched(newest) && !is_covered_by(cx, &census, Some(newest));
    newest(cx).any(is_open)
}

/// What is here was found to cover checkpoints, or not.
pub(crate) fn on_audited(cx: &mut Context, verdicts: &[Verdict]) {
    for verdict in verdicts.iter().filter(|verdict| verdict.is_covered) {
        let name = cx.keys.checkpoint_name(verdict.device);
        let newest =
            cx.checkpoints.newest.get(&name).filter(|newest| sequence_of(newest) == verdict.checkpoint.sequence);
        if let Some(newest) = newest.cloned() {
            vouch(cx, &newest);
        }
    }
}

/// All that a checkpoint covers is here, and stays here: of a name, only what something newer replaces goes.
fn vouch(cx: &mut Context, checkpoint: &SignedRecord) {
    if !cx.checkpoints.is_vouched(checkpoint) {
        let device = checkpoint.record.version.node;
        let vouched = Vouched { sequence: sequence_of(checkpoint), record: checkpoint.id };
        cx.checkpoints.vouched.insert(device, vouched);
        cx.checkpoints.unsaved.insert(device);
    }
}

/// Vouches for those that cover just what is known now.
fn vouch_for_equals(cx: &mut Context) {
    let census = cx.names.census();
    let equals: Vec<SignedRecord> = newest(cx)
        .filter(|newest| !cx.checkpoints.is_vouched(newest) && is_covered_by(cx, &census, Some(newest)))
        .cloned()
        .collect();
    for checkpoint in equals {
        vouch(cx, &checkpoint);
    }
}

/// What stood in the way of a checkpoint may be gone.
pub(crate) fn on_standing(cx: &mut Context) {
    if cx.checkpoints.changes > 0 {
        let soon = cx.now.mono + cx.config.checkpoints.quiet;
        cx.timers.set_if_sooner(Timer::Checkpoint, soon);
    }
}

/// Whether this device may say what it knows: it must know all that it has ever said. One without any checkpoint of its own
/// may have lost its disk, so it asks around first.
fn may_sign(cx: &Context) -> bool {
    let has_asked = cx.fill.has_asked() || cx.write_quorum() == 1 || cx.checkpoints.vouched.contains_key(&cx.me);
    let is_known = own(cx).map_or(has_asked, |own| cx.checkpoints.is_vouched(own));
    is_known && cx.names.are_read() && cx.disk_error.is_none() && !cx.restoring && !cx.fill.is_running()
}

/// All names have been read from the disk: what changed since the last checkpoint is covered by a new one.
pub(crate) fn on_names_read(cx: &mut Context) {
    let census = cx.names.census();
    vouch_for_equals(cx);
    if !is_covered_by(cx, &census, own(cx)) {
        on_change(cx);
    }
}

fn is_covered_by(cx: &Context, census: &Census, checkpoint: Option<&SignedRecord>) -> bool {
    match checkpoint.and_then(checkpoint_of) {
        Some(checkpoint) => census.is_of(&cx.keys, &checkpoint),
        None => census.names() == 0,
    }
}

/// A name of the owner has a new winner.
pub(crate) fn on_record(cx: &mut Context, record: &SignedRecord) {
    let name = record.record.name_id;
    if checkpoint_of(record).is_some() {
        // Under another name it is nobody's.
        if name == cx.keys.checkpoint_name(record.record.version.node) {
            cx.checkpoints.newest.insert(name, record.clone());
        }
        if let Some(attempted) = cx.checkpoints.attempted.filter(|attempted| attempted.record == record.id) {
            cx.checkpoints.vouched.insert(cx.me, attempted);
        }
        if cx.names.are_read() {
            vouch_for_equals(cx);
            fill::on_checkpoint(cx);
        }
        return;
    }
    cx.checkpoints.newest.remove(&name);
    if cx.names.are_read() {
        vouch_for_equals(cx);
        on_change(cx);
    }
}

fn on_change(cx: &mut Context) {
    let (now, pace) = (cx.now.mono, cx.config.checkpoints);
    let checkpoints = &mut cx.checkpoints;
    checkpoints.changes = checkpoints.changes.saturating_add(1);
    let first = *checkpoints.first_change.get_or_insert(now);
    let is_many = checkpoints.changes >= pace.changes_max;
    let due = if is_many { now } else { (now + pace.quiet).min(first + pace.wait_max) };
    cx.timers.set(Timer::Checkpoint, due);
}

/// A checkpoint is due, or peers are to be told again.
pub(crate) fn on_timer(cx: &mut Context) {
    if cx.checkpoints.changes > 0 && !cx.checkpoints.is_committing {
        sign(cx);
    }
    if let Some(targets) = &mut cx.checkpoints.targets {
        targets.try_all_again();
    }
    tell_all(cx);
}

/// Signs a checkpoint, unless there is nothing new, or this device knows less than it has vouched for.
fn sign(cx: &mut Context) {
    let census = cx.names.census();
    let newest = own(cx);
    if is_covered_by(cx, &census, newest) {
        cx.checkpoints.changes = 0;
        cx.checkpoints.first_change = None;
        return;
    }
    if !may_sign(cx) {
        return look_again(cx);
    }
    let known = [newest.map(sequence_of), cx.checkpoints.vouched.get(&cx.me).map(|one| one.sequence)];
    let attempted = cx.checkpoints.attempted.map(|one| one.sequence);
    let sequence = 1 + known.into_iter().chain([attempted]).flatten().max().unwrap_or(0);
    let Ok(version) = publish::stamp(cx, 1) else { return look_again(cx) };
    let checkpoint = Checkpoint {
        sequence,
        wall_ms: cx.now.wall_ms,
        names: census.names(),
        fingerprint: census.fingerprint(&cx.keys),
    };
    let record = Record {
        owner: cx.owner,
        name_id: cx.keys.checkpoint_name(cx.me),
        version,
        retention: Retention { keep_versions: 1, keep_days: 0, replicas: cx.config.retention.replicas },
        body: RecordBody::Checkpoint(checkpoint),
    };
    let signed = SignedRecord::sign(&cx.keys, record);
    commit(cx, signed, sequence);
}

/// What stands in the way of a checkpoint may be over later.
fn look_again(cx: &mut Context) {
    let later = cx.now.mono + cx.config.checkpoints.wait_max;
    cx.timers.set_if_sooner(Timer::Checkpoint, later);
}

/// The older ones stay: what a name no longer keeps goes from all nodes in one and the same way.
fn commit(cx: &mut Context, signed: SignedRecord, sequence: u64) {
    let vouched = Vouched { sequence, record: signed.id };
    let mut writes = alloc::vec![
        Write::Put { key: Bytes::from_static(schema::CLOCK), value: schema::encode(&cx.clock) },
        Write::Put { key: schema::vouched_key(cx.me), value: schema::encode(&vouched) },
    ];
    for device in core::mem::take(&mut cx.checkpoints.unsaved) {
        if let Some(vouched) = cx.checkpoints.vouched.get(&device).filter(|_| device != cx.me) {
            writes.push(Write::Put { key: schema::vouched_key(device), value: schema::encode(vouched) });
        }
    }
    cx.checkpoints.is_committing = true;
    cx.checkpoints.attempted = Some(vouched);
    cx.checkpoints.changes = 0;
    cx.checkpoints.first_change = None;
    let with = With { writes, ..With::default() };
    records::add_new(cx, signed.clone(), with, Pending::Checkpoint(CheckpointStep::Commit(signed)));
}

/// An operation is complete.
pub(crate) fn on_completion(cx: &mut Context, step: CheckpointStep, completion: Completion) {
    match step {
        CheckpointStep::Commit(signed) => on_committed(cx, signed, completion.committed()),
        CheckpointStep::Verify(node) => on_verified(cx, node, completion.work()),
    }
}

fn on_committed(cx: &mut Context, signed: SignedRecord, committed: Result<bool, DiskError>) {
    cx.checkpoints.is_committing = false;
    // One whose commit failed may be there all the same, and is not the one that this replaces.
    collect::look_at(cx, cx.owner, signed.record.name_id);
    match committed {
        Ok(_) => {
            sometimes!(cx.simulation, "checkpoint.signed");
            if let Some(attempted) = cx.checkpoints.attempted {
                cx.checkpoints.vouched.insert(cx.me, attempted);
            }
            cx.checkpoints.newest.insert(signed.record.name_id, signed);
            cx.checkpoints.targets = None;
            cx.checkpoints.told.clear();
            cx.checkpoints.delivered.clear();
            tell_all(cx);
        }
        Err(error) => {
            answers::note_disk_error(cx, &error);
            cx.checkpoints.changes += 1;
            cx.checkpoints.unsaved = cx.checkpoints.vouched.keys().copied().collect();
        }
    }
    if cx.checkpoints.changes > 0 {
        let soon = cx.now.mono + cx.config.checkpoints.quiet;
        cx.timers.set_if_sooner(Timer::Checkpoint, soon);
    }
}

/// Tells the newest checkpoint to all who are to keep it and do not have it: its holders, or who stands in for them, and the
/// owner's other devices.
fn tell_all(cx: &mut Context) {
    let Some(own) = own(cx) else { return };
    let (id, bytes, name, replicas) = (own.id, own.bytes.clone(), own.record.name_id, own.record.retention.replicas);
    // What this device does not vouch for, others may: it is theirs to keep.
    if cx.checkpoints.vouched.get(&cx.me).is_none_or(|vouched| vouched.record != id) {
        return;
    }
    let mut targets = cx.checkpoints.targets.take().unwrap_or_else(|| Targets::new(name, replicas));
    let delivered = cx.checkpoints.delivered.clone();
    let mut nodes = targets.pick(cx, &delivered);
    cx.checkpoints.targets = Some(targets);
    nodes.extend(cluster::owner_devices(cx, cx.owner));
    for node in nodes {
        let is_reached = neighbours::can_be_asked(cx, node);
        if is_reached && !cx.checkpoints.delivered.contains(&node) && cx.checkpoints.told.insert(node) {
            let record = bytes.clone();
            let announce = |request| Frame::Announce { request, record, whole: true };
            asks::ask(cx, AskClient::Checkpoint(id), node, announce);
        }
    }
}

/// A peer can be reached: tell it of the newest checkpoint.
pub(crate) fn on_peer_ready(cx: &mut Context, node: NodeId) {
    if cx.links.is_news(node) {
        cx.checkpoints.told.remove(&node);
    }
    if let Some(targets) = &mut cx.checkpoints.targets {
        targets.on_ready(node);
    }
    tell_all(cx);
}

/// A peer answered, or did not.
pub(crate) fn on_answered(cx: &mut Context, node: NodeId, record: RecordId, answer: Option<Answer>) {
    let is_current = own(cx).is_some_and(|own| own.id == record);
    match answer.map(Answer::announced) {
        Some(Some(AnnounceOutcome::Stored)) if is_current => {
            cx.checkpoints.delivered.insert(node);
        }
        Some(Some(AnnounceOutcome::Superseded { by } | AnnounceOutcome::Obsolete { by })) => {
            // Signed in an earlier life of this device, or it crossed the next one on its way.
            let verify = WorkOp::VerifyRecords { records: alloc::vec![by] };
            cx.work(verify, Pending::Checkpoint(CheckpointStep::Verify(node)));
        }
        Some(Some(AnnounceOutcome::Refused(_))) | None if is_current => {
            cx.checkpoints.told.remove(&node);
            if let Some(targets) = &mut cx.checkpoints.targets {
                targets.fail(node);
            }
            look_again(cx);
        }
        Some(Some(AnnounceOutcome::Stored | AnnounceOutcome::Refused(_))) | None => {}
        Some(None) => asks::on_lie(cx, node),
    }
}

/// A peer knows a newer record of this device's checkpoints.
fn on_verified(cx: &mut Context, node: NodeId, result: WorkResult) {
    let WorkResult::RecordsVerified(mut records) = result else { return };
    let name = cx.keys.checkpoint_name(cx.me);
    let is_it = |newer: &SignedRecord| newer.record.owner == cx.owner && newer.record.name_id == name;
    let Some(newer) = records.pop().and_then(Result::ok).filter(is_it) else { return asks::on_lie(cx, node) };
    if own(cx).is_none_or(|own| own.rank() < newer.rank()) {
        pull::start(cx, newer, Part::Whole, PullClient::Nobody, [node].into());
    }
}
