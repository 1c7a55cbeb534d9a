//! TCP, through tokio. The only place that names `tokio::net`.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};

use super::{Listener, Net};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// Bytes that the kernel takes without having sent them. What lies in the kernel cannot be overtaken, so a control frame
/// waits behind at most this much bulk, besides what is in flight.
#[cfg(any(target_os = "android", target_os = "linux"))]
const NOTSENT_MAX: u32 = 128 * 1024;

/// TCP over IPv4 and IPv6.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpNet;

impl Net for TcpNet {
    type Stream = TcpStream;
    type Listener = TcpAcceptor;

    async fn listen(&self, address: &str) -> io::Result<TcpAcceptor> {
        let mut last_error = no_address();
        for candidate in lookup_host(address).await? {
            match bind(candidate) {
                Ok(acceptor) => return Ok(acceptor),
                Err(error) => last_error = error,
            }
        }
        Err(last_error)
    }

    async fn connect(&self, address: &str) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        tune(&stream);
        Ok(stream)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(tokio::spawn(task));
    }
}

/// A listening TCP socket.
#[derive(Debug)]
pub struct TcpAcceptor {
    listener: TcpListener,
    local: SocketAddr,
}

impl Listener for TcpAcceptor {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, String)> {
        loop {
            match self.listener.accept().await {
                Ok((stream, remote)) => {
                    tune(&stream);
                    return Ok((stream, remote.to_string()));
                }
                // The other end went away while it waited; the listener is as good as before.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn local_address(&self) -> String {
        self.local.to_string()
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpAcceptor> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Lets a restarted node have its port back at once. On Windows it would let two programs share one.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    let local = listener.local_addr()?;
    Ok(TcpAcceptor { listener, local })
}

/// Sets what helps. Without it only the latency of control frames suffers, and a stream that is broken says so itself.
fn tune(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY cannot be set");
    }
    #[cfg(any(target_os = "android", target_os = "linux"))]
    if let Err(error) = socket2::SockRef::from(stream).set_tcp_notsent_lowat(NOTSENT_MAX) {
        tracing::debug!(%error, "TCP_NOTSENT_LOWAT cannot be set");
    }
}

fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address")
}
