//! A small world for tests of the node: memory disks, inline work, frames that arrive in order after a fixed latency, and
//! virtual time. Everything that happens is in one queue ordered by time, so a run is the same every time.

pub(crate) mod disk;
pub(crate) mod render;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use disk::MemoryDisk;
use forever_core::bulk::PlainChunk;
use forever_core::codec::{Bincode, Codec};
use forever_core::command::{Command, CommandError, PutMeta};
use forever_core::config::Config;
use forever_core::disk::DiskOp;
use forever_core::event::{Event, PutReport, RequestError, What};
use forever_core::frame::Frame;
use forever_core::ids::{DialId, LinkId, NodeId, OpId, RequestId};
use forever_core::input::{CloseReason, DialError, Input};
use forever_core::name::Name;
use forever_core::node::Node;
use forever_core::output::Output;
use forever_core::placement::Replicas;
use forever_core::record::Retention;
use forever_core::secrets::{OwnerKeys, OwnerSecret};
use forever_core::time::{Monotonic, Time};
use forever_core::work::perform;

/// How long a frame travels.
const LATENCY: Duration = Duration::from_millis(1);

/// How long a disk operation takes.
const DISK_TIME: Duration = Duration::from_micros(200);

/// Wall time at the start, milliseconds since the Unix epoch.
const EPOCH_MS: u64 = 1_800_000_000_000;

/// A frame that a test may drop or replace on its way: from, to, frame.
pub(crate) type Meddle = Box<dyn FnMut(usize, usize, &mut Frame) -> bool>;

struct Host {
    node: Option<Node>,
    id: NodeId,
    keys: OwnerKeys,
    config: Config,
    disk: MemoryDisk,
    events: BTreeMap<RequestId, VecDeque<What>>,
    trace: Vec<Output>,
    lives: u8,
    /// How far its wall clock is behind, in milliseconds; and how far ahead.
    behind_ms: u64,
    /// The number of its address: its own, unless it has moved.
    place: usize,
    ahead_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct End {
    host: usize,
    link: LinkId,
}

enum Happening {
    Input(usize, u8, Input),
    Disk(usize, u8, OpId, DiskOp),
}

/// The world.
pub(crate) struct World {
    now: Duration,
    queue: BTreeMap<(Duration, u64), Happening>,
    next: u64,
    hosts: Vec<Host>,
    /// Both ends of every link that stands.
    ends: BTreeMap<End, End>,
    /// Those of them at the host that dialled.
    dialled: BTreeSet<End>,
    /// Pairs of hosts that cannot reach each other.
    cut: BTreeSet<(usize, usize)>,
    /// Hosts whose frames are held back.
    pub(crate) meddle: Option<Meddle>,
    /// Data bytes sent by each host.
    pub(crate) sent: Vec<u64>,
}

impl World {
    /// `count` nodes of one owner each, every node dialling those before it.
    pub(crate) fn new(count: usize) -> Self {
        Self::with(count, |_, config| config)
    }

    /// The same, with configurations changed.
    pub(crate) fn with(count: usize, configure: impl Fn(usize, Config) -> Config) -> Self {
        let mut world = Self::empty();
        for host in 0..count {
            let secret = OwnerSecret::new([u8::try_from(host).unwrap() + 1; 32]);
            let bootstrap = (0..host).map(address).collect();
            let config = Config { bootstrap, listen: vec![address(host)], chunk_size: 1_000, ..on_all_nodes() };
            world.add(secret, configure(host, config));
        }
        world.settle();
        world
    }

    fn empty() -> Self {
        Self {
            now: Duration::ZERO,
            queue: BTreeMap::new(),
            next: 0,
            hosts: Vec::new(),
            ends: BTreeMap::new(),
            dialled: BTreeSet::new(),
            cut: BTreeSet::new(),
            meddle: None,
            sent: Vec::new(),
        }
    }

