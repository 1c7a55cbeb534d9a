//! The engine on threads: some for blobs, one for questions to the index, one that commits, one for the sweep.
//!
//! ```text
//! submit ─┬─ WriteBlob, ReadBlob ──── blob threads ── row ──┐
//!         ├─ Commit ────────────────────────────────────────┴─ commit thread ── completions
//!         └─ HasBlobs, Lookup, Scan, Usage, ListBlobs ── read thread ── completion
//! ```
//!
//! The commit thread takes all that waits and makes one transaction of it, in order: at once when it is idle, and batched
//! while a commit runs. Blob threads never wait for a commit, so one transaction may carry the rows of many blobs.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, JoinHandle};

use forever_core::disk::{DiskError, DiskOp, DiskResult};

use super::locks::lock;
use super::perform::{Pending, Step, Unlink, assert_bounds};
use super::queue::Queue;
use super::{Store, StoreConfig};
use crate::disk::{Completion, Disk};

/// Changes in one transaction. Beyond a thousand a batch gains nothing, and each waits for all the others.
const BATCH_LEN_MAX: usize = 1024;

type Done = Completion<DiskResult>;

enum Job {
    Perform(DiskOp, Done),
    Unlink(Unlink),
}

/// A store that performs operations on threads of its own. Dropping it performs what was submitted, then closes the store.
#[derive(Debug)]
pub struct StoreDisk {
    shared: Arc<Shared>,
    blob_threads: Vec<JoinHandle<()>>,
    other_threads: Vec<JoinHandle<()>>,
}

struct Shared {
    store: Store,
    blobs: Queue<Job>,
    reads: Queue<(DiskOp, Done)>,
    commits: Queue<(Pending, Done)>,
    stops: AtomicBool,
    /// Held by a check.
    checking: Mutex<()>,
}

/// A store that a node has open, for a check beside its work. It does not keep the store open.
#[derive(Clone, Debug)]
pub struct OpenStore(Weak<Shared>);

/// Why a check cannot begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotNow {
    /// Another is under way.
    Busy,
    /// The store is being closed.
    Closing,
}

impl OpenStore {
    /// Runs a check on this thread. What it is given says when it must end.
    ///
    /// # Errors
    /// When it cannot begin.
    pub fn check<T>(&self, check: impl FnOnce(&Store, &dyn Fn() -> bool) -> T) -> Result<T, NotNow> {
        let shared = self.0.upgrade().ok_or(NotNow::Closing)?;
        let alone = shared.checking.try_lock().map_err(|_| NotNow::Busy)?;
        let checked = check(&shared.store, &|| shared.stops.load(Ordering::Relaxed));
        drop(alone);
        Ok(checked)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("store", &self.store).finish_non_exhaustive()
    }
}

impl StoreDisk {
    /// Starts the threads of a store.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn new(store: Store, config: &StoreConfig) -> io::Result<Self> {
        let mut disk = Self {
            shared: Arc::new(Shared {
                store,
                blobs: Queue::new(),
                reads: Queue::new(),
                commits: Queue::new(),
                stops: AtomicBool::new(false),
                checking: Mutex::default(),
            }),
            blob_threads: Vec::new(),
            other_threads: Vec::new(),
        };
        for number in 0..config.blob_threads.max(1) {
            let thread = disk.spawn(&format!("store-blob-{number}"), Shared::run_blobs)?;
            disk.blob_threads.push(thread);
        }
        let reads = disk.spawn("store-read", Shared::run_reads)?;
        disk.other_threads.push(reads);
        let commits = disk.spawn("store-commit", Shared::run_commits)?;
        disk.other_threads.push(commits);
        let sweep = disk.spawn("store-sweep", Shared::run_sweep)?;
        disk.other_threads.push(sweep);
        Ok(disk)
    }

    fn spawn(&self, name: &str, run: fn(&Shared)) -> io::Result<JoinHandle<()>> {
        let shared = Arc::clone(&self.shared);
        thread::Builder::new().name(name.into()).spawn(move || run(&shared))
    }

    /// The store, for checks beside its work.
    #[must_use]
    pub fn open_store(&self) -> OpenStore {
        OpenStore(Arc::downgrade(&self.shared))
    }

    /// The store, for what is not an operation: export, health.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.shared.store
    }
}

