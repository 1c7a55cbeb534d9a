//! Pure work, as the driver sees it, and the threads that do it.

use std::io;
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use forever_core::secrets::OwnerKeys;
use forever_core::work::{WorkOp, WorkResult, perform};

use crate::disk::Completion;

/// Performs pieces of work, each with exactly one completion.
pub trait Work: Send + 'static {
    /// Starts a piece of work.
    fn submit(&self, what: WorkOp, done: Completion<WorkResult>);
}

/// A piece of work on its way to a thread.
type Job = (WorkOp, Completion<WorkResult>);

/// Threads that do pure work. They end when this is dropped and what was submitted is done. The queue is unbounded because
/// the core bounds what is under way.
#[derive(Debug)]
pub struct WorkThreads {
    jobs: Sender<Job>,
}

impl WorkThreads {
    /// Starts `threads` threads that work with the owner's keys.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(threads: NonZeroUsize, keys: &Arc<OwnerKeys>) -> io::Result<Self> {
        let (jobs, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..threads.get() {
            let (queue, keys) = (Arc::clone(&queue), Arc::clone(keys));
            let thread = std::thread::Builder::new().name(format!("work-{number}"));
            thread.spawn(move || run(&queue, &keys))?;
        }
        Ok(Self { jobs })
    }
}

/// Ends the process when work panics. That is a bug of this program, and a node whose work is never completed would only seem
/// to be alive.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

fn run(queue: &Mutex<Receiver<Job>>, keys: &OwnerKeys) {
    let _guard = AbortOnPanic;
    loop {
        // Nothing that could panic runs under the lock.
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((what, done)) = job else { return };
        done.complete(perform(what, keys));
    }
}

impl Work for WorkThreads {
    fn submit(&self, what: WorkOp, done: Completion<WorkResult>) {
        // The threads live as long as this sender.
        let _ = self.jobs.send((what, done));
    }
}
