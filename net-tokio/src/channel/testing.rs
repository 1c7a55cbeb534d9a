//! Channels for tests.

use tokio::io::DuplexStream;

use super::*;

/// A cluster's key.
pub(crate) const CLUSTER: [u8; 32] = [42; 32];

/// The identity of node number `number`.
pub(crate) fn identity(number: u8) -> Identity {
    Identity::new([number; 32], CLUSTER)
}

/// Two ends of a channel over given streams, the initiator's first.
pub(crate) async fn channel_over<S: AsyncRead + AsyncWrite + Unpin>(
    near: S,
    far: S,
) -> (SecureStream<S>, SecureStream<S>) {
    let (one, other) = (identity(1), identity(2));
    let (near, far) = tokio::join!(initiate(near, &one, [1; 32]), respond(far, &other, [2; 32]));
    (near.unwrap(), far.unwrap())
}

/// Two ends of a channel with room for `capacity` bytes each way.
pub(crate) async fn channel(capacity: usize) -> (SecureStream<DuplexStream>, SecureStream<DuplexStream>) {
    let (near, far) = tokio::io::duplex(capacity);
    channel_over(near, far).await
}

/// The bare stream below a channel.
pub(crate) fn unsplit<S: AsyncRead + AsyncWrite + Unpin>(
    reader: FrameReader<ReadHalf<S>>,
    writer: FrameWriter<WriteHalf<S>>,
) -> S {
    reader.source.unsplit(writer.sink)
}
