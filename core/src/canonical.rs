//! Bytes that are hashed or signed have exactly one form: the encoding that this build gives.
//!
//! bincode accepts integers that are encoded longer than needed, so what decodes is encoded again and compared.

use alloc::vec::Vec;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Encodes a value of one of this crate's formats.
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    bincode::serde::encode_to_vec(value, bincode::config::standard())
        .expect("the formats hold only types that bincode can encode")
}

/// Why bytes do not decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// They are no encoding at all.
    Undecodable,
    /// They are another encoding than the one that this value has.
    NotCanonical,
}

/// Decodes the value at the start of `bytes` and tells how many bytes it takes. `LIMIT` bounds what is allocated.
pub(crate) fn decode_prefix<T: Serialize + DeserializeOwned, const LIMIT: usize>(
    bytes: &[u8],
) -> Result<(T, usize), Fault> {
    let config = bincode::config::standard().with_limit::<LIMIT>();
    let (value, used) = bincode::serde::decode_from_slice::<T, _>(bytes, config).map_err(|_| Fault::Undecodable)?;
    if encode(&value) != bytes[..used] {
        return Err(Fault::NotCanonical);
    }
    Ok((value, used))
}

/// Decodes a value that takes all of `bytes`.
pub(crate) fn decode_all<T: Serialize + DeserializeOwned, const LIMIT: usize>(bytes: &[u8]) -> Result<T, Fault> {
    let (value, used) = decode_prefix::<T, LIMIT>(bytes)?;
    if used != bytes.len() {
        return Err(Fault::NotCanonical);
    }
    Ok(value)
}
