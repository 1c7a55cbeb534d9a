//! Pure work, with what is asked again and again remembered: a record is verified by every node that gets it, and the answer
//! is the same everywhere.

use std::collections::BTreeMap;

use bytes::Bytes;
use forever_core::intent::{IntentError, SignedIntent, UploadIntent};
use forever_core::record::{RecordError, SignedRecord};
use forever_core::secrets::OwnerKeys;
use forever_core::work::{WorkOp, WorkResult, perform};

/// The most answers remembered of each kind. Beyond it, all are forgotten.
const REMEMBERED_MAX: usize = 8_192;

/// Performs work.
#[derive(Debug, Default)]
pub(super) struct Worker {
    records: BTreeMap<Bytes, Result<SignedRecord, RecordError>>,
    intents: BTreeMap<Bytes, Result<UploadIntent, IntentError>>,
}

impl Worker {
    pub(super) fn perform(&mut self, what: WorkOp, keys: &OwnerKeys) -> WorkResult {
        match what {
            WorkOp::VerifyRecords { records } => {
                WorkResult::RecordsVerified(records.into_iter().map(|bytes| self.record(bytes)).collect())
            }
            WorkOp::VerifyIntent { intent } => WorkResult::IntentVerified(self.intent(intent)),
            other @ (WorkOp::Seal { .. }
            | WorkOp::Open { .. }
            | WorkOp::SealPage { .. }
            | WorkOp::CheckPage { .. }
            | WorkOp::OpenRoot { .. }
            | WorkOp::OpenPage { .. }) => perform(other, keys),
        }
    }

    fn record(&mut self, bytes: Bytes) -> Result<SignedRecord, RecordError> {
        if self.records.len() >= REMEMBERED_MAX {
            self.records.clear();
        }
        self.records.entry(bytes.clone()).or_insert_with(|| SignedRecord::verify(bytes)).clone()
    }

    fn intent(&mut self, bytes: Bytes) -> Result<UploadIntent, IntentError> {
        if self.intents.len() >= REMEMBERED_MAX {
            self.intents.clear();
        }
        self.intents.entry(bytes.clone()).or_insert_with(|| SignedIntent::verify(&bytes)).clone()
    }
}
