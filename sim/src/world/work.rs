//! Pure work, with what is asked again and again remembered: a signature is verified by every node that gets it, and the
//! answer is the same everywhere.

use std::collections::BTreeMap;

use bytes::Bytes;
use forever_core::intent::{IntentError, SignedIntent, UploadIntent};
use forever_core::secrets::OwnerKeys;
use forever_core::work::{WorkOp, WorkResult, perform};

use crate::store::inspect::Inspector;

/// The most answers remembered. Beyond it, all are forgotten.
const REMEMBERED_MAX: usize = 8_192;

/// Performs work.
#[derive(Debug, Default)]
pub(super) struct Worker {
    intents: BTreeMap<Bytes, Result<UploadIntent, IntentError>>,
}

impl Worker {
    pub(super) fn perform(&mut self, what: WorkOp, keys: &OwnerKeys, records: &mut Inspector) -> WorkResult {
        match what {
            WorkOp::VerifyRecords { records: all } => {
                WorkResult::RecordsVerified(all.into_iter().map(|bytes| records.verify(bytes)).collect())
            }
            WorkOp::VerifyIntent { intent } => WorkResult::IntentVerified(self.intent(intent)),
            other @ (WorkOp::Seal { .. }
            | WorkOp::Open { .. }
            | WorkOp::SealPage { .. }
            | WorkOp::CheckPage { .. }
            | WorkOp::OpenRoot { .. }
            | WorkOp::OpenPage { .. }
            | WorkOp::VerifyTicket { .. }) => perform(other, keys),
        }
    }

    fn intent(&mut self, bytes: Bytes) -> Result<UploadIntent, IntentError> {
        if self.intents.len() >= REMEMBERED_MAX {
            self.intents.clear();
        }
        *self.intents.entry(bytes.clone()).or_insert_with(|| SignedIntent::verify(&bytes))
    }
}
