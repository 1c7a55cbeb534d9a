//! The one loop that drives a node: it carries inputs to the core and outputs to the world, and decides nothing.
//!
//! It names neither tokio's TCP nor the real file system: the simulator runs this same code in a simulated network.

use forever_core::{buggify, planted, sometimes};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use forever_core::codec::Codec;
use forever_core::command::{Command, CommandError};
use forever_core::disk::DiskResult;
use forever_core::event::{Event, What};
use forever_core::ids::{DialId, LinkId, NodeId, OpId, RequestId};
use forever_core::input::{DialError, Input};
use forever_core::node::Node;
use forever_core::output::Output;
use forever_core::work::WorkResult;
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::channel::{Identity, SecureStream};
use crate::clock::Clock;
use crate::disk::{Completion, Disk};
use crate::handle::{Call, Calls};
use crate::link::{self, LinkEvent, LinkHandle};
use crate::net::{Listener, Net};
use crate::observe::Observer;
use crate::peers::{self, Admission};
use crate::simulation::Simulated;
use crate::work::Work;

/// Frames of all links that wait for the core; beyond it, links are not read.
const LINK_EVENTS_MAX: usize = 1_024;

/// Connections that wait for the core.
const CONNECTIONS_MAX: usize = 64;

/// Inputs of one kind handled before the other kinds have their turn.
const BATCH: usize = 64;

/// What a driver drives a node with.
pub struct Parts<N, D, W, C> {
    /// The network.
    pub net: N,
    /// The disk.
    pub disk: D,
    /// Where pure work is done.
    pub work: W,
    /// The clock.
    pub clock: C,
    /// The device's key and the cluster's.
    pub identity: Arc<Identity>,
    /// Who may connect.
    pub admission: Admission,
    /// How frames are encoded.
    pub codec: Arc<dyn Codec>,
    /// The randomness of all handshakes: unpredictable, never used before.
    pub seed: [u8; 32],
    /// How long a connection may take to be made and authenticated.
    pub handshake_timeout: Duration,
    /// Who watches.
    pub observer: Option<Box<dyn Observer>>,
    /// The simulator's hold on the node.
    pub simulation: Simulated,
}

/// A connection that a task has made, or failed to make.
#[expect(clippy::large_enum_variant, reason = "few are under way, and most are established")]
enum Connection<S> {
    Established { stream: SecureStream<S>, node: NodeId, dial: Option<DialId>, remote: String },
    Failed { dial: DialId, error: DialError },
}

/// Drives a node until it is told to stop, or stops by itself because it has left the cluster, and all its links are closed.
/// Returns whether it has left.
pub async fn drive<N: Net, D: Disk, W: Work, C: Clock>(
    node: Node,
    parts: Parts<N, D, W, C>,
    listener: N::Listener,
    calls: Calls,
) -> bool {
    #[cfg(feature = "planted-bugs")]
    let parts = if planted!(parts.simulation, ClusterKeyUnset) {
        Parts { identity: Arc::new(parts.identity.without_cluster_key()), ..parts }
    } else {
        parts
    };
    let (connections, incoming) = mpsc::channel(CONNECTIONS_MAX);
    let (link_events, from_links) = mpsc::channel(LINK_EVENTS_MAX);
    // Unbounded because the core bounds what is under way.
    let (disk_done, from_disk) = mpsc::unbounded_channel();
    let (work_done, from_work) = mpsc::unbounded_channel();
    let mut seeds = ChaCha12Rng::from_seed(parts.seed);
    let accepting = Accepting {
        net: parts.net.clone(),
        identity: Arc::clone(&parts.identity),
        admission: parts.admission.clone(),
        seeds: ChaCha12Rng::from_seed(draw(&mut seeds)),
        timeout: parts.handshake_timeout,
        connections: connections.clone(),
        simulation: parts.simulation.clone(),
    };
    parts.net.spawn(accepting.run(listener));
    let queues = Queues { calls, incoming, from_links, from_disk, from_work };
    let driver = Driver {
        node,
        parts,
        seeds,
        connections,
        link_events,
        disk_done,
        work_done,
        links: BTreeMap::new(),
        open: 0,
        next_link: 1,
        requests: BTreeMap::new(),
    };
    driver.run(queues).await
}

/// What comes in.
struct Queues<S> {
    calls: Calls,
    incoming: mpsc::Receiver<Connection<S>>,
    from_links: mpsc::Receiver<(LinkId, LinkEvent)>,
    from_disk: mpsc::UnboundedReceiver<(OpId, DiskResult)>,
    from_work: mpsc::UnboundedReceiver<(OpId, WorkResult)>,
}

