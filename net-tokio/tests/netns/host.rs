//! A host of the network: its data folder, its node's process, and the command line run beside it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::lan::Lan;

/// How long something that must happen may take, on the slowest of machines.
const SOON: Duration = Duration::from_secs(120);

const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Looks at a fact of other processes until it holds. They cannot wake this one, so this polls.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < SOON, "waited in vain for {what}");
        thread::sleep(LOOK_AGAIN);
    }
}

/// A host. Its node is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Host {
    namespace: String,
    pub(crate) ip: String,
    pub(crate) data: PathBuf,
    pub(crate) phrase: String,
    /// Settings of its node, by their environment variables.
    pub(crate) settings: Vec<(String, String)>,
    node: Option<Child>,
    folder: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Ended {
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}{}", String::from_utf8_lossy(&self.stdout), self.stderr);
        self
    }
}

impl Host {
    /// Makes the node's data folder; with a phrase, for that owner.
    pub(crate) fn init(lan: &Lan, number: usize, cluster_key: Option<&Path>, phrase: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut host = Self {
            namespace: lan.namespace(number),
            ip: Lan::ip(number),
            data: folder.path().join("data"),
            phrase: String::new(),
            settings: Vec::new(),
            node: None,
            folder,
        };
        let mut args = vec![OsStr::new("init")];
        if let Some(key) = cluster_key {
            args.extend([OsStr::new("--cluster-key"), key.as_os_str()]);
        }
        if phrase.is_some() {
            args.push(OsStr::new("--recover"));
        }
        let made = host.run_with(&args, phrase.unwrap_or_default().as_bytes()).exits(0);
        let made: Value = serde_json::from_slice(&made.stdout).unwrap();
        host.phrase = made["phrase"].as_str().unwrap_or_default().to_owned();
        host
    }

    /// The program on this host.
    fn command(&self) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace, env!("CARGO_BIN_EXE_forever"), "--data"]).arg(&self.data);
        command
    }

    /// Starts its node, told of one other at most, and waits until it serves.
    #[track_caller]
    pub(crate) fn start(&mut self, peer: Option<&Self>) {
        let log = File::options().create(true).append(true).open(self.log()).unwrap();
        let mut command = self.command();
        command.args(["node", "--api", "127.0.0.1:7001", "--listen", &format!("{}:7000", self.ip)]);
        if let Some(peer) = peer {
            command.args(["--peer", &format!("{}:7000", peer.ip)]);
        }
        command.envs(self.settings.clone()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut node = command.spawn().unwrap();
        let ready = BufReader::new(node.stdout.take().unwrap()).lines().next();
        assert!(
            ready.is_some_and(|line| line.unwrap().starts_with("ready ")),
            "{:?}",
            std::fs::read_to_string(self.log())
        );
        self.node = Some(node);
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Ends the node at once.
    pub(crate) fn kill(&mut self) {
        if let Some(mut node) = self.node.take() {
            let _ = node.kill();
            let _ = node.wait();
        }
    }

    /// Ends the node at once and for good, and destroys all it had.
    pub(crate) fn lose_the_disk(&mut self) {
        self.kill();
        std::fs::remove_dir_all(&self.data).unwrap();
    }

    /// Runs a command of the program beside the node.
    #[track_caller]
    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        self.run_with(args, b"")
    }

    /// The same with input.
    #[track_caller]
    pub(crate) fn run_with<S: AsRef<OsStr>>(&self, args: &[S], stdin: &[u8]) -> Ended {
        let mut command = self.command();
        command.arg("--json").args(args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        let bytes = stdin.to_vec();
        // A process that refuses its input closes the pipe, which is its right.
        let writer = thread::spawn(move || drop(pipe.write_all(&bytes)));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Ended { code: output.status.code(), stdout: output.stdout, stderr }
    }

    /// The objects that a command prints, after a success.
    #[track_caller]
    pub(crate) fn lines(&self, args: &[&str]) -> Vec<Value> {
        let ended = self.run(args).exits(0);
        let lines = ended.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
    }

    /// Puts bytes under a name.
    #[track_caller]
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        self.run_with(&["put", "-", "--as", name], bytes).exits(0);
    }

    /// The bytes of a name.
    #[track_caller]
    pub(crate) fn get(&self, name: &str) -> Vec<u8> {
        let (code, bytes) = self.try_get(name);
        assert_eq!(code, Some(0), "{name}");
        bytes
    }

    /// How a get of a name ends, and what it gives.
    pub(crate) fn try_get(&self, name: &str) -> (Option<i32>, Vec<u8>) {
        let ended = self.command().args(["get", name, "-o", "-"]).output().unwrap();
        (ended.status.code(), ended.stdout)
    }

    /// What `status` says.
    #[track_caller]
    pub(crate) fn status(&self) -> Value {
        self.lines(&["status"]).remove(0)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            let log = std::fs::read_to_string(self.log()).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!(
                "--- the end of the log of {}:\n{}",
                self.namespace,
                lines[lines.len().saturating_sub(20)..].join("\n")
            );
        }
    }
}
