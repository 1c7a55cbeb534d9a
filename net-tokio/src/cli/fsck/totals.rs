//! The last line of `forever fsck`.

use forever_net_tokio::store::check::{self, Finding, Outcome, Problem, Severity, Summary};
use serde::Serialize;

use crate::cli::{Exit, human_bytes};

/// What there is, and how it stands.
#[derive(Serialize)]
pub(super) struct Totals {
    in_order: bool,
    lost: u64,
    wrong: u64,
    repaired: u64,
    orphans: u64,
    temp_files: u64,
    quarantined: u64,
    unlisted: u64,
    records: u64,
    tombstones: u64,
    checkpoints: u64,
    whole: u64,
    evicted: u64,
    incomplete: u64,
    pages: u64,
    unreferenced_pages: u64,
    blobs: u64,
    blob_bytes: u64,
    damaged_blobs: u64,
    unreferenced_blobs: u64,
    unreferenced_bytes: u64,
    hashed_bytes: u64,
    /// Whether something among the unlisted is lost.
    #[serde(skip)]
    is_lossy: bool,
}

impl Totals {
    pub(super) fn of(found: &check::Report) -> Self {
        let count = |is: &dyn Fn(&Finding) -> bool| found.findings.iter().filter(|one| is(one)).count() as u64;
        let Summary { records, tombstones, checkpoints, whole, evicted, incomplete, .. } = found.summary;
        let Summary { pages, unreferenced_pages, blobs, blob_bytes, damaged_blobs, .. } = found.summary;
        let Summary { unreferenced_blobs, unreferenced_bytes, hashed_bytes, unlisted, .. } = found.summary;
        Self {
            in_order: found.is_in_order(),
            lost: count(&|one| one.problem.severity() == Severity::Lost),
            wrong: count(&|one| one.is_open() && one.problem.severity() == Severity::Wrong),
            repaired: count(&|one| one.outcome == Outcome::Repaired),
            orphans: count(&|one| matches!(one.problem, Problem::Orphan { .. })),
            temp_files: count(&|one| matches!(one.problem, Problem::Temp { .. })),
            quarantined: count(&|one| matches!(one.problem, Problem::Quarantined { .. })),
            unlisted,
            records,
            tombstones,
            checkpoints,
            whole,
            evicted,
            incomplete,
            pages,
            unreferenced_pages,
            blobs,
            blob_bytes,
            damaged_blobs,
            unreferenced_blobs,
            unreferenced_bytes,
            hashed_bytes,
            is_lossy: found.is_lossy(),
        }
    }

    pub(super) fn exit(&self) -> Exit {
        match (self.is_lossy, self.in_order) {
            (true, _) => Exit::Integrity,
            (false, true) => Exit::Done,
            (false, false) => Exit::Failed,
        }
    }

    pub(super) fn text(&self, deep: bool) -> String {
        let how = if deep {
            format!("all {} read and hashed", human_bytes(self.hashed_bytes))
        } else {
            "not read: --deep hashes every one".to_owned()
        };
        format!(
            "records   {} in order, {} of them deletions and {} checkpoints\n\
             versions  {} whole, {} evicted, {} not whole\n\
             pages     {}, {} that no record needs\n\
             blobs     {} ({}), {} damaged, {} that no record needs ({}); {how}\n\
             files     {} that the index does not know, {} unfinished, {} in quarantine\n\
             result    {}",
            self.records,
            self.tombstones,
            self.checkpoints,
            self.whole,
            self.evicted,
            self.incomplete,
            self.pages,
            self.unreferenced_pages,
            self.blobs,
            human_bytes(self.blob_bytes),
            self.damaged_blobs,
            self.unreferenced_blobs,
            human_bytes(self.unreferenced_bytes),
            self.orphans,
            self.temp_files,
            self.quarantined,
            self.result(),
        )
    }

    fn result(&self) -> String {
        let mut parts = Vec::new();
        if self.is_lossy {
            parts.push(format!("{} lost here: only other nodes can give it back, as said above", self.lost));
        }
        if self.wrong > 0 {
            parts.push(format!("{} not in order: see above", self.wrong));
        }
        if self.repaired > 0 {
            parts.push(format!("{} repaired", self.repaired));
        }
        if self.unlisted > 0 {
            parts.push(format!("{} more that are not listed: repair, then check again", self.unlisted));
        }
        if self.in_order {
            parts.push("in order".to_owned());
        }
        parts.join("; ")
    }
}
