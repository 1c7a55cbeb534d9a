//! `forever fsck`: checks the store of a data folder, and repairs it: itself, or through the node that runs on it.

mod totals;

use std::path::Path;
use std::sync::Arc;

use forever_core::secrets::OwnerKeys;
use forever_net_tokio::api::CheckStep;
use forever_net_tokio::folder::{Folder, FolderError};
use forever_net_tokio::settings::{Flags, Settings};
use forever_net_tokio::store::check::{self, Check, FindingView, Totals};
use forever_net_tokio::store::{RealFs, StoreConfig};
use indicatif::ProgressBar;

use super::node::environment;
use super::{CliError, Client, Exit, FsckArgs, Report};

/// Runs a check, and the repair if it is asked for: here, or in the node that runs on the folder.
pub(crate) async fn run(data: &Path, args: &FsckArgs, report: &Report) -> Result<Exit, CliError> {
    let folder = Folder::at(data)?;
    let totals = match folder.hold() {
        Ok(_held) => at_rest(&folder, args, report)?,
        Err(FolderError::InUse { .. }) if folder.api_address()?.is_some() => online(data, args, report).await?,
        Err(error) => return Err(error.into()),
    };
    report.result(&totals, || totals::text(&totals, args.deep));
    Ok(totals::exit(&totals))
}

fn at_rest(folder: &Folder, args: &FsckArgs, report: &Report) -> Result<Totals, CliError> {
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
    let mut found =
        check::check(&RealFs, &what, &mut |progress| bars.show(progress.step.name(), progress.done, progress.total))?;
    bars.clear();
    if args.repair && !found.findings.is_empty() {
        check::repair(Arc::new(RealFs), &config, &mut found)?;
    }
    let own = keys.as_ref().map(OwnerKeys::owner_id);
    for finding in &found.findings {
        show(report, &FindingView::of(finding, own, false));
    }
    end_findings(report, !found.findings.is_empty());
    Ok(Totals::of(&found))
}

/// Has the node check its store.
async fn online(data: &Path, args: &FsckArgs, report: &Report) -> Result<Totals, CliError> {
    let path = format!("/v1/fsck?deep={}&repair={}", args.deep, args.repair);
    let mut bars = Bars { report, current: None };
    let mut has_found = false;
    let show_step = |step: &CheckStep| match step {
        CheckStep::Progress { at, done, total } => bars.show(at, *done, *total),
        CheckStep::Finding(finding) => {
            bars.clear();
            has_found = true;
            show(report, finding);
        }
        CheckStep::Done(_) => bars.clear(),
    };
    let end = Client::open(data)?.steps(&path, show_step, |step| matches!(step, CheckStep::Done(_))).await?;
    end_findings(report, has_found);
    let CheckStep::Done(totals) = end else {
        return Err(CliError::Answer("the check ended without its totals".to_owned()));
    };
    Ok(totals)
}

fn show(report: &Report, finding: &FindingView) {
    report.result(finding, || finding.line());
}

fn end_findings(report: &Report, are_any: bool) {
    if are_any {
        report.text("");
    }
}

/// The progress bars of the steps, one after the other.
struct Bars<'a> {
    report: &'a Report,
    current: Option<(String, ProgressBar)>,
}

impl Bars<'_> {
    fn show(&mut self, step: &str, done: u64, total: Option<u64>) {
        if self.current.as_ref().is_none_or(|(current, _)| current != step) {
            self.clear();
            let bar = match step {
                "blob_bytes" => self.report.bar("blobs", total),
                "mending" => self.report.bar("mending", total),
                step => self.report.counter(step, total),
            };
            self.current = Some((step.to_owned(), bar));
        }
        if let Some((_, bar)) = &self.current {
            bar.set_position(done);
        }
    }

    fn clear(&mut self) {
        if let Some((_, bar)) = self.current.take() {
            bar.finish_and_clear();
        }
    }
}
