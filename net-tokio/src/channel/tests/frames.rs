use super::*;

fn assert_decode(result: &Result<(), ReadError>, what: &str) {
    assert!(matches!(result, Err(ReadError::Decode(_))), "{what}: {result:?}");
}

#[tokio::test]
async fn coalesced_and_split_reads_give_the_same_frames() {
    for size in [1, 2, 3, 7, 64, 100_000, usize::MAX] {
        let mut tap = Tap::new().await;
        let mut wire = Vec::new();
        let payload = vec![9; 61_696];
        for count in 0..20_u8 {
            wire.extend(tap.sealed(&[count], &payload[..usize::from(count) * 3_000]).await);
        }
        let mut reader = tap.reader(Pieces { bytes: &wire, size });
        let (frames, end) = read_all(&mut reader).await;
        assert!(end.is_ok(), "{end:?}");
        assert_eq!(frames.len(), 20);
        for (count, frame) in (0..20_u8).zip(frames) {
            assert_eq!(frame.header.as_ref(), [count]);
            assert_eq!(frame.payload, payload[..usize::from(count) * 3_000]);
        }
    }
}

#[tokio::test]
async fn a_bit_flipped_anywhere_never_gives_a_frame() {
    let wire_len = Tap::new().await.sealed(b"header", b"payload").await.len();
    for bit in 0..wire_len * 8 {
        let mut tap = Tap::new().await;
        let mut wire = tap.sealed(b"header", b"payload").await;
        wire[bit / 8] ^= 1 << (bit % 8);
        let (frames, end) = read_all(&mut tap.reader(wire.as_slice())).await;
        assert!(frames.is_empty(), "bit {bit}");
        if bit / 8 < PREFIX_LEN {
            // A greater length may also wait for bytes that never come.
            assert!(end.is_err(), "bit {bit}");
        } else {
            assert_decode(&end, &format!("bit {bit}"));
        }
    }
}

#[tokio::test]
async fn a_frame_replayed_moved_or_dropped_is_noticed() {
    for (what, order, good) in [("replayed", &[0, 0][..], 1), ("moved", &[1, 0], 0), ("dropped", &[0, 2], 1)] {
        let mut tap = Tap::new().await;
        let mut sealed = Vec::new();
        for count in 0..3_u8 {
            sealed.push(tap.sealed(&[count], b"same").await);
        }
        let wire: Vec<u8> = order.iter().flat_map(|&index: &usize| sealed[index].clone()).collect();
        let (frames, end) = read_all(&mut tap.reader(wire.as_slice())).await;
        assert_eq!(frames.len(), good, "{what}");
        assert_decode(&end, what);
    }
}

#[tokio::test]
async fn a_frame_cut_short_is_a_lost_connection_and_not_the_end() {
    let len = Tap::new().await.sealed(b"header", b"payload").await.len();
    for cut in 1..len {
        let mut tap = Tap::new().await;
        let mut wire = tap.sealed(b"whole", b"").await;
        wire.extend_from_slice(&tap.sealed(b"header", b"payload").await[..cut]);
        let (frames, end) = read_all(&mut tap.reader(wire.as_slice())).await;
        assert_eq!(frames.len(), 1);
        assert!(
            matches!(&end, Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::UnexpectedEof),
            "cut after {cut}: {end:?}"
        );
    }
}

#[tokio::test]
async fn an_impossible_size_is_an_error_before_anything_is_allocated_for_it() {
    for announced in [0, 1, 65_517, 1 << 20, u32::MAX] {
        let mut tap = Tap::new().await;
        let wire = announced.to_le_bytes();
        // The stream stays open: nothing may wait for the announced bytes.
        let (mut sender, receiver) = tokio::io::duplex(64);
        sender.write_all(&wire).await.unwrap();
        let mut reader = tap.reader(receiver);
        let error = reader.read_raw().await.unwrap_err();
        match announced {
            0 | 1 => assert!(matches!(error, ReadError::Decode(DecodeError::Header(_))), "{error}"),
            _ => assert!(
                matches!(error, ReadError::Decode(DecodeError::TooLong { len, max: 65_516 }) if len == announced),
                "{error}"
            ),
        }
        assert!(reader.buffer.capacity() <= 256 * 1024);
    }
}

#[tokio::test]
async fn the_longest_frame_fills_its_limit_and_a_longer_one_is_not_sent() {
    let mut tap = Tap::new().await;
    let (header, payload) = (vec![1; 3_000], vec![2; 62_514]);
    let error = tap.writer.push_raw(&header, &[payload.as_slice(), &[0]].concat());
    assert!(matches!(error, Err(WriteError::TooLong { .. })), "{error:?}");
    let error = tap.writer.push_raw(&[0; 60_001], b"");
    assert!(matches!(error, Err(WriteError::TooLong { .. })), "{error:?}");
    let wire = tap.sealed(&header, &payload).await;
    assert_eq!(wire.len(), FRAME_LEN_MAX);
    let (frames, end) = read_all(&mut tap.reader(wire.as_slice())).await;
    assert!(end.is_ok(), "a refused frame has used no nonce: {end:?}");
    assert_eq!(frames[0].payload, payload);
}

