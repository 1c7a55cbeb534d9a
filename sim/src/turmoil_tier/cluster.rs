//! A cluster of simulated nodes, and what can happen to it.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use forever_core::config::Config;
use forever_net_tokio::store::memory_fs::MemoryFs;
use turmoil::Sim;

use super::client::Client;
use super::host::{self, Host, PORT};
use super::net::{Panics, TurmoilNet};
use crate::trace::{Trace, Tracer};

/// When all simulations start, in seconds since the Unix epoch: 2026-01-01. Far enough from zero for a clock to go wrong.
const EPOCH_S: u64 = 1_767_225_600;

/// Simulated time of one step. Latencies below it would make hosts that run later in a step see messages earlier.
const TICK: Duration = Duration::from_millis(1);

/// Simulated time that anything may take: above every timeout of a node.
const PATIENCE: Duration = Duration::from_secs(300);

/// Ports to dial from: turmoil leaks one for each refused connect.
const DIAL_PORTS: std::ops::RangeInclusive<u16> = 10_000..=65_535;

/// How a simulation is made.
#[derive(Clone, Debug)]
pub struct Setup {
    /// All that is random follows from it.
    pub seed: u64,
    /// Whom each node dials; as many entries as there are nodes.
    pub bootstrap: Vec<Vec<usize>>,
    /// The nodes' configuration; the addresses in it are set here.
    pub config: Config,
    /// Shortest and longest time that a message takes; at least a millisecond.
    pub latency: (Duration, Duration),
}

impl Setup {
    /// Nodes of which each dials those before it. Chunks are small, so that small files have many.
    #[must_use]
    pub fn new(seed: u64, nodes: usize) -> Self {
        Self {
            seed,
            bootstrap: (0..nodes).map(|node| (0..node).collect()).collect(),
            config: Config { chunk_size: 64 << 10, ..Config::default() },
            latency: (Duration::from_millis(1), Duration::from_millis(20)),
        }
    }
}

/// Why a simulation cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SimError {
    /// What was waited for did not happen.
    #[error("nothing came of it within {} simulated seconds", PATIENCE.as_secs())]
    Stuck,
    /// A background task panicked; its message is on stderr.
    #[error("a task of a node panicked")]
    Panicked,
    /// A node ended by itself.
    #[error("a node failed: {0}")]
    Node(String),
}

/// What a client is doing.
pub struct Pending<T> {
    result: Rc<RefCell<Option<T>>>,
    progress: Rc<Cell<u64>>,
}

impl<T> Pending<T> {
    /// Bytes that the client has given to puts and received from gets so far.
    #[must_use]
    pub fn progress(&self) -> u64 {
        self.progress.get()
    }

    /// Whether it is done.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.result.borrow().is_some()
    }
}

/// Simulated nodes, numbered from 0, each with an owner of its own.
pub struct Cluster {
    sim: Sim<'static>,
    hosts: Vec<Rc<Host>>,
    trace: Trace,
    panics: Panics,
    clients: usize,
}

impl Cluster {
    /// Starts all nodes.
    ///
    /// # Panics
    /// When the shortest latency is below a millisecond or above the longest.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let (latency_min, latency_max) = setup.latency;
        assert!(latency_min >= TICK, "a message takes at least {TICK:?}");
        let mut sim = turmoil::Builder::new()
            .rng_seed(setup.seed)
            .epoch(SystemTime::UNIX_EPOCH + Duration::from_secs(EPOCH_S))
            .simulation_duration(Duration::MAX)
            .tick_duration(TICK)
            .min_message_latency(latency_min)
            .max_message_latency(latency_max)
            .ephemeral_ports(DIAL_PORTS)
            .enable_random_order()
            .build();
        let (trace, panics) = (Trace::default(), Panics::default());
        let hosts: Vec<_> = (0..setup.bootstrap.len()).map(|node| make_host(&setup, node, &trace, &panics)).collect();
        for host in &hosts {
            let software = Rc::clone(host);
            sim.host(host.name.as_str(), move || host::run(Rc::clone(&software)));
        }
        let mut cluster = Self { sim, hosts, trace, panics, clients: 0 };
        cluster.record("seed", &setup.seed.to_le_bytes());
        cluster.step().expect("nodes start on empty disks");
        cluster
    }

    /// Everything that has happened so far.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Simulated time so far.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.sim.elapsed()
    }

    /// Lets a client talk to a node, on a host of its own, from the next step on.
    pub fn start<T: 'static, F>(&mut self, node: usize, call: impl FnOnce(Client) -> F) -> Pending<T>
    where
        F: Future<Output = T> + 'static,
    {
        let name = format!("client-{}", self.clients);
        self.clients += 1;
        let pending = Pending { result: Rc::default(), progress: Rc::default() };
        let (result, panics) = (Rc::clone(&pending.result), self.panics.clone());
        let client = Client {
            host: Rc::clone(&self.hosts[node]),
            tracer: Tracer::new(self.trace.clone(), &name),
            progress: Rc::clone(&pending.progress),
        };
        let call = call(client);
        self.sim.client(name, async move {
            let _guard = panics.guard();
            let done = call.await;
            *result.borrow_mut() = Some(done);
            Ok(())
        });
        pending
    }

    /// Goes on until a client is done.
    ///
    /// # Errors
    /// [`SimError`].
    pub fn finish<T>(&mut self, pending: Pending<T>) -> Result<T, SimError> {
        self.run_until(|| pending.is_done())?;
        Ok(pending.result.take().expect("it is done"))
    }

    /// Lets a client talk to a node and goes on until it is done.
    ///
    /// # Errors
    /// [`SimError`].
    pub fn run<T: 'static, F>(&mut self, node: usize, call: impl FnOnce(Client) -> F) -> Result<T, SimError>
    where
        F: Future<Output = T> + 'static,
    {
        let pending = self.start(node, call);
        self.finish(pending)
    }

    /// Goes on until something holds.
    ///
    /// # Errors
    /// [`SimError`].
    pub fn run_until(&mut self, holds: impl Fn() -> bool) -> Result<(), SimError> {
        let deadline = self.elapsed() + PATIENCE;
        while !holds() {
            if self.elapsed() >= deadline {
                return Err(SimError::Stuck);
            }
            self.step()?;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), SimError> {
        let stepped = self.sim.step();
        if self.panics.any() {
            return Err(SimError::Panicked);
        }
        stepped.map(|_| ()).map_err(|error| SimError::Node(error.to_string()))
    }

    fn record(&self, kind: &str, bytes: &[u8]) {
        self.trace.record(self.sim.elapsed(), "cluster", kind, bytes);
    }
}

