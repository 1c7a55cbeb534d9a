//! A served fake node, and a client that speaks HTTP by hand.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::fake::{FakeNode, Seen};
use crate::folder::{Folder, Owner, create};
use crate::server::{self, ServeError, StartedNode};
use crate::settings::{Flags, Settings};

/// A node that serves; stopped in order by [`Served::stop`].
pub(crate) struct Served {
    pub(crate) api: SocketAddr,
    pub(crate) token: String,
    pub(crate) seen: watch::Receiver<Seen>,
    pub(crate) folder: Folder,
    stop: oneshot::Sender<()>,
    done: JoinHandle<Result<(), ServeError>>,
    _data: TempDir,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Status and error code.
    pub(crate) fn error(&self) -> (u16, String) {
        let json = self.json();
        assert!(!json["message"].as_str().unwrap().is_empty());
        (self.status, json["error"].as_str().unwrap().to_owned())
    }
}

impl Served {
    pub(crate) async fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join("data");
        let folder = create(&path, Owner::New, None).unwrap().open().unwrap();
        let token = folder.folder().api_token().unwrap().to_string();
        let settings = settings(&path);
        let (handle, seen, node) = FakeNode::new();
        let driver = Box::pin(async move {
            node.run().await;
            false
        });
        let node = StartedNode { handle, listen: "127.0.0.1:7000".to_owned(), driver, checker: None };
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = oneshot::channel();
        let seen_folder = folder.folder().clone();
        let done = tokio::spawn(async move {
            let listener = server::bind_api(settings.api).await?;
            let ready = |line: &server::Ready| ready.send(line.clone()).unwrap();
            let stopped = async {
                let _ = stopped.await;
            };
            server::serve(&folder, &settings, listener, node, ready, stopped).await
        });
        Self { api: is_ready.await.unwrap().api, token, seen, folder: seen_folder, stop, done, _data: data }
    }

    pub(crate) async fn stop(self) -> Result<(), ServeError> {
        let _ = self.stop.send(());
        self.done.await.unwrap()
    }

    /// A connection that has sent a request's head, and nothing else.
    pub(crate) async fn open(&self, method: &str, path: &str, headers: &[&str]) -> TcpStream {
        let token = format!("Authorization: Bearer {}", self.token);
        self.open_bare(method, path, &[headers, &["Host: localhost", &token]].concat()).await
    }

    /// The same, with no header but those given.
    pub(crate) async fn open_bare(&self, method: &str, path: &str, headers: &[&str]) -> TcpStream {
        let mut stream = TcpStream::connect(self.api).await.unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &[&str]) -> Answer {
        read_answer(self.open(method, path, headers).await).await
    }

    pub(crate) async fn put(&self, path: &str, headers: &[&str], body: &[u8]) -> Answer {
        self.send("PUT", path, headers, body).await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
        let len = format!("Content-Length: {}", body.len());
        let mut stream = self.open(method, path, &[headers, &[&len]].concat()).await;
        stream.write_all(body).await.unwrap();
        read_answer(stream).await
    }
}

pub(crate) fn settings(data: &Path) -> Settings {
    std::fs::write(data.join("config.toml"), "chunk_size_kib = 64").unwrap();
    let flags = Flags { api: Some("127.0.0.1:0".to_owned()), ..Flags::default() };
    Settings::load(&data.join("config.toml"), std::iter::empty(), &flags).unwrap()
}

/// All that comes until the other end closes.
pub(crate) async fn read_answer(mut stream: TcpStream) -> Answer {
    let mut all = Vec::new();
    // A body that is cut off may end in a reset.
    let _ = stream.read_to_end(&mut all).await;
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head");
    let body = all.split_off(end + 4);
    let head = String::from_utf8(all).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body }
}
