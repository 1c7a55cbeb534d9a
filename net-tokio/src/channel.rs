//! The secure channel: Noise XXpsk0 over any byte stream, then sealed frames.
//!
//! The pre-shared key is the cluster's, so a stranger gets silence; the static keys are the nodes' identities. All three
//! handshake messages have a fixed length, so nothing that a stranger sends is ever taken for a size. The keys of the
//! handshake's split then seal frames in place; a frame on the wire is
//!
//! ```text
//! length of the ciphertext, u32 LE ‖ ciphertext ‖ tag, 16 bytes
//! plaintext = length of the header, u16 LE ‖ header ‖ payload
//! ```
//!
//! Source: Perrin, "The Noise Protocol Framework", revision 34 (2018).

use forever_core::buggify;
use std::fmt;
use std::future::Future;
use std::io;

use forever_core::ids::NodeId;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadHalf, WriteHalf};
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

mod cipher;
mod handshake;
mod reader;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod writer;

use crate::simulation::Simulated;
use cipher::FrameCipher;
pub use cipher::REKEY_AFTER_BYTES;
pub use reader::{FrameReader, RawFrame, ReadError};
pub use writer::{BATCH_LEN_MAX, FrameWriter, WriteError};

/// Bytes of the length in front of a frame.
const PREFIX_LEN: usize = 4;

/// Bytes of the header's length at the start of a frame's plaintext.
const HEADER_PREFIX_LEN: usize = 2;

/// Bytes of a frame's authentication tag.
const TAG_LEN: usize = 16;

/// The most bytes of a whole frame on the wire, so that control frames slip between on a slow link.
pub const FRAME_LEN_MAX: usize = 64 * 1024;

/// The most bytes of a frame's plaintext.
const PLAIN_LEN_MAX: usize = FRAME_LEN_MAX - PREFIX_LEN - TAG_LEN;

/// Bytes after which a simulated channel may change its keys.
const BUGGIFY_REKEY_AFTER_BYTES: u64 = 4_096;

/// What a node proves to its peers.
#[derive(Clone)]
pub struct Identity {
    node_secret: Zeroizing<[u8; 32]>,
    cluster_key: Zeroizing<[u8; 32]>,
    node: NodeId,
}

impl Identity {
    /// The identity of the device whose x25519 static key is `node_secret`, in the cluster that shares `cluster_key`.
    #[must_use]
    pub fn new(node_secret: [u8; 32], cluster_key: [u8; 32]) -> Self {
        Self {
            node: handshake::public_key(&node_secret),
            node_secret: Zeroizing::new(node_secret),
            cluster_key: Zeroizing::new(cluster_key),
        }
    }

    /// The same without a cluster key.
    #[cfg(feature = "planted-bugs")]
    pub(crate) fn without_cluster_key(&self) -> Self {
        Self { cluster_key: Zeroizing::new([0; 32]), ..self.clone() }
    }

    /// The public half of the static key.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        self.node
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({:?}, ***)", self.node)
    }
}

/// Why there is no channel.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The connection broke.
    #[error("connection lost during the handshake: {0}")]
    Io(#[from] io::Error),
    /// Nothing, or not enough, came before the deadline, or the other end hung up instead of answering. That is what a
    /// node does to those who do not know its cluster key.
    #[error("the handshake got no answer: the other end's cluster key differs, or it is not a forever node")]
    Silence,
    /// What came was not made with this cluster's key.
    #[error("what came does not authenticate: the cluster key differs, or the other end is not a forever node")]
    Unauthenticated,
}

/// An encrypted stream to an authenticated peer.
pub struct SecureStream<S> {
    stream: S,
    peer: NodeId,
    sealing: FrameCipher,
    opening: FrameCipher,
    simulation: Simulated,
}

impl<S: AsyncRead + AsyncWrite> SecureStream<S> {
    fn new(stream: S, keys: &handshake::Keys) -> Self {
        Self {
            stream,
            peer: keys.peer,
            sealing: FrameCipher::new(&keys.sealing),
            opening: FrameCipher::new(&keys.opening),
            simulation: Simulated::default(),
        }
    }

