//! Frames as the channel is given them.

use std::sync::LazyLock;

use bytes::Bytes;
use forever_core::bulk::Bulk;
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

/// Whether a frame in the clear is one of bulk data, which others may overtake on their way to the channel.
pub(crate) fn is_data(bytes: &[u8]) -> bool {
    static KIND: LazyLock<Option<u8>> = LazyLock::new(|| {
        let data = Frame::Data { want: 0, offset: 0, payload: Bulk::default() };
        Clear::encode_header(&data, &mut Vec::new()).first().copied()
    });
    bytes.first().copied() == *KIND
}