#[tokio::test]
async fn a_header_longer_than_its_frame_is_refused() {
    let mut tap = Tap::new().await;
    let start = tap.writer.begin();
    tap.writer.buffer.extend_from_slice(b"short");
    tap.writer.seal(start, 6).unwrap();
    tap.writer.flush().await.unwrap();
    let mut wire = vec![0; PREFIX_LEN + HEADER_PREFIX_LEN + 5 + TAG_LEN];
    tap.wire.read_exact(&mut wire).await.unwrap();
    let (frames, end) = read_all(&mut tap.reader(wire.as_slice())).await;
    assert!(frames.is_empty());
    assert_decode(&end, "header");
}

#[tokio::test]
async fn frames_go_on_across_many_rekeyings() {
    let mut tap = Tap::rekeying_after(1_000).await;
    let mut wire = Vec::new();
    for count in 0..200_u8 {
        wire.extend(tap.sealed(&[count], &[count; 77]).await);
    }
    let (frames, end) = read_all(&mut tap.reader(wire.as_slice())).await;
    assert!(end.is_ok(), "{end:?}");
    assert_eq!(frames.len(), 200);
    assert_eq!(frames[199].payload.as_ref(), [199; 77]);
}

#[tokio::test]
async fn an_end_that_rekeys_at_another_point_understands_nothing_more() {
    let mut tap = Tap::rekeying_after(100).await;
    if let Some(opening) = &mut tap.opening {
        opening.rekey_after(200);
    }
    let mut wire = Vec::new();
    for _ in 0..3 {
        wire.extend(tap.sealed(b"", &[0; 98]).await);
    }
    let (frames, end) = read_all(&mut tap.reader(wire.as_slice())).await;
    assert_eq!(frames.len(), 1, "the key was changed after the first frame");
    assert_decode(&end, "key");
}

#[tokio::test]
async fn equal_frames_never_look_alike_on_the_wire() {
    let mut tap = Tap::rekeying_after(500).await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..500 {
        assert!(seen.insert(tap.sealed(b"same", b"same").await[PREFIX_LEN..].to_vec()));
    }
}

#[tokio::test]
async fn the_two_directions_have_different_keys() {
    let (mut near, far) = channel(1 << 16).await;
    let mut opening = far.sealing;
    let mut frame = *b"plain and room for tag";
    let (plain, tag) = frame.split_at_mut(6);
    tag.copy_from_slice(&near.sealing.seal([0; 4], plain).unwrap());
    assert!(opening.open([0; 4], &mut frame).is_err());
}

#[tokio::test]
async fn payloads_share_the_block_they_were_read_into() {
    let mut tap = Tap::new().await;
    let mut wire = tap.sealed(b"1", &[1; 30_000]).await;
    wire.extend(tap.sealed(b"2", &[2; 30_000]).await);
    let (frames, _) = read_all(&mut tap.reader(wire.as_slice())).await;
    let distance = frames[1].payload.as_ptr() as usize - frames[0].payload.as_ptr() as usize;
    assert_eq!(distance, wire.len() / 2, "no copy was made in between");
}

#[tokio::test]
async fn a_read_given_up_loses_nothing() {
    let (near, far) = channel(64).await;
    let (_far_reader, mut writer) = far.split();
    let (mut reader, _near_writer) = near.split();
    let sending = async {
        for count in 0..50_u8 {
            writer.write_raw(&[count], &[count; 500]).await.unwrap();
        }
    };
    let receiving = async {
        for count in 0..50_u8 {
            let frame = loop {
                tokio::select! {
                    biased;
                    frame = reader.read_raw() => break frame.unwrap().unwrap(),
                    () = tokio::task::yield_now() => {}
                }
            };
            assert_eq!(frame.payload.as_ref(), [count; 500]);
        }
    };
    tokio::join!(sending, receiving);
}

#[tokio::test]
async fn an_undecodable_header_is_the_peers_fault() {
    let mut tap = Tap::new().await;
    let wire = tap.sealed(&[0xff; 40], b"").await;
    let result = tap.reader(wire.as_slice()).read(&Bincode).await.map(|_| ());
    assert_decode(&result, "header");
}

#[tokio::test]
async fn a_channel_runs_over_the_memory_transport_with_short_reads_and_writes() {
    use crate::net::memory::{MemoryNet, PipeOptions};
    use crate::net::{Listener, Net};
    let net = MemoryNet::new(PipeOptions { capacity: 100, read_max: 13, write_max: 5 });
    let mut listener = net.listen("a:1").await.unwrap();
    let (near, far) = tokio::join!(net.connect("a:1"), listener.accept());
    let (near, far) = channel_over(near.unwrap(), far.unwrap().0).await;
    let (_, mut writer) = near.split();
    let (mut reader, _far_writer) = far.split();
    let (written, read) = tokio::join!(writer.write_raw(b"header", &[7; 5_000]), reader.read_raw());
    written.unwrap();
    assert_eq!(read.unwrap().unwrap().payload.as_ref(), [7; 5_000]);
}
