//! Transports.

use std::future::Future;
use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

pub mod memory;
pub mod tcp;

/// A byte stream between two nodes.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}

/// A way to make connections, and to run the tasks that serve them.
pub trait Net: Clone + Send + Sync + 'static {
    /// A connection.
    type Stream: Stream;
    /// A listening socket.
    type Listener: Listener<Stream = Self::Stream>;

    /// Listens at an address (`host:port`; port 0 picks a free one).
    fn listen(&self, address: &str) -> impl Future<Output = io::Result<Self::Listener>> + Send;

    /// Connects to an address (`host:port`). May hang for ever: the caller sets the deadline.
    fn connect(&self, address: &str) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Runs a task in the background. (A simulated host needs its own way to do so.)
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static);
}

/// A listening socket.
pub trait Listener: Send + 'static {
    /// A connection.
    type Stream: Stream;

    /// Waits for the next connection; also returns the other end's address. Cancel-safe.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Stream, String)>> + Send;

    /// The address listened at, with the real port.
    fn local_address(&self) -> String;
}
