//! Recordings: all that a node was told, and what it did about it, so that a run can be had again.
//!
//! A node is a pure function of its start and its inputs. A [`Recorder`] writes both down while the node runs; [`replay`]
//! gives them to a fresh node and compares what that does, byte for byte. A recording holds secrets: the owner's, and the
//! plaintext of all that was put and read.
//!
//! ```text
//! recording = magic ‖ part (the header) ‖ part (an entry) ...
//! magic     = "FSREC" ‖ 00 ‖ format, u16 BE
//! part      = length, u32 LE ‖ bincode
//! ```
//!
//! An entry is what the node was told and when, then a digest of each of its outputs. A recording may end within an entry,
//! as that of a node that was killed does: the rest counts.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::bulk::Bulk;
use crate::command::{Command, CommandError};
use crate::config::Config;
use crate::frame::Frame;
use crate::ids::{NodeId, RequestId};
use crate::input::Input;
use crate::key_hash::KeyHash;
use crate::node::Node;
use crate::output::Output;
use crate::secrets::{OwnerKeys, OwnerSecret};
use crate::time::Time;

/// What a recording starts with, but for its format.
pub const MAGIC: [u8; 6] = *b"FSREC\0";

/// The format that this build writes, and the only one that it reads: any change of a type below is a new one.
pub const FORMAT: u16 = 2;

/// The longest part, in bytes: a put's chunk and a page of records are far shorter.
const PART_LEN_MAX: u32 = 64 << 20;

/// Characters of an input or output that a report shows.
const TEXT_LEN_MAX: usize = 400;

/// How a node was started: the arguments of [`Node::new`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Its configuration.
    pub config: Config,
    /// Its id.
    pub node: NodeId,
    /// Its owner's secret.
    pub owner: OwnerSecret,
    /// How the owner's names are hashed.
    pub key_hash: KeyHash,
    /// Its randomness.
    pub seed: [u8; 32],
    /// When it was started.
    pub start: Time,
}

/// What a node is told, besides the time.
#[derive(Debug, Serialize, Deserialize)]
enum Stimulus<I, C> {
    Input(I),
    Command(C),
    Timeout,
}

/// What a node is told: when, what, and the payload if that is a frame with one, since a frame's encoding lacks it.
type Told<I, C, B> = (Time, Stimulus<I, C>, Option<B>);

/// What a node answered to a command.
type Answer = Result<RequestId, CommandError>;

/// BLAKE3 of an output, shortened: no adversary makes recordings of his own node.
type Digest = [u8; 16];

/// What a node did: its answer to a command, its outputs in order, and whether it had no more of them. It may have more
/// when the driver told it the next thing in between.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Done {
    answer: Option<Answer>,
    outputs: Vec<Digest>,
    idle: bool,
}

/// Writes a recording. It does no IO: [`Recorder::take`] what is complete now and then.
pub struct Recorder {
    complete: Vec<u8>,
    /// What the node has been told last, encoded, and what it has done about it so far.
    told: Option<(Vec<u8>, Done)>,
}

impl Recorder {
    /// A recorder of a node that was started like this.
    #[must_use]
    pub fn new(header: &Header) -> Self {
        let mut complete = Vec::from(MAGIC);
        complete.extend_from_slice(&FORMAT.to_be_bytes());
        push_part(&mut complete, &encode(header));
        Self { complete, told: None }
    }

    /// The node is given an input.
    pub fn input(&mut self, now: Time, input: &Input) {
        let told: Told<&Input, (), &Bulk> = (now, Stimulus::Input(input), payload_in(input));
        self.begin(encode(&told));
    }

    /// The node is given a command.
    pub fn command(&mut self, now: Time, command: &Command) {
        let told: Told<(), &Command, ()> = (now, Stimulus::Command(command), None);
        self.begin(encode(&told));
    }

    /// The node is told that deadlines may be due.
    pub fn timeout(&mut self, now: Time) {
        let told: Told<(), (), ()> = (now, Stimulus::Timeout, None);
        self.begin(encode(&told));
    }

    /// The node answered the last command.
    pub fn answer(&mut self, answer: &Answer) {
        if let Some((_, done)) = &mut self.told {
            done.answer = Some(answer.clone());
        }
    }

    /// The node wants something done.
    pub fn output(&mut self, output: &Output) {
        // Those of the start come before the node has been told anything.
        let (_, done) = self.told.get_or_insert_with(Default::default);
        done.outputs.push(digest(output));
    }

    /// The node wants nothing more done for now.
    pub fn idle(&mut self) {
        if let Some((_, done)) = &mut self.told {
            done.idle = true;
        }
        self.end();
    }

    /// How many bytes are there to be taken.
    #[must_use]
    pub fn ready_bytes(&self) -> usize {
        self.complete.len()
    }

