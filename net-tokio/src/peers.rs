//! Who may connect: dialling and admission of peers.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::Arc;

use forever_core::ids::NodeId;
use forever_core::input::DialError;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::channel::{self, ChannelError, Identity, SecureStream};
use crate::net::{Net, Stream};

/// Inbound connections that may be in their handshake at once; strangers can hold no more than these.
pub const HANDSHAKES_MAX: usize = 64;

/// A hook that may refuse a peer: it is given the peer and its address.
pub type OnPeer = Arc<dyn Fn(&NodeId, &str) -> bool + Send + Sync>;

/// Which of those who know the cluster key may connect. Clones share one count of handshakes.
#[derive(Clone)]
pub struct Admission {
    allow: Option<BTreeSet<NodeId>>,
    on_peer: OnPeer,
    handshakes: Arc<Semaphore>,
}

impl Admission {
    /// Admits those on the list (all, if `None`) whom the hook does not refuse either.
    #[must_use]
    pub fn new(allow: Option<BTreeSet<NodeId>>, on_peer: OnPeer) -> Self {
        Self { allow, on_peer, handshakes: Arc::new(Semaphore::new(HANDSHAKES_MAX)) }
    }

    /// Whether a peer, authenticated, may stay.
    #[must_use]
    pub fn allows(&self, peer: &NodeId, remote: &str) -> bool {
        self.allow.as_ref().is_none_or(|list| list.contains(peer)) && (self.on_peer)(peer, remote)
    }
}

/// Admits everyone who knows the cluster key.
impl Default for Admission {
    fn default() -> Self {
        Self::new(None, Arc::new(|_, _| true))
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission")
            .field("allow", &self.allow)
            .field("handshakes_free", &self.handshakes.available_permits())
            .finish_non_exhaustive()
    }
}

/// Why an inbound connection is not admitted. It is closed by then.
#[derive(Debug, thiserror::Error)]
pub enum AdmitError {
    /// [`HANDSHAKES_MAX`] handshakes are under way.
    #[error("{HANDSHAKES_MAX} handshakes are under way, which is the most at once")]
    Crowded,
    /// The connection broke.
    #[error("connection lost during the handshake: {0}")]
    Io(io::Error),
    /// The other end said nothing, or too little, within the deadline.
    #[error("the handshake did not end within its deadline")]
    Silence,
    /// The other end does not know the cluster key.
    #[error("the other end does not know this cluster's key")]
    Stranger,
    /// The peer is not on the allow-list, or the hook refused it.
    #[error("the peer {0} is not allowed here")]
    NotAllowed(NodeId),
}

/// Connects to a node and makes a secure channel, all of it before the deadline. The seed is the handshake's randomness:
/// unpredictable, and never used twice.
///
/// # Errors
/// [`DialError`].
pub async fn dial<N: Net>(
    net: &N,
    address: &str,
    identity: &Identity,
    admission: &Admission,
    seed: [u8; 32],
    deadline: Instant,
) -> Result<(SecureStream<N::Stream>, NodeId), DialError> {
    let stream = timeout_at(deadline, net.connect(address))
        .await
        .map_err(|_| DialError::Connect("no answer".into()))?
        .map_err(|error| DialError::Connect(error.to_string()))?;
    let handshake = channel::initiate(stream, identity, seed);
    let stream = channel::with_deadline(deadline, handshake).await.map_err(|error| match error {
        ChannelError::Silence => DialError::Silence,
        ChannelError::Io(error) => DialError::Handshake(error.to_string()),
        ChannelError::Unauthenticated => DialError::Handshake(error.to_string()),
    })?;
    let peer = stream.peer();
    if !admission.allows(&peer, address) {
        return Err(DialError::NotAllowed(peer));
    }
    Ok((stream, peer))
}

/// Makes a secure channel over an inbound connection before the deadline, quietly (see [`channel::accept_quietly`]). The
/// seed is the handshake's randomness: unpredictable, and never used twice.
///
/// # Errors
/// [`AdmitError`].
pub async fn admit<S: Stream>(
    stream: S,
    remote: &str,
    identity: &Identity,
    admission: &Admission,
    seed: [u8; 32],
    deadline: Instant,
) -> Result<(SecureStream<S>, NodeId), AdmitError> {
    let _slot = admission.handshakes.try_acquire().map_err(|_| AdmitError::Crowded)?;
    let stream = channel::accept_quietly(stream, identity, seed, deadline).await.map_err(|error| match error {
        ChannelError::Io(error) => AdmitError::Io(error),
        ChannelError::Silence => AdmitError::Silence,
        ChannelError::Unauthenticated => AdmitError::Stranger,
    })?;
    let peer = stream.peer();
    if !admission.allows(&peer, remote) {
        return Err(AdmitError::NotAllowed(peer));
    }
    Ok((stream, peer))
}

#[cfg(test)]
mod tests;
