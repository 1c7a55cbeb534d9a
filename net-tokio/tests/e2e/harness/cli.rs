//! The `forever` program as a child process.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read as _, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;

use super::SOON;

/// The program, with nobody else's settings in its environment.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_forever"));
    for (key, _) in std::env::vars_os() {
        if key.to_string_lossy().starts_with("FOREVER_") {
            command.env_remove(key);
        }
    }
    command
}

/// Starts a command whose output is caught.
pub(crate) fn spawn(mut command: Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Runs a command without input to its end.
#[track_caller]
pub(crate) fn finish(command: Command) -> Finished {
    Finished::of(spawn(command), b"")
}

/// A command of the program on a data folder, with `--json`.
pub(crate) fn command_on<S: AsRef<OsStr>>(data: &Path, args: &[S]) -> Command {
    let mut command = command();
    command.arg("--json").arg("--data").arg(data).args(args);
    command
}

/// Runs a command of the program on a data folder, with `--json`, to its end.
#[track_caller]
pub(crate) fn run<S: AsRef<OsStr>>(data: &Path, args: &[S], stdin: &[u8]) -> Finished {
    Finished::of(spawn(command_on(data, args)), stdin)
}

/// Runs a command with a terminal for its output: how it ends, and all that the terminal shows.
pub(crate) fn on_a_terminal(data: &Path, args: &[&str]) -> (Option<i32>, String) {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let name = ptsname(&controller, Vec::new()).unwrap();
    let terminal = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    let mut forever = command();
    forever.arg("--data").arg(data).args(args).stderr(terminal.try_clone().unwrap()).stdout(terminal);
    let mut child = forever.spawn().unwrap();
    // The test's own handles of the terminal, or the terminal would never end.
    drop(forever);
    let mut shown = Vec::new();
    // A terminal that everybody has closed ends in an error.
    let _ = File::from(controller).read_to_end(&mut shown);
    (child.wait().unwrap().code(), String::from_utf8(shown).unwrap())
}

pub(crate) fn signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    kill_process(pid.unwrap(), signal).unwrap();
}

/// A process that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    /// `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Finished {
    /// Feeds a process and waits for its end; one that does not end is killed and fails the test.
    #[track_caller]
    pub(crate) fn of(mut child: Child, stdin: &[u8]) -> Self {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).unwrap();
        let mut pipe = child.stdin.take().unwrap();
        let bytes = stdin.to_vec();
        // A process that refuses its input closes the pipe, which is its right.
        thread::spawn(move || drop(pipe.write_all(&bytes)));
        let (sender, ended) = mpsc::channel();
        thread::spawn(move || drop(sender.send(child.wait_with_output())));
        let Ok(output) = ended.recv_timeout(SOON) else {
            kill_process(pid, Signal::KILL).unwrap();
            panic!("the process did not end; before it was killed it said: {:?}", ended.recv());
        };
        let output = output.unwrap();
        Self { code: output.status.code(), stdout: output.stdout, stderr: String::from_utf8(output.stderr).unwrap() }
    }

    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", String::from_utf8_lossy(&self.stdout), self.stderr);
        self
    }

    /// The JSON objects it printed.
    #[track_caller]
    pub(crate) fn lines(&self) -> Vec<Value> {
        let lines = self.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
    }

    /// The one JSON object it printed, after a success.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        let finished = self.exits(0);
        let [line] = finished.lines().try_into().unwrap();
        line
    }

    /// Asserts how it failed: the exit code, the error's word for programs, and what its sentence for people holds.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, error: &str, told: &[&str]) {
        let finished = self.exits(code);
        let lines = finished.lines();
        let last = lines.last().unwrap();
        assert_eq!(last["error"], error, "{last}");
        let message = last["message"].as_str().unwrap();
        for part in told {
            assert!(message.contains(part), "no `{part}` in: {message}");
        }
    }
}
