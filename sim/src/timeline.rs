//! A run as a picture: one self-contained HTML page with a space-time diagram, for whoever has to understand a failure, and
//! has perhaps never seen the project before.
//!
//! A [`Timeline`] is data and knows no system; [`Timeline::page`] draws it.

mod draw;
mod html;
mod layout;
mod scale;

pub(crate) use html::escape;

use crate::system::Violation;

/// The most arrows that are drawn. Where there are many, messages of one kind that follow each other become one arrow; if that
/// is not enough, the earlier ones are left out and the page says so.
pub const ARROWS_MAX: usize = 1500;

/// What happened in a run, as far as it can be drawn. Times are microseconds since the start; lanes are numbered from 0.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// What the page is called.
    pub title: String,
    /// What runs, for someone who has never heard of it: two sentences.
    pub about: String,
    /// The nodes' names.
    pub lanes: Vec<String>,
    /// What callers did.
    pub bars: Vec<Bar>,
    /// What went wrong.
    pub spans: Vec<Span>,
    /// When nodes were down.
    pub outages: Vec<Outage>,
    /// What nodes sent each other, in the order of sending.
    pub messages: Vec<Message>,
    /// What else happened to nodes.
    pub marks: Vec<Mark>,
    /// What nodes hold durably, each time that it was seen to have changed; in the order of time.
    pub stocks: Vec<Stock>,
    /// When the plan was over and the system was healed, if it came to that.
    pub healed_us: Option<u64>,
    /// When the run ended.
    pub end_us: u64,
    /// The broken rule.
    pub violation: Option<Violation>,
    /// The run in words.
    pub story: String,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As its caller wished.
    Well,
    /// Otherwise.
    Badly,
    /// It had not ended when the run did.
    Open,
}

/// An operation.
#[derive(Clone, Debug)]
pub struct Bar {
    /// At which node.
    pub lane: usize,
    /// When it began.
    pub from_us: u64,
    /// When it ended.
    pub until_us: Option<u64>,
    /// One or two words.
    pub label: String,
    /// All of it.
    pub detail: String,
    /// How it ended.
    pub ending: Ending,
}

/// A fault.
#[derive(Clone, Debug)]
pub struct Span {
    /// Which nodes it hits; all if empty.
    pub lanes: Vec<usize>,
    /// When it began.
    pub from_us: u64,
    /// When it ended.
    pub until_us: u64,
    /// One or two words.
    pub label: String,
    /// All of it.
    pub detail: String,
}

/// A time in which a node was down.
#[derive(Clone, Debug)]
pub struct Outage {
    /// Which node.
    pub lane: usize,
    /// From when.
    pub from_us: u64,
    /// Until when; the end of the run if `None`.
    pub until_us: Option<u64>,
}

/// A message.
#[derive(Clone, Debug)]
pub struct Message {
    /// From which node.
    pub from: usize,
    /// To which.
    pub to: usize,
    /// When it was sent.
    pub sent_us: u64,
    /// When it arrived, if that is known.
    pub arrived_us: Option<u64>,
    /// What kinds are drawn in one colour.
    pub family: &'static str,
    /// One or two words.
    pub kind: String,
    /// All of it.
    pub detail: String,
    /// How many bytes.
    pub bytes: u64,
}

/// What a mark is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkKind {
    /// Stored bytes were destroyed.
    Loss,
    /// A fault took effect.
    Bite,
    /// An interesting state was reached.
    Probe,
}

/// Something that happened at once.
#[derive(Clone, Debug)]
pub struct Mark {
    /// To which node; to nobody in particular if `None`.
    pub lane: Option<usize>,
    /// When.
    pub at_us: u64,
    /// What it is.
    pub kind: MarkKind,
    /// All of it.
    pub detail: String,
}

/// What a node holds durably, until the next one of its lane.
#[derive(Clone, Debug)]
pub struct Stock {
    /// Which node.
    pub lane: usize,
    /// Since when; it may have changed a little earlier.
    pub at_us: u64,
    /// Things that are intact.
    pub whole: u64,
    /// Things that are damaged.
    pub damaged: u64,
    /// How many of the intact things are new.
    pub more: u64,
    /// How many things that had been intact are gone, or damaged.
    pub less: u64,
    /// All of it.
    pub detail: String,
}

impl Stock {
    /// All things, damaged or not.
    const fn held(&self) -> u64 {
        self.whole + self.damaged
    }
}

impl Timeline {
    /// The HTML page. It needs nothing but itself.
    #[must_use]
    pub fn page(&self) -> String {
        html::page(self)
    }
}

/// Seconds, with as many digits as a reader needs.
fn seconds(at_us: u64) -> String {
    let text = format!("{}.{:06}", at_us / 1_000_000, at_us % 1_000_000);
    let digits = text.trim_end_matches('0');
    format!("{} s", digits.strip_suffix('.').unwrap_or(digits))
}

#[cfg(test)]
mod tests;
