//! A codec that people can read, for traces and tests: JSON, with byte strings as `{"hex":"..."}`.

use std::io;

use bytes::Bytes;
use forever_core::codec::{Codec, DecodeError, attach_payload};
use forever_core::frame::Frame;
use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{Formatter, Serializer};

/// The readable codec. Its frames are longer than those of [`forever_core::codec::Bincode`], by a factor of two to three.
#[derive(Clone, Copy, Debug, Default)]
pub struct Text;

/// The only field of an object that stands for bytes. No type of a frame has a field of this name.
const BYTES_FIELD: &str = "hex";

impl Codec for Text {
    fn encode(&self, frame: &Frame, header: &mut Vec<u8>) {
        frame
            .serialize(&mut Serializer::with_formatter(header, HexBytes))
            .expect("a frame holds only types that JSON can express, and a Vec takes all that is written");
    }

    fn decode(&self, header: &[u8], payload: Bytes) -> Result<Frame, DecodeError> {
        let undecodable = |error: serde_json::Error| DecodeError::Header(error.to_string());
        let value = serde_json::from_slice(header).map_err(undecodable)?;
        let frame = serde_json::from_value(with_bytes(value)?).map_err(undecodable)?;
        attach_payload(frame, payload)
    }
}

/// Compact JSON, but for byte strings, which would be lists of numbers.
struct HexBytes;

impl Formatter for HexBytes {
    fn write_byte_array<W: ?Sized + io::Write>(&mut self, writer: &mut W, bytes: &[u8]) -> io::Result<()> {
        write!(writer, r#"{{"{BYTES_FIELD}":"{}"}}"#, hex::encode(bytes))
    }
}

/// Turns what [`HexBytes`] wrote into the list of numbers that serde expects.
fn with_bytes(value: Value) -> Result<Value, DecodeError> {
    Ok(match value {
        Value::Object(fields) => match fields.get(BYTES_FIELD) {
            Some(Value::String(digits)) if fields.len() == 1 => {
                let bytes = hex::decode(digits).map_err(|error| DecodeError::Header(error.to_string()))?;
                Value::from(bytes)
            }
            _ => {
                Value::Object(fields.into_iter().map(|(name, value)| Ok((name, with_bytes(value)?))).collect::<Result<
                    _,
                    DecodeError,
                >>(
                )?)
            }
        },
        Value::Array(items) => Value::Array(items.into_iter().map(with_bytes).collect::<Result<_, _>>()?),
        scalar @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => scalar,
    })
}
