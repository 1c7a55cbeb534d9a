//! What a check found, as programs read it and as one line for people: the same whether a node runs on the store or not.

use forever_core::ids::{NameId, OwnerId, RecordId};
use serde::{Deserialize, Serialize};

use super::{Affected, Finding, Outcome, Problem, Report, Severity, Summary};

/// A finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingView {
    /// What it is, in one word.
    pub finding: String,
    /// `note`, `wrong` or `lost`.
    pub severity: String,
    /// `found`, `repaired`, `mended` or `failed`.
    pub outcome: String,
    /// What it is, for people.
    pub what: String,
    /// Where it is: a path, or what it is called in the index; empty if nowhere in particular.
    #[serde(rename = "where")]
    pub place: String,
    /// Versions of files that it concerns, the first few.
    pub files: Vec<FileView>,
    /// How many more.
    pub files_more: u64,
    /// Why the repair failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// What can be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// A version of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileView {
    /// Its name, if the keys at hand open it.
    pub name: Option<String>,
    /// Whose it is.
    pub owner: OwnerId,
    /// What nodes call the name.
    pub name_id: NameId,
    /// Which version.
    pub version: String,
    /// Its record.
    pub record: RecordId,
}

impl FindingView {
    /// As programs read it. `own` is the owner of this node, if known; `is_open` tells whether the node runs.
    #[must_use]
    pub fn of(finding: &Finding, own: Option<OwnerId>, is_open: bool) -> Self {
        let (outcome, failure) = match &finding.outcome {
            Outcome::Found => ("found", None),
            Outcome::Repaired => ("repaired", None),
            Outcome::Mended => ("mended", None),
            Outcome::Failed(why) => ("failed", Some(why.clone())),
        };
        let severity = match finding.problem.severity() {
            Severity::Note => "note",
            Severity::Wrong => "wrong",
            Severity::Lost => "lost",
        };
        Self {
            finding: finding.problem.kind().to_owned(),
            severity: severity.to_owned(),
            outcome: outcome.to_owned(),
            what: finding.problem.to_string(),
            place: finding.problem.place(),
            files: finding.affected.iter().map(FileView::of).collect(),
            files_more: finding.affected_more,
            failure,
            advice: if is_open { advice_online(finding) } else { finding.advice(own) },
        }
    }

    /// As one line for people.
    #[must_use]
    pub fn line(&self) -> String {
        let word = match (self.outcome.as_str(), self.severity.as_str()) {
            ("mended", _) => "mended",
            (_, "lost") => "lost",
            ("repaired", _) => "repaired",
            (_, severity) => severity,
        };
        let mut line = format!("{word:<8} {}", self.what);
        let mut add = |part: &str| {
            if !part.is_empty() {
                line.push_str("; ");
                line.push_str(part);
            }
        };
        add(&self.place);
        for file in &self.files {
            add(&file.text());
        }
        if self.files_more > 0 {
            add(&format!("and {} more", self.files_more));
        }
        if let Some(why) = &self.failure {
            add(&format!("not repaired: {why}"));
        }
        add(self.advice.as_deref().unwrap_or_default());
        line
    }
}

/// What can be done beside a running node, whose peers may give back what is lost.
fn advice_online(finding: &Finding) -> Option<String> {
    let is_found = finding.outcome == Outcome::Found;
    match finding.problem {
        Problem::Incomplete { .. } | Problem::Record { .. } | Problem::Blob { .. } | Problem::Page { .. } => {
            let repair = "`forever fsck --repair` has the peers give it back, once one that has it is connected";
            is_found.then(|| repair.to_owned())
        }
        Problem::Doubtful => Some("check the disk; a restart writes the index anew".to_owned()),
        Problem::References { .. }
        | Problem::WrongCounters { .. }
        | Problem::Unlistable { .. }
        | Problem::Unknown { .. }
        | Problem::Orphan { .. }
        | Problem::Temp { .. }
        | Problem::Foreign { .. }
        | Problem::Quarantined { .. }
        | Problem::Unclean => finding.advice(None),
    }
}

impl FileView {
    fn of(affected: &Affected) -> Self {
        let place = &affected.place;
        Self {
            name: affected.name.clone(),
            owner: place.owner,
            name_id: place.name_id,
            version: place.version.clone(),
            record: place.record,
        }
    }

    fn text(&self) -> String {
        match &self.name {
            Some(name) => format!("{name}, version {}", self.version),
            None => format!("name id {} of owner {}, version {}", self.name_id, self.owner, self.version),
        }
    }
}

/// What there is, and how it stands: [`Summary`] and the findings, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is what the summary or an outcome of the same name says")]
pub struct Totals {
    pub in_order: bool,
    pub lost: u64,
    pub wrong: u64,
    pub repaired: u64,
    pub mended: u64,
    pub orphans: u64,
    pub temp_files: u64,
    pub quarantined: u64,
    #[serde(flatten)]
    pub summary: Summary,
    /// Whether something is lost here, listed or not.
    pub beyond_repair: bool,
}

impl Totals {
    /// Counts.
    #[must_use]
    pub fn of(found: &Report) -> Self {
        let count = |is: &dyn Fn(&Finding) -> bool| found.findings.iter().filter(|one| is(one)).count() as u64;
        let is_lost = |one: &Finding| one.problem.severity() == Severity::Lost && one.outcome != Outcome::Mended;
        Self {
            in_order: found.is_in_order(),
            lost: count(&is_lost),
            wrong: count(&|one| one.is_open() && one.problem.severity() == Severity::Wrong),
            repaired: count(&|one| one.outcome == Outcome::Repaired),
            mended: count(&|one| one.outcome == Outcome::Mended),
            orphans: count(&|one| matches!(one.problem, Problem::Orphan { .. })),
            temp_files: count(&|one| matches!(one.problem, Problem::Temp { .. })),
            quarantined: count(&|one| matches!(one.problem, Problem::Quarantined { .. })),
            summary: found.summary,
            beyond_repair: found.is_lossy(),
        }
    }
}
