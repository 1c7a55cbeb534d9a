//! Replaying a recording.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;

use super::read::{Owned, Parts, decode, decode_entry};
use super::{Done, FORMAT, Header, Stimulus, digest};
use crate::ids::NodeId;
use crate::node::Node;
use crate::secrets::OwnerKeys;
use crate::time::Time;

/// Characters of an input or output that a report shows.
const TEXT_LEN_MAX: usize = 400;

/// A replay that went as the recording says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which node was recorded.
    pub node: NodeId,
    /// When it was started.
    pub start: Time,
    /// When it was told something last.
    pub end: Time,
    /// How often it was told something.
    pub entries: u64,
    /// How many outputs were compared.
    pub outputs: u64,
    /// How many bytes at the recording's end were not replayed, because they are only a part of an entry.
    pub left_bytes: u64,
}

/// The first difference between a recording and a replay.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {entry}, at {at_us} µs: {difference}; the node was told: {told}")]
pub struct Divergence {
    /// At which entry, from 0.
    pub entry: u64,
    /// When, in microseconds of the node's monotonic clock.
    pub at_us: u64,
    /// What the node was told.
    pub told: String,
    /// How it did otherwise.
    pub difference: String,
}

/// Why a recording was not replayed to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// It ends before the node was told anything.
    #[error(
        "the recording ends before its node was told anything, so there is nothing to compare: let the node run longer"
    )]
    Empty,
    /// Some other file.
    #[error("this is not a recording: `forever node --record FILE` makes one")]
    NotARecording,
    /// A recording of another format.
    #[error(
        "the recording has format {found}, and this build reads format {FORMAT}: replay it with the build that made it"
    )]
    Format {
        /// Its format.
        found: u16,
    },
    /// A part that cannot be decoded.
    #[error("the recording is damaged at byte {at}: replay it with the build that made it, or make another")]
    Damaged {
        /// Where that part starts.
        at: u64,
    },
    /// The fresh node did otherwise.
    #[error("the replay diverges at {0}")]
    Diverged(Box<Divergence>),
}

/// Gives a fresh node all that the recorded one was told, and compares what it does.
///
/// # Errors
/// [`ReplayError`].
pub fn replay(recording: &[u8]) -> Result<Report, ReplayError> {
    let mut replay = Replay::open(recording)?;
    while replay.step()? {}
    replay.finish()
}

/// A replay, entry by entry.
pub struct Replay<'a> {
    parts: Parts<'a>,
    node: Node,
    report: Report,
}

impl<'a> Replay<'a> {
    /// A fresh node, started as the recorded one was.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub fn open(recording: &'a [u8]) -> Result<Self, ReplayError> {
        let mut parts = Parts::open(recording)?;
        let (at, part) = parts.next()?.ok_or(ReplayError::Empty)?;
        let (header, _): (Header, usize) = decode(part).ok_or(ReplayError::Damaged { at })?;
        let keys = OwnerKeys::derive(&header.owner).with_key_hash(header.key_hash);
        let node = Node::new(header.config, header.node, keys, header.seed, header.start);
        let report = Report {
            node: header.node,
            start: header.start,
            end: header.start,
            entries: 0,
            outputs: 0,
            left_bytes: parts.left_bytes(),
        };
        Ok(Self { parts, node, report })
    }

    /// Replays the next entry; false if there is none.
    ///
    /// # Errors
    /// [`ReplayError`]. There is nothing more to be had from this replay then.
    pub fn step(&mut self) -> Result<bool, ReplayError> {
        let Some((at, part)) = self.parts.next()? else { return Ok(false) };
        let (told, done) = decode_entry(part).ok_or(ReplayError::Damaged { at })?;
        replay_entry(&mut self.node, told, &done, &mut self.report)?;
        self.report.entries += 1;
        self.report.outputs += done.outputs.len() as u64;
        self.report.left_bytes = self.parts.left_bytes();
        Ok(true)
    }

    /// How far it has got.
    #[must_use]
    pub const fn report(&self) -> &Report {
        &self.report
    }

    /// What came of it, after the last entry.
    ///
    /// # Errors
    /// [`ReplayError::Empty`].
    pub fn finish(self) -> Result<Report, ReplayError> {
        if self.report.entries == 0 { Err(ReplayError::Empty) } else { Ok(self.report) }
    }
}

impl core::fmt::Debug for Replay<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Replay").field("report", &self.report).finish_non_exhaustive()
    }
}

fn replay_entry(node: &mut Node, told: Owned, done: &Done, report: &mut Report) -> Result<(), ReplayError> {
    let text = told.as_ref().map_or_else(|| "to start".into(), |(_, what, _)| shortened(format!("{what:?}")));
    let mut answer = None;
    if let Some((now, what, _)) = told {
        report.end = now;
        match what {
            Stimulus::Input(input) => node.handle_input(now, input),
            Stimulus::Command(command) => answer = Some(node.handle_command(now, command)),
            Stimulus::Timeout => node.handle_timeout(now),
        }
    }
    let (entry, at_us) = (report.entries, report.end.mono.0);
    let diverged =
        |difference| ReplayError::Diverged(Box::new(Divergence { entry, at_us, told: text.clone(), difference }));
    if answer != done.answer {
        return Err(diverged(format!("it answered {answer:?} where the recording has {:?}", done.answer)));
    }
    for (number, expected) in done.outputs.iter().enumerate() {
        match node.poll_output() {
            Some(output) if digest(&output) == *expected => {}
            Some(output) => {
                let output = shortened(format!("{output:?}"));
                return Err(diverged(format!("its output {number} is another than recorded: {output}")));
            }
            None => return Err(diverged(format!("it lacks output {number} of {}", done.outputs.len()))),
        }
    }
    match done.idle.then(|| node.poll_output()).flatten() {
        Some(output) => Err(diverged(format!("it has one output more: {}", shortened(format!("{output:?}"))))),
        None => Ok(()),
    }
}

fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(TEXT_LEN_MAX) {
        text.truncate(end);
        text.push('…');
    }
    text
}