    /// Adds a node and starts it.
    pub(crate) fn add(&mut self, secret: OwnerSecret, config: Config) -> usize {
        let host = self.hosts.len();
        let id = NodeId([u8::try_from(host).unwrap().wrapping_add(0xa0); 32]);
        self.hosts.push(Host {
            node: None,
            id,
            keys: OwnerKeys::derive(&secret),
            config,
            disk: MemoryDisk::default(),
            events: BTreeMap::new(),
            trace: Vec::new(),
            lives: 0,
            behind_ms: 0,
            place: host,
            ahead_ms: 0,
        });
        self.sent.push(0);
        self.start(host);
        host
    }

    pub(crate) fn id(&self, host: usize) -> NodeId {
        self.hosts[host].id
    }

    /// How many links of its own making a host has, and how many in all.
    pub(crate) fn links(&self, host: usize) -> (usize, usize) {
        let of_host = || self.ends.keys().filter(|end| end.host == host);
        (of_host().filter(|end| self.dialled.contains(end)).count(), of_host().count())
    }

    pub(crate) fn config(&mut self, host: usize) -> &mut Config {
        &mut self.hosts[host].config
    }

    /// Gives a host that is down the address of another number.
    pub(crate) fn move_to(&mut self, host: usize, place: usize) {
        self.hosts[host].place = place;
        self.hosts[host].config.listen = vec![address(place)];
    }

    pub(crate) fn disk(&mut self, host: usize) -> &mut MemoryDisk {
        &mut self.hosts[host].disk
    }

    pub(crate) fn keys(&self, host: usize) -> &OwnerKeys {
        &self.hosts[host].keys
    }

    /// What a host has done since the last call.
    pub(crate) fn take_trace(&mut self, host: usize) -> Vec<Output> {
        std::mem::take(&mut self.hosts[host].trace)
    }

    /// The clocks of a host.
    fn time(&self, host: usize) -> Time {
        let mono = Monotonic(u64::try_from(self.now.as_micros()).unwrap());
        let Host { behind_ms, ahead_ms, .. } = self.hosts[host];
        let wall_ms = EPOCH_MS + u64::try_from(self.now.as_millis()).unwrap() + ahead_ms - behind_ms;
        Time { mono, wall_ms }
    }

    /// Sets a host's wall clock back.
    pub(crate) fn set_back(&mut self, host: usize, behind_ms: u64) {
        self.hosts[host].behind_ms = behind_ms;
    }

    /// Sets a host's wall clock ahead.
    pub(crate) fn set_ahead(&mut self, host: usize, ahead_ms: u64) {
        self.hosts[host].ahead_ms = ahead_ms;
    }

    /// Starts a node that is down.
    pub(crate) fn start(&mut self, host: usize) {
        let now = self.time(host);
        let h = &mut self.hosts[host];
        h.lives += 1;
        let seed = [h.lives; 32];
        h.node = Some(Node::new(h.config.clone(), h.id, h.keys.clone(), seed, now));
        self.carry_out(host);
    }

    /// Power loss: the node is gone, what its disk had not made durable with it; peers see their links break.
    pub(crate) fn crash(&mut self, host: usize) {
        self.hosts[host].node = None;
        self.hosts[host].events.clear();
        let lost: Vec<End> = self.ends.keys().filter(|end| end.host == host).copied().collect();
        for end in lost {
            self.break_link(end);
        }
        self.queue.retain(|_, happening| match happening {
            Happening::Input(to, ..) | Happening::Disk(to, ..) => *to != host,
        });
    }

    /// Cuts or heals the way between two hosts. Links that stand break at once when it is cut.
    pub(crate) fn cut(&mut self, a: usize, b: usize, cut: bool) {
        let pair = (a.min(b), a.max(b));
        if !cut {
            self.cut.remove(&pair);
            return;
        }
        self.cut.insert(pair);
        let lost: Vec<End> =
            self.ends.iter().filter(|(x, y)| x.host == pair.0 && y.host == pair.1).map(|(x, _)| *x).collect();
        for end in lost {
            self.break_link(end);
        }
    }

    fn break_link(&mut self, end: End) {
        let Some(other) = self.ends.remove(&end) else { return };
        self.ends.remove(&other);
        for end in [end, other] {
            let reason = CloseReason::Io("connection reset".into());
            self.later(LATENCY, end.host, Input::Closed { link: end.link, reason });
        }
    }

