//! A node on a simulated host.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use forever_core::codec::Bincode;
use forever_core::config::Config;
use forever_core::node::Node;
use forever_core::secrets::{OwnerKeys, OwnerSecret};
use forever_net_tokio::channel::Identity;
use forever_net_tokio::clock::Clock;
use forever_net_tokio::drive::{Parts, drive};
use forever_net_tokio::handle::Handle;
use forever_net_tokio::net::Net;
use forever_net_tokio::peers::Admission;
use forever_net_tokio::simulation::Simulated;
use forever_net_tokio::store::memory_fs::MemoryFs;

use super::{SimClock, SimDisk, SimWork, TurmoilNet};
use crate::content::draw;
use crate::trace::Tracer;

/// The port that every node listens at.
pub(crate) const PORT: u16 = 7000;

/// How long a connection may take to be made and authenticated.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// What of a node outlives its process.
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) seed: u64,
    pub(crate) number: u64,
    pub(crate) config: Config,
    pub(crate) net: TurmoilNet,
    pub(crate) tracer: Tracer,
    pub(crate) fs: RefCell<MemoryFs>,
    /// How to talk to the node while it runs.
    pub(crate) handle: RefCell<Option<Handle>>,
    /// How often it has been started: no two starts may have the same randomness.
    pub(crate) starts: Cell<u64>,
    /// Whether it is cut off because its power is gone.
    pub(crate) is_dark: Cell<bool>,
}

/// The process: opens the store, listens, and drives a node until the host goes down.
pub(crate) async fn run(host: Rc<Host>) -> turmoil::Result {
    let start = host.starts.replace(host.starts.get() + 1);
    let secret = |purpose: &str| draw(purpose, host.seed, host.number);
    // An x25519 key and an owner of each node's own; one cluster key.
    let identity = Identity::new(secret("node key"), draw("cluster key", host.seed, 0));
    let keys = OwnerKeys::derive(&OwnerSecret::new(secret("owner secret")));
    let random = |purpose: &str| draw(purpose, host.seed, (host.number << 32) | start);
    let listener = host.net.listen(&format!("0.0.0.0:{PORT}")).await?;
    let clock = SimClock;
    let disk = SimDisk::open(host.fs.borrow().clone(), host.tracer.clone())?;
    let node = Node::new(host.config.clone(), identity.node_id(), keys.clone(), random("node seed"), clock.now());
    let parts = Parts {
        net: host.net.clone(),
        disk,
        work: SimWork::new(keys, host.tracer.clone()),
        clock,
        identity: Arc::new(identity),
        admission: Admission::default(),
        codec: Arc::new(Bincode),
        seed: random("driver seed"),
        handshake_timeout: HANDSHAKE_TIMEOUT,
        observer: None,
        simulation: Simulated::new(host.config.simulation, host.number),
    };
    let (handle, calls) = Handle::new();
    *host.handle.borrow_mut() = Some(handle);
    drive(node, parts, listener, calls).await;
    Ok(())
}
