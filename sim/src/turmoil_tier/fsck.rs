//! The real check of a store beside its running node, as an operation.

use std::path::Path;

use forever_core::event::RequestError;
use forever_core::ids::BlobKey;
use forever_net_tokio::store::check::{BlobFault, Check, Problem, Report, check_open};

use super::TurmoilTier;
use super::disk::{self, ROOT};
use crate::store::{OpError, OpResult, View, fsck};

impl TurmoilTier {
    /// Checks the disk of a node that runs, every byte of it. It takes no simulated time.
    pub(super) fn check_disk(&mut self, node: usize) -> OpResult {
        let Some(store) = self.open_store(node) else { return OpResult::Failed(OpError::Down) };
        let keys = self.hosts[node].secrets.keys.clone();
        let path = disk::store_config(Default::default(), self.scenario.engine).path;
        let what = Check { root: Path::new(ROOT), path, deep: true, keys: Some(&keys) };
        match check_open(&store, &what, &|| false, &mut |_| {}) {
            Ok(report) => self.lost_by(node, &report),
            Err(error) => OpResult::Failed(OpError::Failed(RequestError::Disk(error.to_string()))),
        }
    }

    /// What a check found to be lost. Of chunks without a row it tells only how many versions lack some.
    fn lost_by(&mut self, node: usize, report: &Report) -> OpResult {
        // What cannot be read now may be the next time.
        let damaged = |problem: &Problem| {
            let Problem::Blob { blob, fault, .. } = problem else { return None };
            (!matches!(fault, BlobFault::Unreadable(_))).then_some(*blob)
        };
        let mut lost: Vec<BlobKey> = report.findings.iter().filter_map(|finding| damaged(&finding.problem)).collect();
        let lacks = |problem: &Problem| matches!(problem, Problem::Incomplete { missing, .. } if *missing > 0);
        if report.findings.iter().any(|finding| lacks(&finding.problem)) {
            let contents = self.contents(node);
            let missing: Vec<BlobKey> =
                fsck::lost(&contents).into_iter().filter(|blob| !contents.blobs.contains_key(blob)).collect();
            if missing.is_empty() {
                let what = "a check says that chunks have no row, and all have one".into();
                return OpResult::Failed(OpError::Nonsense(what));
            }
            lost.extend(missing);
        }
        OpResult::Checked(lost)
    }
}
