//! Frames as the channel is given them.

use bytes::Bytes;
use forever_core::codec::{Bincode, Codec as _};
use forever_core::frame::Frame;

/// A frame in the clear: its header as it is encoded, then its payload.
#[derive(Clone, Debug)]
pub(crate) struct Clear {
    pub(crate) header: Bytes,
    /// Header and payload.
    pub(crate) bytes: Bytes,
}

impl Clear {
    /// Encodes a frame, in a buffer that can be used again.
    pub(crate) fn encode(frame: &Frame, buffer: &mut Vec<u8>) -> Self {
        buffer.clear();
        Bincode.encode(frame, buffer);
        let header_len = buffer.len();
        if let Frame::Data { payload, .. } = frame {
            payload.parts().iter().for_each(|part| buffer.extend_from_slice(part));
        }
        let bytes = Bytes::copy_from_slice(buffer);
        Self { header: bytes.slice(..header_len), bytes }
    }

    /// Encodes a frame's header alone.
    pub(crate) fn encode_header(frame: &Frame, buffer: &mut Vec<u8>) -> Bytes {
        buffer.clear();
        Bincode.encode(frame, buffer);
        Bytes::copy_from_slice(buffer)
    }
}
