//! Findings of `forever fsck` as programs read them.

use forever_core::ids::{NameId, OwnerId, RecordId};
use forever_net_tokio::store::check::{Affected, Finding, Outcome, Severity};
use serde::Serialize;

/// A finding.
#[derive(Serialize)]
pub(super) struct FindingView<'a> {
    finding: &'static str,
    severity: &'static str,
    outcome: &'static str,
    what: String,
    #[serde(rename = "where")]
    place: String,
    files: Vec<FileView<'a>>,
    files_more: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

#[derive(Serialize)]
struct FileView<'a> {
    name: Option<&'a str>,
    owner: OwnerId,
    name_id: NameId,
    version: &'a str,
    record: RecordId,
}

impl<'a> FindingView<'a> {
    pub(super) fn of(finding: &'a Finding, own: Option<OwnerId>) -> Self {
        let (outcome, failure) = match &finding.outcome {
            Outcome::Found => ("found", None),
            Outcome::Repaired => ("repaired", None),
            Outcome::Failed(why) => ("failed", Some(why.as_str())),
        };
        let severity = match finding.problem.severity() {
            Severity::Note => "note",
            Severity::Wrong => "wrong",
            Severity::Lost => "lost",
        };
        Self {
            finding: finding.problem.kind(),
            severity,
            outcome,
            what: finding.problem.to_string(),
            place: finding.problem.place(),
            files: finding.affected.iter().map(FileView::of).collect(),
            files_more: finding.affected_more,
            failure,
            advice: finding.advice(own),
        }
    }
}

impl<'a> FileView<'a> {
    fn of(affected: &'a Affected) -> Self {
        let place = &affected.place;
        Self {
            name: affected.name.as_deref(),
            owner: place.owner,
            name_id: place.name_id,
            version: &place.version,
            record: place.record,
        }
    }
}
