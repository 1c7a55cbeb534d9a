use forever_core::codec::{Bincode, DecodeError};
use forever_core::frame::{DATA_LEN_MAX, Goodbye};
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::Instant;

use super::*;
use crate::channel::testing::{channel_over, unsplit};
use crate::channel::{FrameReader, FrameWriter};
use crate::net::Listener;
use crate::net::memory::{MemoryNet, MemoryStream, PipeOptions};

type Incoming = mpsc::Receiver<(LinkId, LinkEvent)>;

fn ping(nonce: u64) -> Frame {
    Frame::Ping { nonce }
}

fn data(offset: u32, len: usize) -> Frame {
    Frame::Data { want: 1, offset, payload: bytes::Bytes::from(vec![7; len]).into() }
}

/// A network in which `capacity` bytes fit into each direction of a connection.
fn net(capacity: usize) -> MemoryNet {
    MemoryNet::new(PipeOptions { capacity, ..PipeOptions::default() })
}

async fn channel(net: &MemoryNet) -> (SecureStream<MemoryStream>, SecureStream<MemoryStream>) {
    let mut listener = net.listen("a:0").await.unwrap();
    let address = listener.local_address();
    let (near, far) = tokio::join!(net.connect(&address), listener.accept());
    channel_over(near.unwrap(), far.unwrap().0).await
}

/// A link, and the bare channel at its other end.
struct Rig {
    handle: Option<LinkHandle>,
    events: Incoming,
    reader: FrameReader<ReadHalf<MemoryStream>>,
    writer: FrameWriter<WriteHalf<MemoryStream>>,
}

impl Rig {
    async fn new(net: &MemoryNet) -> Self {
        let (near, far) = channel(net).await;
        let (sender, events) = mpsc::channel(16);
        let (reader, writer) = far.split();
        Self { handle: Some(start(net, near, LinkId(5), Arc::new(Bincode), sender)), events, reader, writer }
    }

    fn send(&self, frame: Frame) {
        self.handle.as_ref().expect("still open").send(frame);
    }

    async fn event(&mut self) -> LinkEvent {
        let (link, event) = self.events.recv().await.expect("a link does not end without `Closed`");
        assert_eq!(link, LinkId(5));
        event
    }

    /// All events up to the end, which has to be a `Closed`, the only one.
    async fn rest(&mut self) -> (Vec<LinkEvent>, CloseReason) {
        let mut before = Vec::new();
        loop {
            match self.event().await {
                LinkEvent::Closed(reason) => {
                    // Both tasks are gone: nobody is left to send another event.
                    drop(self.handle.take());
                    assert_eq!(self.events.recv().await, None);
                    return (before, reason);
                }
                event @ (LinkEvent::Frame(_) | LinkEvent::Sent { .. }) => before.push(event),
            }
        }
    }

    async fn heard(&mut self) -> Option<Frame> {
        self.reader.read(&Bincode).await.unwrap()
    }
}

#[tokio::test]
async fn frames_go_both_ways_in_order() {
    let net = net(1 << 16);
    let mut rig = Rig::new(&net).await;
    for nonce in 0..100 {
        rig.send(ping(nonce));
        rig.writer.write(&Bincode, &ping(nonce)).await.unwrap();
        assert_eq!(rig.heard().await, Some(ping(nonce)));
        assert_eq!(rig.event().await, LinkEvent::Frame(ping(nonce)));
    }
}

#[tokio::test]
async fn sent_counts_the_payload_that_has_left() {
    let net = net(1 << 20);
    let mut rig = Rig::new(&net).await;
    let frames = 40;
    for count in 0..frames {
        rig.send(data(count, DATA_LEN_MAX));
        rig.send(ping(1));
    }
    let mut waiting = u64::from(frames) * DATA_LEN_MAX as u64;
    let mut data_heard = 0;
    while waiting > 0 {
        tokio::select! {
            biased;
            event = rig.events.recv() => match event {
                Some((_, LinkEvent::Sent { bytes })) => {
                    assert!(bytes > 0);
                    waiting = waiting.checked_sub(u64::from(bytes)).expect("no byte is counted twice");
                }
                other => panic!("{other:?}"),
            },
            frame = rig.reader.read(&Bincode) => data_heard += u32::from(matches!(frame, Ok(Some(Frame::Data { .. })))),
        }
    }
    while data_heard < frames {
        data_heard += u32::from(matches!(rig.heard().await, Some(Frame::Data { .. })));
    }
}