    fn later(&mut self, delay: Duration, host: usize, input: Input) {
        let lives = self.hosts[host].lives;
        self.at(delay, Happening::Input(host, lives, input));
    }

    fn at(&mut self, delay: Duration, happening: Happening) {
        self.queue.insert((self.now + delay, self.next), happening);
        self.next += 1;
    }

    /// Lets the next thing happen. False if nothing will before `until`.
    pub(crate) fn step(&mut self, until: Duration) -> bool {
        let happening = self.queue.first_key_value().map(|((at, _), _)| *at);
        let timer = (0..self.hosts.len())
            .filter_map(|host| {
                let (deadline, _) = self.hosts[host].node.as_ref()?.poll_timeout()?;
                Some((Duration::from_micros(deadline.0), host))
            })
            .min();
        let timer_first = timer.is_some_and(|(at, _)| happening.is_none_or(|other| at < other));
        let Some(at) = (if timer_first { timer.map(|(at, _)| at) } else { happening }) else { return false };
        if at > until {
            self.now = until;
            return false;
        }
        self.now = self.now.max(at);
        if timer_first {
            let host = timer.unwrap().1;
            let now = self.time(host);
            self.hosts[host].node.as_mut().unwrap().handle_timeout(now);
            self.carry_out(host);
            return true;
        }
        let (_, happening) = self.queue.pop_first().unwrap();
        match happening {
            Happening::Input(host, lives, input) if lives == self.hosts[host].lives => {
                let now = self.time(host);
                if let Some(node) = &mut self.hosts[host].node {
                    node.handle_input(now, input);
                    self.carry_out(host);
                }
            }
            Happening::Disk(host, lives, op, what) if lives == self.hosts[host].lives => {
                let result = self.hosts[host].disk.perform(what);
                self.later(Duration::ZERO, host, Input::DiskDone { op, result });
            }
            Happening::Input(..) | Happening::Disk(..) => {}
        }
        true
    }

    /// Lets time pass.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        while self.step(until) {}
    }

    /// Lets the first dials come to something.
    pub(crate) fn settle(&mut self) {
        self.run_for(Duration::from_millis(500));
    }

    fn carry_out(&mut self, host: usize) {
        while let Some(output) = self.hosts[host].node.as_mut().and_then(Node::poll_output) {
            self.hosts[host].trace.push(output.clone());
            match output {
                Output::Send { link, frame } => self.send(End { host, link }, frame),
                Output::Connect { dial, address } => self.connect(host, dial, &address),
                Output::Close { link } => {
                    let end = End { host, link };
                    if let Some(other) = self.ends.remove(&end) {
                        self.ends.remove(&other);
                        self.later(LATENCY, host, Input::Closed { link, reason: CloseReason::Local });
                        self.later(LATENCY, other.host, Input::Closed { link: other.link, reason: CloseReason::Eof });
                    }
                }
                Output::Disk { op, what } => {
                    let lives = self.hosts[host].lives;
                    self.at(DISK_TIME, Happening::Disk(host, lives, op, what));
                }
                Output::Work { op, what } => {
                    let result = perform(what, &self.hosts[host].keys);
                    self.later(Duration::from_micros(50), host, Input::WorkDone { op, result });
                }
                Output::Event(Event { request, what }) => {
                    self.hosts[host].events.entry(request).or_default().push_back(what);
                }
            }
        }
    }

    /// Every frame goes through the codec, so that what cannot be encoded cannot pass a test.
    fn send(&mut self, from: End, mut frame: Frame) {
        let Some(to) = self.ends.get(&from).copied() else { return };
        if let Some(meddle) = &mut self.meddle
            && !meddle(from.host, to.host, &mut frame)
        {
            return;
        }
        let mut header = Vec::new();
        Bincode.encode(&frame, &mut header);
        let payload = match frame {
            Frame::Data { payload, .. } => {
                let bytes = u32::try_from(payload.len()).unwrap();
                self.sent[from.host] += u64::from(bytes);
                self.later(Duration::from_micros(100), from.host, Input::Sent { link: from.link, bytes });
                payload.into_bytes()
            }
            _ => Bytes::new(),
        };
        let frame = Bincode.decode(&header, payload).unwrap();
        self.later(LATENCY, to.host, Input::Frame { link: to.link, frame });
    }

