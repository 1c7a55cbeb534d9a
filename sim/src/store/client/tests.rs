use bytes::Bytes;
use forever_core::event::Plain;
use forever_core::ids::NodeId;
use forever_core::version::Version;

use super::*;

const REQUEST: RequestId = RequestId(7);

fn file() -> FileInfo {
    let version = Version { wall_ms: 1, counter: 0, node: NodeId([1; 32]) };
    let (name, etag) = (names::of(1), String::new());
    FileInfo { name, version, size: 99, chunks: 1, mtime_ms: None, mode: None, content_type: None, etag }
}

fn client(reader: Reader) -> OpClient {
    OpClient::new(&OpKind::Get { file: 1, range: None, old: None, reader }, 64, &Asked::default()).0
}

fn data(len: usize) -> What {
    What::GetData(Plain(Bytes::from(vec![5; len])))
}

fn begun(reader: Reader) -> OpClient {
    let mut client = client(reader);
    client.on_event(REQUEST, What::GetStart { file: file(), first: 10, len: 80 });
    client
}

#[test]
fn each_piece_has_its_place_in_the_file() {
    let mut client = begun(Reader::default());
    for first in [10, 30, 50] {
        let piece = client.piece(&data(20)).unwrap();
        assert_eq!((piece.first, piece.bytes.len()), (first, 20));
        client.on_event(REQUEST, data(20));
    }
    assert_eq!(client.piece(&What::GetDone), None);
}

#[test]
fn a_slow_caller_gives_its_first_credit_late() {
    let mut client = begun(Reader { slow_ms: 30, abandon_after: None });
    for _ in 0..SLOW_PIECES_MAX {
        let next = client.on_event(REQUEST, data(1));
        assert!(matches!(next, Next::Later { after_ms: 30, command: Command::GetCredit { bytes: 1, .. } }), "{next:?}");
    }
    assert!(matches!(client.on_event(REQUEST, data(1)), Next::Commands(_)));
}

#[test]
fn a_slow_caller_gives_one_piece_after_the_other_and_then_the_end() {
    let content = crate::store::Content { salt: 1, len: 130, changed: None };
    let put = OpKind::Put { file: 1, content, abandon_after: None, said: Default::default(), slow_ms: 30 };
    let mut client = OpClient::new(&put, 64, &Asked::default()).0;
    let is_piece = |next: &Next| matches!(next, Next::Later { after_ms: 30, command: Command::PutChunk { .. } });
    assert!(is_piece(&client.on_event(REQUEST, What::PutReady { chunks: 2 })));
    // What may be given meanwhile waits.
    assert!(matches!(client.on_event(REQUEST, What::PutReady { chunks: 1 }), Next::Commands(none) if none.is_empty()));
    assert!(is_piece(&client.after_pause(REQUEST)));
    assert!(is_piece(&client.after_pause(REQUEST)));
    let end = client.after_pause(REQUEST);
    assert!(matches!(end, Next::Later { command: Command::PutEnd { .. }, .. }), "{end:?}");
    assert!(matches!(client.after_pause(REQUEST), Next::Commands(none) if none.is_empty()));
}

#[test]
fn a_caller_goes_away_after_so_many_pieces() {
    let mut client = begun(Reader { slow_ms: 0, abandon_after: Some(2) });
    assert!(matches!(client.on_event(REQUEST, data(1)), Next::Commands(_)));
    let next = client.on_event(REQUEST, data(1));
    assert!(matches!(next, Next::Done { result: OpResult::Abandoned, cancel: true }), "{next:?}");
}

#[test]
fn bytes_of_no_file_and_a_second_file_are_nonsense() {
    let is_nonsense = |next: Next| matches!(next, Next::Done { result: OpResult::Failed(OpError::Nonsense(_)), .. });
    assert!(is_nonsense(client(Reader::default()).on_event(REQUEST, data(1))));
    let again = What::GetStart { file: file(), first: 0, len: 1 };
    assert!(is_nonsense(begun(Reader::default()).on_event(REQUEST, again)));
    assert!(is_nonsense(begun(Reader::default()).on_event(REQUEST, What::GetDone)));
}
