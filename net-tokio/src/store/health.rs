//! Whether the disk may still acknowledge anything.

use std::sync::OnceLock;

use forever_core::disk::DiskError;

/// Sound until the first failed sync, then degraded for good: after it the kernel may have dropped the unsynced bytes
/// and yet report a later sync as done (<https://wiki.postgresql.org/wiki/Fsync_Errors>).
#[derive(Debug, Default)]
pub(crate) struct Health {
    reason: OnceLock<String>,
}

impl Health {
    /// Degrades the disk for good; the first reason stays.
    pub(crate) fn degrade(&self, reason: String) -> DiskError {
        let reason = self.reason.get_or_init(|| {
            tracing::error!(reason, "the disk is degraded: nothing more is acknowledged until a restart");
            reason
        });
        DiskError::Degraded(reason.clone())
    }

    /// Passes while the disk is sound.
    pub(crate) fn check(&self) -> Result<(), DiskError> {
        match self.reason.get() {
            Some(reason) => Err(DiskError::Degraded(reason.clone())),
            None => Ok(()),
        }
    }

    /// Whether a sync has failed.
    pub(crate) fn is_degraded(&self) -> bool {
        self.reason.get().is_some()
    }
}