    fn connect(&mut self, host: usize, dial: DialId, to: &str) {
        let other = (0..self.hosts.len()).find(|other| address(self.hosts[*other].place) == to);
        let reachable = other.filter(|other| {
            self.hosts[*other].node.is_some() && !self.cut.contains(&(host.min(*other), host.max(*other)))
        });
        let Some(other) = reachable else {
            let error = DialError::Connect("connection refused".into());
            return self.later(LATENCY, host, Input::DialFailed { dial, error });
        };
        self.next += 2;
        let (mine, theirs) = (LinkId(self.next), LinkId(self.next + 1));
        let (here, there) = (End { host, link: mine }, End { host: other, link: theirs });
        self.ends.insert(here, there);
        self.dialled.insert(here);
        self.ends.insert(there, here);
        let (my_id, their_id) = (self.hosts[host].id, self.hosts[other].id);
        let connected = Input::Connected { link: mine, node: their_id, dial: Some(dial), remote: to.into() };
        self.later(LATENCY, host, connected);
        let connected =
            Input::Connected { link: theirs, node: my_id, dial: None, remote: address(self.hosts[host].place) };
        self.later(LATENCY, other, connected);
    }

    /// Gives a command.
    pub(crate) fn command(&mut self, host: usize, command: Command) -> RequestId {
        let now = self.time(host);
        let id = self.hosts[host].node.as_mut().unwrap().handle_command(now, command).unwrap();
        self.carry_out(host);
        id
    }

    /// Gives a command that is refused.
    pub(crate) fn refused(&mut self, host: usize, command: Command) -> CommandError {
        let now = self.time(host);
        self.hosts[host].node.as_mut().unwrap().handle_command(now, command).unwrap_err()
    }

    /// The next event of a request, if there is one.
    pub(crate) fn event(&mut self, host: usize, request: RequestId) -> Option<What> {
        self.hosts[host].events.get_mut(&request)?.pop_front()
    }

    /// The next event of a request, waiting for it.
    ///
    /// # Panics
    /// If it does not come within two simulated minutes: no request may hang.
    pub(crate) fn wait(&mut self, host: usize, request: RequestId) -> What {
        let until = self.now + Duration::from_secs(120);
        loop {
            if let Some(what) = self.event(host, request) {
                return what;
            }
            assert!(self.step(until), "request {request:?} of host {host} hangs");
        }
    }

    /// Starts a put and gives it up to `chunks` chunks as fast as it takes them.
    pub(crate) fn start_put(&mut self, host: usize, file: &str, bytes: &[u8]) -> PutRun {
        self.start_put_with(host, file, bytes, PutMeta { len: Some(bytes.len() as u64), ..PutMeta::default() })
    }

    fn start_put_with(&mut self, host: usize, file: &str, bytes: &[u8], meta: PutMeta) -> PutRun {
        let request = self.command(host, Command::Put { name: name(file), meta });
        let size = self.hosts[host].config.chunk_size as usize;
        PutRun { request, chunks: bytes.chunks(size).map(<[u8]>::to_vec).collect(), ended: false }
    }

    /// Goes on with a put until its next event has been dealt with.
    pub(crate) fn go_on(&mut self, host: usize, run: &mut PutRun) -> Option<Result<PutReport, RequestError>> {
        match self.wait(host, run.request) {
            What::PutReady { chunks } => {
                for _ in 0..chunks {
                    let Some(chunk) = run.chunks.pop_front() else { break };
                    let mut plain = PlainChunk::with_capacity(chunk.len());
                    plain.extend(&chunk);
                    self.command(host, Command::PutChunk { request: run.request, plain });
                }
                if run.chunks.is_empty() && !std::mem::replace(&mut run.ended, true) {
                    self.command(host, Command::PutEnd { request: run.request });
                }
                None
            }
            What::PutDone(report) => Some(Ok(report)),
            What::Failed(error) => Some(Err(error)),
            other => panic!("a put was told {other:?}"),
        }
    }