impl Disk for StoreDisk {
    fn submit(&self, what: DiskOp, done: Completion<DiskResult>) {
        assert_bounds(&what);
        let is_open = match what {
            DiskOp::WriteBlob { .. } | DiskOp::ReadBlob { .. } => {
                self.shared.blobs.push(Job::Perform(what, done)).is_ok()
            }
            DiskOp::Commit { .. } => self.shared.begin(what, done).is_ok(),
            DiskOp::HasBlobs { .. }
            | DiskOp::Lookup { .. }
            | DiskOp::Scan { .. }
            | DiskOp::Usage
            | DiskOp::ListBlobs { .. } => self.shared.reads.push((what, done)).is_ok(),
        };
        assert!(is_open, "queues close when the disk is dropped, and then nobody submits");
    }
}

impl Drop for StoreDisk {
    fn drop(&mut self) {
        self.shared.stops.store(true, Ordering::Relaxed);
        // A check that is under way ends now.
        drop(lock(&self.shared.checking));
        // In this order, because blob threads hand over to the commit thread.
        self.shared.blobs.close();
        join(&mut self.blob_threads);
        self.shared.commits.close();
        self.shared.reads.close();
        join(&mut self.other_threads);
    }
}

fn join(threads: &mut Vec<JoinHandle<()>>) {
    for thread in threads.drain(..) {
        // A panic in a thread was caught and told where it happened.
        let _ = thread.join();
    }
}

impl Shared {
    fn run_blobs(&self) {
        while let Some(job) = self.blobs.take(1).pop() {
            match job {
                // The queue of commits closes after this thread has ended.
                Job::Perform(what, done) => drop(self.begin(what, done)),
                Job::Unlink(unlink) => drop(self.guarded(|| self.store.unlink(&unlink))),
            }
        }
    }

    fn run_reads(&self) {
        while let Some((what, done)) = self.reads.take(1).pop() {
            drop(self.begin(what, done));
        }
    }

    fn run_commits(&self) {
        let mut late = Vec::new();
        loop {
            let batch = self.commits.take(BATCH_LEN_MAX);
            if batch.is_empty() {
                break;
            }
            let (pending, dones): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            match self.guarded(|| self.store.settle(pending)) {
                Ok((results, unlinks)) => {
                    for (done, result) in dones.into_iter().zip(results) {
                        done.complete(result);
                    }
                    // Not here: a lock's holder may be waiting in this thread's own queue.
                    let unlinks = unlinks.into_iter().map(Job::Unlink);
                    late.extend(unlinks.filter_map(|unlink| self.blobs.push(unlink).err()));
                }
                Err(error) => {
                    for done in dones {
                        done.complete(Err(error.clone()));
                    }
                }
            }
        }
        // Nobody holds a lock any more.
        for job in late {
            match job {
                Job::Unlink(unlink) => drop(self.guarded(|| self.store.unlink(&unlink))),
                Job::Perform(..) => unreachable!("the commit thread hands over nothing but files to remove"),
            }
        }
    }

    fn run_sweep(&self) {
        while !self.stops.load(Ordering::Relaxed) {
            if self.guarded(|| self.store.sweep_step()) != Ok(true) {
                return;
            }
        }
    }

    /// The first step of an operation here, the second on the commit thread, if it needs one and that still takes any.
    fn begin(&self, what: DiskOp, done: Done) -> Result<(), DiskError> {
        match self.guarded(|| self.store.begin(what)) {
            Ok(Step::Done(result)) => done.complete(result),
            Err(error) => done.complete(Err(error)),
            Ok(Step::Commit(pending)) => {
                if let Err((_, done)) = self.commits.push((pending, done)) {
                    let error = DiskError::Io("the disk is closing".into());
                    done.complete(Err(error.clone()));
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Runs a step. A panic in it is a bug of ours or of `redb`: the operation fails instead of never completing, and as
    /// nobody knows what is half done, nothing is acknowledged after it.
    fn guarded<T>(&self, step: impl FnOnce() -> T) -> Result<T, DiskError> {
        catch_unwind(AssertUnwindSafe(step))
            .map_err(|_| self.store.health.degrade("the storage engine failed: please report this".into()))
    }
}
