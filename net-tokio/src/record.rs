//! Recording a node into a file, for [`forever_core::recording::replay`]. A recording holds secrets: the owner's, and the
//! plaintext of all that callers put and read.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use forever_core::command::{Command, CommandError};
use forever_core::ids::RequestId;
use forever_core::input::Input;
use forever_core::node::Node;
use forever_core::output::Output;
use forever_core::recording::{Header, Recorder};
use forever_core::time::{Monotonic, Time};

use crate::observe::Observer;

/// Bytes that are gathered before they are written.
const BUFFER_LEN: usize = 256 << 10;

/// What has been gathered for so long is written at the next occasion, so that a node that is killed leaves nearly all.
const WRITE_AFTER: Duration = Duration::from_millis(200);

/// Makes the file of a recording, which nobody else may read.
///
/// # Errors
/// When it exists, or cannot be made.
pub fn create(path: &Path) -> io::Result<File> {
    File::options().write(true).create_new(true).mode(0o600).open(path)
}

/// Records what it observes. It writes on the driver's own thread: a recorded node is there to be looked into, not to be fast.
#[derive(Debug)]
pub struct FileRecorder {
    recorder: Recorder,
    /// Nothing once it could not be written.
    file: Option<File>,
    now: Monotonic,
    written_at: Monotonic,
}

impl FileRecorder {
    /// A recorder of a node that is started like this.
    #[must_use]
    pub fn new(file: File, header: &Header) -> Self {
        let now = header.start.mono;
        Self { recorder: Recorder::new(header), file: Some(file), now, written_at: now }
    }

    fn write_if_due(&mut self) {
        if self.recorder.ready_bytes() >= BUFFER_LEN || self.now - self.written_at >= WRITE_AFTER {
            self.write();
        }
    }

    fn write(&mut self) {
        self.written_at = self.now;
        let bytes = self.recorder.take();
        if let Some(file) = &mut self.file
            && let Err(error) = file.write_all(&bytes)
        {
            tracing::error!(%error, "the recording cannot be written and ends here");
            self.file = None;
        }
    }
}

impl Observer for FileRecorder {
    fn input(&mut self, now: Time, input: &Input) {
        self.now = now.mono;
        self.recorder.input(now, input);
    }

    fn command(&mut self, now: Time, command: &Command) {
        self.now = now.mono;
        self.recorder.command(now, command);
    }

    fn answer(&mut self, answer: &Result<RequestId, CommandError>) {
        self.recorder.answer(answer);
    }

    fn timeout(&mut self, now: Time) {
        self.now = now.mono;
        self.recorder.timeout(now);
    }

    fn output(&mut self, output: &mut Output) {
        self.recorder.output(output);
    }

    fn idle(&mut self, _: &mut Node) {
        self.recorder.idle();
        self.write_if_due();
    }
}

impl Drop for FileRecorder {
    fn drop(&mut self) {
        self.write();
    }
}
