//! The Noise handshake.

use std::io;

use forever_core::ids::NodeId;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use snow::params::{CipherChoice, DHChoice, HashChoice, NoiseParams};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

use super::{ChannelError, Identity, TAG_LEN};

/// The protocol's name.
const PATTERN: &str = "Noise_XXpsk0_25519_AESGCM_BLAKE2s";

/// Ties the handshake to this protocol and its version.
const PROLOGUE: &[u8] = b"foreverstore/1";

/// Bytes of an x25519 key.
const KEY_LEN: usize = 32;

/// `-> psk, e` with an empty payload.
const HELLO_LEN: usize = KEY_LEN + TAG_LEN;

/// `<- e, ee, s, es` with an empty payload.
const ANSWER_LEN: usize = KEY_LEN + KEY_LEN + TAG_LEN + TAG_LEN;

/// `-> s, se` with an empty payload.
const PROOF_LEN: usize = KEY_LEN + TAG_LEN + TAG_LEN;

/// What a handshake yields.
pub(super) struct Keys {
    /// The peer's static key.
    pub(super) peer: NodeId,
    /// For what this node sends.
    pub(super) sealing: Zeroizing<[u8; 32]>,
    /// For what the peer sends.
    pub(super) opening: Zeroizing<[u8; 32]>,
}

/// The public half of a static key.
pub(super) fn public_key(secret: &[u8; 32]) -> NodeId {
    let mut pair =
        DefaultResolver.resolve_dh(&DHChoice::Curve25519).expect("the feature `use-curve25519` of snow is on");
    pair.set(secret);
    NodeId(pair.pubkey().try_into().expect("an x25519 key has 32 bytes"))
}

pub(super) async fn initiate<S>(stream: &mut S, identity: &Identity, seed: [u8; 32]) -> Result<Keys, ChannelError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut noise = builder(identity, seed).build_initiator().expect(COMPLETE);
    send::<HELLO_LEN>(stream, &mut noise).await?;
    receive::<ANSWER_LEN>(stream, &mut noise).await.map_err(|error| match error {
        // The other end hung up on the hello, as on a stranger's.
        ChannelError::Io(cause) if is_hang_up(&cause) => ChannelError::Silence,
        error @ (ChannelError::Io(_) | ChannelError::Silence | ChannelError::Unauthenticated) => error,
    })?;
    send::<PROOF_LEN>(stream, &mut noise).await?;
    let (to_responder, to_initiator) = split(&mut noise);
    Ok(Keys { peer: peer(&noise), sealing: to_responder, opening: to_initiator })
}

pub(super) async fn respond<S>(stream: &mut S, identity: &Identity, seed: [u8; 32]) -> Result<Keys, ChannelError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut noise = builder(identity, seed).build_responder().expect(COMPLETE);
    receive::<HELLO_LEN>(stream, &mut noise).await?;
    send::<ANSWER_LEN>(stream, &mut noise).await?;
    receive::<PROOF_LEN>(stream, &mut noise).await?;
    let (to_responder, to_initiator) = split(&mut noise);
    Ok(Keys { peer: peer(&noise), sealing: to_initiator, opening: to_responder })
}

const COMPLETE: &str = "the builder has all that the pattern needs, and the resolver knows all of its primitives";

fn builder(identity: &Identity, seed: [u8; 32]) -> Builder<'_> {
    let params: NoiseParams = PATTERN.parse().expect("snow knows the pattern");
    Builder::with_resolver(params, Box::new(Seeded(seed)))
        .local_private_key(identity.node_secret.as_slice())
        .and_then(|builder| builder.psk(0, &identity.cluster_key))
        .and_then(|builder| builder.prologue(PROLOGUE))
        .expect("each is set once, at a place that exists")
}

async fn send<const LEN: usize>(
    stream: &mut (impl AsyncWrite + Unpin),
    noise: &mut HandshakeState,
) -> Result<(), ChannelError> {
    let mut message = [0; LEN];
    let len = noise.write_message(&[], &mut message).map_err(|_| ChannelError::Unauthenticated)?;
    assert_eq!(len, LEN, "the lengths of the pattern's messages are fixed");
    stream.write_all(&message).await?;
    stream.flush().await?;
    Ok(())
}

async fn receive<const LEN: usize>(
    stream: &mut (impl AsyncRead + Unpin),
    noise: &mut HandshakeState,
) -> Result<(), ChannelError> {
    let mut message = [0; LEN];
    stream.read_exact(&mut message).await?;
    let len = noise.read_message(&message, &mut [0; LEN]).map_err(|_| ChannelError::Unauthenticated)?;
    assert_eq!(len, 0, "what is left of a message of fixed length is an empty payload");
    Ok(())
}

fn is_hang_up(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    [BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof].contains(&error.kind())
}

/// The keys of the two directions: to the responder, to the initiator.
fn split(noise: &mut HandshakeState) -> (Zeroizing<[u8; 32]>, Zeroizing<[u8; 32]>) {
    assert!(noise.is_handshake_finished());
    let (to_responder, to_initiator) = noise.dangerously_get_raw_split();
    (Zeroizing::new(to_responder), Zeroizing::new(to_initiator))
}

fn peer(noise: &HandshakeState) -> NodeId {
    let key = noise.get_remote_static().expect("XX sends both static keys");
    NodeId(key.try_into().expect("an x25519 key has 32 bytes"))
}

/// snow's primitives, with the caller's seed as the only randomness: snow's own asks the operating system, and no two runs
/// of a simulation would be alike.
struct Seeded([u8; 32]);

impl CryptoResolver for Seeded {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(SeededRng(ChaCha20Rng::from_seed(self.0))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

struct SeededRng(ChaCha20Rng);

impl Random for SeededRng {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        self.0.fill_bytes(dest);
        Ok(())
    }
}
