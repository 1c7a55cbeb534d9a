//! Bytes that are hashed or signed have exactly one form: the encoding that this build gives.
//!
//! bincode accepts integers that are encoded longer than needed, so what decodes is encoded again and compared.

use alloc::vec::Vec;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::encode_onto;

/// Room for the encoding of most values at once.
const USUAL_LEN: usize = 256;

/// Encodes a value of one of this crate's formats.
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(USUAL_LEN);
    encode_onto(value, &mut bytes);
    bytes
}

/// Whether the encoding of a value is exactly these bytes.
fn is_encoding<T: Serialize>(value: &T, bytes: &[u8]) -> bool {
    let mut comparer = Comparer(bytes);
    let encoded = bincode::serde::encode_into_writer(value, &mut comparer, bincode::config::standard());
    encoded.is_ok() && comparer.0.is_empty()
}

/// Takes what is written off the start of the bytes that are expected. (Ids are encoded byte by byte, so that is what must be fast.)
struct Comparer<'a>(&'a [u8]);

impl bincode::enc::write::Writer for Comparer<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), bincode::error::EncodeError> {
        let rest = match (bytes, self.0) {
            ([byte], [first, rest @ ..]) => (byte == first).then_some(rest),
            _ => self.0.strip_prefix(bytes),
        };
        self.0 = rest.ok_or(bincode::error::EncodeError::Other("other bytes"))?;
        Ok(())
    }
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
    if !is_encoding(&value, &bytes[..used]) {
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
