//! What every transport must do. The suite is generic: a new `Net` passes it by bringing a [`Harness`].
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::any::Any;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use forever_net_tokio::net::memory::{ConnectFault, MemoryNet, MemoryStream, PipeOptions};
use forever_net_tokio::net::tcp::TcpNet;
use forever_net_tokio::net::{Listener, Net, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// How long something that must never happen is watched for.
const NEVER: Duration = Duration::from_millis(200);

/// How long something that must happen may take, on the slowest of machines.
const SOON: Duration = Duration::from_secs(60);

/// What the suite needs besides the transport itself.
trait Harness {
    type Net: Net;

    fn net(&self) -> Self::Net;

    /// Breaks a connection, so that the peer's reads fail.
    fn reset(&self, stream: <Self::Net as Net>::Stream);

    /// An address that refuses connections, for as long as the guard lives.
    async fn refusing(&self) -> (String, Guard);

    /// An address at which connects hang, for as long as the guard lives.
    async fn hanging(&self) -> (String, Guard);
}

type Guard = Box<dyn Any>;

type StreamOf<H> = <<H as Harness>::Net as Net>::Stream;

/// Both ends of a connection, the one that connected first.
async fn connected<H: Harness>(harness: &H) -> (StreamOf<H>, StreamOf<H>) {
    let net = harness.net();
    let mut listener = net.listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_address();
    let (near, far) = tokio::join!(net.connect(&address), listener.accept());
    let (far, remote) = far.unwrap();
    assert!(!remote.is_empty());
    (near.unwrap(), far)
}

/// `len` bytes without a short period.
fn pattern(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

async fn after_a_half_close_the_peer_reads_the_end_and_can_still_write<H: Harness>(harness: H) {
    let (mut near, mut far) = connected(&harness).await;
    near.write_all(b"question").await.unwrap();
    near.shutdown().await.unwrap();
    let mut question = Vec::new();
    far.read_to_end(&mut question).await.unwrap();
    assert_eq!(question, b"question");
    far.write_all(b"answer").await.unwrap();
    drop(far);
    let mut answer = Vec::new();
    near.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"answer");
}

async fn a_reset_fails_the_peers_reads<H: Harness>(harness: H) {
    let (near, mut far) = connected(&harness).await;
    harness.reset(near);
    let error = far.read(&mut [0; 16]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert!(far.write_all(b"late").await.is_err(), "nothing can be written to a broken connection");
}

async fn any_sizes_of_reads_and_writes_give_the_same_bytes<H: Harness>(harness: H) {
    let (mut near, mut far) = connected(&harness).await;
    let bytes = pattern(50_000);
    let writing = async {
        let mut rest = bytes.as_slice();
        for size in (1..=97).cycle() {
            let (piece, later) = rest.split_at(size.min(rest.len()));
            near.write_all(piece).await.unwrap();
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        near.shutdown().await.unwrap();
    };
    let reading = async {
        let mut got = Vec::new();
        for size in (1..=61).cycle() {
            let mut piece = vec![0; size];
            match far.read(&mut piece).await.unwrap() {
                0 => break,
                len => got.extend_from_slice(&piece[..len]),
            }
        }
        got
    };
    let ((), got) = tokio::join!(writing, reading);
    assert!(got == bytes);
}

async fn a_writer_waits_while_nobody_reads_and_goes_on_when_somebody_does<H: Harness>(harness: H) {
    const LEN: usize = 64 << 20;
    let (mut near, mut far) = connected(&harness).await;
    let block = pattern(1 << 16);
    let mut written = 0;
    let unread = async {
        while written < LEN {
            written += near.write(&block[written % block.len()..]).await.unwrap();
        }
    };
    assert!(timeout(NEVER, unread).await.is_err(), "64 MiB went nowhere");
    assert!(written < LEN);

    let writing = async {
        while written < LEN {
            let end = block.len().min(written % block.len() + LEN - written);
            written += near.write(&block[written % block.len()..end]).await.unwrap();
        }
        near.shutdown().await.unwrap();
    };
    let reading = async {
        let mut piece = vec![0; block.len()];
        for _ in 0..LEN / block.len() {
            far.read_exact(&mut piece).await.unwrap();
            assert!(piece == block);
        }
        assert_eq!(far.read(&mut piece).await.unwrap(), 0);
    };
    tokio::join!(writing, reading);
}

async fn a_big_transfer_both_ways_at_once_arrives_whole<H: Harness>(harness: H) {
    let (near, far) = connected(&harness).await;
    let bytes = pattern(16 << 20);
    tokio::join!(exchange(near, &bytes), exchange(far, &bytes));
}

async fn exchange(stream: impl Stream, bytes: &[u8]) {
    let (mut source, mut sink) = tokio::io::split(stream);
    let writing = async {
        sink.write_all(bytes).await.unwrap();
        sink.shutdown().await.unwrap();
    };
    let mut got = Vec::new();
    let ((), read) = tokio::join!(writing, source.read_to_end(&mut got));
    assert_eq!(read.unwrap(), bytes.len());
    assert!(got == *bytes);
}

async fn a_refused_connect_fails<H: Harness>(harness: H) {
    let (address, _guard) = harness.refusing().await;
    let error = harness.net().connect(&address).await.err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

async fn a_hanging_connect_can_be_given_up<H: Harness>(harness: H) {
    let (address, _guard) = harness.hanging().await;
    let net = harness.net();
    assert!(timeout(NEVER, net.connect(&address)).await.is_err());
}

async fn an_address_is_listened_at_once_and_is_free_afterwards<H: Harness>(harness: H) {
    let net = harness.net();
    let listener = net.listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_address();
    assert!(!address.ends_with(":0"), "the real port is told");
    let other = net.listen("127.0.0.1:0").await.unwrap();
    assert_ne!(other.local_address(), address);
    let error = net.listen(&address).await.err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    drop(listener);
    assert_eq!(net.listen(&address).await.unwrap().local_address(), address);
}

async fn an_accept_given_up_loses_no_connection<H: Harness>(harness: H) {
    let net = harness.net();
    let mut listener = net.listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_address();
    for round in 0..20_u8 {
        {
            let mut accept = pin!(listener.accept());
            let polled = std::future::poll_fn(|context| std::task::Poll::Ready(accept.as_mut().poll(context))).await;
            assert!(polled.is_pending(), "nobody has connected");
        }
        let (near, far) = tokio::join!(net.connect(&address), listener.accept());
        near.unwrap().write_all(&[round]).await.unwrap();
        assert_eq!(far.unwrap().0.read_u8().await.unwrap(), round);
    }
}

async fn a_spawned_task_runs<H: Harness>(harness: H) {
    let (done, ended) = tokio::sync::oneshot::channel();
    harness.net().spawn(async move { done.send(7).unwrap() });
    assert_eq!(ended.await.unwrap(), 7);
}

struct Tcp;

impl Harness for Tcp {
    type Net = TcpNet;

    fn net(&self) -> TcpNet {
        TcpNet
    }

    fn reset(&self, stream: TcpStream) {
        stream.set_zero_linger().unwrap();
    }

    /// A socket that is bound but does not listen.
    async fn refusing(&self) -> (String, Guard) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        (socket.local_addr().unwrap().to_string(), Box::new(socket))
    }

    /// A full backlog: the kernel answers no further connect.
    async fn hanging(&self) -> (String, Guard) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        while let Ok(stream) = timeout(NEVER, TcpStream::connect(address)).await {
            waiting.push(stream.unwrap());
        }
        (address.to_string(), Box::new((listener, waiting)))
    }
}

struct Memory(MemoryNet);

impl Memory {
    fn new() -> Self {
        Self(MemoryNet::default())
    }

    /// Pipes that hold little and move it in small and uneven pieces.
    fn stingy() -> Self {
        Self(MemoryNet::new(PipeOptions { capacity: 1_000, read_max: 7, write_max: 11 }))
    }
}

impl Harness for Memory {
    type Net = MemoryNet;

    fn net(&self) -> MemoryNet {
        self.0.clone()
    }

    fn reset(&self, stream: MemoryStream) {
        stream.reset();
    }

    async fn refusing(&self) -> (String, Guard) {
        let address = "127.0.0.1:1".to_owned();
        self.0.set_fault(&address, Some(ConnectFault::Refuse));
        (address, Box::new(()))
    }

    async fn hanging(&self) -> (String, Guard) {
        let address = "127.0.0.1:2".to_owned();
        self.0.set_fault(&address, Some(ConnectFault::Hang));
        (address, Box::new(()))
    }
}

macro_rules! conformance {
    ($($case:ident),* $(,)?) => {
        mod tcp {
            $(#[tokio::test]
            async fn $case() {
                tokio::time::timeout(super::SOON, super::$case(super::Tcp)).await.unwrap();
            })*
        }
        mod memory {
            $(#[tokio::test]
            async fn $case() {
                tokio::time::timeout(super::SOON, super::$case(super::Memory::new())).await.unwrap();
            })*
        }
        mod stingy_memory {
            $(#[tokio::test]
            async fn $case() {
                tokio::time::timeout(super::SOON, super::$case(super::Memory::stingy())).await.unwrap();
            })*
        }
    };
}

conformance!(
    after_a_half_close_the_peer_reads_the_end_and_can_still_write,
    a_reset_fails_the_peers_reads,
    any_sizes_of_reads_and_writes_give_the_same_bytes,
    a_writer_waits_while_nobody_reads_and_goes_on_when_somebody_does,
    a_big_transfer_both_ways_at_once_arrives_whole,
    a_refused_connect_fails,
    a_hanging_connect_can_be_given_up,
    an_address_is_listened_at_once_and_is_free_afterwards,
    an_accept_given_up_loses_no_connection,
    a_spawned_task_runs,
);

#[tokio::test]
async fn in_memory_a_fault_ends_when_it_is_taken_back() {
    let net = MemoryNet::default();
    let mut listener = net.listen("a:1").await.unwrap();
    net.set_fault("a:1", Some(ConnectFault::Refuse));
    assert!(net.connect("a:1").await.is_err());
    net.set_fault("a:1", None);
    let (near, far) = tokio::join!(net.connect("a:1"), listener.accept());
    near.unwrap();
    far.unwrap();
}

#[tokio::test]
async fn in_memory_nobody_connects_where_nobody_listens() {
    let net = MemoryNet::default();
    assert!(net.connect("a:1").await.is_err());
    let listener = net.listen("a:1").await.unwrap();
    assert!(MemoryNet::default().connect("a:1").await.is_err(), "another network");
    drop(listener);
    assert!(net.connect("a:1").await.is_err());
}
