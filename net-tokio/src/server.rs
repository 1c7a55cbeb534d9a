//! A node that serves: its data folder, its peers, its HTTP API, from start to stop.

use std::fmt;
use std::fs::File;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::serve::ListenerExt;
use forever_core::ids::{NodeId, OwnerId};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::api::{self, Context};
use crate::folder::{FolderError, OpenFolder};
use crate::handle::Handle;
use crate::mdns::{self, Announcement, Discovery};
use crate::settings::Settings;
use crate::store::OpenError;

mod start;

pub use start::{StartedNode, start_node, start_recorded};

/// How long a stop waits for open requests to end by themselves; then the node ends them.
const REQUESTS_END_MAX: Duration = Duration::from_secs(2);

/// How long the local network is told for that the node goes.
const DISCOVERY_ENDS_MAX: Duration = Duration::from_millis(500);

/// How long the node then has to say goodbye; what has not ended by then is cut. Together under the 5 s promised.
const GOODBYE_MAX: Duration = Duration::from_secs(2);

/// What a node says once it serves. Its text is the line that `forever node` prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Where peers connect.
    pub listen: String,
    /// Where the HTTP API listens.
    pub api: SocketAddr,
    /// This node.
    pub node: NodeId,
    /// Its owner.
    pub owner: OwnerId,
}

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { listen, api, node, owner } = self;
        write!(f, "ready listen={listen} api={api} node={node} owner={owner}")
    }
}

/// Why a node does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The HTTP API's address is taken or not this machine's.
    #[error("cannot serve the HTTP API at {address}: {error}; choose another address with --api")]
    Api {
        /// The address.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// The peers' address is taken or not this machine's.
    #[error("cannot listen for peers at {address}: {error}; choose another address with --listen")]
    Listen {
        /// The address.
        address: String,
        /// Why not.
        error: io::Error,
    },
    /// The data folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The store in the data folder cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The system refuses what every program may ask for: threads, randomness.
    #[error("the system gives no threads or no randomness: {0}")]
    System(io::Error),
    /// The node ended by itself.
    #[error("the node has ended by itself; the log says why")]
    Ended,
}

/// Runs a node until `stop`, recorded into a file if there is one; `ready` is called once it serves.
///
/// # Errors
/// When it cannot start, or ends by itself.
pub async fn run(
    folder: OpenFolder,
    settings: Settings,
    recording: Option<File>,
    ready: impl FnOnce(&Ready),
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    // The API's port is taken first: starting the node is much more to undo.
    let listener = bind_api(settings.api).await?;
    let node = start_recorded(&folder, &settings, recording).await?;
    serve(&folder, &settings, listener, node, ready, stop).await
}

pub(crate) async fn bind_api(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|error| ServeError::Api { address, error })
}

/// Serves the HTTP API of a started node until `stop`.
pub(crate) async fn serve(
    folder: &OpenFolder,
    settings: &Settings,
    listener: TcpListener,
    node: StartedNode,
    ready: impl FnOnce(&Ready),
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let StartedNode { handle, listen, driver, checker } = node;
    let api = listener.local_addr().map_err(|error| ServeError::Api { address: settings.api, error })?;
    let router = api::router(Context {
        handle: handle.clone(),
        chunk_size: settings.chunk_size(),
        listen: listen.clone(),
        api,
        checker,
        data: folder.folder().path().to_owned(),
        token_hash: blake3::hash(folder.folder().api_token()?.as_bytes()),
        allow_remote: settings.api_allow_remote,
    });
    let (stopping, mut stopped) = watch::channel(());
    let listener = listener.tap_io(|stream| {
        // Without it small answers may wait for an acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
    });
    let server = axum::serve(listener, router).with_graceful_shutdown(async move {
        // An error means that the sender is gone, which is a stop too.
        let _ = stopped.changed().await;
    });
    let mut server = tokio::spawn(server.into_future());
    let mut driver = tokio::spawn(driver);
    let discovery = settings.mdns.then(|| discover(folder, &listen, handle.clone())).flatten();
    folder.publish_api(api)?;
    ready(&Ready { listen, api, node: folder.node_id(), owner: folder.owner_id() });
    let ended = tokio::select! {
        biased;
        () = stop => Ok(()),
        left = &mut driver => if left.unwrap_or(false) { Ok(()) } else { Err(ServeError::Ended) },
    };
    folder.retract_api()?;
    let _ = stopping.send(());
    if let Some(discovery) = discovery {
        let _ = tokio::time::timeout(DISCOVERY_ENDS_MAX, discovery.stop()).await;
    }
    let _ = tokio::time::timeout(REQUESTS_END_MAX, &mut server).await;
    let goodbye = async {
        if ended.is_ok() && !driver.is_finished() {
            handle.stop().await;
            let _ = driver.await;
        }
    };
    if tokio::time::timeout(GOODBYE_MAX, goodbye).await.is_err() {
        tracing::warn!("some links did not end in time and are cut");
    }
    ended
}

/// Looks for nodes of the local network. Without it a node works all the same, so trouble is only told.
fn discover(folder: &OpenFolder, listen: &str, handle: Handle) -> Option<Discovery> {
    let started = Announcement::new(folder.node_id(), folder.cluster_key(), listen)
        .and_then(|announcement| Discovery::start(announcement, mdns::PORT, handle));
    started.map_err(|error| tracing::warn!("nodes of the local network are not looked for: {error}")).ok()
}

#[cfg(test)]
mod tests;
