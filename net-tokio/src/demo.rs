//! `forever demo`: three real nodes as child processes of this very program, each with its own data folder, talking TCP
//! over loopback. The third stores, evicts, gets back, survives the death of a peer, deletes, and is lost and restored.

mod content;
mod node;
mod scenario;
mod size;

use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::cli::{CliError, Exit, Report, human_bytes, human_rate, mib_per_s};

use scenario::Scenario;

/// What the demo takes.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// Size of the large file, like 64MiB or 4GiB
    #[arg(long, default_value = "256MiB", value_parser = size::parse)]
    size: u64,
}

/// A step, as `--json` prints it.
#[derive(Serialize)]
struct Step<'a> {
    step: &'a str,
    ok: bool,
    seconds: f64,
    bytes: u64,
    mib_per_s: Option<f64>,
}

/// The end, as `--json` prints it.
#[derive(Serialize)]
struct Summary {
    summary: &'static str,
    ok: bool,
    steps: usize,
    seconds: f64,
    size: u64,
    peak_rss: Vec<PeakRss>,
}

/// The most memory that a node ever held.
#[derive(Clone, Debug, Serialize)]
struct PeakRss {
    node: String,
    bytes: u64,
}

/// Runs all steps; the first that fails ends it.
pub(crate) async fn run(args: DemoArgs, report: &Report) -> Result<Exit, CliError> {
    let folder = tempfile::Builder::new()
        .prefix("forever-demo-")
        .tempdir()
        .map_err(|error| CliError::io("make a folder in", &std::env::temp_dir(), error))?;
    report.text(&format!(
        "three nodes in {}, 20 pictures and one file of {}\n",
        folder.path().display(),
        human_bytes(args.size)
    ));
    let mut log = Log::new(*report);
    let played = Scenario::new(folder.path(), args.size).play(&mut log).await;
    match played {
        Ok(peak_rss) => {
            log.summary(args.size, peak_rss);
            Ok(Exit::Done)
        }
        Err(error) => {
            log.failed();
            print_logs(folder.path());
            Err(error)
        }
    }
}

/// Times the steps and prints each as it ends.
struct Log {
    report: Report,
    start: Instant,
    steps: usize,
    current: Option<(String, Instant)>,
}

impl Log {
    fn new(report: Report) -> Self {
        Self { report, start: Instant::now(), steps: 0, current: None }
    }

    fn begin(&mut self, step: impl Into<String>) {
        self.current = Some((step.into(), Instant::now()));
    }

    /// Ends the step that was begun; `bytes` of content went through it.
    fn end(&mut self, bytes: u64) {
        self.print(true, bytes);
        self.steps += 1;
    }

    fn failed(&mut self) {
        self.print(false, 0);
    }

    fn print(&mut self, ok: bool, bytes: u64) {
        let Some((name, start)) = self.current.take() else {
            return;
        };
        let took = start.elapsed();
        let step = Step {
            step: &name,
            ok,
            seconds: took.as_secs_f64(),
            bytes,
            mib_per_s: (bytes > 0).then(|| mib_per_s(bytes, took)),
        };
        self.report.result(&step, || step_text(&name, ok, took, bytes));
    }

    fn summary(&self, size: u64, peak_rss: Vec<PeakRss>) {
        let took = self.start.elapsed();
        let summary =
            Summary { summary: "all held", ok: true, steps: self.steps, seconds: took.as_secs_f64(), size, peak_rss };
        self.report.result(&summary, || {
            let memory: Vec<String> =
                summary.peak_rss.iter().map(|peak| format!("{} {}", peak.node, human_bytes(peak.bytes))).collect();
            format!(
                "\nall {} steps held, in {:.1} s; peak memory: {}",
                summary.steps,
                took.as_secs_f64(),
                memory.join(", ")
            )
        });
    }
}

fn step_text(name: &str, ok: bool, took: Duration, bytes: u64) -> String {
    let verdict = if ok { "ok    " } else { "FAILED" };
    let rate = if bytes > 0 { human_rate(bytes, took) } else { String::new() };
    format!("{verdict}  {name:<64} {:>8.3} s  {rate}", took.as_secs_f64())
}

/// Shows the ends of the nodes' logs, which go with the folder.
fn print_logs(folder: &Path) {
    const LINES: usize = 15;
    let Ok(entries) = folder.read_dir() else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.extension().is_none_or(|extension| extension != "log") {
            continue;
        }
        let log = std::fs::read_to_string(&path).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        eprintln!("--- the end of {}", path.display());
        for line in &lines[lines.len().saturating_sub(LINES)..] {
            eprintln!("{line}");
        }
    }
}
