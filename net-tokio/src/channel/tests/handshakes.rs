use super::*;

#[tokio::test]
async fn both_ends_learn_who_the_other_is() {
    let (near, far) = channel(1 << 16).await;
    assert_eq!(near.peer(), identity(2).node_id());
    assert_eq!(far.peer(), identity(1).node_id());
}

/// The key pair of RFC 7748, section 6.1.
#[test]
fn the_node_id_is_the_public_x25519_key() {
    let mut secret = [0; 32];
    let digits = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a";
    hex::decode_to_slice(digits, &mut secret).unwrap();
    assert_eq!(
        Identity::new(secret, CLUSTER).node_id().to_string(),
        "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
    );
}

#[tokio::test]
async fn both_directions_carry_frames() {
    let (near, far) = channel(1 << 16).await;
    let ((mut near_reader, mut near_writer), (mut far_reader, mut far_writer)) = (near.split(), far.split());
    let (ping, pong) = (Frame::Ping { nonce: 7 }, Frame::Pong { nonce: 7 });
    near_writer.write(&Bincode, &ping).await.unwrap();
    assert_eq!(far_reader.read(&Bincode).await.unwrap(), Some(ping));
    far_writer.write(&Bincode, &pong).await.unwrap();
    assert_eq!(near_reader.read(&Bincode).await.unwrap(), Some(pong));
    near_writer.shutdown().await.unwrap();
    assert_eq!(far_reader.read(&Bincode).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn another_cluster_key_is_met_with_silence() {
    let (near, mut far) = tokio::io::duplex(1 << 16);
    let stranger = Identity::new([3; 32], [43; 32]);
    let node = identity(2);
    let dialling = with_deadline(soon(), initiate(near, &stranger, [1; 32]));
    let accepting = accept_quietly(&mut far, &node, [2; 32], soon() + Duration::from_secs(1));
    let (dialled, accepted) = tokio::join!(dialling, accepting);
    assert!(matches!(dialled, Err(ChannelError::Silence)), "{dialled:?}");
    assert!(matches!(accepted, Err(ChannelError::Unauthenticated)), "{accepted:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stranger_reads_not_one_byte_and_is_kept_until_the_deadline() {
    let (mut stranger, far) = tokio::io::duplex(1 << 16);
    stranger.write_all(&[0xa5; 200]).await.unwrap();
    let deadline = soon();
    let node = identity(2);
    let mut heard = Vec::new();
    let (accepted, read) =
        tokio::join!(accept_quietly(far, &node, [2; 32], deadline), stranger.read_to_end(&mut heard));
    assert!(matches!(accepted, Err(ChannelError::Unauthenticated)), "{accepted:?}");
    assert_eq!(read.unwrap(), 0);
    assert_eq!(Instant::now(), deadline);
}

#[tokio::test(start_paused = true)]
async fn a_stranger_that_hangs_up_is_forgotten_at_once() {
    let (mut stranger, far) = tokio::io::duplex(1 << 16);
    stranger.write_all(&[0xa5; 200]).await.unwrap();
    drop(stranger);
    let start = Instant::now();
    let accepted = accept_quietly(far, &identity(2), [2; 32], soon()).await;
    assert!(matches!(accepted, Err(ChannelError::Unauthenticated)), "{accepted:?}");
    assert_eq!(Instant::now(), start);
}

#[tokio::test(start_paused = true)]
async fn a_lone_byte_parks_a_connection_only_until_the_deadline() {
    let (mut stranger, far) = tokio::io::duplex(1 << 16);
    stranger.write_all(&[0x02]).await.unwrap();
    let deadline = soon();
    let accepted = accept_quietly(far, &identity(2), [2; 32], deadline).await;
    assert!(matches!(accepted, Err(ChannelError::Silence)), "{accepted:?}");
    assert_eq!(Instant::now(), deadline);
}

#[tokio::test]
async fn hanging_up_on_a_hello_counts_as_silence() {
    let (near, mut far) = tokio::io::duplex(1 << 16);
    let node = identity(1);
    let (dialled, ()) = tokio::join!(initiate(near, &node, [1; 32]), async move {
        far.read_exact(&mut [0; 48]).await.unwrap();
    });
    assert!(matches!(dialled, Err(ChannelError::Silence)), "{dialled:?}");
}

/// The bytes of a handshake between nodes 1 and 2 with given seeds, as the responder and the initiator send them.
async fn transcript(seeds: [u8; 2], tamper: impl Fn(usize, &mut [u8])) -> (Vec<Vec<u8>>, bool) {
    let (near, mut near_wire) = tokio::io::duplex(1 << 16);
    let (far, mut far_wire) = tokio::io::duplex(1 << 16);
    let (one, other) = (identity(1), identity(2));
    let relay = async {
        let mut messages = Vec::new();
        for (step, len) in [48, 96, 64].into_iter().enumerate() {
            let (source, sink) =
                if step == 1 { (&mut far_wire, &mut near_wire) } else { (&mut near_wire, &mut far_wire) };
            let mut message = vec![0; len];
            if source.read_exact(&mut message).await.is_err() {
                break;
            }
            tamper(step, &mut message);
            sink.write_all(&message).await.unwrap();
            messages.push(message);
        }
        drop((near_wire, far_wire));
        messages
    };
    let (messages, initiated, responded) =
        tokio::join!(relay, initiate(near, &one, [seeds[0]; 32]), respond(far, &other, [seeds[1]; 32]));
    (messages, initiated.is_ok() && responded.is_ok())
}

#[tokio::test]
async fn equal_seeds_give_equal_handshakes_and_other_seeds_others() {
    let (once, made) = transcript([1, 2], |_, _| ()).await;
    assert!(made);
    assert_eq!(once.iter().map(Vec::len).collect::<Vec<_>>(), [48, 96, 64]);
    assert_eq!(once, transcript([1, 2], |_, _| ()).await.0);
    let (other, _) = transcript([3, 4], |_, _| ()).await;
    assert_ne!(once[0], other[0]);
    assert_ne!(once[1], other[1]);
}

/// The format is what nodes of different builds speak: it may not change unnoticed. These vectors also came out of an
/// implementation written in Python from the Noise specification (HMAC-BLAKE2s, x25519, AES-GCM, and ChaCha20 for the
/// ephemeral keys).
#[tokio::test]
async fn the_bytes_on_the_wire_are_as_ever() {
    let (messages, _) = transcript([1, 2], |_, _| ()).await;
    let hash = blake3::hash(&messages.concat()).to_hex();
    assert_eq!(hash.as_str(), "498179a8fca9d22f3c076f3dbf6341e5bb08235d754f344797222f208ebc679d");
    let frame = Tap::new().await.sealed(b"header", b"payload").await;
    assert_eq!(hex::encode(frame), "0f000000fc82d2c16c01099c8260fe2a654302e97fffb7c619f330835630e61f6de5b7");
}

#[tokio::test]
async fn a_handshake_altered_in_any_byte_does_not_come_about() {
    for (step, len) in [48, 96, 64].into_iter().enumerate() {
        for at in 0..len {
            let (_, made) = transcript([1, 2], |this, message| {
                if this == step {
                    message[at] ^= 1;
                }
            })
            .await;
            assert!(!made, "byte {at} of message {step}");
        }
    }
}

#[test]
fn secrets_do_not_show_in_debug_output() {
    let shown = format!("{:?}", Identity::new([0xab; 32], CLUSTER));
    assert!(shown.contains("***"));
    assert!(!shown.contains("171") && !shown.contains("42"), "{shown}");
}
