//! Signed bytes: a body, then the ed25519 signature over a domain tag and the body.

use alloc::vec::Vec;

use ed25519_dalek::{Signature, VerifyingKey};

use crate::ids::OwnerId;
use crate::secrets::OwnerKeys;

/// Length of a signature.
pub(crate) const SIGNATURE_LEN: usize = 64;

/// Appends the signature to a body.
pub(crate) fn sign(keys: &OwnerKeys, domain: &[u8], mut body: Vec<u8>) -> Vec<u8> {
    let signature = keys.sign(&message(domain, &body));
    body.extend_from_slice(&signature);
    body
}

/// Cuts the signature off. `None` if there are too few bytes for one.
pub(crate) fn split(bytes: &[u8]) -> Option<(&[u8], &[u8; SIGNATURE_LEN])> {
    bytes.split_last_chunk()
}

/// Whether the signature is `owner`'s. Strict (RFC 8032 and no key or nonce of small order), so that every node agrees.
pub(crate) fn is_valid(owner: OwnerId, domain: &[u8], body: &[u8], signature: &[u8; SIGNATURE_LEN]) -> bool {
    VerifyingKey::from_bytes(owner.as_bytes())
        .is_ok_and(|key| key.verify_strict(&message(domain, body), &Signature::from_bytes(signature)).is_ok())
}

/// The same for those who have the keys of some owners: a signature that the owner's key makes of these bytes is the owner's, and
/// to make it takes less than half of the time that it takes to verify it. (ed25519 has no randomness: RFC 8032.) Any other is
/// verified.
#[cfg(feature = "simulation")]
pub(crate) fn is_valid_knowing(
    owners: &[OwnerKeys],
    owner: OwnerId,
    domain: &[u8],
    body: &[u8],
    signature: &[u8; SIGNATURE_LEN],
) -> bool {
    let known = owners.iter().find(|keys| keys.owner_id() == owner);
    known.is_some_and(|keys| keys.sign(&message(domain, body)) == *signature)
        || is_valid(owner, domain, body, signature)
}

/// What is signed. No domain tag is the start of another, so no body of one kind passes for one of another.
fn message(domain: &[u8], body: &[u8]) -> Vec<u8> {
    [domain, body].concat()
}
