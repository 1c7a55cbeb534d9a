//! A node on a simulated host.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use forever_core::codec::Bincode;
use forever_core::config::Config;
use forever_core::node::Node;
use forever_core::recording::{Header, Recorder};
use forever_net_tokio::clock::Clock;
use forever_net_tokio::drive::{Parts, drive};
use forever_net_tokio::handle::Handle;
use forever_net_tokio::net::Net;
use forever_net_tokio::peers::Admission;
use forever_net_tokio::simulation::Simulated;
use forever_net_tokio::store::{OpenError, Store};
use tokio::sync::mpsc;

use super::board::Board;
use super::caller::{self, Call, Callers};
use super::disk::{self, DiskSetup, DiskTask, OpenStore};
use super::faulty_fs::FaultyFs;
use super::gate::{Gate, Gated};
use super::net::TurmoilNet;
use super::watch::{SharedRecorder, Status, Watch};
use super::{SimClock, SimWork};
use crate::draw::{Draws, Site};
use crate::simulation::tolerating;
use crate::store::machine::Secrets;
use crate::store::{Engine, Event};
use crate::trace::Tracer;

/// The port that every node listens at.
pub(crate) const PORT: u16 = 7000;

/// How long a connection may take to be made and authenticated.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a store that cannot be opened because of a fault waits until it is tried again.
const OPEN_AGAIN: Duration = Duration::from_millis(250);

const NODE_SEED: Site = Site::new("node seed");
const DRIVER_SEED: Site = Site::new("driver seed");

/// What of a node outlives its process.
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) number: usize,
    pub(crate) draws: Draws,
    pub(crate) config: Config,
    /// How often it has got another address.
    pub(crate) moves: Cell<u16>,
    pub(crate) disk_us: (u32, u32),
    pub(crate) engine: Engine,
    pub(crate) secrets: Secrets,
    pub(crate) net: TurmoilNet,
    pub(crate) clock: SimClock,
    pub(crate) gate: Gate,
    pub(crate) board: Board,
    pub(crate) tracer: Tracer,
    pub(crate) status: Status,
    pub(crate) fs: RefCell<FaultyFs>,
    pub(crate) store: OpenStore,
    /// How to reach the callers of the process that runs.
    pub(crate) calls: RefCell<Option<mpsc::UnboundedSender<Call>>>,
    /// Starts so far, so that no two have the same randomness.
    pub(crate) starts: Cell<u64>,
    /// Whether the process is to run.
    pub(crate) is_wanted: Cell<bool>,
    /// The recorders of all its processes, if they are recorded.
    pub(crate) recorders: RefCell<Option<Vec<SharedRecorder>>>,
}

impl Host {
    /// The port that it listens at now.
    pub(crate) fn port(&self) -> u16 {
        PORT + self.moves.get()
    }

    /// Its configuration, as far as it has moved.
    fn config_now(&self) -> Config {
        let at_port = |listen: &String| {
            let host = listen.split_once(':').map_or(listen.as_str(), |(host, _)| host);
            format!("{host}:{}", self.port())
        };
        Config { listen: self.config.listen.iter().map(at_port).collect(), ..self.config.clone() }
    }
}

/// The process, if it is to run at all.
pub(crate) async fn run(host: Rc<Host>) -> turmoil::Result {
    if !host.is_wanted.get() {
        return Ok(());
    }
    let gate = host.gate.clone();
    Gated::new(gate, process(host)).await
}

/// Opens the store, listens, and drives a node until the host goes down.
async fn process(host: Rc<Host>) -> turmoil::Result {
    let start = host.starts.replace(host.starts.get() + 1);
    let actor = ((host.number as u64) << 32) | start;
    let simulated = Simulated::new(host.config.simulation, actor);
    let store = open_store(&host, &simulated).await?;
    let listener = host.net.listen(&format!("0.0.0.0:{}", host.port())).await?;
    let setup = DiskSetup {
        node: host.number,
        board: host.board.clone(),
        gate: host.gate.clone(),
        fs: host.fs.borrow().memory().clone(),
        op_us: host.disk_us,
    };
    let (disk, disk_task) = DiskTask::new(store, setup, &host.store);
    host.net.spawn_local(disk_task.run());
    let Secrets { identity, keys, owner, .. } = host.secrets.clone();
    let header = Header {
        config: host.config_now(),
        node: identity.node_id(),
        owner,
        key_hash: Default::default(),
        seed: host.draws.at(NODE_SEED, actor, 0).bytes32(),
        start: host.clock.now(),
    };
    let node = Node::new(header.config.clone(), header.node, keys.clone(), header.seed, header.start);
    let parts = Parts {
        net: host.net.clone(),
        disk,
        work: SimWork::new(keys),
        clock: host.clock.clone(),
        identity,
        admission: Admission::default(),
        codec: Arc::new(Bincode),
        seed: host.draws.at(DRIVER_SEED, actor, 0).bytes32(),
        handshake_timeout: HANDSHAKE_TIMEOUT,
        observer: Some(Box::new(watch(&host, start, &simulated, &header))),
        simulation: simulated,
    };
    let (handle, calls) = Handle::new();
    serve_callers(&host, handle);
    host.status.shown().is_up = true;
    host.board.emit(Event::Up { node: host.number });
    let _ = drive(node, parts, listener, calls).await;
    Ok(())
}

/// Opens the store, or tries again for as long as faults of the disk may be what is in the way.
async fn open_store(host: &Host, simulated: &Simulated) -> Result<Store, Box<dyn std::error::Error>> {
    let config = disk::store_config(simulated.clone(), host.engine);
    loop {
        let fs = host.fs.borrow().clone();
        // The engine catches what `redb` panics over when its pages contradict each other.
        match tolerating(fs.is_rotten(), || disk::open(Arc::new(fs.clone()), &config)) {
            // A machine without power opens nothing.
            _ if fs.memory().is_dead() => {
                host.gate.darken();
                std::future::pending::<()>().await;
            }
            Ok(store) => {
                fs.note_opened();
                return Ok(store);
            }
            Err(error) => {
                host.tracer.bytes("not opened", error.to_string().as_bytes());
                if fs.is_rotten() && matches!(error, OpenError::IndexDamaged { .. }) {
                    host.fs.replace(fs.replaced());
                    continue;
                }
                if !fs.may_fail() {
                    return Err(
                        format!("{} cannot open its store, and no fault is to blame: {error}", host.name).into()
                    );
                }
                tokio::time::sleep(OPEN_AGAIN).await;
            }
        }
    }
}

fn watch(host: &Host, start: u64, simulated: &Simulated, header: &Header) -> Watch {
    let recorder = host.recorders.borrow_mut().as_mut().map(|recorders| {
        let recorder = Arc::new(Mutex::new(Recorder::new(header)));
        recorders.push(Arc::clone(&recorder));
        recorder
    });
    Watch {
        node: host.number,
        start,
        board: host.board.clone(),
        draws: host.draws,
        tracer: host.tracer.clone(),
        status: host.status.clone(),
        simulated: simulated.clone(),
        recorder,
        liars: Default::default(),
        gauged_at: None,
        busy_at: None,
    }
}

fn serve_callers(host: &Host, handle: Handle) {
    let (sender, calls) = mpsc::unbounded_channel();
    *host.calls.borrow_mut() = Some(sender);
    let callers = Callers {
        handle,
        net: host.net.clone(),
        board: host.board.clone(),
        tracer: host.tracer.clone(),
        chunk_size: host.config.chunk_size,
    };
    host.net.spawn_local(caller::serve(callers, calls));
}
