use bytes::Bytes;

use super::super::testing::*;
use super::*;

fn frame(bytes: &'static [u8]) -> Event {
    Event::Frame { from: 0, to: 1, link: 1, bytes: Bytes::from_static(bytes) }
}

#[test]
fn sealed_bytes_are_no_violation() {
    let mut run = Run::new(Confidentiality::default());
    run.see(frame(b"nothing but noise, canary-5f1 at most")).unwrap();
    run.view.stored.push(("index".into(), b"a secret of 31 bytes".to_vec()));
    run.judge().unwrap();
}

#[test]
fn a_canary_word_or_a_secret_in_a_frame_is_a_violation() {
    let mut run = Run::new(Confidentiality::default());
    assert!(run.see(frame(b"..canary-5f1e..")).unwrap_err().contains("canary"));
    assert!(run.see(frame(b"..a secret of 32 bytes, all of them..")).unwrap_err().contains("cluster key"));
}

#[test]
fn a_canary_word_or_a_secret_on_a_disk_is_a_violation() {
    let mut run = Run::new(Confidentiality::default());
    run.view.stored.push(("index".into(), b"a secret of 32 bytes, all of them".to_vec()));
    assert!(run.judge().unwrap_err().contains("index"));
    run.view.stored = vec![("node.key".into(), b"a secret of 32 bytes, all of them".to_vec())];
    run.judge().unwrap_err();
    run.view.stored = vec![("node.key".into(), b"canary-5f1e".to_vec())];
    run.judge().unwrap_err();
}

#[test]
fn what_is_gone_before_the_end_is_seen_when_the_node_goes_down_or_the_cluster_is_healed() {
    let mut run = Run::new(Confidentiality::default());
    run.view.stored.push(("journal".into(), b"..canary-5f1e..".to_vec()));
    run.see(Event::Down { node: 1 }).unwrap();
    assert!(run.see(Event::Down { node: 0 }).unwrap_err().contains("journal"));
    assert!(run.heal().unwrap_err().contains("journal"));
    run.view.stored.clear();
    run.judge().unwrap();
}

#[test]
fn the_key_of_a_chunk_on_a_disk_is_a_violation() {
    let mut run = Run::new(Confidentiality::default());
    run.put(0, 1, 100, &[0, 1]).unwrap();
    let mut plain = PlainChunk::with_capacity(200);
    plain.extend(&content(1).bytes());
    let key = seal_chunk(run.view.keys(0), plain).key;
    run.view.stored.push(("index".into(), key.expose().to_vec()));
    assert!(run.judge().unwrap_err().contains("the key of a chunk"));
}
