//! Real nodes within this process: own data folders, TCP over loopback.

use forever_core::command::{Command, PutMeta};
use forever_core::event::{StatusInfo, What};
use forever_core::name::Name;
use forever_net_tokio::folder::{OpenFolder, Owner, create};
use forever_net_tokio::handle::{Handle, Request};
use forever_net_tokio::server::start_node;
use forever_net_tokio::settings::Settings;
use tempfile::TempDir;
use tokio::task::{JoinHandle, yield_now};

use crate::{CHUNK_LEN, noise, plain_chunk};

struct Running {
    handle: Handle,
    driver: JoinHandle<bool>,
    _folder: OpenFolder,
    _place: TempDir,
}

/// Nodes that are all connected to the last of them, the one that callers talk to.
pub struct Cluster {
    nodes: Vec<Running>,
}

impl Cluster {
    /// Starts `nodes` nodes in folders of their own and waits until the last is connected to all others.
    ///
    /// # Panics
    /// When the system refuses: a benchmark has nobody to report it to.
    pub async fn start(nodes: usize) -> Self {
        let mut cluster = Self { nodes: Vec::new() };
        let mut addresses = Vec::new();
        for _ in 0..nodes {
            let place = tempfile::tempdir().expect("there is a folder for temporary files");
            let folder = create(&place.path().join("data"), Owner::New, Some([42; 32].into()))
                .and_then(|folder| folder.open())
                .expect("an empty folder becomes a data folder");
            let settings = Settings { listen: "127.0.0.1:0".into(), peers: addresses.clone(), ..Settings::default() };
            let started = start_node(&folder, &settings).await.expect("a port is free");
            addresses.push(started.listen);
            let driver = tokio::spawn(started.driver);
            cluster.nodes.push(Running { handle: started.handle, driver, _folder: folder, _place: place });
        }
        while (cluster.status().await.peers_connected as usize) < nodes - 1 {
            yield_now().await;
        }
        cluster
    }

    /// Stores `len` bytes under `name`; other content for each `seed`.
    ///
    /// # Panics
    /// When the node refuses.
    pub async fn put(&self, name: &str, seed: u64, len: u64) {
        let meta = PutMeta { len: Some(len), ..PutMeta::default() };
        let mut request = self.request(Command::Put { name: parse(name), meta }).await;
        let mut plain = noise(seed, CHUNK_LEN);
        let (mut left, mut chunk) = (len, 0_u64);
        loop {
            match request.next().await {
                Some(What::PutReady { chunks }) => {
                    for _ in 0..chunks {
                        let next = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK_LEN);
                        if next == 0 {
                            break;
                        }
                        // Enough for the chunks to differ, and cheaper than making new noise.
                        plain[..8].copy_from_slice(&chunk.to_le_bytes());
                        let plain = plain_chunk(&plain[..next]);
                        send(&request, Command::PutChunk { request: request.id, plain }).await;
                        left -= next as u64;
                        chunk += 1;
                        if left == 0 {
                            send(&request, Command::PutEnd { request: request.id }).await;
                        }
                    }
                }
                Some(What::PutDone(report)) => {
                    assert_eq!(report.write.replicas as usize, self.nodes.len(), "every node has the file");
                    return;
                }
                other => panic!("the put failed: {other:?}"),
            }
        }
    }

    /// Reads a file and returns how many bytes came.
    ///
    /// # Panics
    /// When the node refuses.
    pub async fn get(&self, name: &str) -> u64 {
        let mut request = self.request(Command::Get { name: parse(name), version: None, range: None }).await;
        let mut received = 0;
        loop {
            match request.next().await {
                Some(What::GetStart { .. }) => {}
                Some(What::GetData(plain)) => {
                    let bytes = plain.0.len() as u64;
                    received += bytes;
                    // The credit of a request's last bytes finds it ended.
                    let _ = request.send(Command::GetCredit { request: request.id, bytes }).await;
                }
                Some(What::GetDone) => return received,
                other => panic!("the get failed: {other:?}"),
            }
        }
    }

    /// Drops the caller's node's blobs of a file.
    ///
    /// # Panics
    /// When the node refuses.
    pub async fn evict(&self, name: &str) {
        match self.request(Command::Evict { name: parse(name) }).await.next().await {
            Some(What::Evicted { .. }) => {}
            other => panic!("the evict failed: {other:?}"),
        }
    }

    /// Stops all nodes and removes their folders.
    ///
    /// # Panics
    /// When a driver panicked.
    pub async fn stop(self) {
        for node in self.nodes {
            node.handle.stop().await;
            node.driver.await.expect("the driver ends in order");
        }
    }

    async fn status(&self) -> StatusInfo {
        match self.request(Command::Status).await.next().await {
            Some(What::Status(status)) => status,
            other => panic!("no status: {other:?}"),
        }
    }

    async fn request(&self, command: Command) -> Request {
        let node = self.nodes.last().expect("a cluster has nodes");
        node.handle.request(command).await.expect("the node is not busy")
    }
}

async fn send(request: &Request, command: Command) {
    request.send(command).await.expect("the node gave leave for it");
}

fn parse(name: &str) -> Name {
    Name::new(name).expect("a valid name")
}
