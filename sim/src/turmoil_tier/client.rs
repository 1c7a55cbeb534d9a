//! A caller of a node, on a host of its own.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use forever_core::bulk::PlainChunk;
use forever_core::command::{Command, CommandError, PutMeta};
use forever_core::event::{FileInfo, FileStat, PutReport, RequestError, RestoreReport, StatusInfo, What, WriteReport};
use forever_core::name::{Name, NameError};
use forever_net_tokio::handle::Request;

use super::host::Host;
use crate::trace::Tracer;

/// How often [`Client::status_when`] asks, in simulated time.
const POLL: Duration = Duration::from_millis(50);

/// The most names that [`Client::list`] returns.
const LIST_MAX: u32 = 10_000;

/// Talks to one node, as the HTTP API does.
pub struct Client {
    pub(super) host: Rc<Host>,
    pub(super) tracer: Tracer,
    pub(super) progress: Rc<Cell<u64>>,
}

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Not a name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The node is down: restart it.
    #[error("the node is down")]
    Down,
    /// The node went down, or was stopped, before it had answered.
    #[error("the node went down in the middle of the request")]
    Gone,
    /// The node refused a command.
    #[error("the node refused a command: {0}")]
    Refused(CommandError),
    /// The request failed.
    #[error(transparent)]
    Failed(#[from] RequestError),
}

impl Client {
    /// Stores a file.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn put(&self, name: &str, content: &[u8]) -> Result<PutReport, Failure> {
        let meta = PutMeta { len: Some(content.len() as u64), ..PutMeta::default() };
        let mut request = self.request(Command::Put { name: Name::new(name)?, meta }).await?;
        let size = self.host.config.chunk_size as usize;
        let mut chunks = content.chunks(size);
        let mut ended = false;
        loop {
            let what = self.next(&mut request).await?;
            if let What::PutDone(report) = what {
                return Ok(report);
            }
            let What::PutReady { chunks: ready } = what else { self.unexpected("put", &what) };
            for chunk in chunks.by_ref().take(ready as usize) {
                let mut plain = PlainChunk::with_capacity(size);
                plain.extend(chunk);
                send(&request, Command::PutChunk { request: request.id, plain }).await?;
                self.advance(chunk.len());
            }
            if chunks.len() == 0 && !ended {
                ended = true;
                send(&request, Command::PutEnd { request: request.id }).await?;
            }
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn get(&self, name: &str) -> Result<Vec<u8>, Failure> {
        let command = Command::Get { name: Name::new(name)?, version: None, range: None };
        let mut request = self.request(command).await?;
        let what = self.next(&mut request).await?;
        let What::GetStart { len, .. } = what else { self.unexpected("get", &what) };
        let mut content = Vec::new();
        loop {
            let what = self.next(&mut request).await?;
            if what == What::GetDone {
                assert_eq!(content.len() as u64, len, "a get delivers what it announced");
                return Ok(content);
            }
            let What::GetData(plain) = what else { self.unexpected("get", &what) };
            content.extend_from_slice(&plain.0);
            self.advance(plain.0.len());
            let bytes = plain.0.len() as u64;
            // The credit of a request's last bytes finds it ended.
            let _ = request.send(Command::GetCredit { request: request.id, bytes }).await;
        }
    }
}

/// Requests that have one answer.
impl Client {
    /// Drops the node's blobs of a file; returns how many bytes that freed.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn evict(&self, name: &str) -> Result<u64, Failure> {
        let what = self.answer(Command::Evict { name: Name::new(name)? }).await?;
        let What::Evicted { freed_bytes, .. } = what else { self.unexpected("evict", &what) };
        Ok(freed_bytes)
    }

    /// Deletes a file everywhere.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn delete(&self, name: &str) -> Result<WriteReport, Failure> {
        let what = self.answer(Command::Delete { name: Name::new(name)? }).await?;
        let What::Deleted(report) = what else { self.unexpected("delete", &what) };
        Ok(report)
    }

    /// The owner's files.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn list(&self) -> Result<Vec<FileInfo>, Failure> {
        let what = self.answer(Command::List { prefix: String::new(), after: None, limit: LIST_MAX }).await?;
        let What::Listed { files, .. } = what else { self.unexpected("list", &what) };
        Ok(files)
    }

    /// All of a file, with the peers that hold it.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn stat(&self, name: &str) -> Result<FileStat, Failure> {
        let what = self.answer(Command::Stat { name: Name::new(name)?, version: None, holders: true }).await?;
        let What::Stat(stat) = what else { self.unexpected("stat", &what) };
        Ok(stat)
    }

    /// Brings the owner's files back from the peers.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn restore(&self) -> Result<RestoreReport, Failure> {
        let what = self.answer(Command::Restore).await?;
        let What::Restored(report) = what else { self.unexpected("restore", &what) };
        Ok(report)
    }

    /// How the node is.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn status(&self) -> Result<StatusInfo, Failure> {
        let what = self.answer(Command::Status).await?;
        let What::Status(status) = what else { self.unexpected("status", &what) };
        Ok(status)
    }

    /// Asks for the status again and again, until it is as wanted. Waits for ever: the cluster sets the deadline.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn status_when(&self, wanted: impl Fn(&StatusInfo) -> bool) -> Result<StatusInfo, Failure> {
        loop {
            let status = self.status().await?;
            if wanted(&status) {
                return Ok(status);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn answer(&self, command: Command) -> Result<What, Failure> {
        let mut request = self.request(command).await?;
        loop {
            let what = self.next(&mut request).await?;
            if what.is_last() {
                return Ok(what);
            }
        }
    }

    async fn request(&self, command: Command) -> Result<Request, Failure> {
        let handle = self.host.handle.borrow().clone().ok_or(Failure::Down)?;
        self.tracer.debug("command", &command);
        handle.request(command).await.map_err(refused)
    }

    async fn next(&self, request: &mut Request) -> Result<What, Failure> {
        let what = request.next().await.ok_or(Failure::Gone)?;
        if let What::GetData(plain) = &what {
            self.tracer.bytes("data", &plain.0);
        } else {
            self.tracer.debug("event", &what);
        }
        if let What::Failed(error) = what { Err(Failure::Failed(error)) } else { Ok(what) }
    }

    /// An event that the request cannot have: a bug of the core.
    fn unexpected(&self, request: &str, what: &What) -> ! {
        panic!("a {request} of {} was answered by {what:?}", self.host.name);
    }

    fn advance(&self, bytes: usize) {
        self.progress.set(self.progress.get() + bytes as u64);
    }
}

async fn send(request: &Request, command: Command) -> Result<(), Failure> {
    request.send(command).await.map_err(refused)
}

/// A node that has gone refuses commands as one that is stopping does.
fn refused(error: CommandError) -> Failure {
    if error == CommandError::Stopping { Failure::Gone } else { Failure::Refused(error) }
}
