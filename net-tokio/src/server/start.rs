//! Putting a node together: store, threads, keys, network, driver.

use std::fs::File;
use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use forever_core::codec::Bincode;
use forever_core::config::Config;
use forever_core::node::Node;
use forever_core::recording::Header;
use forever_core::secrets::OwnerKeys;
use forever_core::time::Time;
use zeroize::Zeroizing;

use super::ServeError;
use crate::api::Checker;
use crate::channel::Identity;
use crate::clock::{Clock, SystemClock};
use crate::drive::{Parts, drive};
use crate::folder::OpenFolder;
use crate::handle::Handle;
use crate::net::tcp::TcpNet;
use crate::net::{Listener, Net};
use crate::observe::Observer;
use crate::peers::Admission;
use crate::record::FileRecorder;
use crate::settings::Settings;
use crate::simulation::Simulated;
use crate::store::{RealFs, Store, StoreConfig, StoreDisk};
use crate::work::WorkThreads;

/// How long a connection may take to be made and authenticated.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Memory that the index may keep pages in, in bytes.
const INDEX_CACHE_BYTES: usize = 16 << 20;

/// A node that runs as long as its driver is polled.
pub struct StartedNode {
    /// How to talk to it.
    pub handle: Handle,
    /// How its store is checked, if it can be.
    pub checker: Option<Checker>,
    /// Where it listens for peers, with the real port.
    pub listen: String,
    /// Runs it; ends after [`Handle::stop`], or when the node has left the cluster, which it then says.
    pub driver: Pin<Box<dyn Future<Output = bool> + Send>>,
}

/// Starts a node: opens its store and listens for peers.
///
/// # Errors
/// When the store cannot be opened, the address cannot be listened at, or the system has no randomness or threads to give.
pub async fn start_node(folder: &OpenFolder, settings: &Settings) -> Result<StartedNode, ServeError> {
    start_recorded(folder, settings, None).await
}

/// Starts a node as [`start_node`] does, and records it into a file, if there is one.
///
/// # Errors
/// As [`start_node`].
pub async fn start_recorded(
    folder: &OpenFolder,
    settings: &Settings,
    recording: Option<File>,
) -> Result<StartedNode, ServeError> {
    let net = TcpNet;
    let listener = net
        .listen(&settings.listen)
        .await
        .map_err(|error| ServeError::Listen { address: settings.listen.clone(), error })?;
    let listen = listener.local_address();
    let disk = open_store(folder, settings)?;
    let keys = OwnerKeys::derive(folder.owner_secret()).with_key_hash(settings.key_hash);
    let checker = Some(Checker {
        store: disk.open_store(),
        root: folder.folder().store_path(),
        path: settings.path_transform,
        keys: Arc::new(keys.clone()),
    });
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let work = WorkThreads::start(threads, &Arc::new(keys.clone())).map_err(ServeError::System)?;
    let identity = Identity::new(*folder.node_key(), *folder.cluster_key());
    let clock = SystemClock::start();
    let config = settings.core_config(&advertised(&listen));
    let (node, observer) = new_node(folder, settings, config, &identity, keys, clock.now(), recording)?;
    let allow = (!settings.allow.is_empty()).then(|| settings.allow.iter().copied().collect());
    let (handle, calls) = Handle::new();
    let parts = Parts {
        net,
        disk,
        work,
        clock,
        identity: Arc::new(identity),
        admission: Admission::new(allow, Arc::new(|_, _| true)),
        codec: Arc::new(Bincode),
        seed: *random()?,
        handshake_timeout: HANDSHAKE_TIMEOUT,
        observer,
        simulation: Simulated::default(),
    };
    Ok(StartedNode { handle, checker, listen, driver: Box::pin(drive(node, parts, listener, calls)) })
}

/// A fresh node, and who records it.
fn new_node(
    folder: &OpenFolder,
    settings: &Settings,
    config: Config,
    identity: &Identity,
    keys: OwnerKeys,
    start: Time,
    recording: Option<File>,
) -> Result<(Node, Option<Box<dyn Observer>>), ServeError> {
    let (id, seed) = (identity.node_id(), random()?);
    let observer = recording.map(|file| {
        let owner = folder.owner_secret().clone();
        let header =
            Header { config: config.clone(), node: id, owner, key_hash: settings.key_hash, seed: *seed, start };
        Box::new(FileRecorder::new(file, &header)) as Box<dyn Observer>
    });
    Ok((Node::new(config, id, keys, *seed, start), observer))
}

fn open_store(folder: &OpenFolder, settings: &Settings) -> Result<StoreDisk, ServeError> {
    let config = StoreConfig {
        path: settings.path_transform,
        reserve_bytes: settings.reserve_mib << 20,
        max_bytes: settings.store_max_bytes(),
        cache_bytes: INDEX_CACHE_BYTES,
        blob_threads: settings.disk_threads,
        ..StoreConfig::new(folder.folder().store_path())
    };
    let store = Store::open(Arc::new(RealFs), &config)?;
    StoreDisk::new(store, &config).map_err(ServeError::System)
}

/// The address to tell peers: an unspecified host (`0.0.0.0`, `[::]`) means "where you see me", which is an empty host.
fn advertised(listen: &str) -> String {
    let unspecified = listen.strip_prefix("0.0.0.0:").or_else(|| listen.strip_prefix("[::]:"));
    unspecified.map_or_else(|| listen.to_owned(), |port| format!(":{port}"))
}

fn random() -> Result<Zeroizing<[u8; 32]>, ServeError> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed).map_err(|error| ServeError::System(io::Error::other(error)))?;
    Ok(seed)
}
