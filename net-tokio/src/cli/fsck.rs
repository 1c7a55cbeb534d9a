//! `forever fsck`: checks the data folder of a node that does not run, and repairs it.

mod totals;
mod view;

use std::path::Path;
use std::sync::Arc;

use forever_core::ids::OwnerId;
use forever_core::secrets::OwnerKeys;
use forever_net_tokio::folder::{Folder, FolderError};
use forever_net_tokio::settings::{Flags, Settings};
use forever_net_tokio::store::check::{self, Check, Finding, Outcome, Progress, Severity, Step};
use forever_net_tokio::store::{RealFs, StoreConfig};
use indicatif::ProgressBar;

use super::node::environment;
use super::{CliError, Exit, FsckArgs, Report};
use totals::Totals;
use view::FindingView;

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
