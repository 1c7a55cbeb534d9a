//! Upload intents: an owner's signed leave for one device to store chunks before the record that names them exists.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::ids::{NodeId, OwnerId};
use crate::secrets::OwnerKeys;

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
    /// Not signed by the owner it names.
    #[error("the intent's signature is not its owner's")]
    BadSignature,
}

impl SignedIntent {
    /// Signs an intent.
    #[must_use]
    pub fn sign(_keys: &OwnerKeys, _intent: &UploadIntent) -> Self {
        todo!()
    }

    /// Decodes an intent and verifies its signature (not its expiry, which is for the receiver to judge).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify(_bytes: &[u8]) -> Result<UploadIntent, IntentError> {
        todo!()
    }
}
