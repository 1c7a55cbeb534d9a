//! Somebody outside the cluster, on a host of its own: it does not know the cluster key, and dials nodes as faults have it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use forever_net_tokio::channel::{self, Identity};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use turmoil::net::TcpStream;

use super::board::Board;
use super::net::name_of;
use super::panics::Panics;
use crate::draw::{Draw, Site};
use crate::store::{Approach, Event};
use crate::trace::Tracer;

/// The name of its host: no node's.
pub(crate) const NAME: &str = "stranger";

/// How long it waits for an answer before it hangs up.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest pause between two of its connections.
const PAUSE_MS_MAX: u64 = 1_000;

/// The most bytes that it takes of an answer.
const ANSWER_LEN_MAX: usize = 4_096;

const STRANGER: Site = Site::new("turmoil.stranger");

/// Whom to dial, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    fault: usize,
    node: usize,
    port: u16,
    approach: Approach,
}

/// Sends the stranger.
#[derive(Debug)]
pub(crate) struct Stranger {
    orders: mpsc::UnboundedSender<Order>,
}

/// What the stranger's host needs.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) board: Board,
    pub(crate) tracer: Tracer,
    pub(crate) panics: Panics,
}

/// Its process, which is started once.
pub(crate) type Process = Rc<RefCell<Option<mpsc::UnboundedReceiver<Order>>>>;

impl Stranger {
    /// The stranger, and the process that its host runs.
    pub(crate) fn new() -> (Self, Process) {
        let (orders, receiver) = mpsc::unbounded_channel();
        (Self { orders }, Rc::new(RefCell::new(Some(receiver))))
    }

    /// Lets it dial a node, at a port, for as long as a fault lasts.
    pub(crate) fn dial(&self, fault: usize, node: usize, port: u16, approach: Approach) {
        // It takes orders for as long as there is a simulation.
        let _ = self.orders.send(Order { fault, node, port, approach });
    }
}

/// Its host: each order in a task of its own.
pub(crate) async fn run(setup: Setup, process: Process) -> turmoil::Result {
    let Some(mut orders) = process.borrow_mut().take() else { return Ok(()) };
    while let Some(order) = orders.recv().await {
        let (setup, guard) = (setup.clone(), setup.panics.guard());
        drop(tokio::task::spawn_local(async move {
            let _guard = guard;
            setup.follow(order).await;
        }));
    }
    Ok(())
}

impl Setup {
    async fn follow(&self, order: Order) {
        while self.board.active().iter().any(|(id, _)| *id == order.fault) {
            let mut draw = self.board.draw(STRANGER, order.fault as u64);
            // That a node cannot be reached is no answer.
            if let Ok(stream) = TcpStream::connect(format!("{}:{}", name_of(order.node), order.port)).await {
                self.board.bite(order.fault);
                let told = listen(stream, &opening(order.approach, &mut draw).await).await;
                self.tracer.bytes("stranger is told", &told);
                if !told.is_empty() {
                    self.board.emit(Event::Told { node: order.node, bytes: told.into() });
                }
            }
            tokio::time::sleep(Duration::from_millis(1 + draw.below(PAUSE_MS_MAX))).await;
        }
    }
}

/// What it says first.
async fn opening(approach: Approach, draw: &mut Draw) -> Bytes {
    match approach {
        Approach::Silent => Bytes::new(),
        Approach::Noise => {
            let noise: Vec<u8> = (0..8).flat_map(|_| draw.bytes32()).collect();
            let len = 1 + draw.index(noise.len());
            Bytes::copy_from_slice(&noise[..len])
        }
        Approach::AnotherKey => hello(&Identity::new(draw.bytes32(), draw.bytes32()), draw.bytes32()).await,
        Approach::NoKey => hello(&Identity::new(draw.bytes32(), [0; 32]), draw.bytes32()).await,
    }
}

/// The first message of a handshake.
async fn hello(identity: &Identity, seed: [u8; 32]) -> Bytes {
    let (ours, mut theirs) = tokio::io::duplex(ANSWER_LEN_MAX);
    let mut message = vec![0; ANSWER_LEN_MAX];
    let len = tokio::select! {
        biased;
        // It waits for an answer that never comes.
        _ = channel::initiate(ours, identity, seed) => 0,
        len = theirs.read(&mut message) => len.unwrap_or(0),
    };
    message.truncate(len);
    message.into()
}

/// What a node sends to whoever says this, before it or the stranger hangs up.
async fn listen(mut stream: TcpStream, opening: &[u8]) -> Vec<u8> {
    let mut told = Vec::new();
    if stream.write_all(opening).await.is_err() {
        return told;
    }
    let hear = async {
        let mut piece = vec![0; ANSWER_LEN_MAX];
        while told.len() < ANSWER_LEN_MAX {
            match stream.read(&mut piece).await {
                Ok(0) | Err(_) => return,
                Ok(len) => told.extend_from_slice(&piece[..len]),
            }
        }
    };
    // It has no more patience than that.
    let _ = tokio::time::timeout(PATIENCE, hear).await;
    told
}
