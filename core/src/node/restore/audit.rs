//! The audit of a restore: all records of this disk are read and held against the checkpoints of the owner's devices.

use alloc::string::ToString;
use alloc::vec::Vec;

use bytes::Bytes;

use super::{Aim, Restore, RestoreStep, Stage};
use crate::checkpoint::Verdict;
use crate::disk::DiskError;
use crate::event::{CheckpointInfo, RequestError};
use crate::ids::NodeId;
use crate::node::cluster::Part;
use crate::node::context::Context;
use crate::node::disk_audit::DiskAudit;
use crate::node::task::Flow;
use crate::node::{checkpoints, cluster, fill, neighbours};
use crate::record::SignedRecord;
use crate::{planted, sometimes};

impl Restore {
    pub(super) fn audit(&mut self, cx: &mut Context) -> Flow {
        if self.tellers.done() == 0 && self.aim != Aim::Fill {
            let error = RequestError::Unavailable("no peer told all it holds; try again".to_string());
            return self.end_with(cx, error);
        }
        let mut newest = self.newest.clone();
        for known in checkpoints::newest(cx) {
            let found = newest.entry(known.record.name_id).or_insert_with(|| known.clone());
            if found.rank() < known.rank() {
                *found = known.clone();
            }
        }
        let pending = self.pending(RestoreStep::Audit);
        self.to_complete.clear();
        self.is_cut = false;
        self.stage = Stage::Auditing(DiskAudit::start(cx, newest.values(), self.found.clone(), pending));
        Flow::Continue
    }

    pub(super) fn on_audit_read(
        &mut self,
        cx: &mut Context,
        read: Result<(Vec<(Bytes, Bytes)>, bool), DiskError>,
    ) -> Flow {
        cx.expect_progress(self.id);
        let pending = self.pending(RestoreStep::Audit);
        if !matches!(self.stage, Stage::Auditing(_)) {
            return Flow::Continue;
        }
        let (entries, more) = match read {
            Ok(read) => read,
            Err(error) => return self.fail_disk(cx, &error),
        };
        let wanted = self.wanted_whole(cx, &entries);
        self.read_marks(cx, wanted);
        let Stage::Auditing(audit) = &mut self.stage else { return Flow::Continue };
        let Some(verdicts) = audit.on_read(cx, &entries, more, pending) else { return Flow::Continue };
        self.on_audited(cx, verdicts)
    }

    fn on_audited(&mut self, cx: &mut Context, verdicts: Vec<Verdict>) -> Flow {
        let trusting = planted!(cx.simulation, RestoreTrustsCount);
        self.report.checkpoints = verdicts.iter().map(|verdict| info_of(verdict, trusting)).collect();
        let untold = cx.members.nodes().filter(|node| !self.tellers.has_told(*node)).count();
        let unasked = cx.strangers() + u32::try_from(untold).unwrap_or(u32::MAX);
        self.report.unasked = unasked;
        self.progress();
        let is_silent_yet = |node: &NodeId| !self.tellers.has_told(*node) && !cx.fill.has_told(*node);
        let is_everybody = cx.strangers() == 0 && !cx.members.nodes().any(|node| is_silent_yet(&node));
        let is_everybody = is_everybody && self.report.missing == 0 && cx.members.count() > 0;
        let told: Vec<NodeId> =
            neighbours::reachable(cx).into_iter().filter(|node| self.tellers.has_told(*node)).collect();
        if self.aim != Aim::List {
            checkpoints::on_audited(cx, &verdicts);
            fill::on_told(cx, told.into_iter(), is_everybody);
        }
        if self.aim == Aim::Fill {
            return self.on_filled(cx);
        }
        if self.report.checkpoints.iter().any(|checkpoint| !checkpoint.is_covered) {
            sometimes!(cx.simulation, "restore.records-withheld");
        }
        if !self.report.is_complete() && self.tellers.current().is_some() {
            self.stage = Stage::Asking;
            return self.ask(cx);
        }
        if !self.report.is_complete() && unasked > 0 && !self.was_patient {
            return self.be_patient(cx);
        }
        // What is here light and no peer told of is wanted, too.
        self.stage = Stage::Completing;
        self.complete(cx)
    }

    /// A fill has been audited. If something is missing that nobody has been asked for, peers are; then what this node is to hold
    /// is made whole.
    fn on_filled(&mut self, cx: &mut Context) -> Flow {
        let is_open = self.report.checkpoints.iter().any(|checkpoint| !checkpoint.is_covered);
        if (is_open || !cx.fill.has_filled()) && self.tellers.current().is_some() {
            self.stage = Stage::Asking;
            return self.ask(cx);
        }
        self.stage = Stage::Completing;
        self.complete(cx)
    }

    /// The files among these records that are to be whole here: for a fill, those that this node is to hold.
    fn wanted_whole(&self, cx: &mut Context, entries: &[(Bytes, Bytes)]) -> Vec<SignedRecord> {
        let records = entries.iter().filter_map(|(_, bytes)| SignedRecord::decode(bytes.clone()).ok());
        let files = records.filter(|record| record.record.body.is_file() && !self.failed.contains_key(&record.id));
        let is_wanted = |record: &SignedRecord| match self.aim {
            Aim::Fill => cluster::own_part(cx, &record.record) == Part::Whole,
            Aim::Bring => true,
            // What a peer told of has been told.
            Aim::List => !self.seen.contains(&record.id),
        };
        files.filter(is_wanted).collect()
    }
}

fn info_of(verdict: &Verdict, trusting: bool) -> CheckpointInfo {
    let Verdict { device, checkpoint, names_found, is_covered } = *verdict;
    CheckpointInfo {
        device,
        sequence: checkpoint.sequence,
        time_ms: checkpoint.wall_ms,
        names: checkpoint.names,
        names_found,
        is_covered: is_covered || trusting && names_found == checkpoint.names,
    }
}
