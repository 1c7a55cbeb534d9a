use super::*;

fn hash(events: &[(u64, &str, &str, &[u8])]) -> blake3::Hash {
    let trace = Trace::default();
    for (at, actor, kind, bytes) in events {
        trace.record(Duration::from_micros(*at), actor, kind, bytes);
    }
    assert_eq!(trace.events(), events.len() as u64);
    trace.hash()
}

#[test]
fn every_part_of_an_event_and_their_order_matter() {
    let (first, second): ((_, _, _, &[u8]), (_, _, _, &[u8])) = ((1, "a", "b", b"c"), (2, "a", "b", b"c"));
    let base = hash(&[first, second]);
    assert_eq!(base, hash(&[first, second]));
    assert_ne!(base, hash(&[second, first]));
    assert_ne!(base, hash(&[first]));
    assert_ne!(hash(&[first]), hash(&[(1, "x", "b", b"c")]));
    assert_ne!(hash(&[first]), hash(&[(1, "a", "x", b"c")]));
    assert_ne!(hash(&[first]), hash(&[(1, "a", "b", b"x")]));
    assert_ne!(hash(&[first]), hash(&[(1, "ab", "", b"c")]), "text does not flow from one part into the next");
}
