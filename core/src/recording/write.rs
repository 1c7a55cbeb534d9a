//! Writing a recording.

use alloc::vec::Vec;

use super::{Answer, Done, FORMAT, Header, MAGIC, PART_LEN_MAX, Stimulus, Told, digest, encode, payload_of};
use crate::bulk::Bulk;
use crate::command::Command;
use crate::input::Input;
use crate::output::Output;
use crate::time::Time;

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
