//! Tickets: an owner's signed leave to read one version of one file, with the key that opens it.
//!
//! A ticket names a record by its hash and carries the key of that version's root page. The root's key opens that version
//! and no other, so whatever else the owner stores stays closed, later versions of the same name included. The expiry is
//! a promise of the nodes that are asked: it cannot recall a key that was already given.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32m, Hrp};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::ids::{NameId, OwnerId, RecordId};
use crate::secrets::{OwnerKeys, PageKey};
use crate::signature::{self, SIGNATURE_LEN};

/// What a ticket opens, for whom, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Whose file it is.
    pub owner: OwnerId,
    /// The file's name, as peers see it.
    pub name_id: NameId,
    /// The one version that may be read.
    pub record: RecordId,
    /// The key of that version's root page.
    pub root_key: PageKey,
    /// Milliseconds since the Unix epoch after which it is void.
    pub expires_ms: u64,
}

/// A ticket in its signed form. Whoever has it can read the file, so a trace shows only its length.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedTicket(pub Bytes);

/// Why a ticket is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum TicketError {
    /// Text that is not bech32m with a ticket's prefix, or whose checksum is wrong.
    #[error(
        "this is no ticket, or not all of it: a ticket starts with `forever1`, and is to be copied whole and unchanged"
    )]
    Text,
    /// Another format, or a newer version of this one.
    #[error("the ticket is in a format that this build does not know: update this node")]
    UnknownFormat,
    /// Not of the one length that a ticket has.
    #[error("the ticket is {len} bytes long, not {TICKET_LEN}")]
    Length {
        /// Its length, or the largest number if that is larger.
        len: u32,
    },
    /// Not signed by the owner it names.
    #[error("the ticket's signature is not its owner's: ask the owner for another ticket")]
    BadSignature,
}

/// In front of every ticket: what it is, and the version of its format.
const MAGIC: [u8; 5] = *b"FSTK\x01";

/// In front of what is signed.
const DOMAIN: &[u8] = b"foreverstore 2026 ticket signature\0";

/// Length of a ticket without its signature: magic, owner, name id, record, root key, expiry.
const BODY_LEN: usize = MAGIC.len() + 4 * 32 + 8;

/// Length of a signed ticket, in bytes.
pub const TICKET_LEN: usize = BODY_LEN + SIGNATURE_LEN;

/// What a ticket's text starts with, before the separator `1`.
const PREFIX: &str = "forever";

/// The longest text that is looked at: the length of the code behind bech32m's checksum (BIP-173), within which it still
/// detects any 3 wrong characters. BIP-173's limit of 90 characters is for what people read aloud; a ticket has 342.
pub const TICKET_TEXT_LEN_MAX: usize = 1_023;

/// For how long a ticket may be valid, in milliseconds: 3,650 days.
pub const VALID_MS_MAX: u64 = 3_650 * 24 * 60 * 60 * 1_000;

impl Ticket {
    /// For how many milliseconds it has been void at a wall time; `None` while it is valid.
    #[must_use]
    pub fn expired_for_ms(&self, now_wall_ms: u64) -> Option<u64> {
        now_wall_ms.checked_sub(self.expires_ms)
    }
}

impl SignedTicket {
    /// Signs a ticket. It names the owner of `keys`.
    #[must_use]
    pub fn sign(keys: &OwnerKeys, ticket: &Ticket) -> Self {
        assert!(ticket.owner == keys.owner_id(), "a ticket is signed by the owner it names");
        let mut body = Vec::with_capacity(TICKET_LEN);
        body.extend_from_slice(&MAGIC);
        body.extend_from_slice(ticket.owner.as_bytes());
        body.extend_from_slice(ticket.name_id.as_bytes());
        body.extend_from_slice(ticket.record.as_bytes());
        body.extend_from_slice(ticket.root_key.expose());
        body.extend_from_slice(&ticket.expires_ms.to_be_bytes());
        Self(signature::sign(keys, DOMAIN, body).into())
    }

    /// Decodes a ticket and verifies its signature (not its expiry, which is for the receiver to judge).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify(&self) -> Result<Ticket, TicketError> {
        let bytes = &self.0;
        if !bytes.starts_with(&MAGIC) {
            return Err(TicketError::UnknownFormat);
        }
        let wrong_length = || TicketError::Length { len: u32::try_from(bytes.len()).unwrap_or(u32::MAX) };
        let (body, signed) = signature::split(bytes).ok_or_else(wrong_length)?;
        let body: &[u8; BODY_LEN] = body.try_into().map_err(|_| wrong_length())?;
        let ticket = decode(&body[MAGIC.len()..]).ok_or_else(wrong_length)?;
        if !signature::is_valid(ticket.owner, DOMAIN, body, signed) {
            return Err(TicketError::BadSignature);
        }
        Ok(ticket)
    }

    /// The ticket as people pass it on: `forever1` and bech32m (BIP-350), in lower case.
    ///
    /// # Panics
    /// If it is longer than any ticket of this build.
    #[must_use]
    pub fn to_text(&self) -> String {
        bech32::encode_lower::<Bech32m>(prefix(), &self.0).expect("a ticket is far shorter than the checksum's code")
    }
}

fn prefix() -> Hrp {
    Hrp::parse_unchecked(PREFIX)
}

fn decode(fields: &[u8]) -> Option<Ticket> {
    let (owner, rest) = fields.split_first_chunk()?;
    let (name_id, rest) = rest.split_first_chunk()?;
    let (record, rest) = rest.split_first_chunk()?;
    let (root_key, rest) = rest.split_first_chunk()?;
    let expires_ms = rest.try_into().ok()?;
    Some(Ticket {
        owner: OwnerId(*owner),
        name_id: NameId(*name_id),
        record: RecordId(*record),
        root_key: PageKey::new(*root_key),
        expires_ms: u64::from_be_bytes(expires_ms),
    })
}

/// Reads a ticket's text, in lower or upper case, with white space around it. Its signature is not looked at.
impl FromStr for SignedTicket {
    type Err = TicketError;

    fn from_str(text: &str) -> Result<Self, TicketError> {
        let text = text.trim();
        if text.len() > TICKET_TEXT_LEN_MAX {
            return Err(TicketError::Text);
        }
        let checked = CheckedHrpstring::new::<Bech32m>(text).map_err(|_| TicketError::Text)?;
        if checked.hrp() != prefix() {
            return Err(TicketError::Text);
        }
        let ticket = Self(checked.byte_iter().collect());
        // Bits that fill up the last character are zero, so that a ticket has one text.
        if ticket.to_text().eq_ignore_ascii_case(text) { Ok(ticket) } else { Err(TicketError::Text) }
    }
}

impl fmt::Debug for SignedTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedTicket({} B, ***)", self.0.len())
    }
}

/// Makes the owner the one of `keys` where a ticket has it, and signs the bytes, ticket or not.
pub(crate) fn sign_bytes(keys: &OwnerKeys, body: &[u8]) -> SignedTicket {
    let mut body = body.to_vec();
    if let Some(owner) = body.get_mut(MAGIC.len()..MAGIC.len() + 32) {
        owner.copy_from_slice(keys.owner_id().as_bytes());
    }
    SignedTicket(signature::sign(keys, DOMAIN, body).into())
}

#[cfg(test)]
mod tests;
