//! turmoil's network as the driver's, with the faults of the [`Wire`] in between and every byte in the trace.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use forever_net_tokio::net::{Listener, Net};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use turmoil::net::{TcpListener, TcpStream};

use super::gate::{Gate, Gated};
use super::panics::Panics;
use super::wire::{End, Verdict, Wire};
use crate::trace::Tracer;

/// The name of a node's host.
pub(crate) fn name_of(node: usize) -> String {
    format!("node-{node}")
}

/// The node of a host's name.
fn node_of(name: &str) -> Option<usize> {
    name.strip_prefix("node-")?.parse().ok()
}

/// The network as one simulated host sees it.
#[derive(Clone, Debug)]
pub struct TurmoilNet {
    node: usize,
    wire: Wire,
    gate: Gate,
    tracer: Tracer,
    panics: Panics,
}

impl TurmoilNet {
    pub(crate) fn new(node: usize, wire: Wire, gate: Gate, tracer: Tracer, panics: Panics) -> Self {
        Self { node, wire, gate, tracer, panics }
    }

    fn stream(&self, stream: TcpStream, remote: Option<usize>) -> io::Result<TurmoilStream> {
        let end = self.wire.end(self.node, remote, stream.local_addr()?, stream.peer_addr()?);
        Ok(TurmoilStream {
            stream: Some(stream),
            end,
            wire: self.wire.clone(),
            tracer: self.tracer.clone(),
            first: VecDeque::new(),
            late: None,
            wait: None,
        })
    }

    /// Runs a task of the host's process that need not be sent anywhere.
    pub(crate) fn spawn_local(&self, task: impl Future<Output = ()> + 'static) {
        let guard = self.panics.guard();
        let task = async move {
            let _guard = guard;
            task.await;
        };
        drop(tokio::task::spawn_local(Gated::new(self.gate.clone(), task)));
    }
}

impl Net for TurmoilNet {
    type Stream = TurmoilStream;
    type Listener = TurmoilListener;

    async fn listen(&self, address: &str) -> io::Result<TurmoilListener> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?.to_string();
        Ok(TurmoilListener { listener, address, net: self.clone() })
    }

    async fn connect(&self, address: &str) -> io::Result<TurmoilStream> {
        let remote =
            address.split_once(':').and_then(|(host, _)| node_of(host).or_else(|| node_at(host.parse().ok()?)));
        if let Some(remote) = remote {
            self.wire.note_traffic(self.node, remote);
        }
        let connected = TcpStream::connect(address).await;
        self.tracer.debug("connect", &(address, connected.as_ref().err().map(io::Error::kind)));
        self.stream(connected?, remote)
    }

    /// Spawns on the host's own task set, so that the task sees the host's network and dies with the host.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn_local(task);
    }
}

/// A listening socket.
pub struct TurmoilListener {
    listener: TcpListener,
    address: String,
    net: TurmoilNet,
}

impl Listener for TurmoilListener {
    type Stream = TurmoilStream;

    async fn accept(&mut self) -> io::Result<(TurmoilStream, String)> {
        let (stream, address) = self.listener.accept().await?;
        let remote = address.to_string();
        self.net.tracer.bytes("accept", remote.as_bytes());
        Ok((self.net.stream(stream, host_at(address))?, remote))
    }

    fn local_address(&self) -> String {
        self.address.clone()
    }
}

fn host_at(address: SocketAddr) -> Option<usize> {
    node_at(address.ip())
}

fn node_at(address: IpAddr) -> Option<usize> {
    node_of(&turmoil::reverse_lookup(address)?)
}

/// A connection.
#[derive(Debug)]
pub struct TurmoilStream {
    /// Nothing once this end has vanished.
    stream: Option<TcpStream>,
    end: Arc<End>,
    wire: Wire,
    tracer: Tracer,
    /// What goes out before anything else.
    first: VecDeque<Bytes>,
    /// What goes out after what is written next.
    late: Option<Bytes>,
    wait: Option<Pin<Box<Sleep>>>,
}

fn reset() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

fn now() -> Duration {
    turmoil::sim_elapsed().expect("streams are used on hosts")
}