    /// Goes on with a put if it has an event, else lets one thing happen.
    pub(crate) fn go_on_if_any(&mut self, host: usize, run: &mut PutRun) -> Option<Result<PutReport, RequestError>> {
        if self.hosts[host].events.get(&run.request).is_some_and(|events| !events.is_empty()) {
            return self.go_on(host, run);
        }
        assert!(self.step(self.now + Duration::from_secs(120)), "two puts hang");
        None
    }

    /// Three nodes; the third has put `file` and evicted it, so that it reads from the others.
    pub(crate) fn evicted(bytes: &[u8]) -> Self {
        let mut world = Self::new(3);
        world.put(2, "file", bytes).unwrap();
        let what = world.ask(2, Command::Evict { name: name("file") });
        assert!(matches!(what, What::Evicted { .. }), "{what:?}");
        world
    }

    /// Puts a file.
    pub(crate) fn put(&mut self, host: usize, file: &str, bytes: &[u8]) -> Result<PutReport, RequestError> {
        self.put_with(host, file, bytes, PutMeta { len: Some(bytes.len() as u64), ..PutMeta::default() })
    }

    /// Puts a file of which more is said.
    pub(crate) fn put_with(
        &mut self,
        host: usize,
        file: &str,
        bytes: &[u8],
        meta: PutMeta,
    ) -> Result<PutReport, RequestError> {
        let mut run = self.start_put_with(host, file, bytes, meta);
        loop {
            if let Some(result) = self.go_on(host, &mut run) {
                return result;
            }
        }
    }

    /// Gets a whole file.
    pub(crate) fn get(&mut self, host: usize, file: &str) -> Result<Vec<u8>, RequestError> {
        self.get_with(host, Command::Get { name: name(file), version: None, range: None })
    }

    /// Gets what a command asks for.
    pub(crate) fn get_with(&mut self, host: usize, command: Command) -> Result<Vec<u8>, RequestError> {
        let request = self.command(host, command);
        let mut bytes = Vec::new();
        let mut expected = None;
        loop {
            match self.wait(host, request) {
                What::GetStart { len, .. } => expected = Some(len),
                What::GetData(plain) => {
                    bytes.extend_from_slice(&plain.0);
                    let credit = Command::GetCredit { request, bytes: plain.0.len() as u64 };
                    self.command_quietly(host, credit);
                }
                What::GetDone => {
                    assert_eq!(expected, Some(bytes.len() as u64), "a get delivers what it announced");
                    return Ok(bytes);
                }
                What::Failed(error) => return Err(error),
                other => panic!("a get was told {other:?}"),
            }
        }
    }

    /// Gives a command whose request may have ended.
    pub(crate) fn command_quietly(&mut self, host: usize, command: Command) {
        let now = self.time(host);
        let _ = self.hosts[host].node.as_mut().unwrap().handle_command(now, command);
        self.carry_out(host);
    }

    /// Gives a command and waits for its last event.
    pub(crate) fn ask(&mut self, host: usize, command: Command) -> What {
        let request = self.command(host, command);
        loop {
            let what = self.wait(host, request);
            if what.is_last() {
                return what;
            }
        }
    }
}

/// A configuration by which all files are kept on all nodes.
pub(crate) fn on_all_nodes() -> Config {
    let config = Config::default();
    Config { retention: Retention { replicas: Replicas::ALL, ..config.retention }, ..config }
}

/// A put under way.
pub(crate) struct PutRun {
    pub(crate) request: RequestId,
    chunks: VecDeque<Vec<u8>>,
    ended: bool,
}

pub(crate) fn address(host: usize) -> String {
    format!("10.0.0.{host}:7000")
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// Bytes that are different everywhere, so that no two chunks are equal.
pub(crate) fn content(len: usize, salt: u8) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[salt]);
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}
