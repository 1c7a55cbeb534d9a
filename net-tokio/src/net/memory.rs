//! A transport within the process, with faults to inject: for tests, and for nodes that share a process.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use super::{Listener, Net};

mod pipe;

pub use pipe::{MemoryStream, PipeOptions};

/// Connections that may wait to be accepted.
const BACKLOG: usize = 128;

/// The first port that is picked for an address with port 0.
const FIRST_FREE_PORT: u32 = 49_152;

/// What happens to those who connect to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectFault {
    /// They are refused.
    Refuse,
    /// They wait for ever.
    Hang,
}

/// A network of its own: only clones of one `MemoryNet` reach each other. Addresses are compared as text.
#[derive(Clone, Debug, Default)]
pub struct MemoryNet {
    options: PipeOptions,
    registry: Arc<Mutex<Registry>>,
}

#[derive(Debug, Default)]
struct Registry {
    listeners: BTreeMap<String, mpsc::Sender<(MemoryStream, String)>>,
    faults: BTreeMap<String, ConnectFault>,
    ports_picked: u32,
    connections: u64,
}

impl MemoryNet {
    /// A network whose connections behave as told.
    #[must_use]
    pub fn new(options: PipeOptions) -> Self {
        Self { options, registry: Arc::default() }
    }

    /// Sets (or, with `None`, ends) a fault of all later connects to an address.
    pub fn set_fault(&self, address: &str, fault: Option<ConnectFault>) {
        let mut registry = self.registry();
        match fault {
            Some(fault) => registry.faults.insert(address.to_owned(), fault),
            None => registry.faults.remove(address),
        };
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        // No code panics half-way through a change of the registry.
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Net for MemoryNet {
    type Stream = MemoryStream;
    type Listener = MemoryListener;

    async fn listen(&self, address: &str) -> io::Result<MemoryListener> {
        let mut registry = self.registry();
        let address = match address.strip_suffix(":0") {
            Some(host) => registry.pick(host),
            None => address.to_owned(),
        };
        if registry.listeners.contains_key(&address) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let (sender, incoming) = mpsc::channel(BACKLOG);
        registry.listeners.insert(address.clone(), sender);
        drop(registry);
        Ok(MemoryListener { address, incoming, net: self.clone() })
    }

    async fn connect(&self, address: &str) -> io::Result<MemoryStream> {
        let (fault, listener, number) = {
            let mut registry = self.registry();
            registry.connections += 1;
            let fault = registry.faults.get(address).copied();
            (fault, registry.listeners.get(address).cloned(), registry.connections)
        };
        match (fault, listener) {
            (Some(ConnectFault::Hang), _) => std::future::pending().await,
            (Some(ConnectFault::Refuse), _) | (None, None) => Err(io::ErrorKind::ConnectionRefused.into()),
            (None, Some(listener)) => {
                let (near, far) = pipe::pair(self.options);
                listener.send((far, format!("memory:{number}"))).await.map_err(|_| io::ErrorKind::ConnectionRefused)?;
                Ok(near)
            }
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(tokio::spawn(task));
    }
}

impl Registry {
    fn pick(&mut self, host: &str) -> String {
        loop {
            let address = format!("{host}:{}", FIRST_FREE_PORT + self.ports_picked);
            self.ports_picked += 1;
            if !self.listeners.contains_key(&address) {
                return address;
            }
        }
    }
}

/// A listener of a [`MemoryNet`]. Dropped, it frees its address.
#[derive(Debug)]
pub struct MemoryListener {
    address: String,
    incoming: mpsc::Receiver<(MemoryStream, String)>,
    net: MemoryNet,
}

impl Listener for MemoryListener {
    type Stream = MemoryStream;

    async fn accept(&mut self) -> io::Result<(MemoryStream, String)> {
        // The registry holds a sender for as long as this listener lives.
        self.incoming.recv().await.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn local_address(&self) -> String {
        self.address.clone()
    }
}

impl Drop for MemoryListener {
    fn drop(&mut self) {
        self.net.registry().listeners.remove(&self.address);
    }
}
