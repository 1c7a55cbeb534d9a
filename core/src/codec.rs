//! How frames become bytes: pluggable, bincode by default.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::frame::{DATA_LEN_MAX, Frame, HEADER_LEN_MAX};

/// Turns frames into bytes and back. The payload of [`Frame::Data`] is not part of the header: it is carried raw behind it.
pub trait Codec: Send + Sync {
    /// Appends the header's encoding to `header`.
    fn encode(&self, frame: &Frame, header: &mut Vec<u8>);

    /// Decodes a header of at most [`HEADER_LEN_MAX`] bytes and attaches the payload.
    ///
    /// # Errors
    /// What is wrong with the peer's bytes.
    fn decode(&self, header: &[u8], payload: Bytes) -> Result<Frame, DecodeError>;
}

/// Bytes that are not a frame. The peer's fault: the link is closed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, thiserror::Error)]
pub enum DecodeError {
    /// The frame is longer than a frame may be.
    #[error("a frame of {len} bytes; the most is {max}")]
    TooLong {
        /// Its length.
        len: u32,
        /// The limit.
        max: u32,
    },
    /// The header is not the encoding of any frame.
    #[error("an undecodable header: {0}")]
    Header(String),
    /// Bytes follow the header's encoding.
    #[error("{0} bytes left over behind the header")]
    Trailing(u32),
    /// A payload where none belongs, none where one belongs, or one too long.
    #[error("a payload of {0} bytes where it may not be")]
    Payload(u32),
}

/// Appends what bincode makes of a value, in the wire's configuration.
///
/// # Panics
/// If the value has a type that bincode cannot encode, such as a map of unknown length.
pub fn encode_onto(value: &impl serde::Serialize, buffer: &mut Vec<u8>) {
    bincode::serde::encode_into_writer(value, Appender(buffer), bincode::config::standard())
        .expect("only types that bincode can encode are encoded");
}

/// Appends to a vector. (Ids are encoded byte by byte, so that is what must be fast.)
struct Appender<'a>(&'a mut Vec<u8>);

impl bincode::enc::write::Writer for Appender<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), bincode::error::EncodeError> {
        match bytes {
            [byte] => self.0.push(*byte),
            _ => self.0.extend_from_slice(bytes),
        }
        Ok(())
    }
}

/// The codec of the wire: bincode 2, standard configuration (little endian, variable-length integers).
#[derive(Clone, Copy, Debug, Default)]
pub struct Bincode;

/// Puts a payload where it belongs.
///
/// # Errors
/// [`DecodeError::Payload`] if it does not belong there.
pub fn attach_payload(mut frame: Frame, bytes: Bytes) -> Result<Frame, DecodeError> {
    let len = bytes.len();
    let wrong = || DecodeError::Payload(u32::try_from(len).unwrap_or(u32::MAX));
    if let Frame::Data { payload, .. } = &mut frame {
        if len == 0 || len > DATA_LEN_MAX {
            return Err(wrong());
        }
        *payload = bytes.into();
    } else if len != 0 {
        return Err(wrong());
    }
    Ok(frame)
}

impl Codec for Bincode {
    fn encode(&self, frame: &Frame, header: &mut Vec<u8>) {
        encode_onto(frame, header);
    }

    fn decode(&self, header: &[u8], payload: Bytes) -> Result<Frame, DecodeError> {
        let config = bincode::config::standard().with_limit::<HEADER_LEN_MAX>();
        let (frame, used) = bincode::serde::decode_from_slice::<Frame, _>(header, config)
            .map_err(|error| DecodeError::Header(alloc::format!("{error:?}")))?;
        if used != header.len() {
            return Err(DecodeError::Trailing(u32::try_from(header.len() - used).unwrap_or(u32::MAX)));
        }
        attach_payload(frame, payload)
    }
}