/// What happens to the cluster.
impl Cluster {
    /// Drops all messages between a node and some others.
    pub fn partition(&mut self, node: usize, others: &[usize]) {
        for other in others {
            self.record("partition", format!("{node} {other}").as_bytes());
            self.sim.partition(self.hosts[node].name.as_str(), self.hosts[*other].name.as_str());
        }
    }

    /// Ends partitions between a node and some others.
    pub fn repair(&mut self, node: usize, others: &[usize]) {
        for other in others {
            self.record("repair", format!("{node} {other}").as_bytes());
            self.sim.repair(self.hosts[node].name.as_str(), self.hosts[*other].name.as_str());
        }
    }

    /// Kills a node's process: its connections end, and its disk keeps all that was written.
    pub fn kill(&mut self, node: usize) {
        self.record("kill", node.to_string().as_bytes());
        let left = self.hosts[node].fs.borrow().after_kill();
        self.take_down(node, left);
    }

    /// Cuts a node's power: its peers hear nothing of it, and of what its disk had not synced, some is gone. Repairs all
    /// partitions of the node when it is restarted.
    pub fn lose_power(&mut self, node: usize) {
        self.record("lose power", node.to_string().as_bytes());
        let others = self.others(node);
        self.partition(node, &others);
        let host = &self.hosts[node];
        let draw = crate::content::draw("power loss", host.seed, (host.number << 32) | host.starts.get());
        let [a, b, c, d, e, f, g, h, ..] = draw;
        let left = host.fs.borrow().after_power_loss(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
        host.is_dark.set(true);
        self.take_down(node, left);
    }

    /// Kills a node's process and gives it an empty disk; its keys remain.
    pub fn lose_disk(&mut self, node: usize) {
        self.record("lose disk", node.to_string().as_bytes());
        self.take_down(node, MemoryFs::new());
    }

    /// Starts a node that is down.
    ///
    /// # Errors
    /// [`SimError::Node`] if its store cannot be opened.
    pub fn restart(&mut self, node: usize) -> Result<(), SimError> {
        self.record("restart", node.to_string().as_bytes());
        if self.hosts[node].is_dark.take() {
            let others = self.others(node);
            self.repair(node, &others);
        }
        self.sim.bounce(self.hosts[node].name.as_str());
        self.step()
    }

    /// Ends the process. Its destructors run, but its disk is out of their reach, as it is when a process is killed.
    fn take_down(&mut self, node: usize, disk_left: MemoryFs) {
        let host = &self.hosts[node];
        host.fs.replace(disk_left).cut_power();
        self.sim.crash(host.name.as_str());
        host.handle.take();
    }

    fn others(&self, node: usize) -> Vec<usize> {
        (0..self.hosts.len()).filter(|other| *other != node).collect()
    }
}

fn make_host(setup: &Setup, node: usize, trace: &Trace, panics: &Panics) -> Rc<Host> {
    let name = name_of(node);
    let tracer = Tracer::new(trace.clone(), &name);
    let config = Config {
        listen: vec![address_of(node)],
        bootstrap: setup.bootstrap[node].iter().copied().map(address_of).collect(),
        ..setup.config.clone()
    };
    Rc::new(Host {
        name,
        seed: setup.seed,
        number: node as u64,
        config,
        net: TurmoilNet::new(tracer.clone(), panics.clone()),
        tracer,
        fs: RefCell::new(MemoryFs::new()),
        handle: RefCell::new(None),
        starts: Cell::new(0),
        is_dark: Cell::new(false),
    })
}

fn name_of(node: usize) -> String {
    format!("node-{node}")
}

fn address_of(node: usize) -> String {
    format!("{}:{PORT}", name_of(node))
}