#[tokio::test]
async fn control_overtakes_bulk_while_the_peer_reads_slowly() {
    let net = net(1 << 12);
    let mut rig = Rig::new(&net).await;
    for count in 0..100 {
        rig.send(data(count, DATA_LEN_MAX));
    }
    // The first batch is on its way, the peer reads a frame at a time, and only then requests are made.
    assert!(matches!(rig.heard().await, Some(Frame::Data { offset: 0, .. })));
    for nonce in 0..20 {
        rig.send(ping(nonce));
    }
    let mut bulk_before = 0;
    while rig.heard().await != Some(ping(0)) {
        bulk_before += DATA_LEN_MAX;
    }
    for nonce in 1..20 {
        assert_eq!(rig.heard().await, Some(ping(nonce)), "no bulk comes in between");
    }
    assert!(bulk_before <= crate::channel::BATCH_LEN_MAX, "{bulk_before} bytes of bulk went first");
}

#[tokio::test]
async fn bulk_arrives_in_order_and_whole() {
    let net = net(100_000);
    let mut rig = Rig::new(&net).await;
    for count in 0..200 {
        rig.send(data(count, 40_000));
        rig.send(ping(0));
    }
    // With the handle gone, everything still arrives; `Sent` events are taken meanwhile.
    drop(rig.handle.take());
    let mut events = rig.events;
    let draining = async { while events.recv().await.is_some() {} };
    let mut offsets = Vec::new();
    let mut pings = 0;
    let reading = async {
        while let Some(frame) = rig.reader.read(&Bincode).await.unwrap() {
            if let Frame::Data { offset, payload, .. } = frame {
                assert_eq!(payload.into_bytes(), vec![7; 40_000]);
                offsets.push(offset);
            } else {
                assert_eq!(frame, ping(0));
                pings += 1;
            }
        }
        rig.writer.shutdown().await.unwrap();
    };
    tokio::join!(draining, reading);
    assert_eq!(offsets, (0..200).collect::<Vec<_>>());
    assert_eq!(pings, 200);
}