    /// Takes what is complete: appended to what was taken before, it is a recording.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.complete)
    }

    fn begin(&mut self, told: Vec<u8>) {
        self.end();
        self.told = Some((told, Done::default()));
    }

    fn end(&mut self) {
        if let Some((mut entry, done)) = self.told.take() {
            if entry.is_empty() {
                let start: Option<Told<(), (), ()>> = None;
                entry = encode(&start);
            } else {
                entry.insert(0, 1);
            }
            entry.extend_from_slice(&encode(&done));
            push_part(&mut self.complete, &entry);
        }
    }
}

impl core::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Recorder({} B, ***)", self.complete.len())
    }
}

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
    /// Whether the recording ends within an entry.
    pub truncated: bool,
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
    let mut parts = Parts::open(recording)?;
    let at = parts.at;
    let part = parts.next().ok_or(ReplayError::NotARecording)?;
    let (header, _): (Header, usize) = decode(part).ok_or(ReplayError::Damaged { at: at as u64 })?;
    let keys = OwnerKeys::derive(&header.owner).with_key_hash(header.key_hash);
    let mut node = Node::new(header.config, header.node, keys, header.seed, header.start);
    let mut report =
        Report { node: header.node, start: header.start, end: header.start, entries: 0, outputs: 0, truncated: false };
    loop {
        let at = parts.at;
        let Some(part) = parts.next() else { break };
        let (told, done) = decode_entry(part).ok_or(ReplayError::Damaged { at: at as u64 })?;
        replay_entry(&mut node, told, &done, &mut report)?;
        report.entries += 1;
        report.outputs += done.outputs.len() as u64;
    }
    report.truncated = parts.at < recording.len();
    Ok(report)
}

/// What an owned entry says the node was told; nothing for the outputs of its start.
type Owned = Option<Told<Input, Command, Bulk>>;

fn decode_entry(part: &[u8]) -> Option<(Owned, Done)> {
    // The placeholders of the other variants have no bytes, so an entry decodes whichever it is.
    let (mut told, used): (Owned, usize) = decode(part)?;
    if let Some((_, Stimulus::Input(Input::Frame { frame: Frame::Data { payload, .. }, .. }), bytes)) = &mut told {
        *payload = bytes.take()?;
    }
    let (done, rest): (Done, usize) = decode(&part[used..])?;
    (used + rest == part.len()).then_some((told, done))
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

/// The parts of a recording, up to the last whole one.
struct Parts<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Parts<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self, ReplayError> {
        let (format, _) = bytes
            .strip_prefix(&MAGIC)
            .and_then(|rest| rest.split_first_chunk::<2>())
            .ok_or(ReplayError::NotARecording)?;
        match u16::from_be_bytes(*format) {
            FORMAT => Ok(Self { bytes, at: MAGIC.len() + format.len() }),
            found => Err(ReplayError::Format { found }),
        }
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (len, rest) = self.bytes.get(self.at..)?.split_first_chunk::<4>()?;
        let part = rest.get(..usize::try_from(u32::from_le_bytes(*len)).ok()?)?;
        self.at += len.len() + part.len();
        Some(part)
    }
}

fn push_part(out: &mut Vec<u8>, part: &[u8]) {
    let len = u32::try_from(part.len()).ok().filter(|len| *len <= PART_LEN_MAX);
    out.extend_from_slice(&len.expect("what a node is told at once is far below the limit").to_le_bytes());
    out.extend_from_slice(part);
}

fn payload_in(input: &Input) -> Option<&Bulk> {
    match input {
        Input::Frame { frame, .. } => payload_of(frame),
        Input::Connected { .. }
        | Input::DialFailed { .. }
        | Input::Sent { .. }
        | Input::Closed { .. }
        | Input::DiskDone { .. }
        | Input::WorkDone { .. } => None,
    }
}

fn payload_of(frame: &Frame) -> Option<&Bulk> {
    if let Frame::Data { payload, .. } = frame { Some(payload) } else { None }
}

fn digest(output: &Output) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&encode(output));
    if let Output::Send { frame, .. } = output
        && let Some(payload) = payload_of(frame)
    {
        for part in payload.parts() {
            hasher.update(part);
        }
    }
    let mut digest = Digest::default();
    digest.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    digest
}

fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(TEXT_LEN_MAX) {
        text.truncate(end);
        text.push('…');
    }
    text
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    bincode::serde::encode_to_vec(value, bincode::config::standard())
        .expect("inputs, commands and outputs hold only types that bincode can encode")
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<(T, usize)> {
    let config = bincode::config::standard().with_limit::<{ PART_LEN_MAX as usize }>();
    bincode::serde::decode_from_slice(bytes, config).ok()
}
