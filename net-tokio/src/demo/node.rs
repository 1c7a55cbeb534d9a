//! A node of the demo: a child process.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::PeakRss;
use crate::cli::{CliError, Client};

/// How long a node may take to serve.
const START_MAX: Duration = Duration::from_secs(30);
/// How long a node may take to stop in order: what the program promises.
const STOP_MAX: Duration = Duration::from_secs(5);

/// What `init --json` prints, as far as it is needed.
#[derive(Deserialize)]
struct Made {
    phrase: Option<String>,
}

/// What `node --json` prints, as far as it is needed.
#[derive(Deserialize)]
struct Ready {
    listen: String,
}

/// A running node.
pub(super) struct DemoNode {
    pub(super) name: String,
    pub(super) data: PathBuf,
    pub(super) listen: String,
    child: Child,
}

/// Makes a data folder; with a phrase it is that owner's, else the new owner's phrase is returned.
pub(super) async fn init(
    data: &Path,
    cluster_key: Option<&Path>,
    phrase: Option<&str>,
) -> Result<Option<Zeroizing<String>>, CliError> {
    let mut command = forever(data)?;
    command.args(["--json", "init"]);
    if let Some(key) = cluster_key {
        command.arg("--cluster-key").arg(key);
    }
    if phrase.is_some() {
        command.arg("--recover");
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let run = async {
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(phrase.unwrap_or_default().as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    let output = run.await.map_err(|error| failed(&format!("cannot run `init`: {error}")))?;
    let stdout = Zeroizing::new(output.stdout);
    if !output.status.success() {
        return Err(failed(&format!("`init` failed: {}", String::from_utf8_lossy(&stdout))));
    }
    let made: Made = serde_json::from_slice(&stdout).map_err(|error| failed(&format!("`init` said: {error}")))?;
    Ok(made.phrase.map(Zeroizing::new))
}

impl DemoNode {
    /// Starts a node and waits until it serves.
    pub(super) async fn start(name: &str, data: &Path, listen: &str, peers: &[&str]) -> Result<Self, CliError> {
        let log_path = data.with_extension("log");
        let log = File::options()
            .create(true)
            .append(true)
            .open(&log_path)
            .map_err(|error| CliError::io("write", &log_path, error))?;
        let mut command = forever(data)?;
        command.args(["--json", "node", "--listen", listen, "--api", "127.0.0.1:0"]);
        for peer in peers {
            command.args(["--peer", peer]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().map_err(|error| failed(&format!("cannot start node {name}: {error}")))?;
        let ready = timeout(START_MAX, ready_line(&mut child))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|error| failed(&format!("node {name} does not serve: {error}")))?;
        Ok(Self { name: name.to_owned(), data: data.to_owned(), listen: ready.listen, child })
    }

    /// A client of it.
    pub(super) fn client(&self) -> Result<Client, CliError> {
        Client::open(&self.data)
    }

    /// Kills it, as a power cut would; returns the most memory that it ever held.
    pub(super) async fn kill(mut self) -> Result<PeakRss, CliError> {
        let peak = self.peak_rss();
        let killed = self.child.kill().await;
        killed.map_err(|error| failed(&format!("cannot kill node {}: {error}", self.name)))?;
        peak
    }

    /// Asks it to stop and checks that it does so in order and in time; returns the most memory that it ever held.
    pub(super) async fn stop(mut self) -> Result<PeakRss, CliError> {
        let peak = self.peak_rss();
        let pid = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let pid = pid.ok_or_else(|| failed(&format!("node {} has ended by itself", self.name)))?;
        kill_process(pid, Signal::TERM).map_err(|error| failed(&format!("cannot stop node {}: {error}", self.name)))?;
        match timeout(STOP_MAX, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => peak,
            Ok(Ok(status)) => Err(failed(&format!("node {} stopped with {status}", self.name))),
            Ok(Err(error)) => Err(failed(&format!("cannot wait for node {}: {error}", self.name))),
            Err(_) => Err(failed(&format!("node {} did not stop within {} s", self.name, STOP_MAX.as_secs()))),
        }
    }

    fn peak_rss(&self) -> Result<PeakRss, CliError> {
        let pid = self.child.id().ok_or_else(|| failed(&format!("node {} has ended", self.name)))?;
        let path = PathBuf::from(format!("/proc/{pid}/status"));
        let status = fs::read_to_string(&path).map_err(|error| CliError::io("read", &path, error))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        Ok(PeakRss {
            node: self.name.clone(),
            bytes: kib.ok_or_else(|| failed("the system does not tell peak memory"))? * 1024,
        })
    }
}

/// This program, as its own child, with settings of nobody else's environment.
fn forever(data: &Path) -> Result<Command, CliError> {
    let program = std::env::current_exe().map_err(|error| failed(&format!("cannot find this program: {error}")))?;
    let mut command = Command::new(program);
    for (key, _) in std::env::vars_os() {
        if key.to_string_lossy().starts_with("FOREVER_") && key != "FOREVER_LOG" {
            command.env_remove(key);
        }
    }
    command.arg("--data").arg(data).kill_on_drop(true);
    Ok(command)
}

async fn ready_line(child: &mut Child) -> io::Result<Ready> {
    let stdout = child.stdout.as_mut().expect("stdout was asked for as a pipe");
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).await?;
    serde_json::from_str(&line).map_err(|_| io::Error::other(format!("it ended: {}", line.trim_end())))
}

fn failed(what: &str) -> CliError {
    CliError::Demo(what.to_owned())
}