struct Driver<N: Net, D, W, C> {
    node: Node,
    parts: Parts<N, D, W, C>,
    seeds: ChaCha12Rng,
    connections: mpsc::Sender<Connection<N::Stream>>,
    link_events: mpsc::Sender<(LinkId, LinkEvent)>,
    disk_done: mpsc::UnboundedSender<(OpId, DiskResult)>,
    work_done: mpsc::UnboundedSender<(OpId, WorkResult)>,
    links: BTreeMap<LinkId, LinkHandle>,
    /// Links whose end has not been reported yet.
    open: usize,
    next_link: u64,
    requests: BTreeMap<RequestId, mpsc::UnboundedSender<What>>,
}

impl<N: Net, D: Disk, W: Work, C: Clock> Driver<N, D, W, C> {
    async fn run(mut self, mut queues: Queues<N::Stream>) -> bool {
        self.carry_out();
        while !(self.node.is_stopping() && self.open == 0) {
            let deadline = self.node.poll_timeout().map(|(deadline, _)| deadline);
            let clock = &self.parts.clock;
            let due = async {
                match deadline {
                    Some(deadline) => clock.sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                Some((op, result)) = queues.from_disk.recv() => self.input(Input::DiskDone { op, result }),
                Some((op, result)) = queues.from_work.recv() => self.input(Input::WorkDone { op, result }),
                Some((link, event)) = queues.from_links.recv() => self.on_link(link, event),
                Some(connection) = queues.incoming.recv() => self.on_connection(connection),
                Some(call) = queues.calls.0.recv() => self.on_call(call),
                () = due => {}
            }
            self.take_waiting(&mut queues);
            let now = self.parts.clock.now();
            if self.node.poll_timeout().is_some_and(|(deadline, _)| deadline <= now.mono) {
                if let Some(observer) = &mut self.parts.observer {
                    observer.timeout(now);
                }
                self.node.handle_timeout(now);
                self.carry_out();
            }
        }
        self.node.has_left()
    }

    /// Takes some of whatever waits, of each kind in turn, so that none can starve another.
    fn take_waiting(&mut self, queues: &mut Queues<N::Stream>) {
        let batch = if buggify!(self.parts.simulation, "drive.batch-of-none") { 0 } else { BATCH };
        for _ in 0..batch {
            let mut idle = true;
            if let Ok((op, result)) = queues.from_disk.try_recv() {
                idle = false;
                self.input(Input::DiskDone { op, result });
            }
            if let Ok((op, result)) = queues.from_work.try_recv() {
                idle = false;
                self.input(Input::WorkDone { op, result });
            }
            if let Ok((link, event)) = queues.from_links.try_recv() {
                idle = false;
                self.on_link(link, event);
            }
            if let Ok(connection) = queues.incoming.try_recv() {
                idle = false;
                self.on_connection(connection);
            }
            if let Ok(call) = queues.calls.0.try_recv() {
                idle = false;
                self.on_call(call);
            }
            if idle {
                break;
            }
        }
    }

    fn input(&mut self, input: Input) {
        let now = self.parts.clock.now();
        if let Some(observer) = &mut self.parts.observer {
            observer.input(now, &input);
        }
        self.node.handle_input(now, input);
        self.carry_out();
    }

    fn command(&mut self, command: Command) -> Result<RequestId, CommandError> {
        let now = self.parts.clock.now();
        if let Some(observer) = &mut self.parts.observer {
            observer.command(now, &command);
        }
        let answer = self.node.handle_command(now, command);
        if let Some(observer) = &mut self.parts.observer {
            observer.answer(&answer);
        }
        answer
    }

    fn on_link(&mut self, link: LinkId, event: LinkEvent) {
        let input = match event {
            LinkEvent::Frame(frame) => Input::Frame { link, frame },
            LinkEvent::Sent { bytes } => Input::Sent { link, bytes },
            LinkEvent::Closed(reason) => {
                tracing::debug!(link = link.0, %reason, "link closed");
                self.links.remove(&link);
                self.open -= 1;
                Input::Closed { link, reason }
            }
        };
        self.input(input);
    }

    fn on_connection(&mut self, connection: Connection<N::Stream>) {
        match connection {
            Connection::Failed { dial, error } => {
                tracing::debug!(dial = dial.0, %error, "dial failed");
                self.input(Input::DialFailed { dial, error });
            }
            Connection::Established { stream, node, dial, remote } => {
                let link = LinkId(self.next_link);
                self.next_link += 1;
                self.open += 1;
                tracing::debug!(link = link.0, %node, %remote, "link established");
                let stream = stream.simulated(self.parts.simulation.clone());
                let codec = Arc::clone(&self.parts.codec);
                let handle = link::start(&self.parts.net, stream, link, codec, self.link_events.clone());
                self.links.insert(link, handle);
                self.input(Input::Connected { link, node, dial, remote });
            }
        }
    }

    fn on_call(&mut self, call: Call) {
        let Call { command, events, answer } = call;
        let result = self.command(command);
        if let (Ok(id), Some(events)) = (&result, events) {
            self.requests.insert(*id, events);
        }
        if let Err(Ok(id)) = answer.send(result) {
            // The caller has gone meanwhile; if it had just started a request, nobody will ever cancel that.
            self.cancel(id);
        }
        self.carry_out();
    }

    fn cancel(&mut self, request: RequestId) {
        if self.requests.remove(&request).is_some() {
            // An error means that the request has ended by itself.
            let _ = self.command(Command::Cancel { request });
        }
    }

    /// Carries out all that the node wants done.
    fn carry_out(&mut self) {
        while let Some(mut output) = self.node.poll_output() {
            if let Some(observer) = &mut self.parts.observer {
                observer.output(&mut output);
            }
            match output {
                Output::Send { link, frame } => {
                    if let Some(link) = self.links.get(&link) {
                        link.send(frame);
                    }
                }
                Output::Connect { dial, address } => self.connect(dial, address),
                Output::Close { link } => {
                    if let Some(link) = self.links.remove(&link) {
                        link.close();
                    }
                }
                Output::Disk { op, what } => {
                    self.parts.disk.submit(what, Completion::new(op, self.disk_done.clone()));
                }
                Output::Work { op, what } => {
                    self.parts.work.submit(what, Completion::new(op, self.work_done.clone()));
                }
                Output::Event(event) => self.tell(event),
            }
        }
        if let Some(observer) = &mut self.parts.observer {
            observer.idle(&mut self.node);
        }
    }

    fn tell(&mut self, Event { request, what }: Event) {
        let last = what.is_last();
        let Some(caller) = self.requests.get(&request) else { return };
        if caller.send(what).is_err() {
            sometimes!(self.parts.simulation, "drive.caller-gone");
            self.cancel(request);
        } else if last {
            self.requests.remove(&request);
        }
    }

    fn connect(&mut self, dial: DialId, address: String) {
        let seed = if planted!(self.parts.simulation, NonceReuse) { self.parts.seed } else { draw(&mut self.seeds) };
        let (net, identity, admission) =
            (self.parts.net.clone(), Arc::clone(&self.parts.identity), self.parts.admission.clone());
        let connections = self.connections.clone();
        let deadline = Instant::now() + self.parts.handshake_timeout;
        self.parts.net.spawn(async move {
            let connection = match peers::dial(&net, &address, &identity, &admission, seed, deadline).await {
                Ok((stream, node)) => Connection::Established { stream, node, dial: Some(dial), remote: address },
                Err(error) => Connection::Failed { dial, error },
            };
            // An error means that the driver has stopped.
            let _ = connections.send(connection).await;
        });
    }
}

/// Accepts connections and authenticates each in a task of its own.
struct Accepting<N: Net> {
    net: N,
    identity: Arc<Identity>,
    admission: Admission,
    seeds: ChaCha12Rng,
    timeout: Duration,
    connections: mpsc::Sender<Connection<N::Stream>>,
    simulation: Simulated,
}

impl<N: Net> Accepting<N> {
    async fn run(mut self, mut listener: N::Listener) {
        loop {
            tokio::select! {
                biased;
                () = self.connections.closed() => return,
                accepted = listener.accept() => match accepted {
                    Ok((stream, remote)) => self.admit(stream, remote),
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        // Most likely no file handles are left. Trying again at once would spin.
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }

    fn admit(&mut self, stream: N::Stream, remote: String) {
        let repeats = planted!(self.simulation, NonceReuse);
        let seed = if repeats { draw(&mut self.seeds.clone()) } else { draw(&mut self.seeds) };
        let (identity, admission) = (Arc::clone(&self.identity), self.admission.clone());
        let connections = self.connections.clone();
        let deadline = Instant::now() + self.timeout;
        self.net.spawn(async move {
            match peers::admit(stream, &remote, &identity, &admission, seed, deadline).await {
                Ok((stream, node)) => {
                    let connection = Connection::Established { stream, node, dial: None, remote };
                    // An error means that the driver has stopped.
                    let _ = connections.send(connection).await;
                }
                Err(error) => tracing::info!(%remote, %error, "connection not admitted"),
            }
        });
    }
}

/// The pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Draws a seed.
fn draw(rng: &mut ChaCha12Rng) -> [u8; 32] {
    let mut seed = [0; 32];
    rng.fill_bytes(&mut seed);
    seed
}
