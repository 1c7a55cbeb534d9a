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

#[test]
fn a_trace_keeps_the_events_asked_for_and_the_same_hash() {
    let plain = Trace::default();
    let kept = Trace::keeping(Keep::Events { from: 1, count: 1 });
    let digests = Trace::keeping(Keep::Digests);
    for trace in [&plain, &kept, &digests] {
        trace.record(Duration::ZERO, "a", "first", b"one");
        trace.record_value(Duration::from_micros(5), "b", "second", &(1_u32, "two"));
        trace.record(Duration::ZERO, "a", "third", b"three");
    }
    assert_eq!(plain.hash(), kept.hash());
    assert_eq!(plain.hash(), digests.hash());
    assert_eq!(digests.digests().len(), 3);
    let texts: Vec<String> = kept.entries().iter().map(ToString::to_string).collect();
    assert_eq!(texts, [r#"#1 5µs b second (1, "two")"#]);
}
