//! What commands print: text for people, or one JSON object a line.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use forever_net_tokio::api::view::ErrorBody;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::CliError;

/// Where a command's results go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    json: bool,
    silent: bool,
}

impl Report {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, silent: false }
    }

    /// Prints no results: for a command that is a step of another.
    pub(crate) fn silent() -> Self {
        Self { json: false, silent: true }
    }

    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// One result.
    pub(crate) fn result<T: Serialize>(self, result: &T, text: impl FnOnce() -> String) {
        if self.json {
            self.line(&serde_json::to_string(result).expect("results are plain data"));
        } else {
            self.line(&text());
        }
    }

    /// A line for people only.
    pub(crate) fn text(self, text: &str) {
        if !self.json {
            self.line(text);
        }
    }

    fn line(self, line: &str) {
        if self.silent {
            return;
        }
        let mut out = io::stdout().lock();
        // A reader that has gone away, like `head`, has seen enough.
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }

    /// Something that does not change the outcome.
    pub(crate) fn note(self, note: &str) {
        eprintln!("note: {note}");
    }

    /// An error: text on stderr or, with `--json`, an object on stdout.
    pub(crate) fn error(self, error: &CliError) {
        if self.json {
            let body = ErrorBody { error: error.code().to_owned(), message: error.to_string() };
            self.line(&serde_json::to_string(&body).expect("two texts are always JSON"));
        } else {
            eprintln!("forever: {error}");
        }
    }

    /// A bar of bytes on stderr, if that is a terminal.
    pub(crate) fn bar(self, name: &str, bytes: Option<u64>) -> ProgressBar {
        let template = if bytes.is_some() {
            "{msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}"
        } else {
            "{msg} {spinner} {binary_bytes} {binary_bytes_per_sec}"
        };
        bar_of(template, name, bytes)
    }

    /// A bar of things on stderr, if that is a terminal.
    pub(crate) fn counter(self, name: &str, things: Option<u64>) -> ProgressBar {
        let template =
            if things.is_some() { "{msg} {wide_bar} {pos}/{len} {eta}" } else { "{msg} {spinner} {pos} {per_sec}" };
        bar_of(template, name, things)
    }
}

fn bar_of(template: &str, name: &str, len: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::with_draw_target(len, ProgressDrawTarget::hidden());
    }
    let style = ProgressStyle::with_template(template).expect("the template is well formed");
    ProgressBar::with_draw_target(len, ProgressDrawTarget::stderr()).with_style(style).with_message(name.to_owned())
}

/// Bytes as people read them.
pub(crate) fn human_bytes(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// Throughput in MiB/s.
pub(crate) fn human_rate(bytes: u64, time: Duration) -> String {
    format!("{:.0} MiB/s", mib_per_s(bytes, time))
}

/// Throughput in MiB/s.
pub(crate) fn mib_per_s(bytes: u64, time: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "for people: 52 bits are plenty")]
    let mib = bytes as f64 / f64::from(1 << 20);
    mib / time.as_secs_f64().max(1e-9)
}