    /// The peer: it has proved to own this key, and to know the cluster key.
    pub fn peer(&self) -> NodeId {
        self.peer
    }

    /// Changes the keys after so many bytes in each direction, instead of [`REKEY_AFTER_BYTES`]. Both ends must agree.
    #[must_use]
    pub fn rekey_after(mut self, bytes: u64) -> Self {
        self.sealing.rekey_after(bytes);
        self.opening.rekey_after(bytes);
        self
    }

    /// Gives the channel the simulator's hold on the node.
    #[must_use]
    pub fn simulated(mut self, simulation: Simulated) -> Self {
        // For a whole run, since both ends must do alike.
        let rekeys = buggify!(simulation, "channel.rekey-often", for a run);
        #[cfg(feature = "simulation")]
        simulation.begin_key(self.sealing.fingerprint());
        self.simulation = simulation;
        if rekeys { self.rekey_after(BUGGIFY_REKEY_AFTER_BYTES) } else { self }
    }

    /// The two directions.
    pub fn split(self) -> (FrameReader<ReadHalf<S>>, FrameWriter<WriteHalf<S>>) {
        let (source, sink) = tokio::io::split(self.stream);
        let reader = FrameReader::new(source, self.opening, self.simulation.clone());
        (reader, FrameWriter::new(sink, self.sealing, self.simulation))
    }
}

impl<S> fmt::Debug for SecureStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecureStream({:?}, ***)", self.peer)
    }
}

/// Makes a channel over a stream that this node opened. Waits for ever on a silent peer: see [`with_deadline`].
///
/// `seed` is all the randomness of the handshake: unpredictable, and never used twice.
///
/// # Errors
/// [`ChannelError`]; the stream is dropped.
pub async fn initiate<S>(mut stream: S, identity: &Identity, seed: [u8; 32]) -> Result<SecureStream<S>, ChannelError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let keys = handshake::initiate(&mut stream, identity, seed).await?;
    Ok(SecureStream::new(stream, &keys))
}

/// Makes a channel over a stream that the other end opened. To those who do not know the cluster key it writes nothing;
/// use [`accept_quietly`] towards strangers, since this function hangs up on them at once.
///
/// `seed` is all the randomness of the handshake: unpredictable, and never used twice.
///
/// # Errors
/// [`ChannelError`]; the stream is dropped.
pub async fn respond<S>(mut stream: S, identity: &Identity, seed: [u8; 32]) -> Result<SecureStream<S>, ChannelError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let keys = handshake::respond(&mut stream, identity, seed).await?;
    Ok(SecureStream::new(stream, &keys))
}

/// Gives a handshake a deadline.
///
/// # Errors
/// The handshake's own, and [`ChannelError::Silence`] at the deadline.
pub async fn with_deadline<T>(
    deadline: Instant,
    handshake: impl Future<Output = Result<T, ChannelError>>,
) -> Result<T, ChannelError> {
    timeout_at(deadline, handshake).await.unwrap_or(Err(ChannelError::Silence))
}

/// Responds, and tells a stranger nothing but that a port is open: whatever came, the connection stays open and silent
/// until the deadline, or until the other end hangs up. What it sends meanwhile is thrown away.
///
/// # Errors
/// [`ChannelError`], once the stream is closed.
pub async fn accept_quietly<S>(
    mut stream: S,
    identity: &Identity,
    seed: [u8; 32],
    deadline: Instant,
) -> Result<SecureStream<S>, ChannelError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match with_deadline(deadline, handshake::respond(&mut stream, identity, seed)).await {
        Ok(keys) => Ok(SecureStream::new(stream, &keys)),
        Err(ChannelError::Unauthenticated) => {
            // The deadline ends it too, and either way the stream is dropped.
            let _ = timeout_at(deadline, discard(&mut stream)).await;
            Err(ChannelError::Unauthenticated)
        }
        Err(error @ (ChannelError::Io(_) | ChannelError::Silence)) => Err(error),
    }
}

/// Reads and throws away until the stream ends or fails.
async fn discard(source: &mut (impl AsyncRead + Unpin)) {
    let mut scratch = vec![0; 16 * 1024];
    while matches!(source.read(&mut scratch).await, Ok(1..)) {}
}
