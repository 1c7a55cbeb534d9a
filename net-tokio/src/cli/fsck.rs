//! `forever fsck`: checks the data folder of a node that does not run, and repairs it.

use std::path::Path;
use std::sync::Arc;

use forever_core::ids::{NameId, OwnerId, RecordId};
use forever_core::secrets::OwnerKeys;
use forever_net_tokio::folder::{Folder, FolderError};
use forever_net_tokio::settings::{Flags, Settings};
use forever_net_tokio::store::check::{
    self, Affected, Check, Finding, Outcome, Problem, Progress, Severity, Step, Summary,
};
use forever_net_tokio::store::{RealFs, StoreConfig};
use indicatif::ProgressBar;
use serde::Serialize;

use super::node::environment;
use super::{CliError, Exit, FsckArgs, Report, human_bytes};

/// Runs a check, and the repair if it is asked for.
pub(crate) fn run(data: &Path, args: &FsckArgs, report: &Report) -> Result<Exit, CliError> {
    let folder = Folder::at(data)?;
    let _held = folder.hold().map_err(in_use)?;
    let settings = Settings::load(&folder.config_path(), environment(), &Flags::default())?;
    let keys = match folder.owner_secret() {
        Ok(secret) => Some(OwnerKeys::derive(&secret)),
        Err(error) => {
            report.note(&format!(
                "files are told by their ids alone, since their names need the owner's secret: {error}"
            ));
            None
        }
    };
    let config = StoreConfig {
        path: settings.path_transform,
        reserve_bytes: settings.reserve_mib << 20,
        ..StoreConfig::new(folder.store_path())
    };
    let what = Check { root: &config.root, path: config.path, deep: args.deep, keys: keys.as_ref() };
    let mut bars = Bars { report, current: None };
    let mut found = check::check(&RealFs, &what, &mut |progress| bars.show(progress))?;
    bars.clear();
    let is_empty = found.findings.is_empty();
    if args.repair && !is_empty {
        check::repair(Arc::new(RealFs), &config, &mut found)?;
    }
    let own = keys.as_ref().map(OwnerKeys::owner_id);
    for finding in &found.findings {
        report.result(&FindingView::of(finding, own), || line(finding, own));
    }
    if !is_empty {
        report.text("");
    }
    let totals = Totals::of(&found);
    report.result(&totals, || totals.text(args.deep));
    Ok(totals.exit())
}

fn in_use(error: FolderError) -> CliError {
    let FolderError::InUse { path, pid } = error else { return error.into() };
    let who = pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
    CliError::Refused(format!(
        "a node runs on {}{who}, and `forever fsck` checks a folder at rest: stop the node, then run this again",
        path.display()
    ))
}

/// The progress bars of the steps, one after the other.
struct Bars<'a> {
    report: &'a Report,
    current: Option<(Step, ProgressBar)>,
}

impl Bars<'_> {
    fn show(&mut self, progress: Progress) {
        if self.current.as_ref().is_none_or(|(step, _)| *step != progress.step) {
            self.clear();
            let bar = match progress.step {
                Step::BlobBytes => self.report.bar("blobs", progress.total),
                Step::Blobs => self.report.counter("blobs", progress.total),
                Step::Pages => self.report.counter("manifest pages", progress.total),
                Step::Records => self.report.counter("records", progress.total),
                Step::Files => self.report.counter("files", progress.total),
            };
            self.current = Some((progress.step, bar));
        }
        if let Some((_, bar)) = &self.current {
            bar.set_position(progress.done);
        }
    }

    fn clear(&mut self) {
        if let Some((_, bar)) = self.current.take() {
            bar.finish_and_clear();
        }
    }
}

/// A finding as one line.
fn line(finding: &Finding, own: Option<OwnerId>) -> String {
    let mut line = format!("{:<8} {}", word(finding), finding.problem);
    let mut add = |part: &str| {
        if !part.is_empty() {
            line.push_str("; ");
            line.push_str(part);
        }
    };
    add(&finding.problem.place());
    for affected in &finding.affected {
        add(&affected.to_string());
    }
    if finding.affected_more > 0 {
        add(&format!("and {} more", finding.affected_more));
    }
    if let Outcome::Failed(why) = &finding.outcome {
        add(&format!("not repaired: {why}"));
    }
    add(finding.advice(own).as_deref().unwrap_or_default());
    line
}

fn word(finding: &Finding) -> &'static str {
    match (&finding.outcome, finding.problem.severity()) {
        (_, Severity::Lost) => "lost",
        (Outcome::Repaired, Severity::Wrong | Severity::Note) => "repaired",
        (Outcome::Found | Outcome::Failed(_), Severity::Wrong) => "wrong",
        (Outcome::Found | Outcome::Failed(_), Severity::Note) => "note",
    }
}

#[derive(Serialize)]
struct FindingView<'a> {
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
    fn of(finding: &'a Finding, own: Option<OwnerId>) -> Self {
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

/// The last line: what there is, and how it stands.
#[derive(Serialize)]
struct Totals {
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
    fn of(found: &check::Report) -> Self {
        let count = |is: &dyn Fn(&Finding) -> bool| found.findings.iter().filter(|one| is(one)).count() as u64;
        let Summary { records, tombstones, whole, evicted, incomplete, .. } = found.summary;
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

    fn exit(&self) -> Exit {
        match (self.is_lossy, self.in_order) {
            (true, _) => Exit::Integrity,
            (false, true) => Exit::Done,
            (false, false) => Exit::Failed,
        }
    }

    fn text(&self, deep: bool) -> String {
        let how = if deep {
            format!("all {} read and hashed", human_bytes(self.hashed_bytes))
        } else {
            "not read: --deep hashes every one".to_owned()
        };
        format!(
            "records   {} in order, {} of them deletions\n\
             versions  {} whole, {} evicted, {} not whole\n\
             pages     {}, {} that no record needs\n\
             blobs     {} ({}), {} damaged, {} that no record needs ({}); {how}\n\
             files     {} that the index does not know, {} unfinished, {} in quarantine\n\
             result    {}",
            self.records,
            self.tombstones,
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
