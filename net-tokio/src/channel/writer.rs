//! The sending half of a channel.

use forever_core::{buggify, planted};
use std::io;

use forever_core::codec::Codec;
use forever_core::frame::{Frame, HEADER_LEN_MAX};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::cipher::{Exhausted, FrameCipher};
use super::{FRAME_LEN_MAX, HEADER_PREFIX_LEN, PLAIN_LEN_MAX, PREFIX_LEN};
use crate::simulation::Simulated;

/// Bytes of frames that make one write; TCP is fastest with writes of this size.
pub const BATCH_LEN_MAX: usize = 256 * 1024;

/// Why a frame cannot be sent. After an `Io` the channel is of no further use.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The connection broke.
    #[error("connection lost: {0}")]
    Io(#[from] io::Error),
    /// The frame is longer than a frame may be.
    #[error("a frame of {len} bytes, {header_len} of them header; the most is {PLAIN_LEN_MAX} and {HEADER_LEN_MAX}")]
    TooLong {
        /// Bytes of the plaintext.
        len: usize,
        /// Bytes of the header.
        header_len: usize,
    },
    /// All nonces of the channel are used up: connect anew.
    #[error("the channel's nonces are used up")]
    Exhausted,
}

/// The sending half of a channel: frames are sealed one after the other into one buffer, which then goes out in one write.
#[derive(Debug)]
pub struct FrameWriter<W> {
    pub(super) sink: W,
    sealing: FrameCipher,
    pub(super) buffer: Vec<u8>,
    pub(crate) simulation: Simulated,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    pub(super) fn new(sink: W, sealing: FrameCipher, simulation: Simulated) -> Self {
        Self { sink, sealing, buffer: Vec::new(), simulation }
    }

    /// Seals a frame into the buffer; [`FrameWriter::flush`] sends it.
    ///
    /// # Errors
    /// [`WriteError`], when the frame is not to be sent; the buffer is as before.
    pub fn push(&mut self, codec: &dyn Codec, frame: &Frame) -> Result<(), WriteError> {
        let start = self.begin();
        codec.encode(frame, &mut self.buffer);
        let header_len = self.buffer.len() - start - PREFIX_LEN - HEADER_PREFIX_LEN;
        if let Frame::Data { payload, .. } = frame {
            for part in payload.parts() {
                self.buffer.extend_from_slice(part);
            }
        }
        self.seal(start, header_len)
    }

    /// Like [`FrameWriter::push`], for those who bring a format of their own.
    ///
    /// # Errors
    /// [`WriteError`], when the frame is not to be sent; the buffer is as before.
    pub fn push_raw(&mut self, header: &[u8], payload: &[u8]) -> Result<(), WriteError> {
        let start = self.begin();
        self.buffer.extend_from_slice(header);
        self.buffer.extend_from_slice(payload);
        self.seal(start, header.len())
    }

    /// Whether any further frame still fits into a batch of [`BATCH_LEN_MAX`].
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.buffer.len() + FRAME_LEN_MAX <= BATCH_LEN_MAX
    }

    /// Sends all that was pushed. Not cancel-safe: the channel is of no use after a flush that was given up.
    ///
    /// # Errors
    /// [`WriteError::Io`].
    pub async fn flush(&mut self) -> Result<(), WriteError> {
        let mut rest = self.buffer.as_slice();
        while !rest.is_empty() {
            let short = buggify!(self.simulation, "channel.short-write");
            let most = if short { rest.len().div_ceil(3) } else { rest.len() };
            let written = self.sink.write(&rest[..most]).await?;
            if written == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero).into());
            }
            rest = &rest[written..];
            if planted!(self.simulation, ShortWriteLost) {
                break;
            }
        }
        self.buffer.clear();
        self.sink.flush().await?;
        Ok(())
    }

    /// Sends a frame. Not cancel-safe.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn write(&mut self, codec: &dyn Codec, frame: &Frame) -> Result<(), WriteError> {
        self.push(codec, frame)?;
        self.flush().await
    }

    /// Sends a frame of the caller's own format. Not cancel-safe.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn write_raw(&mut self, header: &[u8], payload: &[u8]) -> Result<(), WriteError> {
        self.push_raw(header, payload)?;
        self.flush().await
    }

    /// Sends what was pushed, then ends this direction; the other stays open.
    ///
    /// # Errors
    /// [`WriteError::Io`].
    pub async fn shutdown(&mut self) -> Result<(), WriteError> {
        self.flush().await?;
        self.sink.shutdown().await?;
        Ok(())
    }

    /// Makes room for both lengths; returns where the frame starts.
    pub(super) fn begin(&mut self) -> usize {
        let start = self.buffer.len();
        self.buffer.resize(start + PREFIX_LEN + HEADER_PREFIX_LEN, 0);
        start
    }

    /// Writes both lengths of the frame at the buffer's end and encrypts it in place.
    pub(super) fn seal(&mut self, start: usize, header_len: usize) -> Result<(), WriteError> {
        let sealed = self.try_seal(start, header_len);
        if sealed.is_err() {
            self.buffer.truncate(start);
        }
        sealed
    }

    fn try_seal(&mut self, start: usize, header_len: usize) -> Result<(), WriteError> {
        let (prefix, plain) =
            self.buffer[start..].split_first_chunk_mut::<PREFIX_LEN>().expect("`begin` made room for it");
        let len = plain.len();
        let too_long = || WriteError::TooLong { len, header_len };
        if len > PLAIN_LEN_MAX || header_len > HEADER_LEN_MAX {
            return Err(too_long());
        }
        *prefix = u32::try_from(len).map_err(|_| too_long())?.to_le_bytes();
        let header_prefix = u16::try_from(header_len).map_err(|_| too_long())?;
        plain[..HEADER_PREFIX_LEN].copy_from_slice(&header_prefix.to_le_bytes());
        let tag = self.sealing.seal(*prefix, plain).map_err(|Exhausted| WriteError::Exhausted)?;
        self.buffer.extend_from_slice(&tag);
        Ok(())
    }
}
