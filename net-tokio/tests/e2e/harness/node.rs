//! A node: its data folder, and its process while it runs.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::cli::{self, Finished, command, signal};
use super::{Http, SOON, eventually, files_below};

/// How long a node may take to stop in order: what the program promises.
const STOP_MAX: Duration = Duration::from_secs(5);

/// A node. Its process is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) data: PathBuf,
    pub(crate) id: String,
    pub(crate) owner: String,
    /// What `init` showed; empty for a recovered owner.
    pub(crate) phrase: String,
    /// Where it listens for peers: any port before the first start, the same from then on.
    pub(crate) listen: String,
    ip: String,
    settings: Vec<(String, String)>,
    /// Where its next start is recorded to.
    pub(crate) record: Option<PathBuf>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    api: SocketAddr,
}

impl Node {
    /// Makes a node's data folder with `forever init`; with a phrase, for that owner.
    #[track_caller]
    pub(crate) fn init(data: &Path, ip: &str, cluster_key: Option<&Path>, phrase: Option<&str>) -> Self {
        let mut args = vec![OsStr::new("init")];
        if let Some(key) = cluster_key {
            args.extend([OsStr::new("--cluster-key"), key.as_os_str()]);
        }
        if phrase.is_some() {
            args.push(OsStr::new("--recover"));
        }
        let made = cli::run(data, &args, phrase.unwrap_or_default().as_bytes()).json();
        let text = |key: &str| made[key].as_str().unwrap_or_default().to_owned();
        Self {
            data: data.to_owned(),
            id: text("node"),
            owner: text("owner"),
            phrase: text("phrase"),
            listen: format!("{ip}:0"),
            ip: ip.to_owned(),
            settings: Vec::new(),
            record: None,
            running: None,
        }
    }

