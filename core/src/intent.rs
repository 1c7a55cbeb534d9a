//! Upload intents: an owner's signed leave for one device to store chunks before the record that names them exists.

use alloc::vec::Vec;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::ids::{NodeId, OwnerId};
use crate::secrets::OwnerKeys;
use crate::signature::{self, SIGNATURE_LEN};

/// Leave to upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadIntent {
    /// The namespace uploaded to.
    pub owner: OwnerId,
    /// The device that may upload.
    pub node: NodeId,
    /// Milliseconds since the Unix epoch after which it is void.
    pub expires_ms: u64,
    /// The most bytes that may be uploaded under it.
    pub bytes_max: u64,
}

/// An intent in its signed form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedIntent(pub Bytes);

/// Why an intent is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum IntentError {
    /// Not of the one length that an intent has.
    #[error("the intent is {len} bytes long, not {INTENT_LEN}")]
    Length {
        /// Its length, or the largest number if that is larger.
        len: u32,
    },
    /// Another format, or a newer version of this one.
    #[error("the intent is in a format that this build does not know: update this node")]
    UnknownFormat,
    /// Not signed by the owner it names.
    #[error("the intent's signature is not its owner's")]
    BadSignature,
}

/// In front of every intent: what it is, and the version of its format.
const MAGIC: [u8; 5] = *b"FSIN\x01";

/// In front of what is signed.
const DOMAIN: &[u8] = b"foreverstore 2026 upload intent signature\0";

/// Length of an intent without its signature: magic, owner, node, expiry, byte limit.
const BODY_LEN: usize = MAGIC.len() + 32 + 32 + 8 + 8;

/// Length of a signed intent, in bytes.
pub const INTENT_LEN: usize = BODY_LEN + SIGNATURE_LEN;

impl SignedIntent {
    /// Signs an intent. It names the owner of `keys`.
    #[must_use]
    pub fn sign(keys: &OwnerKeys, intent: &UploadIntent) -> Self {
        assert!(intent.owner == keys.owner_id(), "an intent is signed by the owner it names");
        let mut body = Vec::with_capacity(INTENT_LEN);
        body.extend_from_slice(&MAGIC);
        body.extend_from_slice(intent.owner.as_bytes());
        body.extend_from_slice(intent.node.as_bytes());
        body.extend_from_slice(&intent.expires_ms.to_be_bytes());
        body.extend_from_slice(&intent.bytes_max.to_be_bytes());
        Self(signature::sign(keys, DOMAIN, body).into())
    }

    /// Decodes an intent and verifies its signature (not its expiry, which is for the receiver to judge).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify(bytes: &[u8]) -> Result<UploadIntent, IntentError> {
        Self::verify_by(bytes, |owner, body, signed| signature::is_valid(owner, DOMAIN, body, signed))
    }

    /// The same in less time, for a simulator, which has the keys of owners.
    ///
    /// # Errors
    /// What is wrong with it.
    #[cfg(feature = "simulation")]
    pub fn verify_knowing(owners: &[OwnerKeys], bytes: &[u8]) -> Result<UploadIntent, IntentError> {
        Self::verify_by(bytes, |owner, body, signed| signature::is_valid_knowing(owners, owner, DOMAIN, body, signed))
    }

    fn verify_by(
        bytes: &[u8],
        is_valid: impl FnOnce(OwnerId, &[u8], &[u8; SIGNATURE_LEN]) -> bool,
    ) -> Result<UploadIntent, IntentError> {
        let wrong_length = || IntentError::Length { len: u32::try_from(bytes.len()).unwrap_or(u32::MAX) };
        let (body, signed) = signature::split(bytes).ok_or_else(wrong_length)?;
        let body: &[u8; BODY_LEN] = body.try_into().map_err(|_| wrong_length())?;
        let fields = body.strip_prefix(&MAGIC).ok_or(IntentError::UnknownFormat)?;
        let intent = decode(fields).ok_or_else(wrong_length)?;
        if !is_valid(intent.owner, body, signed) {
            return Err(IntentError::BadSignature);
        }
        Ok(intent)
    }
}

fn decode(fields: &[u8]) -> Option<UploadIntent> {
    let (owner, rest) = fields.split_first_chunk()?;
    let (node, rest) = rest.split_first_chunk()?;
    let (expires_ms, rest) = rest.split_first_chunk()?;
    let bytes_max = rest.try_into().ok()?;
    Some(UploadIntent {
        owner: OwnerId(*owner),
        node: NodeId(*node),
        expires_ms: u64::from_be_bytes(*expires_ms),
        bytes_max: u64::from_be_bytes(bytes_max),
    })
}

#[cfg(test)]
mod tests;