#[tokio::test(start_paused = true)]
async fn a_close_sends_what_was_sent_before_and_then_says_so_once() {
    let net = net(1 << 20);
    let mut rig = Rig::new(&net).await;
    let goodbye = Frame::Goodbye { reason: Goodbye::Stopping };
    rig.send(data(0, 1_000));
    rig.send(goodbye.clone());
    rig.handle.take().unwrap().close();
    assert_eq!(rig.heard().await, Some(goodbye));
    assert!(matches!(rig.heard().await, Some(Frame::Data { .. })));
    assert_eq!(rig.heard().await, None, "its direction ends");
    rig.writer.shutdown().await.unwrap();
    let start = Instant::now();
    let (before, reason) = rig.rest().await;
    assert_eq!(before, [LinkEvent::Sent { bytes: 1_000 }]);
    assert_eq!(reason, CloseReason::Local);
    assert_eq!(Instant::now(), start, "a peer that hangs up is not waited for");
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_a_close_is_not_heard_and_stops_nobody() {
    let net = net(1 << 12);
    let mut rig = Rig::new(&net).await;
    rig.handle.take().unwrap().close();
    assert_eq!(rig.heard().await, None);
    for _ in 0..100 {
        rig.writer.write(&Bincode, &data(0, 10_000)).await.unwrap();
    }
    rig.writer.shutdown().await.unwrap();
    assert_eq!(rig.rest().await, (vec![], CloseReason::Local));
}

#[tokio::test(start_paused = true)]
async fn a_close_towards_a_peer_that_never_reads_takes_its_deadline_and_no_longer() {
    let net = net(1 << 12);
    let mut rig = Rig::new(&net).await;
    rig.send(data(0, DATA_LEN_MAX));
    let start = Instant::now();
    rig.handle.take().unwrap().close();
    assert_eq!(rig.rest().await, (vec![], CloseReason::Local));
    assert_eq!(Instant::now() - start, CLOSE_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_but_never_hangs_up_is_given_the_deadline() {
    let net = net(1 << 12);
    let mut rig = Rig::new(&net).await;
    let start = Instant::now();
    rig.handle.take().unwrap().close();
    assert_eq!(rig.heard().await, None);
    assert_eq!(rig.rest().await.1, CloseReason::Local);
    assert_eq!(Instant::now() - start, CLOSE_TIMEOUT);
}

#[tokio::test]
async fn the_peers_orderly_end_is_an_end_of_file() {
    let net = net(1 << 12);
    let mut rig = Rig::new(&net).await;
    rig.writer.write(&Bincode, &ping(1)).await.unwrap();
    rig.writer.shutdown().await.unwrap();
    // The writer is stuck at that moment: the end has to reach it too.
    rig.send(data(0, DATA_LEN_MAX));
    let (before, reason) = rig.rest().await;
    assert_eq!(before, [LinkEvent::Frame(ping(1))]);
    assert_eq!(reason, CloseReason::Eof);
}

#[tokio::test]
async fn a_frame_that_is_none_closes_the_link_as_the_peers_fault() {
    let net = net(1 << 12);
    let mut rig = Rig::new(&net).await;
    rig.writer.write(&Bincode, &ping(1)).await.unwrap();
    rig.writer.write_raw(&[0xff; 9], b"").await.unwrap();
    let (before, reason) = rig.rest().await;
    assert_eq!(before, [LinkEvent::Frame(ping(1))]);
    assert!(matches!(reason, CloseReason::Decode(DecodeError::Header(_))), "{reason}");
    assert!(rig.reader.read_raw().await.unwrap().is_none(), "the connection is closed");
}

#[tokio::test]
async fn bytes_that_do_not_authenticate_close_the_link_as_the_peers_fault() {
    let net = net(1 << 12);
    let mut rig = Rig::new(&net).await;
    let mut stream = unsplit(rig.reader, rig.writer);
    stream.write_all(&[2, 0, 0, 0]).await.unwrap();
    stream.write_all(&[0; 18]).await.unwrap();
    let (_, event) = rig.events.recv().await.unwrap();
    assert!(matches!(event, LinkEvent::Closed(CloseReason::Decode(_))), "{event:?}");
}

#[tokio::test]
async fn a_lost_connection_ends_reader_and_writer_with_one_event() {
    for stuck in [false, true] {
        let net = net(1 << 12);
        let mut rig = Rig::new(&net).await;
        if stuck {
            rig.send(data(0, DATA_LEN_MAX));
        }
        rig.writer.write(&Bincode, &ping(1)).await.unwrap();
        assert_eq!(rig.event().await, LinkEvent::Frame(ping(1)));
        unsplit(rig.reader, rig.writer).reset();
        let mut left = Vec::new();
        while let Some((_, event)) = rig.events.recv().await {
            left.push(event);
        }
        assert!(matches!(left.as_slice(), [LinkEvent::Closed(CloseReason::Io(_))]), "{left:?}");
    }
}

#[tokio::test]
async fn a_peer_that_never_reads_stops_nobody_else() {
    let net = net(1 << 12);
    let stalled = Rig::new(&net).await;
    let mut live = Rig::new(&net).await;
    for count in 0..50 {
        stalled.send(data(count, DATA_LEN_MAX));
    }
    for nonce in 0..50 {
        live.send(ping(nonce));
        assert_eq!(live.heard().await, Some(ping(nonce)));
    }
}

#[tokio::test]
async fn a_peer_that_lets_control_pile_up_loses_its_link() {
    let net = net(1 << 12);
    let mut rig = Rig::new(&net).await;
    rig.send(data(0, DATA_LEN_MAX));
    tokio::task::yield_now().await;
    for nonce in 0..=CONTROL_WAITING_MAX as u64 {
        rig.send(ping(nonce));
    }
    let (_, reason) = rig.rest().await;
    assert!(matches!(&reason, CloseReason::Io(text) if text.contains("stalled")), "{reason}");
}

#[tokio::test]
async fn a_link_nobody_listens_to_ends() {
    let net = net(1 << 12);
    let Rig { handle, events, mut reader, mut writer } = Rig::new(&net).await;
    drop(events);
    writer.write(&Bincode, &ping(1)).await.unwrap();
    assert!(reader.read_raw().await.unwrap().is_none());
    drop(handle);
}

#[tokio::test]
async fn over_tcp_all_that_was_sent_before_a_close_arrives_while_the_other_end_sends_too() {
    use crate::net::tcp::TcpNet;
    let mut listener = TcpNet.listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_address();
    let (near, far) = tokio::join!(TcpNet.connect(&address), listener.accept());
    let (near, far) = channel_over(near.unwrap(), far.unwrap().0).await;
    let (near_sender, mut near_events) = mpsc::channel(16);
    let (far_sender, mut far_events) = mpsc::channel(16);
    let near = start(&TcpNet, near, LinkId(1), Arc::new(Bincode), near_sender);
    let far = start(&TcpNet, far, LinkId(2), Arc::new(Bincode), far_sender);
    for count in 0..200 {
        near.send(data(count, DATA_LEN_MAX));
        far.send(data(count, DATA_LEN_MAX));
    }
    near.close();
    let closing = async {
        let mut last = None;
        while let Some((_, event)) = near_events.recv().await {
            last = Some(event);
        }
        assert_eq!(last, Some(LinkEvent::Closed(CloseReason::Local)));
    };
    let hearing = async {
        let mut heard = 0;
        while let Some((_, event)) = far_events.recv().await {
            match event {
                LinkEvent::Frame(frame) => {
                    assert_eq!(frame, data(heard, DATA_LEN_MAX));
                    heard += 1;
                }
                LinkEvent::Sent { .. } => {}
                LinkEvent::Closed(reason) => assert_eq!((heard, reason), (200, CloseReason::Eof)),
            }
        }
    };
    tokio::join!(closing, hearing);
    drop(far);
}
