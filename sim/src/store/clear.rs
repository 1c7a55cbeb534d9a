//! Frames as the channel is given them.

use std::sync::LazyLock;

use bytes::Bytes;
use forever_core::bulk::Bulk;
use forever_core::codec::{Bincode, Codec as _};
use forever_core::frame::Frame;

/// A frame in the clear: its header as it is encoded, then its payload.
pub(crate) fn clear_bytes(frame: &Frame) -> Bytes {
    let mut bytes = Vec::new();
    Bincode.encode(frame, &mut bytes);
    if let Frame::Data { payload, .. } = frame {
        payload.parts().iter().for_each(|part| bytes.extend_from_slice(part));
    }
    bytes.into()
}

/// Whether a frame in the clear is one of bulk data, which others may overtake on their way to the channel.
pub(crate) fn is_data(bytes: &[u8]) -> bool {
    static KIND: LazyLock<Option<u8>> = LazyLock::new(|| {
        let data = Frame::Data { want: 0, offset: 0, payload: Bulk::default() };
        clear_bytes(&data).first().copied()
    });
    bytes.first().copied() == *KIND
}
