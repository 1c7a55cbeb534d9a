//! How callers talk to a running node.

use forever_core::command::{Command, CommandError};
use forever_core::event::What;
use forever_core::ids::RequestId;
use tokio::sync::{mpsc, oneshot};

/// A command on its way to the driver.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) command: Command,
    /// Where the request's events go; `None` for commands that belong to a request that exists.
    pub(crate) events: Option<mpsc::UnboundedSender<What>>,
    pub(crate) answer: oneshot::Sender<Result<RequestId, CommandError>>,
}

/// The other end of a [`Handle`]: what callers ask of the node, for [`crate::drive::drive`].
#[derive(Debug)]
pub struct Calls(pub(crate) mpsc::Receiver<Call>);

/// Commands that may wait for the driver.
const CALLS_MAX: usize = 1024;

/// A running node, as its callers see it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    calls: mpsc::Sender<Call>,
}

impl Handle {
    /// A handle, and what the driver needs of it.
    #[must_use]
    pub fn new() -> (Self, Calls) {
        let (calls, receiver) = mpsc::channel(CALLS_MAX);
        (Self { calls }, Calls(receiver))
    }

    /// Starts a request (`Put`, `Get`, `GetShared`, `Delete`, `Undelete`, `List`, `Stat`, `Versions`, `Share`, `Evict`,
    /// `Restore`, `Status`, `Peers`).
    ///
    /// # Errors
    /// When the node refuses it at once, or has stopped.
    pub async fn request(&self, command: Command) -> Result<Request, CommandError> {
        let (sender, events) = mpsc::unbounded_channel();
        let id = self.call(command, Some(sender)).await?;
        Ok(Request { id, events, handle: self.clone(), ended: false })
    }

    async fn call(
        &self,
        command: Command,
        events: Option<mpsc::UnboundedSender<What>>,
    ) -> Result<RequestId, CommandError> {
        let (answer, answered) = oneshot::channel();
        let call = Call { command, events, answer };
        self.calls.send(call).await.map_err(|_| CommandError::Stopping)?;
        answered.await.map_err(|_| CommandError::Stopping)?
    }

    /// Tells the node of an address at which a node of its cluster was found.
    pub async fn discovered(&self, address: String) {
        // A node that stops looks for nobody any more.
        let _ = self.call(Command::Discovered { address }, None).await;
    }

    /// Says goodbye to all peers and ends the driver; the future of [`crate::drive`] returns.
    pub async fn stop(&self) {
        let _ = self.call(Command::Stop, None).await;
    }
}

/// A request under way. Dropped before its end, it is cancelled.
#[derive(Debug)]
pub struct Request {
    /// Its number.
    pub id: RequestId,
    events: mpsc::UnboundedReceiver<What>,
    handle: Handle,
    ended: bool,
}

impl Request {
    /// The next event; `None` once the request has ended or the node has stopped. Cancel-safe.
    pub async fn next(&mut self) -> Option<What> {
        let what = self.events.recv().await;
        self.ended |= what.as_ref().is_none_or(What::is_last);
        what
    }

    /// Sends a command that belongs to this request (`PutChunk`, `PutEnd`, `GetCredit`).
    ///
    /// # Errors
    /// When the node refuses it, or has stopped.
    pub async fn send(&self, command: Command) -> Result<(), CommandError> {
        self.handle.call(command, None).await.map(|_| ())
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if !self.ended {
            let (answer, _) = oneshot::channel();
            let call = Call { command: Command::Cancel { request: self.id }, events: None, answer };
            // A full queue means that the driver lives and is busy; the request then ends by its own deadline.
            let _ = self.handle.calls.try_send(call);
        }
    }
}