    /// Sets a setting, by its environment variable, from the next start on.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        self.settings.retain(|(other, _)| other != key);
        self.settings.push((key.to_owned(), value.to_owned()));
    }

    /// Starts it and waits until it serves.
    #[track_caller]
    pub(crate) fn start(&mut self, peers: &[&str]) {
        let log = File::options().create(true).append(true).open(self.log_path()).unwrap();
        let mut command = command();
        command.arg("--data").arg(&self.data).arg("node");
        command.args(["--listen", &self.listen, "--api", &format!("{}:0", self.ip)]);
        for peer in peers {
            command.args(["--peer", peer]);
        }
        if let Some(path) = self.record.take() {
            command.arg("--record").arg(path);
        }
        for (key, value) in &self.settings {
            command.env(key, value);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().unwrap();
        let Some(ready) = ready_line(&mut child) else {
            let _ = child.kill();
            panic!("no ready line: {}", self.log());
        };
        let field = |name: &str| {
            let mut words = ready.split_whitespace();
            words.find_map(|word| word.strip_prefix(name)).unwrap().to_owned()
        };
        assert!(ready.starts_with("ready "), "{ready}");
        assert_eq!((field("node="), field("owner=")), (self.id.clone(), self.owner.clone()));
        self.listen = field("listen=");
        let api = field("api=").parse().unwrap();
        self.running = Some(Running { child, api });
    }

    /// Starts it again, at the same address for peers. It is told of no peers: it has to remember them.
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        self.start(&[]);
    }

    #[track_caller]
    fn child(&self) -> &Child {
        &self.running.as_ref().expect("the node runs").child
    }

    /// Its process's number.
    #[track_caller]
    pub(crate) fn pid(&self) -> u32 {
        self.child().id()
    }

    /// Ends it at once, as a power cut ends a process.
    pub(crate) fn kill9(&mut self) {
        let mut running = self.running.take().expect("the node runs");
        signal(&running.child, Signal::KILL);
        running.child.wait().unwrap();
    }

    /// Asks it to stop and checks that it does so in order and in time.
    #[track_caller]
    pub(crate) fn terminate(&mut self) {
        let mut running = self.running.take().expect("the node runs");
        let start = Instant::now();
        signal(&running.child, Signal::TERM);
        let (sender, ended) = mpsc::channel();
        let pid = running.child.id();
        thread::spawn(move || drop(sender.send(running.child.wait())));
        let status = ended.recv_timeout(SOON).unwrap_or_else(|_| panic!("node {pid} does not stop"));
        let took = start.elapsed();
        assert!(status.unwrap().success(), "{}", self.log());
        assert!(took <= STOP_MAX, "it took {took:?} to stop: {}", self.log());
    }

    /// Freezes it: its connections stand, and nothing comes over them.
    pub(crate) fn sigstop(&self) {
        signal(self.child(), Signal::STOP);
    }

    /// Lets it go on.
    pub(crate) fn sigcont(&self) {
        signal(self.child(), Signal::CONT);
    }

    /// Runs a command of the program against it.
    #[track_caller]
    pub(crate) fn forever<S: AsRef<OsStr>>(&self, args: &[S]) -> Finished {
        cli::run(&self.data, args, b"")
    }

    /// The same, with input.
    #[track_caller]
    pub(crate) fn forever_with<S: AsRef<OsStr>>(&self, args: &[S], stdin: &[u8]) -> Finished {
        cli::run(&self.data, args, stdin)
    }

    /// A client of its API.
    pub(crate) fn http(&self) -> Http {
        let token = fs::read_to_string(self.data.join("api.token")).unwrap();
        Http { api: self.running.as_ref().expect("the node runs").api, token: token.trim().to_owned() }
    }

    /// Puts bytes under a name; what `put` says of them.
    #[track_caller]
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) -> Value {
        let answer = self.http().put(&format!("/v1/files/{name}"), bytes);
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    /// The bytes of a name.
    #[track_caller]
    pub(crate) fn get(&self, name: &str) -> Vec<u8> {
        let mut get = command();
        get.arg("--data").arg(&self.data).args(["get", "--", name]);
        cli::finish(get).exits(0).stdout
    }

    /// Runs `get` with these arguments, to a file of its own that nobody looks at.
    #[track_caller]
    pub(crate) fn try_get(&self, args: &[&str]) -> Finished {
        let target = self.data.with_extension("got");
        let target = target.to_str().unwrap();
        cli::run(&self.data, &[&["get", "-o", target], args].concat(), b"")
    }

    /// The names it lists.
    #[track_caller]
    pub(crate) fn names(&self) -> Vec<String> {
        let listed = self.forever(&["ls"]).exits(0);
        listed.lines().iter().map(|file| file["name"].as_str().unwrap().to_owned()).collect()
    }

    /// What `status` says.
    #[track_caller]
    pub(crate) fn status(&self) -> Value {
        self.http().json("/v1/status")
    }

    /// A number of its status.
    #[track_caller]
    pub(crate) fn count(&self, key: &str) -> u64 {
        self.status()[key].as_u64().unwrap()
    }

    /// Waits until a number of its status is what it should be.
    #[track_caller]
    pub(crate) fn wait_for(&self, key: &str, wanted: impl Fn(u64) -> bool) -> u64 {
        let http = self.http();
        eventually(key, || {
            let status = http.try_json("/v1/status")?;
            status[key].as_u64().filter(|count| wanted(*count))
        })
    }

    /// Waits until it is connected to so many peers.
    #[track_caller]
    pub(crate) fn wait_for_peers(&self, count: u64) {
        self.wait_for("peers_connected", |connected| connected == count);
    }

    /// Waits until its newest checkpoint covers all that it has put, and a peer has that.
    #[track_caller]
    pub(crate) fn wait_for_checkpoint(&self) {
        let http = self.http();
        eventually("a checkpoint", || (http.try_json("/v1/status")?["checkpoint_due"] == false).then_some(()));
    }

    /// The files that hold its blobs.
    pub(crate) fn blob_files(&self) -> Vec<PathBuf> {
        files_below(&self.data.join("store").join("blobs"))
    }

    fn log_path(&self) -> PathBuf {
        self.data.with_extension("log")
    }

    /// All that it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let end = lines[lines.len().saturating_sub(20)..].join("\n");
            eprintln!("--- the end of the log of {}:\n{end}", self.data.display());
        }
    }
}

/// The first line that a process prints, if it prints one in time.
fn ready_line(child: &mut Child) -> Option<String> {
    let stdout = child.stdout.take().unwrap();
    let (sender, line) = mpsc::channel();
    thread::spawn(move || {
        let line = BufReader::new(stdout).lines().next();
        drop(sender.send(line));
    });
    line.recv_timeout(SOON).ok()?.and_then(Result::ok)
}
