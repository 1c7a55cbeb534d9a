//! Frames as the channel is given them.

use bytes::Bytes;
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
