//! `forever scrub`: has a running node read and check all that it holds, at once.

use std::path::Path;

use forever_net_tokio::api::view::ScrubView;

use super::{CliError, Client, Exit, Report, human_bytes};

/// Runs a scrub to its end. Exits with "integrity" when something is damaged that no peer could give back so far.
pub(crate) async fn run(data: &Path, restart: bool, report: &Report) -> Result<Exit, CliError> {
    let path = if restart { "/v1/scrub?restart=true" } else { "/v1/scrub" };
    let bar = report.bar("blobs", Some(0));
    let show = |view: &ScrubView| {
        if report.is_json() {
            report.result(view, String::new);
        }
        bar.set_length(view.bytes_total.max(view.bytes));
        bar.set_position(view.bytes);
    };
    let end = Client::open(data)?.steps(path, show, |view| view.done).await;
    bar.finish_and_clear();
    let end = end?;
    report.text(&text(&end));
    Ok(match (end.unmended, end.unreadable) {
        (0, 0) => Exit::Done,
        (0, _) => Exit::Failed,
        (_, _) => Exit::Integrity,
    })
}

fn text(view: &ScrubView) -> String {
    let ScrubView { records, pages, blobs, .. } = view;
    let resumed = if view.resumed { ", going on where the last one ended" } else { "" };
    let mut lines = vec![
        format!("read      {blobs} blobs ({}){resumed}", human_bytes(view.bytes)),
        format!("verified  {records} records, {pages} manifest pages"),
    ];
    let found = [
        (view.damaged, "damaged blobs"),
        (view.damaged_records, "damaged records"),
        (view.incomplete, "records that lacked something"),
        (view.unreadable, "blobs that the disk failed to read"),
    ];
    let found: Vec<String> =
        found.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    lines.push(if found.is_empty() {
        "result    all in order".to_owned()
    } else {
        format!("found     {}", found.join(", "))
    });
    if !found.is_empty() {
        lines.push(format!("mended    {} chunks and records, brought back from peers", view.mended));
    }
    if view.unmended > 0 {
        lines.push(format!(
            "missing   {} chunks and records that no peer has given back so far; they are asked for again",
            view.unmended
        ));
    }
    lines.join("\n")
}
