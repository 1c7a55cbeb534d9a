//! Pure work, with what is asked again and again remembered: a signature is verified, and a page checked, by every node that gets
//! it, and the answer is the same everywhere.

use std::collections::BTreeMap;

use bytes::Bytes;
use forever_core::ids::OwnerId;
use forever_core::manifest::{ManifestError, OpenedPage, PageContext, open_root_page};
use forever_core::secrets::OwnerKeys;
use forever_core::work::{WorkOp, WorkResult, perform};

use crate::store::inspect::Inspector;

/// The most opened pages remembered. Beyond it, all are forgotten.
const REMEMBERED_MAX: usize = 8_192;

/// Performs work.
#[derive(Debug, Default)]
pub(super) struct Worker {
    /// By the bytes of a root page, what came of opening it with an owner's keys as one of a context.
    roots: BTreeMap<Bytes, (OwnerId, PageContext, Result<OpenedPage, ManifestError>)>,
}

impl Worker {
    pub(super) fn perform(&mut self, what: WorkOp, keys: &OwnerKeys, inspector: &mut Inspector) -> WorkResult {
        match what {
            WorkOp::VerifyRecords { records } => {
                WorkResult::RecordsVerified(records.into_iter().map(|bytes| inspector.verify(bytes)).collect())
            }
            WorkOp::VerifyIntent { intent } => WorkResult::IntentVerified(inspector.verify_intent(intent)),
            WorkOp::CheckPage { page, data } => WorkResult::PageChecked(inspector.check_page(page, &data).cloned()),
            WorkOp::OpenRoot { context, data } => WorkResult::PageOpened(self.open_root(keys, context, data)),
            other @ (WorkOp::Seal { .. }
            | WorkOp::Open { .. }
            | WorkOp::SealPage { .. }
            | WorkOp::OpenPage { .. }
            | WorkOp::VerifyTicket { .. }) => perform(other, keys),
        }
    }

    fn open_root(&mut self, keys: &OwnerKeys, context: PageContext, data: Bytes) -> Result<OpenedPage, ManifestError> {
        let owner = keys.owner_id();
        if let Some((by, of, opened)) = self.roots.get(&data)
            && (*by, *of) == (owner, context)
        {
            return opened.clone();
        }
        if self.roots.len() >= REMEMBERED_MAX {
            self.roots.clear();
        }
        let opened = open_root_page(keys, &context, &data);
        self.roots.insert(data, (owner, context, opened.clone()));
        opened
    }
}
