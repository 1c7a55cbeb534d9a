use core::time::Duration;
use std::pin::Pin;
use std::task::{Context, Poll};

use forever_core::codec::{Bincode, DecodeError};
use forever_core::frame::Frame;
use tokio::io::{AsyncWriteExt, DuplexStream, ReadBuf};

use crate::simulation::Simulated;

use super::testing::{CLUSTER, channel, channel_over, identity};
use super::*;

mod frames;
mod handshakes;

/// A deadline in the paused time of a test.
fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

/// Seals frames, and hands out what goes over the wire instead of sending it.
struct Tap {
    writer: FrameWriter<WriteHalf<DuplexStream>>,
    wire: ReadHalf<DuplexStream>,
    opening: Option<FrameCipher>,
}

impl Tap {
    /// A sender and the cipher that opens what it seals.
    async fn new() -> Self {
        Self::rekeying_after(REKEY_AFTER_BYTES).await
    }

    async fn rekeying_after(bytes: u64) -> Self {
        let (mut near, far) = channel(1 << 20).await;
        let mut opening = far.opening;
        opening.rekey_after(bytes);
        near = near.rekey_after(bytes);
        let (_, writer) = near.split();
        let (wire, _) = tokio::io::split(far.stream);
        Self { writer, wire, opening: Some(opening) }
    }

    async fn sealed(&mut self, header: &[u8], payload: &[u8]) -> Vec<u8> {
        self.writer.write_raw(header, payload).await.unwrap();
        let len = PREFIX_LEN + HEADER_PREFIX_LEN + header.len() + payload.len() + TAG_LEN;
        let mut bytes = vec![0; len];
        self.wire.read_exact(&mut bytes).await.unwrap();
        bytes
    }

    /// Reads `wire` as the peer would.
    fn reader<R: AsyncRead + Unpin>(&mut self, wire: R) -> FrameReader<R> {
        FrameReader::new(wire, self.opening.take().expect("one reader a tap"), Simulated::default())
    }
}

/// All frames of a stream, and how it ends.
async fn read_all<R: AsyncRead + Unpin>(reader: &mut FrameReader<R>) -> (Vec<RawFrame>, Result<(), ReadError>) {
    let mut frames = Vec::new();
    loop {
        match reader.read_raw().await {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => return (frames, Ok(())),
            Err(error) => return (frames, Err(error)),
        }
    }
}

/// A reader that returns at most so many bytes at a time.
struct Pieces<'a> {
    bytes: &'a [u8],
    size: usize,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let len = self.size.min(self.bytes.len()).min(buf.remaining());
        let (piece, rest) = self.bytes.split_at(len);
        buf.put_slice(piece);
        self.bytes = rest;
        Poll::Ready(Ok(()))
    }
}
