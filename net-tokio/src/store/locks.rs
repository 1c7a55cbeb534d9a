//! One lock a blob: whoever changes what is on the disk under a blob's address holds it.
//!
//! It is held from the look at the blob's row to the commit of its new row, across threads, so that two writers of a blob,
//! a writer and the removal of a dropped blob's file, or a writer and the sweep never interleave.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use forever_core::ids::BlobKey;

/// Locks a mutex whose data stays valid whatever panics: every critical section here is a single step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The blobs that are locked. As many as operations are under way, which the core bounds.
#[derive(Debug, Default)]
pub(crate) struct BlobLocks {
    held: Mutex<BTreeSet<BlobKey>>,
    released: Condvar,
}

/// Holds a blob's lock until it is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct BlobGuard {
    locks: Arc<BlobLocks>,
    blob: BlobKey,
}

impl BlobLocks {
    /// Waits for a blob's lock. The thread that commits must not call this: guards wait in its queue.
    pub(crate) fn lock(self: &Arc<Self>, blob: BlobKey) -> BlobGuard {
        let mut held = lock(&self.held);
        while !held.insert(blob) {
            held = self.released.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
        BlobGuard { locks: Arc::clone(self), blob }
    }
}

impl Drop for BlobGuard {
    fn drop(&mut self) {
        lock(&self.locks.held).remove(&self.blob);
        self.locks.released.notify_all();
    }
}
