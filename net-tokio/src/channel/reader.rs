//! The receiving half of a channel.

use forever_core::{planted, sometimes};
use std::io;

use bytes::{Buf, Bytes, BytesMut};
use forever_core::codec::{Codec, DecodeError};
use forever_core::frame::{Frame, HEADER_LEN_MAX};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::cipher::{FrameCipher, OpenError};
use super::{FRAME_LEN_MAX, HEADER_PREFIX_LEN, PLAIN_LEN_MAX, PREFIX_LEN, TAG_LEN};
use crate::simulation::Simulated;

/// Bytes asked of the stream at once. Payloads are slices of such a block and keep it alive; on a link that carries bulk
/// they are nearly the whole of it.
const BLOCK_LEN: usize = 256 * 1024;

/// A frame that no codec has looked at yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawFrame {
    /// The header.
    pub header: Bytes,
    /// What follows it; may be empty.
    pub payload: Bytes,
}

/// Why a frame cannot be read. The channel is of no further use.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The connection broke, or ended within a frame.
    #[error("connection lost: {0}")]
    Io(#[from] io::Error),
    /// The peer sent what is not a frame, or it was altered on the way.
    #[error("broken protocol: {0}")]
    Decode(#[from] DecodeError),
}

/// The receiving half of a channel.
#[derive(Debug)]
pub struct FrameReader<R> {
    pub(super) source: R,
    opening: FrameCipher,
    pub(super) buffer: BytesMut,
    pub(crate) simulation: Simulated,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(super) fn new(source: R, opening: FrameCipher, simulation: Simulated) -> Self {
        Self { source, opening, buffer: BytesMut::new(), simulation }
    }

    /// The next frame; `None` when the peer has ended the stream in order. Cancel-safe.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read(&mut self, codec: &dyn Codec) -> Result<Option<Frame>, ReadError> {
        match self.read_raw().await? {
            Some(raw) => Ok(Some(codec.decode(&raw.header, raw.payload)?)),
            None => Ok(None),
        }
    }

    /// The next frame as bytes; `None` when the peer has ended the stream in order. Cancel-safe.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read_raw(&mut self) -> Result<Option<RawFrame>, ReadError> {
        loop {
            if let Some(frame) = self.take_frame()? {
                return Ok(Some(frame));
            }
            if self.buffer.capacity() - self.buffer.len() < FRAME_LEN_MAX {
                self.buffer.reserve(BLOCK_LEN);
            }
            if self.source.read_buf(&mut self.buffer).await? == 0 {
                return match self.buffer.len() {
                    0 => Ok(None),
                    _ => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                };
            }
        }
    }

    /// Throws away what still comes, until the stream ends or fails. A socket closed with bytes unread would reset the
    /// connection, and with it lose what was sent last.
    pub(crate) async fn discard(&mut self) {
        super::discard(&mut self.source).await;
    }

    /// Decrypts the first frame of the buffer, in place, if all of it is there.
    fn take_frame(&mut self) -> Result<Option<RawFrame>, ReadError> {
        let Some(&prefix) = self.buffer.first_chunk::<PREFIX_LEN>() else {
            return Ok(None);
        };
        let len = plain_len(prefix)?;
        let needed = PREFIX_LEN + len + TAG_LEN;
        if self.buffer.len() < needed || self.buffer.len() == needed && planted!(self.simulation, FrameBoundary) {
            return Ok(None);
        }
        let mut frame = self.buffer.split_to(PREFIX_LEN + len + TAG_LEN);
        #[cfg(feature = "planted-bugs")]
        if planted!(self.simulation, LostFrameTolerated) {
            self.opening.skip_lost(prefix, &frame[PREFIX_LEN..]);
        }
        self.opening.open(prefix, &mut frame[PREFIX_LEN..]).map_err(|error| match error {
            OpenError::Unauthentic => {
                sometimes!(self.simulation, "channel.damaged-frame-refused");
                ReadError::Decode(DecodeError::Header("it does not authenticate".into()))
            }
            OpenError::Exhausted => ReadError::Io(io::Error::other("the channel's nonces are used up")),
        })?;
        frame.advance(PREFIX_LEN);
        frame.truncate(len);
        Ok(Some(split_plain(frame.freeze())?))
    }
}

/// Checks a frame's announced length, before anything is allocated for it.
fn plain_len(prefix: [u8; PREFIX_LEN]) -> Result<usize, DecodeError> {
    let announced = u32::from_le_bytes(prefix);
    match usize::try_from(announced) {
        Ok(len @ HEADER_PREFIX_LEN..=PLAIN_LEN_MAX) => Ok(len),
        Ok(len) if len < HEADER_PREFIX_LEN => Err(DecodeError::Header(format!("a frame of {len} bytes"))),
        Ok(_) | Err(_) => {
            Err(DecodeError::TooLong { len: announced, max: u32::try_from(PLAIN_LEN_MAX).unwrap_or(u32::MAX) })
        }
    }
}

fn split_plain(mut plain: Bytes) -> Result<RawFrame, DecodeError> {
    let header_len = usize::from(plain.get_u16_le());
    if header_len > plain.len() || header_len > HEADER_LEN_MAX {
        return Err(DecodeError::Header(format!("a header of {header_len} bytes in a frame of {}", plain.len())));
    }
    let header = plain.split_to(header_len);
    Ok(RawFrame { header, payload: plain })
}
