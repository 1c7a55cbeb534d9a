use bytes::Bytes;

use super::super::testing::*;
use super::*;

fn frame(bytes: &'static [u8]) -> Event {
    Event::Frame { from: 0, to: 1, bytes: Bytes::from_static(bytes) }
}

#[test]
fn sealed_bytes_and_key_files_are_no_violation() {
    let mut run = Run::new(Confidentiality::default());
    run.see(frame(b"nothing but noise, canary-5f1 at most")).unwrap();
    run.view.stored.push(("cluster.key".into(), b"a secret of 32 bytes, all of them".to_vec()));
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
    run.view.stored = vec![("node.key".into(), b"canary-5f1e".to_vec())];
    run.judge().unwrap_err();
}