impl TurmoilStream {
    /// The stream, unless it has been reset or has vanished.
    fn live(&mut self, cx: &Context<'_>) -> io::Result<&mut TcpStream> {
        self.end.watch(cx.waker());
        if self.end.has_vanished()
            && let Some(stream) = self.stream.take()
        {
            self.tracer.bytes("vanished", &[]);
            self.wire.bury(stream);
        }
        if self.wire.is_reset(&self.end) {
            return Err(reset());
        }
        self.stream.as_mut().ok_or_else(reset)
    }

    /// Sends what goes out before anything else.
    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(mut bytes) = self.first.pop_front() {
            match Pin::new(self.live(cx)?).poll_write(cx, &bytes) {
                Poll::Ready(Ok(len)) => {
                    self.tracer.bytes("write", &bytes.split_to(len));
                    if !bytes.is_empty() {
                        self.first.push_front(bytes);
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.first.push_front(bytes);
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(wait) = &mut self.wait {
            ready!(wait.as_mut().poll(cx));
            self.wait = None;
        }
        Poll::Ready(())
    }

    fn poll_write_now(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(self.live(cx)?).poll_write(cx, bytes));
        match &written {
            Ok(len) => self.tracer.bytes("write", &bytes[..*len]),
            Err(error) => self.tracer.debug("write failed", &error.kind()),
        }
        self.first.extend(self.late.take());
        Poll::Ready(written)
    }
}

impl AsyncRead for TurmoilStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = out.filled().len();
        let short = this.wire.read_len_max(&this.end).filter(|len| *len < out.remaining());
        let result = if let Some(len) = short {
            let mut part = vec![0; len];
            let mut part = ReadBuf::new(&mut part);
            let result = ready!(Pin::new(this.live(cx)?).poll_read(cx, &mut part));
            out.put_slice(part.filled());
            result
        } else {
            ready!(Pin::new(this.live(cx)?).poll_read(cx, out))
        };
        let len = out.filled().len() - before;
        match &result {
            // What was read is what the other end wrote, which the trace has.
            Ok(()) => this.tracer.bytes("read", &(len as u64).to_le_bytes()),
            Err(error) => this.tracer.debug("read failed", &error.kind()),
        }
        if len == 0 && this.wire.is_reset(&this.end) {
            return Poll::Ready(Err(reset()));
        }
        Poll::Ready(result)
    }
}

impl AsyncWrite for TurmoilStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        loop {
            ready!(this.poll_wait(cx));
            ready!(this.poll_first(cx))?;
            // Nothing is drawn for a write that cannot be made.
            let stream = this.live(cx)?;
            ready!(pin!(stream.writable()).poll(cx))?;
            match this.wire.on_write(&this.end, bytes.len(), now()) {
                Verdict::Pass(len) => return this.poll_write_now(cx, &bytes[..len]),
                Verdict::Wait(until) => this.wait = Some(Box::pin(tokio::time::sleep(until - now()))),
                Verdict::Drop(len) => {
                    this.tracer.bytes("dropped", &bytes[..len]);
                    return Poll::Ready(Ok(len));
                }
                Verdict::Twice(len) => {
                    let written = ready!(this.poll_write_now(cx, &bytes[..len]))?;
                    this.first.push_front(Bytes::copy_from_slice(&bytes[..written]));
                    return Poll::Ready(Ok(written));
                }
                Verdict::Late(len) => {
                    this.first.extend(this.late.replace(Bytes::copy_from_slice(&bytes[..len])));
                    return Poll::Ready(Ok(len));
                }
                Verdict::Reset(len) => {
                    // The other end sees the reset after these bytes, whatever comes of this write.
                    let stream = this.stream.as_mut().ok_or_else(reset)?;
                    let _ = Pin::new(stream).poll_write(cx, &bytes[..len]);
                    this.tracer.bytes("reset", &bytes[..len]);
                    return Poll::Ready(Err(reset()));
                }
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_first(cx))?;
        Pin::new(self.live(cx)?).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_first(cx))?;
        let stream = self.live(cx)?;
        // turmoil loses the end of a stream whose receiver has no room left for it.
        ready!(pin!(stream.writable()).poll(cx))?;
        let result = Pin::new(stream).poll_shutdown(cx);
        self.tracer.bytes("shutdown", &[]);
        result
    }
}
