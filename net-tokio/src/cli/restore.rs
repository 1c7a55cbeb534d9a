//! `forever restore`.

use std::path::Path;

use forever_net_tokio::api::view::{CheckpointView, FileView, RestoreStep, RestoreView};

use super::info::date;
use super::{CliError, Client, Exit, Report, human_bytes};

/// Restores, or lists what would be. Exits with "unavailable" when it is not complete, because a later try may find the rest.
pub(crate) async fn run(data: &Path, dry_run: bool, report: &Report) -> Result<Exit, CliError> {
    let path = if dry_run { "/v1/restore?dry_run=true" } else { "/v1/restore" };
    let end = follow(&mut Client::open(data)?, path, dry_run, report).await?;
    Ok(if end.complete { Exit::Done } else { Exit::Unavailable })
}

/// Starts a restore and reports each step until its end.
pub(crate) async fn follow_restore(client: &mut Client, report: &Report) -> Result<RestoreView, CliError> {
    follow(client, "/v1/restore", false, report).await
}

async fn follow(client: &mut Client, path: &str, dry_run: bool, report: &Report) -> Result<RestoreView, CliError> {
    let show = |step: &RestoreStep| match step {
        RestoreStep::Found { found } => report.result(found, || found_text(found)),
        RestoreStep::Report(view) => {
            report.result(view, || if view.done { end_text(view, dry_run) } else { step_text(view) });
        }
    };
    let is_last = |step: &RestoreStep| matches!(step, RestoreStep::Report(view) if view.done);
    match client.steps(path, show, is_last).await? {
        RestoreStep::Report(view) => Ok(view),
        RestoreStep::Found { .. } => unreachable!("only a report is the last step"),
    }
}

fn found_text(file: &FileView) -> String {
    format!("{:>12}  {}  {}", human_bytes(file.size), file.version, file.name)
}

fn step_text(view: &RestoreView) -> String {
    format!("{} of {} peers have told all: {}", view.peers_done, view.peers, counted(view, false))
}

fn counted(view: &RestoreView, dry_run: bool) -> String {
    let RestoreView { records, files, .. } = view;
    if dry_run {
        return format!("{records} records; {files} versions of files would be brought back");
    }
    format!("{records} records, {files} versions of files ({})", human_bytes(view.fetched_bytes))
}

/// What has come of it: a line for each device, and one for each version that is not whole.
fn end_text(view: &RestoreView, dry_run: bool) -> String {
    let mut lines =
        vec![format!("{} of {} peers have told all: {}", view.peers_done, view.peers, counted(view, dry_run))];
    for incomplete in &view.incomplete {
        let name = incomplete.name.as_deref().unwrap_or("(a file whose manifest is on no peer that answered)");
        lines.push(format!("not whole on any peer that answered: {name}, version {}", incomplete.version));
    }
    let more = view.missing.saturating_sub(view.incomplete.len() as u64);
    if more > 0 {
        lines.push(format!("{more} more records could not be brought back"));
    }
    if view.unasked > 0 && !view.complete {
        lines.push(format!(
            "{} nodes of the cluster have not told all they hold: try again when they can be reached",
            view.unasked
        ));
    }
    if view.checkpoints.is_empty() {
        lines.push("no checkpoint was found, so nothing tells whether this is all that there is".to_owned());
    }
    lines.extend(view.checkpoints.iter().map(|checkpoint| checkpoint_text(checkpoint, view.missing == 0)));
    lines.join("\n")
}

fn checkpoint_text(checkpoint: &CheckpointView, nothing_failed: bool) -> String {
    let CheckpointView { device, names, names_found, .. } = checkpoint;
    let of = format!("{}, device {}", date(checkpoint.time_ms), &device.to_string()[..8]);
    match (checkpoint.covered, nothing_failed) {
        (true, true) => format!("complete as of {of}"),
        (true, false) => format!("all records are known as of {of}"),
        (false, _) if names_found < names => {
            format!("NOT complete as of {of}: {} of its {names} names are missing", names - names_found)
        }
        (false, _) => format!("NOT complete as of {of}: some of its {names} names are here in other versions only"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> RestoreView {
        let device = "13426b1100000000000000000000000000000000000000000000000000000000".parse().unwrap();
        let checkpoint =
            CheckpointView { device, sequence: 3, time_ms: 1_795_334_400_000, names: 8, names_found: 8, covered: true };
        RestoreView {
            done: true,
            complete: true,
            peers: 2,
            peers_done: 2,
            unasked: 0,
            records: 9,
            files: 7,
            fetched_bytes: 0,
            missing: 0,
            incomplete: Vec::new(),
            checkpoints: vec![checkpoint],
        }
    }

    #[test]
    fn the_end_says_complete_only_with_a_covered_checkpoint_and_nothing_missing() {
        assert!(end_text(&view(), false).contains("complete as of Sun, 22 Nov 2026 08:00:00 GMT, device 13426b11"));
        let mut missing = view();
        missing.checkpoints[0].covered = false;
        missing.checkpoints[0].names_found = 6;
        assert!(
            end_text(&missing, false)
                .contains("NOT complete as of Sun, 22 Nov 2026 08:00:00 GMT, device 13426b11: 2 of its 8")
        );
        missing.checkpoints.clear();
        assert!(end_text(&missing, false).contains("no checkpoint was found"));
        let mut broken = view();
        broken.missing = 1;
        assert!(end_text(&broken, false).contains("all records are known as of"));
        assert!(end_text(&broken, false).contains("1 more records"));
    }
}
