//! Heavy pure work: sealing, opening, hashing, signatures. The core emits it, a runtime performs it (tokio on threads,
//! the simulators inline), and the result comes back as an input.

use alloc::vec::Vec;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::bulk::{Bulk, PlainChunk};
use crate::ids::{ChunkId, PageId};
use crate::intent::{IntentError, SignedIntent, UploadIntent};
use crate::manifest::{
    ManifestError, OpenedPage, PageContext, PagePublic, PageSecrets, SealedPage, check_page, open_page, open_root_page,
    seal_page,
};
use crate::record::{RecordError, SignedRecord};
use crate::seal::{SealError, SealedChunk, open_chunk, seal_chunk};
use crate::secrets::{ChunkKey, OwnerKeys, PageKey};
use crate::ticket::{SignedTicket, Ticket, TicketError};

/// A piece of pure work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkOp {
    /// Seals a chunk.
    Seal {
        /// Its plaintext.
        plain: PlainChunk,
    },
    /// Checks a blob against its address and opens it.
    Open {
        /// Its address.
        chunk: ChunkId,
        /// Its key.
        key: ChunkKey,
        /// Its bytes.
        data: Bulk,
    },
    /// Seals a page of a manifest.
    SealPage {
        /// What the page belongs to.
        context: PageContext,
        /// Its public part.
        public: PagePublic,
        /// Its sealed part.
        secrets: PageSecrets,
    },
    /// Checks a page against its address and its public part for sense.
    CheckPage {
        /// Its address.
        page: PageId,
        /// Its bytes.
        data: Bytes,
    },
    /// Opens a root page with the owner's keys. The page has been checked.
    OpenRoot {
        /// What the page belongs to; its page count is taken from the page itself.
        context: PageContext,
        /// Its bytes.
        data: Bytes,
    },
    /// Opens a page with its key: that of a child lies in its root, that of a root in a ticket. The page has been checked.
    OpenPage {
        /// What the page belongs to.
        context: PageContext,
        /// Its key.
        key: PageKey,
        /// Its bytes.
        data: Bytes,
    },
    /// Verifies signed records.
    VerifyRecords {
        /// Their exact bytes.
        records: Vec<Bytes>,
    },
    /// Verifies an upload intent.
    VerifyIntent {
        /// Its exact bytes.
        intent: Bytes,
    },
    /// Verifies a ticket.
    VerifyTicket {
        /// Its exact bytes.
        ticket: SignedTicket,
    },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkResult {
    /// Of [`WorkOp::Seal`].
    Sealed(SealedChunk),
    /// Of [`WorkOp::Open`].
    Opened(Result<Bytes, SealError>),
    /// Of [`WorkOp::SealPage`].
    PageSealed(SealedPage),
    /// Of [`WorkOp::CheckPage`].
    PageChecked(Result<PagePublic, ManifestError>),
    /// Of [`WorkOp::OpenRoot`] and [`WorkOp::OpenPage`].
    PageOpened(Result<OpenedPage, ManifestError>),
    /// Of [`WorkOp::VerifyRecords`], in the order given.
    RecordsVerified(Vec<Result<SignedRecord, RecordError>>),
    /// Of [`WorkOp::VerifyIntent`].
    IntentVerified(Result<UploadIntent, IntentError>),
    /// Of [`WorkOp::VerifyTicket`].
    TicketVerified(Result<Ticket, TicketError>),
}

/// Performs a piece of work. Pure: the same operation and keys give the same result on any machine.
#[must_use]
pub fn perform(op: WorkOp, keys: &OwnerKeys) -> WorkResult {
    match op {
        WorkOp::Seal { plain } => WorkResult::Sealed(seal_chunk(keys, plain)),
        WorkOp::Open { chunk, key, data } => WorkResult::Opened(open_chunk(chunk, &key, data)),
        WorkOp::SealPage { context, public, secrets } => {
            WorkResult::PageSealed(seal_page(keys, &context, &public, &secrets))
        }
        WorkOp::CheckPage { page, data } => WorkResult::PageChecked(check_page(page, &data)),
        WorkOp::OpenRoot { context, data } => WorkResult::PageOpened(open_root_page(keys, &context, &data)),
        WorkOp::OpenPage { context, key, data } => WorkResult::PageOpened(open_page(&key, &context, &data)),
        WorkOp::VerifyRecords { records } => {
            WorkResult::RecordsVerified(records.into_iter().map(SignedRecord::verify).collect())
        }
        WorkOp::VerifyIntent { intent } => WorkResult::IntentVerified(SignedIntent::verify(&intent)),
        WorkOp::VerifyTicket { ticket } => WorkResult::TicketVerified(ticket.verify()),
    }
}
